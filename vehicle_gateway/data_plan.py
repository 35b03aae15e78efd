"""The SIM card's data plan: what may be sent today so that it lasts to the end of the month.

Place in the flow: gateway.toml [data_plan] → **data_plan** → mqtt asks before it sends.

    allowance of a day = (plan less reserve less what was sent before today) / days that are left
    reserve            = RESERVE_PERCENT of the plan, for days on which an event waits

* A day on which little was sent leaves more for the others. What may not be sent waits; the outbox
  keeps it, in order, and the core learns of nothing that is missing.
* What counts is what leaves: every message, however often it is sent, with its headers.
* The count is on the disk at least every `SAVE_BYTES`: a kill forgets no more than that.
* Days are Beijing's. A clock that goes back begins no new month; one that leaps ahead does.
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from edge.sqlite import Database
    from edge.store import Store

MIGRATIONS = Migrations("gateway_data_plan")
RESERVE_PERCENT: Final = 10
OVERHEAD_BYTES: Final = 220
"""Around one message: PUBLISH header and topic 45, PUBACK 4, two TLS records 44, three TCP/IP
packets 120. Reckoned, not measured: a card's own count decides."""
SAVE_BYTES: Final = 65_536
BEIJING: Final = dt.timezone(dt.timedelta(hours=8))


@MIGRATIONS()
def gateway_data_plan_001(database: Database) -> None:
    """What was sent in this month of the plan: one row."""
    create_tables(
        database,
        """CREATE TABLE gateway_data_plan (
            id        INTEGER PRIMARY KEY CHECK (id = 1),
            month     INTEGER NOT NULL,
            day       INTEGER NOT NULL,
            bytes     INTEGER NOT NULL,
            day_bytes INTEGER NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class PlanRule:
    """What was bought.

    Attributes:
        bytes_per_month: All that the card may carry.
        reset_day: Day of the month on which it begins anew, 1 to 28.
    """

    bytes_per_month: int
    reset_day: int = 1


class DataPlan:
    """Counts what is sent, and says what still may be.

    Args:
        store: Opened with `MIGRATIONS`.
        rule: What was bought.
    """

    def __init__(self, store: Store, rule: PlanRule) -> None:
        self._store = store
        self._rule = rule
        row = store.row("SELECT month, day, bytes, day_bytes FROM gateway_data_plan")
        self._month, self._day, self._bytes, self._day_bytes = _numbers(row)
        self._unsaved = 0

    def room(self, wall_us: int, *, is_urgent: bool) -> int:
        """Returns how many bytes may be sent now.

        Args:
            wall_us: The present.
            is_urgent: Whether an event waits, which may take of the reserve.
        """
        days_left = self._turn(wall_us)
        plan = self._rule.bytes_per_month
        reserve = plan * RESERVE_PERCENT // 100
        if is_urgent:
            return max(0, plan - self._bytes)
        before_today = self._bytes - self._day_bytes
        allowance = max(0, plan - reserve - before_today) // days_left
        return max(0, allowance - self._day_bytes)

    def spend(self, payload_bytes: int) -> None:
        """Counts a message that was handed to the network.

        Raises:
            DeviceFault: The disk is full or failing.
        """
        size = payload_bytes + OVERHEAD_BYTES
        self._bytes += size
        self._day_bytes += size
        self._unsaved += size
        if self._unsaved >= SAVE_BYTES:
            self.save()

    def save(self) -> None:
        """Writes the count down; for a clean end.

        Raises:
            DeviceFault: The disk is full or failing.
        """
        self._unsaved = 0
        self._store.execute(
            "INSERT INTO gateway_data_plan (id, month, day, bytes, day_bytes) "
            "VALUES (1, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET month = excluded.month, "
            "day = excluded.day, bytes = excluded.bytes, day_bytes = excluded.day_bytes",
            (self._month, self._day, self._bytes, self._day_bytes),
        )

    def told(self) -> dict[str, Any]:
        """Returns plan, month and day in bytes, for status and health."""
        return {
            "plan_bytes": self._rule.bytes_per_month,
            "plan_month_bytes": self._bytes,
            "plan_day_bytes": self._day_bytes,
        }

    # ------------------------------------------------------------ inside
    def _turn(self, wall_us: int) -> int:
        """Begins a new day or month where it is one; returns the days that are left, with today."""
        today = dt.datetime.fromtimestamp(wall_us / 1_000_000, BEIJING).date()
        start, end = month_of(today, self._rule.reset_day)
        month, day = start.toordinal(), today.toordinal()
        if month > self._month:
            self._month, self._bytes, self._day_bytes = month, 0, 0
            self._day = day
        elif day > self._day:
            self._day, self._day_bytes = day, 0
        return (end - today).days


def _numbers(row: dict[str, Any] | None) -> tuple[int, int, int, int]:
    if row is None:
        return 0, 0, 0, 0
    return int(row["month"]), int(row["day"]), int(row["bytes"]), int(row["day_bytes"])


def month_of(today: dt.date, reset_day: int) -> tuple[dt.date, dt.date]:
    """Returns the first day of the plan's month that holds a day, and that of the next one."""
    start = today.replace(day=reset_day)
    if start > today:
        start = (start.replace(day=1) - dt.timedelta(days=1)).replace(day=reset_day)
    days = calendar.monthrange(start.year, start.month)[1]
    return start, start + dt.timedelta(days=days)
