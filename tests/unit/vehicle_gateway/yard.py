"""A depot for tests of the gateway: drives made of numbers, a box with real keys, and its core.

Place in the flow: tests of vehicle_gateway import it; nothing else does.

* Time stands still unless a test moves it; keys, seals and SQLite are the real ones.
* The core here opens what the box sealed and signs acknowledgements, as backend_sync does.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from edge import epochs, outbox, policies
from edge.catalogue import signal
from edge.codec import decode, inflate
from edge.columns import Group
from edge.keys import (
    FileIdentity,
    HpkeKeypair,
    LocalSecret,
    hpke_open,
    ratchet,
    sign_evidence,
    unwrap_chain_key,
    verifier,
)
from edge.policy import Policy, sign_policy
from edge.ports import FrameChunk, Instant
from edge.purposes import PRIVATE_INFO
from edge.seal import open_encrypt0, read_encrypt0, read_sign1
from edge.store import open_store
from edge.suites import AEADS
from hardware.sim.vehicle import SimSettings, SimulatedSource
from vehicle_gateway import batch, campaign_book, commands, driver, orders, roster, signin
from vehicle_gateway.batch import Batcher, Sink, Vehicle
from vehicle_gateway.campaign import Campaign, default_campaign
from vehicle_gateway.campaign_book import CampaignBook
from vehicle_gateway.decode import Decoder
from vehicle_gateway.driver import SEALED_FOR, DriverBook, make_statement
from vehicle_gateway.mqtt import Address
from vehicle_gateway.orders import Addressee
from vehicle_gateway.profile import load_profile
from vehicle_gateway.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from edge.outbox import Message, OutboxLimits
    from edge.store import Store

START_US = 1_772_411_400_000_000  # 08:30 in Beijing, a multiple of ten seconds
SECOND_US = 1_000_000
WINDOW_US = 10 * SECOND_US
DEVICE = "box-1"
GROUP = "county-buses"
ADDRESS = Address("org", DEVICE)
SPEED = signal("Vehicle.Speed")
RPM = signal("Vehicle.OBD.EngineSpeed")


# ------------------------------------------------------------------ drives made of numbers
def series(path: str, values: Sequence[float | None], period_us: int, start_us: int) -> Group:
    """One signal at a steady pace, in its own unit."""
    spec = signal(path)
    raw = [
        None if value is None else round(value * spec.denominator / spec.numerator)
        for value in values
    ]
    times = [start_us + place * period_us for place in range(len(raw))]
    return Group(times, {spec.id: raw})


def windows_of(groups: Iterable[Group]) -> list[list[Group]]:
    """Cuts groups into windows of ten seconds, as the gateway does with frames."""
    cut: dict[int, list[Group]] = {}
    for group in groups:
        places: dict[int, list[int]] = {}
        for place, time in enumerate(group.times_us):
            places.setdefault(time // WINDOW_US, []).append(place)
        for number, own in places.items():
            times = [group.times_us[place] for place in own]
            columns = {key: [each[place] for place in own] for key, each in group.series.items()}
            cut.setdefault(number, []).append(Group(times, columns))
    return [cut[number] for number in sorted(cut)]


def speeds(*legs: tuple[float, float, float], hz: int = 10) -> list[float]:
    """Speeds in km/h: each leg goes from one to another in so many seconds."""
    found: list[float] = []
    for first, last, seconds in legs:
        steps = round(seconds * hz)
        found += [first + (last - first) * step / steps for step in range(steps)]
    return found


# ------------------------------------------------------------------ a box
@dataclass
class StillClock:
    """A clock that a test moves."""

    wall_us: int = START_US
    monotonic_us: int = 0

    def now(self) -> Instant:
        return Instant(self.wall_us, "00" * 8, self.monotonic_us)

    def advance(self, seconds: float) -> None:
        self.wall_us += round(seconds * SECOND_US)
        self.monotonic_us += round(seconds * SECOND_US)


class CountingRandomness:
    """Bytes that never repeat and can be foretold: tests need no secret."""

    def __init__(self) -> None:
        self._next = count(1)

    def token(self, size: int) -> bytes:
        return next(self._next).to_bytes(size, "big")


@dataclass
class Box:
    """The gateway's side: one folder, reopened after every 'power cut'.

    Attributes:
        consented: Who agreed before a test begins, so that its batches hold everything; None for
            nobody. Their statement is in no chain.
    """

    folder: Path
    policy: Policy
    clock: StillClock = field(default_factory=StillClock)
    randomness: CountingRandomness = field(default_factory=CountingRandomness)
    limits: OutboxLimits | None = None
    campaign: Campaign = field(default_factory=default_campaign)
    store: Store | None = None
    consented: str | None = "driver-0"

    def __post_init__(self) -> None:
        self.identity = FileIdentity.create(self.folder / "identity.pem", DEVICE)
        self.secret = LocalSecret(self.identity, SEALED_FOR, self.randomness)
        self.decoder = Decoder(load_profile())

    @property
    def path(self) -> Path:
        return self.folder / "outbox.db"

    def open(self) -> Batcher:
        """Starts the box: everything in memory is new, the disk is what it was."""
        self.cut_power()
        migrations = [outbox.MIGRATIONS, policies.MIGRATIONS, batch.MIGRATIONS, driver.MIGRATIONS]
        migrations += [roster.MIGRATIONS, signin.MIGRATIONS]
        migrations += [orders.MIGRATIONS, campaign_book.MIGRATIONS, commands.MIGRATIONS]
        self.store = open_store(self.path, migrations)
        waiting = outbox.Outbox(self.store, DEVICE, self.limits)
        ports = epochs.StreamPorts(
            self.identity, self.policy, self.clock, self.randomness, ADDRESS.up
        )
        stream = epochs.SealedStream(self.store, waiting, ports)
        self.sink = Sink(
            self.store, waiting, stream, DriverBook(self.store, self.secret), self.clock
        )
        book = CampaignBook(self.store, Addressee(DEVICE, GROUP), self.campaign)
        vehicle = Vehicle(DEVICE, "bus-1")
        batcher = Batcher(self.sink, vehicle, Decoder(load_profile()), self.campaign, book)
        if self.consented is not None:
            self.sink.drivers.heed(make_statement(self.consented, "zh", 0, 36_500, withdrawn=False))
            self.consented = None
        batcher.resume("drive", repeatable=True)
        return batcher

    def cut_power(self) -> None:
        """Drops the process without a word: nothing is sealed, signed or closed."""
        if self.store is not None:
            self.store.close()

    def messages(self) -> list[Message]:
        """Everything that waits."""
        return self.sink.outbox.due(100_000)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut_power()


# ------------------------------------------------------------------ its core
@dataclass
class Core:
    """Opens what the box sealed, and signs for it."""

    hpke: HpkeKeypair
    signer: FileIdentity

    @property
    def policy(self) -> Policy:
        """The first policy of the box."""
        return Policy(DEVICE, 1, (3, 30), self.hpke.public_bytes)

    def issue(self, seq: int, *algs: int) -> bytes:
        """A signed policy."""
        return sign_policy(self.signer, Policy(DEVICE, seq, algs, self.hpke.public_bytes))

    @property
    def verify(self) -> Callable[[bytes, bytes], None]:
        return verifier(self.signer.public_bytes)

    def evidence(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """The signed records among them."""
        return [decode(read_sign1(each.payload)[1]) for each in messages if each.payload[0] == 0x84]

    def consents(self, messages: Iterable[Message]) -> list[dict[str, Any]]:
        """The statements of drivers among them, opened."""
        return [
            {**each, **decode(hpke_open(self.hpke, each["sealed"], PRIVATE_INFO))}
            for each in self.evidence(messages)
            if each["type"] == "consent"
        ]

    def records(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The batches among them, opened."""
        keys = {
            record["epoch"]: self._keys(record)
            for record in self.evidence(messages)
            if record["type"] == "epoch-start"
        }
        return [
            decode(inflate(self._open(each, keys), 1 << 23), items_max=1_000_000)
            for each in messages
            if each.payload[0] == 0x83
        ]

    def stored(self, message: Message, head: bytes, **changed: Any) -> bytes:
        """A signed acknowledgement up to a message."""
        record = {
            "type": "stored",
            "device": DEVICE,
            "epoch": message.epoch,
            "seq": message.seq,
            "head": head,
        }
        return sign_evidence(self.signer, {**record, **changed}, ADDRESS.down)

    def _keys(self, start: Mapping[str, Any]) -> tuple[bytes, bytes]:
        chain_key = unwrap_chain_key(self.hpke, start["wrap"], DEVICE, start["epoch"])
        return ratchet(chain_key, AEADS[start["alg"]])[1]

    def _open(self, message: Message, keys: Mapping[int, tuple[bytes, bytes]]) -> bytes:
        alg = read_encrypt0(message.payload)[0]
        return open_encrypt0(message.payload, AEADS[alg], keys[message.epoch], ADDRESS.up.encode())


