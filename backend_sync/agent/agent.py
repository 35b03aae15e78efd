"""The agent's loop: contact, note, wait, look at the journal, contact again.

Place in the flow: schedule, contact → **agent** ← `__main__`.

* Nothing but this loop waits, and it waits in one place that can be woken.
* A trouble is logged when it begins and when it ends, not each time it is met again.
* Whatever kind of trouble a contact meets, the loop goes on; only a bug ends it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import DeviceFault
from edge.mirror import Mirror

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.agent.contact import Contact, Outcome
    from backend_sync.agent.schedule import Schedule
    from edge.errors import LastmileError
    from edge.ports import Clock
    from edge.store import Store

ONCE_CONTACTS_MAX: Final = 10_000

log = logging.getLogger(__name__)


class Wake(Protocol):
    """Waits, and says when to end: `threading.Event`."""

    def wait(self, timeout: float | None = None) -> bool:
        """Waits so many seconds; returns True, maybe earlier, once the loop must end."""
        ...


class Agent:
    """Keeps one device in contact with the core.

    Args:
        contact: Makes one contact.
        schedule: Says when.
        journal: The kiosk's journal file.
        store: The mirror's file, for the note of the next contact.
        clock: Reads the present.
    """

    def __init__(
        self, contact: Contact, schedule: Schedule, journal: Path, store: Store, clock: Clock
    ) -> None:
        self._contact = contact
        self._schedule = schedule
        self._journal = journal
        self._store = store
        self._clock = clock
        self._troubles: dict[str, str] = {}

    def run(self, stop: Wake) -> None:
        """Makes contacts until `stop` says so."""
        while True:
            now_us = self._clock.now().monotonic_us
            if self._contact.has_news(self._journal):
                self._schedule.hurry(now_us)
            if self._schedule.due_us <= now_us:
                self.make_contact()
            if stop.wait(self._schedule.pause_s(self._clock.now().monotonic_us)):
                return

    def run_once(self) -> Outcome:
        """Makes contacts until nothing is left to bring, or one fails; returns the last."""
        for _ in range(ONCE_CONTACTS_MAX):
            outcome = self.make_contact()
            if not (outcome.good and outcome.more):
                break
        return outcome

    def make_contact(self) -> Outcome:
        """Makes one contact, plans the next and writes both down."""
        outcome = self._contact.run(self._journal)
        now = self._clock.now()
        if outcome.good:
            self._schedule.succeed(now.monotonic_us, outcome.next_contact_s, more=outcome.more)
        else:
            self._schedule.fail(now.monotonic_us)
        self._report("uplink", outcome.uplink_error)
        self._report("downlink", outcome.downlink_error)
        self._report_halt(outcome.halt_code)
        level = logging.INFO if outcome.sent else logging.DEBUG
        log.log(level, "%d entries up, %d pages down", outcome.sent, outcome.pages)
        pause_us = self._schedule.due_us - now.monotonic_us
        self._note("next_contact_us", now.wall_us + pause_us)
        return outcome

    def _report(self, direction: str, error: LastmileError | None) -> None:
        """Logs a trouble once per kind, and its end."""
        code = error.code if error else ""
        before = self._troubles.get(direction, "")
        self._troubles[direction] = code
        if error is not None and code != before:
            log.warning("%s: %s (%s)", direction, error, code)
        elif before and not code:
            log.info("%s works again", direction)

    def _report_halt(self, code: str) -> None:
        if code and code != self._troubles.get("halt"):
            log.error("Uploads have stopped (%s). Keep this device as it is; call the bank.", code)
        self._troubles["halt"] = code

    def _note(self, name: str, value: int) -> None:
        try:
            Mirror(self._store).note(name, value)
        except DeviceFault as error:
            self._report("mirror", error)
