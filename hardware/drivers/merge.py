"""Several live sources as one: each is read by a thread of its own, and opened again when lost.

Place in the flow: can_bus, slcan, elm327, gnss_line, ... → **merge** → vehicle_gateway.

    thread of source 0 ──┐
    thread of source 1 ──┼── bounded queue ── chunks() of the gateway's own thread
    thread of source 2 ──┘   (full: the chunk is left out, and its frames are counted)

* Every frame carries the number of its source (`edge.ports.SOURCE_SHIFT`).
* One source that is unplugged does not stop the others: its thread opens it again for ever, after
  pauses, and `skipped` counts how often. Nothing is made up for the time between.
* A consumer that stands still (a full disk) makes the queue full, never the memory.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.ports import SOURCE_SHIFT, FrameChunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from edge.ports import FrameSource

CHUNKS_MAX: Final = 256
WAIT_S: Final = 0.1
REOPEN_S: Final = 2.0

log = logging.getLogger(__name__)


class MergedSource:
    """Live sources as one `edge.ports.FrameSource`.

    Args:
        sources: In the order of their numbers.
        reopen_s: Pause before a lost source is opened again.
    """

    def __init__(self, sources: Sequence[FrameSource], reopen_s: float = REOPEN_S) -> None:
        self._sources = list(sources)
        self._reopen_s = reopen_s
        self._chunks: queue.Queue[FrameChunk] = queue.Queue(CHUNKS_MAX)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._own: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The names of all of them."""
        return " + ".join(each.name for each in self._sources)

    @property
    def skipped(self) -> Mapping[str, int]:
        """What could not be read so far, by reason, of all of them together."""
        with self._lock:
            total = Counter(self._own)
        for each in self._sources:
            total.update(each.skipped)
        return dict(total)

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        """Yields what arrives until `close`, an empty chunk after 100 ms of silence."""
        del skip_frames
        self._threads = [
            threading.Thread(target=self._read, args=(number, each), name=each.name, daemon=True)
            for number, each in enumerate(self._sources)
        ]
        for thread in self._threads:
            thread.start()
        position = 0
        while not self._stop.is_set():
            try:
                chunk = self._chunks.get(timeout=WAIT_S)
            except queue.Empty:
                chunk = FrameChunk([], [], [], 0)
            position += len(chunk.ids)
            yield FrameChunk(chunk.times_us, chunk.ids, chunk.payloads, position)

    def close(self) -> None:
        """Leaves every source and waits for its thread."""
        self._stop.set()
        for each in self._sources:
            each.close()
        for thread in self._threads:
            thread.join()

    # ------------------------------------------------------------ a thread each
    def _read(self, number: int, source: FrameSource) -> None:
        while not self._stop.is_set():
            try:
                for chunk in source.chunks():
                    if self._stop.is_set():
                        return
                    self._hand_on(number, chunk)
            except DeviceFault as error:
                log.warning("%s Trying again.", error)
                self._count("reopened", 1)
            if self._stop.wait(self._reopen_s):
                return

    def _hand_on(self, number: int, chunk: FrameChunk) -> None:
        if not chunk.ids:
            return
        tag = number << SOURCE_SHIFT
        tagged = [can_id | tag for can_id in chunk.ids] if tag else chunk.ids
        try:
            self._chunks.put_nowait(FrameChunk(chunk.times_us, tagged, chunk.payloads, 0))
        except queue.Full:
            self._count("overrun", len(chunk.ids))

    def _count(self, reason: str, number: int) -> None:
        with self._lock:
            self._own[reason] += number
