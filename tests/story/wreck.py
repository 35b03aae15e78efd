"""Power cuts: kills a process in the middle of its work, and makes sure that it was the middle.

Place in the flow: the files of box, kiosk and core tell how far they are → **wreck** → SIGKILL.

* A kill that would come before the work began or after it ended is a failed test, not a passed one.
* Files are read as another process reads them; nothing waits for the one that is to be killed.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from edge.errors import DeviceFault
from edge.mirror import MirrorReader
from edge.purposes import MIRROR_KEY
from edge.store import open_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.story.town import Town

MIDDLE_S_MAX = 60.0


def frames_sealed(town: Town) -> int:
    """Returns how many frames of its source the box has sealed and noted."""
    return _look(town, "SELECT coalesce(max(position), 0) AS n FROM gateway_checkpoint")


def messages_settled(town: Town) -> int:
    """Returns how many messages the core has signed for at the box."""
    return _look(
        town, "SELECT coalesce(max(value), 0) AS n FROM outbox_counts WHERE name='settled'"
    )


def _look(town: Town, query: str) -> int:
    try:
        with open_reader(town.box_dir / "data" / "outbox.db") as store:
            row = store.row(query)
    except DeviceFault:  # the box has not made its tables yet
        return 0
    return int(row["n"]) if row else 0


def entries_uploaded(town: Town) -> int:
    """Returns how many journal entries the core is known to hold, at the kiosk."""
    try:
        with open_reader(town.kiosk_dir / "mirror.db", town.kiosk_key(MIRROR_KEY)) as store:
            return int(MirrorReader(store).noted("mark_seq") or 0)
    except DeviceFault:
        return 0


def kill_between(
    town: Town, name: str, progress: Callable[[Town], int], least: int, most: int
) -> None:
    """Kills a process, SIGKILL, once its progress is within bounds.

    Raises:
        AssertionError: It was past them already: the kill would prove nothing.
    """
    town.world.wait_until(
        f"{name} has come to {least}", lambda: progress(town) >= least, MIDDLE_S_MAX
    )
    town.world.kill(name)
    reached = progress(town)
    assert least <= reached < most, f"{name} was at {reached}, not between {least} and {most}"


def kill_core(town: Town) -> None:
    """Kills the core, and its embedded PostgreSQL with it, as a power cut does."""
    town.world.kill("core")
    for pid_file in town.core_dir.rglob("postmaster.pid"):
        number = int(pid_file.read_text(encoding="ascii").partition("\n")[0])
        os.kill(number, signal.SIGKILL)
