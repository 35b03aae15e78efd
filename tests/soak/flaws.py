"""Bugs on purpose: what the soak must be able to find, or it proves nothing.

Place in the flow: run --planted → life → child → **flaws** → the box or the core, with a rule less.

* Each is the real program with one promise left out, in the process where the promise is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.ports import FrameChunk
    from edge.tally import Tally
    from vehicle_gateway.batch import Batcher
    from vehicle_gateway.mqtt import Publisher

FORGET_EVERY: Final = 5


def _checkpoint_apart() -> None:
    """The checkpoint of a window is written by the transaction of the next one."""
    from vehicle_gateway.batch import Batcher

    plain_take, plain_save = Batcher.take, Batcher._save

    def take(self: Batcher, window: FrameChunk) -> None:
        plain_save(self)
        plain_take(self, window)

    Batcher.take = take  # type: ignore[method-assign]
    Batcher._save = lambda self: None  # type: ignore[method-assign] # noqa: ARG005 - its name


def _drops_uncounted() -> None:
    """Every other message that makes room is not counted."""
    from edge.tally import Tally

    plain, seen = Tally.add, [0]

    def add(self: Tally, name: str, by: int) -> None:
        seen[0] += name.startswith("dropped_")
        if not name.startswith("dropped_") or seen[0] % 2:
            plain(self, name, by)

    Tally.add = add  # type: ignore[method-assign]


def _puback_settles() -> None:
    """The box deletes what the broker has confirmed, as most clients of MQTT do."""
    from vehicle_gateway.mqtt import Publisher

    plain = Publisher._act

    def act(self: Publisher, kind: str, value: Any) -> bool:
        key = self._mids.get(value) if kind == "puback" else None
        outbox = self._sink.outbox
        row = outbox._row(*key) if key else None
        if row is not None and row["message"] is not None:
            with self._sink.store.transaction():
                outbox._empty(row)
        return plain(self, kind, value)

    Publisher._act = act  # type: ignore[method-assign]


def _acknowledge_unstored() -> None:
    """The core acknowledges messages that it has lost again."""
    from backend_sync.telemetry import store

    plain = store._save

    def save(connection: Any, work: Any, known_us: int) -> None:
        plain(connection, work, known_us)
        connection.execute(
            "DELETE FROM telemetry_messages WHERE kind = 'batch' AND known_us = %s"
            " AND seq %% %s = 0",
            (known_us, FORGET_EVERY),
        )

    store._save = save


def _twice_in_the_lake() -> None:
    """A flush that was killed is planned anew instead of repeated."""
    from backend_sync.telemetry import lake

    plain = lake._finish

    def finish(connection: Any, number: int, opened: Any, files: Any) -> None:
        plain(connection, number, opened, files)
        if number == 1:
            connection.execute("UPDATE telemetry_messages SET flush = NULL WHERE flush = 1")

    lake._finish = finish


BOX: Final[Mapping[str, Callable[[], None]]] = {
    "checkpoint-apart": _checkpoint_apart,
    "drops-uncounted": _drops_uncounted,
    "puback-settles": _puback_settles,
}
CORE: Final[Mapping[str, Callable[[], None]]] = {
    "acknowledge-unstored": _acknowledge_unstored,
    "twice-in-the-lake": _twice_in_the_lake,
}
FLAWS: Final[Mapping[str, str]] = {
    name: str(plant.__doc__) for name, plant in {**BOX, **CORE}.items()
}
