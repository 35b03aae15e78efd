"""What is known of a vehicle, as data: which message and signal of which DBC is which VSS path.

Place in the flow: `vehicles/*.toml` → **profile** → `decode`; its requests go to the bus.

* A vehicle is a TOML file and a DBC; nothing of it is Python.
* A profile is a name of ours (`vehicles/`) or the path of a TOML file of the operator's own.
* A path may have a minus before it: the sensor is mounted the other way round.
* Every path must stand in the data catalogue; a wrong profile ends the program at its start.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.catalogue import signal
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT: Final = "obd_gnss_imu"
RATE_HZ_MAX: Final = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a signal goes: a VSS path, and -1 where the sensor counts the other way."""

    path: str
    sign: int = 1


@dataclass(frozen=True, slots=True)
class MessageMap:
    """What to take from one message.

    Attributes:
        valid: The one-bit signal that says whether the others hold, if the message has one.
        targets: Signal name of the DBC → VSS path and sign.
    """

    valid: str | None
    targets: Mapping[str, Target]


@dataclass(frozen=True, slots=True)
class PidRequest:
    """One OBD PID to ask for on a live bus, every `period_us`."""

    pid: int
    period_us: int


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of vehicle.

    Attributes:
        dbc: Files that belong to the profile.
        messages: Message name of the DBC → what to take from it.
    """

    name: str
    title: str
    dbc: tuple[Path, ...]
    messages: Mapping[str, MessageMap]
    requests: tuple[PidRequest, ...]


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
    unknown = sorted(set(tables) - {"title", "dbc", "obd", "messages"})
    if unknown:
        raise ValueError(f"unknown {', '.join(unknown)}")
    return Profile(
        name=path.stem,
        title=str(tables["title"]),
        dbc=tuple(path.parent / str(name) for name in tables["dbc"]),
        messages={name: _message(table) for name, table in tables.get("messages", {}).items()},
        requests=tuple(_request(row) for row in tables.get("obd", {}).get("requests", [])),
    )


def _message(table: Mapping[str, Any]) -> MessageMap:
    targets = {name: _target(text) for name, text in table.items() if name != "valid"}
    return MessageMap(table.get("valid"), targets)


def _target(text: str) -> Target:
    target = Target(text.removeprefix("-"), -1 if text.startswith("-") else 1)
    signal(target.path)  # refuses what the data catalogue does not list
    return target


def _request(row: Mapping[str, Any]) -> PidRequest:
    pid, rate_hz = int(row["pid"]), float(row["rate_hz"])
    if not 0 <= pid <= 0xFF or not 0 < rate_hz <= RATE_HZ_MAX:
        raise ValueError(f"PID {pid} at {rate_hz} Hz")
    return PidRequest(pid, round(1_000_000 / rate_hz))


def _folder() -> Path:
    return Path(str(resources.files("vehicle_gateway") / "vehicles"))
