"""Tests of several sources: the same id on two buses is two messages."""

from __future__ import annotations

import pytest

from edge.catalogue import signal
from edge.errors import LocalError
from edge.ports import SOURCE_SHIFT, FrameChunk
from vehicle_gateway.decode import Decoder
from vehicle_gateway.decoders import Decoders
from vehicle_gateway.profile import load_profile

SPEED = signal("Vehicle.Speed").id


def two() -> Decoders:
    return Decoders([Decoder(load_profile()), Decoder(load_profile())])


def speed(kmh: int) -> bytes:
    return bytes([3, 0x41, 0x0D, kmh, 0, 0, 0, 0])


def test_each_source_has_a_decoder_of_its_own() -> None:
    ids = [0x7E8, 1 << SOURCE_SHIFT | 0x7E9, 0x7E8]
    chunk = FrameChunk([10, 20, 30], ids, [speed(40), speed(41), speed(42)], 3)
    decoded = two().decode(chunk)
    found = [(list(each.times_us), each.series[SPEED]) for each in decoded.groups]
    assert found == [([10, 30], [40 * 256, 42 * 256]), ([20], [41 * 256])]
    assert decoded.frames == 3
    assert not decoded.counts  # on one bus the second computer would not be believed


def test_a_number_without_a_source_is_unknown() -> None:
    chunk = FrameChunk([10], [7 << SOURCE_SHIFT | 0x7E8], [speed(40)], 1)
    assert two().decode(chunk).unknown_frames == 1


def test_state_goes_to_the_source_it_is_of() -> None:
    before = two()
    before.decode(FrameChunk([10], [1 << SOURCE_SHIFT | 0x7E9], [speed(40)], 1))
    later = two()
    later.restore(before.state())
    assert later.state() == before.state()
    decoded = later.decode(FrameChunk([20], [1 << SOURCE_SHIFT | 0x7E8], [speed(40)], 1))
    assert decoded.counts == {"obd-second-responder": 1}
    with pytest.raises(LocalError, match="damaged"):
        later.restore({"0": 1})
