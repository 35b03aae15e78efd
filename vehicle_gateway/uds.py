"""Understands what control units answer to UDS requests, whoever asked (ISO 14229-1, ISO 15765-2).

Place in the flow: frames of answer ids → isotp → **uds** → columns, snapshots.

    62 did did data        data identifier: signals of the profile's DBC, or what the unit is
    59 02 mask (dtc status)...   fault codes by status mask; 59 0A: all that the unit knows
    7F service reason      refused; reason 78: the answer takes longer

* Only ids of the profile's `[uds]` are claimed. What is OBD on such an id is passed on to `obd`.
* A vehicle's number is hashed here, before anything keeps it; of one that has come by half, no
  state keeps anything.
* Fault codes are told when they change and after ten minutes (`told`).
* Nothing raises: what is unknown, refused or too short is a count.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from edge.ports import EXTENDED_ID
from vehicle_gateway.columns import Found
from vehicle_gateway.dtc import codes_by_status, vin_hash
from vehicle_gateway.isotp import CLASSIC_BYTES, CONSECUTIVE, FIRST, SINGLE, Reassembler
from vehicle_gateway.layout import Whole, layouts
from vehicle_gateway.told import Told

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping, Sequence

    from edge.ports import FrameChunk
    from vehicle_gateway.columns import Snapshot
    from vehicle_gateway.dbc import Message
    from vehicle_gateway.profile import MessageMap
    from vehicle_gateway.uds_ecus import Ecu, UdsSection

SERVICE_MIN: Final = 0x10
"""Below it are the services of OBD (ISO 15031-5), which share ids with UDS."""
POSITIVE: Final = 0x40
NEGATIVE: Final = 0x7F
READ_CODES: Final = 0x59
READ_DID: Final = 0x62
READ_LOCAL: Final = 0x61  # KWP2000 (ISO 14230-3), which some makers speak over ISO-TP
PENDING_ANSWER: Final = bytes([NEGATIVE, 0x78])
"""First and third byte of an answer that says: later."""
REPORTS: Final = (0x02, 0x0A)
CODES_MAX: Final = 256
VIN: Final = 0xF190
VIN_ANSWER: Final = bytes([READ_DID]) + VIN.to_bytes(2, "big")
# ISO 14229-1 annex C.1: what a unit says of itself. Serial numbers are left out: they name one car.
IDENTITY: Final[Mapping[int, str]] = {
    0xF188: "software",
    0xF189: "software",
    0xF191: "hardware",
    0xF193: "hardware",
    0xF195: "software",
    0xF197: "name",
}
TEXT_CHARACTERS_MAX: Final = 64


class UdsInterpreter:
    """Answers in, columns and snapshots out.

    Args:
        section: `[uds]` of the profile.
        messages: Those of the DBCs, by name.
        maps: What the profile takes from each.

    Raises:
        LocalError: A message that the profile names is not there.
    """

    name = "uds"

    def __init__(
        self,
        section: UdsSection,
        messages: Mapping[str, Message],
        maps: Mapping[str, MessageMap],
    ) -> None:
        self._ecus = {ecu.response: ecu for ecu in section.ecus}
        self._layouts = {
            ecu.response: [*layouts(ecu.messages, messages, maps).values()] for ecu in section.ecus
        }
        self._with_length = section.with_length
        self._reassembler = Reassembler()
        self._told = Told()

    def claims(self, can_id: int) -> bool:
        """Says whether a control unit of the profile answers on an id."""
        return can_id in self._ecus

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the answers of a chunk."""
        found = Found()
        answers: defaultdict[int, list[Whole]] = defaultdict(list)
        for place in places:
            can_id, payload = chunk.ids[place], chunk.payloads[place]
            if not self._is_ours(can_id, payload):
                found.left.append(place)
                continue
            data = self._reassembler.feed(can_id, chunk.times_us[place], payload)
            if data is not None:
                answers[can_id].append(Whole(place, chunk.times_us[place], data))
        self._reassembler.drain(counts)
        for can_id, own in answers.items():
            self._read(can_id, own, found, counts)
        return found

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart: messages under way, and what was told."""
        return {"isotp": self._reassembler.state((VIN_ANSWER,)), "told": self._told.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart; LocalError if it is none."""
        self._reassembler.restore(state.get("isotp", {}))
        self._told.restore(state.get("told", {}))

    # ------------------------------------------------------------ inside
    def _is_ours(self, can_id: int, payload: bytes) -> bool:
        """Tells answers of UDS from those of OBD by their service."""
        kind = payload[0] >> 4 if payload else CONSECUTIVE
        if kind == CONSECUTIVE:
            return self._reassembler.awaits(can_id)
        if kind not in {SINGLE, FIRST}:
            return True
        service = _service(payload)
        if service[:1] == bytes([NEGATIVE]):
            return service[1:2] >= bytes([SERVICE_MIN])
        return not service or service[0] >= SERVICE_MIN | POSITIVE

    def _read(
        self, can_id: int, answers: Sequence[Whole], found: Found, counts: Counter[str]
    ) -> None:
        ecu, data = self._ecus[can_id], []
        for each in answers:
            service = each.data[0]
            if service in {READ_DID, READ_LOCAL}:
                data.append(each)
            elif service == READ_CODES:
                found.snapshots += filter(self._told.is_news, _codes(ecu, each, counts))
            elif each.data[:1] + each.data[2:3] != PENDING_ANSWER:
                counts["uds-refused" if service == NEGATIVE else "uds-other-service"] += 1
        for each in self._read_signals(can_id, data, found, counts):
            told = _identity(ecu, each)
            if told is None:
                counts["uds-unmapped"] += 1
            elif self._told.is_news(told, part=each.data[1:3].hex()):
                found.snapshots.append(told)

    def _read_signals(
        self, can_id: int, data: Sequence[Whole], found: Found, counts: Counter[str]
    ) -> list[Whole]:
        """Reads what the profile maps; returns the answers that it does not."""
        laid = [Whole(each.place, each.time_us, self._lay(each.data)) for each in data]
        taken: set[int] = set()
        for layout in self._layouts[can_id]:
            columns, places = layout.columns(laid, counts)
            found.columns += columns
            taken |= places
        return [each for each in data if each.place not in taken]

    def _lay(self, data: bytes) -> bytes:
        return bytes([len(data) & 0xFF]) + data if self._with_length else data


