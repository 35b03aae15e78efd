"""Where rules hold: roads with limits, corridors of routes, zones of a ban, fences of a campaign.

Place in the flow: signed campaign → **places** → geo (finds them), events, collect.

    limits      a line of so many metres, or an area   km/h by day, and by night where posted so
    corridors   a line; off it beyond leave_m, back on it within return_m
    bans        a line or an area of a road class that is closed to passengers' vehicles at night
    fences      an area or a circle with a name, for conditions of a campaign

* A point is [latitude, longitude] in millionths of a degree, WGS 84; all else is whole metres and
  km/h. There is no fraction anywhere, so a signature covers exactly what acts.
* Every place names its source, as every figure of a campaign does.
* Sizes are limited: a campaign that is too large is refused, never cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PLACES_MAX: Final = 2_000
"""Of each sort."""
POINTS_MAX: Final = 20_000
"""Of all places together."""
LINE_POINTS: Final = (2, 5_000)
AREA_POINTS: Final = (3, 1_000)
WIDTH_M: Final = (5, 200)
RADIUS_M: Final = (10, 50_000)
LEAVE_M: Final = (50, 200)
RETURN_M_MIN: Final = 20
KMH: Final = (5, 130)
LATITUDE_MAX: Final = 85_000_000
LONGITUDE_MAX: Final = 180_000_000
SPAN_MAX: Final = 10_000_000
"""A place wider than ten degrees is a mistake, and local geometry no longer holds in it."""
NAME_CHARACTERS_MAX: Final = 80
SOURCE_CHARACTERS: Final = (10, 300)

Point = tuple[int, int]
"""Latitude and longitude in millionths of a degree."""


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A posted limit on a road, or within an area; a road within an area goes first.

    Attributes:
        line: The road; empty for an area.
        width_m: How far to either side of the line it holds; 0 for an area.
        area: Corners; empty for a road.
        kmh: By day; None where nothing is posted and roads are unmarked: the figure
            `overspeed.unmarked_kmh` holds.
        night_kmh: What is posted for the night, if anything.
    """

    name: str
    source: str
    kmh: int | None = None
    night_kmh: int | None = None
    line: list[Point] = []
    width_m: int = 0
    area: list[Point] = []


class Corridor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the vehicle is meant to drive.

    Attributes:
        leave_m: Further from the line than this, it has left the route.
        return_m: Nearer than this, it is back; less than `leave_m`.
    """

    name: str
    source: str
    line: list[Point]
    leave_m: int
    return_m: int


class Ban(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Roads of a class that are closed to passengers' vehicles at night; hours are figures.

    Attributes:
        road_class: As the rule calls it, such as `county road grade 3 or lower`.
    """

    name: str
    source: str
    road_class: str
    line: list[Point] = []
    width_m: int = 0
    area: list[Point] = []


class Fence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An area or a circle with a name.

    Attributes:
        centre: Of a circle; None for an area.
    """

    name: str
    source: str
    area: list[Point] = []
    centre: Point | None = None
    radius_m: int = 0


class Places(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The geography of a campaign; all of it may be absent."""

    limits: list[Limit] = []
    corridors: list[Corridor] = []
    bans: list[Ban] = []
    fences: list[Fence] = []


def check(places: Places) -> None:
    """Refuses places that no rule could stand on.

    Raises:
        LocalError: A bound is broken, a source or a shape is missing, a name comes twice. The
            text says which place and what to correct.
    """
    sorts: tuple[Sequence[Limit | Corridor | Ban | Fence], ...] = (
        places.limits,
        places.corridors,
        places.bans,
        places.fences,
    )
    if max(len(sort) for sort in sorts) > PLACES_MAX:
        raise _refuse(f"there are more than {PLACES_MAX} of one sort")
    if sum(len(points) for points in _all_points(places)) > POINTS_MAX:
        raise _refuse(f"they have more than {POINTS_MAX} points in all")
    for sort in sorts:
        _check_names([place.name for place in sort], [place.source for place in sort])
    for limit in places.limits:
        _check_shape(limit.name, limit.line, limit.width_m, limit.area)
        _check_limit(limit)
    for corridor in places.corridors:
        _check_corridor(corridor)
    for ban in places.bans:
        _check_shape(ban.name, ban.line, ban.width_m, ban.area)
        if not 0 < len(ban.road_class.strip()) <= NAME_CHARACTERS_MAX:
            raise _refuse(f"{ban.name} names no road class")
    for fence in places.fences:
        _check_fence(fence)


