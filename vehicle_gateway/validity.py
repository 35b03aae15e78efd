"""Whether a frame is to be believed: its checksum is right and its counter goes on.

Place in the flow: payloads of one message → **validity** → dbc (decodes the rest).

    kind         over                                           by
    toyota       id, length, all other bytes: sum               a carmaker, last byte
    sum, xor     all other bytes                                many
    crc8-j1850   all other bytes: 1D, start FF, inverted        SAE J1850
    e2e-p1       data id (low, high), all other bytes: 1D       AUTOSAR E2E profile 1, first byte

* A frame whose checksum is wrong is absence and a count; it tells nothing of the next.
* A counter that stands still is a sender that hangs, or a replayed frame: from the `REPEATS_MAX`th
  repetition on its frames are absence until it moves. Counters that jump have lost frames only.
* Column speed: byte 0 of all payloads is one integer, byte 1 another; sums, exclusive ors and table
  look-ups go over whole integers, none over single frames.
"""

from __future__ import annotations

import logging
from collections import Counter
from fractions import Fraction
from operator import eq
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.dbc import ColumnDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vehicle_gateway.dbc import Check, Message
    from vehicle_gateway.profile import ChecksumRule, MessageMap

log = logging.getLogger(__name__)

REPEATS_MAX: Final = 5
SAID_EVERY_US: Final = 1_000_000
POLYNOMIAL: Final = 0x1D  # SAE J1850: x^8 + x^4 + x^3 + x^2 + 1
WRONG, FROZEN = "checksum-wrong", "counter-frozen"
BYTE: Final = 8


