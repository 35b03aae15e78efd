"""Targets on a vehicle's bus: whatever a babbling node, a clone or a tester puts on it.

Place in the flow: ground → **bus** → targets.

* The input is a byte that chooses a vehicle profile and a run of frames: a byte that chooses the
  id, a byte of length, then the data.
* Nothing may raise at all; a snapshot holds what the data catalogue lists, and what is remembered
  survives a restart.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from edge.catalogue import check_body
from edge.codec import decode, encode
from edge.ports import EXTENDED_ID, IMU_LINE, JTT808_LINE, NMEA_LINE, FrameChunk
from tests.fuzz.judge import MIB, Mismatch, Target
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILES: Final = ("obd_gnss_imu", "hyundai_ev", "nmea2000", "fms_bus")
IDS: Final = (
    *(0x7E8, 0x7EC, 0x7BB, 1, 3, 9),
    *(NMEA_LINE, IMU_LINE, JTT808_LINE),
    *(EXTENDED_ID | low for low in (0x18DA_F110, 0x0DF8_0523, 0x18EC_FF00, 0x18EB_FF00)),
    *(EXTENDED_ID | low for low in (0x18FE_CA00, 0x0CFE_6CEE, 0x18FE_4EEC)),
)
STEP_US: Final = 10_000


@functools.cache
def _decoder(name: str) -> tuple[Decoder, bytes]:
    """A decoder, with what it remembers before the first frame."""
    made = Decoder(load_profile(name))
    return made, encode(made.state())


def frames_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cuts an input into frames."""
    while len(data) > 1:
        end = 2 + data[1]
        yield IDS[data[0] % len(IDS)], data[2:end]
        data = data[end:]


def frame_bytes(profile: int, *frames: tuple[int, bytes]) -> bytes:
    """Makes an input of frames for one of the profiles."""
    cut = (bytes([IDS.index(can_id), len(data)]) + data for can_id, data in frames)
    return bytes([profile]) + b"".join(cut)


def run_bus(data: bytes) -> None:
    """Decodes frames in two chunks, with a restart after each."""
    frames = list(frames_of(data[1:]))
    half = len(frames) // 2
    decoder, fresh = _decoder(PROFILES[data[0] % len(PROFILES)] if data else PROFILES[0])
    decoder.restore(decode(fresh))
    for part in (frames[:half], frames[half:]):
        times = [STEP_US * number for number in range(len(part))]
        ids, payloads = [each[0] for each in part], [each[1] for each in part]
        told = decoder.decode(FrameChunk(times, ids, payloads, len(part)))
        for each in told.snapshots:
            body = {name: each[name] for name in each if name not in {"kind", "at_us"}}
            check_body(each["kind"], body)
        state = encode(decoder.state())
        decoder.restore(decode(state))
        if encode(decoder.state()) != state:
            raise Mismatch("What a decoder remembers does not survive a restart.")


def bus_seeds() -> list[bytes]:
    """Long answers, faults, packets and sentences."""
    uds = [b"\x10\x14\x62\xf1\x90LVS", b"\x21HCAMB1C", b"\x22E054249"]
    faults = [b"\x10\x0b\x59\x02\xff\x0a\x80\x11", b"\x21\x08\xc1\x00\x87\x04\x55\x55"]
    fast = [b"\x00\x0d" + bytes(6), b"\x01" + bytes(7)]
    long, part = EXTENDED_ID | 0x18EC_FF00, EXTENDED_ID | 0x18EB_FF00
    announced = [(long, b"\x20\x0a\x00\x02\xff\xca\xfe\x00"), (part, b"\x01" + bytes(7))]
    rmc = b"$GNRMC,120000.00,A,3000.00,N,10400.00,E,0.1,0.0,090624,,,A*7C"
    return [
        frame_bytes(1, *((0x7EC, each) for each in uds), (0x7E8, b"\x03\x41\x0d\x32")),
        frame_bytes(1, *((0x7EC, each) for each in faults)),
        frame_bytes(2, *((EXTENDED_ID | 0x0DF8_0523, each) for each in fast)),
        frame_bytes(3, *announced, (part, b"\x02" + bytes(7))),
        frame_bytes(3, (EXTENDED_ID | 0x18FE_CA00, b"\x04\xff\x6e\x00\x03\x01\xff\xff")),
        frame_bytes(0, (NMEA_LINE, rmc), (NMEA_LINE, rmc), (3, bytes.fromhex("1D99639142336A05"))),
        frame_bytes(0, (IMU_LINE, bytes(24)), (JTT808_LINE, bytes(40)), (9, bytes(8))),
    ]


TARGETS: Final = (
    Target("bus", "vehicle_gateway.decode: frames of every standard, to columns and snapshots",
           run_bus, bus_seeds, memory_base=32 * MIB),
)  # fmt: skip
