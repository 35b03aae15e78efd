"""The same samples as our batches, as JSON and as Sparkplug B, and what the deltas hold.

Place in the flow: `samples` → **spelling** → the table of `tests.bench.edge`.

* Ours is what a box publishes: the gateway's record of a raw batch, deflated, sealed, with its
  topic and the head of an MQTT PUBLISH of QoS 1.
* JSON is the shortest that is still usual: a batch is one message, a line a frame, short names.
* Sparkplug B is one DDATA payload a batch with a metric a sample: alias, milliseconds, integer.
  Data types are told once at birth and not counted, nor are topics.
* The entropy is that of a signal's deltas over the whole recording, without any context.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from edge.codec import deflate
from edge.outbox import PRIORITY_RAW
from edge.seal import epoch_kid, seal_encrypt0
from edge.suites import A256GCM, suite_of
from vehicle_gateway.record import Part, fitting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.bench.ground.samples import Batch, Recording

DEVICE: Final = "box-1"
UINT32: Final = 1 << 32
INT32_MIN: Final = -(1 << 31)
US_PER_MS: Final = 1_000
US_PER_S: Final = 1_000_000
COMMON: Final[Mapping[str, Any]] = {
    "boot": "0123456789abcdef", "mono_us": 12_345_678_901, "driver": None, "vehicle": "bus-1",
}  # fmt: skip


# ------------------------------------------------------------------ ours
def plaintexts(batch: Batch) -> list[bytes]:
    """Returns what the gateway seals for a batch."""
    frames = sum(len(group.times_us) for group in batch.groups)
    part = Part(PRIORITY_RAW, batch.start_us, "trip", groups=batch.groups, frames=frames)
    return [plaintext for _, plaintext in fitting(part, COMMON)]


def sealed_bytes(batch: Batch, seq: int, topic: bytes) -> int:
    """Counts the bytes of a batch on the wire: EV1 headers and MQTT included."""
    suite, kid = suite_of(A256GCM), epoch_kid(DEVICE, 7)
    keys = bytes(suite.key_bytes), bytes(suite.nonce_bytes)
    messages = [seal_encrypt0(suite, keys, kid, seq, each, topic) for each in plaintexts(batch)]
    return sum(publish_bytes(len(message), topic) for message in messages)


def publish_bytes(payload: int, topic: bytes) -> int:
    """Counts an MQTT 3.1.1 PUBLISH of QoS 1 (§3.3): head, topic, packet id and payload."""
    rest = 2 + len(topic) + 2 + payload
    length = 1
    while rest >> (7 * length):
        length += 1
    return 1 + length + rest


# ------------------------------------------------------------------ JSON
def json_bytes(batch: Batch, names: Mapping[int, str]) -> bytes:
    """Spells a batch as lines: {"t": microseconds, "s": {signal: value}}."""
    lines = [
        json.dumps({"t": time, "s": values}, separators=(",", ":"))
        for time, values in _frames(batch, names)
    ]
    return "\n".join(lines).encode()


def _frames(batch: Batch, names: Mapping[int, str]) -> Iterator[tuple[int, dict[str, int]]]:
    for group in batch.groups:
        spelled = [names[signal] for signal in group.series]
        for time, *values in zip(group.times_us, *group.series.values(), strict=True):
            pairs = zip(spelled, values, strict=True)
            yield time, {name: value for name, value in pairs if value is not None}


# ------------------------------------------------------------------ Sparkplug B
_FIELD = descriptor_pb2.FieldDescriptorProto
PAYLOAD_FIELDS: Final = (("timestamp", 1, _FIELD.TYPE_UINT64), ("seq", 3, _FIELD.TYPE_UINT64))
METRIC_FIELDS: Final = (
    ("name", 1, _FIELD.TYPE_STRING),
    ("alias", 2, _FIELD.TYPE_UINT64),
    ("timestamp", 3, _FIELD.TYPE_UINT64),
    ("datatype", 4, _FIELD.TYPE_UINT32),
    ("int_value", 10, _FIELD.TYPE_UINT32),
    ("long_value", 11, _FIELD.TYPE_UINT64),
    ("float_value", 12, _FIELD.TYPE_FLOAT),
    ("double_value", 13, _FIELD.TYPE_DOUBLE),
)


def payload_class() -> Any:
    """Builds Payload of the public Sparkplug B schema: the fields that samples use, by number."""
    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug_b.proto", package="org.eclipse.tahu.protobuf", syntax="proto2"
    )
    payload = file.message_type.add(name="Payload")
    metric = payload.nested_type.add(name="Metric")
    for fields, into in ((PAYLOAD_FIELDS, payload), (METRIC_FIELDS, metric)):
        for name, number, kind in fields:
            into.field.add(name=name, number=number, type=kind, label=_FIELD.LABEL_OPTIONAL)
    payload.field.add(
        name="metrics",
        number=2,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_REPEATED,
        type_name=".org.eclipse.tahu.protobuf.Payload.Metric",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("org.eclipse.tahu.protobuf.Payload")
    return message_factory.GetMessageClass(found)


def sparkplug_bytes(batch: Batch, seq: int, make: Any) -> bytes:
    """Spells a batch as one payload.

    An integer of 32 bits goes into `int_value`, as the standard has it for negative ones too, a
    longer one into `long_value`.
    """
    payload = make(timestamp=batch.start_us // US_PER_MS, seq=seq & 0xFF)
    add = payload.metrics.add
    for group in batch.groups:
        times_ms = [time // US_PER_MS for time in group.times_us]
        for signal, values in group.series.items():
            for time_ms, value in zip(times_ms, values, strict=True):
                if value is None:
                    continue
                if INT32_MIN <= value < UINT32:
                    add(alias=signal, timestamp=time_ms, int_value=value % UINT32)
                else:
                    add(alias=signal, timestamp=time_ms, long_value=value % (UINT32 * UINT32))
    return bytes(payload.SerializeToString())


# ------------------------------------------------------------------ what there is to tell
def entropy_bits(recording: Recording) -> float:
    """Returns bits a sample: the order-0 entropy of each signal's deltas, weighted by its samples.

    H = -sum p log2 p over the different deltas of neighbouring values of the signal, and the sum
    over all signals of samples x H, over all samples. Times are not in it.
    """
    series: defaultdict[int, list[int]] = defaultdict(list)
    for batch in recording.batches:
        for group in batch.groups:
            for signal, values in group.series.items():
                series[signal] += [value for value in values if value is not None]
    return sum(len(values) * _of_deltas(values) for values in series.values()) / recording.samples


def time_entropy_bits(recording: Recording) -> float:
    """Returns bits a sample that the times take: the same, of each message's times."""
    clocks: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for batch in recording.batches:
        for group in batch.groups:
            clocks[tuple(group.series)] += group.times_us
    return sum(len(times) * _of_deltas(times) for times in clocks.values()) / recording.samples


def _of_deltas(values: Sequence[int]) -> float:
    deltas = Counter(after - before for before, after in pairwise(values))
    return entropy_of(deltas)


def entropy_of(counts: Counter[int]) -> float:
    """Returns the Shannon entropy of a distribution, bits a symbol."""
    total = counts.total()
    return -sum(count / total * math.log2(count / total) for count in counts.values()) + 0.0


def deflated_bytes(data: bytes) -> int:
    """Counts bytes after the DEFLATE that ours has too."""
    return len(deflate(data))
