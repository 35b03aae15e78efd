"""Long messages of real captures, value by value, as others put them together and decode them.

Place in the flow: recording → our decoders, and twenty lines and cantools → the same values.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import cantools
import pytest
from udsoncan.Response import Response
from udsoncan.services.ReadDataByIdentifier import ReadDataByIdentifier

from edge.catalogue import signal_by_id
from edge.ports import EXTENDED_ID
from hardware.drivers.can_log import LogSource
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path

    from cantools.database.can import Database

BATTERY, CLIMATE = 0x7EC, 0x7BB
Message = tuple[int, bytes]
"""When its last frame came, and its bytes."""


def frames_of(log: Path, can_id: int) -> list[Message]:
    return [
        (time_us, payload)
        for chunk in LogSource(log).chunks()
        for time_us, each, payload in zip(chunk.times_us, chunk.ids, chunk.payloads, strict=True)
        if each == can_id
    ]


def put_together(log: Path, can_id: int) -> list[Message]:
    """ISO-TP as a page of the standard shows it: frames 1, 2, 3, ... after a first frame."""
    found: list[Message] = []
    data, length, number = b"", 0, 0
    for time_us, frame in frames_of(log, can_id):
        if frame[0] >> 4 == 1:
            data, length, number = frame[2:], int.from_bytes(frame[:2], "big") & 0xFFF, 0
        elif frame[0] >> 4 == 2 and length and frame[0] & 15 == (number + 1) % 16:
            data, number = data + frame[1:], number + 1
            if len(data) >= length:
                found.append((time_us, data[:length]))
                length = 0
        else:
            length = 0
    return found


def put_packets_together(log: Path, can_id: int) -> list[Message]:
    """Fast packets: by sequence, frame 0 tells the length."""
    found: list[Message] = []
    under_way: dict[int, bytes] = {}
    lengths: dict[int, int] = {}
    for time_us, frame in frames_of(log, can_id):
        sequence = frame[0] >> 5
        if frame[0] & 31 == 0:
            under_way[sequence], lengths[sequence] = frame[2:], frame[1]
        elif sequence in under_way:
            under_way[sequence] += frame[1:]
            if len(under_way[sequence]) >= lengths[sequence]:
                found.append((time_us, under_way.pop(sequence)[: lengths[sequence]]))
    return found


def ours(log: Path, profile: str, dbcs: list[Path] | None = None) -> dict[str, list[Any]]:
    """VSS path → (time, value in its unit) as our decoder has it, absent ones as None."""
    decoder = Decoder(load_profile(profile), dbcs or [])
    found: dict[str, list[Any]] = {}
    for chunk in LogSource(log).chunks():
        for group in decoder.decode(chunk).groups:
            for key, series in group.series.items():
                spec = signal_by_id(key)
                scale = spec.numerator / spec.denominator
                found.setdefault(spec.path.removeprefix("Vehicle."), []).extend(
                    (time, None if raw is None else raw * scale)
                    for time, raw in zip(group.times_us, series, strict=True)
                )
    return found


def cantools_says(database: Database, name: str, messages: list[Message]) -> list[dict[str, Any]]:
    message = database.get_message_by_name(name)
    byte_signals = [
        each for each in message.signals if each.length == 8 and each.byte_order == "little_endian"
    ]
    padded = [data.ljust(message.length, b"\xff")[: message.length] for _, data in messages]
    found: list[dict[str, Any]] = []
    for data in padded:
        # The file does not say which multiplexer selects what; cantools then leaves out a signal,
        # which is a byte of its own and is taken from where the file lays it.
        told: dict[str, Any] = {
            each.name: each.conversion.raw_to_scaled(data[each.start // 8]) for each in byte_signals
        }
        decoded: Any = message.decode(data, decode_choices=False)
        found.append(told | decoded)
    return found


# ------------------------------------------------------------------ UDS of an electric car
def test_the_signals_of_a_car_are_what_cantools_says(real_data: Path) -> None:
    folder = real_data / "can" / "uds_tp"
    log = folder / "uds_ev.MF4"
    database = cantools.database.load_file(folder / "tp_uds.dbc", strict=False)
    decoded = ours(log, "hyundai_ev")
    signals = {
        "Powertrain.TractionBattery.StateOfCharge.Current": (
            *("Battery", BATTERY, "M_SID_0x220101_StateOfChargeBMS", 0.0),
        ),
        "Cabin.HVAC.AmbientAirTemperature": (
            *("Temperature", CLIMATE, "M_SID_0x220100_IndoorTemp", 0.5),
        ),
        "Exterior.AirTemperature": ("Temperature", CLIMATE, "M_SID_0x220100_OutdoorTemp", 0.0),
    }
    for path, (name, can_id, their_name, step) in signals.items():
        messages = put_together(log, can_id)
        # The logger's layout begins with the length byte of ISO-TP.
        with_length = [(time, bytes([len(data)]) + data) for time, data in messages]
        theirs = cantools_says(database, name, with_length)  # type: ignore[arg-type]
        assert len(decoded[path]) == len(theirs) >= 120
        for (time, value), (their_time, _), told in zip(
            decoded[path], messages, theirs, strict=True
        ):
            assert time == their_time
            assert abs(value - told[their_name]) <= step, path


def test_what_the_others_do_not_decode_is_what_its_bytes_say(real_data: Path) -> None:
    log = real_data / "can" / "uds_tp" / "uds_ev.MF4"
    decoded = ours(log, "hyundai_ev")
    battery = "Powertrain.TractionBattery."
    for number, (time, data) in enumerate(put_together(log, BATTERY)):
        response = Response.from_payload(data)
        assert response.data
        assert response.service is ReadDataByIdentifier
        said = response.data[2:]
        truth = {
            "CurrentCurrent": int.from_bytes(said[10:12], "big", signed=True) / 10,
            "CurrentVoltage": int.from_bytes(said[12:14], "big") / 10,
            "Temperature.Max": int.from_bytes(said[14:15], "big", signed=True),
            "Temperature.Min": int.from_bytes(said[15:16], "big", signed=True),
        }
        for name, value in truth.items():
            assert decoded[battery + name][number] == (time, pytest.approx(value, abs=1e-9))


def test_a_layout_with_a_length_byte_decodes_as_ours(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "can" / "uds_tp"
    profile = tmp_path / "logger.toml"
    profile.write_text(
        'title = "The layout of the logger"\ndbc = []\n'
        "[uds]\nwith_length = true\n"
        "[[uds.ecu]]\n"
        'name = "b"\nrequest = 0x7E4\nresponse = 0x7EC\nmessages = ["Battery"]\n'
        "[messages.Battery]\nM_SID_0x220101_StateOfChargeBMS = "
        '"Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"\n'
    )
    log = folder / "uds_ev.MF4"
    theirs = ours(log, str(profile), [folder / "tp_uds.dbc"])
    path = "Powertrain.TractionBattery.StateOfCharge.Current"
    assert theirs == {path: ours(log, "hyundai_ev")[path]}


def test_every_frame_that_gave_nothing_is_accounted_for(real_data: Path) -> None:
    log = real_data / "can" / "uds_tp" / "uds_ev.MF4"
    decoder = Decoder(load_profile("hyundai_ev"))
    counts = Counter[str]()
    for chunk in LogSource(log).chunks():
        counts.update(decoder.decode(chunk).counts)
    firsts = sum(
        frame[0] >> 4 == 1 for can_id in (BATTERY, CLIMATE) for _, frame in frames_of(log, can_id)
    )
    whole = sum(len(put_together(log, can_id)) for can_id in (BATTERY, CLIMATE))
    # Each first frame ends in a whole message or in one count: the logger missed frames.
    under_way = len(decoder.state()["uds"]["isotp"].get("open", []))
    assert firsts - whole - under_way == counts["isotp-timeout"] + counts["isotp-overlapped"]
    assert set(counts) == {"isotp-timeout", "isotp-overlapped"}


# ------------------------------------------------------------------ NMEA 2000
def test_the_positions_of_a_boat_are_what_cantools_says(real_data: Path) -> None:
    folder = real_data / "can" / "uds_tp"
    log = folder / "nmea2000.MF4"
    messages = put_packets_together(log, EXTENDED_ID | 0x0DF8_0523)
    database = cantools.database.load_file(folder / "tp_nmea.dbc", strict=False)
    theirs = cantools_says(database, "gnssPositionData", messages)  # type: ignore[arg-type]
    decoded = ours(log, "nmea2000")
    signals = {
        "CurrentLocation.Latitude": ("latitude", 0.5e-6),
        "CurrentLocation.Longitude": ("longitude", 0.5e-6),
        "CurrentLocation.Altitude": ("altitude", 0.05),
        "Private.GNSS.Satellites": ("numberOfSvs", 0),
        "Private.GNSS.HDOP": ("hdop", 0.005),
    }
    assert set(decoded) == set(signals)
    for path, (name, step) in signals.items():
        assert len(decoded[path]) == len(theirs) == 60
        for (time, value), (their_time, _), told in zip(
            decoded[path], messages, theirs, strict=True
        ):
            assert time == their_time
            assert abs(value - told[name]) <= step + 1e-9, path
