"""Claims about one contact: whatever is cut or forged, nothing is lost, doubled or believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.agent import contact as contact_module
from backend_sync.agent.link import Unreachable
from backend_sync.core.downlink import Item, publish
from backend_sync.core.registry import add_device
from backend_sync.messages import (
    FRAME_BYTES_MAX,
    UNREADABLE,
    Answer,
    Position,
    downlink_path,
    journal_path,
    open_request,
    sign_answer,
)
from edge.codec import decode, deflate, encode, inflate
from edge.errors import DeviceFault
from edge.journal import MIGRATIONS, chain, genesis
from edge.keys import FileIdentity, verifier
from edge.seal import read_sign1, sign1
from edge.store import open_store
from tests.unit.backend_sync.agent.village import (
    DEVICE,
    START_US,
    Core,
    Kiosk,
    PowerCutError,
    Wire,
    copy_disk,
    make_kiosk,
    restore_disk,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.store import Store

UP, DOWN = journal_path(DEVICE), downlink_path(DEVICE)


# ------------------------------------------------------------------ the good day
def test_entries_go_up_and_pages_come_down(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    outcome = kiosk.meet(wire)
    assert (outcome.good, outcome.sent, outcome.more) == (True, 3, False)
    assert core.entries() == kiosk.chain()
    assert kiosk.known() == core.scopes()
    noted = [kiosk.noted(name) for name in ("uplink", "halt_code", "mark_seq")]
    assert noted == ["ready", "", 3]
    assert kiosk.noted("contact_us") > START_US


def test_results_of_entries_come_back(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(2)
    assert kiosk.meet(wire).next_contact_s == 1, "the core still posts: call again soon"
    core.post_all()
    kiosk.meet(wire)
    assert len(kiosk.known()["results"]) == 2


def test_a_kiosk_that_was_never_started_hears_the_core_all_the_same(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    outcome = kiosk.meet(wire)
    assert outcome.good
    assert not kiosk.journal.exists()
    assert kiosk.known() == core.scopes()
    assert (kiosk.noted("uplink"), kiosk.noted("halt_code")) == ("waiting", "no-journal")


def test_the_journal_is_only_read(kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(5)
    before = kiosk.journal.read_bytes()
    kiosk.meet(wire)
    assert kiosk.journal.read_bytes() == before


def test_the_contact_goes_on_where_the_last_ended(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    with kiosk.open_mirror() as store:
        contact = kiosk.contact(wire, store)
        kiosk.write(2)
        assert contact.run(kiosk.journal).sent == 2
        assert not contact.has_news(kiosk.journal)
        kiosk.write(1)
        assert contact.has_news(kiosk.journal)
        wire.carried.clear()
        assert contact.run(kiosk.journal).sent == 1
        assert [path for path, _ in wire.carried] == [UP, DOWN]
        wire.carried.clear()
        contact.run(kiosk.journal)
        assert [path for path, _ in wire.carried] == [DOWN]
    assert core.entries() == kiosk.chain()


def test_a_thrown_away_mirror_is_rebuilt_and_nothing_is_counted_twice(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(4)
    kiosk.meet(wire)
    for leftover in kiosk.folder.glob("mirror.db*"):
        leftover.unlink()
    assert kiosk.meet(wire).good
    assert core.entries() == kiosk.chain()
    assert kiosk.known() == core.scopes()
    assert kiosk.noted("mark_seq") == 4


def test_tombstones_take_back(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    for value in ({"x": 1}, None):
        with core.connection.transaction():
            publish(core.connection, [Item(DEVICE, "hotlist", "card", value)])
        kiosk.meet(wire)
        assert kiosk.known()["hotlist"] == ({"card": value} if value else {})


def begin_epoch(kiosk: Kiosk, epoch: int) -> None:
    """Begins the journal anew, as a replaced disk does, with one entry."""
    with kiosk.open_journal() as store:
        entry = encode({"device": DEVICE, "epoch": epoch, "seq": 1})
        link = chain(genesis(DEVICE, epoch), entry)
        store.execute("INSERT INTO journal VALUES (?, 1, ?, ?)", (epoch, entry, link))


def test_a_new_epoch_follows_when_the_old_one_is_up(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    begin_epoch(kiosk, 2)
    assert kiosk.meet(wire).good
    begin_epoch(kiosk, 3)
    assert kiosk.meet(wire).good
    held = core.connection.execute("SELECT epoch, seq FROM journal_heads ORDER BY epoch")
    assert held.fetchall() == [(1, 3), (2, 1), (3, 1)]


def test_a_journal_that_fell_back_an_epoch_is_an_old_copy(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kept = copy_disk(kiosk, "journal.db*")
    begin_epoch(kiosk, 2)
    kiosk.meet(wire)
    restore_disk(kiosk, kept)
    assert kiosk.meet(wire).halt_code == "rollback"
    assert len(core.entries()) == 4


def test_a_halted_or_unreadable_journal_is_no_news(kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(1)
    with kiosk.open_mirror() as store:
        contact = kiosk.contact(wire, store)
        assert contact.has_news(kiosk.journal)
        contact.run(kiosk.journal)
        kept = kiosk.journal.rename(kiosk.folder / "elsewhere.db")
        assert not contact.has_news(kiosk.journal)
        kiosk.journal.write_bytes(b"no database" * 1_000)
        assert not contact.has_news(kiosk.journal)
        kiosk.journal.unlink()
        assert contact.run(kiosk.journal).halt_code == "rollback"
        kept.rename(kiosk.journal)
        assert not contact.has_news(kiosk.journal)


def test_a_core_whose_pages_never_end_is_left_for_the_next_contact(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    def endless(path: str, answer: bytes) -> bytes:
        if path != DOWN:
            return answer
        record = decode(read_sign1(answer)[1])
        inner = decode(inflate(record["z"], 1_000_000))
        record["z"] = deflate(encode({**inner, "more": True}))
        return sign1(encode(record), core.signer.sign, "core", path.encode())

    wire.after = endless
    outcome = kiosk.meet(wire)
    assert (outcome.good, outcome.more) == (True, True)
    assert len(wire.carried) == contact_module.ROUNDS_MAX


# ------------------------------------------------------------------ sizes
def test_entries_that_hardly_shrink_are_sent_in_frames_that_fit(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    noise = FileIdentity.create(kiosk.folder / "noise.pem", "noise")
    kiosk.write(40, lambda n: "".join(noise.sign(b"%d %d" % (n, i)).hex() for i in range(48)))
    outcome = kiosk.meet(wire)
    frames = [body for path, body in wire.carried if path == UP]
    assert (outcome.good, outcome.sent) == (True, 40)
    assert len(frames) > 1
    assert max(map(len, frames)) <= FRAME_BYTES_MAX
    assert core.entries() == kiosk.chain()


def test_a_long_queue_does_not_hold_the_downlink_back(
    core: Core, kiosk: Kiosk, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_module, "FRAMES_MAX", 2)
    monkeypatch.setattr(contact_module, "FRAME_PLAIN_BYTES", 600)
    kiosk.write(9)
    first = kiosk.meet(wire)
    assert (first.good, first.more, first.pages) == (True, True, 1)
    for _ in range(9):
        outcome = kiosk.meet(wire)
    assert not outcome.more
    assert core.entries() == kiosk.chain()


# ------------------------------------------------------------------ the plug
def cut_store(store: Store, step: int) -> None:
    """Pulls the plug at the `step`-th statement that the mirror is given."""
    plain, seen = store.execute, iter(range(step + 1))

    def execute(*arguments: Any) -> int:
        if next(seen, None) == step:
            raise PowerCutError
        return plain(*arguments)

    store.execute = execute  # type: ignore[method-assign, assignment]


def cut_wire(wire: Wire, step: int) -> None:
    """Pulls the plug at the `step`-th end of a passage over the wire."""
    seen = iter(range(step + 1))

    def pass_on(_: str, body: bytes) -> bytes:
        if next(seen, None) == step:
            raise PowerCutError
        return body

    wire.before = wire.after = pass_on


@pytest.mark.parametrize("place", ["wire", "disk"])
def test_power_may_fail_at_any_step(core: Core, kiosk: Kiosk, place: str) -> None:
    step, cut = 0, True
    while cut:
        kiosk.write(2)
        wire = Wire(core)
        with kiosk.open_mirror() as store:
            if place == "wire":
                cut_wire(wire, step)
            else:
                cut_store(store, step)
            try:
                kiosk.contact(wire, store).run(kiosk.journal)
                cut = False
            except PowerCutError:
                core.post_all()
        assert kiosk.meet(Wire(core)).good
        core.post_all()
        kiosk.meet(Wire(core))
        assert core.entries() == kiosk.chain()
        assert kiosk.known() == core.scopes()
        assert len(kiosk.known()["results"]) == len(kiosk.chain())
        step += 1
    assert step > (4 if place == "wire" else 12), "the plug was pulled at too few steps"


def test_the_wire_may_lose_anything_on_the_way_up_or_down(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    def lose(*_: object) -> bytes:
        raise Unreachable("gone")

    for round_, place in enumerate(["before", "after"] * 3):
        kiosk.write(1 + round_)
        setattr(wire, place, lose)
        outcome = kiosk.meet(wire)
        assert isinstance(outcome.uplink_error, Unreachable)
        assert isinstance(outcome.downlink_error, Unreachable)
        setattr(wire, place, lambda _, body: body)
    assert kiosk.meet(wire).good
    assert core.entries() == kiosk.chain()


# ------------------------------------------------------------------ what is not believed
def forged(core: Core, kiosk: Kiosk) -> dict[str, Callable[[str, bytes], bytes]]:
    other = FileIdentity.create(kiosk.folder / "other.pem", "core")
    old: dict[str, bytes] = {}

    def by_another(path: str, answer: bytes) -> bytes:
        return sign1(read_sign1(answer)[1], other.sign, "core", path.encode())

    def replayed(path: str, answer: bytes) -> bytes:
        return old.setdefault(path, answer)

    def shifted(path: str, answer: bytes) -> bytes:
        return sign1(read_sign1(answer)[1], core.signer.sign, "core", b"/" + path.encode())

    return {
        "a portal's page": lambda *_: b"<html>Please log in to the village network</html>",
        "nothing": lambda *_: b"",
        "half of the answer": lambda _, answer: answer[: len(answer) // 2],
        "a changed byte": lambda _, answer: answer[:-1] + bytes([answer[-1] ^ 1]),
        "signed with another key": by_another,
        "an old answer": replayed,
        "signed for another path": shifted,
        "far too much": lambda *_: bytes(9_000_000),
    }


FORGERIES = (
    "a portal's page",
    "nothing",
    "half of the answer",
    "a changed byte",
    "signed with another key",
    "signed for another path",
    "far too much",
)


def test_every_forgery_is_tried(core: Core, kiosk: Kiosk) -> None:
    assert set(forged(core, kiosk)) == {*FORGERIES, "an old answer"}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nothing_is_applied_of_an_answer_that_is(
    forgery: str, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(2)
    wire.after = forged(core, kiosk)[forgery]
    outcome = kiosk.meet(wire)
    assert outcome.uplink_error is not None
    assert outcome.downlink_error is not None
    assert kiosk.known() == {}
    assert kiosk.noted("contact_us") is None
    assert (kiosk.noted("uplink"), kiosk.noted("mark_seq")) == ("waiting", None)
    wire.after = lambda _, answer: answer
    assert kiosk.meet(wire).good
    assert core.entries() == kiosk.chain()


def test_an_old_pages_answer_cannot_be_played_again(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    wire.after = forged(core, kiosk)["an old answer"]
    assert kiosk.meet(wire).good
    before = kiosk.known()
    with core.connection.transaction():
        publish(core.connection, [Item(DEVICE, "hotlist", "card", 1)])
    outcome = kiosk.meet(wire)
    assert outcome.downlink_error is not None
    assert outcome.downlink_error.code == "pages-nonce"
    assert kiosk.known() == before


def test_a_page_that_does_not_add_up_is_fetched_anew(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    with core.connection.transaction():
        publish(core.connection, [Item(DEVICE, "hotlist", "card", 1)])
    kiosk.meet(wire)
    with kiosk.open_mirror() as store:
        store.execute("UPDATE mirror_items SET value = x'02' WHERE scope = 'hotlist'")
    with core.connection.transaction():
        publish(core.connection, [Item(DEVICE, "hotlist", "other", 2)])
    assert kiosk.meet(wire).good
    assert kiosk.known() == core.scopes()


# ------------------------------------------------------------------ when uploads must end
@pytest.mark.parametrize("copied", ["journal.db*", "*.db*"])
def test_an_old_copy_of_the_journal_is_noticed_before_it_is_written_to(
    copied: str, core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kept = copy_disk(kiosk, copied)
    kiosk.write(2)
    kiosk.meet(wire)
    restore_disk(kiosk, kept)
    outcome = kiosk.meet(wire)
    assert (outcome.halt_code, outcome.downlink_error) == ("rollback", None)
    assert (kiosk.noted("uplink"), kiosk.noted("halt_code")) == ("halted", "rollback")
    assert len(core.entries()) == 5


def test_a_fork_ends_uploads_and_downlink_goes_on(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    kept = copy_disk(kiosk, "journal.db*")
    kiosk.write(2)
    kiosk.meet(wire)
    restore_disk(kiosk, kept)
    kiosk.write(4, lambda n: f"another {n}")
    outcome = kiosk.meet(wire)
    assert (outcome.halt_code, outcome.downlink_error) == ("fork", None)
    with core.connection.transaction():
        publish(core.connection, [Item(DEVICE, "hotlist", "card", 1)])
    wire.carried.clear()
    kiosk.write(1)
    assert kiosk.meet(wire).halt_code == "fork"
    assert {path for path, _ in wire.carried} == {DOWN}
    assert kiosk.known() == core.scopes()
    assert len(core.entries()) == 5


def test_a_journal_that_vanished_is_no_new_kiosk(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.journal.unlink()
    assert kiosk.meet(wire).halt_code == "rollback"
    assert len(core.entries()) == 3


def test_a_journal_whose_chain_is_broken_is_not_sent(core: Core, kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(3)
    with kiosk.open_journal() as store:
        store.execute("DROP TRIGGER journal_unchanged")
        store.execute("UPDATE journal SET entry = x'00' WHERE seq = 2")
    outcome = kiosk.meet(wire)
    assert (outcome.halt_code, outcome.downlink_error) == ("journal-damaged", None)
    assert core.entries() == []


def test_a_journal_that_cannot_be_read_releases_no_lease(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.journal.write_bytes(b"this is no database, it was one once" * 100)
    outcome = kiosk.meet(wire)
    assert isinstance(outcome.uplink_error, DeviceFault)
    assert outcome.downlink_error is None
    path, body = wire.carried[-1]
    asked = open_request(body, verifier(kiosk.identity.public_bytes), DEVICE)
    assert path == DOWN
    assert asked.journal.seq > 0
    assert kiosk.known() == core.scopes()


def test_a_device_that_the_bank_does_not_know_yet_asks_again(core: Core, tmp_path: Path) -> None:
    kiosk = make_kiosk(core, tmp_path / "new", registered=False)
    kiosk.write(2)
    wire = Wire(core)
    outcome = kiosk.meet(wire)
    assert outcome.uplink_error is not None
    assert outcome.uplink_error.code == "unknown-device"
    assert (outcome.halt_code, kiosk.noted("uplink")) == ("", "waiting")
    add_device(core.connection, DEVICE, "kiosk", kiosk.identity.public_bytes, "", START_US)
    assert kiosk.meet(wire).good
    assert core.entries() == kiosk.chain()


def test_a_core_that_asks_for_the_same_place_for_ever_is_left(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(3)
    kiosk.meet(wire)
    kiosk.write(1)
    at = Position(1, 3, kiosk.chain()[2][1])
    gap = sign_answer(core.signer, UP, DEVICE, Answer("gap", at))
    wire.after = lambda path, answer: gap if path == UP else answer
    outcome = kiosk.meet(wire)
    assert outcome.uplink_error is not None
    assert outcome.uplink_error.code == "sync-stuck"
    assert outcome.downlink_error is None
    assert kiosk.noted("mark_seq") == 3


def test_a_core_that_lost_its_last_entries_gets_them_again(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(4)
    kiosk.meet(wire)
    core.post_all()
    core.connection.execute("SET session_replication_role = replica")  # an older backup is back
    core.connection.execute("DELETE FROM journal_entries WHERE seq > 2")
    core.connection.execute("UPDATE journal_heads SET seq = 2, head = %s", [kiosk.chain()[1][1]])
    core.connection.execute("SET session_replication_role = DEFAULT")
    assert kiosk.meet(wire).good
    assert core.entries() == kiosk.chain()


def test_what_is_signed_is_what_the_core_reads(kiosk: Kiosk, wire: Wire) -> None:
    kiosk.write(1)
    kiosk.meet(wire)
    record = decode(read_sign1(wire.carried[0][1])[1])
    assert encode(record)
    assert (record["device"], record["first"], record["last"]) == (DEVICE, 1, 1)


def test_a_plain_journal_in_the_place_of_the_kiosks_is_not_believed(
    core: Core, kiosk: Kiosk, wire: Wire
) -> None:
    kiosk.write(2)
    kiosk.meet(wire)
    for path in kiosk.folder.glob("journal.db*"):
        path.unlink()
    open_store(kiosk.journal, [MIGRATIONS]).close()
    with kiosk.open_mirror() as store:
        assert not kiosk.contact(wire, store).has_news(kiosk.journal)
        outcome = kiosk.contact(wire, store).run(kiosk.journal)
    errors = [error and error.code for error in (outcome.uplink_error, outcome.downlink_error)]
    assert errors == ["store-plain", None]
    request = open_request(wire.carried[-1][1], verifier(kiosk.identity.public_bytes), DEVICE)
    assert request.journal == UNREADABLE
    assert len(core.entries()) == 2
