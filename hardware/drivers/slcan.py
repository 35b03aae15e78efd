"""A serial CAN adapter (Lawicel "slcan") read in bulk, as an `edge.ports.FrameSource`.

Place in the flow: adapter → serial_line → **slcan** → `FrameChunk`s → vehicle_gateway.decode.

    t III L DD...  [SSSS] CR    standard frame; T IIIIIIII: extended; r, R: remote
    d, b, D, B                  the same for CAN FD, L being a length code
    CR  done   BEL  refused   z CR, Z CR  sent   F XX CR  error flags

Theory of operation. python-can's own slcan reads one byte a call and carries 6,000 frames/s; here
all that has arrived is split at once (measured: hundreds of thousands a second). So that a chunk of
several milliseconds still has a time for each frame, the adapter is asked for its time stamps
(milliseconds modulo a minute), which are laid on the box's clock by the least delay seen.

* The channel is opened by `L`, listening only, unless there is something to ask.
* Damage on the line is counted by reason and reading goes on at the next CR.
* An adapter that is gone, or refuses to open the channel, is a `DeviceFault`.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault, LocalError
from edge.ports import EXTENDED_ID, FrameChunk
from hardware.drivers.asking import Asking
from hardware.drivers.serial_line import SerialLine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.ports import Clock, Requester
    from hardware.drivers.serial_line import ByteStream

BITRATES: Final[Mapping[int, bytes]] = {
    10_000: b"S0",
    20_000: b"S1",
    50_000: b"S2",
    100_000: b"S3",
    125_000: b"S4",
    250_000: b"S5",
    500_000: b"S6",
    800_000: b"S7",
    1_000_000: b"S8",
}
CR: Final = b"\r"
BELL: Final = 0x07
CHUNK_US_MAX: Final = 100_000
GATHER_S: Final = 0.01
LINE_BYTES_MAX: Final = 1 + 8 + 1 + 2 * 64 + 4
ANSWER_MS: Final = 500
DRAIN_READS_MAX: Final = 20
FLAGS_US: Final = 1_000_000
MINUTE_MS: Final = 60_000
FD_LENGTHS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64)
ID_DIGITS: Final[Mapping[int, int]] = {ord(kind): 3 for kind in "tdb"} | {
    ord(kind): 8 for kind in "TDB"
}
IS_FD: Final = frozenset(b"dDbB")
REMOTE: Final = frozenset(b"rR")
SENT: Final = frozenset(b"zZ")
# Bits of the answer to F (Lawicel CANUSB manual): what they mean for whoever looks at the wiring.
FLAGS: Final[Mapping[int, str]] = {
    0x01: "adapter-overrun",
    0x04: "error-warning",
    0x08: "adapter-overrun",
    0x20: "error-passive",
    0x80: "bus-error",
}


class SlcanParser:
    """Splits what an adapter sends into frames: sans-IO.

    Attributes:
        counts: What was no data frame, by reason.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._rest = b""

    def feed(self, data: bytes) -> tuple[list[int], list[bytes], list[int | None]]:
        """Takes bytes in.

        Returns:
            Ids, payloads and the adapter's milliseconds of each whole frame; None without a stamp.
        """
        if BELL in data:  # a refusal has no CR behind it
            self.counts["adapter-refused"] += data.count(BELL)
            data = data.replace(b"\x07", b"")
        lines = (self._rest + data).split(CR)
        self._rest = lines.pop()
        if len(self._rest) > LINE_BYTES_MAX:
            self.counts["overlong-line"] += 1
            self._rest = b""
        ids: list[int] = []
        payloads: list[bytes] = []
        stamps: list[int | None] = []
        for line in lines:
            digits = ID_DIGITS.get(line[0]) if line else 0
            if not digits:
                self._other(line)
                continue
            try:
                start = digits + 2
                length = int(line[digits + 1 : start], 16)
                if line[0] in IS_FD:
                    length = FD_LENGTHS[length]
                end = start + 2 * length
                can_id = int(line[1 : digits + 1], 16)
                payload = bytes.fromhex(line[start:end].decode("ascii"))
                stamp = int(line[end:], 16) if len(line) == end + 4 else None
            except ValueError:
                self.counts["damaged-line"] += 1
                continue
            if len(payload) != length or len(line) not in (end, end + 4):
                self.counts["damaged-line"] += 1
                continue
            ids.append(can_id | EXTENDED_ID if digits == 8 else can_id)
            payloads.append(payload)
            stamps.append(stamp)
        return ids, payloads, stamps

    def _other(self, line: bytes) -> None:
        """Counts what is no data frame: error flags, remote frames, damage."""
        if not line or line[0] in SENT:
            return
        if line[0] in REMOTE:
            self.counts["remote-frame"] += 1
        elif line[0] == ord("F") and len(line) == 3:
            self._flags(line[1:])
        else:
            self.counts["damaged-line"] += 1

    def _flags(self, digits: bytes) -> None:
        try:
            flags = int(digits, 16)
        except ValueError:
            self.counts["damaged-line"] += 1
            return
        for name in {name for bit, name in FLAGS.items() if flags & bit}:
            self.counts[name] += 1


