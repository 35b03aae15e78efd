"""What hostile bytes meet: fixed keys, a device, and signatures that are taken as good.

Place in the flow: **ground** → targets.

* Keys are constants: an input that was found once does the same thing ever after.
* `accept` takes every signature: a device or a core that is hostile itself signs what it likes.
* A store is opened once for each process, in memory; what an input changed is rolled back.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from edge.codec import encode
from edge.keys import FileIdentity, HpkeKeypair, verifier
from edge.seal import ALG, ES256, KID, SIGNATURE_BYTES
from edge.sqlite import connect
from edge.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.sqlite import Migrations

DEVICE: Final = "box-1"
ORG: Final = "bank"
UP: Final = f"lastmile/v1/{ORG}/{DEVICE}/up"
DOWN: Final = f"lastmile/v1/{ORG}/{DEVICE}/down"
KEY: Final = bytes(range(32))
BASE_IV: Final = bytes(range(0xA0, 0xB0))
BOX: Final = FileIdentity(DEVICE, ec.derive_private_key(7, ec.SECP256R1()))
CORE: Final = FileIdentity("core", ec.derive_private_key(8, ec.SECP256R1()))
HPKE: Final = HpkeKeypair(ec.derive_private_key(9, ec.SECP256R1()))
BOX_VERIFY: Final = verifier(BOX.public_bytes)
VECTORS: Final = Path(__file__).resolve().parent.parent / "vectors"
VECTOR_BYTES_MAX: Final = 4_096


def accept(message: bytes, signature: bytes) -> None:
    """Takes every signature of the right length."""


def signed_by(kid: str, payload: bytes) -> bytes:
    """Returns a COSE_Sign1 of a payload that `accept` takes; the inside is what is hostile."""
    protected = encode({ALG: ES256, KID: kid.encode()})
    return encode([protected, {}, payload, bytes(SIGNATURE_BYTES)])


def payload_seeds(*records: dict[Any, Any]) -> list[bytes]:
    """Returns records as payloads, and each with one field less."""
    found = [encode(record) for record in records]
    for record in records:
        found += [
            encode({other: record[other] for other in record if other != name}) for name in record
        ]
    return found


@functools.cache
def vector_bytes() -> tuple[bytes, ...]:
    """Returns every byte string of our vectors, valid and invalid."""
    texts = {
        text
        for path in sorted(VECTORS.glob("*.json"))
        for text in _texts(json.loads(path.read_text(encoding="utf-8")))
    }
    return tuple(sorted(_octets(texts)))


def memory_store(*migrations: Migrations) -> Store:
    """Opens a store that no file keeps; nothing is durable here, nor need it be."""
    store = Store(Path(":memory:"), connect("file::memory:", None), None)
    for each in migrations:
        each.apply(store.database)
    return store


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _octets(texts: set[str]) -> Iterator[bytes]:
    for text in texts:
        try:
            data = bytes.fromhex(text)
        except ValueError:
            continue
        if 0 < len(data) <= VECTOR_BYTES_MAX:
            yield data
