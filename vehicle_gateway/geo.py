"""Local geometry in whole numbers: how far from a road, whether within an area, what is near.

Place in the flow: places → **geo** → events (limits, corridors, bans), collect (fences).

Theory of operation. Around the point that is asked for, the Earth is a plane: every corner becomes
millimetres east and north of it, by the length of a degree at its latitude (WGS 84). Within a
kilometre of the point, where it matters, the error is below a millimetre per metre up to 85°.
Whether a point lies within an area needs no lengths at all: the sides that pass east of it are
counted, exactly, in millionths of a degree.

    index   cell (~1.1 km) → the pieces whose box touches it        most questions see a few pieces
            pieces of more than `CELLS_MAX` cells stand in a list   asked by their box alone

* Integers all through but for the length of a degree, which is rounded to a millimetre.
* A line that crosses the 180th meridian is as any other.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import cos, isqrt, radians
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vehicle_gateway.places import Point

MICRO: Final = 1_000_000
HALF_TURN: Final = 180 * MICRO
TURN: Final = 2 * HALF_TURN
BAND: Final = 5_000
"""Millionths of a degree within which the length of a degree is taken for the same."""
CELL: Final = 10_000
CELLS_MAX: Final = 256

Box = tuple[int, int, int, int]


class Near(NamedTuple):
    """A place that holds where it was asked for.

    Attributes:
        owner: Its number, as given to the index.
        distance_mm: From its line; 0 within an area or a circle.
        is_line: Whether it is a line.
    """

    owner: int
    distance_mm: int
    is_line: bool


class _Piece(NamedTuple):
    """A stretch of a line, an area or a circle, with the box in which it may hold."""

    owner: int
    points: tuple[Point, ...]
    reach_mm: int
    is_area: bool
    south: int
    north: int
    west: int
    width: int


# ------------------------------------------------------------------ lengths
def scale_at(latitude: int) -> tuple[int, int]:
    """Returns the lengths of a degree northwards and eastwards in millimetres.

    Source: series of the meridian and the parallel on the ellipsoid of WGS 84 (NIMA TR8350.2).
    """
    return _scale(latitude // BAND)


@lru_cache(maxsize=256)
def _scale(band: int) -> tuple[int, int]:
    angle = radians((band * BAND + BAND // 2) / MICRO)
    north = 111_132_954 - 559_822 * cos(2 * angle) + 1_175 * cos(4 * angle)
    east = 111_412_840 * cos(angle) - 93_500 * cos(3 * angle) + 118 * cos(5 * angle)
    return round(north), round(east)


def distance_mm(one: Point, other: Point) -> int:
    """Returns how far two points are apart, for up to some kilometres."""
    east, north = _from(one, other)
    return isqrt(east * east + north * north)


def distance_to_line_mm(point: Point, line: Sequence[Point]) -> int:
    """Returns how far a point is from a line of one point or more."""
    corners = [_from(point, corner) for corner in line]
    if len(corners) == 1:
        return isqrt(corners[0][0] ** 2 + corners[0][1] ** 2)
    return isqrt(min(_square(one, other) for one, other in pairwise(corners)))


def _from(point: Point, other: Point) -> tuple[int, int]:
    """Millimetres east and north from one point to another."""
    north, east = scale_at((point[0] + other[0]) // 2)
    apart = (other[1] - point[1] + HALF_TURN) % TURN - HALF_TURN
    return apart * east // MICRO, (other[0] - point[0]) * north // MICRO


def _square(one: tuple[int, int], other: tuple[int, int]) -> int:
    """Square of the distance from the origin to a stretch."""
    east, north = other[0] - one[0], other[1] - one[1]
    length = east * east + north * north
    along = -(one[0] * east + one[1] * north)
    if along <= 0:
        return one[0] * one[0] + one[1] * one[1]
    if along >= length:
        return other[0] * other[0] + other[1] * other[1]
    across = one[0] * north - one[1] * east
    return across * across // length


# ------------------------------------------------------------------ areas
def is_within(point: Point, area: Sequence[Point]) -> bool:
    """Says whether a point lies within an area, its edge included; exact."""
    corners = [
        ((longitude - point[1] + HALF_TURN) % TURN - HALF_TURN, latitude - point[0])
        for latitude, longitude in area
    ]
    inside = False
    before = corners[-1]
    for corner in corners:
        across = before[0] * corner[1] - before[1] * corner[0]
        if across == 0 and _spans(before, corner):
            return True
        if (before[1] > 0) != (corner[1] > 0) and (across > 0) == (corner[1] > before[1]):
            inside = not inside
        before = corner
    return inside


def _spans(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether the origin, on the line through both, lies between them."""
    return one[0] * other[0] <= 0 and one[1] * other[1] <= 0


