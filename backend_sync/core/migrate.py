"""Brings a database to the schema of this program, forwards only.

Place in the flow: `lastmile-core init` and every start → **migrate** → all else.

* `schema/NNN_name.sql` are applied once, in order of number, all missing ones in one transaction.
* An applied file is never edited: its checksum is kept and compared at every start.
* A database that knows a migration which this program does not is newer: we do not touch it.
* An advisory lock makes many processes starting at once apply each file once.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError

if TYPE_CHECKING:
    import psycopg

SCHEMA: Final = Path(__file__).parent.parent / "schema"
NAME: Final = re.compile(r"(\d{3})_[a-z0-9_]+\.sql")
LOCK: Final = 0x4C61_7374_6D69
KEPT: Final = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number integer PRIMARY KEY,
        name text NOT NULL,
        sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered file of the schema."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Identifies the exact text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(directory: Path = SCHEMA) -> list[Migration]:
    """Reads the schema directory in order of number.

    Raises:
        LocalError: A file does not follow `NNN_name.sql`, or two share a number.
    """
    found: dict[int, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = NAME.fullmatch(path.name)
        if match is None or int(match[1]) in found:
            raise LocalError(
                f"{path.name} needs a name NNN_words.sql, with a new NNN.", "migration-name"
            )
        found[int(match[1])] = Migration(int(match[1]), path.name, path.read_text("utf-8"))
    return [found[number] for number in sorted(found)]


def migrate(connection: psycopg.Connection[Any], migrations: list[Migration]) -> list[str]:
    """Applies what is missing and returns the names of the files applied.

    Raises:
        LocalError: The database is newer, or an applied file was edited since.
    """
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(KEPT)
        rows = connection.execute("SELECT number, name, sha256 FROM schema_migrations").fetchall()
        kept = {int(row[0]): (str(row[1]), str(row[2])) for row in rows}
        missing = _missing(migrations, kept)
        for each in missing:
            connection.execute(each.sql.encode())
            connection.execute(
                "INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
                [each.number, each.name, each.sha256],
            )
    return [each.name for each in missing]


def _missing(migrations: list[Migration], kept: dict[int, tuple[str, str]]) -> list[Migration]:
    known = {each.number: each for each in migrations}
    for number, (name, sha256) in kept.items():
        if number not in known:
            raise LocalError(
                f"The database has {name}, which this program does not know. Update the program.",
                "schema-newer",
            )
        if known[number].sha256 != sha256:
            raise LocalError(
                f"{known[number].name} was edited after it was applied. Restore it and add a new "
                "migration instead.",
                "schema-edited",
            )
    return [each for each in migrations if each.number not in kept]
