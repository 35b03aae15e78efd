"""When to call the core: the one place of the agent that waits and retries.

Place in the flow: outcome of a contact → **schedule** → agent. Sans-IO: monotonic time in, the
next instant out.

    after            next contact
    more to do       at once
    a good contact   in as many seconds as the core says, else after `interval_s`, spread by a tenth
    new entries      at once, unless the last contact failed: then the pause stands
    a failure        after a random part (full jitter) of retry_s · 2ⁿ, at most `retry_s_max`

* After an outage every kiosk of a county wants to call at once; full jitter spreads them
  (`edge.retry`).
* A journal that grows while the core is away shortens no pause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.retry import Backoff, Pauses, draw

if TYPE_CHECKING:
    from backend_sync.agent.config import ContactSection
    from edge.ports import Randomness

SECOND_US: Final = 1_000_000
SPREAD: Final = 10


class Schedule:
    """Decides when the next contact is due.

    Args:
        settings: `[contact]` of agent.toml.
        randomness: Draws the jitter.

    Attributes:
        due_us: Monotonic time of the next contact; 0 is at once.
    """

    def __init__(self, settings: ContactSection, randomness: Randomness) -> None:
        self._settings = settings
        self._randomness = randomness
        pauses = Pauses(settings.retry_s * SECOND_US, settings.retry_s_max * SECOND_US)
        self._backoff = Backoff(pauses, randomness)
        self.due_us = 0

    @property
    def failures(self) -> int:
        """Contacts that failed since the last good one."""
        return self._backoff.failures

    def succeed(self, now_us: int, next_contact_s: int, *, more: bool = False) -> None:
        """Plans after a good contact.

        Args:
            now_us: Monotonic time.
            next_contact_s: What the core asks for; 0 leaves it to us.
            more: Entries or pages wait still.
        """
        self._backoff.succeed()
        own_us = self._settings.interval_s * SECOND_US
        asked_us = next_contact_s * SECOND_US
        pause_us = asked_us or own_us + draw(self._randomness, 0, own_us // SPREAD)
        self.due_us = now_us if more else now_us + pause_us

    def fail(self, now_us: int) -> None:
        """Plans after a contact that failed."""
        self.due_us = now_us + self._backoff.fail()

    def hurry(self, now_us: int) -> None:
        """Notes that new entries wait."""
        if self.failures == 0:
            self.due_us = min(self.due_us, now_us)

    def pause_s(self, now_us: int) -> float:
        """Returns how long to sleep: until the next look at the journal, or a due contact."""
        left_us = max(0, self.due_us - now_us)
        return min(left_us / SECOND_US, float(self._settings.poll_s))