# ------------------------------------------------------------------ frames
@cache
def simulated_drive(seconds: float) -> list[FrameChunk]:
    """The simulated vehicle's drive; the same for everybody, so driven once."""
    return list(SimulatedSource(SimSettings(seconds=seconds)).chunks())


def frames(seconds: float, chunk: int = 1_000, skip: int = 0) -> Iterator[FrameChunk]:
    """The simulated vehicle's drive in chunks of any size."""
    position = 0
    for whole in simulated_drive(seconds):
        for start in range(0, len(whole.ids), chunk):
            end = min(start + chunk, len(whole.ids))
            position += end - start
            done = max(0, skip - (position - (end - start)))
            if done < end - start:
                yield FrameChunk(
                    whole.times_us[start + done : end],
                    whole.ids[start + done : end],
                    whole.payloads[start + done : end],
                    position,
                )


def feed(batcher: Batcher, seconds: float, chunk: int = 1_000) -> Iterator[None]:
    """Feeds a drive from where the batcher stands; yields after each window."""
    windows = Windows()
    for part in frames(seconds, chunk, batcher.position):
        for window in windows.add(part):
            batcher.take(window)
            yield
    rest = windows.cut()
    if rest is not None:
        batcher.take(rest)
        yield


# ------------------------------------------------------------------ a bus that plays a script
Step = FrameChunk | Exception | None


class Script:
    """A bus that plays a script: chunks, silence (None), faults; between them the test acts."""

    def __init__(self, steps: Sequence[Step | Callable[[], None]], name: str = "script") -> None:
        self._steps = list(steps)
        self.name = name
        self.opened = 0

    @property
    def skipped(self) -> Mapping[str, int]:
        return {}

    def chunks(self, skip_frames: int = 0) -> Iterator[FrameChunk]:
        self.opened += 1
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, Exception):
                raise step
            if step is None:
                yield FrameChunk([], [], [], skip_frames)
            elif isinstance(step, FrameChunk):
                yield step
            else:
                step()

    def close(self) -> None:
        self._steps.clear()


class Hasty(threading.Event):
    """A stop that nobody waits for."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        return self.is_set()
