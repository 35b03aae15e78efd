"""All decoders that hostile bytes are fed to, by name.

Place in the flow: wire, records, bus, cabin → **targets** → engines, run, test_cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.fuzz import bus, cabin, records, wire
from tests.fuzz.planted import BUGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fuzz.judge import Target

TARGETS: Final[Mapping[str, Target]] = {
    target.name: target
    for target in (*wire.TARGETS, *records.TARGETS, *bus.TARGETS, *cabin.TARGETS)
}


def target_of(name: str) -> Target:
    """Returns a target, or one of the planted bugs."""
    planted = {target.name: target for target in BUGS}
    return TARGETS.get(name) or planted[name]
