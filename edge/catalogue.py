"""The data catalogue: only what is written in it can be stored or sent (DESIGN invariant 7).

Place in the flow: decode, batch, journal, evidence ask here before they keep anything.

* Every signal, kind of event and kind of entry has class, purpose, lawful source, retention and
  readers.
* A signal's id and scale never change; its value is raw x numerator / denominator.
* The catalogue is data (`catalogue.toml`); a mistake in it ends the program at its first use.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNAL_ID_MAX = 32_767


@dataclass(frozen=True, slots=True)
class Lawfulness:
    """Why something may be kept, and who may read it how long.

    Attributes:
        data_class: `V` vehicle, `P` personal, `M` money, `T` technical.
    """

    data_class: str
    purpose: str
    source: str
    retention_days: int
    readers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One signal: COVESA VSS path, unit and exact scale."""

    id: int
    path: str
    unit: str
    numerator: int
    denominator: int
    law: Lawfulness


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One kind of driving event and the unit of its peak."""

    kind: str
    unit: str
    law: Lawfulness


@dataclass(frozen=True, slots=True)
class KindSpec:
    """One kind of journal entry or evidence and the fields that its body may have."""

    kind: str
    fields: frozenset[str]
    law: Lawfulness


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of it, checked."""

    by_path: Mapping[str, SignalSpec]
    by_id: Mapping[int, SignalSpec]
    kinds: Mapping[str, KindSpec]
    events: Mapping[str, EventSpec]


def signal(path: str) -> SignalSpec:
    """Returns the signal of a VSS path.

    Raises:
        LocalError: It is not in the catalogue.
    """
    spec = load_catalogue().by_path.get(path)
    if spec is None:
        raise LocalError(
            f"{path} is not in the data catalogue; add it to edge/catalogue.toml with its purpose.",
            "signal-unknown",
        )
    return spec


def signal_by_id(number: int) -> SignalSpec:
    """Returns the signal of an id.

    Raises:
        LocalError: It is not in the catalogue.
    """
    spec = load_catalogue().by_id.get(number)
    if spec is None:
        raise LocalError(f"Signal {number} is not in the data catalogue.", "signal-unknown")
    return spec


def signals() -> tuple[SignalSpec, ...]:
    """Returns all signals in order of id."""
    return tuple(load_catalogue().by_id.values())


def require_kind(kind: str) -> KindSpec:
    """Returns a kind of entry.

    Raises:
        LocalError: It is not in the catalogue.
    """
    spec = load_catalogue().kinds.get(kind)
    if spec is None:
        raise LocalError(f"Entries of kind {kind!r} are not in the data catalogue.", "kind-unknown")
    return spec


def require_event(kind: str) -> EventSpec:
    """Returns a kind of driving event.

    Raises:
        LocalError: It is not in the catalogue.
    """
    spec = load_catalogue().events.get(kind)
    if spec is None:
        raise LocalError(f"Events of kind {kind!r} are not in the data catalogue.", "event-unknown")
    return spec


def check_body(kind: str, body: Mapping[str, Any]) -> None:
    """Refuses a body that holds anything the catalogue does not list for its kind.

    Raises:
        LocalError: The kind or one of the fields is not in the catalogue.
    """
    unknown = sorted(set(body) - require_kind(kind).fields)
    if unknown:
        raise LocalError(
            f"{', '.join(unknown)} may not be stored with {kind}: not in the data catalogue.",
            "field-unknown",
        )


@cache
def load_catalogue() -> Catalogue:
    """Reads and checks `catalogue.toml` once per process."""
    content = (resources.files("edge") / "catalogue.toml").read_text(encoding="utf-8")
    return read_catalogue(tomllib.loads(content))


def read_catalogue(tables: Mapping[str, Any]) -> Catalogue:
    """Checks the tables of a catalogue.

    Raises:
        LocalError: An id comes twice or is out of range, a scale is none, a class is unknown.
    """
    laws = {name: _law(name, table) for name, table in tables["defaults"].items()}
    specs = [_signal(path, table, laws) for path, table in tables["signals"].items()]
    by_id = {spec.id: spec for spec in sorted(specs, key=lambda spec: spec.id)}
    if len(by_id) != len(specs):
        raise LocalError("Two signals of the data catalogue have one id.", "catalogue-twice")
    kinds = {
        name: KindSpec(name, frozenset(table["fields"]), _law_of(table, laws))
        for name, table in tables["kinds"].items()
    }
    events = {
        name: EventSpec(name, table["unit"], _law_of(table, laws))
        for name, table in tables["events"].items()
    }
    return Catalogue({spec.path: spec for spec in specs}, by_id, kinds, events)


def _law(name: str, table: Mapping[str, Any]) -> Lawfulness:
    readers = tuple(table["readers"])
    law = Lawfulness(name, table["purpose"], table["source"], table["retention_days"], readers)
    if not (law.purpose and law.source and readers and law.retention_days > 0):
        raise LocalError(
            f"Class {name} lacks purpose, source, readers or retention.", "catalogue-law"
        )
    return law


def _law_of(table: Mapping[str, Any], laws: Mapping[str, Lawfulness]) -> Lawfulness:
    if table["class"] not in laws:
        raise LocalError(f"Class {table['class']!r} is not in the catalogue.", "catalogue-class")
    return laws[table["class"]]


def _signal(path: str, table: Mapping[str, Any], laws: Mapping[str, Lawfulness]) -> SignalSpec:
    numerator, denominator = table.get("numerator", 1), table.get("denominator", 1)
    if not 0 < table["id"] <= SIGNAL_ID_MAX or numerator < 1 or denominator < 1:
        raise LocalError(f"{path} has no valid id or scale.", "catalogue-signal")
    law = _law_of(table, laws)
    return SignalSpec(table["id"], path, table["unit"], numerator, denominator, law)
