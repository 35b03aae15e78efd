"""What is claimed of the thread that owns the store."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.config import load_config, write_config
from edge.errors import DeviceFault, LastmileError, LocalError
from edge.evidence import open_bundle
from edge.journal import MIGRATIONS, Journal, JournalReader
from edge.keys import FileIdentity, verifier, write_private
from edge.purposes import JOURNAL_KEY
from edge.store import open_reader, open_store
from hardware.drivers.clock import SystemClock
from hardware.drivers.counter_file import FileCounter
from hardware.sim.cards import place_card, type_pin
from kiosk_app.__main__ import build_counter, main
from kiosk_app.config import KioskConfig
from kiosk_app.desk import Desk, Hands
from kiosk_app.worker import QUEUE_MAX, OpenDesk, Worker
from tests.unit.kiosk_app.village import KIOSK, PAD, build_village, document, village_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kiosk_app.desk import Intent
    from kiosk_app.view import Views
    from tests.unit.kiosk_app.village import Village

WAIT_S = 10.0


class Screens:
    """What both screens would show; waits for views without sleeping."""

    def __init__(self, worker: Worker) -> None:
        self.views: queue.Queue[Views] = queue.Queue()
        worker.subscribe(self.views.put)

    def until(self, true: Callable[[Views], bool]) -> Views:
        while True:
            views = self.views.get(timeout=WAIT_S)
            if true(views):
                return views


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Village]:
    """A kiosk whose files lie where kiosk.toml says, with the machine's own clock."""
    village = build_village(tmp_path, quick=False)
    bank = village.bank
    bank.clock.wall_us = SystemClock().now().wall_us
    bank.lend(village.villager.pin)
    bank.publish({name: document(name) for name in ("balance", "cash_withdrawal")})
    write_private(tmp_path / "lookup.key", bank.lookup_key.hex().encode())
    for name, identity in (("signing.pub", bank.core), ("catalogue.pub", bank.signer)):
        (tmp_path / name).write_text(identity.public_bytes.hex())
    FileCounter(tmp_path / "counter").create()
    write_config(tmp_path / "kiosk.toml", {
        "kiosk": {"device": KIOSK, "village": "新立村", "data_dir": "data", "identity": "kiosk.pem",
                  "mirror": "mirror.db", "lookup_key": "lookup.key"},
        "core": {"signing_public": "signing.pub", "catalogue_public": "catalogue.pub"},
        "vault": {"kind": "file", "path": "vault.key"},
        "counter": {"kind": "file", "path": "counter"},
        "devices": {"sim_dir": "sim", "pad": PAD, "pad_dir": "pad"},
    })  # fmt: skip
    yield village
    bank.store.close()


def configured(village: Village) -> KioskConfig:
    return load_config(village.folder / "kiosk.toml", KioskConfig)


def test_a_withdrawal_through_the_whole_program(installed: Village) -> None:
    worker = build_counter(configured(installed), SystemClock())
    screens = Screens(worker)
    worker.start()
    try:
        screens.until(lambda views: len(views.operator.choices) == 2)
        place_card(installed.folder / "sim", installed.villager.card)
        worker.submit({"type": "choose", "side": "operator", "choice": "cash_withdrawal"})
        screens.until(lambda views: views.customer.step == "amount")
        worker.submit({"type": "enter", "side": "customer", "name": "amount_fen", "value": 50_000})
        screens.until(lambda views: views.customer.step == "pin")
        typed = threading.Event()

        def finger() -> None:
            while not typed.wait(0.05):
                type_pin(installed.folder / "pad", installed.villager.pin)

        hand = threading.Thread(target=finger)
        hand.start()
        screens.until(lambda views: views.customer.step == "confirm")
        typed.set()
        hand.join()
        worker.submit({"type": "press", "side": "customer", "button": "confirm"})
        worker.submit({"type": "press", "side": "operator", "button": "confirm"})
        done = screens.until(lambda views: views.customer.step == "done")
        assert done.status.unsent == 1
        assert "￥500.00" in str(done.receipt)
        assert len(installed.slips()) == 1
    finally:
        worker.stop()
    worker.stop()


def test_a_stopped_worker_has_freed_the_store_and_starts_anew(installed: Village) -> None:
    for _ in range(2):
        worker = build_counter(configured(installed), SystemClock())
        screens = Screens(worker)
        worker.start()
        screens.until(lambda views: len(views.operator.choices) == 2)
        worker.stop()
        assert worker.failure is None


