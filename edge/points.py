"""A points table (scorecard) as data: read, checked, and turned into points bin by bin.

Place in the flow: a JSON document → **points** → grade at the core, and today's grade at the box
(ADR 0020). A trained scorecard and the expert table that ships with the repository have the same
shape, so that replacing one is a release of data.

* A table is identified by the SHA-256 of its exact bytes: a decision names the table it used.
* Bins of a feature are half-open, [previous edge, `below`), and cover every finite number.
* Every feature has points for *missing*; absent data never raises and never counts as zero.
* Points are integers, so that reasons add up to the score exactly.
* Advice is the next better bin that a driver can reach by doing less of something; kilometres are
  no advice.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TABLE_BYTES_MAX = 1_000_000
UNRATED = "unrated"


class Missing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a feature is worth when nothing is known about it."""

    points: int
    zh: str
    en: str


class Bin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Points for values under `below` and not under the previous bin's; None = no upper edge."""

    below: float | None
    points: int
    zh: str
    en: str


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of the score."""

    name: str
    zh: str
    en: str
    bins: tuple[Bin, ...]
    missing: Missing

    def place(self, value: float | None) -> Bin | Missing:
        """Returns the bin a value falls into; NaN and infinities count as missing."""
        if value is None or not math.isfinite(value):
            return self.missing
        return next(each for each in self.bins if each.below is None or value < each.below)


class Cut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lowest score of a grade; None on the lowest grade."""

    grade: str
    score_min: int | None


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    version: int
    kind: str
    source: str
    date: str
    base: int
    known_features_min: int
    features: tuple[Feature, ...]
    grades: tuple[Cut, ...]


class PointsTable(msgspec.Struct, frozen=True):
    """A checked table.

    Attributes:
        sha256: Of the bytes it was read from, hexadecimal.
        base: Points that everyone begins with.
        known_features_min: With fewer known features the grade is `unrated`.
        features: In the order in which reasons are listed.
        grades: Best first.
    """

    id: str
    version: int
    sha256: str
    source: str
    date: str
    base: int
    known_features_min: int
    features: tuple[Feature, ...]
    grades: tuple[Cut, ...]

    def grade_of(self, score: int, known: int) -> str:
        """Returns the grade of a score that rests on `known` features."""
        if known < self.known_features_min:
            return UNRATED
        return next(c.grade for c in self.grades if c.score_min is None or score >= c.score_min)


@dataclass(frozen=True, slots=True)
class Reason:
    """What one feature is worth, and why.

    Attributes:
        raise_points: Points that the next better bin would add; 0 where there is none to reach.
        raise_below: The feature is in that bin when it is under this.
    """

    feature: str
    value: float | None
    placed: Bin | Missing
    best: int
    raise_points: int
    raise_below: float | None

    @property
    def cost(self) -> int:
        """Points that the best bin of the feature has more."""
        return self.best - self.placed.points


@dataclass(frozen=True, slots=True)
class Score:
    """Points added up; base + the points of all reasons = score, exactly."""

    score: int
    grade: str
    reasons: tuple[Reason, ...]

    def costly(self, count: int) -> list[Reason]:
        """Returns the reasons that cost most, of those that a driver can do something about."""
        found = [each for each in self.reasons if each.raise_points > 0]
        return sorted(found, key=lambda each: -each.cost)[:count]


def score_of(table: PointsTable, features: Mapping[str, float | None]) -> Score:
    """Adds up the points of features; one that is absent or None counts as missing."""
    reasons = tuple(_reason(each, features.get(each.name)) for each in table.features)
    score = table.base + sum(each.placed.points for each in reasons)
    known = sum(each.value is not None for each in reasons)
    return Score(score, table.grade_of(score, known), reasons)


def _reason(feature: Feature, value: float | None) -> Reason:
    placed = feature.place(value)
    best = max(each.points for each in feature.bins)
    better: Bin | None = None
    if isinstance(placed, Bin):
        lower = feature.bins[: feature.bins.index(placed)]
        better = next((each for each in reversed(lower) if each.points > placed.points), None)
    gained = better.points - placed.points if better else 0
    return Reason(feature.name, value, placed, best, gained, better.below if better else None)


def read_table(document: bytes) -> PointsTable:
    """Reads and checks a points table.

    Args:
        document: UTF-8 JSON, at most 1 MB.

    Raises:
        LocalError: The table is no JSON of this shape or breaks an invariant; the text says where.
    """
    if len(document) > TABLE_BYTES_MAX:
        raise LocalError("The points table is larger than 1 MB; split it.", "points-size")
    try:
        raw = msgspec.json.decode(document, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LocalError(f"The points table cannot be read: {error}.", "points-shape") from error
    _check_grades(raw.grades)
    _check_features(raw)
    return PointsTable(
        id=raw.id,
        version=raw.version,
        sha256=hashlib.sha256(document).hexdigest(),
        source=raw.source,
        date=raw.date,
        base=raw.base,
        known_features_min=raw.known_features_min,
        features=raw.features,
        grades=raw.grades,
    )


def shipped_document() -> bytes:
    """Returns the exact bytes of the table for driving behaviour that ships with the package."""
    return resources.files("edge").joinpath("driver_points.json").read_bytes()


def shipped_table() -> PointsTable:
    """Returns that table, read."""
    return read_table(shipped_document())


def _check_features(raw: _Document) -> None:
    names = [feature.name for feature in raw.features]
    if not names or len(set(names)) != len(names):
        raise LocalError("Every feature of a points table needs a name of its own.", "points-names")
    if not 0 <= raw.known_features_min <= len(names):
        raise LocalError("known_features_min exceeds the number of features.", "points-known")
    for feature in raw.features:
        _check_edges(feature)
        texts: list[Feature | Missing | Bin] = [feature, feature.missing, *feature.bins]
        if not all(each.zh and each.en for each in texts):
            raise LocalError(f"{feature.name} lacks a Chinese or English text.", "points-text")


def _check_edges(feature: Feature) -> None:
    edges = [each.below for each in feature.bins]
    if not edges or edges[-1] is not None:
        raise LocalError(f"The last bin of {feature.name} must be open (null).", "points-open")
    closed = [edge for edge in edges[:-1] if edge is not None]
    if len(closed) != len(edges) - 1 or not _rises(closed):
        raise LocalError(f"The edges of {feature.name} must rise from bin to bin.", "points-edges")


def _check_grades(cuts: Sequence[Cut]) -> None:
    lows = [cut.score_min for cut in cuts]
    closed = [low for low in lows[:-1] if low is not None]
    if not lows or lows[-1] is not None or len(closed) != len(lows) - 1:
        raise LocalError("Only the lowest grade, and that one, has score_min null.", "points-open")
    if not _rises(closed[::-1]) or len({cut.grade for cut in cuts}) != len(cuts):
        raise LocalError("Grades are listed best first, each with a lower cut-off.", "points-cuts")


def _rises(values: Sequence[float]) -> bool:
    return all(lower < upper for lower, upper in pairwise(values))
