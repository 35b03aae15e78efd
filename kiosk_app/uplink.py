"""Whether the core is in reach and what it has not received, as the agent's notes tell.

Place in the flow: agent → notes of the mirror → **uplink** → desk → status bars.

* Online is said only of a contact that was good, is fresh, and was not followed by one that failed:
  the agent notes `contact_us` at a good contact and `next_contact_us` after every one.
* It tells what is known, never what is hoped: no notes, no contact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from edge.journal import Head
    from edge.mirror import MirrorReader

FRESH_US: Final = 1_200 * 1_000_000
"""The agent's default pause between contacts is 900 s, spread by a tenth."""

SCOPES: Final = ("balances", "customers", "leases", "drawer", "results", "catalogue")


class UplinkWatch:
    """Reads the notes whenever the mirror has changed.

    Attributes:
        as_of_us: When the core last said anything, or None.
    """

    def __init__(self) -> None:
        self.as_of_us: int | None = None
        self._contact_us = 0
        self._next_us = 0
        self._contact_at_next_us = 0
        self._failed = False
        self._mark = (1, 0)

    def read(self, mirror: MirrorReader | None) -> None:
        """Takes in what the agent has noted."""
        if mirror is None:
            self.as_of_us, self._contact_us = None, 0
            return
        known = [each for each in (mirror.as_of_us(scope) for scope in SCOPES) if each]
        self.as_of_us = max(known, default=None)
        self._contact_us = _integer(mirror.noted("contact_us"))
        mark = mirror.noted("mark")
        if isinstance(mark, dict):
            self._mark = (_integer(mark.get("epoch")), _integer(mark.get("seq")))
        self._judge(_integer(mirror.noted("next_contact_us")))

    def _judge(self, next_us: int) -> None:
        """A new plan without a new contact before it means that the contact failed."""
        if next_us == self._next_us:
            # A good contact is noted a moment before the plan that follows it.
            self._failed = self._failed and self._contact_us == self._contact_at_next_us
            return
        first = self._next_us == 0
        self._failed = not first and self._contact_us == self._contact_at_next_us
        self._next_us, self._contact_at_next_us = next_us, self._contact_us

    def is_online(self, wall_us: int) -> bool:
        """Tells whether the core answered lately, and last."""
        fresh = self._contact_us > 0 and abs(wall_us - self._contact_us) <= FRESH_US
        return fresh and not self._failed

    def unsent(self, head: Head) -> int:
        """Returns how many entries the core has not acknowledged."""
        epoch, seq = self._mark
        return max(0, head.seq - seq) if epoch == head.epoch else head.seq


def _integer(value: Any) -> int:  # noqa: ANN401 - what an agent noted
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
