"""A kiosk's disk, a core in the same process, and a wire between them that fails on command.

Place in the flow: beneath the tests of the agent. Core and kiosk are the real ones; only the wire
and the power are ours.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backend_sync.agent.contact import Contact, Ends
from backend_sync.agent.link import Unreachable
from backend_sync.core.accept import accept_frame
from backend_sync.core.contact import answer_request
from backend_sync.core.downlink import read_pages
from backend_sync.core.post import post_queued
from backend_sync.core.registry import add_device
from backend_sync.messages import Answer, journal_path, sign_answer, sign_pages
from edge import mirror
from edge.errors import PeerError
from edge.journal import MIGRATIONS, Journal, Recovery
from edge.keys import FileIdentity, verifier
from edge.mirror import MirrorReader
from edge.ports import Instant
from edge.purposes import JOURNAL_KEY, MIRROR_KEY
from edge.store import open_store
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.vault_file import FileVault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backend_sync.agent.contact import Outcome
    from backend_sync.core.database import Connection
    from edge.store import Store
    from hardware.sim.counter import SimCounter

DEVICE = "kiosk-1"
START_US = 1_780_000_000_000_000


class PowerCutError(BaseException):
    """The plug was pulled; like SIGKILL it is no `Exception` that anything may handle."""


class SteppedClock:
    """A clock that moves a second with each look."""

    def __init__(self) -> None:
        self.wall_us = START_US

    def now(self) -> Instant:
        self.wall_us += 1_000_000
        return Instant(self.wall_us, "00" * 8, self.wall_us - START_US)


class CountedRandomness:
    """Tokens that differ from each other and are the same in each run."""

    def __init__(self) -> None:
        self.drawn = 0

    def token(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")


@dataclass
class Core:
    """The bank's side: accept, post, answer, on a real database."""

    connection: Connection
    signer: FileIdentity
    clock: SteppedClock = field(default_factory=SteppedClock)
    next_contact_s: int = 0

    def answer(self, path: str, body: bytes) -> bytes:
        """Answers one request as the API does, and posts what came."""
        now_us = self.clock.now().wall_us
        try:
            if path == journal_path(DEVICE):
                answer = accept_frame(self.connection, DEVICE, body, now_us)
                return sign_answer(self.signer, path, DEVICE, answer)
            pages = answer_request(self.connection, DEVICE, body, now_us, self.next_contact_s)
            return sign_pages(self.signer, DEVICE, pages)
        except PeerError as error:
            refusal = _refusal(error)
            return sign_answer(self.signer, path, DEVICE, refusal)

    def post_all(self) -> None:
        """Posts what was accepted."""
        while post_queued(self.connection, self.clock.now().wall_us):
            pass

    def entries(self) -> list[tuple[int, bytes]]:
        """Everything that was accepted of the kiosk, by seq."""
        rows = self.connection.execute(
            "SELECT seq, hash FROM journal_entries WHERE device = %s ORDER BY seq", [DEVICE]
        )
        return [(int(seq), bytes(link)) for seq, link in rows.fetchall()]

    def scopes(self) -> dict[str, dict[str, Any]]:
        """What the kiosk should know, by scope and key."""
        pages, _ = read_pages(self.connection, DEVICE, {}, self.clock.now().wall_us)
        return {page["scope"]: dict(page["upserts"]) for page in pages}


def _refusal(error: PeerError) -> Answer:
    return Answer("error", code=error.code, message=str(error))


@dataclass
class Wire:
    """Carries bodies to a core. `before` and `after` may lose or change what passes.

    Attributes:
        before: Takes (path, body) on its way up.
        after: Takes (path, answer) on its way down.
        carried: Paths that were posted to, in order.
    """

    core: Core
    before: Callable[[str, bytes], bytes] = lambda _, body: body
    after: Callable[[str, bytes], bytes] = lambda _, answer: answer
    carried: list[tuple[str, bytes]] = field(default_factory=list)

    def post(self, path: str, body: bytes, answer_bytes_max: int) -> bytes:
        """Fulfils `agent.contact.Carrier`."""
        body = self.before(path, body)
        self.carried.append((path, body))
        answer = self.after(path, self.core.answer(path, body))
        if len(answer) > answer_bytes_max:
            raise Unreachable("The answer is too long; it is not from the core.")
        return answer


