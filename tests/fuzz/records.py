"""Targets inside a signature: what a hostile device, or a hostile core, can say.

Place in the flow: ground → **records** → targets.

* The input is the payload; it comes in a COSE_Sign1 whose signature is taken as good.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from typing import TYPE_CHECKING, Any, Final

from backend_sync.messages import (
    CORE as CORE_ID,
)  # fmt: skip
from backend_sync.messages import (
    Answer,
    Frame,
    Pages,
    Position,
    Request,
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
from edge import mirror, outbox
from edge.closing import DayClosed, kept_day_closed, open_day_closed, sign_day_closed
from edge.codec import decode, deflate, encode, inflate
from edge.errors import PeerError
from edge.evidence import claimed_device, open_bundle
from edge.journal import Head, chain, decode_entry, genesis
from edge.keys import open_evidence
from edge.mirror import Mirror, checksum
from edge.outbox import PRIORITY_EVIDENCE, PRIORITY_START, Message, Outbox
from edge.policy import Policy, open_policy, sign_policy
from edge.ports import Instant
from edge.seal import read_sign1
from tests.fuzz.ground import (
    BOX,
    CORE,
    DEVICE,
    DOWN,
    HPKE,
    accept,
    memory_store,
    payload_seeds,
    signed_by,
)  # fmt: skip
from tests.fuzz.judge import MIB, Mismatch, Target

if TYPE_CHECKING:
    from edge.store import Store

TOPIC: Final = "fuzz"
NONCE: Final = bytes(16)
HEAD: Final = bytes(range(32))
NOW: Final = Instant(1, "00" * 8, 1)


class _Undone(Exception):  # noqa: N818 - it carries no error; it rolls back
    """Takes back what an input changed."""


def run_evidence(data: bytes) -> None:
    """Opens evidence; its record has one spelling."""
    record = open_evidence(signed_by(DEVICE, data), accept, TOPIC, DEVICE)
    if encode(record) != data:
        raise Mismatch("The record is not encoded to the same bytes.")


def evidence_seeds() -> list[bytes]:
    """Records of some kinds."""
    return payload_seeds({"type": "trip", "km": 3, "parts": [1, {"a": b"x"}], "none": None})


# ------------------------------------------------------------------ journal
def _entry() -> bytes:
    record = {
        "device": DEVICE, "epoch": 1, "seq": 1, "class": "FACT", "kind": "receipt-copy",
        "body": {"of": "1", "receipt": b"r"}, "wall_us": 1, "boot": "00" * 8, "mono_us": 2,
        "counter": 3, "policy": 0,
    }  # fmt: skip
    return encode(record)


def run_entry(data: bytes) -> None:
    """Reads an entry of a journal; it has one spelling."""
    if encode(decode_entry(data)) != data:
        raise Mismatch("The entry is not encoded to the same bytes.")


def entry_seeds() -> list[bytes]:
    """An entry, and entries that lack a field."""
    return payload_seeds(decode(_entry()))


def run_frame(data: bytes) -> None:
    """Opens a frame of a hostile device; what was taken is signed and opened to the same."""
    frame = open_frame(signed_by(DEVICE, data), accept, DEVICE)
    for entry in frame.entries:
        _tolerate(decode_entry, entry)
    if open_frame(signed_by(DEVICE, _payload(sign_frame(BOX, frame))), accept, DEVICE) != frame:
        raise Mismatch("The frame does not come out as it went in.")


def frame_seeds() -> list[bytes]:
    """Frames, and frames whose entries are bombs."""
    good = _payload(sign_frame(BOX, Frame(DEVICE, 1, 1, 2, HEAD, (_entry(), b"x"))))
    record = decode(good)
    bombs = [deflate(bytes(4 * MIB)), deflate(encode([b""] * 5_000)), deflate(encode({"a": [1]}))]
    return [*payload_seeds(record), *(encode({**record, "entries": bomb}) for bomb in bombs)]


def run_bundle(data: bytes) -> None:
    """Opens a bundle of evidence, and finds whose it says it is."""
    bundle = signed_by(DEVICE, data)
    claimed_device(bundle)
    open_bundle(bundle, accept, DEVICE)


def bundle_seeds() -> list[bytes]:
    """Bundles, and bundles whose entries are bombs."""
    entry, before = _entry(), genesis(DEVICE, 1)
    record = {
        "type": "journal-evidence", "device": DEVICE, "epoch": 1, "first": 1, "last": 1,
        "before": before, "head": chain(before, entry), "entries": deflate(encode([entry])),
    }  # fmt: skip
    bombs = [deflate(bytes(4 * MIB)), deflate(encode([b""] * 5_000))]
    return [*payload_seeds(record), *(encode({**record, "entries": bomb}) for bomb in bombs)]


def run_day_closed(data: bytes) -> None:
    """Opens a closed day, as it comes and as it is kept; it has one spelling."""
    statement = signed_by(CORE_ID, data)
    _tolerate(kept_day_closed, statement)
    closed = open_day_closed(statement, accept, DEVICE)
    if _payload(sign_day_closed(CORE, closed)) != data:
        raise Mismatch("The closed day is not signed as the same bytes.")


def day_closed_seeds() -> list[bytes]:
    """Closed days with and without totals."""
    days = [DayClosed(DEVICE, "2026-07-01", Head(1, 9, HEAD), 9, totals)
            for totals in ({}, {"cash-withdrawal": -100})]  # fmt: skip
    return payload_seeds(*(decode(_payload(sign_day_closed(CORE, day))) for day in days))


# ------------------------------------------------------------------ downlink
def run_downlink(data: bytes) -> None:
    """Opens a request of a hostile device, and an answer of a hostile core."""
    path = journal_path(DEVICE)
    request = _tolerate(open_request, signed_by(DEVICE, data), accept, DEVICE)
    if request and _payload(sign_request(BOX, request)) != data:
        raise Mismatch("The request is not signed as the same bytes.")
    answer = _tolerate(open_answer, signed_by(CORE_ID, data), accept, path, DEVICE)
    if answer and _payload(sign_answer(CORE, path, DEVICE, answer)) != data:
        raise Mismatch("The answer is not signed as the same bytes.")


def downlink_seeds() -> list[bytes]:
    """Requests and answers of every type."""
    at = Position(1, 2, HEAD)
    answers = [Answer("received", at, 60), Answer("gap", at), Answer("fork", at),
               Answer("error", None, 0, "busy", "Wait.")]  # fmt: skip
    signed = [sign_answer(CORE, journal_path(DEVICE), DEVICE, answer) for answer in answers]
    signed.append(sign_request(BOX, _request()))
    return payload_seeds(*(decode(_payload(each)) for each in signed))


def _request() -> Request:
    fields: dict[str, Any] = {
        "device": DEVICE, "cursors": {"rates": 3}, "nonce": NONCE,
        "journal": Position(1, 2, HEAD), "wall_us": 5, "counter": 0,
    }  # fmt: skip
    return Request(**{name: fields[name] for name in Request.__dataclass_fields__})


@functools.cache
def _mirror_store() -> Store:
    return memory_store(mirror.MIGRATIONS)


def run_pages(data: bytes) -> None:
    """Opens pages of a hostile core, packed from the input, and applies them to a mirror."""
    payload = encode({"type": "pages", "z": deflate(data)})
    pages = open_pages(signed_by(CORE_ID, payload), accept, DEVICE, NONCE)
    store = _mirror_store()
    for page in pages.pages:
        _undone(store, lambda page=page: Mirror(store).apply(page))


def pages_seeds() -> list[bytes]:
    """Pages with and without each part."""
    items: list[list[Any]] = [["a", 1], ["b", {"x": [b"y", None]}]]
    held = checksum((str(key), encode(value)) for key, value in items)
    page = {"scope": "rates", "cursor": 4, "upserts": items, "tombstones": ["c"], "checksum": held,
            "as_of_us": 9, "snapshot": True}  # fmt: skip
    signed = sign_pages(CORE, DEVICE, Pages([page, {**page, "scope": "s"}], NONCE, 1, 2, more=True))
    inner = decode(inflate(decode(_payload(signed))["z"], MIB))
    return [*payload_seeds(inner), encode({**inner, "pages": [{**page, "snapshot": False}]})]


# ------------------------------------------------------------------ box
@functools.cache
def _outbox() -> tuple[Store, Outbox]:
    store = memory_store(outbox.MIGRATIONS)
    box = Outbox(store, DEVICE)
    with store.transaction():
        store.execute("INSERT INTO outbox_epochs (epoch, count, head) VALUES (1, 2, ?)", (HEAD,))
        for seq, priority in enumerate((PRIORITY_START, 0, PRIORITY_EVIDENCE)):
            box.put(Message(1, seq, b"message"), priority, HEAD, NOW)
    return store, box


def run_settle(data: bytes) -> None:
    """Settles or sets aside by the word of a hostile core; what was deleted is put back."""
    store, box = _outbox()
    message = signed_by(CORE_ID, data)
    _tolerate(_undone, store, lambda: box.settle(message, accept, DOWN))
    _undone(store, lambda: box.set_aside(message, accept, DOWN))


def settle_seeds() -> list[bytes]:
    """Acknowledgements and refusals: good ones, of the future, and of another chain."""
    stored: dict[str, Any] = {
        "type": "stored",
        "device": DEVICE,
        "epoch": 1,
        "seq": 1,
        "head": HEAD,
    }
    digest = hashlib.sha256(b"message").digest()
    refused = {"type": "refused", "device": DEVICE, "epoch": 1, "seq": 1, "sha256": digest,
               "code": "tampered"}  # fmt: skip
    changes: list[dict[str, Any]] = [
        {},
        {"seq": 9},
        {"head": bytes(32)},
        {"epoch": 2**64 - 1},
        {"seq": -1},
    ]
    return payload_seeds(*({**stored, **change} for change in changes), refused)


def run_policy(data: bytes) -> None:
    """Opens a policy; what was taken is signed as the same bytes."""
    policy = open_policy(signed_by(CORE_ID, data), accept, DEVICE)
    if _payload(sign_policy(CORE, policy)) != data:
        raise Mismatch("The policy is not signed as the same bytes.")


def policy_seeds() -> list[bytes]:
    """Policies with some lists of algorithms."""
    policies = [Policy(DEVICE, 1, (3,), HPKE.public_bytes),
                Policy(DEVICE, 2**40, (30, 24, -65601), HPKE.public_bytes)]  # fmt: skip
    return payload_seeds(*(decode(_payload(sign_policy(CORE, policy))) for policy in policies))


# ------------------------------------------------------------------ inside
def _payload(message: bytes) -> bytes:
    return read_sign1(message)[1]


def _tolerate(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except PeerError:
        return None


def _undone(store: Store, act: Any) -> None:
    """Runs an act whose changes are rolled back when it succeeds."""
    with contextlib.suppress(_Undone), store.transaction():
        act()
        raise _Undone


TARGETS: Final = (
    Target("evidence", "edge.keys.open_evidence: any signed record", run_evidence, evidence_seeds),
    Target("entry", "edge.journal.decode_entry", run_entry, entry_seeds),
    Target("frame", "backend_sync.messages.open_frame and the entries inside", run_frame,
           frame_seeds, memory_base=32 * MIB),
    Target("bundle", "edge.evidence.open_bundle", run_bundle, bundle_seeds, memory_base=32 * MIB),
    Target("day-closed", "edge.closing: the core's closed days", run_day_closed, day_closed_seeds),
    Target("downlink", "backend_sync.messages: requests and answers", run_downlink, downlink_seeds),
    Target("pages", "backend_sync.messages.open_pages, and Mirror.apply", run_pages, pages_seeds,
           memory_base=4 * MIB),
    Target("settle", "edge.outbox.Outbox.settle", run_settle, settle_seeds),
    Target("policy", "edge.policy.open_policy", run_policy, policy_seeds),
)  # fmt: skip
