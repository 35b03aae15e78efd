"""A whole counter by touch: real worker, journal, mirror and simulated devices, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.config import CounterSection, VaultSection
from edge.journal import JournalReader, decode_entry
from edge.ports import Instant
from edge.purposes import JOURNAL_KEY
from edge.store import open_reader
from hardware.drivers.clock import SystemClock
from hardware.sim.cards import pad_asks, place_card, type_pin
from hardware.sim.printer import load_paper
from kiosk_app.__main__ import build_counter, build_shell
from kiosk_app.config import CoreSection, DevicesSection, KioskConfig, KioskSection, ScreensSection
from tests.gui.pilot import Pilot
from tests.unit.kiosk_app.village import KIOSK, PAD, START_US, build_village, village_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.kiosk_app.village import Village

BALANCE = "¥3,286.50"


class LiveClock:
    """Time runs as on the wall, but from the day on which the village's papers were signed."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._began_us = self._system.now().monotonic_us

    def now(self) -> Instant:
        now = self._system.now()
        return Instant(START_US + now.monotonic_us - self._began_us, now.boot_id, now.monotonic_us)


def configure(village: Village) -> KioskConfig:
    folder = village.folder
    keys = {
        "lookup.hex": village.bank.lookup_key,
        "core.hex": village.bank.core.public_bytes,
        "catalogue.hex": village.bank.signer.public_bytes,
    }
    for name, key in keys.items():
        (folder / name).write_text(key.hex())
    return KioskConfig(
        KioskSection(
            KIOSK, "新立村", folder / "data", folder / "kiosk.pem", folder / "mirror.db",
            folder / "lookup.hex",
        ),
        CoreSection(folder / "core.hex", folder / "catalogue.hex"),
        VaultSection("file", folder / "vault.key"),
        CounterSection("none"),
        DevicesSection(sim_dir=folder / "sim", pad=PAD, pad_dir=folder / "pad"),
        ScreensSection("operator", "customer"),
    )  # fmt: skip


class Served:
    """A counter that is open, the people at it, and what is left when they go."""

    def __init__(self, village: Village) -> None:
        self.village = village
        config = configure(village)
        self.shell = build_shell(config, build_counter(config, LiveClock()))
        self.shell.start()
        self.pilot = Pilot(self.shell)
        self.pilot.wait_step("idle")

    def facts(self) -> list[dict[str, object]]:
        folder = self.village.folder
        store = open_reader(folder / "data" / "journal.db", village_key(folder, JOURNAL_KEY))
        entries = [
            decode_entry(entry) for entry, _ in JournalReader(store, KIOSK).read(0, 99, 1 << 20)
        ]
        store.close()
        return [entry["body"] for entry in entries if entry["kind"] == "cash-withdrawal"]

    def slips(self) -> list[str]:
        folder = self.village.folder / "sim" / "slips"
        return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]

    def begin(self, service: str) -> None:
        place_card(self.village.folder / "sim", self.village.villager.card)
        self.pilot.press("operator", f"choice_{service}")

    def pay_out(self, yuan: str, pin: str) -> None:
        """The customer asks, proves who they are, and both confirm."""
        self.pilot.wait_step("amount")
        self.pilot.enter("customer", yuan)
        self.pilot.wait_step("pin")
        self.type(pin)
        self.pilot.wait_step("confirm")
        for side in ("customer", "operator"):
            self.pilot.press(side, "button_confirm")

    def type(self, pin: str) -> None:
        """Types when the lamp of the pad goes on, and waits until it goes off."""
        pad = self.village.folder / "pad"
        self.pilot.until(lambda: pad_asks(pad), "pad that asks")
        type_pin(pad, pin)
        self.pilot.until(lambda: not pad_asks(pad), "pad that takes the PIN")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    village = build_village(tmp_path, quick=False)
    opened = Served(village)
    yield opened
    opened.shell.stop()
    village.bank.store.close()


LANGUAGES = ("zh", "en")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_balance_is_shown_to_the_customer_alone(served: Served, language: str) -> None:
    pilot, name = served.pilot, served.village.villager.card.name
    if language == "en":
        pilot.press("operator", "button_language")
        pilot.wait(lambda views: views.status.language == "en")
    served.begin("balance")
    pilot.wait_step("show")
    assert {BALANCE, name} <= set(pilot.texts("customer"))
    assert not {BALANCE, name} & set(pilot.texts("operator"))
    pilot.press("operator", "button_finish")
    pilot.wait_step("idle")
    assert name not in "".join(pilot.texts("customer"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_cash_is_withdrawn_offline_by_touch(served: Served, language: str) -> None:
    pilot, villager = served.pilot, served.village.villager
    if language == "en":
        pilot.press("customer", "button_language")
        pilot.wait(lambda views: views.status.language == "en")
    served.begin("cash_withdrawal")
    served.pay_out("500", villager.pin)
    pilot.wait_step("done")
    pilot.press("customer", "button_finish")
    pilot.wait_step("idle")
    (fact,) = served.facts()
    assert fact["amount_fen"] == 50_000
    (slip,) = served.slips()
    assert str(fact["receipt"]) in slip
    assert villager.pin not in slip
    assert villager.card.number not in slip


def test_a_wrong_pin_pays_nothing_out_and_the_right_one_does(served: Served) -> None:
    pilot, villager = served.pilot, served.village.villager
    served.begin("cash_withdrawal")
    pilot.wait_step("amount")
    pilot.enter("customer", "100")
    pilot.wait_step("pin")
    served.type("000000" if villager.pin != "000000" else "111111")
    pilot.until(lambda: any("4 次" in text for text in pilot.texts("customer")), "tries left")
    assert served.facts() == []
    served.type(villager.pin)
    pilot.wait_step("confirm")


def test_paper_that_is_out_is_told_and_the_cash_stays_recorded(served: Served) -> None:
    pilot, villager = served.pilot, served.village.villager
    load_paper(served.village.folder / "sim", 0)
    served.begin("cash_withdrawal")
    served.pay_out("200", villager.pin)
    pilot.until(lambda: "button_retry" in pilot.names("operator"), "way to print again")
    assert len(served.facts()) == 1
    assert served.slips() == []
    load_paper(served.village.folder / "sim", 5)
    pilot.press("operator", "button_retry")
    pilot.wait_step("done")
    assert len(served.slips()) == 1


def test_a_lost_customer_screen_hides_the_session_and_brings_it_back(served: Served) -> None:
    from kiosk_app.screens import present_screens
    from tests.gui.test_screens import application

    pilot = served.pilot
    served.begin("balance")
    pilot.wait_step("show")
    application().screenRemoved.emit(present_screens()["customer"])
    pilot.settle()
    assert not served.shell.windows["customer"].isVisible()
    assert BALANCE not in str(served.shell.sides["customer"].values)
    application().screenAdded.emit(present_screens()["customer"])
    pilot.until(lambda: BALANCE in pilot.texts("customer"), "balance")
