"""Targets at the driver's place: what a core tells of drivers, what a panel and a card reader say.

Place in the flow: ground → **cabin** → targets.

* A roster or grade comes inside a signature and a seal that are good; its first byte says which.
* A touch is a line of JSON from the panel, while a driver is signed in who has not agreed.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.codec import deflate, encode
from edge.drivers import (
    PURPOSES,
    Grade,
    Roster,
    RosterDriver,
    open_grade,
    open_roster,
)
from edge.errors import PeerError
from edge.keys import LocalSecret, hpke_seal
from edge.ports import Instant
from hardware.drivers.card_serial import Frames
from hardware.drivers.clock import SystemRandomness
from hardware.sim.card_reader import card_frame
from hardware.sim.panel import SimulatedPanel
from tests.fuzz.ground import BOX, DEVICE, accept, memory_store, signed_by
from tests.fuzz.judge import MIB, Mismatch, Target
from vehicle_gateway import driver, roster, signin
from vehicle_gateway.cabin import Books, Cabin, CabinSettings, Moment
from vehicle_gateway.driver import consent_text
from vehicle_gateway.today import Today

if TYPE_CHECKING:
    from collections.abc import Callable

NOW: Final = Instant(1_772_411_400_000_000, "00" * 8, 1)
SALT: Final = b"s" * 16
KINDS: Final = ("roster", "grade")
OPEN: Final[tuple[Callable[..., tuple[int, Any]], ...]] = (open_roster, open_grade)


def run_drivers(data: bytes) -> None:
    """Opens a roster or a grade; what was taken has the same content when it is written again."""
    which = data[0] % 2 if data else 0
    kind = KINDS[which]
    info = encode([PURPOSES[kind], DEVICE, 1])
    sealed = hpke_seal(BOX.public_bytes, deflate(data[1:]), info)
    record = encode({"type": kind, "device": DEVICE, "seq": 1, "sealed": sealed})
    _, told = OPEN[which](signed_by("core", record), accept, BOX)
    again = msgspec.json.decode(msgspec.json.encode(told), type=type(told))
    if again != told:
        raise Mismatch("What the core told is not the same when it is kept.")


def driver_seeds() -> list[bytes]:
    """A roster and a grade, and each with one field less."""
    someone = RosterDriver("driver-1", "17", "王师傅", bytes(32), SALT, bytes(32))
    told = (Roster(SALT, [someone]), Grade("driver-1", 5, "B", 700, {"km": 12.5}, "{}"))
    found = []
    for number, each in enumerate(told):
        fields = msgspec.to_builtins(each)
        found.append(bytes([number]) + msgspec.json.encode(fields))
        for name in fields:
            less = {other: fields[other] for other in fields if other != name}
            found.append(bytes([number]) + msgspec.json.encode(less))
    return found


@functools.cache
def _cabin() -> tuple[Cabin, SimulatedPanel]:
    store = memory_store(driver.MIGRATIONS, roster.MIGRATIONS, signin.MIGRATIONS)
    secret = LocalSecret(BOX, driver.SEALED_FOR, SystemRandomness())
    drivers = driver.DriverBook(store, secret)
    drivers.sign_in("driver-1", NOW.wall_us)
    book = roster.RosterBook(store, BOX, secret)
    panel = SimulatedPanel()
    books = Books(drivers, book, signin.SignIn(store, book.roster))
    return Cabin(books, [], [panel], CabinSettings()), panel


def run_touch(data: bytes) -> None:
    """Lets the cabin judge a touch; a consent comes of the very words alone."""
    try:
        touch = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PeerError("The panel says nothing that can be read.", "touch") from error
    if not isinstance(touch, dict):
        raise PeerError("The panel says no map.", "touch")
    cabin, panel = _cabin()
    panel.touched = [touch]
    moment = Moment(None, None, (), Today(), 0, online=None)
    for change in cabin.changes(NOW, moment):
        said = change.statement
        if said and not said.withdrawn and touch["text_sha256"] != said.text_sha256:
            raise Mismatch("A consent was given to another text than was shown.")
    cabin.show(NOW, moment)
    json.dumps(panel.state)


def touch_seeds() -> list[bytes]:
    """Every touch there is."""
    agree = {"touch": "agree", "language": "zh", "text_sha256": consent_text().sha256("zh")}
    touches: list[dict[str, str]] = [agree, {"touch": "withdraw", "language": "en"}]
    touches += [{"touch": kind} for kind in ("decline", "sign-out", "mute")]
    touches.append({"touch": "pin", "number": "17", "pin": "4711"})
    return [json.dumps(each).encode() for each in touches]


def run_card(data: bytes) -> None:
    """Reads a card reader's line, whole and in two parts, to the same cards."""
    whole, parts = Frames(), Frames()
    half = len(data) // 2
    if whole.feed(data) != parts.feed(data[:half]) + parts.feed(data[half:]):
        raise Mismatch("Cards depend on how their bytes come.")


def card_seeds() -> list[bytes]:
    """Frames of both kinds, whole, damaged and one after the other."""
    card = card_frame(bytes.fromhex("0A004F7B2C"))
    other = card_frame(bytes.fromhex("0A00112233"), with_line_end=True)
    return [card, other, card + other, card[:-1] + other, card.replace(b"F", b"0")]


TARGETS: Final = (
    Target("drivers", "edge.drivers: rosters and grades", run_drivers, driver_seeds),
    Target("touch", "vehicle_gateway.cabin: what a panel says", run_touch, touch_seeds,
           memory_base=16 * MIB),
    Target("card", "hardware.drivers.card_serial: a card reader's line", run_card, card_seeds),
)  # fmt: skip
