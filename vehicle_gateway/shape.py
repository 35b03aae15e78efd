"""Which figures the rules of a campaign have, in which unit and between which bounds.

Place in the flow: **shape** → campaign (checks against it) → events, trips.

* A rule of driving is nothing but figures; the code that applies it names them as they stand here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Rule → figure → (unit, lowest, highest).
SHAPE: Final[Mapping[str, Mapping[str, tuple[str, int, int]]]] = {
    "motion": {
        "change_mmps2_max": ("mm/s2", 5_000, 15_000),
        "zero_step_kmh": ("km/h", 1, 60),
        "speed_age_ms_max": ("ms", 1_000, 10_000),
        "mean_ms": ("ms", 100, 2_000),
        "slope_ms": ("ms", 500, 3_000),
        "offset_span_ms": ("ms", 2_000, 60_000),
        "offset_spans_min": ("1", 1, 100),
        "axis_pairs_min": ("1", 10, 10_000),
        "axis_spread_mmps2_min": ("mm/s2", 50, 2_000),
        "axis_fit_percent_min": ("%", 50, 100),
        "agree_mmps": ("mm/s", 0, 10_000),
        "place_age_ms_max": ("ms", 1_000, 60_000),
        "cabin_age_ms_max": ("ms", 1_000, 60_000),
    },
    "harsh-brake": {
        "mean_mmps2": ("mm/s2", -9_800, -500),
        "slope_mmps2": ("mm/s2", -9_000, -500),
        "severe_mmps2": ("mm/s2", -9_800, -500),
        "release_mmps2": ("mm/s2", -9_800, -100),
        "speed_kmh_min": ("km/h", 0, 100),
        "hold_ms": ("ms", 100, 5_000),
        "merge_ms": ("ms", 100, 10_000),
    },
    "harsh-acceleration": {
        "mean_mmps2": ("mm/s2", 500, 9_800),
        "slope_mmps2": ("mm/s2", 500, 9_000),
        "severe_mmps2": ("mm/s2", 500, 9_800),
        "release_mmps2": ("mm/s2", 100, 9_800),
        "speed_kmh_min": ("km/h", 0, 100),
        "hold_ms": ("ms", 100, 5_000),
        "merge_ms": ("ms", 100, 10_000),
    },
    "harsh-cornering": {
        "lateral_mmps2": ("mm/s2", 500, 9_800),
        "severe_mmps2": ("mm/s2", 500, 9_800),
        "release_mmps2": ("mm/s2", 100, 9_800),
        "agree_percent": ("%", 0, 100),
        "speed_kmh_min": ("km/h", 10, 100),
        "turn_degrees": ("degrees", 5, 180),
        "hold_ms": ("ms", 100, 5_000),
        "turn_hold_ms": ("ms", 100, 5_000),
        "merge_ms": ("ms", 100, 10_000),
    },
    "collision": {
        "impact_mmps2": ("mm/s2", 4_900, 49_000),
        "severe_mmps2": ("mm/s2", 4_900, 98_000),
        "impulse_mmps": ("mm/s", 100, 10_000),
        "impulse_ms": ("ms", 100, 1_000),
        "speed_change_mmps": ("mm/s", 500, 20_000),
        "confirm_ms": ("ms", 1_000, 10_000),
    },
    "rollover": {
        "roll_degrees": ("degrees", 15, 90),
        "gravity_doubt_percent": ("%", 1, 14),
        "hold_ms": ("ms", 1_000, 30_000),
        "settle_ms": ("ms", 3_000, 60_000),
        "speed_kmh_below": ("km/h", 1, 30),
    },
    "overspeed": {
        "limit_kmh": ("km/h", 5, 130),
        "unmarked_kmh": ("km/h", 5, 130),
        "doubt_m": ("m", 0, 50),
        "margin_percent": ("%", 0, 50),
        "night_percent": ("%", 10, 100),
        "night_from_h": ("h", 0, 23),
        "night_until_h": ("h", 0, 23),
        "severe_percent": ("%", 0, 200),
        "hold_ms": ("ms", 1_000, 600_000),
        "merge_ms": ("ms", 100, 60_000),
    },
    "idling": {
        "speed_kmh_below": ("km/h", 1, 10),
        "hold_ms": ("ms", 10_000, 3_600_000),
        "merge_ms": ("ms", 100, 60_000),
    },
    "night-ban": {
        "from_h": ("h", 0, 23),
        "until_h": ("h", 0, 23),
        "speed_kmh_min": ("km/h", 1, 30),
        "hold_ms": ("ms", 1_000, 600_000),
        "merge_ms": ("ms", 100, 600_000),
    },
    "route-deviation": {
        "hold_ms": ("ms", 1_000, 600_000),
        "merge_ms": ("ms", 100, 600_000),
    },
    "geofence": {
        "hold_ms": ("ms", 1_000, 600_000),
        "merge_ms": ("ms", 100, 600_000),
    },
    "fatigue": {
        "day_ms": ("ms", 3_600_000, 43_200_000),
        "night_ms": ("ms", 1_800_000, 43_200_000),
        "rest_ms": ("ms", 300_000, 7_200_000),
        "daily_ms": ("ms", 3_600_000, 86_400_000),
        "weekly_ms": ("ms", 3_600_000, 604_800_000),
        "speed_kmh_min": ("km/h", 1, 20),
        "stop_ms": ("ms", 0, 600_000),
        "warn_ms": ("ms", 0, 7_200_000),
    },
    "door-open-moving": {
        "speed_kmh_min": ("km/h", 1, 30),
        "hold_ms": ("ms", 1_000, 60_000),
        "merge_ms": ("ms", 100, 60_000),
    },
    "seat-belt": {
        "speed_kmh_min": ("km/h", 1, 60),
        "hold_ms": ("ms", 1_000, 600_000),
        "merge_ms": ("ms", 100, 60_000),
    },
    "trip": {
        "moving_kmh": ("km/h", 1, 20),
        "end_after_ms": ("ms", 30_000, 7_200_000),
    },
}
