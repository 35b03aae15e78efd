"""Claims about the sealed stream: no nonce twice, no message lost, nothing on disk that opens."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import epochs
from edge.codec import decode
from edge.epochs import EPOCH_MESSAGES_MAX, EPOCH_US_MAX
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import HpkeKeypair, hpke_open, ratchet, unwrap_chain_key
from edge.outbox import PRIORITY_RAW, OutboxLimits
from edge.purposes import PRIVATE_INFO
from edge.seal import open_encrypt0, read_encrypt0, read_sign1
from edge.suites import AEADS
from tests.unit.edge.desk import DEVICE, DOWN, UP, CoreSide, Desk, Running
from tests.unit.edge.play import Play, Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def box(desk: Desk) -> Iterator[Running]:
    with desk.open() as running:
        yield running


def records(box: Running) -> list[tuple[int, int, dict[str, Any]]]:
    """The signed records that wait, as (epoch, seq, record)."""
    found = []
    for message in box.outbox.due(1_000):
        if message.payload[0] == 0x84:
            payload = decode(read_sign1(message.payload)[1])
            found.append((message.epoch, message.seq, payload))
    return found


def types(box: Running) -> list[tuple[int, int, str]]:
    return [(epoch, seq, record["type"]) for epoch, seq, record in records(box)]


def lost(box: Running, plaintext: bytes) -> int:
    """Seals within a transaction that then fails; returns the number it would have had."""
    numbers = []

    def failing() -> None:
        with box.store.transaction():
            numbers.append(box.stream.seal(plaintext, PRIORITY_RAW))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    return numbers[0]


# ---------------------------------------------------------------- epochs
def test_the_first_seal_begins_an_epoch_whose_start_is_durable_with_it(box: Running) -> None:
    assert box.stream.epoch == 0
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert box.stream.epoch == 1
    assert types(box) == [(1, 0, "epoch-start")]


@pytest.mark.parametrize("alg", AEADS)
def test_the_core_opens_what_was_sealed(alg: int, desk: Desk) -> None:
    desk.policy = desk.issue(1, alg)
    core = CoreSide(desk)
    with desk.open() as box:
        for number in range(3):
            box.stream.seal(b"batch %d" % number, PRIORITY_RAW)
        start, *batches = (message.payload for message in box.outbox.due(9))
        box.send(core)
    assert dict(core.verdicts) == {"new": 4}
    record = decode(read_sign1(start)[1])
    assert record["alg"] == alg
    chain_key = unwrap_chain_key(desk.hpke, record["wrap"], DEVICE, 1)
    keys = ratchet(chain_key, AEADS[alg])[1]
    opened = [open_encrypt0(batch, AEADS[alg], keys, UP.encode()) for batch in batches]
    assert opened == [b"batch 0", b"batch 1", b"batch 2"]
    assert [read_encrypt0(batch)[2] for batch in batches] == [1, 2, 3]


def test_a_start_names_the_policy_and_the_key_that_it_wraps_to(desk: Desk, box: Running) -> None:
    box.stream.begin()
    ((_, _, record),) = records(box)
    assert (record["policy"], record["hpke"]) == (1, desk.policy.hpke_id)


def test_a_policy_of_another_device_is_refused(desk: Desk, box: Running) -> None:
    ports = replace(box.stream._ports, policy=replace(desk.policy, device="box-2"))
    with pytest.raises(LocalError) as refusal:
        epochs.SealedStream(box.store, box.outbox, ports)
    assert refusal.value.code == "policy-device"


def test_a_policy_without_a_cipher_of_this_machine_is_refused(desk: Desk, box: Running) -> None:
    ports = replace(box.stream._ports, policy=replace(desk.policy, algs=(99,)))
    with pytest.raises(PeerError) as refusal:
        epochs.SealedStream(box.store, box.outbox, ports)
    assert refusal.value.code == "policy-algorithm"


def test_an_epoch_lasts_an_hour_of_use(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    desk.clock.advance(EPOCH_US_MAX - 1)
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 2
    desk.clock.advance(1)
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert types(box) == [(1, 0, "epoch-start"), (1, 3, "epoch-close"), (2, 0, "epoch-start")]


def test_a_wall_clock_that_jumps_ends_no_epoch(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    desk.clock.wall_us = 0
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 2
    desk.clock.wall_us = 10 * EPOCH_US_MAX
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 3


@pytest.mark.parametrize("monotonic_us", [-1, EPOCH_US_MAX])
def test_a_machine_that_was_put_back_to_before_begins_an_epoch(
    monotonic_us: int, desk: Desk, box: Running
) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    desk.clock.monotonic_us = monotonic_us
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert box.stream.epoch == 2


def test_another_boot_begins_an_epoch(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    desk.clock.boot_id = "01" * 8
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert box.stream.epoch == 2


def test_an_epoch_ends_before_its_key_has_sealed_as_much_as_it_may(box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    box.store.execute("UPDATE outbox_epochs SET count = ?", (EPOCH_MESSAGES_MAX - 1,))
    assert box.stream.seal(b"batch", PRIORITY_RAW) == EPOCH_MESSAGES_MAX == 1 << 20
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert (1, EPOCH_MESSAGES_MAX + 1, "epoch-close") in types(box)


def test_there_is_no_epoch_beyond_63_bits(box: Running) -> None:
    last = (1 << 63) - 2
    box.store.execute(
        "INSERT INTO outbox_epochs (epoch, head, closed) VALUES (?, ?, 1)", (last - 1, bytes(32))
    )
    assert box.stream.begin() == last
    with pytest.raises(LocalError) as refusal:
        box.stream.begin()
    assert refusal.value.code == "epoch"
    assert box.stream.epoch == 0


def test_a_start_closes_the_epoch_that_a_power_cut_left_open(desk: Desk) -> None:
    with desk.open() as box:
        box.stream.seal(b"batch", PRIORITY_RAW)
    with desk.open() as box:
        box.stream.seal(b"batch", PRIORITY_RAW)
        assert types(box) == [(1, 0, "epoch-start"), (1, 2, "epoch-close"), (2, 0, "epoch-start")]
        core = CoreSide(desk)
        box.send(core)
    assert core.streams[1].verdict == "verified"


def test_a_closed_epoch_is_evidence_of_every_batch(desk: Desk, box: Running) -> None:
    for number in range(4):
        box.stream.seal(b"batch %d" % number, PRIORITY_RAW)
    box.stream.state({"type": "consent", "subject": "driver-1"})
    box.stream.close()
    core = CoreSide(desk)
    box.send(core)
    assert core.streams[1].verdict == "verified"
    assert dict(core.verdicts) == {"new": 7}
    assert records(box)[1] == (
        1,
        5,
        {"type": "consent", "subject": "driver-1", "device": DEVICE, "epoch": 1, "seq": 5},
    )


def test_a_private_statement_is_read_by_the_core_alone(desk: Desk, box: Running) -> None:
    box.stream.state_privately("consent", {"subject": "driver-1"})
    core = CoreSide(desk)
    box.send(core)
    (_, _, record) = records(box)[1]
    assert set(record) == {"type", "sealed", "device", "epoch", "seq"}
    assert b"driver-1" not in box.outbox.due(9)[1].payload
    opened = hpke_open(desk.hpke, record["sealed"], PRIVATE_INFO)
    assert decode(opened) == {"subject": "driver-1"}
    assert dict(core.verdicts) == {"new": 2}


def test_closing_twice_or_before_a_start_says_nothing_twice(box: Running) -> None:
    box.stream.close()
    assert types(box) == []
    box.stream.seal(b"batch", PRIORITY_RAW)
    box.stream.close()
    box.stream.close()
    assert types(box) == [(1, 0, "epoch-start"), (1, 2, "epoch-close")]


def test_the_number_of_an_epoch_is_never_used_again_though_all_of_it_is_settled(
    desk: Desk,
) -> None:
    for expected in (1, 2, 3):
        with desk.open() as box:
            assert box.stream.begin() == expected
            box.stream.close()
            core = CoreSide(desk)
            box.send(core)
            box.outbox.settle(core.stored(expected), desk.verify_core, DOWN)
            assert box.outbox.empty


def test_an_outbox_without_room_for_evidence_keeps_no_epoch_half_begun(desk: Desk) -> None:
    with desk.open(OutboxLimits(bytes_max=10)) as box:
        with pytest.raises(DeviceFault) as fault:
            box.stream.seal(b"batch", PRIORITY_RAW)
        assert fault.value.code == "outbox-full"
        assert box.stream.epoch == 0
        assert box.outbox.empty
        assert box.store.rows("SELECT * FROM outbox_epochs") == []


def test_a_batch_that_its_cipher_cannot_take_leaves_the_stream_usable(desk: Desk) -> None:
    desk.policy = desk.issue(1, 30)
    with desk.open() as box:
        box.stream.seal(b"batch", PRIORITY_RAW)
        with pytest.raises(LocalError):
            box.stream.seal(bytes(70_000), PRIORITY_RAW)
        box.stream.seal(b"batch", PRIORITY_RAW)
        core = CoreSide(desk)
        box.send(core)
        assert not core.verdicts.keys() - {"new"}


# ---------------------------------------------------------------- policies
def test_a_new_policy_begins_an_epoch_with_its_cipher_and_its_key(
    desk: Desk, box: Running, tmp_path: Path
) -> None:
    rotated = HpkeKeypair.create(tmp_path / "rotated.pem")
    box.stream.seal(b"batch", PRIORITY_RAW)
    policy = desk.issue(2, 24, 3, hpke=rotated)
    assert box.stream.take_policy(desk.issued[2][1], desk.verify_core)
    box.stream.seal(b"batch", PRIORITY_RAW)
    box.stream.state_privately("consent", {"subject": "driver-1"})
    _, _, start = records(box)[2]
    assert (start["epoch"], start["policy"], start["alg"]) == (2, 2, 24)
    assert start["hpke"] == policy.hpke_id
    assert decode(hpke_open(rotated, records(box)[-1][2]["sealed"], PRIVATE_INFO))
    core = CoreSide(desk, rotated)
    box.send(core)
    assert dict(core.verdicts) == {"new": 6}
    assert core.streams[1].verdict == "verified"


def test_a_policy_that_stands_already_begins_nothing(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    assert not box.stream.take_policy(desk.issued[1][1], desk.verify_core)
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 2


def test_a_policy_that_is_refused_leaves_the_epoch_as_it_is(desk: Desk, box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    with pytest.raises(PeerError):
        box.stream.take_policy(desk.issued[1][1][:-1] + b"\0", desk.verify_core)
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 2


def test_a_policy_taken_in_a_transaction_that_fails_is_not_taken(desk: Desk, box: Running) -> None:
    desk.issue(2, 30)

    def failing() -> None:
        with box.store.transaction():
            assert box.stream.take_policy(desk.issued[2][1], desk.verify_core)
            box.stream.seal(b"lost", PRIORITY_RAW)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    box.stream.seal(b"batch", PRIORITY_RAW)
    assert records(box)[-1][2]["policy"] == 1
    assert box.stream.take_policy(desk.issued[2][1], desk.verify_core)


# ---------------------------------------------------------------- rolled back
def test_a_number_that_was_rolled_back_is_not_used_again_under_its_key(box: Running) -> None:
    box.stream.seal(b"batch", PRIORITY_RAW)
    assert lost(box, b"lost") == 2
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    assert box.stream.epoch == 2
    assert (1, 2, "epoch-close") in types(box)


def test_an_epoch_that_was_rolled_back_as_a_whole_begins_with_other_keys(
    desk: Desk, box: Running
) -> None:
    lost(box, b"lost")
    assert box.outbox.empty
    assert box.stream.seal(b"batch", PRIORITY_RAW) == 1
    core = CoreSide(desk)
    box.send(core)
    assert dict(core.verdicts) == {"new": 2}


ACTIONS = st.lists(
    st.sampled_from(
        ["seal", "seal", "state", "lose", "lose many", "lose begin", "catch", "close", "begin",
         "hour", "restart", "settle", "policy"]
    ),
    max_size=25,
)  # fmt: skip


@given(ACTIONS, st.none() | st.integers(6, 10), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_nonce_is_used_twice_and_the_core_takes_everything_whatever_is_rolled_back(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[str],
    messages_max: int | None,
    has_seed: bool,
) -> None:
    recorder = Recorder()
    limits = OutboxLimits(messages_max=messages_max) if messages_max else None
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        recorder.install(patch)
        desk = Desk(tmp_path_factory.mktemp("desk"))
        play = stack.enter_context(closing(Play(desk, limits, has_seed=has_seed)))
        for action in actions:
            play.act_or_make_room(action)
        play.settle()
        play.box.stream.close()
        play.settle()
        assert play.box.outbox.empty
    assert len(recorder.used) == len(set(recorder.used))
    assert not play.core.verdicts.keys() - {"new", "held", "duplicate"}
    # A close may itself have made room; then its epoch stays open, and is never a mismatch.
    fitting = {"verified", "open"} if limits else {"verified"}
    assert {stream.verdict for stream in play.core.streams.values()} <= fitting


# ---------------------------------------------------------------- on the disk
MARKER = b"driver Wang drove 97 km/h past the school"


def test_nothing_on_the_disk_opens_or_tells_what_was_sealed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    recorder.install(monkeypatch)
    drawn: list[bytes] = []
    throw = desk.dice.token

    def noted(count: int) -> bytes:
        drawn.append(throw(count))
        return drawn[-1]

    monkeypatch.setattr(desk.dice, "token", noted)
    with desk.open() as box:
        for _ in range(5):
            box.stream.seal(MARKER, PRIORITY_RAW)
        lost(box, MARKER)
        box.stream.seal(MARKER, PRIORITY_RAW)
        files = [path.read_bytes() for path in desk.folder.iterdir()]
    assert len(drawn) == 2
    secrets = [MARKER, *recorder.keys, *drawn, *(ratchet(each, AEADS[3])[0] for each in drawn)]
    assert len(secrets) == 1 + 4 + 2 + 2
    for secret in secrets:
        assert not any(secret in content for content in files)


# ---------------------------------------------------------------- kill -9
KILLS = (1, 4, 9, 2, 30, 14, 60, 7, 22)


def words_until_killed(folder: Path, run: int, lines: int) -> list[list[str]]:
    """Starts a device, kills it after some lines of what it says, returns all it had said."""
    command = [sys.executable, "-m", "tests.unit.edge.sealing_child", str(folder), f"seed {run}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(lines)]
        child.kill()
        said += child.stdout.readlines()
    assert said[0] == "began 0 0\n"
    return [line.split() for line in said if line.endswith("\n")]


class Witness:
    """What was seen of a device over all its lives."""

    def __init__(self) -> None:
        self.payloads: dict[tuple[int, int], str] = {}
        self.kept: set[tuple[int, int]] = set()
        self.stored: dict[int, int] = {}

    def see(self, place: tuple[int, int], payload: str) -> None:
        assert self.payloads.setdefault(place, payload) == payload, place

    def hear(self, words: list[str]) -> None:
        verb, place = words[0], (int(words[1]), int(words[2]))
        if verb == "kept":
            assert place not in self.kept
            self.kept.add(place)
        elif verb == "sent":
            self.see(place, words[3])
        elif verb == "stored":
            self.stored[place[0]] = max(place[1], self.stored.get(place[0], -1))

    def check(self, box: Running) -> None:
        waiting = {(each.epoch, each.seq): each.payload.hex() for each in box.outbox.due(100_000)}
        for place, payload in waiting.items():
            self.see(place, payload)
        for epoch, seq in self.kept:
            assert (epoch, seq) in waiting or self.stored.get(epoch, -1) >= seq


def test_a_device_killed_again_and_again_loses_and_repeats_nothing(tmp_path: Path) -> None:
    desk, witness = Desk(tmp_path), Witness()
    for run, lines in enumerate(KILLS):
        for words in words_until_killed(tmp_path, run, lines):
            witness.hear(words)
        with desk.open() as box:
            witness.check(box)
    core = CoreSide(desk)
    with desk.open() as box:
        box.stream.begin()
        witness.check(box)
    for place in sorted(witness.payloads):
        core.hear(bytes.fromhex(witness.payloads[place]))
    last = max(core.streams)
    assert len(witness.kept) > 20
    assert not core.verdicts.keys() - {"new"}
    assert {core.streams[epoch].verdict for epoch in core.streams if epoch < last} == {"verified"}
