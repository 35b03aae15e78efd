"""Tests of the doctor: each thing that can be wrong is named, with what to do."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from edge.errors import DeviceFault
from edge.ports import EXTENDED_ID, FrameChunk
from hardware.drivers.broker import BrokerFiles, start_broker
from tests.unit.hardware.pki import Pki
from tests.unit.vehicle_gateway.test_gateway import parts
from tests.unit.vehicle_gateway.yard import DEVICE, START_US, Script, StillClock
from vehicle_gateway.decode import Decoder
from vehicle_gateway.doctor import (
    WIRING,
    Finding,
    Heard,
    judge,
    listen,
    look_at_broker,
    look_at_files,
    report,
)
from vehicle_gateway.mqtt import BrokerPlace
from vehicle_gateway.profile import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPEED = bytes.fromhex("03410D2800000000")
YEAR_US = 365 * 86_400_000_000


def heard_of(ids: list[int], payload: bytes = SPEED, profile: str = "obd_gnss_imu") -> Heard:
    heard = Heard("can0", seconds=5.0)
    chunk = FrameChunk(list(range(len(ids))), ids, [payload] * len(ids), len(ids))
    heard.take(chunk, Decoder(load_profile(profile)).decode(chunk))
    return heard


def only(found: list[Finding]) -> Finding:
    (finding,) = found
    return finding


# ------------------------------------------------------------------ wiring
def test_a_bus_that_is_understood_is_good() -> None:
    found = only(judge(heard_of([0x7E8] * 50), "obd_gnss_imu"))
    assert found == Finding("good", "can0: 10 frames/s, 50 values")


def test_silence_asks_for_key_plug_wires_and_bit_rate() -> None:
    found = only(judge(Heard("can0", seconds=5.0), "obd_gnss_imu"))
    assert found.level == "bad"
    for word in ("key", "pin 6", "bit rate"):
        assert word in found.advice


def test_29_bits_under_a_profile_of_cars_are_a_bus() -> None:
    found = only(judge(heard_of([0x18FEF100 | EXTENDED_ID] * 50), "obd_gnss_imu"))
    assert found.level == "odd"
    assert "fms_bus" in found.advice


def test_ids_that_nobody_knows_are_another_vehicle() -> None:
    found = only(judge(heard_of([0x123] * 50), "obd_gnss_imu"))
    assert "another one than the profile's" in found.advice


@pytest.mark.parametrize("reason", sorted(WIRING))
def test_what_the_adapter_counts_is_said_in_words(reason: str) -> None:
    heard = heard_of([0x7E8] * 50)
    heard.skipped = {reason: 7, "remote-frame": 3}
    found = judge(heard, "obd_gnss_imu")
    assert [each.level for each in found] == ["odd", "good"]
    assert (reason in found[0].what, found[0].advice) == (True, WIRING[reason])


def test_a_source_that_does_not_open_says_its_own_words() -> None:
    heard = Heard("slcan:/dev/ttyACM0", fault="The adapter is not there; plug it in.")
    assert only(judge(heard, "obd_gnss_imu")).advice == "The adapter is not there; plug it in."


def test_a_receiver_without_a_fix_wants_to_see_the_sky() -> None:
    heard = heard_of([0x7E8] * 50)
    heard.kinds, heard.counts = Counter(NMEA=50), Counter({"gnss-no-fix": 9})
    assert "sky" in judge(heard, "obd_gnss_imu")[-1].advice


def test_it_listens_so_long_and_closes_behind_itself() -> None:
    clock = StillClock()
    steps: list[Any] = [*parts(30.0), lambda: clock.advance(3)] * 3
    source = Script(steps)
    heard = listen(source, Decoder(load_profile()), clock, 5.0)
    assert (heard.frames > 1_000, heard.seconds >= 5.0, heard.fault) == (True, True, "")
    assert judge(heard, "obd_gnss_imu")[-1].level == "good"
    lost = listen(Script([DeviceFault("Gone.", "bus-lost")]), Decoder(load_profile()), clock, 5.0)
    assert only(judge(lost, "obd_gnss_imu")) == Finding("bad", "script", "Gone.")


# ------------------------------------------------------------------ files
def test_missing_files_and_an_ended_certificate_are_named(tmp_path: Path) -> None:
    certificate, _ = Pki(tmp_path).issue(DEVICE)
    files = {"certificate": certificate, "policy": tmp_path / "gone"}
    now = look_at_files(files, tmp_path, START_US)
    assert [each.level for each in now] == ["bad", "good", "good"]
    assert "policy" in now[0].what
    later = look_at_files({"certificate": certificate}, tmp_path, START_US + 100 * YEAR_US)
    assert "ended" in later[0].what
    soon = look_at_files(
        {"certificate": certificate}, tmp_path, 4_733_510_400_000_000 - YEAR_US // 40
    )
    assert soon[0].level == "odd"
    certificate.write_text("none")
    assert look_at_files({"certificate": certificate}, tmp_path, START_US)[0].level == "bad"


# ------------------------------------------------------------------ the broker
@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def place(pki: Pki, port: int, host: str = "127.0.0.1", who: Pki | None = None) -> BrokerPlace:
    return BrokerPlace(host, port, pki.ca, *(who or pki).issue(DEVICE))


def test_a_broker_that_takes_us_is_good_and_a_stranger_is_told(pki: Pki, tmp_path: Path) -> None:
    files = BrokerFiles(tmp_path / "broker", pki.ca, *pki.issue("broker"))
    with start_broker(files) as broker:
        assert look_at_broker(place(pki, broker.port)).level == "good"
        foreign = Pki(tmp_path, "stranger")
        found = look_at_broker(
            BrokerPlace("127.0.0.1", broker.port, foreign.ca, *pki.issue(DEVICE))
        )
        assert (found.level, "ca" in found.advice) == ("bad", True)
        assert look_at_broker(place(pki, broker.port, "no-such-host.invalid")).level == "bad"


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which somebody takes the connection and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_answer, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def _answer(server: socket.socket) -> None:
    line, _ = server.accept()
    with line:
        line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_door_that_is_shut_and_one_that_is_another_are_told_apart(pki: Pki, port: int) -> None:
    wrong = look_at_broker(place(pki, port))
    shut = look_at_broker(place(pki, 1))
    assert (wrong.level, shut.level) == ("bad", "bad")
    assert wrong.advice != shut.advice


def test_the_report_begins_with_what_is_bad() -> None:
    text = report([Finding("good", "a"), Finding("bad", "b", "do this"), Finding("odd", "c")])
    assert text.splitlines() == ["bad   b", "      do this", "odd   c", "good  a"]
