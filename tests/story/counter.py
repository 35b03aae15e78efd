"""The village counter with its two real windows, and the people who stand before it.

Place in the flow: kiosk.toml → `kiosk_app.__main__` → shell → **counter**, which touches what is
drawn, lays the ID card down, types the PIN and reads the paper.

* The kiosk's windows live in this process; its journal, devices and screens are the real ones.
* Nothing is asked of the program that a person could not see: screens and slips.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from edge.config import load_config
from edge.errors import LocalError
from edge.purposes import JOURNAL_KEY
from edge.store import open_reader
from hardware.drivers.clock import SystemClock
from hardware.sim.cards import place_card, remove_card, type_pin
from hardware.sim.pin_pad import TYPED_NAME
from kiosk_app.__main__ import build_counter, build_shell
from kiosk_app.config import KioskConfig
from kiosk_app.receipt import STATUSES
from tests.gui.pilot import Pilot, use_offscreen_screens

if TYPE_CHECKING:
    from pathlib import Path

    from kiosk_app.view import Views
    from tests.story.town import Town

SERVICE = "cash_withdrawal"
STEP_S_MAX = 20.0
PIN_S_MAX = 2.0
PIN_TRIES_MAX = 5
PICTURE = re.compile(r"\d{3}-\w+-(operator|customer)\.png")


def has_display() -> bool:
    """Says whether windows can be seen by anybody."""
    offscreen = os.environ.get("QT_QPA_PLATFORM", "").startswith(("offscreen", "minimal"))
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(shown) and not offscreen


def screen_options() -> list[str]:
    """Returns which screens the technician names, as options of `install`.

    Two connected screens get a window each; one gets both; without a display two are imagined.
    """
    if not has_display():
        use_offscreen_screens()
        return ["--operator-screen", "operator", "--customer-screen", "customer"]
    from kiosk_app.screens import present_screens
    from kiosk_app.shell import make_application

    make_application()
    names = list(present_screens())
    if len(names) < len(("operator", "customer")):
        return ["--single-screen"]
    return ["--operator-screen", names[0], "--customer-screen", names[1]]


class Counter:
    """One open counter.

    Args:
        town: With an installed kiosk.
        pictures: Folder for a picture of both screens at each step, or None.
        language: `zh` or `en`.
    """

    def __init__(self, town: Town, pictures: Path | None, language: str) -> None:
        self._town = town
        self._language = language
        self._sim_dir = town.kiosk_dir / "sim"
        config = load_config(town.kiosk_config, KioskConfig)
        self._worker = build_counter(config, SystemClock())
        self._shell = build_shell(config, self._worker, pictures)
        self.pilot = Pilot(self._shell)

    @property
    def views(self) -> Views:
        """What is on the screens."""
        assert self._shell.views is not None
        return self._shell.views

    def open(self) -> Views:
        """Shows the windows and waits until the services are offered; returns the views."""
        self._shell.start()
        self._town.world.idle = self._idle
        if self._language != "zh":
            self.pilot.press("operator", "button_language")
        return self.pilot.wait(self._offers, STEP_S_MAX)

    def withdraw(self, figures: str) -> Views:
        """Plays a withdrawal up to the receipt; returns the views of its last step."""
        pilot, villager = self.pilot, self._town.villager
        pilot.press("operator", f"choice_{SERVICE}")
        place_card(self._sim_dir, villager.card)
        pilot.wait_step("amount", STEP_S_MAX)
        pilot.enter("customer", figures)
        pilot.wait_step("pin", STEP_S_MAX)
        self._type_pin(villager.pin)
        pilot.press("customer", "button_confirm")
        pilot.press("operator", "button_confirm")
        return pilot.wait_step("done", STEP_S_MAX)

    def _type_pin(self, pin: str) -> None:
        """What is typed before the pad asks is lost, so a person types again after a while."""
        typed = self._town.kiosk_dir / "pad" / TYPED_NAME
        for _ in range(PIN_TRIES_MAX):
            type_pin(typed.parent, pin)
            self._wait_quietly(lambda: self.views.customer.step != "pin", PIN_S_MAX)
            if self.views.customer.step != "pin":
                break
        typed.unlink(missing_ok=True)
        self.pilot.wait_step("confirm", STEP_S_MAX)

    def finish(self) -> None:
        """Ends the session; the villager takes the card."""
        self.pilot.press("operator", "button_finish")
        remove_card(self._sim_dir)
        self.pilot.wait(lambda now: not now.session_open, STEP_S_MAX)

    def reprint(self) -> str:
        """Prints a copy of the last receipt and returns the slip."""
        before = len(self.slips())
        self.pilot.press("operator", "button_reprint")
        self.pilot.until(lambda: len(self.slips()) > before, "a copy on paper", STEP_S_MAX)
        return self.slips()[-1]

    def slips(self) -> list[str]:
        """Returns what the printer has printed, oldest first."""
        folder = self._sim_dir / "slips"
        return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]

    def says(self, status: str) -> bool:
        """Says whether customer's screen and receipt show `waiting` or `posted`."""
        word = STATUSES[self._language][status]
        shown = [line.value for line in self.views.customer.lines]
        return word in shown and word in (self.views.receipt or "")

    def close(self) -> None:
        """Closes windows, journal and devices."""
        self._town.world.idle = type(self._town.world)(self._town.world.directory).idle
        self._shell.stop()

    def stands(self) -> bool:
        """Says whether a window is still open; with `--stay`, closing both ends the story."""
        self._idle()
        return any(window.isVisible() for window in self._shell.windows.values())

    def _offers(self, now: Views) -> bool:
        offered = {choice.id for choice in now.operator.choices}
        return SERVICE in offered and now.status.language == self._language

    def _idle(self) -> None:
        self._wait_quietly(lambda: False, 0.05)

    def _wait_quietly(self, condition: Any, timeout_s: float) -> None:
        """Lets the windows live until a condition holds, or the time is over."""
        from PySide6.QtCore import QDeadlineTimer

        deadline = QDeadlineTimer(int(timeout_s * 1000))
        self.pilot.until(lambda: condition() or deadline.hasExpired(), "end", timeout_s + 5)


def read_till(town: Town) -> dict[str, int]:
    """Returns what the kiosk's own files say: `entries` of the journal, `spent_fen` of leases."""
    key = town.kiosk_key(JOURNAL_KEY)
    with open_reader(town.kiosk_dir / "data" / "journal.db", key) as store:
        row = store.row(
            "SELECT (SELECT count(*) FROM journal) AS entries, "
            "(SELECT coalesce(sum(amount_fen), 0) FROM lease_spends) AS spent_fen"
        )
    assert row is not None
    return row


def prepare_pictures(folder: Path) -> None:
    """Makes the folder for pictures, and removes those of an earlier demonstration.

    Raises:
        LocalError: Nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.png"):
            if PICTURE.fullmatch(path.name):
                path.unlink()
    except OSError as error:
        raise LocalError(
            f"No pictures can be saved in {folder} ({error.strerror}); name another --out.",
            "story-out",
        ) from error
