"""Who drives, and whether they agree: sign-in and consent at the box.

Place in the flow: `lastmile-gateway consent` → statement file → **driver** → signed evidence in the
chain, and the driver of each batch.

Theory of operation. One process alone writes the store, so the command leaves a *statement* as a
file and the running gateway takes it in: within one transaction it signs the evidence into the
sealed stream and changes who is signed in; then the file goes. A gateway that was killed between
the two takes it in once more, to the same effect.

* Without a live consent no batch carries anything of a person, whoever is signed in.
* Giving consent signs the driver in; withdrawing ends both, and what the box knew of them goes.
* Drivers who share a vehicle agree once each: a consent outlives the shift, under the driver's tag.
* On the wire a statement is sealed to the core: the broker does not learn who drives.
* At rest statement and driver are sealed for this box: no file of it names who drives.
* A driver is a pseudonym. What looks like a telephone or identity number is refused.
* What was agreed to is the exact text, by its SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.catalogue import check_body
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import write_private
from edge.sqlite import Migrations
from edge.store import create_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.epochs import SealedStream
    from edge.keys import LocalSecret
    from edge.sqlite import Database
    from edge.store import Store

FOLDER: Final = "statements"
SEALED_FILES: Final = "[0-9]*.sealed"
CHANNEL: Final = "box"
DAY_US: Final = 86_400_000_000
SUBJECT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
LOOKS_PERSONAL: Final = re.compile(r"\d{8,}")
SEALED_FOR: Final = "gateway driver"
TAG_DIGITS: Final = 16
MIGRATIONS = Migrations("gateway_driver")


@MIGRATIONS()
def gateway_driver_001(database: Database) -> None:
    """The driver who is signed in, sealed: one row or none."""
    create_tables(
        database,
        """CREATE TABLE gateway_driver (
            id         INTEGER PRIMARY KEY CHECK (id = 1),
            subject    BLOB    NOT NULL,
            given_us   INTEGER NOT NULL,
            expires_us INTEGER NOT NULL
        )""",
    )


@MIGRATIONS()
def gateway_driver_002(database: Database) -> None:
    """Consents of all drivers who share the vehicle, by tag; a driver may be here without one."""
    create_tables(
        database,
        """CREATE TABLE gateway_consents (
            tag        TEXT    PRIMARY KEY,
            given_us   INTEGER NOT NULL,
            expires_us INTEGER NOT NULL
        )""",
        "ALTER TABLE gateway_driver ADD COLUMN seen_us INTEGER NOT NULL DEFAULT 0",
    )


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a driver said, as it stands in the evidence."""

    subject: str
    purpose: str
    text_sha256: str
    language: str
    given_us: int
    expires_us: int
    channel: str
    withdrawn: bool


