"""The simulated PIN pad: what it signs, what it counts, and that no PIN ever leaves it."""

from __future__ import annotations

import logging
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.leases import make_pin_verifier
from edge.codec import encode
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import hpke_seal, open_evidence, verifier
from edge.ports import Command, Completion
from edge.purposes import PIN_ANSWER_TOPIC, PIN_INFO
from hardware.drivers.clock import SystemClock
from hardware.sim.cards import pad_asks, type_pin
from hardware.sim.pin_pad import TRIES_MAX, PinPad, create_pad

if TYPE_CHECKING:
    from pathlib import Path

PIN, WRONG, LEASE = "314159", "271828", "ab" * 16
RECORD = {**make_pin_verifier(PIN, b"salt of sixteen "), "customer": "c1", "lease": LEASE}


class Counter:
    """A pad, whoever sends it commands, and the finger of a customer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys = create_pad(folder, "pad-1")
        self.pad = PinPad(folder, SystemClock())

    def sealed(self, **changes: Any) -> bytes:
        return hpke_seal(self.keys.hpke_public, encode({**RECORD, **changes}), PIN_INFO)

    def verify(self, pin: str | None, block: object = None, **changes: Any) -> Completion:
        """Asks for a PIN; a finger types `pin` as soon as the lamp is on, or nobody does."""
        parameters = {"verifier": block or self.sealed(), "lease": LEASE, "amount_fen": 500}
        command = Command("r", "pin_pad", "verify", {**parameters, **changes}, 5_000 if pin else 60)
        done = threading.Event()

        def finger() -> None:
            while not done.wait(0.002):
                if pin is not None and pad_asks(self.folder):
                    type_pin(self.folder, pin)
                    return

        hand = threading.Thread(target=finger)
        hand.start()
        completion = self.pad.execute(command)
        done.set()
        hand.join()
        return completion

    def said(self, completion: Completion) -> dict[Any, Any]:
        answer = completion.result["answer"]
        assert isinstance(answer, bytes)
        return open_evidence(answer, verifier(self.keys.public_key), PIN_ANSWER_TOPIC, "pad-1")


@pytest.fixture
def counter(tmp_path: Path) -> Counter:
    return Counter(tmp_path / "pad")


def test_the_right_pin_gets_a_signed_yes_for_this_lease_and_amount(counter: Counter) -> None:
    block = counter.sealed()
    completion = counter.verify(PIN, block)
    assert (completion.status, completion.result["ok"]) == ("ok", True)
    assert counter.said(completion) == {
        "type": "pin-answer", "ok": True, "lease": LEASE, "pad": "pad-1", "counter": 1,
        "amount_fen": 500, "verifier": sha256(block).digest(),
    }  # fmt: skip


def test_a_wrong_pin_gets_a_signed_no_and_a_try_less(counter: Counter) -> None:
    completion = counter.verify(WRONG)
    assert (completion.status, completion.code) == ("refused", "wrong-pin")
    assert completion.result["tries_left"] == TRIES_MAX - 1
    assert counter.said(completion)["ok"] is False


def test_a_yes_cannot_be_made_of_a_no(counter: Counter) -> None:
    answer = counter.verify(WRONG).result["answer"]
    assert isinstance(answer, bytes)
    with pytest.raises(PeerError):
        open_evidence(
            answer.replace(b"\x62ok\xf4", b"\x62ok\xf5"),
            verifier(counter.keys.public_key), PIN_ANSWER_TOPIC, "pad-1",
        )  # fmt: skip


def test_the_right_pin_gives_all_tries_back(counter: Counter) -> None:
    counter.verify(WRONG)
    counter.verify(PIN)
    assert counter.verify(WRONG).result["tries_left"] == TRIES_MAX - 1


def test_five_wrong_pins_block_and_the_right_one_no_longer_helps(counter: Counter) -> None:
    codes = [counter.verify(WRONG).code for _ in range(TRIES_MAX)]
    assert codes == ["wrong-pin"] * (TRIES_MAX - 1) + ["pin-blocked"]
    completion = counter.verify(PIN)
    assert completion.code == "pin-blocked"
    assert counter.said(completion)["ok"] is False


def test_a_block_survives_a_power_cut_and_another_lease(counter: Counter) -> None:
    for _ in range(TRIES_MAX):
        counter.verify(WRONG)
    counter.pad = PinPad(counter.folder, SystemClock())
    other = "cd" * 16
    assert counter.verify(PIN, counter.sealed(lease=other), lease=other).code == "pin-blocked"


def test_a_new_pin_of_the_bank_lifts_the_block(counter: Counter) -> None:
    for _ in range(TRIES_MAX):
        counter.verify(WRONG)
    fresh = make_pin_verifier("161803", b"another salt 16B")
    assert counter.verify("161803", counter.sealed(**fresh)).status == "ok"


def test_a_try_is_on_disk_before_it_is_compared(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull_the_plug(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hardware.sim.pin_pad.PinBlock.matches", pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            counter.verify(PIN)
    counter.pad = PinPad(counter.folder, SystemClock())
    assert counter.verify(WRONG).result["tries_left"] == TRIES_MAX - 2


def test_answers_are_numbered_without_repeats_over_restarts(counter: Counter) -> None:
    numbers = [counter.said(counter.verify(PIN))["counter"]]
    counter.pad = PinPad(counter.folder, SystemClock())
    numbers.append(counter.said(counter.verify(WRONG))["counter"])
    assert numbers == [1, 2]


WRONG_BLOCKS = {
    "for another lease": {"lease": "00" * 16},
    "of another algorithm": {"alg": "md5"},
    "asking for an hour of work": {"iterations": 1_000_000},
    "asking for all memory": {"memory_kib": 1 << 30},
    "with a flag for a number": {"lanes": True},
    "without a salt": {"salt": b""},
    "with a text for a hash": {"hash": "x" * 32},
    "with less memory than its lanes need": {"lanes": 4, "memory_kib": 8},
}


@pytest.mark.parametrize("changes", WRONG_BLOCKS.values(), ids=WRONG_BLOCKS)
def test_a_wrong_block_is_refused_and_costs_no_try(
    counter: Counter, changes: dict[str, Any]
) -> None:
    completion = counter.verify(PIN, counter.sealed(**changes))
    assert (completion.status, completion.code) == ("refused", "wrong-block")
    assert "answer" not in completion.result
    assert counter.verify(WRONG).result["tries_left"] == TRIES_MAX - 1


def test_a_block_for_another_pad_or_a_damaged_one_is_refused(
    counter: Counter, tmp_path: Path
) -> None:
    other = create_pad(tmp_path / "other", "pad-2")
    foreign = hpke_seal(other.hpke_public, encode(RECORD), PIN_INFO)
    damaged = bytearray(counter.sealed())
    damaged[-1] ^= 1
    for block in (foreign, bytes(damaged), b"\x00", "text", encode([1])):
        assert counter.verify(PIN, block).code == "wrong-block"


def test_the_red_key_cancels_without_a_try(counter: Counter) -> None:
    completion = counter.verify("\n")
    assert (completion.status, completion.code) == ("cancelled", "pin-cancelled")
    assert counter.verify(WRONG).result["tries_left"] == TRIES_MAX - 1


def test_what_was_typed_before_the_pad_asks_is_dropped(counter: Counter) -> None:
    type_pin(counter.folder, PIN)
    assert counter.verify(None).status == "timeout"
    assert not (counter.folder / "typed").exists()


def test_no_pin_is_logged_answered_or_kept(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        completions = [counter.verify(PIN), counter.verify(WRONG)]
    kept = b"".join(path.read_bytes() for path in counter.folder.iterdir())
    for pin in (PIN, WRONG):
        assert pin not in caplog.text + str(completions)
        assert pin.encode() not in kept


def test_a_pad_that_lost_its_counts_does_not_start_again_at_zero(counter: Counter) -> None:
    (counter.folder / "state.json").write_text("{")
    assert (counter.verify(PIN).status, counter.verify(PIN).code) == ("fault", "pad-state")


def test_making_a_pad_twice_gives_the_same_keys_and_another_id_is_refused(tmp_path: Path) -> None:
    first = create_pad(tmp_path / "p", "pad-1")
    assert create_pad(tmp_path / "p", "pad-1") == first
    with pytest.raises(LocalError):
        create_pad(tmp_path / "p", "pad-2")


def test_a_folder_without_a_pad_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault):
        PinPad(tmp_path, SystemClock())


def test_the_keys_of_a_pad_are_readable_by_nobody_else(counter: Counter) -> None:
    counter.verify(PIN)
    secrets = [path for path in counter.folder.iterdir() if path.suffix in {".pem", ".json"}]
    assert len(secrets) == 3
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}


def test_parameters_that_are_none_are_refused(counter: Counter) -> None:
    for changes in ({"lease": 5}, {"amount_fen": "5"}, {"amount_fen": -1}):
        assert counter.verify(None, **changes).code == "parameter"