class Validity:
    """The checks of all messages of one decoder."""

    def __init__(self) -> None:
        self._counters: dict[str, _FrozenCounter] = {}
        self._said_us = -SAID_EVERY_US

    def checks(self, message: Message, wanted: MessageMap) -> list[Check]:
        """Returns the checks that the profile wants of one message.

        Raises:
            LocalError: The message has no such signal, or its checksum is no whole byte.
        """
        found: list[Check] = []
        if wanted.checksum is not None:
            found.append(_checksum(message, wanted.checksum))
        if wanted.counter is not None:
            counter = self._counters[message.name] = _FrozenCounter(message, wanted.counter)
            found.append(counter)
        return found

    def warn(self, counts: Mapping[str, int], now_us: int) -> None:
        """Logs what was not believed, once a second of data time at most."""
        wrong, frozen = counts.get(WRONG, 0), counts.get(FROZEN, 0)
        if (wrong or frozen) and abs(now_us - self._said_us) >= SAID_EVERY_US:
            self._said_us = now_us
            log.warning("%d frames with a wrong checksum, %d of a frozen sender", wrong, frozen)

    def state(self) -> dict[str, Any]:
        """Returns the counters: message → last value and its repetitions."""
        return {name: [*each.state] for name, each in self._counters.items() if each.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the counters before a restart.

        Raises:
            LocalError: It is no such state.
        """
        try:
            for name, each in self._counters.items():
                before = state.get(name)
                each.state = None if before is None else (int(before[0]), int(before[1]))
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved state of counters is damaged: {error}.", "decoder-state"
            ) from error


# ------------------------------------------------------------------ counter
class _FrozenCounter:
    """Refuses the frames of a counter that stands still.

    Attributes:
        state: Its last value and how often that was repeated; None before the first frame.
    """

    def __init__(self, message: Message, name: str) -> None:
        field = message.fields.get(name)
        if field is None:
            raise _no_signal(message, name)
        # The unit that makes its bits the value: a counter is compared, never scaled.
        self._decoder = ColumnDecoder(message, {name: (0, field.factor or Fraction(1))})
        self.state: tuple[int, int] | None = None

    def __call__(self, payloads: Sequence[bytes], counts: Counter[str]) -> Sequence[bool] | None:
        """Says of each frame whether its sender goes on."""
        if not payloads:
            return None
        values = [value or 0 for value in self._decoder.decode(payloads, Counter())[0]]
        last, run = self.state or (values[0] - 1, 0)
        repeats = list(map(eq, values, [last, *values[:-1]]))
        if not any(repeats):
            self.state = values[-1], 0
            return None
        passed = []
        for repeated in repeats:
            run = run + 1 if repeated else 0
            passed.append(run < REPEATS_MAX)
        self.state = values[-1], min(run, REPEATS_MAX)
        if all(passed):
            return None
        counts[FROZEN] += passed.count(False)
        return passed


# ------------------------------------------------------------------ checksum
def _checksum(message: Message, rule: ChecksumRule) -> Check:
    place = _byte_of(message, rule)

    def check(payloads: Sequence[bytes], counts: Counter[str]) -> Sequence[bool] | None:
        if len(set(map(len, payloads))) <= 1:
            passed = _differing(message.can_id, rule, place, payloads)
        else:
            passed = [_differing(message.can_id, rule, place, [each]) is None for each in payloads]
        if passed is not None:
            counts[WRONG] += passed.count(False)
        return passed

    return check


def _byte_of(message: Message, rule: ChecksumRule) -> int:
    """Returns the byte that holds the checksum; a negative one counts from the end."""
    if rule.signal is None:
        return 0 if rule.kind == "e2e-p1" else -1
    field = message.fields.get(rule.signal)
    if field is None:
        raise _no_signal(message, rule.signal)
    first = field.start - BYTE + 1 if field.is_big_endian else field.start
    if field.length != BYTE or first % BYTE:
        raise LocalError(
            f"{rule.signal} of {message.name} is no whole byte; leave its checksum out of the "
            "vehicle profile.",
            "profile-checksum",
        )
    return first // BYTE


def _differing(
    can_id: int, rule: ChecksumRule, place: int, payloads: Sequence[bytes]
) -> list[bool] | None:
    """Compares payloads of one length with their checksums; None where all are right."""
    count = len(payloads)
    length = len(payloads[0]) if payloads else 0
    if not -length <= place < length:
        return [False] * count or None
    joined = b"".join(payloads)
    columns = [int.from_bytes(joined[at::length], "big") for at in range(length)]
    told = columns.pop(place)
    head = _Head(can_id & ~EXTENDED_ID, length, rule.data_id)
    differing = _KINDS[rule.kind](columns, count, head) ^ told
    return None if differing == 0 else [not byte for byte in differing.to_bytes(count, "big")]


class _Head(NamedTuple):
    """What a checksum takes in before the data."""

    can_id: int
    length: int
    data_id: int


def _toyota(columns: Sequence[int], count: int, head: _Head) -> int:
    return _add(columns, count, sum(head.can_id.to_bytes(4, "big")) + head.length)


def _sum(columns: Sequence[int], count: int, head: _Head) -> int:
    del head
    return _add(columns, count, 0)


def _add(columns: Sequence[int], count: int, start: int) -> int:
    """Adds bytes modulo 256 in each place; the top bits are added apart, so nothing carries."""
    low, high = _spread(0x7F, count), _spread(0x80, count)
    total = _spread(start & 0xFF, count)
    for column in columns:
        total = ((total & low) + (column & low)) ^ ((total ^ column) & high)
    return total


def _xor(columns: Sequence[int], count: int, head: _Head) -> int:
    del count, head
    total = 0
    for column in columns:
        total ^= column
    return total


def _crc8_j1850(columns: Sequence[int], count: int, head: _Head) -> int:
    del head
    return _crc(columns, count, 0xFF) ^ _spread(0xFF, count)


def _e2e_p1(columns: Sequence[int], count: int, head: _Head) -> int:
    """AUTOSAR PRS_E2EProtocol, profile 1, both bytes of the data id: start and final value 0."""
    low, high = (_spread(byte, count) for byte in head.data_id.to_bytes(2, "little"))
    return _crc([low, high, *columns], count, 0)


def _crc(columns: Sequence[int], count: int, start: int) -> int:
    total = _spread(start, count)
    for column in columns:
        total = int.from_bytes((total ^ column).to_bytes(count, "big").translate(TABLE), "big")
    return total


def _spread(byte: int, count: int) -> int:
    return int.from_bytes(bytes([byte]) * count, "big")


def _crc_table() -> bytes:
    table = []
    for byte in range(256):
        rest = byte
        for _ in range(BYTE):
            rest = (rest << 1) ^ POLYNOMIAL if rest & 0x80 else rest << 1
        table.append(rest & 0xFF)
    return bytes(table)


TABLE: Final = _crc_table()
_KINDS: Final = {
    "toyota": _toyota,
    "sum": _sum,
    "xor": _xor,
    "crc8-j1850": _crc8_j1850,
    "e2e-p1": _e2e_p1,
}


def _no_signal(message: Message, name: str) -> LocalError:
    return LocalError(
        f"Message {message.name} of the DBC has no integer signal {name}; correct the vehicle "
        "profile or bring the DBC that it was written for.",
        "dbc-signal",
    )
