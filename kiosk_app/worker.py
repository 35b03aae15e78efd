"""The one thread that owns the store: intents in, views out, devices beside it.

Place in the flow: shell → **worker** → desk → flow, teller; views → shell.

* Nothing but this thread touches journal and mirror; whoever else wants something submits it.
* A device works in a thread of its own, one command at a time, so that neither screens nor store
  wait for it; its completion comes back through the same queue as a touch.
* Views go out only when they differ from the last ones.
* A broken rule or a failing disk ends a session with a sentence; a bug ends the worker, loudly.
"""

from __future__ import annotations

import logging
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.errors import LastmileError, LocalError
from edge.ports import Completion
from kiosk_app.desk import Hands

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.ports import Command, KioskDevice
    from kiosk_app.desk import Desk, Intent
    from kiosk_app.view import Views

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
QUEUE_MAX: Final = 1_000
"""A screen that is hammered must not fill memory; what does not fit is dropped and counted."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Ends the worker."""


@dataclass(frozen=True, slots=True)
class OpenDesk:
    """A desk and what is to be closed with it."""

    desk: Desk
    close: Callable[[], None]


class Worker:
    """Runs a desk; fulfils `kiosk_app.shell.CounterWorker`.

    Args:
        open_desk: Makes the desk, in the worker's own thread.
        devices: By kind.
        ended: Called from the worker's thread when it ends, for whatever reason.
        tick_s: How often time is noticed.
    """

    def __init__(
        self,
        open_desk: Callable[[Hands], OpenDesk],
        devices: Mapping[str, KioskDevice],
        ended: Callable[[], None] = lambda: None,
        tick_s: float = TICK_S,
    ) -> None:
        self._open_desk = open_desk
        self._devices = devices
        self._ended = ended
        self._tick_s = tick_s
        self._queue: queue.SimpleQueue[Intent | Completion | Stop] = queue.SimpleQueue()
        self._callbacks: list[Callable[[Views], None]] = []
        self._pools = {
            kind: ThreadPoolExecutor(1, thread_name_prefix=f"device-{kind}") for kind in devices
        }
        self._running: dict[str, str] = {}
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, name="counter", daemon=True)
        self._failure: BaseException | None = None
        self._last: Views | None = None
        self._trouble = ""
        self.dropped = 0

    # ------------------------------------------------------------ from any thread
    def start(self) -> None:
        """Begins to work; returns when journal and devices are open.

        Raises:
            LastmileError: They cannot be opened.
        """
        self._thread.start()
        self._opened.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Ends the session and returns when everything is closed; safe to call twice."""
        if self._thread.is_alive():
            self._queue.put(Stop())
            self._thread.join()

    @property
    def failure(self) -> BaseException | None:
        """What ended the worker, or None when it was asked to end."""
        return self._failure

    def submit(self, intent: Intent) -> None:
        """Takes an intent without waiting for its effect."""
        if self._queue.qsize() < QUEUE_MAX:
            self._queue.put(intent)
            return
        self.dropped += 1
        log.warning("the counter is overwhelmed; %d touches were dropped", self.dropped)

    def subscribe(self, callback: Callable[[Views], None]) -> None:
        """Calls `callback` from the worker's thread at every change of the views."""
        self._callbacks.append(callback)

    # ------------------------------------------------------------ the thread
    def _run(self) -> None:
        try:
            opened = self._open_desk(Hands(self._order, self._cancel))
        except LastmileError as error:
            self._failure = error
            self._opened.set()
            self._close_pools()
            return
        try:
            self._opened.set()
            self._work(opened.desk)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._close_pools()
            opened.close()
            self._ended()

    def _work(self, desk: Desk) -> None:
        while True:
            self._publish(desk)
            try:
                item = self._queue.get(timeout=self._tick_s)
            except queue.Empty:
                item = None
            if isinstance(item, Stop):
                desk.handle({"type": "lock"})
                return
            try:
                self._serve(desk, item)
                self._trouble = ""
            except LastmileError as error:
                if error.code != self._trouble:
                    log.warning("the counter cannot go on with this: %s (%s)", error, error.code)
                self._trouble = error.code
                desk.abandon()

    def _serve(self, desk: Desk, item: Intent | Completion | None) -> None:
        if isinstance(item, Completion):
            self._running.pop(item.request_id, None)
            desk.complete(item)
        elif item is not None:
            desk.handle(item)
        desk.tick()

    def _publish(self, desk: Desk) -> None:
        try:
            views = desk.views()
        except LastmileError as error:
            log.warning("the screens cannot be brought up to date: %s (%s)", error, error.code)
            return
        if views != self._last:
            self._last = views
            for callback in self._callbacks:
                callback(views)

    # ------------------------------------------------------------ devices
    def _order(self, command: Command) -> None:
        pool = self._pools.get(command.device)
        if pool is None:
            raise LocalError(
                f"There is no {command.device} at this kiosk; add it under [devices].", "no-device"
            )
        self._running[command.request_id] = command.device
        pool.submit(self._execute, command)

    def _execute(self, command: Command) -> None:
        try:
            completion = self._devices[command.device].execute(command)
        except LastmileError as error:
            completion = Completion(command.request_id, "fault", {}, error.code)
        self._queue.put(completion)

    def _cancel(self, request_id: str) -> None:
        device = self._running.get(request_id)
        if device is not None:
            self._devices[device].cancel(request_id)

    def _close_pools(self) -> None:
        for request_id, device in list(self._running.items()):
            self._devices[device].cancel(request_id)
        for pool in self._pools.values():
            pool.shutdown(wait=True, cancel_futures=True)
