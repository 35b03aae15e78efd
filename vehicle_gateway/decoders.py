"""Several sources at once: each has a vehicle profile, and so a decoder, of its own.

Place in the flow: merged chunks → **decoders** (apart again) → decode → batch.

* A frame carries the number of its source above bit 32 (`edge.ports.SOURCE_SHIFT`); within a
  decoder it has none, so the same id on two buses is two messages.
* Two sources may give the same signal: both are kept, each with its times.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError
from edge.ports import SOURCE_SHIFT, FrameChunk
from vehicle_gateway.decode import Decoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.columns import Group
    from vehicle_gateway.columns import Snapshot
    from vehicle_gateway.decode import Decoder

ID_MASK: Final = (1 << SOURCE_SHIFT) - 1


class Decoders:
    """Decodes chunks of merged sources.

    Args:
        decoders: That of each source, by its number.
    """

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = list(decoders)

    def decode(self, chunk: FrameChunk) -> Decoded:
        """Decodes one chunk; chunks come in order of arrival."""
        groups: list[Group] = []
        snapshots: list[Snapshot] = []
        counts: Counter[str] = Counter()
        unknown = 0
        for number, own in _apart(chunk):
            if number >= len(self._decoders):
                unknown += len(own.ids)
                continue
            decoded = self._decoders[number].decode(own)
            groups += decoded.groups
            snapshots += decoded.snapshots
            counts.update(decoded.counts)
            unknown += decoded.unknown_frames
        return Decoded(groups, len(chunk.ids), unknown, counts, tuple(snapshots))

    def state(self) -> dict[str, Any]:
        """Returns what must survive a restart."""
        return {str(number): each.state() for number, each in enumerate(self._decoders)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up the state before a restart; a source that is new begins at nothing.

        Raises:
            LocalError: It is no state of decoders.
        """
        for number, each in enumerate(self._decoders):
            own = state.get(str(number), {})
            if not isinstance(own, dict):
                raise LocalError("The saved state of the decoders is damaged.", "decoder-state")
            each.restore(own)


def _apart(chunk: FrameChunk) -> Iterator[tuple[int, FrameChunk]]:
    """Yields number and frames of each source of a chunk."""
    if chunk.ids and max(chunk.ids) <= ID_MASK:
        yield 0, chunk
        return
    numbers = [can_id >> SOURCE_SHIFT for can_id in chunk.ids]
    for number in sorted(set(numbers)):
        places = [place for place, each in enumerate(numbers) if each == number]
        yield (
            number,
            FrameChunk(
                [chunk.times_us[place] for place in places],
                [chunk.ids[place] & ID_MASK for place in places],
                [chunk.payloads[place] for place in places],
                chunk.position,
            ),
        )
