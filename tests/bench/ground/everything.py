"""A vehicle of which everything is wanted: every signal of every message of a DBC.

Place in the flow: DBC → **everything** → a profile and a data catalogue for `tests.bench.gateway`.

* The peer decodes every signal that cantools knows, so ours does too: a bank's own profile takes
  fewer, and so less work and fewer bytes, but more bytes a sample.
* What is sent must stand in the data catalogue: this one has every signal of the DBC, in steps of
  the DBC, so that no digit is lost and none is made up.
* Signals that the vehicle's own profile maps keep their VSS paths: events and trips are at work.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from edge import catalogue
from vehicle_gateway.dbc import load_dbc
from vehicle_gateway.profile import MessageMap, Target, load_profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from vehicle_gateway.bits import Field
    from vehicle_gateway.profile import Profile

FIRST_ID = 2_000


@contextmanager
def everything(name: str, dbcs: Sequence[Path]) -> Iterator[Profile]:
    """Yields a profile of all signals, with a catalogue that lists them while it lasts."""
    read = catalogue.read_catalogue
    profile = load_profile(name)
    messages = [message for path in dbcs for message in load_dbc(path)]
    more: dict[str, dict[str, Any]] = {}
    maps: dict[str, MessageMap] = {}
    for message in messages:
        known = profile.messages.get(message.name, MessageMap(None, {}))
        targets = {name: to for name, to in known.targets.items() if name in message.fields}
        for field in message.fields.values():
            if field.name not in targets:
                path = f"Vehicle.Private.{message.name}.{field.name}"
                more[path] = _row(FIRST_ID + len(more), field)
                targets[field.name] = Target(path)
        maps[message.name] = replace(known, targets=targets)

    def extended(tables: Mapping[str, Any]) -> catalogue.Catalogue:
        return read({**tables, "signals": {**tables["signals"], **more}})

    catalogue.read_catalogue = extended
    catalogue.load_catalogue.cache_clear()
    try:
        yield replace(profile, dbc=(), messages=maps)
    finally:
        catalogue.read_catalogue = read
        catalogue.load_catalogue.cache_clear()


def _row(number: int, field: Field) -> dict[str, Any]:
    step = abs(field.factor) or Fraction(1)
    return {
        "id": number,
        "unit": "",
        "numerator": step.numerator,
        "denominator": step.denominator,
        "class": "V",
    }
