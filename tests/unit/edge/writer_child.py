"""A process of its own that opens a store, for tests that kill it or let its disk run full.

Place in the flow: started by the tests of edge/ as `-m tests.unit.edge.writer_child`.

* `hold PATH` opens the store, says so, and keeps it until it is killed.
* `fill PATH LIMIT` writes rows until its files may not grow; says which code it was refused with
  and how many rows it had been promised.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import DeviceFault
from edge.sqlite import Migrations
from edge.store import create_tables, open_store

if TYPE_CHECKING:
    from edge.sqlite import Database

MIGRATIONS = Migrations("pages")


@MIGRATIONS()
def pages_001(database: Database) -> None:
    """One table of rows that fill a disk."""
    create_tables(database, "CREATE TABLE pages (number INTEGER PRIMARY KEY, content BLOB)")


def say(line: str) -> None:
    """Tells the test, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def hold(path: Path) -> None:
    """Keeps the store open until standard input ends."""
    with open_store(path, [MIGRATIONS]) as store:
        store.execute("INSERT INTO pages VALUES (1, 'kept')")
        say("open")
        sys.stdin.read()


def fill(path: Path, limit_bytes: int) -> None:
    """Writes until the kernel refuses."""
    with open_store(path, [MIGRATIONS]) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        promised = 0
        try:
            while True:
                with store.transaction():
                    store.execute("INSERT INTO pages VALUES (?, ?)", (promised, b"x" * 10_000))
                promised += 1
        except DeviceFault as fault:
            say(f"{fault.code} {promised}")


if __name__ == "__main__":
    verb, *arguments = sys.argv[1:]
    if verb == "hold":
        hold(Path(arguments[0]))
    else:
        fill(Path(arguments[0]), int(arguments[1]))
