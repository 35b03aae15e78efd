"""Bugs on purpose: what the power cuts must find, or they prove nothing.

Place in the flow: life → **flaws** → store, books, box, pages.

* Each is the real code with one rule broken. A life takes the name of one, or none.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.codec import encode
from edge.mirror import Mirror
from edge.ratchet import RatchetKeys
from tests.powercut.books import Books
from tests.powercut.box import Box
from tests.powercut.pages import Pages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.ratchet import Drawn
    from edge.store import Store
    from edge.suites import Aead
    from tests.powercut.machine import Machine


def _as_it_is(store: Store) -> None:
    """Leaves a store as `open_store` makes it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a life is made of.

    Attributes:
        told: What is wrong, in a sentence.
    """

    told: str = ""
    prepare: Callable[[Store], None] = _as_it_is
    lazy_disk: bool = False
    books: Callable[[Machine], Books] = Books
    box: Callable[[Machine], Box] = Box
    pages: Callable[[Machine], Pages] = Pages


SOUND: Final = Parts()


def _sync(level: str) -> Callable[[Store], None]:
    def prepare(store: Store) -> None:
        store.execute(f"PRAGMA synchronous = {level}")

    return prepare


def _log_in_memory(store: Store) -> None:
    store.row("PRAGMA journal_mode = MEMORY")


# ------------------------------------------------------------------ journal
class LooseBooks(Books):
    """Writes the state after the transaction of its entry."""

    def write(self, count: int, undone: bool) -> dict[int, bytes]:
        """Writes in two steps."""
        if undone:
            return super().write(count, undone)
        with self.store.transaction():
            made = [self.append() for _ in range(count)]
        for entry in made:
            self.change(entry)
        return {entry.seq: entry.hash for entry in made}


class NestlessStore:
    """A store whose transactions are none: each statement stands alone."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Begins and ends nothing."""
        yield


class HalfPruned(Books):
    """Sets the anchor, and deletes what it covers in another transaction."""

    def prune(self, statement: bytes, keep: int) -> None:
        """Prunes in two steps."""
        self.journal._store = NestlessStore(self.store)  # type: ignore[assignment]
        try:
            super().prune(statement, keep)
        finally:
            self.journal._store = self.store


class LateCounter:
    """Remembers where to go, until `flush`."""

    def __init__(self, machine: Machine) -> None:
        self._counter = machine.counter
        self._wanted = 0

    def read(self) -> int:
        """Returns the value."""
        return max(self._wanted, self._counter.read())

    def advance_to(self, value: int) -> None:
        """Puts it off."""
        self._wanted = value

    def flush(self) -> None:
        """Goes there."""
        self._counter.advance_to(self._wanted)


class LateBooks(Books):
    """Advances the counter once the entry is committed."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.counter = machine.counter

    def boot(self, store: Store) -> None:
        """Opens the journal with a counter that comes late."""
        super().boot(store)
        self._late = LateCounter(self.machine)
        self.journal._counter = self._late

    def write(self, count: int, undone: bool) -> dict[int, bytes]:
        """Writes, then counts."""
        made = super().write(count, undone)
        self._late.flush()
        return made


# ------------------------------------------------------------------ outbox
class TrustingBox(Box):
    """Deletes a message as soon as it is on its way."""

    def publish(self) -> None:
        """Sends and deletes."""
        for message in self.outbox.due(16):
            self.send(message.payload)
            with self.store.transaction():
                self.outbox._delete(message.epoch, message.seq)


class HastyBox(Box):
    """Lets a message leave before its transaction is committed."""

    def seal(self) -> None:
        """Seals and sends in one transaction."""
        with self.store.transaction():
            self._seal_one()
            for message in self.outbox.due(1_000):
                self.send(message.payload)


class LateRatchet(RatchetKeys):
    """Gives a chain key away, and steps the seed once the next one is wanted."""

    def draw(self, lowest: int, suite: Aead) -> Drawn:
        """Reads the seed, and puts the step off."""
        self._flush()
        drawn, following = self._step(lowest, suite)
        self._put_off = (drawn.epoch + 1, following, suite.ratchet_hash.name)
        return drawn

    def _flush(self) -> None:
        step = getattr(self, "_put_off", None)
        if step is not None:
            self._store.execute("UPDATE device_seed SET epoch = ?, chain_key = ?, hash = ?", step)


class LateKeysBox(Box):
    """Has a seed that is stepped after use."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.seed = self.seed or machine.token(32)

    def make_keys(self, store: Store) -> RatchetKeys:
        """Returns the careless keys."""
        return LateRatchet(store)


# ------------------------------------------------------------------ mirror
class HalfPages(Pages):
    """Applies the items of a page, and then moves the cursor."""

    def apply(self, page: dict[str, Any]) -> None:
        """Applies in two steps."""
        scope = page["scope"]
        for key, value in page["upserts"]:
            self.store.execute(
                "INSERT INTO mirror_items (scope, key, value) VALUES (?, ?, ?) "
                "ON CONFLICT (scope, key) DO UPDATE SET value = excluded.value",
                (scope, key, encode(value)),
            )
        Mirror(self.store).apply(page)


FLAWS: Final = {
    "synchronous-normal": Parts("The log is not synced at commit.", _sync("NORMAL")),
    "synchronous-off": Parts("Nothing is ever synced.", _sync("OFF")),
    "log-in-memory": Parts("What undoes half a commit is in memory alone.", _log_in_memory),
    "lying-disk": Parts("The disk says that it synced, and did not.", lazy_disk=True),
    "state-outside": Parts("An entry and its state are two transactions.", books=LooseBooks),
    "counter-after-commit": Parts("The counter moves after the entry.", books=LateBooks),
    "prune-in-two": Parts("Anchor and deletion are two transactions.", books=HalfPruned),
    "ratchet-after-use": Parts("The seed steps once its key is used.", box=LateKeysBox),
    "settle-before-answer": Parts("Sent is taken for stored.", box=TrustingBox),
    "leave-before-commit": Parts("A message leaves before it is committed.", box=HastyBox),
    "page-in-two": Parts("Items and cursor of a page are two transactions.", pages=HalfPages),
}  # fmt: skip
