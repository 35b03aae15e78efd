"""What is known of a vehicle, as data: which message and signal of which DBC is which VSS path.

Place in the flow: `vehicles/*.toml` → **profile** → `decode`; its requests go to the bus.

* A vehicle is a TOML file and a DBC; nothing of it is Python.
* A profile is a name of ours (`vehicles/`) or the path of a TOML file of the operator's own.
* A path may have a minus before it: the sensor is mounted the other way round.
* Every path must stand in the data catalogue; a wrong profile ends the program at its start.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError
from vehicle_gateway.uds_ecus import read_uds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vehicle_gateway.uds_ecus import UdsSection

DEFAULT: Final = "obd_gnss_imu"
RATE_HZ_MAX: Final = 20.0
CHECKSUMS: Final = ("toyota", "sum", "xor", "crc8-j1850", "e2e-p1")
RULES: Final = frozenset({"valid", "counter", "checksum"})
"""Keys of a message that are no signals of it."""
ADDRESS_MAX: Final = 0xFD
LOAD_PERCENT_MAX: Final = 20.0
MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """Where a signal goes.

    Attributes:
        path: VSS path.
        sign: -1 where the sensor counts the other way.
        codes: Bits → value, where the signal is an enumeration; what is not listed is absence.
    """

    path: str
    sign: int = 1
    codes: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ChecksumRule:
    """How a message proves that it is whole.

    Attributes:
        kind: One of `CHECKSUMS`.
        signal: The byte that holds it; None for where its kind has it.
        data_id: What AUTOSAR E2E takes in before the data.
    """

    kind: str
    signal: str | None = None
    data_id: int = 0


@dataclass(frozen=True, slots=True)
class MessageMap:
    """What to take from one message.

    Attributes:
        valid: The one-bit signal that says whether the others hold, if the message has one.
        targets: Signal name of the DBC → VSS path and sign.
        counter: The signal that goes on with each frame, if frames of one that stands are refused.
        checksum: What each frame must fulfil, if the message has one.
    """

    valid: str | None
    targets: Mapping[str, Target]
    counter: str | None = None
    checksum: ChecksumRule | None = None


@dataclass(frozen=True, slots=True)
class PidRequest:
    """One OBD PID to ask for on a live bus, every `period_us`."""

    pid: int
    period_us: int


@dataclass(frozen=True, slots=True)
class ObdSection:
    """`[obd]`: what to ask the engine's computers, and how much of the bus that may take.

    Attributes:
        requests: Parameters and their periods.
        bitrate: Of the bus, bits per second.
        load_percent: Most of the bus that requests and answers together may take.
        group_max: Most parameters in one request, 1 to 6.
        codes_us: How often fault codes are asked for, beside once at the start; 0 for never.
    """

    requests: tuple[PidRequest, ...] = ()
    bitrate: int = 500_000
    load_percent: float = 5.0
    group_max: int = 6
    codes_us: int = 600_000_000


@dataclass(frozen=True, slots=True)
class J1939Section:
    """`[j1939]`: the bus is one of J1939, and messages are known by PGN and source address.

    Attributes:
        sources: Message name → addresses to believe, the best first; of others the first heard.
        specific: `Message.Signal` that has values of its own in the codes FB to FD.
    """

    sources: Mapping[str, tuple[int, ...]]
    specific: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of vehicle.

    Attributes:
        dbc: Files that belong to the profile.
        messages: Message name of the DBC → what to take from it.
        obd: What to ask on a live bus; None to listen only.
        uds: Control units that answer, and what to ask them; None where there are none.
        fast_packets: Messages that come as fast packets of NMEA 2000.
        j1939: Whose word counts on a bus of J1939; None where only the DBC says that it is one.
        imu: Axis of an inertial sensor on a line (`imu.DEFAULT_AXES`) → where it points.
    """

    name: str
    title: str
    dbc: tuple[Path, ...]
    messages: Mapping[str, MessageMap]
    obd: ObdSection | None
    uds: UdsSection | None = None
    fast_packets: tuple[str, ...] = ()
    j1939: J1939Section | None = None
    imu: Mapping[str, Target] = field(default_factory=dict)

    @property
    def long_messages(self) -> frozenset[str]:
        """Names of the messages that a transport protocol carries, not one frame."""
        return frozenset(self.fast_packets) | (self.uds.messages if self.uds else frozenset())


def column_of(target: Target) -> tuple[int, Fraction | Mapping[int, int]]:
    """Returns the id of a target's signal, and what turns bits into its values: see `dbc`."""
    spec = signal(target.path)
    if target.codes is not None:
        return spec.id, target.codes
    return spec.id, target.sign * Fraction(spec.numerator, spec.denominator)


def profile_names() -> list[str]:
    """Returns the names of our own profiles."""
    return sorted(path.stem for path in _folder().glob("*.toml"))


