"""The chain of an epoch: a head over every message, and the two records at its ends.

Place in the flow: seal → **chain** → epochs, and the microcontroller's sender. The same file runs
on MicroPython: no typing, no dataclasses, nothing but SHA-256.

    h0 = SHA-256(signed start)      hn = SHA-256(hn-1 ‖ message n)
    start = {type: epoch-start, device, epoch, alg, start_us, boot, mono_us, how the key is had}
    close = {type: epoch-close, device, epoch, count, head = h count}

* A head covers the exact bytes of every message up to its own: none can be left out, changed or
  put elsewhere behind a signed head.
* The records are made here and signed elsewhere: with a signer (evidence), as every record is.
"""

import hashlib

TYPE_CHECKING = False  # MicroPython has no typing; type checkers take this name as true
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

EPOCH_START = "epoch-start"
EPOCH_CLOSE = "epoch-close"


def start_head(start: bytes) -> bytes:
    """Returns the head of an epoch of which only the start is written.

    Args:
        start: The start as it is sent, signed.
    """
    return hashlib.sha256(start).digest()


def next_head(head: bytes, message: bytes) -> bytes:
    """Returns the head once a message follows.

    Args:
        head: The head before it.
        message: The message as it is sent, sealed or signed.
    """
    return hashlib.sha256(head + message).digest()


def start_record(
    device: str, epoch: int, alg: int, key: "Mapping[str, Any]", instant: "tuple[int, str, int]"
) -> "dict[str, Any]":
    """Returns the record that begins an epoch.

    Args:
        device: Who sends.
        epoch: Its number, from 1, never used twice.
        alg: COSE algorithm id of every sealed message in it.
        key: How the backend comes to the chain key: `wrap` and what names the key that it is
            wrapped to, or nothing of the kind on a device that ratchets from a seed.
        instant: Wall clock in microseconds, id of the boot, microseconds since the boot.
    """
    wall_us, boot, mono_us = instant
    record = {
        "type": EPOCH_START,
        "device": device,
        "epoch": epoch,
        "alg": alg,
        "start_us": wall_us,
        "boot": boot,
        "mono_us": mono_us,
    }
    record.update(key)
    return record


def close_record(device: str, epoch: int, count: int, head: bytes) -> "dict[str, Any]":
    """Returns the record that ends an epoch, and makes the whole of it evidence.

    Args:
        device: Who sends.
        epoch: Its number.
        count: Messages in it, the start and this record not counted.
        head: The head behind the last of them.
    """
    return {
        "type": EPOCH_CLOSE,
        "device": device,
        "epoch": epoch,
        "count": count,
        "head": head,
    }
