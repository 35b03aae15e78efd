"""Puts long diagnostic messages together from what is heard on a bus (ISO 15765-2, passively).

Place in the flow: frames of answer ids → **isotp** → `uds`, `obd`.

    frame         byte 0         then
    single        0 | length     1 to 7 bytes of data; a long CAN FD frame: 00, length, data
    first         1 | length     12 bits of length, data; 10 00: 32 bits of length, data
    consecutive   2 | number     data; the number counts 1 to 15, 0, 1, ...
    flow control  3 | status     how fast the other side may go on: nothing for a listener

* Sans-IO and per id: frames in, a whole message out with its last frame. It never sends.
* Time is that of the data: a message that rests for `TIMEOUT_US` is given up.
* Nothing raises. What is lost, repeated, overlapping or malformed is absence and a count.
* Memory is bounded: by what came and never by what a length claims, over all ids together.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

MESSAGE_BYTES_MAX: Final = 65_535
HELD_BYTES_MAX: Final = 128 * 1024
TRANSFERS_MAX: Final = 64
TIMEOUT_US: Final = 2_000_000
"""ISO 15765-2 table 16: one second for the flow control, one more for the next frame."""
CLASSIC_BYTES: Final = 8
SHORT_LENGTH_MAX: Final = 0xFFF
SINGLE, FIRST, CONSECUTIVE, FLOW_CONTROL = range(4)


@dataclass(slots=True)
class _Transfer:
    """A message of which the first frame came.

    Attributes:
        length: Bytes of the whole message.
        frame_bytes: Size of its first frame; all but the last are as large.
        number: That of the last consecutive frame; 0 after the first frame.
        last: That frame, to know it again when it comes twice.
    """

    length: int
    frame_bytes: int
    heard_us: int
    data: bytearray
    number: int = 0
    last: bytes = b""

    def head(self) -> tuple[int | bytes, ...]:
        """All but its data, in the order of a state's row."""
        return self.length, self.frame_bytes, self.heard_us, self.number, self.last


