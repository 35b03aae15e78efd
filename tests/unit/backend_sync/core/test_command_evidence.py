"""Claims about evidence at the core: checked by the registered key, compared with what is held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.command_evidence import (
    check_bundle,
    compare,
    describe,
    read_bundle,
    to_json,
)
from edge.codec import deflate, encode
from edge.errors import LocalError, PeerError
from edge.evidence import BUNDLE_BYTES_MAX
from edge.keys import sign_evidence
from edge.purposes import JOURNAL_EVIDENCE
from tests.unit.backend_sync.core.village import NOW_US, Kiosk, Village, make_kiosk

if TYPE_CHECKING:
    from pathlib import Path

COPY = {"of": "00" * 16, "receipt": "R1"}


def bundle(kiosk: Kiosk, first: int = 1, last: int | None = None) -> bytes:
    end = len(kiosk.entries) if last is None else last
    record = {
        "type": "journal-evidence", "device": kiosk.device, "epoch": kiosk.epoch, "first": first,
        "last": end, "before": kiosk.link(first - 1), "head": kiosk.link(end),
        "entries": deflate(encode(kiosk.entries[first - 1 : end])),
    }  # fmt: skip
    return sign_evidence(kiosk.identity, record, JOURNAL_EVIDENCE)


def test_what_the_core_holds_too_is_the_same(village: Village) -> None:
    for _ in range(3):
        village.kiosk.write("receipt-copy", COPY)
    village.send()
    for first, last in ((1, 3), (2, 2)):
        found = check_bundle(village.connection, bundle(village.kiosk, first, last))
        assert compare(village.connection, found) == "same"
    village.kiosk.write("receipt-copy", COPY)
    found = check_bundle(village.connection, bundle(village.kiosk))
    assert compare(village.connection, found) == "absent"


def test_another_branch_is_told(village: Village) -> None:
    village.kiosk.write("receipt-copy", COPY)
    village.send()
    other = Kiosk(village.kiosk.identity, village.kiosk.pad)
    other.write("receipt-copy", {**COPY, "receipt": "R2"})
    found = check_bundle(village.connection, bundle(other))
    assert compare(village.connection, found) == "other"
    assert "ANOTHER" in describe(found, "other")


def test_a_retired_device_still_proves_what_it_did(village: Village) -> None:
    village.kiosk.write("receipt-copy", COPY)
    village.connection.execute("UPDATE devices SET state = 'retired', state_reason = 'x'")
    assert check_bundle(village.connection, bundle(village.kiosk)).last == 1


def test_nobody_who_is_not_registered_proves_anything(village: Village, tmp_path: Path) -> None:
    for name in ("kiosk-2", "kiosk 3"):
        stranger = make_kiosk(tmp_path, name)
        stranger.write("receipt-copy", COPY)
        with pytest.raises(PeerError) as refusal:
            check_bundle(village.connection, bundle(stranger))
        assert refusal.value.code == "unknown-device"


def test_another_key_than_the_registered_proves_nothing(village: Village, tmp_path: Path) -> None:
    thief = make_kiosk(tmp_path, "kiosk-9")
    thief.identity.kid = "kiosk-1"
    thief.write("receipt-copy", COPY)
    with pytest.raises(PeerError) as refusal:
        check_bundle(village.connection, bundle(thief))
    assert refusal.value.code == "seal-signature"


def test_it_is_told_to_people_in_their_own_time(village: Village) -> None:
    village.kiosk.withdraw(village.lease(), 12_300)
    found = check_bundle(village.connection, bundle(village.kiosk))
    first, second = describe(found, "absent").splitlines()
    assert first == (
        "kiosk-1 has signed entries 1/1 to 1/1; the core does not hold its last entry yet."
    )
    assert second.startswith("1/1  2026-09-21 22:13:20  FACT cash-withdrawal: ")
    assert "amount_fen 12300" in second
    assert "..." in second


@pytest.mark.parametrize(
    ("wall_us", "spelt"), [(2**62, f"{2**62} us"), (-(2**62), f"{-(2**62)} us")]
)
def test_a_clock_gone_mad_is_told_as_it_is(village: Village, wall_us: int, spelt: str) -> None:
    village.kiosk.write("receipt-copy", COPY, wall_us=wall_us)
    found = check_bundle(village.connection, bundle(village.kiosk))
    assert spelt in describe(found, "absent")


def test_a_terminal_obeys_nothing_of_it(village: Village) -> None:
    village.kiosk.write("receipt\x1b[2J", {"of\n": "\x1b]0;x\x07", "receipt": b"\x1b"})
    text = describe(check_bundle(village.connection, bundle(village.kiosk)), "absent")
    assert all(letter.isprintable() for letter in text.replace("\n", "", 1))


def test_it_is_one_object_for_programs(village: Village) -> None:
    village.kiosk.write("receipt-copy", {**COPY, "list": [b"\x01", {1: True}]})
    found = check_bundle(village.connection, bundle(village.kiosk))
    said: dict[str, Any] = json.loads(to_json(found, "same"))
    assert (said["device"], said["held"], said["head"]) == ("kiosk-1", "same", found.head.hex())
    (entry,) = said["entries"]
    assert entry["wall_us"] == NOW_US
    assert entry["body"]["list"] == ["01", {"1": True}]
    assert len(entry["op_id"]) == 32


def test_no_more_of_a_file_is_read_than_a_bundle_has(tmp_path: Path) -> None:
    path = tmp_path / "proof.cose"
    path.write_bytes(bytes(BUNDLE_BYTES_MAX + 9))
    assert len(read_bundle(path)) == BUNDLE_BYTES_MAX + 1
    with pytest.raises(LocalError, match="absent"):
        read_bundle(tmp_path / "absent")
