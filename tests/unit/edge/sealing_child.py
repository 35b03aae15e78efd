"""A device that seals without end in a process of its own, until a test kills it.

Place in the flow: started by test_epochs.py as `-m tests.unit.edge.sealing_child FOLDER SEED`.

* It says what it did only after it did it: `kept` after the commit, `sent` before anything else
  may happen to the message, `stored` before the acknowledgement is applied.
* Its choices follow from SEED; its keys come from the kernel, as on a device.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.drivers.clock import SystemRandomness
from tests.unit.edge.desk import DOWN, Desk, Running

if TYPE_CHECKING:
    from collections.abc import Iterator


class _PowerCut(Exception):  # noqa: N818 - it is what happens, not an error
    """Undoes a transaction."""


def say(*words: object) -> None:
    """Tells the test, in one write."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def choices(seed: str) -> Iterator[int]:
    """Yields numbers from 0 to 255 that follow from a seed."""
    block = seed.encode()
    while True:
        block = hashlib.sha256(block).digest()
        yield from block


def seal(box: Running, number: int) -> None:
    """Seals a batch, or signs a statement, and says so once it is durable."""
    if number % 5 == 0:
        seq = box.stream.state({"type": "consent", "number": number})
    else:
        seq = box.stream.seal(b"batch %d" % number, number % 3)
    say("kept", box.stream.epoch, seq)


def roll_back(box: Running, number: int) -> None:
    """Seals and loses it again, as a full disk does."""
    with contextlib.suppress(_PowerCut), box.store.transaction():
        box.stream.seal(b"lost %d" % number, 0)
        raise _PowerCut


def exchange(desk: Desk, box: Running, count: int) -> None:
    """Sends some messages and applies the core's answer to the last of them."""
    due = box.outbox.due(count)
    for message in due:
        say("sent", message.epoch, message.seq, message.payload.hex())
    if due:
        last = due[-1]
        ack = desk.stored(last.epoch, last.seq, box.head_at(last.epoch, last.seq))
        say("stored", last.epoch, last.seq)
        box.outbox.settle(ack, desk.verify_core, DOWN)


def main(folder: Path, seed: str) -> None:
    """Runs until it is killed."""
    desk = Desk(folder, SystemRandomness())
    box = desk.open()
    say("began", 0, 0)
    for number, choice in enumerate(choices(seed)):
        if choice < 150:
            seal(box, number)
        elif choice < 180:
            roll_back(box, number)
        elif choice < 190:
            box.stream.close()
        elif choice < 200:
            desk.clock.advance(1_800_000_000)
        else:
            exchange(desk, box, choice % 12)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
