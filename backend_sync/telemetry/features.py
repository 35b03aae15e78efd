"""Driving features as one Ibis expression over the lake: how far, how long, how gently.

Place in the flow: lake → **features** → credit. The same expression runs on DuckDB here and on
Spark, ClickHouse or PostgreSQL where one machine ends.

* Point in time: a fact counts when it had happened (`event_time`) *and* was known to the core
  (`known_us`) at `as_of_us`; the same call a year later gives the same answer.
* Sums are exact integers (scaled speed x microseconds); one float64 division per feature comes
  last. No engine-dependent date function, no rounding, no quantile.
* Two speed samples more than `GAP_US` apart bound a gap, not a drive: nothing is interpolated.
* A rate over less than `KM_MIN` is unknown (null), never zero or infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import ibis

if TYPE_CHECKING:
    import ibis.expr.types as ir

Subject = Literal["driver", "vehicle"]

GAP_US = 10_000_000
KM_MIN = 1.0
IDLE_BELOW_KMH = 3
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
CHINA_OFFSET_US = 8 * HOUR_US
NIGHT_FROM_US = 22 * HOUR_US
NIGHT_UNTIL_US = 6 * HOUR_US
FEATURES = (
    "km",
    "hours",
    "harsh_brakes_per_100km",
    "harsh_accelerations_per_100km",
    "overspeed_share",
    "idle_share",
    "night_share",
)


@dataclass(frozen=True, slots=True)
class SpeedSignal:
    """Which signal is speed, and how its raw integers become km/h: raw x numerator / denominator.

    Attributes:
        signal: Id of `Vehicle.Speed` in the data catalogue.
    """

    signal: int
    numerator: int
    denominator: int


def driving_features(
    samples: ir.Table, events: ir.Table, speed: SpeedSignal, as_of_us: int, by: Subject = "driver"
) -> ir.Table:
    """Builds the expression; nothing is computed until a backend executes it.

    Args:
        samples: The lake's `samples` table.
        events: The lake's `events` table.
        speed: Identity and scale of the speed signal.
        as_of_us: Facts after this instant, microseconds UTC, do not exist.
        by: One row per driver (under consent) or per vehicle.

    Returns:
        Columns: the subject, then `FEATURES`. Shares are 0..1 of recorded hours, rates are per
        100 km, km and hours as their names say; null means unknown.
    """
    drives = _drives(samples, speed, as_of_us, by)
    incidents = _incidents(events, as_of_us, by)
    joined = drives.left_join(incidents, drives.subject == incidents.about)
    km = joined.distance.cast("float64") * speed.numerator / (2.0 * speed.denominator * HOUR_US)
    time = joined.driven_us.cast("float64").nullif(0.0)
    per_100km = 100.0 / ibis.ifelse(km >= KM_MIN, km, ibis.null("float64"))
    return joined.select(
        joined.subject.name(by),
        km.name("km"),
        (joined.driven_us / float(HOUR_US)).name("hours"),
        (joined.brakes.fill_null(0) * per_100km).name("harsh_brakes_per_100km"),
        (joined.accelerations.fill_null(0) * per_100km).name("harsh_accelerations_per_100km"),
        (joined.overspeed_us.fill_null(0) / time).name("overspeed_share"),
        (joined.idle_us / time).name("idle_share"),
        (joined.night_us / time).name("night_share"),
    )


def _drives(samples: ir.Table, speed: SpeedSignal, as_of_us: int, by: Subject) -> ir.Table:
    """Time and distance between neighbouring speed samples of one trip, summed per subject."""
    seen = samples.filter(
        samples.signal == speed.signal,
        samples.time_us <= as_of_us,
        samples.known_us <= as_of_us,
        samples[by].notnull(),
    )
    along = ibis.window(
        group_by=[seen.device, seen.vehicle, seen.driver, seen.trip], order_by=seen.time_us
    )
    pairs = seen.mutate(
        span_us=seen.time_us.lead().over(along) - seen.time_us,
        both=seen.raw + seen.raw.lead().over(along),
    )
    spans = pairs.filter(pairs.span_us > 0, pairs.span_us <= GAP_US)
    standing = spans.both * speed.numerator < 2 * IDLE_BELOW_KMH * speed.denominator
    return spans.group_by(subject=spans[by]).agg(
        driven_us=spans.span_us.sum().cast("int64"),
        distance=(spans.both * spans.span_us).sum().cast("int64"),
        idle_us=ibis.ifelse(standing, spans.span_us, 0).sum().cast("int64"),
        night_us=ibis.ifelse(_at_night(spans.time_us), spans.span_us, 0).sum().cast("int64"),
    )


def _incidents(events: ir.Table, as_of_us: int, by: Subject) -> ir.Table:
    """Counts and durations of events per subject."""
    seen = events.filter(
        events.end_us <= as_of_us, events.known_us <= as_of_us, events[by].notnull()
    )
    over = seen.kind == "overspeed"
    return seen.group_by(about=seen[by]).agg(
        brakes=(seen.kind == "harsh-brake").sum().cast("int64"),
        accelerations=(seen.kind == "harsh-acceleration").sum().cast("int64"),
        overspeed_us=ibis.ifelse(over, seen.end_us - seen.start_us, 0).sum().cast("int64"),
    )


def _at_night(time_us: ir.IntegerColumn) -> ir.BooleanValue:
    """22:00 to 06:00 in China, which has one zone and no summer time since 1991."""
    of_day = (time_us + CHINA_OFFSET_US) % DAY_US
    return (of_day >= NIGHT_FROM_US) | (of_day < NIGHT_UNTIL_US)


def features_of(table: ir.Table, subject: str, by: Subject = "driver") -> dict[str, float | None]:
    """Executes `driving_features` for one subject.

    Returns:
        Every name of `FEATURES`; all None when nothing is known of the subject.
    """
    rows: list[dict[str, Any]] = table.filter(table[by] == subject).to_pyarrow().to_pylist()
    if not rows:
        return dict.fromkeys(FEATURES)
    return {name: rows[0][name] for name in FEATURES}
