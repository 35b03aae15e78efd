"""A satellite receiver that drives along: real sentences, and the garbage of real receivers.

Place in the flow: drive → **gnss** → bytes: on a pseudo terminal (`talker`) or to a cutter.

* NMEA 4.11 with GPS and BeiDou, one burst a second: RMC VTG GGA GSA GSA GSV GSV GSV ZDA.
* Before its first fix it knows neither time nor place, as after a cold start; without a fix later
  it goes on with time and last place, status V, quality 0.
* Its garbage comes at steady intervals, so that a test can count it: a text, a UBX message, an RTCM
  message, a sentence cut off, a sentence with a flipped bit.
* It can lie about the time, as receivers do whose week number rolled over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hardware.sim.drive import State

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
KNOTS_PER_MPS: Final = 3_600 / 1_852
GPS: Final = (3, 7, 14, 17, 21, 22, 30)
BEIDOU: Final = (6, 9, 16, 21, 27, 36, 39)
TEXT_EVERY, UBX_EVERY, RTCM_EVERY, CUT_EVERY, FLIP_EVERY = 10, 7, 11, 13, 17
UBX_MESSAGE: Final = bytes.fromhex("b56201011400a0860100010a0d0a2425242a30000000640000008a82")
RTCM_MESSAGE: Final = bytes.fromhex("d300133ed00003240a0d0a78a53c90c8a50b0000000019b277")


@dataclass(slots=True)
class Receiver:
    """The receiver's firmware.

    Attributes:
        garbage: Whether it sends what real ones send beside sentences.
        lie_us: Added to the time that it says.
        seconds: Bursts so far.
    """

    garbage: bool = True
    lie_us: int = 0
    seconds: int = 0
    _has_time: bool = False

    def burst(self, state: State, time_us: int) -> bytes:
        """Returns what it sends in one second.

        Args:
            state: Of the vehicle.
            time_us: True time of the fix, microseconds UTC.
        """
        self.seconds += 1
        self._has_time = self._has_time or state.has_fix
        instant = EPOCH + timedelta(microseconds=time_us + self.lie_us)
        lines = [framed(body) for body in self._bodies(state, instant)]
        return b"".join(self._spoiled(lines)) if self.garbage else b"".join(lines)

    def _bodies(self, state: State, instant: datetime) -> list[str]:
        clock = f"{instant:%H%M%S}.{instant.microsecond // 10_000:02d}" if self._has_time else ""
        day = f"{instant:%d%m%y}" if self._has_time else ""
        place = _place(state) if self._has_time else ",,,"
        fixed = state.has_fix
        knots = f"{state.speed_mps * KNOTS_PER_MPS:.3f}" if fixed else ""
        kmh = f"{state.speed_kmh:.3f}" if fixed else ""
        course = f"{state.heading:.2f}" if fixed and state.speed_mps > 0.5 else ""
        status, mode = ("A", "A") if fixed else ("V", "N")
        altitude = f"{state.altitude_m:.1f}" if self._has_time else ""
        quality = "1,14,0.82" if fixed else "0,00,99.99"
        return [
            f"GNRMC,{clock},{status},{place},{knots},{course},{day},,,{mode},V",
            f"GNVTG,{course},T,,M,{knots},N,{kmh},K,{mode}",
            f"GNGGA,{clock},{place},{quality},{altitude},M,-22.0,M,,",
            _gsa(GPS, 1, fixed=fixed),
            _gsa(BEIDOU, 4, fixed=fixed),
            *_gsv("GP", GPS, self.seconds),
            *_gsv("GB", BEIDOU, self.seconds),
            f"GNZDA,{clock},{instant:%d,%m,%Y},00,00" if self._has_time else "GNZDA,,,,,00,00",
        ]

    def _spoiled(self, lines: list[bytes]) -> list[bytes]:
        second = self.seconds
        if second % TEXT_EVERY == 1:
            lines.insert(0, framed("GNTXT,01,01,02,SIM 1.0"))
            lines.insert(0, framed("PDTINFO,SIM,G1B1"))
        if second % UBX_EVERY == 0:
            lines.insert(2, UBX_MESSAGE)
        if second % CUT_EVERY == 0:
            lines[-1] = lines[-1][:9] + b"\r\n"
        if second % RTCM_EVERY == 0:
            lines.append(RTCM_MESSAGE)
        if second % FLIP_EVERY == 0:
            place = next(at for at, line in enumerate(lines) if line.startswith(b"$GNGGA"))
            lines[place] = lines[place].replace(b".", b"/", 1)
        return lines


def framed(body: str) -> bytes:
    """Returns a sentence with `$`, checksum and line end."""
    value = 0
    for byte in body.encode("ascii"):
        value ^= byte
    return f"${body}*{value:02X}\r\n".encode("ascii")


def _place(state: State) -> str:
    north, east = abs(state.latitude), abs(state.longitude)
    return (
        f"{_minutes(north, 2)},{'N' if state.latitude >= 0 else 'S'},"
        f"{_minutes(east, 3)},{'E' if state.longitude >= 0 else 'W'}"
    )


def _minutes(degrees: float, digits: int) -> str:
    """Degrees and minutes, as ddmm.mmmmm."""
    hundred_thousandths = round(degrees * 60 * 100_000)
    whole, rest = divmod(hundred_thousandths, 60 * 100_000)
    return f"{whole:0{digits}d}{rest // 100_000:02d}.{rest % 100_000:05d}"


def _gsa(satellites: tuple[int, ...], system: int, *, fixed: bool) -> str:
    used = [f"{number:02d}" for number in satellites] if fixed else []
    ids = ",".join((used + [""] * 12)[:12])
    dops = "1.40,0.82,1.13" if fixed else "99.99,99.99,99.99"
    return f"GNGSA,A,{3 if fixed else 1},{ids},{dops},{system}"


def _gsv(talker: str, satellites: tuple[int, ...], second: int) -> list[str]:
    groups = [satellites[at : at + 4] for at in range(0, len(satellites), 4)]
    return [
        f"{talker}GSV,{len(groups)},{number},{len(satellites):02d},"
        + ",".join(f"{each:02d},45,{each * 9:03d},{36 + (each + second) % 8}" for each in group)
        + ",1"
        for number, group in enumerate(groups, start=1)
    ]
