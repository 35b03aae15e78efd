"""Bugs on purpose: what the simulation must be able to find, or it proves nothing.

Place in the flow: test_sim → world → **flaws** → kiosk, box, core.

* Each is the real code with one rule left out. The world takes the name of one, or none.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backend_sync.agent.contact import Contact
from backend_sync.core import contact as core_contact
from backend_sync.core.leases import release_expired
from backend_sync.messages import open_request
from edge.epochs import SealedStream
from edge.errors import PeerError
from edge.keys import verifier
from edge.outbox import Outbox
from edge.verdicts import Ear, read_stored
from kiosk_app.teller import Teller
from kiosk_app.till import Till

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from backend_sync.core.database import Connection
    from backend_sync.protocol import Uplink
    from edge.gaps import Dropped
    from edge.journal import JournalReader
    from kiosk_app.service import LedgerPart
    from kiosk_app.teller import Answer as Told
    from kiosk_app.till import Spend

FLAWS = {
    "release-by-the-core's-clock": "The core gives a lease back without asking the kiosk's time.",
    "deaf-teller": "The teller judges a lease by an earlier time than the agent has stated.",
    "settle-any-head": "The outbox deletes without comparing the head of the acknowledgement.",
    "mark-before-answer": "The agent moves its mark before the core has answered.",
    "spend-outside": "The teller writes the spend after the transaction of its entry.",
    "drop-in-silence": "The outbox drops messages without a signed gap.",
    "counter-unchecked": "The core does not compare a device's counter with its journal.",
    "queue-outside": "The core may be killed between storing an entry and queueing it.",
}


class HastyContact(Contact):
    """Moves the mark to what it is about to send."""

    def _send(
        self, uplink: Uplink, entries: Sequence[tuple[bytes, bytes]], journal: JournalReader
    ) -> None:
        at = uplink.mark
        seq, head = at.seq + len(entries), entries[-1][1]
        with self._store.transaction():
            self._mirror.note("mark", {"epoch": at.epoch, "seq": seq, "head": head})
            self._mirror.note("mark_seq", seq)
        super()._send(uplink, entries, journal)


class LooseTill(Till):
    """Keeps spends in hand until `flush`."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._held: list[tuple[Spend, bytes]] = []

    def keep_spend(self, spend: Spend, answer: bytes) -> None:
        """Holds a spend back."""
        self._held.append((spend, answer))

    def flush(self) -> None:
        """Writes what was held back."""
        for spend, answer in self._held:
            super().keep_spend(spend, answer)
        self._held.clear()


class LooseTeller(Teller):
    """Books the entry, and then the spend."""

    def book(self, ledger: LedgerPart, facts: Mapping[str, Any]) -> Told:
        """Books in two steps."""
        told = super().book(ledger, facts)
        assert isinstance(self.till, LooseTill)
        self.till.flush()
        return told


class DeafTeller(Teller):
    """Trusts its own clock alone."""

    def observe(self) -> None:
        """Hears nothing of the time that was stated."""


class CarelessOutbox(Outbox):
    """Deletes through whatever number the core names."""

    def settle(
        self, acknowledgement: bytes, verify: Callable[[bytes, bytes], None], topic: str
    ) -> int:
        """Deletes."""
        stored = read_stored(acknowledgement, Ear(verify, topic, self.device))
        with self._store.transaction():
            self._refuse_future(stored.epoch, stored.seq)
            return self._delete(stored.epoch, stored.seq)


class SilentStream(SealedStream):
    """Says nothing of what was dropped."""

    def _tell_gaps(self, dropped: Sequence[Dropped]) -> None:
        pass


def release_by_core_clock(
    connection: Connection, device: str, key: bytes, message: bytes, now_us: int
) -> None:
    """Releases as if the kiosk had said that its clock is right."""
    try:
        request = open_request(message, verifier(key), device)
    except PeerError:
        return
    release_expired(connection, replace(request, wall_us=now_us), now_us)


@contextlib.contextmanager
def trusting_counters() -> Iterator[None]:
    """Lets the core believe any counter."""
    plain = core_contact._doubt
    core_contact._doubt = lambda *_: ""
    try:
        yield
    finally:
        core_contact._doubt = plain


def forget_queue(connection: Connection, device: str) -> None:
    """Loses what was accepted and not posted yet, as if the queue were another transaction's."""
    connection.execute(
        "DELETE FROM post_queue USING journal_entries e "
        "WHERE e.op_id = post_queue.op_id AND e.device = %s",
        [device],
    )
