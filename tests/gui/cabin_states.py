"""Every state that a driver's panel can be in, as the gateway sends it.

Place in the flow: tests/gui only; the pictures of docs and releases are drawn from these, too.
"""

from __future__ import annotations

from typing import Any, Final

State = dict[str, Any]
LINK: Final = {"online": True, "waiting": 0}
OUT: Final[State] = {
    "v": 1, "clock": "08:30", "driver": None, "ask": False, "locked_s": 0, "pin": True,
    "card": True, "today": None, "official": None, "link": LINK, "moving": False,
    "speed_kmh": None, "alerts": [], "level": "", "sound": "", "mutes_left": 3, "notice": "",
}  # fmt: skip
TODAY: Final[State] = {
    "grade": "C",
    "score": 640,
    "km": 126.4,
    "reasons": [
        {
            "zh": "有时超速",
            "en": "sometimes over the limit",
            "cost": 100,
            "raise_points": 60,
            "raise_zh": "超速时间占比：现在 2.4%，降到 1% 以下可加 60 分",
            "raise_en": "share of time overspeed: 2.4% now, below 1% adds 60 points",
        },
        {
            "zh": "急刹车次数一般",
            "en": "brakes harshly now and then",
            "cost": 70,
            "raise_points": 40,
            "raise_zh": "每百公里急刹车次数：现在 3.96，降到 3 以下可加 40 分",
            "raise_en": "harsh brakes per 100 km: 3.96 now, below 3 adds 40 points",
        },
    ],
}
BEST: Final[State] = {"grade": "A", "score": 820, "km": 88.0, "reasons": []}
UNRATED: Final[State] = {"grade": "unrated", "score": 500, "km": None, "reasons": []}
WANG: Final[State] = {"name": "王师傅", "consented": True}
SILENT_ONE: Final[State] = {"name": "", "consented": False}
OFFICIAL: Final[State] = {"grade": "B", "score": 700, "as_of": "2026-11-20"}
IN: Final[State] = {**OUT, "driver": WANG, "today": TODAY, "official": OFFICIAL}


def alert(kind: str, level: str, *, muted: bool = False, **more: int) -> State:
    """One alert, with the sound that goes with it."""
    return {
        "alerts": [{"kind": kind, "level": level, "muted": muted, "minutes": 1, **more}],
        "level": level,
        "sound": "" if muted else level,
    }


STATES: Final[dict[str, tuple[State | None, str]]] = {
    "offline": (None, ""),
    "signed-out": ({**OUT, "link": {"online": False, "waiting": 1_284}}, ""),
    "signed-out-no-card": ({**OUT, "card": False, "notice": "unknown"}, ""),
    "locked": ({**OUT, "locked_s": 287, "notice": "locked"}, ""),
    "no-roster": ({**OUT, "pin": False, "notice": "no-roster"}, ""),
    "pin": (OUT, "pin"),
    "consent-asked": ({**OUT, "driver": SILENT_ONE, "ask": True}, ""),
    "consent-shown": (IN, "consent"),
    "home": (IN, ""),
    "home-notice": ({**IN, "notice": "agreed", "today": BEST}, ""),
    "home-best": ({**IN, "today": BEST, "link": {"online": None, "waiting": 12}}, ""),
    "home-unrated": ({**IN, "today": UNRATED, "official": None}, ""),
    "home-no-consent": ({**OUT, "driver": SILENT_ONE}, ""),
    "home-alert": ({**IN, **alert("fatigue", "alarm")}, ""),
    "drive-calm": ({**IN, "moving": True, "speed_kmh": 52}, ""),
    "drive-out": ({**OUT, "moving": True, "speed_kmh": 52, "notice": "moving"}, ""),
    "drive-no-consent": ({**OUT, "driver": SILENT_ONE, "moving": True, "speed_kmh": 52}, ""),
    "overspeed-warn": ({**IN, "moving": True, **alert("overspeed", "warn")}, ""),
    "overspeed-alarm": ({**IN, "moving": True, **alert("overspeed", "alarm")}, ""),
    "fatigue-warn": (
        {**IN, "moving": True, **alert("fatigue", "warn", left_min=14)},
        "",
    ),
    "fatigue-alarm": ({**IN, "moving": True, **alert("fatigue", "alarm")}, ""),
    "seat-belt": ({**IN, "moving": True, **alert("seat-belt", "warn")}, ""),
    "door-open": ({**IN, "moving": True, **alert("door-open-moving", "alarm")}, ""),
    "muted": ({**IN, "moving": True, **alert("door-open-moving", "alarm", muted=True)}, ""),
    "mutes-spent": (
        {**IN, "moving": True, **alert("overspeed", "alarm"), "mutes_left": 0},
        "",
    ),
    "route": ({**IN, "moving": True, **alert("route-deviation", "warn")}, ""),
}
"""Name → (state, what was touched); None is a gateway that is silent."""
