"""A technician at the box: reads fault codes, clears them with a reason that is signed first."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import can
import pytest

from edge.codec import decode
from edge.errors import DeviceFault, LocalError
from edge.keys import FileIdentity
from edge.seal import read_sign1
from edge.store import open_reader
from hardware.drivers.can_bus import BusSettings, BusSource
from hardware.drivers.clock import SystemClock
from hardware.sim.elm327 import ElmFirmware, ElmOnPty
from hardware.sim.vehicle import SimSettings, SimulatedVehicle, VehicleOnBus
from tests.unit.vehicle_gateway.yard import DEVICE
from vehicle_gateway import obd_service
from vehicle_gateway.__main__ import main
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.obd_service import Service, faults_text
from vehicle_gateway.profile import ObdSection
from vehicle_gateway.uds_client import UdsClient
from vehicle_gateway.uds_ecus import Ecu, UdsSection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.ports import Requester
    from tests.unit.vehicle_gateway.yard import Core

NOTHING_ELSE = ObdSection((), codes_us=0)


@contextmanager
def visit(
    name: str,
    vehicle: SimulatedVehicle,
    *,
    may_clear: bool = False,
    units: UdsClient | None = None,
) -> Iterator[Service]:
    far_end = can.Bus(interface="virtual", channel=name)
    clock, over = SystemClock(), threading.Event()
    thread = threading.Thread(target=VehicleOnBus(vehicle, far_end, clock).run, args=(over.is_set,))
    schedule = ObdSchedule(NOTHING_ELSE, may_clear=may_clear)
    asked: list[Requester] = [schedule]
    if units:
        asked.append(units)
    source = BusSource(BusSettings("virtual", name, requesters=asked), clock)
    thread.start()
    service = Service(source, schedule, clock, units)
    try:
        yield service
    finally:
        service.close()
        over.set()
        thread.join()
        far_end.shutdown()


@pytest.fixture
def vehicle() -> SimulatedVehicle:
    vehicle = SimulatedVehicle(SimSettings())
    vehicle.engine.fail("P0420")
    vehicle.engine.fail("P0171", service=0x07)
    vehicle.engine.fail("P0420", service=0x0A)
    return vehicle


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


def test_codes_are_listed_by_computer_and_status(name: str, vehicle: SimulatedVehicle) -> None:
    with visit(name, vehicle) as service:
        faults = service.read()
    assert faults == {"7E8": {"stored": ["P0420"], "pending": ["P0171"], "permanent": ["P0420"]}}
    assert "7E8  stored     P0420  auxiliary emission control" in faults_text(faults)


def test_a_sound_vehicle_has_none() -> None:
    assert faults_text({"7E8": {"stored": []}}) == "no fault codes in 1 computers"


def test_clearing_is_signed_before_it_is_done(name: str, vehicle: SimulatedVehicle) -> None:
    signed: list[tuple[dict[str, Any], int]] = []
    with visit(name, vehicle, may_clear=True) as service:
        faults, is_clear = service.clear(
            " catalyst replaced ",
            lambda record: signed.append((record, len(vehicle.engine.codes[0x03]))),
        )
    [(record, still_stored)] = signed
    assert record == {
        "type": "dtc-clear",
        "at_us": record["at_us"],
        "reason": "catalyst replaced",
        "codes": {"7E8": ["P0420"]},
    }
    assert still_stored == 1
    assert is_clear
    assert not vehicle.engine.codes[0x03]
    assert faults["7E8"]["stored"] == ["P0420"]


def test_nothing_is_cleared_that_could_not_be_signed(name: str, vehicle: SimulatedVehicle) -> None:
    def full(record: dict[str, Any]) -> None:
        raise DeviceFault(f"No room for {record['type']}.", "outbox-full")

    with visit(name, vehicle, may_clear=True) as service, pytest.raises(DeviceFault):
        service.clear("catalyst replaced", full)
    assert vehicle.engine.codes[0x03]


@pytest.mark.parametrize("reason", ["", "why", "x" * 201, "      a      "])
def test_clearing_takes_a_reason(name: str, vehicle: SimulatedVehicle, reason: str) -> None:
    with (
        visit(name, vehicle, may_clear=True) as service,
        pytest.raises(LocalError, match="Say in 5 to 200 characters why"),
    ):
        service.clear(reason, print)
    assert vehicle.engine.codes[0x03]


def test_a_vehicle_that_says_nothing_is_a_fault(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obd_service, "PATIENCE_US", 300_000)
    schedule = ObdSchedule(NOTHING_ELSE)
    clock = SystemClock()
    source = BusSource(BusSettings("virtual", name, requesters=[schedule]), clock)
    service = Service(source, schedule, clock)
    with pytest.raises(DeviceFault, match="Switch the ignition on") as caught:
        service.read()
    assert caught.value.code == "obd-silent"
    service.close()


class Unit(can.Listener):
    """A control unit with one stored fault code, on the far end of the bus."""

    def __init__(self, bus: can.BusABC) -> None:
        self._bus = bus
        self.codes = b"\x0a\x80\x11\x08"

    def on_message_received(self, msg: can.Message) -> None:
        """Answers the reading and the clearing of its codes."""
        if msg.arbitration_id != 0x7E4:
            return
        answer = b"\x59\x02\xff" + self.codes
        if msg.data[1] == 0x14:
            answer, self.codes = b"\x54", b""
        data = bytes([len(answer)]) + answer
        self._bus.send(can.Message(arbitration_id=0x7EC, data=data, is_extended_id=False))


def test_control_units_of_the_profile_are_read_and_cleared_too(
    name: str, vehicle: SimulatedVehicle
) -> None:
    far_end = can.Bus(interface="virtual", channel=name)
    unit = Unit(far_end)
    notifier = can.Notifier(far_end, [unit], timeout=0.05)
    units = UdsClient(UdsSection((Ecu("battery", 0x7E4, 0x7EC),)), may_clear=True)
    try:
        with visit(name, vehicle, may_clear=True, units=units) as service:
            faults, is_clear = service.clear("battery replaced", lambda record: record)
    finally:
        notifier.stop()
        far_end.shutdown()
    assert faults["7EC"] == {"stored": ["P0A80-11"], "pending": []}
    assert faults["7E8"]["stored"] == ["P0420"]
    assert is_clear
    assert unit.codes == b""


# ------------------------------------------------------------------ the command
@pytest.mark.parametrize(
    "words", [["clear"], ["clear", "--reason", "catalyst replaced"], ["clear", "--yes-clear"]]
)
def test_the_command_wants_a_reason_and_a_yes(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["dtc", *words, "--config", str(tmp_path / "gateway.toml")])
    assert caught.value.code == 2


def test_the_command_wants_a_source_that_can_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(
        '[gateway]\ndevice = "box-1"\norg = "org"\nvehicle = "bus-1"\ndata_dir = "."\n'
        'identity = "key.pem"\n[core]\nsigning_public = "core.hex"\npolicy = "policy.cose"\n'
        '[source]\nkind = "sim"\n',
        encoding="utf-8",
    )
    assert main(["dtc", "list", "--config", str(path)]) == 2
    assert "can ask a vehicle anything" in capsys.readouterr().err


@contextmanager
def plugged_in(vehicle: SimulatedVehicle) -> Iterator[ElmOnPty]:
    over = threading.Event()
    adapter = ElmOnPty(ElmFirmware(vehicle.answers), vehicle, SystemClock())
    thread = threading.Thread(target=adapter.run, args=(over.is_set,))
    thread.start()
    try:
        yield adapter
    finally:
        over.set()
        thread.join()
        adapter.unplug()


def test_a_technician_reads_and_clears_with_an_adapter(
    tmp_path: Path, core: Core, vehicle: SimulatedVehicle, capsys: pytest.CaptureFixture[str]
) -> None:
    FileIdentity.create(tmp_path / "keys" / "identity.pem", DEVICE)
    (tmp_path / "signing.pub").write_text(core.signer.public_bytes.hex())
    (tmp_path / "policy.cose").write_bytes(core.issue(1, 3, 30))
    path = tmp_path / "gateway.toml"
    with plugged_in(vehicle) as adapter:
        path.write_text(
            f'[gateway]\ndevice = "{DEVICE}"\norg = "org"\nvehicle = "bus-1"\ndata_dir = "data"\n'
            'identity = "keys/identity.pem"\n'
            '[core]\nsigning_public = "signing.pub"\npolicy = "policy.cose"\n'
            f'[source]\nkind = "elm327"\nchannel = "{adapter.path}"\nbaud = 115200\n',
            encoding="utf-8",
        )
        assert main(["dtc", "list", "--config", str(path), "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        words = ["--config", str(path), "--reason", "catalyst replaced", "--yes-clear"]
        assert main(["dtc", "clear", *words]) == 0
    assert listed["7E8"]["stored"] == ["P0420"]
    assert capsys.readouterr().out.endswith("cleared\n")
    assert not vehicle.engine.codes[0x03]
    with open_reader(tmp_path / "data" / "outbox.db") as store:
        rows = store.rows("SELECT message FROM outbox_messages ORDER BY epoch, seq")
    records = [decode(read_sign1(bytes(row["message"]))[1]) for row in rows]
    assert [record["type"] for record in records] == ["epoch-start", "dtc-clear", "epoch-close"]
    assert records[1]["codes"] == {"7E8": ["P0420"]}
