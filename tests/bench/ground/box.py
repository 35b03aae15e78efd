"""A box with real keys, a signed-in driver and a durable outbox: what the benchmarks measure.

Place in the flow: log → **box** (everything that the gateway does but sending) → `Outcome`.

* One transaction a window, `synchronous=FULL`, as on the road; a driver has agreed, so that
  nothing is left out.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge import epochs, outbox, policies
from edge.keys import FileIdentity, HpkeKeypair, LocalSecret
from edge.policy import Policy
from edge.store import open_store
from edge.suites import A256GCM
from hardware.drivers.can_log import LogSource
from hardware.drivers.clock import SystemClock, SystemRandomness
from tests.bench.ground.naive import Outcome
from vehicle_gateway import batch, driver
from vehicle_gateway.batch import Batcher, Sink, Vehicle
from vehicle_gateway.campaign import default_campaign
from vehicle_gateway.driver import DriverBook, make_statement
from vehicle_gateway.mqtt import Address
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.decode import Decoder

DEVICE = "box-1"
ADDRESS = Address("bench", DEVICE)


@contextmanager
def open_box(folder: Path) -> Iterator[Sink]:
    """Yields a new box's sink, with a driver signed in."""
    identity = FileIdentity.create(folder / "identity.pem", DEVICE)
    core = HpkeKeypair.create(folder / "core.pem")
    migrations = [outbox.MIGRATIONS, policies.MIGRATIONS, batch.MIGRATIONS, driver.MIGRATIONS]
    with open_store(folder / "outbox.db", migrations) as store:
        clock, randomness = SystemClock(), SystemRandomness()
        waiting = outbox.Outbox(store, DEVICE)
        ports = epochs.StreamPorts(
            signer=identity,
            policy=Policy(DEVICE, 1, (A256GCM,), core.public_bytes),
            clock=clock,
            randomness=randomness,
            topic=ADDRESS.up,
        )
        stream = epochs.SealedStream(store, waiting, ports)
        secret = LocalSecret(identity, driver.SEALED_FOR, randomness)
        sink = Sink(store, waiting, stream, DriverBook(store, secret), clock)
        stream.begin()
        agreed = make_statement("driver-1", "zh", clock.now().wall_us, 365, withdrawn=False)
        sink.drivers.take_in(agreed, stream)
        yield sink


def seal_log(
    log: Path, decoder: Decoder, folder: Path, campaign: Campaign | None = None
) -> Outcome:
    """Seals a whole recording into a new outbox."""
    with open_box(folder) as sink:
        batcher = Batcher(sink, Vehicle(DEVICE, "bus-1"), decoder, campaign or default_campaign())
        started = time.perf_counter()
        batcher.resume(log.name, repeatable=True)
        windows = Windows()
        for chunk in LogSource(log).chunks():
            for window in windows.add(chunk):
                batcher.take(window)
        rest = windows.cut()
        if rest is not None:
            batcher.take(rest)
        batcher.finish()
        sink.stream.close()
        seconds = time.perf_counter() - started
        totals = batcher.totals
        return Outcome(totals["frames"], totals["samples"], totals["sealed_bytes"], seconds)
