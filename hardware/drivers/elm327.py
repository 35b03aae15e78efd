"""An OBD adapter of the ELM327 kind as a source of CAN frames, over a serial line or a socket.

Place in the flow: adapter ⇄ **elm327** (bytes) ⇄ `elm327_talk` → `FrameChunk`s → decode.

* Every line of an answer becomes the frame that it was on the bus, so one decoder serves both.
* The line is opened for this box alone; its speed is found by trying, unless it is given.
* A chunk is handed on at least every 100 ms. An adapter that is unplugged, silent or unfit is a
  `DeviceFault`: the caller waits and opens it again, and what a clone lacks is found out again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.ports import FrameChunk
from hardware.drivers.asking import Asking
from hardware.drivers.elm327_talk import Talk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import serial

    from edge.ports import Clock, Requester

BAUDS: Final = (38_400, 115_200, 9_600, 230_400, 57_600, 500_000)
CHUNK_US_MAX: Final = 100_000
READ_S: Final = 0.02
PROBE_S: Final = 0.4
PROBE_READS: Final = 4
READ_BYTES_MAX: Final = 4_096
PROMPT: Final = b">"
WHO: Final = b"\rATI\r"  # the first end of line ends what another speed made of the last question


@dataclass(frozen=True, slots=True)
class ElmSettings:
    """Which adapter.

    Attributes:
        channel: A serial device, or a URL of pyserial such as `socket://192.168.0.10:35000`.
        baud: Speed of the line; 0 finds it out.
        requesters: Whose questions are put.
    """

    channel: str
    baud: int = 0
    requesters: Sequence[Requester] = ()


class ElmSource:
    """An adapter as an `edge.ports.FrameSource`."""

    def __init__(self, settings: ElmSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._skipped: Counter[str] = Counter()
        self._asking = Asking(settings.requesters)
        self._line: ElmLine | None = None

    @property
    def name(self) -> str:
        """Kind and channel."""
        return f"elm327:{self._settings.channel}"

    @property
    def skipped(self) -> Mapping[str, int]:
        """What was odd about the adapter and about answers, by reason."""
        return dict(self._skipped + self._asking.counts)

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields what is answered until `close`; an adapter has nothing to skip.

        Raises:
            DeviceFault: The adapter is absent, silent, unfit or was unplugged.
        """
        del skip_frames
        self._line = ElmLine(self._settings.channel, self._settings.baud)
        talk = Talk(self._asking, self._skipped)
        position = 0
        try:
            while self._line is not None:
                chunk = self._collect(self._line, talk, position)
                position = chunk.position
                yield chunk
        finally:
            self.close()

    def close(self) -> None:
        """Releases the line; `chunks` ends after its next chunk."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _collect(self, line: ElmLine, talk: Talk, position: int) -> FrameChunk:
        """Talks for at most 100 ms."""
        times_us: list[int] = []
        ids: list[int] = []
        payloads: list[bytes] = []
        now = self._clock.now()
        end_us = now.monotonic_us + CHUNK_US_MAX
        while now.monotonic_us < end_us:
            line.write(talk.say(now.monotonic_us))
            data = line.read(READ_S)
            now = self._clock.now()
            talk.hear(data, now.monotonic_us)
            for can_id, payload in talk.take():
                times_us.append(now.wall_us)
                ids.append(can_id)
                payloads.append(payload)
        return FrameChunk(times_us, ids, payloads, position + len(ids))


class ElmLine:
    """The bytes to an adapter and back.

    Args:
        channel: As in `ElmSettings`.
        baud: Speed, or 0.

    Raises:
        DeviceFault: Nothing is there, somebody else has it, or nobody answers at any speed.
    """

    def __init__(self, channel: str, baud: int = 0) -> None:
        import serial

        self._channel = channel
        try:
            self._port: serial.Serial = serial.serial_for_url(
                channel, baudrate=baud or BAUDS[0], timeout=READ_S, write_timeout=1, exclusive=True
            )
        except (serial.SerialException, OSError, ValueError) as error:
            raise self._fault(error) from error
        if not baud and "://" not in channel:
            self._find_speed()

    def write(self, data: bytes) -> None:
        """Sends all of `data`.

        Raises:
            DeviceFault: The line is gone.
        """
        import serial

        try:
            if data:
                self._port.write(data)
        except (serial.SerialException, OSError) as error:
            raise self._fault(error) from error

    def read(self, wait_s: float) -> bytes:
        """Returns what came, at the latest after `wait_s`; empty when nothing came.

        Raises:
            DeviceFault: The line is gone.
        """
        import serial

        try:
            self._port.timeout = wait_s
            data: bytes = self._port.read(1)
            while data and len(data) < READ_BYTES_MAX and (waiting := self._port.in_waiting):
                data += self._port.read(waiting)
        except (serial.SerialException, OSError, TypeError) as error:
            # pyserial reads from None when another thread closed the port: TypeError.
            raise self._fault(error) from error
        return data

    def close(self) -> None:
        """Releases the line."""
        self._port.close()

    def _find_speed(self) -> None:
        """Tries speeds until the adapter, asked for its name, gives a prompt."""
        for baud in BAUDS:
            self._port.baudrate = baud
            self.write(WHO)
            heard = b""
            for _ in range(PROBE_READS):
                heard += self.read(PROBE_S / PROBE_READS)
                if PROMPT in heard and heard.isascii():
                    return
        self.close()
        raise DeviceFault(
            f"No OBD adapter answers on {self._channel} at any speed; check that it is plugged in, "
            "that its light is on and that [source] names the right device.",
            "elm-silent",
        )

    def _fault(self, error: Exception) -> DeviceFault:
        return DeviceFault(
            f"The OBD adapter on {self._channel} does not answer ({error}); plug it in, and check "
            "that nothing else has it open.",
            "elm-lost",
        )
