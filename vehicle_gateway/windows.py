"""Cuts the stream of frames into windows of ten seconds that are the same whoever cuts them.

Place in the flow: `FrameChunk`s of any size → **windows** → decode, events, trips, batch.

    chunk 1          chunk 2              chunk 3
    |----------------|--------------------|-----------
       window 1            window 2   :
    ---------------|------------------:|--------------    cut at multiples of `SPAN_US` of data time

* Where a window ends depends on the frames alone: a gateway that was killed and starts again at a
  checkpoint cuts the same windows as one that was not.
* A window holds at most `FRAMES_MAX` frames, so that its batch fits into one message.
* A frame that is a little late stays in the present window; a clock that was set back cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edge.ports import FrameChunk

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAN_US: Final = 10_000_000
LATE_US: Final = 5_000_000
FRAMES_MAX: Final = 20_000


class Windows:
    """Collects frames until a window is complete."""

    def __init__(self) -> None:
        self._times: list[int] = []
        self._ids: list[int] = []
        self._payloads: list[bytes] = []
        self._position = 0

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, chunk: FrameChunk) -> Iterator[FrameChunk]:
        """Takes frames in and yields the windows that they complete.

        The position of a window is that of its last frame, so it may serve as a checkpoint.
        """
        start = 0
        while start < len(chunk.ids):
            end = self._end_in(chunk, start)
            self._times += chunk.times_us[start:end]
            self._ids += chunk.ids[start:end]
            self._payloads += chunk.payloads[start:end]
            self._position = chunk.position - (len(chunk.ids) - end)
            if end < len(chunk.ids) or len(self._ids) >= FRAMES_MAX:
                yield self._take()
            start = end

    def cut(self) -> FrameChunk | None:
        """Returns what has been collected, as it is; None when nothing has."""
        return self._take() if self._ids else None

    def _take(self) -> FrameChunk:
        window = FrameChunk(self._times, self._ids, self._payloads, self._position)
        self._times, self._ids, self._payloads = [], [], []
        return window

    def _end_in(self, chunk: FrameChunk, start: int) -> int:
        """Index of the first frame that no longer belongs to the window."""
        first_us = self._times[0] if self._times else chunk.times_us[start]
        begin_us = first_us - first_us % SPAN_US
        low, high = begin_us - LATE_US, begin_us + SPAN_US
        room = FRAMES_MAX - len(self._times)
        rest = chunk.times_us[start : start + room]
        if min(rest) >= low and max(rest) < high:
            return start + len(rest)
        outside = (place for place, time in enumerate(rest) if not low <= time < high)
        return start + next(outside)
