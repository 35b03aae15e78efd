"""The verb that tells a box who may sign in: `lastmile-core roster publish`.

Place in the flow: a file of the fleet → **command_roster** → hashes, signature, seal → words → box.

* Cards and PINs come from a file or standard input, never from a command line. They leave as hashes
  inside the seal, and are kept nowhere: neither here nor in the database.
* A roster replaces the one before, whole.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from backend_sync.core.registry import find_device
from backend_sync.telemetry.words import Word, keep_word
from edge.drivers import (
    DRIVERS_MAX,
    ROSTER_TYPE,
    SALT_BYTES_MIN,
    Roster,
    RosterDriver,
    sign_roster,
    stretch,
)
from edge.errors import LocalError

if TYPE_CHECKING:
    from argparse import Namespace

    from backend_sync.core.command_register import Desk
    from edge.ports import Randomness

FILE_CHARACTERS_MAX: Final = 65_536
Hexadecimal = Annotated[str, msgspec.Meta(pattern=r"^([0-9a-fA-F]{2}){0,16}$")]
Figures = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4,8})?$")]
Subject = Annotated[str, msgspec.Meta(pattern=r"^(?!.*[0-9]{8})[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One driver of the file: {subject, number, name, card, pin}; card or pin may be absent."""

    subject: Subject
    number: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{2,6}$")]
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    card: Hexadecimal = ""
    pin: Figures = ""


def roster_publish(desk: Desk, arguments: Namespace) -> str:
    """Signs a roster for one box and keeps it to be told.

    Raises:
        LocalError: The file is none of drivers, or there is no such gateway.
    """
    device = find_device(desk.connection, arguments.device)
    if device is None or device.kind != "gateway" or device.state == "retired":
        raise LocalError(
            f"There is no gateway {arguments.device}; add it with `device add` first.",
            "roster-device",
        )
    roster = make_roster(read_lines(arguments.file), desk.randomness)
    seq = desk.now_us()
    message = sign_roster(desk.keys.core, (device.device, device.public_key), roster, seq)
    keep_word(desk.connection, Word(device.device, ROSTER_TYPE, "", seq, message))
    return f"{len(roster.drivers)} drivers may sign in at {device.device} once it has heard of it."


def read_lines(name: str) -> list[Line]:
    """Reads the file of drivers, or standard input for `-`.

    Raises:
        LocalError: It cannot be read or is no list of drivers; the text quotes nothing of it.
    """
    try:
        text = sys.stdin.read(FILE_CHARACTERS_MAX) if name == "-" else Path(name).read_text("utf-8")
        lines = msgspec.json.decode(text[:FILE_CHARACTERS_MAX], type=list[Line])
    except OSError as error:
        raise LocalError(f"{name} cannot be read ({error.strerror}).", "roster-file") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LocalError(
            "The file is no list of drivers: each has subject (pseudonym), number (2 to 6 digits) "
            "and, as wanted, name, card (hexadecimal) and pin (4 to 8 digits).",
            "roster-file",
        ) from error
    if len(lines) > DRIVERS_MAX:
        raise LocalError(f"A box knows at most {DRIVERS_MAX} drivers.", "roster-file")
    return lines


def make_roster(lines: list[Line], randomness: Randomness) -> Roster:
    """Hashes cards and PINs under fresh salts."""
    salt = randomness.token(SALT_BYTES_MIN)
    return Roster(salt, [_driver(line, salt, randomness) for line in lines])


def _driver(line: Line, salt: bytes, randomness: Randomness) -> RosterDriver:
    pin_salt = randomness.token(SALT_BYTES_MIN) if line.pin else b""
    return RosterDriver(
        subject=line.subject,
        number=line.number,
        name=line.name,
        card=stretch(bytes.fromhex(line.card), salt) if line.card else b"",
        pin_salt=pin_salt,
        pin=stretch(line.pin.encode(), pin_salt) if line.pin else b"",
    )
