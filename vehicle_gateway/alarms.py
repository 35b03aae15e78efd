"""How loud what goes on is told: a warning first, an alarm when it lasts, silence for a while.

Place in the flow: `Events.alerts` → **alarms** → cabin → panel, buzzer.

    warn ──lasts 20 s (speed, belt, door)──> alarm          the event counting makes it one at once
    sounding ──touch "mute"──> silent for 60 s ──> sounding again     3 times an hour, no more
    silent ──a new alert, or a louder one──> sounding

* The picture stays whatever is muted: silence hides nothing.
* Fatigue is told long before its end, so its warning does not grow by itself.
* Sans-IO, by the monotonic clock; forgotten at a restart, which sounds anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

WARN, ALARM = "warn", "alarm"
GROWING: Final = frozenset({"overspeed", "seat-belt", "door-open-moving"})
FIRST: Final = ("collision", "rollover", "door-open-moving", "overspeed", "fatigue", "seat-belt")
"""Of two that are as loud, the one that stands earlier here is the large one."""
GROW_US: Final = 20_000_000
MUTE_US: Final = 60_000_000
HOUR_US: Final = 3_600_000_000
MUTES_MAX: Final = 3


class Alert(Protocol):
    """What the rules of driving events tell of the present."""

    @property
    def kind(self) -> str:
        """As the event that may come of it."""
        ...

    @property
    def level(self) -> str:
        """`warn` or `alarm`."""
        ...

    @property
    def since_us(self) -> int:
        """When it began, microseconds UTC of the data."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """One alert as it is told.

    Attributes:
        level: `warn` or `alarm`, grown.
        muted: It is shown and does not sound.
    """

    kind: str
    level: str
    since_us: int
    muted: bool


class Alarms:
    """Follows what goes on."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, int], int] = {}  # alert → when it was first heard
        self._muted: dict[tuple[str, int, str], int] = {}  # alert and level → until when
        self._mutes: deque[int] = deque(maxlen=MUTES_MAX)
        self._told: list[Told] = []

    def hear(self, alerts: Sequence[Alert], now_us: int) -> list[Told]:
        """Returns what is to be told now, the largest first.

        Args:
            alerts: All that goes on at present.
            now_us: Monotonic time.
        """
        keys = {(each.kind, each.since_us) for each in alerts}
        self._heard = {key: self._heard.get(key, now_us) for key in keys}
        self._muted = {key: until for key, until in self._muted.items() if until > now_us}
        self._told = sorted((self._tell(each, now_us) for each in alerts), key=_order)
        return self._told

    def mutes_left(self, now_us: int) -> int:
        """Returns how often silence may still be asked for within the hour."""
        return MUTES_MAX - sum(now_us - each < HOUR_US for each in self._mutes)

    def mute(self, now_us: int) -> bool:
        """Silences what sounds now for a while; False where it may not be, or nothing sounds."""
        sounding = [each for each in self._told if not each.muted]
        if not sounding or self.mutes_left(now_us) <= 0:
            return False
        self._mutes.append(now_us)
        for each in sounding:
            self._muted[each.kind, each.since_us, each.level] = now_us + MUTE_US
        return True

    def _tell(self, alert: Alert, now_us: int) -> Told:
        lasted_us = now_us - self._heard[alert.kind, alert.since_us]
        grown = alert.kind in GROWING and lasted_us >= GROW_US
        level = ALARM if grown or alert.level == ALARM else WARN
        muted = (alert.kind, alert.since_us, level) in self._muted
        return Told(alert.kind, level, alert.since_us, muted)


def sound_of(told: Sequence[Told]) -> str:
    """Returns what the buzzer plays: the loudest that is not muted, or nothing."""
    levels = {each.level for each in told if not each.muted}
    return ALARM if ALARM in levels else WARN if WARN in levels else ""


def _order(told: Told) -> tuple[bool, int, int]:
    place = FIRST.index(told.kind) if told.kind in FIRST else len(FIRST)
    return told.level != ALARM, place, told.since_us
