"""What is found in messages: columns of samples, and snapshots of what is no sample.

Place in the flow: dbc, obd, j1939, nmea, ... → **columns** → decode → events, trips, batch.

* An interpreter understands the messages of one standard. It sees those of all ids that it claims
  together, in order of arrival, for a long message is spread over several.
* A snapshot is a small record for people: fault codes, a vehicle's number (hashed), its state. Its
  kind and fields stand in the data catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence

    from edge.ports import FrameChunk

Snapshot = dict[str, Any]
"""{kind, at_us, ...}: a kind of the data catalogue, when it was heard, and its fields."""


@dataclass(slots=True)
class Columns:
    """The decoded frames of one message in a chunk.

    Attributes:
        places: Place of each frame in the chunk, ascending.
        series: Signal id → values; the gate of positions replaces what it turns into absence.
    """

    places: Sequence[int]
    times_us: Sequence[int]
    series: dict[int, list[int | None]]


@dataclass(slots=True)
class Found:
    """What an interpreter found in a chunk.

    Attributes:
        left: Places of frames that are of another standard after all: two standards may share an
            id, such as OBD and UDS on 0x7E8. The next interpreter that claims the id sees them.
    """

    columns: list[Columns] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    left: list[int] = field(default_factory=list)


class Interpreter(Protocol):
    """Understands the messages of one standard.

    Attributes:
        name: Key of its state, such as `obd`.
    """

    name: str

    def claims(self, can_id: int) -> bool:
        """Says whether an id (as in `FrameChunk.ids`, without its source) is one of its own."""
        ...

    def decode(self, chunk: FrameChunk, places: Sequence[int], counts: Counter[str]) -> Found:
        """Decodes the claimed frames of a chunk; nothing that they hold raises.

        Args:
            chunk: Frames of one source.
            places: The claimed ones, ascending.
            counts: What was passed over, by reason.
        """
        ...

    def state(self) -> Mapping[str, Any]:
        """Returns what must survive a restart, of texts, integers, bytes, lists and maps."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state of an interpreter before a restart; LocalError if it is none."""
        ...
