"""The sockets in the wall: what software asks of hardware, and nothing about how.

Place in the flow: `hardware/` fulfils these, `*/__main__.py` chooses which, everything else takes
them as arguments. A simulator is an implementation of a port, never a mock of one.

* A port returns values or raises `edge.errors.DeviceFault`; it never shows anything to a person.
* Money is integer fen, time is integer microseconds UTC unless a name says `monotonic`.
* Kiosk devices speak one message shape (after CEN XFS4IoT): a command with a request id, a time
  limit and a cancel; the answer is one `Completion`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


# ------------------------------------------------------------------ clock
@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of every clock the device has; order never depends on `wall_us`.

    Attributes:
        wall_us: Microseconds since 1970-01-01 UTC, as the device believes.
        boot_id: Random per boot, 16 hex digits.
        monotonic_us: Microseconds since that boot.
    """

    wall_us: int
    boot_id: str
    monotonic_us: int


class Clock(Protocol):
    """Reads time. The only door to a clock."""

    def now(self) -> Instant:
        """Returns the present instant."""
        ...


class Randomness(Protocol):
    """Reads randomness. The only door to an entropy source."""

    def token(self, count: int) -> bytes:
        """Returns `count` unpredictable bytes."""
        ...


# ------------------------------------------------------------------ vehicle bus
@dataclass(frozen=True, slots=True)
class FrameChunk:
    """Many frames at once, as parallel columns: what a bus or line reader hands on.

    Attributes:
        times_us: Receive time of each frame, microseconds UTC.
        ids: Arbitration id of each frame; extended (29-bit) ids carry bit 31 (`EXTENDED_ID`). What
            came over a line and not a bus carries bit 30 (`LINE_ID`) and the kind of line instead.
            The number of the source stands above (`SOURCE_SHIFT`), 0 for the first.
        payloads: Data bytes of each frame: 0 to 64 of a bus, one whole sentence or message of a
            line (`LINE_BYTES_MAX`).
        position: Where the reader stands after this chunk, in frames since the start of its source.
    """

    times_us: Sequence[int]
    ids: Sequence[int]
    payloads: Sequence[bytes]
    position: int


EXTENDED_ID = 0x8000_0000
LINE_ID = 0x4000_0000
NMEA_LINE = LINE_ID | 1
"""One NMEA 0183 sentence, or what a receiver sent between two line ends instead of one."""
IMU_LINE = LINE_ID | 2
"""One message of an inertial sensor, as its driver's reference page lays it out."""
JTT808_LINE = LINE_ID | 3
"""One unescaped, checked location report of a JT/T 808 terminal."""
ADAPTER_LINE = LINE_ID | 4
"""What an OBD adapter measures itself: the voltage of the vehicle's battery, such as `12.6V`."""
LINE_BYTES_MAX = 1_024
SOURCE_SHIFT = 32


class FrameSource(Protocol):
    """A bus, or the recording of one."""

    @property
    def name(self) -> str:
        """Names the source for people, such as `socketcan:can0` or a file name."""
        ...

    @property
    def skipped(self) -> Mapping[str, int]:
        """Counts what could not be read so far, by reason (never silent)."""
        ...

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields frames in order of arrival; live sources yield at least every 100 ms.

        Args:
            skip_frames: Frames of a recording to pass over because they were handled before.

        Raises:
            DeviceFault: The bus went off, the file cannot be read or holds no known format.
        """
        ...

    def close(self) -> None:
        """Releases the bus or file."""
        ...


@dataclass(frozen=True, slots=True)
class PowerReading:
    """What a box knows of its supply.

    Attributes:
        ignition: Whether the key is on; None where no wire tells.
        supply_mv: Millivolts of the vehicle's battery; None where nothing measures them.
    """

    ignition: bool | None = None
    supply_mv: int | None = None


class PowerSense(Protocol):
    """The wire of the ignition and the measured supply."""

    def read(self) -> PowerReading:
        """Returns the present state; what cannot be read is None, never a guess."""
        ...


class Supervisor(Protocol):
    """Whoever starts a program anew when it hangs."""

    def ready(self) -> None:
        """Start-up is over."""
        ...

    def alive(self, status: str) -> None:
        """The loop goes round; `status` is for people."""
        ...

    def stopping(self) -> None:
        """The end was asked for."""
        ...


class Requester(Protocol):
    """Decides what a box asks on a bus, and when: sans-IO, driven by whoever owns the bus.

    A driver calls `due` before it waits for frames and `heard` with those that `claims` is true of.
    """

    @property
    def counts(self) -> Mapping[str, int]:
        """Counts what was odd so far, by reason; the driver adds it to its own."""
        ...

    def due(self, now_us: int) -> Sequence[tuple[int, bytes]]:
        """Returns the frames to send at this monotonic time, as (id, data), often none."""
        ...

    def pause(self, *, paused: bool) -> None:
        """Asks nothing while the vehicle sleeps; any thread may say so."""
        ...

    def claims(self, can_id: int) -> bool:
        """Says whether a received id can be an answer."""
        ...

    def heard(self, can_id: int, payload: bytes, now_us: int) -> None:
        """Takes a received frame in; what it calls for (flow control) is `due` at once."""
        ...


# ------------------------------------------------------------------ the driver's place
class DriverReader(Protocol):
    """Reads what a driver identifies with: a card held before it."""

    def cards(self) -> Sequence[bytes]:
        """Returns the numbers of cards that were held before it since the last call, never waits.

        Raises:
            DeviceFault: The reader is gone; it is opened again by the next call.
        """
        ...

    def close(self) -> None:
        """Releases the reader."""
        ...


class DriverPanel(Protocol):
    """Shows a driver what goes on, by a screen or by lights and a buzzer."""

    def show(self, state: Mapping[str, Any]) -> None:
        """Shows a state; called some times a second, and never waits.

        Args:
            state: See docs/reference/driver.md; `sound` is "" for silence, "warn" or "alarm", and
                `mono_us` the monotonic time.

        Raises:
            DeviceFault: The panel is gone; it may be tried again.
        """
        ...

    def touches(self) -> Sequence[Mapping[str, Any]]:
        """Returns what the driver did since the last call, never waits: anybody's content."""
        ...

    def close(self) -> None:
        """Goes dark and silent."""
        ...


