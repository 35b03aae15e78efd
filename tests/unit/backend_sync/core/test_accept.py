"""Claims about the first stage: what chains is stored whole, whatever it says; nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.accept import accept_frame
from backend_sync.core.registry import add_device
from backend_sync.messages import FRAME_BYTES_MAX, Frame, Position, journal_path, sign_frame
from edge.codec import deflate, encode
from edge.errors import PeerError
from edge.keys import sign_evidence
from tests.unit.backend_sync.core.village import NOW_US, Kiosk, Village, make_kiosk

if TYPE_CHECKING:
    from pathlib import Path

    from edge.keys import FileIdentity

COPY = {"of": "00" * 16, "receipt": "R1"}


def fill(kiosk: Kiosk, count: int) -> None:
    for _ in range(count):
        kiosk.write("receipt-copy", COPY)


def stored(village: Village) -> list[bytes]:
    rows = village.connection.execute("SELECT entry FROM journal_entries ORDER BY epoch, seq")
    return [bytes(entry) for (entry,) in rows.fetchall()]


def record(kiosk: Kiosk, **changed: Any) -> dict[str, Any]:
    fields = {
        "v": 1, "device": kiosk.device, "epoch": 1, "first": 1, "last": len(kiosk.entries),
        "head": kiosk.link(len(kiosk.entries)), "entries": deflate(encode(kiosk.entries)),
    }  # fmt: skip
    return {**fields, **changed}


def refused(village: Village, message: bytes, device: str = "kiosk-1") -> str:
    with pytest.raises(PeerError) as raised:
        accept_frame(village.connection, device, message, NOW_US)
    assert stored(village) == []
    return raised.value.code


# ------------------------------------------------------------------ the chain
def test_frames_in_order_are_stored_byte_for_byte(village: Village) -> None:
    fill(village.kiosk, 5)
    for first, last in ((1, 2), (3, 5)):
        answer = village.send(village.kiosk.frame(first, last))
        assert (answer.type, answer.at) == (
            "received",
            Position(1, last, village.kiosk.link(last)),
        )
    assert stored(village) == village.kiosk.entries
    assert village.number("SELECT count(*) FROM post_queue") == 5


def test_a_frame_past_the_head_is_a_gap_and_stores_nothing(village: Village) -> None:
    fill(village.kiosk, 4)
    village.send(village.kiosk.frame(1, 1))
    answer = village.send(village.kiosk.frame(3, 4))
    assert (answer.type, answer.at) == ("gap", Position(1, 1, village.kiosk.link(1)))
    assert len(stored(village)) == 1


def test_an_overlapping_frame_adds_only_what_is_new(village: Village) -> None:
    fill(village.kiosk, 4)
    village.send(village.kiosk.frame(1, 3))
    answer = village.send(village.kiosk.frame(2, 4))
    assert answer.at == village.kiosk.head()
    assert stored(village) == village.kiosk.entries


def test_the_same_frame_again_changes_nothing(village: Village) -> None:
    fill(village.kiosk, 2)
    assert village.send() == village.send()
    assert len(stored(village)) == 2


# ------------------------------------------------------------------ forks
def test_a_fork_keeps_both_branches_and_quarantines_the_device(village: Village) -> None:
    fill(village.kiosk, 3)
    village.send()
    other = Kiosk(village.kiosk.identity, village.kiosk.pad)
    fill(other, 1)
    other.write("receipt-copy", {**COPY, "receipt": "R9"})
    forged = other.frame()
    answer = village.send(forged)
    assert (answer.type, answer.at) == ("fork", village.kiosk.head())
    assert stored(village) == village.kiosk.entries
    row = village.connection.execute("SELECT seq, frame FROM journal_forks").fetchone()
    assert row is not None
    assert (row[0], bytes(row[1])) == (2, forged)
    assert village.number("SELECT count(*) FROM devices WHERE state = 'quarantined'") == 1
    assert len(village.reasons("fork")) == 1


def test_a_frame_whose_entries_do_not_end_in_its_head_is_a_fork(village: Village) -> None:
    fill(village.kiosk, 2)
    lie = sign_evidence(
        village.kiosk.identity, record(village.kiosk, head=b"\0" * 32), journal_path("kiosk-1")
    )
    assert village.send(lie).type == "fork"
    assert stored(village) == []


def test_what_a_quarantined_device_sends_is_evidence_and_never_posted(village: Village) -> None:
    fill(village.kiosk, 2)
    village.send(village.kiosk.frame(1, 1))
    village.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'test'")
    answer = village.send(village.kiosk.frame(2, 2))
    assert (answer.type, answer.at) == ("fork", Position(1, 1, village.kiosk.link(1)))
    assert len(stored(village)) == 1
    assert village.number("SELECT count(*) FROM journal_forks") == 1


def test_a_fork_sent_twice_is_kept_once(village: Village) -> None:
    fill(village.kiosk, 1)
    village.send()
    other = Kiosk(village.kiosk.identity, village.kiosk.pad)
    other.write("receipt-copy", {**COPY, "receipt": "R9"})
    message = other.frame()
    village.send(message)
    village.send(message)
    assert village.number("SELECT count(*) FROM journal_forks") == 1
    assert village.number("SELECT count(*) FROM exceptions") == 1


# ------------------------------------------------------------------ suspicions
def test_a_counter_that_falls_is_an_exception_and_the_entries_still_count(
    village: Village,
) -> None:
    village.kiosk.write("receipt-copy", COPY, counter=9)
    village.send()
    village.kiosk.write("receipt-copy", COPY, counter=8)
    assert village.send(village.kiosk.frame(2)).type == "received"
    assert village.reasons("rollback") == ["The monotonic counter fell."]
    assert len(stored(village)) == 2


def test_a_counter_that_rises_raises_nothing(village: Village) -> None:
    fill(village.kiosk, 3)
    village.send()
    assert village.reasons("rollback") == []


def test_a_new_epoch_must_follow_the_last_and_is_reported(village: Village) -> None:
    fill(village.kiosk, 1)
    village.send()
    later = Kiosk(village.kiosk.identity, village.kiosk.pad, epoch=3)
    fill(later, 1)
    with pytest.raises(PeerError, match="epoch"):
        village.send(later.frame())
    following = Kiosk(village.kiosk.identity, village.kiosk.pad, epoch=2)
    fill(following, 1)
    assert village.send(following.frame()).type == "received"
    assert len(village.reasons("new-epoch")) == 1


# ------------------------------------------------------------------ poison
POISONS: dict[str, dict[str, Any]] = {
    "another place": {"seq": 7},
    "another device": {"device": "kiosk-2"},
    "a class nobody knows": {"class": "WISH"},
    "a kind with a NUL": {"kind": "cash\0"},
    "a kind with capitals": {"kind": "Cash"},
    "a counter below zero": {"counter": -1},
    "a counter no row can hold": {"counter": 2**63},
    "a body that is no map": {"body": []},
    "an unknown field": {"extra": 1},
}


@pytest.mark.parametrize("claim", POISONS)
def test_a_poison_entry_is_stored_alone_and_holds_nothing_up(village: Village, claim: str) -> None:
    fill(village.kiosk, 1)
    village.kiosk.write("receipt-copy", COPY, **POISONS[claim])
    fill(village.kiosk, 1)
    assert village.send().at == village.kiosk.head()
    rows = village.connection.execute("SELECT class FROM journal_entries ORDER BY seq").fetchall()
    assert [row[0] for row in rows] == ["FACT", "POISON", "FACT"]


def test_bytes_that_are_no_entry_at_all_are_poison(village: Village) -> None:
    village.kiosk.append(b"\xff not CBOR")
    village.send()
    assert village.number("SELECT count(*) FROM journal_entries WHERE class = 'POISON'") == 1


# ------------------------------------------------------------------ refusals
def test_a_frame_of_an_unknown_device_is_refused(village: Village, tmp_path: Path) -> None:
    stranger = make_kiosk(tmp_path, "kiosk-9")
    fill(stranger, 1)
    assert refused(village, stranger.frame(), "kiosk-9") == "unknown-device"


def test_a_device_name_that_no_row_can_hold_is_an_unknown_device(
    village: Village, tmp_path: Path
) -> None:
    kiosk = make_kiosk(tmp_path, "kiosk-8")
    kiosk.identity.kid = "kiosk\0"
    fill(kiosk, 1)
    assert refused(village, kiosk.frame(), "kiosk\0") == "unknown-device"


def test_a_retired_device_is_unknown(village: Village) -> None:
    village.connection.execute("UPDATE devices SET state = 'retired', state_reason = 'x'")
    fill(village.kiosk, 1)
    assert refused(village, village.kiosk.frame()) == "unknown-device"


def test_a_frame_for_another_path_is_refused(village: Village) -> None:
    fill(village.kiosk, 1)
    assert refused(village, village.kiosk.frame(), "kiosk-2") == "wrong-device"
    elsewhere = sign_evidence(
        village.kiosk.identity, record(village.kiosk), "/v1/devices/x/journal"
    )
    assert refused(village, elsewhere) == "seal-signature"


def test_a_frame_signed_with_another_devices_key_is_refused(
    village: Village, tmp_path: Path
) -> None:
    other = make_kiosk(tmp_path, "kiosk-2")
    add_device(village.connection, "kiosk-2", "kiosk", other.identity.public_bytes, "", NOW_US)
    fill(village.kiosk, 1)
    forger: FileIdentity = other.identity
    forger.kid = "kiosk-1"
    frame = Frame("kiosk-1", 1, 1, 1, village.kiosk.link(1), (village.kiosk.entries[0],))
    assert refused(village, sign_frame(forger, frame)) == "seal-signature"


def test_every_changed_byte_of_a_frame_is_noticed(village: Village) -> None:
    fill(village.kiosk, 1)
    message = village.kiosk.frame()
    for place in range(len(message)):
        changed = bytearray(message)
        changed[place] ^= 1
        refused(village, bytes(changed))


def test_every_truncated_frame_is_refused(village: Village) -> None:
    fill(village.kiosk, 1)
    message = village.kiosk.frame()
    for length in range(len(message)):
        refused(village, message[:length])


def test_a_body_over_the_limit_is_refused_unread(village: Village) -> None:
    assert refused(village, b"\0" * (FRAME_BYTES_MAX + 1)) == "too-large"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another version": ({"v": 2}, "version"),
    "another device inside": ({"device": "kiosk-2"}, "message-address"),
    "fewer entries than it says": ({"last": 3}, "frame-count"),
    "entries backwards": ({"first": 2, "last": 1}, "frame-count"),
    "a short head": ({"head": b"\0" * 31}, "message-field"),
    "entries that do not inflate": ({"entries": b"\xff\xff"}, "codec-deflate"),
    "entries that are no list": ({"entries": deflate(encode({}))}, "frame-entries"),
    "no entries": ({"entries": deflate(encode([]))}, "frame-entries"),
    "an entry that is text": ({"entries": deflate(encode(["x"]))}, "frame-entries"),
    "a bomb": ({"entries": deflate(bytes(2_000_000))}, "codec-expansion"),
    "a field too many": ({"more": 1}, "message-field"),
    "seq as a flag": ({"first": True}, "message-field"),
}


@pytest.mark.parametrize("claim", WRONG)
def test_a_malformed_frame_is_refused_with_its_reason(village: Village, claim: str) -> None:
    changed, code = WRONG[claim]
    fill(village.kiosk, 1)
    message = sign_evidence(
        village.kiosk.identity, record(village.kiosk, **changed), journal_path("kiosk-1")
    )
    assert refused(village, message) == code
