"""Tests of the door's way to the broker: each terminal under its own certificate, few at a time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edge.config import read_toml, write_config
from edge.keys import FileIdentity, sign_evidence
from hardware.drivers.broker import BrokerFiles, start_broker
from hardware.drivers.clock import SystemClock
from hardware.sim.jtt808 import SimulatedTerminal, TerminalSettings
from tests.unit.hardware.mqtt_peer import Peer
from tests.unit.hardware.pki import Pki
from tests.unit.vehicle_gateway.door_yard import Wire, Yard
from vehicle_gateway.mqtt import Address

if TYPE_CHECKING:
    from pathlib import Path

    from hardware.drivers.broker import RunningBroker
    from tests.unit.vehicle_gateway.yard import Core
    from vehicle_gateway.door import Door

TICKS_MAX = 2_000
DEVICES = {"13800138000": "bus-1", "13900139000": "bus-2"}


def certify(yard: Yard, pki: Pki, broker: RunningBroker) -> None:
    """Gives each terminal a certificate for its key, and the broker's place."""
    for device in DEVICES.values():
        folder = yard.folder / "terminals" / device
        certificate, key = pki.issue(device)
        identity = folder / "keys" / "identity.pem"
        identity.write_bytes(f"Lastmile identity: {device}\n".encode() + key.read_bytes())
        assert FileIdentity.load(identity).kid == device
        section = {
            "host": broker.host,
            "port": broker.port,
            "ca": str(pki.ca),
            "certificate": str(certificate),
        }
        settings = read_toml(folder / "gateway.toml")
        write_config(folder / "gateway.toml", {**settings, "broker": section})


def report(door: Door, phone: str) -> None:
    """A terminal reports once."""
    now_us = SystemClock().now().wall_us
    it = SimulatedTerminal(TerminalSettings(phone, now_us - 60_000_000))
    wire = Wire(door)
    said = it.hello()
    while said:
        said = it.hear(wire.say(said))
    for body in it.drive(20):
        wire.say(it.report(body))
    door.drain()


def answer(core: Core, door: Door, heads: dict[str, bytes], topic: str, payload: bytes) -> bytes:
    """The core has stored this message and all before it: what it says, signed."""
    device = topic.split("/")[3]
    outbox = door._terminals[device].pipeline.sink.outbox
    row = next(each for each in outbox.due(100) if each.payload == payload)
    heads[device] = hashlib.sha256(heads.get(device, b"") + payload).digest()
    record = {"type": "stored", "device": device, "epoch": row.epoch, "seq": row.seq}
    down = Address("org", device).down
    return sign_evidence(core.signer, {**record, "head": heads[device]}, down)


def test_two_terminals_take_turns_at_one_place_and_both_are_settled(
    core: Core, tmp_path: Path
) -> None:
    yard, pki = Yard(tmp_path, core, SystemClock()), Pki(tmp_path)  # type: ignore[arg-type]
    for phone, device in DEVICES.items():
        yard.enrol(phone, device)
    files = BrokerFiles(tmp_path / "broker", pki.ca, *pki.issue("broker"))
    with start_broker(files, "amqtt") as broker:
        certify(yard, pki, broker)
        place = broker.host, broker.port
        with (
            yard.open(brokers_max=1) as door,
            Peer(place, pki.ca, pki.issue("core"), "core") as peer,
        ):
            assert peer.subscribe("lastmile/v1/org/+/up")
            for phone in DEVICES:
                report(door, phone)
            heads: dict[str, bytes] = {}
            known: set[bytes] = set()
            settle(core, door, peer, heads, known)
            assert heads.keys() == set(DEVICES.values())
            assert door.summary()["brokers"] == 1


def settle(core: Core, door: Door, peer: Peer, heads: dict[str, bytes], known: set[bytes]) -> None:
    """Turns the door until the core has signed for all that waits."""
    for _ in range(TICKS_MAX):
        door.tick()
        if all(each.pipeline.sink.outbox.empty for each in door._terminals.values()):
            return
        try:
            topic, payload = peer.next(0.05)
        except TimeoutError:
            continue
        if payload not in known:
            known.add(payload)
            peer.publish(topic.replace("/up", "/down"), answer(core, door, heads, topic, payload))
    raise AssertionError("the outboxes were not settled")