# ------------------------------------------------------------------ lines of terminals
class Line(Protocol):
    """One connection of a terminal, as a stream of bytes."""

    def send(self, content: bytes) -> None:
        """Sends, or ends the connection where the other side does not read what it is sent."""
        ...

    def hold(self, *, held: bool) -> None:
        """Stops or goes on reading; what the other side sends meanwhile waits with it."""
        ...

    def close(self) -> None:
        """Ends the connection after what was sent; safe to call twice."""
        ...


class LineListener(Protocol):
    """Who is told what happens on the lines of a server; all of it in one thread."""

    def opened(self, line: Line) -> None:
        """A connection has begun."""
        ...

    def heard(self, line: Line, piece: bytes) -> None:
        """Bytes have come."""
        ...

    def closed(self, line: Line) -> None:
        """A connection has ended, whoever ended it."""
        ...

    def tick(self) -> None:
        """Some milliseconds have passed."""
        ...


# ------------------------------------------------------------------ kiosk devices
@dataclass(frozen=True, slots=True)
class Command:
    """One order to a kiosk device.

    Attributes:
        request_id: Made by the caller, echoed in the completion.
        device: `id_reader`, `pin_pad`, `printer`, ...
        verb: `read`, `verify`, `print`, ...
        parameters: Text, integers and bytes only.
        timeout_ms: After this the device completes with `timeout`.
    """

    request_id: str
    device: str
    verb: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    timeout_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Completion:
    """The one answer to a `Command`.

    Attributes:
        request_id: That of the command.
        status: `ok`, `timeout`, `cancelled`, `refused` or `fault`.
        result: What the device read or did.
        code: Stable reason when `status` is not `ok`, such as `paper-out` or `wrong-pin`.
    """

    request_id: str
    status: str
    result: Mapping[str, object] = field(default_factory=dict)
    code: str = ""


class KioskDevice(Protocol):
    """An ID reader, PIN pad, printer, scale, ... behind the one message shape."""

    @property
    def kind(self) -> str:
        """The `Command.device` it answers to."""
        ...

    def execute(self, command: Command) -> Completion:
        """Carries the command out, blocking no longer than its time limit."""
        ...

    def cancel(self, request_id: str) -> None:
        """Ends a command that is under way; it completes with `cancelled`."""
        ...


# ------------------------------------------------------------------ keys and counters
class Signer(Protocol):
    """A P-256 private key that may live in a TPM, a secure element or a file."""

    @property
    def kid(self) -> str:
        """The device, operator or service id that the signature speaks for."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Returns the 64-byte `r || s` ES256 signature of `message` (RFC 9053 §2.1)."""
        ...


class Counter(Protocol):
    """A monotonic counter that survives what the disk does not (DESIGN §7, rollback witness).

    It begins anywhere: one in a TPM starts above every counter that this TPM ever had.
    """

    def read(self) -> int:
        """Returns the present value.

        Raises:
            DeviceFault: It is not there, or its medium is not; a lost counter is never read as 0.
        """
        ...

    def advance_to(self, value: int) -> None:
        """Raises the counter to `value`, durably; a value that it has passed changes nothing.

        Raises:
            DeviceFault: It is not there, cannot be written, or `value` is too far ahead of it.
        """
        ...


class KeyVault(Protocol):
    """Keeps what the stores of a device are encrypted with."""

    @property
    def where(self) -> str:
        """Where the keys lie, for people: `tpm`, or `file`, which protects no stolen machine."""
        ...

    def key(self, name: str) -> bytes:
        """Returns the 32 bytes of a name, the same each time.

        They are made on first use, and are durable before they are returned. Keys of two names tell
        nothing of each other.
        """
        ...
