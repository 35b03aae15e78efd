"""Says what is wrong, from the core's store and lake and the drives themselves, from nothing else.

Place in the flow: PostgreSQL and Parquet of the core, recordings → **oracle** → violations.

* It never asks the box, and the core only for what it has, never for what the core makes of it:
  chains and signatures are computed anew here.
* Numbers of an epoch run from 0, its start, to its signed end; so what was made is known even where
  nothing of it came.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from edge.chain import next_head, start_head
from edge.errors import PeerError
from edge.keys import open_evidence
from tests.soak.drive import Span, event_line, spans_of, trip_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import psycopg

    from tests.soak.drive import Drive

    Verify = Callable[[bytes, bytes], None]
    Line = Callable[[dict[str, Any]], str]

SHOWN = 4


@dataclass(frozen=True, slots=True)
class Gap:
    """What a box has signed to be lost: `first` to `last`, so many of each priority."""

    first: int
    last: int
    head: bytes
    lost: Mapping[str, int]


@dataclass(slots=True)
class Epoch:
    """What the core has of an epoch.

    Attributes:
        messages: By number.
        kinds: By number, as the core has sorted them.
        gaps: Signed, each that came.
        end: What the box signed at its end; None when that has not come.
    """

    messages: dict[int, bytes] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    end: tuple[int, bytes] | None = None

    @property
    def made(self) -> set[int]:
        """Every number that was made, its start and its end among them."""
        return set(range(self.end[0] + 2)) if self.end else set(self.messages)

    @property
    def lost(self) -> set[int]:
        """What was made and is not here."""
        return self.made - set(self.messages)

    @property
    def told(self) -> set[int]:
        """What is signed to be lost."""
        return {seq for gap in self.gaps for seq in range(gap.first, gap.last + 1)}

    @property
    def lost_by(self) -> Counter[str]:
        """What the widest of the gaps say, by priority."""
        wide = [
            gap
            for gap in self.gaps
            if not any(
                other is not gap and other.first <= gap.first and gap.last <= other.last
                for other in self.gaps
            )
        ]
        return sum((Counter(gap.lost) for gap in wide), Counter())

    def head(self) -> bytes | None:
        """Computes the chain's value before the end anew; None where it cannot be."""
        if self.end is None or 0 not in self.messages:
            return None
        head, seq = start_head(self.messages[0]), 0
        while seq < self.end[0]:
            message = self.messages.get(seq + 1)
            if message is not None:
                head, seq = next_head(head, message), seq + 1
                continue
            gap = max(
                (each for each in self.gaps if each.first <= seq + 1 <= each.last),
                key=lambda each: each.last,
                default=None,
            )
            if gap is None:
                return None
            head, seq = gap.head, gap.last
        return head


@dataclass(slots=True)
class Finding:
    """What the core has, and what of it must not be so.

    Attributes:
        violations: Sentences; none is what one hopes for.
        batches: Made; those that are signed to be lost among them.
        delivered: In the core's store.
        lost: Numbers and spans that are missing, and no gap tells of.
        twice: Spans of which the lake holds more than was measured.
        dropped: Numbers that are missing, and a signed gap tells of.
        dropped_by: The same by priority, as the gaps say.
        evened: Spans with all their values, but not at the same times.
    """

    violations: list[str] = field(default_factory=list)
    batches: int = 0
    delivered: int = 0
    lost: int = 0
    twice: int = 0
    dropped: int = 0
    dropped_by: Counter[str] = field(default_factory=Counter)
    evened: list[int] = field(default_factory=list)

    def require(self, holds: object, sentence: str) -> None:
        """Notes what does not hold."""
        if not holds:
            self.violations.append(sentence)