def _all_points(places: Places) -> Iterator[Sequence[Point]]:
    for limit in places.limits:
        yield from (limit.line, limit.area)
    for ban in places.bans:
        yield from (ban.line, ban.area)
    yield from (corridor.line for corridor in places.corridors)
    yield from (fence.area for fence in places.fences)


def _check_names(names: Sequence[str], sources: Sequence[str]) -> None:
    for name, source in zip(names, sources, strict=True):
        if not 0 < len(name.strip()) <= NAME_CHARACTERS_MAX:
            raise _refuse(f"a name must have from 1 to {NAME_CHARACTERS_MAX} characters")
        if not _within(len(source.strip()), SOURCE_CHARACTERS):
            raise _refuse(f"{name} names no source")
    if len(set(names)) != len(names):
        raise _refuse("two of one sort have the same name")


def _check_shape(name: str, line: list[Point], width_m: int, area: list[Point]) -> None:
    """A line with its width, or an area, but not both."""
    if bool(line) == bool(area):
        raise _refuse(f"{name} must have either a line or an area")
    if line:
        _check_points(name, line, LINE_POINTS)
    else:
        _check_points(name, area, AREA_POINTS)
    if not _within(width_m, WIDTH_M if line else (0, 0)):
        raise _refuse(f"{name} needs a width_m from {WIDTH_M[0]} to {WIDTH_M[1]} for a line only")


def _check_limit(limit: Limit) -> None:
    for kmh in (limit.kmh, limit.night_kmh):
        if kmh is not None and not _within(kmh, KMH):
            raise _refuse(f"the limit of {limit.name} must be from {KMH[0]} to {KMH[1]} km/h")
    if limit.kmh is None and limit.night_kmh is not None:
        raise _refuse(f"{limit.name} has a limit for the night alone; give kmh too")


def _check_corridor(corridor: Corridor) -> None:
    name = corridor.name
    _check_points(name, corridor.line, LINE_POINTS)
    if not _within(corridor.leave_m, LEAVE_M):
        raise _refuse(f"leave_m of {name} must be from {LEAVE_M[0]} to {LEAVE_M[1]} m")
    if not RETURN_M_MIN <= corridor.return_m < corridor.leave_m:
        raise _refuse(f"return_m of {name} must be from {RETURN_M_MIN} m to less than leave_m")


def _check_fence(fence: Fence) -> None:
    name = fence.name
    if (fence.centre is None) == (not fence.area):
        raise _refuse(f"{name} must have either an area or a centre")
    if fence.centre is None:
        _check_points(name, fence.area, AREA_POINTS)
    else:
        _check_points(name, [fence.centre], (1, 1))
    if not _within(fence.radius_m, (0, 0) if fence.centre is None else RADIUS_M):
        raise _refuse(f"{name} needs a radius_m from {RADIUS_M[0]} to {RADIUS_M[1]} for a circle")


def _check_points(name: str, points: Sequence[Point], count: tuple[int, int]) -> None:
    if not _within(len(points), count):
        raise _refuse(f"{name} must have from {count[0]} to {count[1]} points")
    latitudes, longitudes = zip(*points, strict=True)
    if max(map(abs, latitudes)) > LATITUDE_MAX or max(map(abs, longitudes)) > LONGITUDE_MAX:
        raise _refuse(f"{name} has a point off the map; points are [latitude, longitude] x 1e6")
    if max(latitudes) - min(latitudes) > SPAN_MAX or _width(longitudes) > SPAN_MAX:
        raise _refuse(f"{name} is wider than ten degrees; split it")


def _width(longitudes: Sequence[int]) -> int:
    """How wide it is, the short way round the Earth."""
    turn = 2 * LONGITUDE_MAX
    first = longitudes[0]
    east = [(each - first + LONGITUDE_MAX) % turn - LONGITUDE_MAX for each in longitudes]
    return max(east) - min(east)


def _within(value: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _refuse(why: str) -> LocalError:
    return LocalError(f"The places of the campaign are refused: {why}.", "places-refused")
