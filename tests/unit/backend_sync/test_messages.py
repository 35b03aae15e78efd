"""Claims about what crosses between device and core: read exactly, or refused with PeerError."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_sync import messages
from backend_sync.messages import (
    CORE,
    FRAME_BYTES_MAX,
    Answer,
    Frame,
    Pages,
    Position,
    Request,
    downlink_path,
    journal_path,
    open_answer,
    open_frame,
    open_pages,
    open_request,
    sign_answer,
    sign_frame,
    sign_pages,
    sign_request,
)
from edge.codec import deflate, encode
from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity, sign_evidence, verifier

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = b"\x01" * 32
AT = Position(1, 7, HEAD)
NONCE = b"\x02" * 16
FRAME = Frame("kiosk-1", 1, 4, 5, HEAD, (b"entry 4", b"entry 5"))
REQUEST = Request("kiosk-1", {"customers": 3}, NONCE, AT, 1_790_000_000_000_000, 17)
PAGE = {
    "scope": "customers", "cursor": 4, "upserts": [["c-1", {"name": "王"}]], "tombstones": ["c-2"],
    "checksum": HEAD, "as_of_us": 5, "snapshot": False,
}  # fmt: skip
PAGES = Pages([PAGE], NONCE, 6, 60, more=True, halt="rollback")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FileIdentity]:
    """A device's identity and the core's."""
    folder = tmp_path_factory.mktemp("keys")
    return {kid: FileIdentity.create(folder / kid, kid) for kid in ("kiosk-1", CORE)}


@pytest.fixture(scope="module")
def device(keys: dict[str, FileIdentity]) -> FileIdentity:
    return keys["kiosk-1"]


@pytest.fixture(scope="module")
def core(keys: dict[str, FileIdentity]) -> FileIdentity:
    return keys[CORE]


def key(identity: FileIdentity) -> Callable[[bytes, bytes], None]:
    return verifier(identity.public_bytes)


# ------------------------------------------------------------------ there and back
def test_a_frame_is_read_as_it_was_signed(device: FileIdentity) -> None:
    assert open_frame(sign_frame(device, FRAME), key(device), "kiosk-1") == FRAME


def test_a_request_is_read_as_it_was_signed(device: FileIdentity) -> None:
    assert open_request(sign_request(device, REQUEST), key(device), "kiosk-1") == REQUEST


def test_pages_are_read_as_they_were_signed(core: FileIdentity) -> None:
    message = sign_pages(core, "kiosk-1", PAGES)
    assert open_pages(message, key(core), "kiosk-1", NONCE) == PAGES


@pytest.mark.parametrize(
    "answer",
    [
        Answer("received", AT, 30),
        Answer("gap", AT),
        Answer("fork", AT),
        Answer("error", code="unavailable", message="Try again later."),
    ],
)
def test_an_answer_is_read_as_it_was_signed(core: FileIdentity, answer: Answer) -> None:
    path = journal_path("kiosk-1")
    message = sign_answer(core, path, "kiosk-1", answer)
    assert open_answer(message, key(core), path, "kiosk-1") == answer


def test_a_frame_over_the_limit_is_not_signed(device: FileIdentity) -> None:
    noise = b"".join(encode(number) for number in range(2**17))
    with pytest.raises(LocalError, match="fewer entries"):
        sign_frame(device, replace(FRAME, entries=(noise, b"")))


# ------------------------------------------------------------------ who, for whom, when
def test_an_answer_of_anybody_but_the_core_is_refused(device: FileIdentity) -> None:
    path = journal_path("kiosk-1")
    message = sign_answer(device, path, "kiosk-1", Answer("received", AT))
    with pytest.raises(PeerError, match="not signed by core"):
        open_answer(message, key(device), path, "kiosk-1")


def test_an_answer_for_another_device_or_path_is_refused(core: FileIdentity) -> None:
    path = journal_path("kiosk-2")
    message = sign_answer(core, path, "kiosk-2", Answer("received", AT))
    with pytest.raises(PeerError, match="signature"):
        open_answer(message, key(core), journal_path("kiosk-1"), "kiosk-1")
    inside = sign_answer(core, journal_path("kiosk-1"), "kiosk-2", Answer("received", AT))
    with pytest.raises(PeerError, match="device is not the one"):
        open_answer(inside, key(core), journal_path("kiosk-1"), "kiosk-1")


def test_an_old_answer_cannot_be_played_again(core: FileIdentity) -> None:
    message = sign_pages(core, "kiosk-1", PAGES)
    with pytest.raises(PeerError, match="another request"):
        open_pages(message, key(core), "kiosk-1", b"\x03" * 16)


def test_an_error_instead_of_pages_is_raised_with_the_cores_code(core: FileIdentity) -> None:
    error = Answer("error", code="unavailable", message="The bank is busy.")
    message = sign_answer(core, downlink_path("kiosk-1"), "", error)
    with pytest.raises(PeerError, match="busy") as raised:
        open_pages(message, key(core), "kiosk-1", NONCE)
    assert raised.value.code == "unavailable"


def test_an_error_signed_for_the_other_address_is_not_believed(core: FileIdentity) -> None:
    error = Answer("error", code="unavailable", message="x")
    message = sign_answer(core, journal_path("kiosk-1"), "", error)
    with pytest.raises(PeerError, match="signature"):
        open_pages(message, key(core), "kiosk-1", NONCE)


# ------------------------------------------------------------------ malformed, yet signed
WRONG_ANSWERS: dict[str, dict[Any, Any]] = {
    "no type": {"device": "kiosk-1"},
    "an unknown type": {"type": "perhaps"},
    "a type that is no text": {"type": 1},
    "no head": {"type": "gap", "device": "kiosk-1", "epoch": 1, "seq": 1},
    "an epoch of zero": {
        "type": "gap", "device": "kiosk-1", "epoch": 0, "seq": 1, "head": HEAD,
    },
    "a field too many": {
        "type": "gap", "device": "kiosk-1", "epoch": 1, "seq": 1, "head": HEAD, "next_contact_s": 1,
    },
    "a pause of years": {
        "type": "received", "device": "kiosk-1", "epoch": 1, "seq": 1, "head": HEAD,
        "next_contact_s": 10**9,
    },
    "an integer as a field name": {"type": "error", "code": "x", "message": "y", 7: 1},
}  # fmt: skip


@pytest.mark.parametrize("claim", WRONG_ANSWERS)
def test_a_malformed_answer_is_refused_even_when_the_core_signed_it(
    core: FileIdentity, claim: str
) -> None:
    path = journal_path("kiosk-1")
    message = sign_evidence(core, WRONG_ANSWERS[claim], path)
    with pytest.raises(PeerError):
        open_answer(message, key(core), path, "kiosk-1")


WRONG_PAGES: dict[str, dict[str, Any]] = {
    "a cursor below zero": {"cursor": -1},
    "upserts that are a map": {"upserts": {}},
    "an upsert of three": {"upserts": [["a", 1, 2]]},
    "an upsert whose key is a number": {"upserts": [[1, 2]]},
    "tombstones of numbers": {"tombstones": [1]},
    "a snapshot flag that is a number": {"snapshot": 1},
    "a short checksum": {"checksum": b"x"},
    "a field too many": {"extra": 1},
}


@pytest.mark.parametrize("claim", WRONG_PAGES)
def test_a_malformed_page_is_refused_even_when_the_core_signed_it(
    core: FileIdentity, claim: str
) -> None:
    pages = replace(PAGES, pages=[{**PAGE, **WRONG_PAGES[claim]}])
    with pytest.raises(PeerError):
        open_pages(sign_pages(core, "kiosk-1", pages), key(core), "kiosk-1", NONCE)


@pytest.mark.parametrize("packed", [b"", b"\xff", deflate(b"\xff"), deflate(encode([])), "text"])
def test_pages_that_do_not_unpack_are_refused(core: FileIdentity, packed: Any) -> None:
    message = sign_evidence(core, {"type": "pages", "z": packed}, downlink_path("kiosk-1"))
    with pytest.raises(PeerError):
        open_pages(message, key(core), "kiosk-1", NONCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"v": 2},
        {"cursors": []},
        {"cursors": {"customers": -1}},
        {"cursors": {"customers": "3"}},
        {"cursors": {1: 1}},
        {"cursors": {f"scope-{n}": 1 for n in range(33)}},
        {"nonce": b"short"},
        {"wall_us": -1},
        {"wall_us": "now"},
        {"counter": -1},
        {"counter": 2**53 + 1},
        {"counter": None},
        {"journal": {"epoch": 1, "seq": 0}},
        {"journal": {"epoch": 1, "seq": 0, "head": HEAD, "more": 1}},
        {"extra": None},
    ],
)
def test_a_malformed_request_is_refused_even_when_its_device_signed_it(
    device: FileIdentity, changed: dict[str, Any]
) -> None:
    record = {
        "v": 1, "device": "kiosk-1", "cursors": {}, "nonce": NONCE, "wall_us": 1, "counter": 0,
        "journal": {"epoch": 1, "seq": 0, "head": HEAD},
    }  # fmt: skip
    path = downlink_path("kiosk-1")
    open_request(sign_evidence(device, record, path), key(device), "kiosk-1")
    with pytest.raises(PeerError):
        open_request(sign_evidence(device, {**record, **changed}, path), key(device), "kiosk-1")


# ------------------------------------------------------------------ hostile bytes
OPENERS: list[Callable[[bytes, FileIdentity], object]] = [
    lambda data, who: open_frame(data, key(who), "kiosk-1"),
    lambda data, who: open_request(data, key(who), "kiosk-1"),
    lambda data, who: open_answer(data, key(who), journal_path("kiosk-1"), "kiosk-1"),
    lambda data, who: open_pages(data, key(who), "kiosk-1", NONCE),
    lambda data, _who: messages.claimed_sender(data, FRAME_BYTES_MAX),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(0, 99), inner),
    max_leaves=12,
)
names = st.sampled_from(
    ["v", "type", "device", "epoch", "first", "last", "head", "entries", "cursors", "nonce",
     "journal", "z", "code", "message", "seq", "next_contact_s"],
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(OPENERS))
def test_hostile_bytes_raise_nothing_but_peer_error(
    device: FileIdentity, data: bytes, opener: Any
) -> None:
    with pytest.raises(PeerError):
        opener(data, device)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(names, values), st.integers(0, 3))
def test_any_signed_map_is_read_or_raises_peer_error(
    device: FileIdentity, core: FileIdentity, record: dict[str, Any], which: int
) -> None:
    path = journal_path("kiosk-1") if which in {0, 2} else downlink_path("kiosk-1")
    who = device if which < 2 else core
    with contextlib.suppress(PeerError):
        OPENERS[which](sign_evidence(who, record, path), who)