class ConsentText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text to agree to, by language."""

    purpose: str
    version: int
    texts: dict[str, str]

    def sha256(self, language: str) -> str:
        """Hash of the exact text that was shown, hexadecimal."""
        return hashlib.sha256(self.texts[language].encode("utf-8")).hexdigest()


def consent_text() -> ConsentText:
    """Returns the text that the driving grade asks consent to."""
    file = resources.files("vehicle_gateway").joinpath("consent", "driving_grade.json")
    return msgspec.json.decode(file.read_bytes(), type=ConsentText)


def make_statement(
    subject: str, language: str, now_us: int, days: int, *, withdrawn: bool
) -> Statement:
    """Makes a statement about the driving grade.

    Args:
        subject: Pseudonym of the driver.
        language: Of the text that was shown.
        now_us: When they said so, microseconds UTC.
        days: How long a given consent lives.
        withdrawn: Whether this ends the consent.

    Raises:
        LocalError: The pseudonym is none, or there is no text in that language.
    """
    text = consent_text()
    if not SUBJECT.fullmatch(subject) or LOOKS_PERSONAL.search(subject):
        raise LocalError(
            "A driver is named by a pseudonym of letters, digits, dots and dashes, with no number "
            "of eight digits or more. Ask the branch for it.",
            "driver-subject",
        )
    if language not in text.texts:
        known = ", ".join(sorted(text.texts))
        raise LocalError(f"There is no consent text in {language}; use {known}.", "driver-language")
    return Statement(
        subject=subject,
        purpose=text.purpose,
        text_sha256=text.sha256(language),
        language=language,
        given_us=now_us,
        expires_us=now_us + days * DAY_US,
        channel=CHANNEL,
        withdrawn=withdrawn,
    )


def leave_statement(data_dir: Path, statement: Statement, secret: LocalSecret) -> Path:
    """Writes a statement, sealed, where the gateway finds it; on disk when this returns.

    Raises:
        DeviceFault: It cannot be written.
    """
    word = "withdraw" if statement.withdrawn else "give"
    path = data_dir / FOLDER / f"{statement.given_us:020d}-{word}.sealed"
    write_private(path, secret.seal(msgspec.json.encode(statement)))
    return path


def waiting_statements(data_dir: Path, secret: LocalSecret) -> Iterator[tuple[Path, Statement]]:
    """Yields statements that were left, oldest first.

    Raises:
        DeviceFault: One of them is damaged; it is named.
    """
    for path in sorted((data_dir / FOLDER).glob(SEALED_FILES)):
        try:
            yield path, msgspec.json.decode(secret.open(path.read_bytes()), type=Statement)
        except (OSError, PeerError, msgspec.DecodeError) as error:
            raise DeviceFault(
                f"The statement {path} cannot be read ({error}). Remove it and let the driver "
                "repeat it.",
                "driver-statement",
            ) from error


def count_statements(data_dir: Path) -> int:
    """Returns how many statements wait for the gateway."""
    return sum(1 for _ in (data_dir / FOLDER).glob(SEALED_FILES))


def sign_in_state(store: Store, now_us: int) -> str:
    """Says whether somebody is signed in and has agreed, and not who.

    Returns:
        `signed in` under a live consent, `not recorded` without one, else `none`.
    """
    row = store.row("SELECT given_us, expires_us FROM gateway_driver")
    if row is None:
        return "none"
    return "signed in" if row["given_us"] <= now_us < row["expires_us"] else "not recorded"


class DriverBook:
    """The driver who is signed in at this box.

    Args:
        store: Opened with `MIGRATIONS`.
        secret: Seals the driver's pseudonym at rest.
    """

    def __init__(self, store: Store, secret: LocalSecret) -> None:
        self._store = store
        self.secret = secret
        self._opened = b"", ""  # what was opened last, and what it said: asked for every window

    def take_in(self, statement: Statement, stream: SealedStream) -> None:
        """Signs a statement into the chain and acts on it, in one transaction.

        Raises:
            DeviceFault: The disk or the outbox is full; nothing has changed.
        """
        body = msgspec.to_builtins(statement)
        check_body("consent", body)
        with self._store.transaction():
            stream.state_privately("consent", body)
            self.heed(statement)

    def heed(self, statement: Statement) -> None:
        """Acts on a statement that stands in the chain.

        Raises:
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        subject = statement.subject
        with self._store.transaction():
            if statement.withdrawn:
                tag = self.tag_of(subject)
                self._store.execute("DELETE FROM gateway_consents WHERE tag = ?", (tag,))
                if self.present() == subject:
                    self._leave()
                return
            self.sign_out()  # first: it keeps the consent that was in force
            self._keep_consent(subject, statement.given_us, statement.expires_us)
            self.sign_in(subject, statement.given_us)

    def sign_in(self, subject: str, now_us: int) -> None:
        """Makes somebody the driver; what they have agreed to before is in force at once.

        Raises:
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        with self._store.transaction():
            self.sign_out()
            row = self._store.row(
                "SELECT given_us, expires_us FROM gateway_consents WHERE tag = ?",
                (self.tag_of(subject),),
            )
            given_us, expires_us = (row["given_us"], row["expires_us"]) if row else (0, 0)
            self._store.execute(
                "INSERT INTO gateway_driver (id, subject, given_us, expires_us, seen_us)"
                " VALUES (1, ?, ?, ?, ?)",
                (self.secret.seal(subject.encode()), given_us, expires_us, now_us),
            )

    def sign_out(self) -> None:
        """Nobody is the driver any more; a consent of theirs lives on for their next shift."""
        with self._store.transaction():
            row = self._row()
            if row is not None and row["expires_us"]:
                self._keep_consent(self._open(row), row["given_us"], row["expires_us"])
            self._leave()

    def present(self) -> str | None:
        """Returns who is signed in, consent or not."""
        row = self._row()
        return self._open(row) if row else None

    def see(self, now_us: int) -> None:
        """Notes that whoever is signed in is driving."""
        self._store.execute("UPDATE gateway_driver SET seen_us = ?", (now_us,))

    def seen_us(self) -> int:
        """Returns when whoever is signed in was last seen driving, 0 where nobody is."""
        row = self._row()
        return int(row["seen_us"]) if row else 0

    def consent_until(self) -> int:
        """Returns when the consent of whoever is signed in ends; 0 without one."""
        row = self._row()
        return int(row["expires_us"]) if row else 0

    def live(self, now_us: int) -> str | None:
        """Returns the driver whose consent lives now, else None."""
        row = self._row()
        if row is None or not row["given_us"] <= now_us < row["expires_us"]:
            self._opened = b"", ""
            return None
        return self._open(row)

    def tag(self, now_us: int) -> str | None:
        """Returns what stands for the driver in state at rest, None without a live consent.

        16 hexadecimal digits, the same for a driver at this box for ever and another at each other
        box: who has the box's files and not its key cannot tell whom they are about.
        """
        subject = self.live(now_us)
        return None if subject is None else self.tag_of(subject)

    def tag_of(self, subject: str) -> str:
        """Returns the tag of a driver."""
        return self.secret.mac(subject.encode()).hex()[:TAG_DIGITS]

    def _keep_consent(self, subject: str, given_us: int, expires_us: int) -> None:
        self._store.execute(
            "INSERT INTO gateway_consents (tag, given_us, expires_us) VALUES (?, ?, ?)"
            " ON CONFLICT (tag) DO UPDATE SET given_us = excluded.given_us,"
            " expires_us = excluded.expires_us",
            (self.tag_of(subject), given_us, expires_us),
        )

    def _leave(self) -> None:
        self._store.execute("DELETE FROM gateway_driver")

    def _open(self, row: dict[str, Any]) -> str:
        sealed = bytes(row["subject"])
        if sealed != self._opened[0]:
            self._opened = sealed, self.secret.open(sealed).decode()
        return self._opened[1]

    def _row(self) -> dict[str, Any] | None:
        return self._store.row("SELECT subject, given_us, expires_us, seen_us FROM gateway_driver")
