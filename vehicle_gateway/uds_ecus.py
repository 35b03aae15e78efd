"""Which control units of a vehicle answer UDS, and what to ask them, as data of its profile.

Place in the flow: `[uds]` of a profile → **uds_ecus** → `uds` (listens), `uds_client` (asks).

* Identifiers of 11 bits are written as they are; larger ones are of 29 bits.
* Nothing here names a service: what can be asked is a data identifier or the fault codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.ports import EXTENDED_ID

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
PERIOD_S_MAX: Final = 86_400
ECUS_MAX: Final = 32
DIDS_MAX: Final = 64
STANDARD_ID_MAX: Final = 0x7FF
EXTENDED_ID_MAX: Final = 0x1FFF_FFFF


@dataclass(frozen=True, slots=True)
class DidRequest:
    """One data identifier (ISO 14229-1 annex C) to ask for; never repeated where `period_us` is 0.

    Attributes:
        did: 0 to 0xFFFF.
    """

    did: int
    period_us: int


@dataclass(frozen=True, slots=True)
class Ecu:
    """One control unit.

    Attributes:
        name: For people, such as `battery`; the system of its fault codes.
        request: Id that it is asked on.
        response: Id that it answers on.
        messages: Messages of the profile that are read from its answers.
        dids: What to ask for on a live bus.
        codes_us: How often its fault codes are asked for; 0 for never.
    """

    name: str
    request: int
    response: int
    messages: tuple[str, ...] = ()
    dids: tuple[DidRequest, ...] = ()
    codes_us: int = 0


@dataclass(frozen=True, slots=True)
class UdsSection:
    """`[uds]` of a profile.

    Attributes:
        with_length: The DBC lays the length byte of ISO-TP before the answer, as some loggers do.
    """

    ecus: tuple[Ecu, ...]
    with_length: bool = False

    @property
    def asks(self) -> bool:
        """Whether there is anything to ask on a live bus."""
        return any(ecu.dids or ecu.codes_us for ecu in self.ecus)

    @property
    def messages(self) -> frozenset[str]:
        """Names of the messages that come in answers and not in frames of their own."""
        return frozenset(name for ecu in self.ecus for name in ecu.messages)


def read_uds(table: Mapping[str, Any]) -> UdsSection:
    """Reads `[uds]`.

    Raises:
        ValueError: Something is misspelt or out of range.
        KeyError: A control unit lacks its name or an id.
    """
    _refuse_unknown(table, {"with_length", "ecu"})
    ecus = tuple(_ecu(row) for row in table["ecu"])
    if not 0 < len(ecus) <= ECUS_MAX or len({ecu.response for ecu in ecus}) < len(ecus):
        raise ValueError(f"1 to {ECUS_MAX} control units with answers on ids of their own")
    return UdsSection(ecus, table.get("with_length", False) is True)


def _ecu(row: Mapping[str, Any]) -> Ecu:
    _refuse_unknown(row, {"name", "request", "response", "messages", "dids", "codes_minutes"})
    dids = tuple(_did(each) for each in row.get("dids", []))
    minutes = float(row.get("codes_minutes", 0))
    if len(dids) > DIDS_MAX or not 0 <= minutes * 60 <= PERIOD_S_MAX:
        raise ValueError(f"more than {DIDS_MAX} dids, or codes every {minutes} minutes")
    return Ecu(
        str(row["name"]),
        _can_id(row["request"]),
        _can_id(row["response"]),
        tuple(str(name) for name in row.get("messages", [])),
        dids,
        round(minutes * MINUTE_US),
    )


def _did(row: Mapping[str, Any]) -> DidRequest:
    _refuse_unknown(row, {"did", "period_s"})
    did, period_s = int(row["did"]), float(row.get("period_s", 0))
    if not 0 <= did <= 0xFFFF or not (period_s == 0 or 1 <= period_s <= PERIOD_S_MAX):
        raise ValueError(f"DID {did} every {period_s} s")
    return DidRequest(did, round(period_s * SECOND_US))


def _can_id(number: int) -> int:
    if not 0 <= number <= EXTENDED_ID_MAX:
        raise ValueError(f"{number:#x} is no CAN id")
    return number if number <= STANDARD_ID_MAX else EXTENDED_ID | number


def _refuse_unknown(table: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)} in [uds]")
