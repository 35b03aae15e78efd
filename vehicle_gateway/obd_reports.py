"""What engine computers report beside values: faults, the instant of a fault, who they are.

Place in the flow: whole answers of `obd` → **obd_reports** → snapshots of a batch.

    41 01 A B C D             the lamp (A, bit 7) and how many faults
    43 n code code ...        stored faults; 47 pending, 4A permanent       SAE J1979, ISO 15031-6
    42 pid 00 data            one parameter at the instant of the first fault; 42 02: of which
    49 02 01 number           the vehicle's number: hashed here, before anything keeps it
    49 04 n identification    16 bytes each: which program and calibration

* Faults are told when they change and after ten minutes (`told`); so is who a computer is.
* A freeze frame is told in one piece, when it has been quiet for two seconds.
* Nothing raises: what is malformed is a count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.dtc import code_text, vin_hash
from vehicle_gateway.obd_pids import PIDS, scaling_of
from vehicle_gateway.told import Told

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Mapping

    from vehicle_gateway.columns import Snapshot

STATUSES: Final[Mapping[int, str]] = {0x43: "stored", 0x47: "pending", 0x4A: "permanent"}
STATUS: Final = b"\x41\x01"
LAMP: Final = 0x80
FREEZE: Final = 0x42
CLEARED: Final = 0x44
IDENTITY: Final = 0x49
VIN_ANSWER: Final = b"\x49\x02"
VIN, CALIBRATIONS = 0x02, 0x04
CALIBRATION_BYTES: Final = 16
CALIBRATIONS_MAX: Final = 8
CAUSE: Final = 0x02
NO_CODE: Final = b"\0\0"
SETTLED_US: Final = 2_000_000
COMPUTERS_MAX: Final = 16
VEHICLE: Final = "V"  # what says how somebody drove stays out of a report about the vehicle


class Reports:
    """Answers that are no values in, snapshots out."""

    def __init__(self) -> None:
        self._told = Told()
        self._lamps: dict[str, int] = {}
        self._identities: dict[str, dict[str, Any]] = {}
        self._freezes: dict[str, dict[str, Any]] = {}

    def take(
        self, can_id: int, time_us: int, message: bytes, counts: Counter[str]
    ) -> list[Snapshot]:
        """Takes in one whole answer of a service other than 01, or of its parameter 01.

        Returns:
            What is news.
        """
        ecu = f"{can_id & ~EXTENDED_ID:X}"
        if len({*self._lamps, *self._identities, *self._freezes} - {ecu}) >= COMPUTERS_MAX:
            counts["obd-crowded"] += 1
            return []
        head = message[0]
        readers: dict[int, Callable[[str, int, bytes], Snapshot | str | None]] = {
            STATUS[0]: self._status,
            FREEZE: self._freeze,
            IDENTITY: self._identity,
            **dict.fromkeys(STATUSES, self._faults),
        }
        reader = readers.get(head)
        if reader is None:
            counts["obd-cleared" if head == CLEARED else "obd-other-service"] += 1
            return []
        found = reader(ecu, time_us, message)
        if isinstance(found, str):
            counts[found] += 1
        return [found] if isinstance(found, dict) and self._told.is_news(found) else []

    def settle(self, now_us: int) -> list[Snapshot]:
        """Returns the freeze frames that are complete at this time of the data."""
        due = [
            ecu
            for ecu, each in self._freezes.items()
            if not 0 <= now_us - each["heard_us"] < SETTLED_US
        ]
        found: list[Snapshot] = []
        for ecu in due:
            each = self._freezes.pop(ecu)
            found.append(
                {
                    "kind": "freeze-frame",
                    "at_us": each["heard_us"],
                    "ecu": ecu,
                    "standard": "obd",
                    "code": each["code"],
                    "values": each["values"],
                }
            )
        return [each for each in found if each["values"] and self._told.is_news(each)]

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart; of the vehicle's number only its hash."""
        return {
            "told": self._told.state(),
            "lamps": dict(self._lamps),
            "identities": {ecu: dict(each) for ecu, each in self._identities.items()},
            "freezes": {ecu: dict(each) for ecu, each in self._freezes.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart.

        Raises:
            LocalError: It is no such state.
        """
        self._told.restore(state.get("told", {}))
        try:
            self._lamps = {str(ecu): int(lamp) for ecu, lamp in state.get("lamps", {}).items()}
            self._identities = {
                str(ecu): dict(each) for ecu, each in state.get("identities", {}).items()
            }
            self._freezes = {
                str(ecu): {
                    "heard_us": int(each["heard_us"]),
                    "code": str(each["code"]),
                    "values": dict(each["values"]),
                }
                for ecu, each in state.get("freezes", {}).items()
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LocalError(
                f"The saved OBD state is damaged: {error}.", "decoder-state"
            ) from error

    # ------------------------------------------------------------ inside
    def _status(self, ecu: str, time_us: int, message: bytes) -> Snapshot | str | None:
        del time_us
        if len(message) < 6:
            return "short-payload"
        self._lamps[ecu] = int(bool(message[2] & LAMP))
        return None

    def _faults(self, ecu: str, time_us: int, message: bytes) -> Snapshot | str | None:
        if len(message) < 2 or len(message) != 2 + 2 * message[1]:
            return "obd-malformed"
        codes = [message[at : at + 2] for at in range(2, len(message), 2)]
        return {
            "kind": "dtc",
            "at_us": time_us,
            "system": "powertrain",
            "ecu": ecu,
            "standard": "obd",
            "status": STATUSES[message[0]],
            "codes": [code_text(code) for code in codes if code != NO_CODE],
            "lamps": ["mil"] if self._lamps.get(ecu) else [],
        }

    def _freeze(self, ecu: str, time_us: int, message: bytes) -> Snapshot | str | None:
        if len(message) < 4 or message[2] != 0:
            return "short-payload" if len(message) < 4 else "obd-other-frame"
        pid, data = message[1], message[3:]
        begun = self._freezes.setdefault(ecu, {"heard_us": time_us, "code": "", "values": {}})
        begun["heard_us"] = time_us
        row = PIDS.get(pid)
        if pid == CAUSE and len(data) >= 2:
            begun["code"] = code_text(data[:2]) if data[:2] != NO_CODE else ""
        elif row is None or len(data) < row.length:
            return "obd-unknown-pid" if row is None else "short-payload"
        else:
            _, scaling = scaling_of(pid)
            if signal(row.path).law.data_class == VEHICLE:
                bits = int.from_bytes(data[: row.length], "big")
                begun["values"][row.path] = scaling.apply(bits)
        return None

    def _identity(self, ecu: str, time_us: int, message: bytes) -> Snapshot | str | None:
        info = message[1] if len(message) > 2 else None
        known = self._identities.get(ecu, {})
        if info == VIN:
            digest = vin_hash(message[3:])
            if digest is None:
                return "obd-malformed"
            known = {**known, "vin_hash": digest}
        elif info == CALIBRATIONS:
            known = {**known, "calibrations": _calibrations(message[3:])}
        else:
            return "short-payload" if info is None else "obd-unknown-pid"
        self._identities[ecu] = known
        return {
            "kind": "vehicle-identity",
            "at_us": time_us,
            "ecu": ecu,
            "standard": "obd",
            **known,
        }


def _calibrations(data: bytes) -> list[str]:
    starts = range(0, min(len(data), CALIBRATION_BYTES * CALIBRATIONS_MAX), CALIBRATION_BYTES)
    texts = [data[at : at + CALIBRATION_BYTES] for at in starts]
    shown = ["".join(chr(byte) for byte in text if 0x20 < byte < 0x7F) for text in texts]
    return [text for text in shown if text]
