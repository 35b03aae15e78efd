"""What can be saved of a damaged journal: the longest chain that its legible rows still make.

Place in the flow: damaged file → **recovery** → fresh file → journal begins a new epoch.

* A row counts only when its bytes chain from what was saved before it, to the hash beside it: so
  nothing that was changed is ever saved, wherever in the file it was found.
* Rows are looked for by index and by place; what cannot be read is passed over, row by row.
* A damaged file is only read. Whatever stands in it, this raises nothing.
* All that is legible is held in memory at once: some 10 MB for a year of a village counter.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edge.closing import open_day_closed
from edge.entry import NUMBER_MAX, Head, chain, decode_entry, genesis, recovered_from
from edge.errors import DeviceFault, PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from edge.store import Store

    Verify = Callable[[bytes, bytes], None]

RANGE_ROWS: Final = 64
EMPTY_RANGES_MAX: Final = 8
"""So many ranges without a legible row, and no more are looked for: the chain ends there anyway,
and what lies behind only tells which epochs were used."""


@dataclass(frozen=True, slots=True)
class Salvage:
    """What was saved.

    Attributes:
        head: The last entry that was saved; seq 0 of epoch 1 when none was.
        entries: (place and hash, entry) of all that was saved, in order.
        anchor: Where the journal was pruned, and the core's word for it, or None.
        epoch: The highest epoch of ours that any legible row names, saved or not.
    """

    head: Head
    entries: list[tuple[Head, bytes]] = field(default_factory=list)
    anchor: tuple[Head, bytes] | None = None
    epoch: int = 1


def nothing_saved(device: str) -> Salvage:
    """Returns what is saved of a file that is gone, or cannot be opened at all."""
    return Salvage(Head(1, 0, genesis(device, 1)))


def salvage_journal(store: Store, device: str, verify: Verify) -> Salvage:
    """Looks through a damaged file.

    Args:
        store: A copy of it, opened for reading or writing.
        device: Whose journal it must be.
        verify: Checks signatures of the core, for what was pruned.
    """
    found: dict[tuple[int, int], set[tuple[Head, bytes]]] = {}
    epochs = {1}
    for place, entry in _legible(store, "journal", "entry"):
        found.setdefault((place.epoch, place.seq), set()).add((place, entry))
        epochs.update(_own(entry, device))
    anchor = _find_anchor(store, device, verify)
    head = anchor[0] if anchor else nothing_saved(device).head
    entries = list(_follow(found, head, device))
    last = entries[-1][0] if entries else head
    return Salvage(last, entries, anchor, max(last.epoch, *epochs))


def refill_journal(store: Store, salvage: Salvage) -> None:
    """Writes what was saved into a fresh store, inside of a transaction or not."""
    if salvage.anchor is not None:
        at, statement = salvage.anchor
        store.execute(
            "INSERT INTO journal_anchors (epoch, seq, hash, statement) VALUES (?, ?, ?, ?)",
            (at.epoch, at.seq, at.hash, statement),
        )
    store.execute_many(
        "INSERT INTO journal (epoch, seq, entry, hash) VALUES (?, ?, ?, ?)",
        [(at.epoch, at.seq, entry, at.hash) for at, entry in salvage.entries],
    )


# ------------------------------------------------------------------ finding
def _legible(store: Store, table: str, content: str) -> Iterator[tuple[Head, bytes]]:
    """Yields every row that can be read, most of them twice: found by index, and by place."""
    columns = f"SELECT epoch, seq, hash, {content} FROM {table}"  # noqa: S608 - our own names
    with contextlib.suppress(DeviceFault):
        yield from _typed(store.rows(f"{columns} ORDER BY epoch, seq"))
    start, empty = _lowest(store, table), 0
    while empty < EMPTY_RANGES_MAX:
        rows = list(_typed(_range(store, f"{columns} NOT INDEXED", start, RANGE_ROWS)))
        yield from rows
        empty = 0 if rows else empty + 1
        start += RANGE_ROWS


def _lowest(store: Store, table: str) -> int:
    """Returns the place before the first row; where that row is lost, so is all that follows it."""
    lowest = f"SELECT min(rowid) AS lowest FROM {table} NOT INDEXED"  # noqa: S608 - as above
    with contextlib.suppress(DeviceFault):
        found = store.rows(lowest)[0]["lowest"]
        return int(found or 1) - 1
    return 0


def _range(store: Store, columns: str, start: int, count: int) -> list[dict[str, Any]]:
    """Reads rows by their place in the table, and halves what cannot be read, down to one."""
    try:
        rows = store.rows(f"{columns} WHERE rowid > ? AND rowid <= ?", (start, start + count))
    except DeviceFault:
        if count == 1:
            return []
        half = count // 2
        return [
            *_range(store, columns, start, half),
            *_range(store, columns, start + half, count - half),
        ]
    return rows


def _typed(rows: list[dict[str, Any]]) -> Iterator[tuple[Head, bytes]]:
    """Yields the rows whose columns hold what they must; a damaged file has what it has."""
    for row in rows:
        epoch, seq, link, content = row.values()
        numbers = isinstance(epoch, int) and isinstance(seq, int)
        if numbers and isinstance(link, bytes) and isinstance(content, bytes):
            yield Head(epoch, seq, link), content


def _find_anchor(store: Store, device: str, verify: Verify) -> tuple[Head, bytes] | None:
    """Returns the newest anchor that the core's word still covers."""
    best: tuple[Head, bytes] | None = None
    for place, statement in _legible(store, "journal_anchors", "statement"):
        with contextlib.suppress(PeerError):
            at = open_day_closed(statement, verify, device).at
            covers = (at.epoch, at.seq) > (place.epoch, place.seq) or at == place
            newer = best is None or (place.epoch, place.seq) > (best[0].epoch, best[0].seq)
            if covers and newer:
                best = place, statement
    return best


def _follow(
    found: Mapping[tuple[int, int], set[tuple[Head, bytes]]], at: Head, device: str
) -> Iterator[tuple[Head, bytes]]:
    """Yields what chains from a place on, and goes on with the epoch that names its last entry."""
    starts = sorted(epoch for epoch, seq in found if seq == 1)
    while True:
        step = _chained(found.get((at.epoch, at.seq + 1), set()), at.hash)
        for epoch in (each for each in starts if each > at.epoch and step is None):
            rows = {row for row in found[epoch, 1] if recovered_from(row[1]) == at}
            step = _chained(rows, genesis(device, epoch))
        if step is None:
            return
        yield step
        at = step[0]


def _chained(rows: set[tuple[Head, bytes]], before: bytes) -> tuple[Head, bytes] | None:
    return next((row for row in rows if chain(before, row[1]) == row[0].hash), None)


def _own(entry: bytes, device: str) -> Iterator[int]:
    """Yields the epoch that an entry of ours names."""
    with contextlib.suppress(PeerError):
        record = decode_entry(entry)
        if record["device"] == device and 1 <= record["epoch"] < NUMBER_MAX:
            yield record["epoch"]
