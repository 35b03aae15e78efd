"""The peer that the chain is measured against: one JSON message per frame, QoS 1, as is usual.

Place in the flow: recording → python-can → cantools → JSON → paho → broker (PUBACK); for
`tests.bench.chain` alone.

* Honest work, in its favour: cantools decodes without choice labels, every signal of a frame counts
  as a sample, paho may have a thousand messages under way, and the broker is the same.
* It keeps nothing on disk and hides nothing; ours does both within its time.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import can
import cantools
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from vehicle_gateway.mqtt import tls_context
from vehicle_gateway.obd_pids import PIDS, RESPONSE_IDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cantools.database.can import Database

    from vehicle_gateway.mqtt import BrokerPlace

INFLIGHT_MAX = 1_000
ANSWER_S = 60.0
PGN_MASK = 0x03FF_FF00


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done in how long; bytes are payloads."""

    frames: int
    samples: int
    size: int
    seconds: float

    @property
    def frames_per_s(self) -> float:
        """Frames of the recording a second."""
        return self.frames / self.seconds

    @property
    def bytes_per_sample(self) -> float:
        """Payload bytes a sample."""
        return self.size / self.samples


def load_database(dbcs: Sequence[Path], *, is_j1939: bool = False) -> Database:
    """Loads DBCs, and OBD answers as the multiplexed message that cantools knows.

    Args:
        dbcs: Files; signals may overlap, as carmakers' do.
        is_j1939: Whether messages are known by their PGN, whoever sends them.
    """
    mask = PGN_MASK if is_j1939 else None
    database = cantools.database.can.Database(frame_id_mask=mask, strict=False)
    for path in dbcs:
        database.add_dbc_file(str(path), encoding="cp1252")
    if not is_j1939:
        database.add_dbc_string(obd_dbc())
    return database


def obd_dbc() -> str:
    """Writes service 01 as a DBC: the PID multiplexes what follows it."""
    lines = [
        'VERSION ""\nBS_:\nBU_: Tester\n',
        f"BO_ {RESPONSE_IDS[0]} OBD2: 8 Tester",
        ' SG_ Length : 0|8@1+ (1,0) [0|7] "" Tester',
        ' SG_ Service : 8|8@1+ (1,0) [0|255] "" Tester',
        ' SG_ PID M : 16|8@1+ (1,0) [0|255] "" Tester',
    ]
    for row in PIDS.values():
        name = row.path.rpartition(".")[2]
        factor = float(row.factor)
        lines.append(
            f" SG_ {name} m{row.pid} : 31|{8 * row.length}@0+ ({factor},{row.offset}) "
            '[0|0] "" Tester'
        )
    return "\n".join(lines) + "\n"


def run(log: Path, frames_max: int, database: Database, place: BrokerPlace, topic: str) -> Outcome:
    """Publishes the first frames of a recording and waits for every PUBACK."""
    client, answers = _connect(place)
    started = time.perf_counter()
    frames = samples = size = published = 0
    with can.LogReader(str(log)) as reader:
        for message in reader:
            frames += 1
            signals = _decode(database, message)
            if signals:
                payload = _spell(message, signals)
                client.publish(topic, payload, 1)
                published += 1
                samples += len(signals)
                size += len(payload)
            if frames == frames_max:
                break
    answers.wait_for(published)
    seconds = time.perf_counter() - started
    client.disconnect()
    client.loop_stop()
    return Outcome(frames, samples, size, seconds)


def _decode(database: Database, message: can.Message) -> dict[str, Any]:
    try:
        # `decode_message` of cantools forgets the mask of the ids; this does not.
        known = database.get_message_by_frame_id(message.arbitration_id)
        found = known.decode(bytes(message.data), decode_choices=False)
    except (KeyError, cantools.database.DecodeError):
        return {}
    assert isinstance(found, dict)
    return found


def _spell(message: can.Message, signals: dict[str, Any]) -> bytes:
    record = {"t": message.timestamp, "id": message.arbitration_id, "signals": signals}
    return json.dumps(record, separators=(",", ":")).encode()


class _Answers:
    """Counts PUBACKs."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def add(self, *_: object) -> None:
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            done = self._changed.wait_for(lambda: self._count >= count, ANSWER_S)
        assert done, "the broker did not confirm everything"


def _connect(place: BrokerPlace) -> tuple[mqtt.Client, _Answers]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="naive")
    client.tls_set_context(tls_context(place))
    client.max_inflight_messages_set(INFLIGHT_MAX)
    answers, connected = _Answers(), threading.Event()
    client.on_publish = answers.add
    client.on_connect = lambda *_: connected.set()
    client.connect(place.host, place.port)
    client.loop_start()
    assert connected.wait(ANSWER_S), "the broker does not answer"
    return client, answers