# ------------------------------------------------------------------ index
class Index:
    """Finds the places that hold at a point among thousands, in microseconds."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[_Piece]] = {}
        self._wide: list[_Piece] = []

    def add_line(self, owner: int, line: Sequence[Point], reach_m: int) -> None:
        """Adds a line that holds within a distance of it."""
        for stretch in pairwise(line):
            self._add(_piece(owner, stretch, reach_m * 1_000, is_area=False))

    def add_area(self, owner: int, area: Sequence[Point]) -> None:
        """Adds an area."""
        self._add(_piece(owner, tuple(area), 0, is_area=True))

    def add_circle(self, owner: int, centre: Point, radius_m: int) -> None:
        """Adds a circle."""
        self._add(_piece(owner, (centre,), radius_m * 1_000, is_area=False))

    def at(self, point: Point) -> list[Near]:
        """Returns the places that hold at a point, each once, the nearest first."""
        found: dict[int, Near] = {}
        cell = self._cells.get((point[0] // CELL, point[1] % TURN // CELL), ())
        for pieces in (cell, self._wide):
            for piece in pieces:
                near = _ask(piece, point)
                if near is None:
                    continue
                known = found.get(near.owner)
                if known is None or near.distance_mm < known.distance_mm:
                    found[near.owner] = near
        return sorted(found.values(), key=lambda near: (near.distance_mm, near.owner))

    def _add(self, piece: _Piece) -> None:
        rows = range(piece.south // CELL, piece.north // CELL + 1)
        columns = range(piece.west // CELL, (piece.west + piece.width) // CELL + 1)
        if len(rows) * len(columns) > CELLS_MAX:
            self._wide.append(piece)
            return
        for row in rows:
            for column in columns:
                self._cells.setdefault((row, column % (TURN // CELL)), []).append(piece)


def _piece(owner: int, points: tuple[Point, ...], reach_mm: int, *, is_area: bool) -> _Piece:
    south = min(latitude for latitude, _ in points)
    north = max(latitude for latitude, _ in points)
    # A degree eastwards is shortest at the end that is nearer to a pole.
    lengths = scale_at(max(abs(south), abs(north)))
    up = reach_mm * MICRO // min(lengths[0], 110_574_000) + 2
    side = reach_mm * MICRO // lengths[1] + 2 + BAND * (reach_mm > 0)
    first = points[0][1]
    east = [(longitude - first + HALF_TURN) % TURN - HALF_TURN for _, longitude in points]
    west = (first + min(east) - side) % TURN
    width = max(east) - min(east) + 2 * side
    return _Piece(owner, points, reach_mm, is_area, south - up, north + up, west, width)


def _ask(piece: _Piece, point: Point) -> Near | None:
    """Returns a place if it holds at a point."""
    if not piece.south <= point[0] <= piece.north:
        return None
    if (point[1] - piece.west) % TURN > piece.width:
        return None
    if piece.is_area:
        return Near(piece.owner, 0, is_line=False) if is_within(point, piece.points) else None
    distance = distance_to_line_mm(point, piece.points)
    if distance > piece.reach_mm:
        return None
    is_line = len(piece.points) > 1
    return Near(piece.owner, distance if is_line else 0, is_line)


def nearest_mm(point: Point, lines: Iterable[Sequence[Point]]) -> int:
    """Returns the distance to the nearest of several lines, however far it is."""
    return min(distance_to_line_mm(point, line) for line in lines)
