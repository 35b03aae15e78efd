"""Claims about evidence: a bundle proves its run of entries, or is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.codec import decode, deflate, encode, inflate
from edge.entry import ENTRY_BYTES_MAX, NUMBER_MAX, chain, genesis
from edge.errors import LastmileError, LocalError, PeerError
from edge.evidence import (
    BUNDLE_BYTES_MAX,
    ENTRIES_MAX,
    PLAIN_BYTES_MAX,
    Evidence,
    claimed_device,
    export_evidence,
    open_bundle,
)
from edge.journal import MIGRATIONS, Journal, Recovery
from edge.keys import FileIdentity, sign_evidence, verifier
from edge.purposes import JOURNAL_EVIDENCE, LEASE_TOPIC
from edge.seal import read_sign1
from edge.store import open_store
from tests.unit.edge.desk import StillClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.store import Store

KIOSK = "kiosk-1"
KIND = "cash-withdrawal"


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory) -> FileIdentity:
    return FileIdentity.create(tmp_path_factory.mktemp("kiosk") / "kiosk.pem", KIOSK)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "journal.db", [MIGRATIONS]) as opened:
        yield opened


def fill(store: Store, count: int, size: int = 6, recovery: Recovery | None = None) -> Journal:
    journal = Journal(store, KIOSK, StillClock(), recovery=recovery)
    with store.transaction():
        for number in range(count):
            journal.append("FACT", KIND, {"lease": "ab", "receipt": f"{number:0{size}}"})
    return journal


def opened(bundle: bytes, kiosk: FileIdentity) -> Evidence:
    return open_bundle(bundle, verifier(kiosk.public_bytes), KIOSK)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(LastmileError) as refused:
        act()
    return refused.value.code


# ---------------------------------------------------------------- what it proves
@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 6), (3, 5), (6, 6)])
def test_a_run_of_entries_comes_out_as_it_went_in(
    first: int, last: int, store: Store, kiosk: FileIdentity
) -> None:
    journal = fill(store, 6)
    bundle = export_evidence(journal, kiosk, 1, first, last)
    evidence = opened(bundle, kiosk)
    assert (evidence.device, evidence.epoch, evidence.first, evidence.last) == (
        KIOSK, 1, first, last,
    )  # fmt: skip
    assert (evidence.before, evidence.head) == (
        journal.hash_at(1, first - 1), journal.hash_at(1, last),
    )  # fmt: skip
    assert list(evidence.entries) == [journal.find(1, seq) for seq in range(first, last + 1)]
    assert claimed_device(bundle) == KIOSK


def test_a_later_epoch_has_evidence_too(store: Store, kiosk: FileIdentity) -> None:
    fill(store, 2)
    journal = fill(store, 2, recovery=Recovery(3, "test"))
    evidence = opened(export_evidence(journal, kiosk, 3, 1, 3), kiosk)
    assert (evidence.epoch, evidence.before) == (3, genesis(KIOSK, 3))


@pytest.mark.parametrize(
    ("epoch", "first", "last", "code"),
    [
        (1, 5, 7, "evidence-absent"),
        (1, 7, 7, "evidence-absent"),
        (1, 8, 9, "evidence-absent"),
        (2, 1, 1, "evidence-absent"),
        (1, 0, 3, "evidence-range"),
        (1, 4, 3, "evidence-range"),
        (1, 1, ENTRIES_MAX + 1, "evidence-range"),
        (1, 1, ENTRIES_MAX, "evidence-absent"),
    ],
)
def test_what_the_journal_does_not_hold_is_not_exported(
    epoch: int, first: int, last: int, code: str, store: Store, kiosk: FileIdentity
) -> None:
    journal = fill(store, 6)
    assert refusal(lambda: export_evidence(journal, kiosk, epoch, first, last)) == code


def test_nobody_else_signs_it(store: Store, tmp_path: Path, kiosk: FileIdentity) -> None:
    journal = fill(store, 2)
    other = FileIdentity.create(tmp_path / "other.pem", "kiosk-2")
    assert refusal(lambda: export_evidence(journal, other, 1, 1, 2)) == "evidence-identity"
    thief = FileIdentity.create(tmp_path / "thief.pem", KIOSK)
    bundle = export_evidence(journal, thief, 1, 1, 2)
    assert refusal(lambda: opened(bundle, kiosk)) == "seal-signature"


def test_a_bundle_has_its_limits(store: Store, kiosk: FileIdentity) -> None:
    size = 16_000
    fits = PLAIN_BYTES_MAX // (size + 400)
    journal = fill(store, fits + 3, size)
    evidence = opened(export_evidence(journal, kiosk, 1, 1, fits), kiosk)
    assert len(evidence.entries) == fits
    with pytest.raises(LocalError, match="fewer") as refused:
        export_evidence(journal, kiosk, 1, 1, fits + 3)
    assert refused.value.code == "evidence-size"


def test_the_heads_of_entries_count_too(store: Store, kiosk: FileIdentity) -> None:
    count = PLAIN_BYTES_MAX // ENTRY_BYTES_MAX
    journal = fill(store, 1, 1_000)
    spare = ENTRY_BYTES_MAX - len(journal.read(0, 1, 1)[0][0])
    with store.transaction():
        for seq in range(2, count + 2):
            text = "0" * (1_000 + spare - (seq > 23))
            journal.append("FACT", KIND, {"lease": "ab", "receipt": text})
    entries = [entry for entry, _ in journal.read(1, count, PLAIN_BYTES_MAX)]
    assert sum(map(len, entries)) == PLAIN_BYTES_MAX
    assert refusal(lambda: export_evidence(journal, kiosk, 1, 2, count + 1)) == "evidence-size"
    assert opened(export_evidence(journal, kiosk, 1, 1, count), kiosk).last == count


# ---------------------------------------------------------------- what is refused
def record_of(store: Store, kiosk: FileIdentity, first: int = 2) -> dict[str, Any]:
    journal = fill(store, 4)
    record = decode(read_sign1(export_evidence(journal, kiosk, 1, first, 4))[1])
    assert isinstance(record, dict)
    return record


FOREIGN = encode({
    "device": "kiosk-2", "epoch": 1, "seq": 1, "class": "FACT", "kind": KIND, "body": {},
    "wall_us": 1, "boot": "", "mono_us": 1, "counter": 0, "policy": 0,
})  # fmt: skip
MALFORMED: dict[str, dict[str, Any]] = {
    "a field too many": {"more": 1},
    "another type": {"type": "evidence"},
    "another device": {"device": "kiosk-2"},
    "epoch 0": {"epoch": 0},
    "an epoch past all": {"epoch": NUMBER_MAX + 1},
    "a first in words": {"first": "2"},
    "a last that is true": {"last": True},
    "a last before its first": {"last": 1},
    "a last further on": {"last": 5},
    "more than fit": {"last": ENTRIES_MAX + 2},
    "another before": {"before": bytes(32)},
    "a before too short": {"before": bytes(31)},
    "another head": {"head": bytes(32)},
    "a head in words": {"head": "0" * 32},
    "entries in a list": {"entries": []},
    "entries that do not inflate": {"entries": b"x"},
    "entries that are a number": {"entries": deflate(encode(3))},
    "entries in words": {"entries": deflate(encode(["a", "b", "c"]))},
    "entries that are none": {"entries": deflate(encode([b"a", b"b", b"c"]))},
    "an entry of elsewhere": {
        "entries": deflate(encode([FOREIGN])), "first": 1, "last": 1,
        "before": genesis(KIOSK, 1), "head": chain(genesis(KIOSK, 1), FOREIGN),
    },
}  # fmt: skip


@pytest.mark.parametrize("claim", MALFORMED)
def test_no_evidence_is_a_bundle_with(claim: str, store: Store, kiosk: FileIdentity) -> None:
    good = record_of(store, kiosk)
    opened(sign_evidence(kiosk, good, JOURNAL_EVIDENCE), kiosk)
    bundle = sign_evidence(kiosk, {**good, **MALFORMED[claim]}, JOURNAL_EVIDENCE)
    with pytest.raises(PeerError):
        opened(bundle, kiosk)


def test_the_first_entry_of_an_epoch_stands_on_its_genesis(
    store: Store, kiosk: FileIdentity
) -> None:
    good = record_of(store, kiosk, 1)
    entries = decode(inflate(good["entries"], PLAIN_BYTES_MAX))
    assert isinstance(entries, list)
    link = bytes(32)
    for entry in entries:
        link = chain(link, entry)
    forged = {**good, "before": bytes(32), "head": link}
    bundle = sign_evidence(kiosk, forged, JOURNAL_EVIDENCE)
    assert refusal(lambda: opened(bundle, kiosk)) == "evidence-form"


@pytest.mark.parametrize(
    "name", ["type", "device", "epoch", "first", "last", "before", "head", "entries"]
)
def test_no_evidence_is_a_bundle_without(name: str, store: Store, kiosk: FileIdentity) -> None:
    good = record_of(store, kiosk)
    del good[name]
    bundle = sign_evidence(kiosk, good, JOURNAL_EVIDENCE)
    assert refusal(lambda: opened(bundle, kiosk)) == "evidence-form"


def test_what_was_signed_for_something_else_is_no_evidence(
    store: Store, kiosk: FileIdentity
) -> None:
    bundle = sign_evidence(kiosk, record_of(store, kiosk), LEASE_TOPIC)
    assert refusal(lambda: opened(bundle, kiosk)) == "seal-signature"


def test_every_changed_byte_of_a_bundle_is_noticed(store: Store, kiosk: FileIdentity) -> None:
    bundle = export_evidence(fill(store, 3), kiosk, 1, 1, 3)
    for place in range(len(bundle)):
        changed = bytearray(bundle)
        changed[place] ^= 1
        with pytest.raises(PeerError):
            opened(bytes(changed), kiosk)


def test_a_bundle_longer_than_any_is_refused_unread(kiosk: FileIdentity) -> None:
    longest = bytes(BUNDLE_BYTES_MAX)
    assert refusal(lambda: claimed_device(longest)) != "evidence-form"
    for act in (lambda: claimed_device(longest + b"\0"), lambda: opened(longest + b"\0", kiosk)):
        assert refusal(act) == "evidence-form"


def test_a_bomb_does_not_go_off(store: Store, kiosk: FileIdentity) -> None:
    bomb = {**record_of(store, kiosk), "entries": deflate(bytes(64 * PLAIN_BYTES_MAX))}
    bundle = sign_evidence(kiosk, bomb, JOURNAL_EVIDENCE)
    assert refusal(lambda: opened(bundle, kiosk)).startswith("codec")


@given(st.binary(max_size=300))
def test_hostile_bundles_raise_only_peer_errors(kiosk: FileIdentity, data: bytes) -> None:
    with pytest.raises(PeerError):
        opened(data, kiosk)