class Oracle:
    """Judges what a core has of one box.

    Args:
        connection: To the core's database.
        lake: Its folder.
        box: Its id, and what verifies its signatures.
        topic: Of its uplink.

    Attributes:
        splits: Windows that were split because the box was asked to stop: their times may be
            evened anew.
    """

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        lake: Path,
        box: tuple[str, Verify],
        topic: str,
    ) -> None:
        self._connection = connection
        self._lake = lake
        self._device, self._verify = box
        self._topic = topic
        self.splits = 0

    def judge(self, whole: Sequence[Drive], overflown: Sequence[Drive] = ()) -> Finding:
        """Compares the core with drives.

        Args:
            whole: Of these nothing may be missing.
            overflown: Of these whole spans may be missing, as many as are signed to be lost.
        """
        finding = Finding()
        epochs = self._epochs(finding)
        for number in sorted(epochs):
            self._judge_epoch(number, epochs[number], finding)
        finding.require(
            sorted(epochs) == list(range(1, len(epochs) + 1)),
            f"Epochs are missing; there are {sorted(epochs)}.",
        )
        self._judge_samples(whole, overflown, finding)
        drives = [*whole, *overflown]
        self._judge_rows("events", event_line, sum((d.events for d in drives), Counter()), finding)
        trips = sum((each.trips for each in drives), Counter())
        self._judge_rows("trips", _trip_of, trips, finding)
        self._judge_leftovers(finding)
        return finding

    # ------------------------------------------------------------ epochs
    def _epochs(self, finding: Finding) -> dict[int, Epoch]:
        epochs: defaultdict[int, Epoch] = defaultdict(Epoch)
        rows = self._connection.execute(
            "SELECT epoch, seq, kind, message FROM telemetry_messages WHERE device = %s",
            (self._device,),
        )
        for number, seq, kind, message in rows:
            epochs[number].messages[seq] = bytes(message)
            epochs[number].kinds[seq] = kind
            if kind == "epoch-close":
                record = self._open(bytes(message), finding)
                epochs[number].end = record.get("count", 0), record.get("head", b"")
        for (message,) in self._connection.execute(
            "SELECT message FROM telemetry_gaps WHERE device = %s", (self._device,)
        ):
            record = self._open(bytes(message), finding)
            gap = Gap(record["first"], record["last"], record["head"], record["lost"])
            epochs[record["epoch"]].gaps.append(gap)
        return epochs

    def _open(self, message: bytes, finding: Finding) -> dict[Any, Any]:
        try:
            return open_evidence(message, self._verify, self._topic, self._device)
        except PeerError as error:
            finding.violations.append(f"The core has evidence that is not the box's: {error}")
            return {}

    def _judge_epoch(self, number: int, epoch: Epoch, finding: Finding) -> None:
        finding.require(epoch.end is not None, f"Epoch {number} has no signed end.")
        silent = sorted(epoch.lost - epoch.told)
        finding.lost += len(silent)
        finding.require(
            not silent, f"Epoch {number}: {_few(silent)} are missing, and no gap tells of them."
        )
        both = sorted(epoch.told & set(epoch.messages))
        finding.require(not both, f"Epoch {number}: {_few(both)} are here and signed to be lost.")
        head = epoch.head()
        finding.require(
            epoch.end is None or head == epoch.end[1],
            f"Epoch {number}: the chain of its messages does not end where the box signed.",
        )
        told = epoch.lost & epoch.told
        finding.require(
            sum(epoch.lost_by.values()) == len(told),
            f"Epoch {number}: the gaps speak of {dict(epoch.lost_by)}, and {len(told)} are lost.",
        )
        finding.dropped += len(told)
        finding.dropped_by += epoch.lost_by
        stored = sum(kind == "batch" for kind in epoch.kinds.values())
        finding.delivered += stored
        finding.batches += stored + len(epoch.lost)

    # ------------------------------------------------------------ the lake
    def _judge_samples(
        self, whole: Sequence[Drive], overflown: Sequence[Drive], finding: Finding
    ) -> None:
        kept = spans_of(self._read("samples", ["signal", "time_us", "raw"]))
        may_lack = {span for drive in overflown for span in drive.samples}
        lacking: list[int] = []
        for drive in (*whole, *overflown):
            for number, wanted in drive.samples.items():
                found = kept.pop(number, Span())
                if found == Span() and number in may_lack:
                    lacking.append(number)
                elif found != wanted:
                    self._judge_span(number, (found, wanted), finding)
        finding.require(
            len(finding.evened) <= self.splits,
            f"Spans {_few(finding.evened)} have the values of the drive at other times, and only"
            f" {self.splits} windows were split.",
        )
        finding.require(not kept, f"Spans {_few(sorted(kept))} were never driven.")
        finding.require(
            len(lacking) == finding.dropped_by["raw"],
            f"{len(lacking)} windows are missing, and the gaps tell of"
            f" {finding.dropped_by['raw']}.",
        )

    def _judge_span(self, number: int, pair: tuple[Span, Span], finding: Finding) -> None:
        found, wanted = pair
        if (found.count, found.values) == (wanted.count, wanted.values):
            finding.evened.append(number)
            return
        finding.twice += found.count > wanted.count
        finding.lost += found.count <= wanted.count
        finding.violations.append(
            f"Span {number} has {found.count} samples, and the drive {wanted.count}"
            f"{'' if found.count != wanted.count else ', but others'}."
        )

    def _judge_rows(
        self,
        kind: str,
        line: Callable[[dict[str, Any]], str],
        wanted: Counter[str],
        finding: Finding,
    ) -> None:
        found = Counter(line(row) for table in self._read(kind) for row in table.to_pylist())
        finding.require(not wanted - found, f"Of {kind} there lack {_few(list(wanted - found))}.")
        finding.require(
            not found - wanted, f"Of {kind} there are too many: {_few(list(found - wanted))}."
        )

    def _read(self, kind: str, columns: list[str] | None = None) -> Iterable[Any]:
        for path in sorted((self._lake / kind).glob("day=*/*.parquet")):
            yield pq.read_table(path, columns=columns)

    def _judge_leftovers(self, finding: Finding) -> None:
        refused = self._connection.execute(
            "SELECT reason, count FROM telemetry_counts WHERE outcome = 'refused'"
        ).fetchall()
        finding.require(not refused, f"The core has refused messages: {dict(refused)}.")
        aside = self._connection.execute(
            "SELECT count(*) FROM telemetry_messages WHERE quarantine IS NOT NULL"
        ).fetchone()
        finding.require(aside == (0,), f"The core has set messages aside: {aside}.")


def _trip_of(row: dict[str, Any]) -> str:
    return trip_line(json.loads(row["summary"]))


def _few(items: Sequence[Any]) -> str:
    rest = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(str(each) for each in items[:SHOWN]) + rest
