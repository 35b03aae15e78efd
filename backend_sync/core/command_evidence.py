"""`lastmile-core evidence`: what a device's bundle of journal entries proves, and what we hold.

Place in the flow: file of `lastmile-kiosk evidence` → **command_evidence** → a person, or a court.

* The bundle is checked against the key that the device is registered with, retired or not.
* What it says is compared with what the journal tables hold, entry by entry; nothing is stored.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from backend_sync.core.registry import DEVICE, find_device
from edge.entry import op_id
from edge.errors import LocalError, PeerError
from edge.evidence import BUNDLE_BYTES_MAX, claimed_device, open_bundle
from edge.keys import verifier

if TYPE_CHECKING:
    from argparse import Namespace
    from pathlib import Path

    from backend_sync.core.command_register import Desk
    from backend_sync.core.database import Connection
    from edge.evidence import Evidence

BEIJING: Final = timedelta(hours=8)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HELD: Final = {
    "same": "the core holds the same chain",
    "absent": "the core does not hold its last entry yet",
    "other": "the core holds ANOTHER entry in this place: two journals",
}


def evidence(desk: Desk, arguments: Namespace) -> str:
    """Checks a bundle and says what it proves.

    Raises:
        LocalError: The file cannot be read.
        PeerError: It is no evidence, or not of a registered device.
    """
    found = check_bundle(desk.connection, read_bundle(arguments.file))
    held = compare(desk.connection, found)
    return to_json(found, held) if arguments.json else describe(found, held)


def read_bundle(path: Path) -> bytes:
    """Reads a file, and no more of it than a bundle can have.

    Raises:
        LocalError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        raise LocalError(
            f"{path} cannot be read ({error.strerror}). Give what `lastmile-kiosk evidence` wrote.",
            "evidence-file",
        ) from error


def check_bundle(connection: Connection, bundle: bytes) -> Evidence:
    """Verifies a bundle with the registered key of the device that it names.

    Raises:
        PeerError: It is none, or no such device is registered.
    """
    device = claimed_device(bundle)
    found = find_device(connection, device) if DEVICE.fullmatch(device) else None
    if found is None:
        raise PeerError(
            "This evidence is of a device that is not registered here.", "unknown-device"
        )
    return open_bundle(bundle, verifier(found.public_key), device)


def compare(connection: Connection, found: Evidence) -> str:
    """Returns `same`, `other` or `absent`: what the core holds where the bundle ends.

    The hash there stands for all before it, so one comparison is one of every entry.
    """
    row = connection.execute(
        "SELECT hash FROM journal_entries WHERE device = %s AND epoch = %s AND seq = %s",
        [found.device, found.epoch, found.last],
    ).fetchone()
    if row is None:
        return "absent"
    return "same" if bytes(row[0]) == found.head else "other"


def describe(found: Evidence, held: str) -> str:
    """Returns it for people, times as the device's clock had them, UTC+8."""
    run = f"{found.epoch}/{found.first} to {found.epoch}/{found.last}"
    lines = [f"{found.device} has signed entries {run}; {HELD[held]}."]
    for entry in found.entries:
        body = ", ".join(f"{_spell(name)} {_spell(value)}" for name, value in entry["body"].items())
        place = f"{entry['epoch']}/{entry['seq']}"
        kind = f"{entry['class']} {_spell(entry['kind'])}"
        lines.append(f"{place}  {_local(entry['wall_us'])}  {kind}: {body}")
    return "\n".join(lines)


def to_json(found: Evidence, held: str) -> str:
    """Returns it as one object; bytes are hexadecimal."""
    entries = [
        {"op_id": op_id(found.device, found.epoch, entry["seq"]), **entry}
        for entry in found.entries
    ]
    record = {
        "device": found.device, "epoch": found.epoch, "first": found.first, "last": found.last,
        "before": found.before, "head": found.head, "held": held, "entries": entries,
    }  # fmt: skip
    return json.dumps(_plain(record), ensure_ascii=False, sort_keys=True)


def _plain(value: Any) -> Any:  # noqa: ANN401 - decoded CBOR
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.hex() if isinstance(value, bytes) else value


def _spell(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    # A device chose this text; a terminal must not obey it.
    safe = "".join(letter if letter.isprintable() else "?" for letter in text)
    return safe if len(safe) <= 64 else f"{safe[:61]}..."


def _local(wall_us: int) -> str:
    try:
        return f"{EPOCH + BEIJING + timedelta(microseconds=wall_us):%Y-%m-%d %H:%M:%S}"
    except OverflowError:
        return f"{wall_us} us"
