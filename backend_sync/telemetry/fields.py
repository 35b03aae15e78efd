"""Reads single fields of what a device says: each is what it must be, or the whole is refused.

Place in the flow: decoded CBOR → **fields** → `batch`, `snapshots`.

* A field that is absent, of another type or out of range raises PeerError and names the field.
* Texts are short: nobody can fill the lake with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeGuard

import pyarrow as pa

from edge.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT_CHARACTERS_MAX: Final = 200
TIME_US_MAX: Final = 4_102_444_800_000_000  # 2100-01-01
INTEGER_MIN: Final = -(2**63)
INTEGER_MAX: Final = 2**63 - 1

WHO: Final = [
    ("device", pa.string()),
    ("vehicle", pa.string()),
    ("driver", pa.string()),
    ("trip", pa.string()),
]
FROM: Final = [("epoch", pa.int64()), ("seq", pa.int64()), ("known_us", pa.int64())]


def integer(record: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """Returns an integer field between two ends."""
    value = record.get(name)
    if not is_integer(value) or not low <= value <= high:
        raise PeerError(f"{name} of the batch is not an integer in range.", "batch-field")
    return value


def text(record: Mapping[str, Any], name: str) -> str:
    """Returns a text of 1 to 200 characters."""
    value = record.get(name)
    if not is_text(value) or not value:
        raise PeerError(f"{name} of the batch is not a short text.", "batch-field")
    return value


def text_or_none(record: Mapping[str, Any], name: str) -> str | None:
    """Returns a text, or None where the field is null or absent."""
    return None if record.get(name) is None else text(record, name)


def mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Returns a map."""
    value = record.get(name)
    if not isinstance(value, dict):
        raise PeerError(f"{name} of the batch is not a map.", "batch-field")
    return value


def is_integer(value: object) -> TypeGuard[int]:
    """Says whether a value is an integer of 64 bits, and no truth value."""
    return type(value) is int and INTEGER_MIN <= value <= INTEGER_MAX


def is_text(value: object) -> TypeGuard[str]:
    """Says whether a value is a short text."""
    return isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX


def plain(value: object) -> object:
    """Makes a decoded CBOR value fit for JSON: bytes become hexadecimal text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