@dataclass
class Kiosk:
    """The disk of a kiosk: its journal and its mirror."""

    folder: Path
    identity: FileIdentity
    core_public: bytes
    clock: SteppedClock = field(default_factory=SteppedClock)
    randomness: CountedRandomness = field(default_factory=CountedRandomness)
    counter: SimCounter | None = None

    @property
    def journal(self) -> Path:
        return self.folder / "journal.db"

    @property
    def mirror(self) -> Path:
        return self.folder / "mirror.db"

    def key(self, name: str) -> bytes:
        """What a file of the kiosk is encrypted with; `agent.toml` names the same vault."""
        return FileVault(self.folder / "vault.key", SystemRandomness()).key(name)

    def open_journal(self) -> Store:
        """Opens the journal as the kiosk does."""
        return open_store(self.journal, [MIGRATIONS], self.key(JOURNAL_KEY))

    def write(self, count: int, receipt: Callable[[int], str] = str) -> None:
        """Appends entries as the kiosk does, and lets go of the file."""
        with self.open_journal() as store:
            book = Journal(store, DEVICE, self.clock, self.counter)
            for number in range(count):
                with store.transaction():
                    body = {"of": "00" * 16, "receipt": receipt(number)}
                    book.append("FACT", "receipt-copy", body)

    def chain(self) -> list[tuple[int, bytes]]:
        """Every entry's number and hash."""
        with self.open_journal() as store:
            rows = store.rows("SELECT seq, hash FROM journal ORDER BY seq")
            return [(row["seq"], bytes(row["hash"])) for row in rows]

    def open_mirror(self) -> Store:
        """Opens the mirror as the agent does."""
        return open_store(self.mirror, [mirror.MIGRATIONS], self.key(MIRROR_KEY))

    def contact(self, wire: Wire, store: Store) -> Contact:
        """An agent that has just started."""
        ends = Ends(
            DEVICE, self.identity, verifier(self.core_public), wire, self.clock, self.randomness,
            self.counter, journal_key=self.key(JOURNAL_KEY),
        )  # fmt: skip
        return Contact(ends, store)

    def meet(self, wire: Wire) -> Outcome:
        """One contact of an agent that starts, makes it and ends."""
        with self.open_mirror() as store:
            return self.contact(wire, store).run(self.journal)

    def noted(self, name: str) -> Any:
        """What the kiosk's status bar would read."""
        with self.open_mirror() as store:
            return MirrorReader(store).noted(name)

    def known(self) -> dict[str, dict[str, Any]]:
        """What the mirror holds, by scope and key."""
        with self.open_mirror() as store:
            reader = MirrorReader(store)
            rows = store.rows("SELECT scope FROM mirror_scopes")
            return {row["scope"]: reader.items(row["scope"]) for row in rows}


def make_core(connection: Connection, folder: Path) -> Core:
    """A core that knows nobody."""
    return Core(connection, FileIdentity.create(folder / "core.pem", "core"))


def make_kiosk(core: Core, folder: Path, *, registered: bool = True) -> Kiosk:
    """A kiosk with a key, known to the core."""
    folder.mkdir()
    identity = FileIdentity.create(folder / "identity.pem", DEVICE)
    if registered:
        add_device(core.connection, DEVICE, "kiosk", identity.public_bytes, "", START_US)
    return Kiosk(folder, identity, core.signer.public_bytes)


# ------------------------------------------------------------------ disks, and the core on them
def copy_disk(kiosk: Kiosk, pattern: str = "journal.db*") -> Path:
    """Keeps a copy of files."""
    kept = kiosk.folder.parent / "kept"
    kept.mkdir()
    for path in kiosk.folder.glob(pattern):
        shutil.copy(path, kept)
    return kept


def restore_disk(kiosk: Kiosk, kept: Path) -> None:
    """Puts the copy back."""
    for path in kept.iterdir():
        shutil.copy(path, kiosk.folder)


def recover(kiosk: Kiosk, saved: int, epoch: int = 2) -> None:
    """What a technician's program does: a fresh file with the first entries, and a new epoch."""
    with kiosk.open_journal() as store:
        rows = store.rows("SELECT * FROM journal WHERE epoch > 1 OR seq <= ?", (saved,))
    for leftover in kiosk.folder.glob("journal.db*"):
        leftover.unlink()
    with kiosk.open_journal() as store:
        values = [(row["epoch"], row["seq"], row["entry"], row["hash"]) for row in rows]
        store.execute_many("INSERT INTO journal VALUES (?, ?, ?, ?)", values)
        recovery = Recovery(epoch, "journal-damaged")
        Journal(store, DEVICE, kiosk.clock, kiosk.counter, recovery=recovery)


def reasons(core: Core, kind: str) -> list[str]:
    """Why exceptions of a kind were raised."""
    rows = core.connection.execute(
        "SELECT reason FROM exceptions WHERE kind = %s ORDER BY exception", [kind]
    )
    return [str(reason) for (reason,) in rows.fetchall()]


def state(core: Core) -> tuple[str, str]:
    """What the core thinks of the kiosk, and why."""
    row = core.connection.execute("SELECT state, state_reason FROM devices").fetchone()
    assert row is not None
    return str(row[0]), str(row[1])


def stored(core: Core) -> list[tuple[int, int]]:
    """The last entry of each epoch that the core holds."""
    rows = core.connection.execute("SELECT epoch, seq FROM journal_heads ORDER BY epoch")
    return [(int(epoch), int(seq)) for epoch, seq in rows.fetchall()]


def is_trusted(core: Core) -> None:
    """The core has nothing against the kiosk's counter."""
    assert state(core)[0] == "active"
    assert reasons(core, "rollback") == []
