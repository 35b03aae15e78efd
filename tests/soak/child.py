"""The real program in a process of its own, in fast time, on a full disk, or with a bug.

Place in the flow: life → `python -m tests.soak.child` → **child** → `lastmile-gateway`.

* It composes nothing: it exchanges the clock that the program's own `__main__` takes, or breaks one
  promise, and calls its `main`.
* In fast time everything of the box is faster: epochs, leases of messages, pauses of reconnecting.
"""

from __future__ import annotations

import argparse
import resource
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from edge.retry import Pauses
from tests.soak.clock import FastClock, read_since
from tests.soak.flaws import BOX, CORE

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from edge.ports import Instant

PROGRAMS = ("vehicle_gateway", "backend_sync.core")


def hurry(since: Instant, factor: int) -> None:
    """Lets the gateway of this process live `factor` times as fast."""
    from vehicle_gateway import __main__ as gateway
    from vehicle_gateway import mqtt

    def sleep(stop: threading.Event, seconds: float) -> None:
        stop.wait(seconds / factor)

    gateway.__dict__["SystemClock"] = lambda: FastClock(since, factor)
    gateway._sleep = sleep
    plain = mqtt.RECONNECT
    mqtt.RECONNECT = Pauses(  # type: ignore[misc]
        plain.base_us // factor, plain.cap_us // factor, plain.least_us // factor
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a program as it is told to and returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.child")
    parser.add_argument("--factor", type=int, default=1, help="how many times as fast")
    parser.add_argument("--since", type=read_since, help="since when")
    parser.add_argument("--flaw", choices=[*BOX, *CORE], help="break this promise")
    parser.add_argument("program", choices=PROGRAMS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.add_argument("--file-bytes-max", type=int, help="no file may grow beyond, as on a disk"
                        " that is full")  # fmt: skip
    chosen = parser.parse_args(argv)
    if chosen.file_bytes_max is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (chosen.file_bytes_max, chosen.file_bytes_max))
    if chosen.since is not None:
        hurry(chosen.since, chosen.factor)
    if chosen.flaw is not None:
        {**BOX, **CORE}[chosen.flaw]()
    return int(import_module(f"{chosen.program}.__main__").main(chosen.arguments))


if __name__ == "__main__":
    sys.exit(main())