def test_a_second_program_on_the_same_store_is_refused_with_a_sentence(installed: Village) -> None:
    first = build_counter(configured(installed), SystemClock())
    first.start()
    second = build_counter(configured(installed), SystemClock())
    try:
        with pytest.raises(LastmileError) as refused:
            second.start()
        assert refused.value.code == "store-locked"
    finally:
        first.stop()
        second.stop()


def test_stopping_ends_a_device_that_waits_for_people(installed: Village) -> None:
    worker = build_counter(configured(installed), SystemClock())
    screens = Screens(worker)
    worker.start()
    screens.until(lambda views: len(views.operator.choices) == 2)
    worker.submit({"type": "choose", "side": "operator", "choice": "balance"})
    screens.until(lambda views: views.customer.step == "read_card")
    worker.stop()
    assert worker.failure is None


def test_views_are_told_only_when_they_differ(installed: Village) -> None:
    worker = build_counter(configured(installed), SystemClock())
    seen: list[Views] = []
    worker.subscribe(seen.append)
    worker.start()
    for _ in range(50):
        worker.submit({"type": "dance"})
    worker.stop()
    assert all(before != after for before, after in itertools.pairwise(seen))


def test_a_hammered_screen_is_dropped_and_counted() -> None:
    worker = Worker(lambda _: pytest.fail("nothing opens"), {})
    for _ in range(QUEUE_MAX + 7):
        worker.submit({"type": "dance"})
    assert worker.dropped == 7


def test_a_session_that_cannot_go_on_is_wiped_with_a_sentence_and_the_counter_stands(
    village: Village,
) -> None:
    def open_desk(hands: Hands) -> OpenDesk:
        return OpenDesk(Desk(village.desk._parts, hands), lambda: None)

    # The ID reader was configured, but nothing of the kind is there to take orders.
    worker = Worker(open_desk, {})
    screens = Screens(worker)
    worker.start()
    worker.submit({"type": "choose", "side": "operator", "choice": "balance"})
    views = screens.until(lambda now: "业务文件有误" in now.operator.notice)
    assert not views.session_open
    assert len(views.operator.choices) == 2
    worker.stop()
    assert worker.failure is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_ends_the_worker_loudly_and_closes_the_store(village: Village) -> None:
    class Broken(Desk):
        def handle(self, intent: Intent) -> None:
            raise AssertionError(f"a bug in {intent}")

    closed, ended = threading.Event(), threading.Event()

    def open_desk(hands: Hands) -> OpenDesk:
        return OpenDesk(Broken(village.desk._parts, hands), closed.set)

    worker = Worker(open_desk, village.devices, ended.set)
    worker.start()
    worker.submit({"type": "dance"})
    assert ended.wait(WAIT_S)
    assert closed.is_set()
    worker.stop()
    assert isinstance(worker.failure, AssertionError)


def test_a_key_of_another_device_is_refused(installed: Village) -> None:
    (installed.folder / "kiosk.pem").unlink()
    FileIdentity.create(installed.folder / "kiosk.pem", "kiosk-0002")
    with pytest.raises(LocalError) as refused:
        build_counter(configured(installed), SystemClock())
    assert refused.value.code == "kiosk-identity"


def test_another_pin_pad_than_the_configured_one_is_refused(installed: Village) -> None:
    config = configured(installed)
    other = msgspec.structs.replace(config.devices, pad="pad-0002")
    with pytest.raises(LocalError) as refused:
        build_counter(msgspec.structs.replace(config, devices=other), SystemClock())
    assert refused.value.code == "kiosk-pad"


@pytest.mark.parametrize("content", [None, "xyz", "00" * 31, "00" * 5_000])
def test_a_damaged_key_file_is_a_sentence(installed: Village, content: str | None) -> None:
    path = installed.folder / "lookup.key"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(LocalError) as refused:
        build_counter(configured(installed), SystemClock())
    assert refused.value.code == "key-file"