@dataclass(slots=True)
class Reassembler:
    """Listens to many ids at once.

    Attributes:
        counts: What was passed over so far, by reason; `drain` moves it on.
    """

    counts: Counter[str] = field(default_factory=Counter)
    _open: dict[int, _Transfer] = field(default_factory=dict)
    _held: int = 0

    def feed(self, can_id: int, time_us: int, payload: bytes) -> bytes | None:
        """Takes one frame in.

        Returns:
            The whole message, when this frame completes one.
        """
        kind = payload[0] >> 4 if payload else -1
        if kind == CONSECUTIVE:
            return self._consecutive(can_id, time_us, payload)
        if kind == SINGLE:
            return self._single(can_id, time_us, payload)
        if kind == FIRST:
            self._first(can_id, time_us, payload)
        elif kind != FLOW_CONTROL:
            self.counts["isotp-unknown-frame" if payload else "isotp-length"] += 1
        return None

    def awaits(self, can_id: int) -> bool:
        """Says whether a message of an id is under way."""
        return can_id in self._open

    def drain(self, counts: Counter[str]) -> None:
        """Adds what was counted since the last time to `counts`."""
        counts.update(self.counts)
        self.counts.clear()

    def forget(self) -> None:
        """Gives up what is under way, uncounted: another source begins."""
        self._open.clear()
        self._held = 0

    def state(self, secrets: tuple[bytes, ...] = ()) -> dict[str, Any]:
        """Returns what is under way, for `restore`.

        Args:
            secrets: Messages that begin so are left out: a state lies on a disk in the clear.
        """
        rows = [
            [key, *each.head(), bytes(each.data)]
            for key, each in self._open.items()
            if not each.data.startswith(secrets)
        ]
        return {"open": rows} if rows else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of a reassembler before a restart.

        Raises:
            LocalError: It is no such state.
        """
        try:
            self._open = {
                int(can_id): _Transfer(length, size, heard_us, bytearray(data), number, last)
                for can_id, length, size, heard_us, number, last, data in state.get("open", [])
            }
        except (AttributeError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved state of ISO-TP is damaged: {error}.", "decoder-state"
            ) from error
        self._held = sum(len(each.data) for each in self._open.values())

    # ------------------------------------------------------------ inside
    def _single(self, can_id: int, time_us: int, payload: bytes) -> bytes | None:
        if len(payload) <= CLASSIC_BYTES:
            start, length = 1, payload[0] & 0xF
        else:  # a CAN FD frame longer than 8 bytes has its length in the second byte
            start, length = 2, payload[1] if payload[0] == 0 else 0
        if not 0 < length <= len(payload) - start:
            self.counts["isotp-length"] += 1
            return None
        self._give_up(can_id, time_us)
        return payload[start : start + length]

    def _first(self, can_id: int, time_us: int, payload: bytes) -> None:
        start, length = 2, int.from_bytes(payload[:2], "big") & SHORT_LENGTH_MAX
        if length == 0 and len(payload) >= CLASSIC_BYTES:
            start, length = 6, int.from_bytes(payload[2:6], "big")
            # ISO 15765-2 clause 9.6.3.2: the escape is for lengths that need it.
            length = 0 if length <= SHORT_LENGTH_MAX else length
        # The same clause: what fits a single frame is not sent in several.
        if len(payload) < CLASSIC_BYTES or length < max(CLASSIC_BYTES, len(payload) - 1):
            self.counts["isotp-length"] += 1
            return
        self._give_up(can_id, time_us)
        if length > MESSAGE_BYTES_MAX:
            self.counts["isotp-too-long"] += 1
            return
        data = bytearray(payload[start:])
        self._make_room(len(data))
        self._open[can_id] = _Transfer(length, len(payload), time_us, data)
        self._held += len(data)

    def _consecutive(self, can_id: int, time_us: int, payload: bytes) -> bytes | None:
        transfer = self._open.get(can_id)
        if transfer is None:
            self.counts["isotp-no-first"] += 1
            return None
        number = payload[0] & 0xF
        if number == transfer.number and payload == transfer.last:
            self.counts["isotp-repeated"] += 1
            return None
        missing = transfer.length - len(transfer.data)
        reason = _oddity(transfer, number, time_us, payload, missing)
        if reason:
            self._drop(can_id)
            self.counts[reason] += 1
            return None
        part = payload[1 : 1 + missing]
        transfer.data += part
        self._held += len(part)
        transfer.number, transfer.last, transfer.heard_us = number, payload, time_us
        if len(transfer.data) == transfer.length:
            return bytes(self._drop(can_id).data)
        while self._held > HELD_BYTES_MAX:
            self._evict()
        return None

    def _give_up(self, can_id: int, time_us: int) -> None:
        """Drops what another message of the same id interrupts."""
        if can_id in self._open:
            late = time_us - self._drop(can_id).heard_us > TIMEOUT_US
            self.counts["isotp-timeout" if late else "isotp-overlapped"] += 1

    def _make_room(self, size: int) -> None:
        while len(self._open) >= TRANSFERS_MAX or self._held + size > HELD_BYTES_MAX:
            self._evict()

    def _evict(self) -> None:
        """Gives up the transfer that began first: what a flood leaves behind."""
        self._drop(next(iter(self._open)))
        self.counts["isotp-crowded"] += 1

    def _drop(self, can_id: int) -> _Transfer:
        transfer = self._open.pop(can_id)
        self._held -= len(transfer.data)
        return transfer


def _oddity(
    transfer: _Transfer, number: int, time_us: int, payload: bytes, missing: int
) -> str | None:
    """Says why a consecutive frame does not go on with its message, or nothing."""
    if time_us - transfer.heard_us > TIMEOUT_US:
        return "isotp-timeout"
    if number != (transfer.number + 1) & 0xF:
        return "isotp-out-of-order"
    if len(payload) - 1 < min(missing, transfer.frame_bytes - 1):
        return "isotp-length"
    return None