class Stamps:
    """Lays the adapter's milliseconds on the box's clock: by the least delay seen of late."""

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._turns = 0
        self._last_ms = -1

    def times(self, stamps: list[int | None], now_us: int) -> list[int]:
        """Returns the time of each frame; `now_us` where it has no stamp."""
        return [now_us if stamp is None else self._time(stamp, now_us) for stamp in stamps]

    def _time(self, stamp_ms: int, now_us: int) -> int:
        if stamp_ms < self._last_ms - MINUTE_MS // 2:
            self._turns += 1
        self._last_ms = stamp_ms
        own_us = (self._turns * MINUTE_MS + stamp_ms) * 1_000
        offset_us = now_us - own_us
        # Clocks drift and are set: a delay of more than a second is none.
        if self._offset_us is None or not 0 <= offset_us - self._offset_us <= 1_000_000:
            self._offset_us = offset_us
        self._offset_us += (offset_us - self._offset_us) // 1_024
        return min(own_us + self._offset_us, now_us)


class SlcanSource:
    """An adapter as a live bus.

    Args:
        path: Such as `/dev/ttyACM0`.
        clock: Tells when frames arrived.
        bitrate: Of the bus, one of `BITRATES`.
        requesters: What to ask; none listens only, in the adapter's own hardware.
        baud: Of the serial line; of no meaning on USB.
        gather: Waits so many seconds so that more arrives; `time.sleep` outside of tests.

    Raises:
        LocalError: No adapter has such a bit rate.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        bitrate: int = 500_000,
        requesters: Sequence[Requester] = (),
        baud: int = 115_200,
        gather: Callable[[float], None] = time.sleep,
    ) -> None:
        if bitrate not in BITRATES:
            known = ", ".join(map(str, BITRATES))
            raise LocalError(f"No slcan adapter has {bitrate} bit/s; use {known}.", "slcan-bitrate")
        self._path = path
        self._clock = clock
        self._bitrate = bitrate
        self._asking = Asking(requesters)
        self._baud = baud
        self._gather = gather
        self._parser = SlcanParser()
        self._is_closed = False

    @property
    def name(self) -> str:
        """Such as `slcan:/dev/ttyACM0`."""
        return f"slcan:{self._path}"

    @property
    def skipped(self) -> Mapping[str, int]:
        """What was no data frame, and what was odd about answers, by reason."""
        return self._parser.counts + self._asking.counts

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields what arrives until `close`; a live bus has nothing to skip.

        Raises:
            DeviceFault: The adapter is absent, gone, or does not open its channel.
        """
        del skip_frames
        line = SerialLine(self._path, self._baud)
        try:
            self._open_channel(line)
            yield from self._read(line)
        finally:
            _leave(line)

    def close(self) -> None:
        """Ends `chunks` after its next chunk, which closes the channel."""
        self._is_closed = True

    # ------------------------------------------------------------ inside
    def _open_channel(self, line: ByteStream) -> None:
        """Closes what another program left open, then opens anew."""
        line.write(CR * 3 + b"C" + CR)
        _drain(line)  # what the channel before had still to say
        line.write(BITRATES[self._bitrate] + CR + b"Z1" + CR)
        _drain(line)  # an adapter without time stamps refuses Z1 and works on
        line.write((b"O" if self._asking else b"L") + CR)
        answer = line.read(ANSWER_MS)
        if not answer or (BELL in answer and CR not in answer):
            raise DeviceFault(
                f"The adapter at {self._path} does not open its channel; unplug it, plug it in "
                "again, and see that it speaks slcan.",
                "slcan-open",
            )
        self._parser.feed(answer)

    def _read(self, line: ByteStream) -> Iterator[FrameChunk]:
        stamps, position, asked_us = Stamps(), 0, 0
        while not self._is_closed:
            now = self._clock.now()
            self._ask(line, now.monotonic_us)
            if now.monotonic_us - asked_us >= FLAGS_US:
                asked_us = now.monotonic_us
                line.write(b"F" + CR)
            data = line.read(5 if self._asking else CHUNK_US_MAX // 1_000)
            if data:
                self._gather(GATHER_S)
                data += line.read(0)
            ids, payloads, marks = self._parser.feed(data)
            now = self._clock.now()
            self._hear(ids, payloads, now.monotonic_us)
            position += len(ids)
            yield FrameChunk(stamps.times(marks, now.wall_us), ids, payloads, position)

    def _ask(self, line: ByteStream, now_us: int) -> None:
        for can_id, payload in self._asking.due(now_us):
            line.write(frame_text(can_id, payload))

    def _hear(self, ids: list[int], payloads: list[bytes], now_us: int) -> None:
        if self._asking:
            for can_id, payload in zip(ids, payloads, strict=True):
                self._asking.heard(can_id, payload, now_us)


def frame_text(can_id: int, payload: bytes) -> bytes:
    """Returns what makes the adapter send a classic frame."""
    number = f"T{can_id & ~EXTENDED_ID:08X}" if can_id & EXTENDED_ID else f"t{can_id:03X}"
    return f"{number}{len(payload)}{payload.hex().upper()}".encode("ascii") + CR


def _drain(line: ByteStream) -> None:
    """Reads until the adapter is silent; one that never is has said enough after a while."""
    for _ in range(DRAIN_READS_MAX):
        if not line.read(50):
            return


def _leave(line: ByteStream) -> None:
    """Closes channel and line; an adapter that is gone cannot be told."""
    try:
        line.write(b"C" + CR)
    except DeviceFault:
        return
    finally:
        line.close()
