"""The verbs about keys of telemetry: list, rotate, retire, seed.

Place in the flow: `lastmile-core keys ...` → **command_keys** → policies, key_use, seeds.

* A seed comes from a file or standard input, never from a command line.
* What is deleted for ever is deleted only when nobody needs it, or under a named consequence.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backend_sync.core.policies import rotate_key
from backend_sync.telemetry.key_use import ID_DIGITS, list_keys, retire_key
from backend_sync.telemetry.ratchets import PURPOSE, Ratchets
from backend_sync.telemetry.seeds import Seed, enrol_seed
from edge.errors import LocalError
from edge.keys import LocalSecret

if TYPE_CHECKING:
    from argparse import Namespace

    from backend_sync.core.command_register import Desk
    from backend_sync.telemetry.key_use import KeyLine

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
SEED_CHARACTERS_MAX: Final = 256


def keys_list(desk: Desk, arguments: Namespace) -> str:
    """Shows the core's HPKE keys, and who still needs each.

    Raises:
        DeviceFault: The present key's file is not there.
    """
    lines = list_keys(desk.connection, desk.keys.hpke, desk.now_us())
    if arguments.json:
        return json.dumps([_as_dict(line) for line in lines], indent=2)
    heads = f"{'id':16}  {'since':20}  {'state':8}  devices     open  unflushed"
    return "\n".join([heads, *map(_as_text, lines)])


def keys_rotate(desk: Desk, arguments: Namespace) -> str:
    """Makes a new HPKE key the present one and issues every gateway a policy for it.

    Raises:
        DeviceFault: The disk is full, or the present key's file is not there.
    """
    del arguments
    create = desk.keys.hpke.create
    key_id, told = rotate_key(desk.connection, desk.issuer, create, desk.now_us())
    return f"{key_id.hex()} is the present key; {len(told)} gateways hear of it as they begin."


def keys_retire(desk: Desk, arguments: Namespace) -> str:
    """Deletes the private half of a key that nobody needs.

    Raises:
        LocalError: No such key, the present one, or it is needed.
    """
    key_id = _read_id(arguments.id)
    pairs, now_us = desk.keys.hpke, desk.now_us()
    use = retire_key(desk.connection, pairs, key_id, now_us, force=arguments.force)
    lost = f" {use.open} open epochs and {use.unflushed} batches are lost." if any(use) else ""
    return f"{key_id.hex()} is deleted for ever.{lost} Restart what runs, to forget it there too."


def keys_seed(desk: Desk, arguments: Namespace) -> str:
    """Keeps the seed of a device that ratchets.

    Raises:
        LocalError: The file holds no seed, or the device has one and is to keep it.
    """
    seed = Seed(
        arguments.device, read_seed(arguments.file), arguments.first_epoch, arguments.replace
    )
    ratchets = Ratchets(LocalSecret(desk.keys.core, PURPOSE, desk.randomness))
    enrol_seed(desk.connection, ratchets, seed, desk.now_us())
    return f"{seed.device} ratchets from epoch {seed.epoch} on; delete the seed's file."


def read_seed(name: str) -> bytes:
    """Reads a seed from a file, or from standard input for `-`: hexadecimal digits in one line.

    Raises:
        LocalError: The file cannot be read, or holds something else.
    """
    try:
        text = sys.stdin.readline() if name == "-" else Path(name).read_text(encoding="ascii")
        return bytes.fromhex(text[:SEED_CHARACTERS_MAX])
    except (OSError, ValueError) as error:
        raise LocalError(
            f"{name} holds no seed: write its 64 hexadecimal digits there.", "seed-file"
        ) from error


def _read_id(text: str) -> bytes:
    try:
        key_id = bytes.fromhex(text)
    except ValueError:
        key_id = b""
    if len(text) != ID_DIGITS or not key_id:
        raise LocalError(f"A key's id is {ID_DIGITS} hexadecimal digits, see keys list.", "key-id")
    return key_id


def _as_text(line: KeyLine) -> str:
    since = (EPOCH + timedelta(microseconds=line.since_us)).strftime("%Y-%m-%dT%H:%M:%SZ")
    devices, opened, unflushed = line.use
    place = f"{line.key_id.hex()}  {since}  {line.state:8}"
    return f"{place}  {devices:7}  {opened:7}  {unflushed:9}"


def _as_dict(line: KeyLine) -> dict[str, object]:
    place = {"id": line.key_id.hex(), "since_us": line.since_us, "state": line.state}
    return {**place, **line.use._asdict()}
