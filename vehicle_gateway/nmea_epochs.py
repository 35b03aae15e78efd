"""Puts the sentences of one instant together: one epoch of a receiver is one row of data.

Place in the flow: nmea_sentences → **nmea_epochs** → nmea (data), timekeeping (clock).

Theory of operation. A receiver says what it knows of one instant in several sentences, in an order
of its own, mostly the same second after second; only some of them carry the time.

    RMC 12:00:01 | VTG | GGA 12:00:01 | GSA | GSA || RMC 12:00:02 | ...
    opens          same   same time     same    ^    another time opens the next
                                                complete: as many of each kind as the time before

* An epoch ends when it holds as many sentences of each kind as the one before, else when another
  time comes, or a sentence that it already has and that carries no time.
* A sentence of an epoch that has ended is late, and only teaches what the next one will hold. A
  time that comes again and again is a receiver that hangs: it is counted and is no new place.
* The verdict on the fix is the least that any sentence says, so one honest sentence is enough.
* State is texts, integers and lists: a gateway that was killed goes on with the same epoch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from vehicle_gateway.nmea_sentences import DAY_US, POSITION, open_line, read_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vehicle_gateway.nmea_sentences import Facts, Sentence

NUMBERS: Final = (
    "time_us",
    "day",
    "altitude_dm",
    "speed_mmps",
    "course_ddeg",
    "accuracy_m",
    "satellites",
    "hdop",
    "pdop",
    "fix",
    "mode",
)
REPEATED: Final = frozenset({"GSA"})
GSA_MAX: Final = 12
VIEW_MAX: Final = 256


@dataclass(slots=True)
class Epoch:
    """What a receiver said of one instant.

    Attributes:
        at_us: When its first sentence arrived.
        kinds: How many sentences of each kind it holds.
        numbers: The facts of `nmea_sentences.Facts` that are integers, as far as known.
        place: Latitude and longitude in millionths of a degree.
        used: Satellites that the fix is made of, as (constellation, number).
        view: Satellites in view → carrier to noise, dBHz, 0 where it is not tracked.
        simulated: A sentence says that the position was typed in or simulated.
    """

    at_us: int
    kinds: Counter[str] = field(default_factory=Counter)
    numbers: dict[str, int] = field(default_factory=dict)
    place: tuple[int, int] | None = None
    used: set[tuple[str, int]] = field(default_factory=set)
    view: dict[tuple[str, int], int] = field(default_factory=dict)
    simulated: bool = False

    @property
    def time_us(self) -> int | None:
        """Microseconds of the day UTC, None where no sentence says a time."""
        return self.numbers.get("time_us")

    @property
    def utc_us(self) -> int | None:
        """Microseconds since 1970 UTC, None without a time or a date."""
        if "day" not in self.numbers or "time_us" not in self.numbers:
            return None
        return self.numbers["day"] * DAY_US + self.numbers["time_us"]

    @property
    def fix(self) -> int | None:
        """3 or 2: a place with or without height; 1: estimated; 0: none; None: nobody says."""
        said = [self.numbers[name] for name in ("fix", "mode") if name in self.numbers]
        if not said or self.simulated:
            return 0 if self.simulated else None
        least = min(said)
        if "mode" not in self.numbers and least == POSITION and "altitude_dm" not in self.numbers:
            return POSITION - 1
        return least

    def take(self, facts: Facts) -> None:
        """Adds what one sentence says."""
        for name in NUMBERS:
            value = facts.get(name)
            if value is not None:
                self.numbers[name] = self._joined(name, value)
        self.place = facts.get("place") or self.place
        self.used |= facts.get("used", set())
        self.simulated = self.simulated or facts.get("simulated", False)

    def _joined(self, name: str, value: int) -> int:
        """The least of fixes, the most of modes (one per constellation) and of satellites."""
        known = self.numbers.get(name)
        if known is None or name not in {"fix", "mode", "satellites"}:
            return value
        return min(known, value) if name == "fix" else max(known, value)


class Epochs:
    """Lines in, epochs out."""

    def __init__(self) -> None:
        self._open: Epoch | None = None
        self._ended = self._short = False
        self._expected: Counter[str] = Counter()
        self._view: dict[tuple[str, int], int] = {}

    def add(self, line: bytes, at_us: int, counts: Counter[str]) -> list[Epoch]:
        """Takes one line in.

        Args:
            line: What came between two line ends.
            at_us: When it arrived.
            counts: What was passed over, by reason.

        Returns:
            The epochs that it ends: one that was not complete, and the one it completes.
        """
        sentence = open_line(line, counts)
        facts = read_facts(sentence, counts) if sentence else None
        if sentence is None or facts is None:
            return []
        if sentence.formatter == "GSV":
            if len(self._view) < VIEW_MAX:
                for satellite, noise in facts["view"].items():
                    self._view[satellite] = max(noise, self._view.get(satellite, 0))
            return []
        return self._place_in(sentence, facts, at_us, counts)

    def state(self) -> dict[str, Any]:
        """Returns all that the next line depends on, nothing where there was none."""
        if self._open is None and not self._view:
            return {}
        found: dict[str, Any] = {
            "ended": int(self._ended),
            "short": int(self._short),
            "expected": dict(self._expected),
            "view": [[*satellite, noise] for satellite, noise in self._view.items()],
        }
        if self._open is not None:
            found["open"] = {
                "at_us": self._open.at_us,
                "kinds": dict(self._open.kinds),
                "numbers": dict(self._open.numbers),
                "place": list(self._open.place or ()),
                "used": [list(each) for each in sorted(self._open.used)],
                "simulated": int(self._open.simulated),
            }
        return found

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned; whoever calls handles what is none."""
        self._ended = bool(state.get("ended", 0))
        self._short = bool(state.get("short", 0))
        self._expected = Counter(state.get("expected", {}))
        self._view = {(str(row[0]), int(row[1])): int(row[2]) for row in state.get("view", [])}
        kept = state.get("open")
        self._open = None
        if kept is not None:
            latitude_longitude = tuple(int(each) for each in kept["place"])
            self._open = Epoch(
                int(kept["at_us"]),
                Counter(kept["kinds"]),
                dict(kept["numbers"]),
                (latitude_longitude[0], latitude_longitude[1]) if latitude_longitude else None,
                {(str(row[0]), int(row[1])) for row in kept["used"]},
                simulated=bool(kept["simulated"]),
            )

    # ------------------------------------------------------------ inside
    def _place_in(
        self, sentence: Sentence, facts: Facts, at_us: int, counts: Counter[str]
    ) -> list[Epoch]:
        done: list[Epoch] = []
        if self._open is None or self._opens(self._open, sentence, facts.get("time_us")):
            if self._open is not None and not self._ended:
                # One lost sentence says nothing of the cycle; the second short epoch in a row does.
                if self._short or not self._expected:
                    self._expected = Counter(self._open.kinds)
                self._short = True
                done.append(self._end(self._open))
            self._open, self._ended = Epoch(at_us), False
        epoch = self._open
        if self._is_surplus(epoch, sentence):
            counts["nmea-repeated"] += 1
            return done
        epoch.kinds[sentence.kind] += 1
        if self._ended:
            counts["nmea-late"] += 1
            self._expected = Counter(epoch.kinds)
            return done
        epoch.take(facts)
        if self._expected and all(
            epoch.kinds[kind] >= number for kind, number in self._expected.items()
        ):
            self._short = False
            done.append(self._end(epoch))
        return done

    def _opens(self, epoch: Epoch, sentence: Sentence, time_us: int | None) -> bool:
        """Says whether a sentence is of another instant than the present epoch."""
        if time_us is not None and epoch.time_us is not None:
            return time_us != epoch.time_us
        return sentence.formatter not in REPEATED and sentence.kind in epoch.kinds

    def _is_surplus(self, epoch: Epoch, sentence: Sentence) -> bool:
        most = GSA_MAX if sentence.formatter in REPEATED else 1
        return epoch.kinds[sentence.kind] >= most

    def _end(self, epoch: Epoch) -> Epoch:
        self._ended = True
        epoch.view, self._view = self._view, {}
        return epoch
