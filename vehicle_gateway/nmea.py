"""Satellite receivers on a line: NMEA 0183 sentences in, columns of position and its quality out.

Place in the flow: `NMEA_LINE` frames of a chunk → **nmea** → decode → gnss (gate), events, trips.

* One row per epoch of the receiver, at the time of arrival of its first sentence.
* It hands on what the receiver says, also that there is no fix; the gate decides what is a place.
* The course of a vehicle that stands is noise: below `COURSE_MMPS` it is absent.
* `ClockError` is arrival less the receiver's own time, whole seconds: the core can see in the data
  themselves when a box had a wrong clock. Recorded times are never changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError
from edge.ports import NMEA_LINE
from vehicle_gateway.columns import Columns, Found
from vehicle_gateway.nmea_epochs import Epochs

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping, Sequence

    from edge.ports import FrameChunk
    from vehicle_gateway.nmea_epochs import Epoch

COURSE_MMPS: Final = 1_000
SECOND_US: Final = 1_000_000
BEST: Final = 4
BEST_FIX: Final = 2


def _number(name: str) -> Callable[[Epoch], int | None]:
    return lambda epoch: epoch.numbers.get(name)


def _course(epoch: Epoch) -> int | None:
    moves = epoch.numbers.get("speed_mmps", 0) >= COURSE_MMPS
    return epoch.numbers.get("course_ddeg") if moves and epoch.fix else None


def _in_view(epoch: Epoch) -> int | None:
    return len(epoch.view) if epoch.view else None


def _carrier_to_noise(epoch: Epoch) -> int | None:
    """Mean of the best four, those that make a fix; what is not tracked has no noise figure."""
    best = sorted(filter(None, epoch.view.values()))[-BEST:]
    return sum(best) // len(best) if best else None


def _beidou(epoch: Epoch) -> int | None:
    """BeiDou satellites in the fix, None where no sentence names the satellites."""
    if not epoch.used:
        return None
    return sum(system == "beidou" for system, _ in epoch.used)


def _clock_error(epoch: Epoch) -> int | None:
    utc_us = epoch.utc_us
    if utc_us is None or (epoch.fix or 0) < BEST_FIX:
        return None
    # A sentence comes up to a second after its instant; that is no error of the clock.
    return (epoch.at_us - utc_us + SECOND_US // 4) // SECOND_US


FIELDS: Final[Mapping[str, Callable[[Epoch], int | None]]] = {
    "Vehicle.CurrentLocation.Latitude": lambda epoch: epoch.place[0] if epoch.place else None,
    "Vehicle.CurrentLocation.Longitude": lambda epoch: epoch.place[1] if epoch.place else None,
    "Vehicle.CurrentLocation.Altitude": _number("altitude_dm"),
    "Vehicle.CurrentLocation.Heading": _course,
    "Vehicle.CurrentLocation.HorizontalAccuracy": _number("accuracy_m"),
    "Vehicle.Private.GNSS.Speed": _number("speed_mmps"),
    "Vehicle.Private.GNSS.FixType": lambda epoch: epoch.fix,
    "Vehicle.Private.GNSS.Satellites": _number("satellites"),
    "Vehicle.Private.GNSS.HDOP": _number("hdop"),
    "Vehicle.Private.GNSS.PDOP": _number("pdop"),
    "Vehicle.Private.GNSS.SatellitesInView": _in_view,
    "Vehicle.Private.GNSS.CarrierToNoise": _carrier_to_noise,
    "Vehicle.Private.GNSS.BeidouSatellites": _beidou,
    "Vehicle.Private.GNSS.ClockError": _clock_error,
}
"""VSS path → its value in an epoch, in the data catalogue's own scale."""


class NmeaInterpreter:
    """Lines of a receiver in, one group of columns out; fulfils `columns.Interpreter`."""

    name = "nmea"

    def __init__(self) -> None:
        self._epochs = Epochs()
        self._fields = {signal(path).id: read for path, read in FIELDS.items()}

    def claims(self, can_id: int) -> bool:
        """Says whether an id is that of sentences."""
        return can_id == NMEA_LINE

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the sentences of a chunk; an epoch's row stands at the sentence that ended it."""
        ended_at: list[int] = []
        epochs: list[Epoch] = []
        for place in places:
            found = self._epochs.add(chunk.payloads[place], chunk.times_us[place], counts)
            epochs += found
            ended_at += [place] * len(found)
        if not epochs:
            return Found()
        if simulated := sum(epoch.simulated for epoch in epochs):
            counts["nmea-simulated"] += simulated
        series = {key: [read(epoch) for epoch in epochs] for key, read in self._fields.items()}
        present = {key: values for key, values in series.items() if any_present(values)}
        return Found([Columns(ended_at, [epoch.at_us for epoch in epochs], present)])

    def state(self) -> Mapping[str, Any]:
        """Returns what must survive a restart."""
        return self._epochs.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of an interpreter before a restart."""
        try:
            self._epochs.restore(state)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved NMEA state is damaged: {error!r}.", "decoder-state"
            ) from error


def any_present(values: Sequence[int | None]) -> bool:
    """Says whether a column holds anything."""
    return values.count(None) < len(values)