def _service(payload: bytes) -> bytes:
    """Returns the first bytes of a message from its single or first frame."""
    if payload[0] >> 4 == FIRST:
        return payload[6:8] if payload[:2] == b"\x10\x00" else payload[2:4]
    return payload[2:4] if len(payload) > CLASSIC_BYTES else payload[1:3]


def _ecu_text(ecu: Ecu) -> str:
    return f"{ecu.response & ~EXTENDED_ID:X}"


def _codes(ecu: Ecu, answer: Whole, counts: Counter[str]) -> list[Snapshot]:
    """Reads fault codes: what is stored, always, and what is pending, where there is any."""
    data = answer.data
    if data[1:2] not in {bytes([report]) for report in REPORTS}:
        counts["uds-other-report"] += 1
        return []
    told = codes_by_status(data)
    if told is None:
        counts["short-payload"] += 1
        return []
    return [
        {
            "kind": "dtc",
            "at_us": answer.time_us,
            "system": ecu.name,
            "ecu": _ecu_text(ecu),
            "standard": "uds",
            "status": status,
            "codes": told[status][:CODES_MAX],
            "lamps": told["lamps"],
        }
        for status in ("stored", "pending")
        if told[status] or status == "stored"
    ]


def _identity(ecu: Ecu, answer: Whole) -> Snapshot | None:
    """Reads what a unit says of itself or of its vehicle, if this answer says that."""
    did, value = int.from_bytes(answer.data[1:3], "big"), answer.data[3:]
    if answer.data[0] != READ_DID:
        return None
    told = dict(_said(did, value))
    if not told:
        return None
    return {
        "kind": "vehicle-identity",
        "at_us": answer.time_us,
        "ecu": _ecu_text(ecu),
        "standard": "uds",
        **told,
    }


def _said(did: int, value: bytes) -> Iterator[tuple[str, str]]:
    if did == VIN:
        digest = vin_hash(value)
        if digest:
            yield "vin_hash", digest
    elif did in IDENTITY:
        text = "".join(chr(byte) for byte in value if 0x20 <= byte < 0x7F).strip()
        if text:
            yield IDENTITY[did], text[:TEXT_CHARACTERS_MAX]
