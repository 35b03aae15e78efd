"""Who signs in at the box, by card or by PIN, and how often anybody may try.

Place in the flow: `DriverReader` and panel → cabin → **signin** (decides) → driver (keeps).

    card   the same again      signs out
           another's           signs that one in: a change of driver on the way
    PIN    number and digits   sign in; five wrong ones lock PINs for 5 min, then 10, 20, 40, 60
    none   half an hour after the last trip, or where the clock went back: signed out

* A wrong attempt is on the disk before its answer is known: pulling the plug gives no free try.
* A lock runs on the monotonic clock; a restart begins it anew, setting the wall clock ends nothing.
* Cards and PINs are counted apart: nobody can lock PINs out with a handful of bus cards.
* Signing in is no consent. Without one a driver drives, and no personal record is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.drivers import Roster, RosterDriver
    from edge.ports import Instant
    from edge.sqlite import Database
    from edge.store import Store

Means = Literal["card", "pin"]
ATTEMPTS_MAX: Final = 5
LOCK_US: Final = 300_000_000
LOCK_US_MAX: Final = 3_600_000_000
UID_BYTES_MAX: Final = 16
PIN_DIGITS: Final = (4, 8)
MIGRATIONS = Migrations("gateway_signin")


@MIGRATIONS()
def gateway_signin_001(database: Database) -> None:
    """Wrong attempts by means, and the lock that they brought."""
    create_tables(
        database,
        """CREATE TABLE gateway_attempts (
            means    TEXT    PRIMARY KEY,
            failures INTEGER NOT NULL,
            locks    INTEGER NOT NULL,
            boot     TEXT    NOT NULL,
            until_us INTEGER NOT NULL,
            lock_us  INTEGER NOT NULL
        )""",
    )


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of a card or a PIN.

    Attributes:
        code: `welcome`, `goodbye` (the card of who is signed in), `unknown`, `locked` or
            `no-roster`.
        driver: Who it is, where the code is one of the first two.
        locked_s: Seconds until the next attempt is looked at.
    """

    code: str
    driver: RosterDriver | None = None
    locked_s: int = 0


class SignIn:
    """Decides about attempts; what follows from one is done by who asked.

    Args:
        store: Opened with `MIGRATIONS`.
        roster: Returns the roster that stands.
    """

    def __init__(self, store: Store, roster: Callable[[], Roster | None]) -> None:
        self._store = store
        self._roster = roster

    def by_card(self, uid: bytes, present: str | None, now: Instant) -> Attempt:
        """Judges a card.

        Args:
            uid: As the reader gives it: anybody's bytes.
            present: Pseudonym of who is signed in.
            now: Every clock.
        """
        if not 0 < len(uid) <= UID_BYTES_MAX:
            return Attempt("unknown")
        attempt = self._judge("card", now, lambda roster: roster.by_card(uid))
        if attempt.driver is not None and attempt.driver.subject == present:
            return Attempt("goodbye", attempt.driver)
        return attempt

    def by_pin(self, number: str, pin: str, now: Instant) -> Attempt:
        """Judges a typed number and PIN."""
        low, high = PIN_DIGITS
        if not (pin.isascii() and pin.isdigit() and low <= len(pin) <= high):
            return Attempt("unknown")
        return self._judge("pin", now, lambda roster: roster.by_pin(number, pin))

    def locked_s(self, means: Means, now: Instant) -> int:
        """Returns for how many more seconds no attempt is looked at."""
        return -(-self._locked_us(means, now) // 1_000_000)

    # ------------------------------------------------------------ inside
    def _judge(
        self, means: Means, now: Instant, find: Callable[[Roster], RosterDriver | None]
    ) -> Attempt:
        locked_us = self._locked_us(means, now)
        if locked_us > 0:
            return Attempt("locked", locked_s=-(-locked_us // 1_000_000))
        roster = self._roster()
        if roster is None:
            return Attempt("no-roster")
        self._count(means, now)
        driver = find(roster)
        if driver is None:
            locked_s = self.locked_s(means, now)
            return Attempt("locked" if locked_s else "unknown", locked_s=locked_s)
        self._store.execute("DELETE FROM gateway_attempts WHERE means = ?", (means,))
        return Attempt("welcome", driver)

    def _locked_us(self, means: Means, now: Instant) -> int:
        row = self._store.row(
            "SELECT boot, until_us, lock_us FROM gateway_attempts WHERE means = ?", (means,)
        )
        if row is None or row["lock_us"] == 0:
            return 0
        until_us = row["until_us"] if row["boot"] == now.boot_id else row["lock_us"]
        return max(0, int(until_us) - now.monotonic_us)

    def _count(self, means: Means, now: Instant) -> None:
        """Takes an attempt for a wrong one before it is looked at; a right one clears it."""
        with self._store.transaction():
            row = self._store.row(
                "SELECT failures, locks FROM gateway_attempts WHERE means = ?", (means,)
            )
            failures, locks = (row["failures"] + 1, row["locks"]) if row else (1, 0)
            lock_us = 0
            if failures >= ATTEMPTS_MAX:
                lock_us = min(LOCK_US << locks, LOCK_US_MAX)
                failures, locks = 0, min(locks + 1, ATTEMPTS_MAX)
            self._store.execute(
                "INSERT INTO gateway_attempts (means, failures, locks, boot, until_us, lock_us)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (means) DO UPDATE SET"
                " failures = excluded.failures, locks = excluded.locks, boot = excluded.boot,"
                " until_us = excluded.until_us, lock_us = excluded.lock_us",
                (means, failures, locks, now.boot_id, now.monotonic_us + lock_us, lock_us),
            )