def test_a_wrong_configuration_ends_with_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kiosk.toml").write_text("[kiosk]\ndevice = 'k'\ncolour = 'red'\n")
    assert main(["run", "--config", str(tmp_path / "kiosk.toml")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("lastmile-kiosk: ")
    assert "Traceback" not in said


# ------------------------------------------------------------------ at rest
def test_files_from_before_are_refused_until_a_person_has_them_encrypted(
    installed: Village, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(installed)
    paths = (config.kiosk.data_dir / "journal.db", config.kiosk.mirror)
    installed.bank.store.close()
    for path in paths:
        path.unlink(missing_ok=True)
        open_store(path, [MIGRATIONS]).close()
    refused = build_counter(config, SystemClock())
    with pytest.raises(LocalError, match="encrypt") as error:
        refused.start()
    assert error.value.code == "store-plain"
    for said in ("is encrypted now", "was not plain"):
        assert main(["encrypt", "--config", str(installed.folder / "kiosk.toml")]) == 0
        assert capsys.readouterr().out.count(said) == 2
    worker = build_counter(config, SystemClock())
    worker.start()
    worker.stop()
    assert [path.read_bytes()[:15] for path in paths].count(b"SQLite format 3") == 0


def test_a_counter_that_is_gone_stops_the_kiosk_before_it_pays(installed: Village) -> None:
    config = configured(installed)
    for _ in range(2):
        worker = build_counter(config, SystemClock())
        worker.start()
        worker.stop()
    with open_store(
        config.kiosk.data_dir / "journal.db",
        [MIGRATIONS],
        village_key(installed.folder, JOURNAL_KEY),
    ) as store:
        journal = Journal(store, KIOSK, SystemClock(), FileCounter(installed.folder / "counter"))
        with store.transaction():
            journal.append("FACT", "receipt-copy", {"of": "00" * 16, "receipt": "K1-1"})
    (installed.folder / "counter").unlink()
    worker = build_counter(config, SystemClock())
    with pytest.raises(DeviceFault) as fault:
        worker.start()
    assert fault.value.code == "counter-missing"


# ------------------------------------------------------------------ the technician's verbs
def write_entries(village: Village, count: int) -> None:
    config = configured(village)
    key, counter = village_key(village.folder, JOURNAL_KEY), FileCounter(village.folder / "counter")
    with open_store(config.kiosk.data_dir / "journal.db", [MIGRATIONS], key) as store:
        journal = Journal(store, KIOSK, SystemClock(), counter)
        for _ in range(count):
            journal.append("FACT", "receipt-copy", {"of": "00" * 16, "receipt": "K1-1"})


def test_evidence_is_one_command(installed: Village, capsys: pytest.CaptureFixture[str]) -> None:
    write_entries(installed, 4)
    out, config = installed.folder / "proof.cose", str(installed.folder / "kiosk.toml")
    command = ["evidence", "--config", config, "--from", "2", "--to", "3", "--out", str(out)]
    assert main(command) == 0
    assert "proves entries 1/2 to 1/3 of" in capsys.readouterr().out
    evidence = open_bundle(out.read_bytes(), verifier(installed.kiosk.public_bytes), KIOSK)
    assert [entry["seq"] for entry in evidence.entries] == [2, 3]
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err


def test_a_damaged_journal_is_recovered_by_one_command(
    installed: Village, capsys: pytest.CaptureFixture[str]
) -> None:
    write_entries(installed, 4)
    config = configured(installed)
    path, key = config.kiosk.data_dir / "journal.db", village_key(installed.folder, JOURNAL_KEY)
    with open_store(path, [MIGRATIONS], key) as store:
        store.execute("DROP TRIGGER journal_unchanged")
        store.execute("UPDATE journal SET entry = x'00' WHERE seq = 3")
    refused = build_counter(config, SystemClock())
    with pytest.raises(DeviceFault, match="damaged at entry 1/3"):
        refused.start()
    path.with_name("journal.db.fresh").touch()
    halved = build_counter(config, SystemClock())
    with pytest.raises(LocalError, match="once more"):
        halved.start()
    command = ["recover", "--config", str(installed.folder / "kiosk.toml")]
    assert main(command) == 0
    assert "Saved up to entry 1/2 (journal-damaged)" in capsys.readouterr().out
    worker = build_counter(config, SystemClock())
    worker.start()
    worker.stop()
    assert main(command) == 2
    assert "whole" in capsys.readouterr().err
    with open_reader(path, key) as store:
        assert JournalReader(store, KIOSK).head().epoch == 2