def load_profile(name: str = DEFAULT) -> Profile:
    """Reads a profile.

    Args:
        name: A name of ours, or the path of a TOML file.

    Raises:
        LocalError: There is none, it is no TOML, or it maps to a path that is not catalogued.
    """
    path = Path(name) if name.endswith(".toml") else _folder() / f"{name}.toml"
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(profile_names())
        raise LocalError(
            f"There is no vehicle profile {name}; use one of {known} or the path of a TOML file.",
            "profile-unknown",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LocalError(
            f"The vehicle profile {path} is no TOML: {error}.", "profile-toml"
        ) from error
    try:
        return _read(path, tables)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise LocalError(
            f"The vehicle profile {path} lacks or misspells something: {error!r}. "
            "docs/reference/bus.md shows its shape.",
            "profile-shape",
        ) from error


def _read(path: Path, tables: Mapping[str, Any]) -> Profile:
    known = {"title", "dbc", "obd", "messages", "uds", "nmea2000", "j1939", "imu"}
    unknown = sorted(set(tables) - known)
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}")
    return Profile(
        name=path.stem,
        title=str(tables["title"]),
        dbc=tuple(path.parent / str(name) for name in tables["dbc"]),
        messages={name: _message(table) for name, table in tables.get("messages", {}).items()},
        obd=_obd(tables["obd"]) if "obd" in tables else None,
        uds=read_uds(tables["uds"]) if "uds" in tables else None,
        fast_packets=tuple(tables.get("nmea2000", {}).get("messages", [])),
        j1939=_j1939(tables["j1939"], tables["messages"]) if "j1939" in tables else None,
        imu={name: _target(text) for name, text in tables.get("imu", {}).items()},
    )


def _message(table: Mapping[str, Any]) -> MessageMap:
    targets = {name: _target(text) for name, text in table.items() if name not in RULES}
    checksum = _checksum(table["checksum"]) if "checksum" in table else None
    return MessageMap(table.get("valid"), targets, table.get("counter"), checksum)


def _checksum(table: Mapping[str, Any]) -> ChecksumRule:
    unknown = sorted(set(table) - {"kind", "signal", "data_id"})
    rule = ChecksumRule(table["kind"], table.get("signal"), int(table.get("data_id", 0)))
    if unknown or rule.kind not in CHECKSUMS or not 0 <= rule.data_id <= 0xFFFF:
        raise ValueError(f"unknown {', '.join(unknown)} in {rule}")
    return rule


def _target(text: str | Mapping[str, Any]) -> Target:
    if isinstance(text, str):
        target = Target(text.removeprefix("-"), -1 if text.startswith("-") else 1)
    else:
        codes = {int(bits): int(value) for bits, value in text["codes"].items()}
        target = Target(text["path"], codes=codes)
    signal(target.path)  # refuses what the data catalogue does not list
    return target


def _j1939(table: Mapping[str, Any], messages: Mapping[str, Mapping[str, str]]) -> J1939Section:
    section = J1939Section(
        sources={name: tuple(map(int, row)) for name, row in table.get("sources", {}).items()},
        specific=frozenset(table.get("specific", [])),
    )
    signals = {f"{name}.{each}" for name, row in messages.items() for each in row}
    unknown = set(table) - {"sources", "specific"}
    unknown |= (section.sources.keys() - messages) | (section.specific - signals)
    wrong = [
        each for row in section.sources.values() for each in row if not 0 <= each <= ADDRESS_MAX
    ]
    if unknown or wrong:
        raise ValueError(f"unknown {', '.join(sorted(unknown))}, no address {wrong}")
    return section


def _obd(table: Mapping[str, Any]) -> ObdSection:
    unknown = sorted(set(table) - {"requests", "bitrate", "load_percent", "group", "codes_minutes"})
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}")
    section = ObdSection(
        requests=tuple(_request(row) for row in table.get("requests", [])),
        bitrate=int(table.get("bitrate", 500_000)),
        load_percent=float(table.get("load_percent", 5.0)),
        group_max=int(table.get("group", 6)),
        codes_us=round(float(table.get("codes_minutes", 10)) * MINUTE_US),
    )
    if not (
        10_000 <= section.bitrate <= 1_000_000
        and 0 < section.load_percent <= LOAD_PERCENT_MAX
        and 1 <= section.group_max <= 6
        and section.codes_us >= 0
    ):
        raise ValueError(f"{section} is out of range")
    return section


def _request(row: Mapping[str, Any]) -> PidRequest:
    pid, rate_hz = int(row["pid"]), float(row["rate_hz"])
    if not 0 <= pid <= 0xFF or not 0 < rate_hz <= RATE_HZ_MAX:
        raise ValueError(f"PID {pid} at {rate_hz} Hz")
    return PidRequest(pid, round(1_000_000 / rate_hz))


def _folder() -> Path:
    return Path(str(resources.files("vehicle_gateway") / "vehicles"))
