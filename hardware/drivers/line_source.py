"""A device that talks on a serial line without being asked, as an `edge.ports.FrameSource`.

Place in the flow: serial_line → **line_source** with a cutter → `FrameChunk`s → vehicle_gateway.

* What is a message, and whether it proves that the line has the right speed, the device's own
  module says (gnss_line, imu_line); here are speeds, times, silence and cables.
* A chunk is handed on every `GATHER_US`, an empty one on a silent line.
* A line whose speed is not known is listened to at each speed for `listen_us`, at that of last time
  first.
* A line that is gone, or says nothing whole for `silence_us`, is a `DeviceFault`: whoever reads
  opens it again, and so finds a device that was changed for another.
* It only listens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import DeviceFault
from edge.ports import FrameChunk
from hardware.drivers.serial_line import SerialLine

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.ports import Clock
    from hardware.drivers.serial_line import ByteStream

GATHER_US: Final = 100_000


class Cutter(Protocol):
    """Cuts bytes into messages: sans-IO.

    Attributes:
        counts: What was no message, by reason.
    """

    counts: Counter[str]

    def feed(self, data: bytes) -> list[bytes]:
        """Takes bytes in and returns the messages that they complete."""
        ...


@dataclass(frozen=True, slots=True)
class LineKind:
    """What a kind of device is like.

    Attributes:
        kind: As in [source] kind.
        can_id: That of its frames.
        bauds: Speeds to seek it at.
        listen_us: How long at each.
        silence_us: How long a device may say nothing whole.
        is_proof: Says whether a message proves that the speed is right.
        spread: Messages come steadily: those of one chunk are dated evenly over its time.
    """

    kind: str
    can_id: int
    bauds: Sequence[int]
    listen_us: int
    silence_us: int
    is_proof: Callable[[bytes], bool]
    spread: bool


class LineSource:
    """A device on a line as a live source.

    Args:
        what: Its kind.
        cutter: Of its own messages.
        path: Such as `/dev/ttyUSB0`.
        baud: Of the line, 0 to seek it.
        clock: Tells when messages arrived.
        open_line: Opens the line at a speed; `SerialLine` outside of tests.
    """

    def __init__(
        self,
        what: LineKind,
        cutter: Cutter,
        path: Path,
        baud: int,
        clock: Clock,
        open_line: Callable[[Path, int], ByteStream] = SerialLine,
    ) -> None:
        self._what = what
        self._cutter = cutter
        self._path = path
        self._bauds = (baud,) if baud else tuple(what.bauds)
        self._clock = clock
        self._open_line = open_line
        self._position = 0
        self._is_closed = False

    @property
    def name(self) -> str:
        """Such as `gnss:/dev/ttyUSB0`."""
        return f"{self._what.kind}:{self._path}"

    @property
    def skipped(self) -> Mapping[str, int]:
        """What was no message, by reason."""
        return +self._cutter.counts

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields what arrives until `close`; a live device has nothing to skip.

        Raises:
            DeviceFault: The line is absent or gone, or nothing on it is a message.
        """
        del skip_frames
        for baud in self._bauds:
            line = self._open_line(self._path, baud)
            try:
                if (yield from self._listen(line, baud)) or self._is_closed:
                    break
            finally:
                line.close()
        if not self._is_closed:
            raise DeviceFault(
                f"{self._path} says nothing that a {self._what.kind} would say; check its wires, "
                "its power, and kind and baud of [source].",
                f"{self._what.kind}-silent",
            )

    def close(self) -> None:
        """Ends `chunks` after its next chunk, which closes the line."""
        self._is_closed = True

    # ------------------------------------------------------------ inside
    def _listen(self, line: ByteStream, baud: int) -> Generator[FrameChunk, None, bool]:
        """Reads until silence; returns whether this was the right speed after all."""
        heard_us = self._clock.now().monotonic_us
        found = len(self._bauds) == 1
        while not self._is_closed:
            chunk = self._gather(line)
            yield chunk
            now_us = self._clock.now().monotonic_us
            if any(map(self._what.is_proof, chunk.payloads)):
                heard_us, found = now_us, True
                self._bauds = (baud, *(each for each in self._bauds if each != baud))
            if now_us - heard_us > (self._what.silence_us if found else self._what.listen_us):
                break
        return found

    def _gather(self, line: ByteStream) -> FrameChunk:
        start = now = self._clock.now()
        times_us: list[int] = []
        messages: list[bytes] = []
        while (left_us := GATHER_US - (now.monotonic_us - start.monotonic_us)) > 0:
            found = self._cutter.feed(line.read(-(-left_us // 1_000)))
            now = self._clock.now()
            messages += found
            times_us += [now.wall_us] * len(found)
        self._position += len(messages)
        if self._what.spread and messages:
            span_us, number = now.monotonic_us - start.monotonic_us, len(messages)
            times_us = [now.wall_us - span_us * (number - 1 - at) // number for at in range(number)]
        return FrameChunk(times_us, [self._what.can_id] * len(messages), messages, self._position)
