"""What the agent knows of itself, read from its files while it runs or not.

Place in the flow: mirror's notes, journal → **status** → `lastmile-agent status`.

* It only reads: the answer is the same whether the agent runs, sleeps or died.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backend_sync.agent.contact import open_journal
from edge.errors import DeviceFault, LastmileError
from edge.mirror import MirrorReader
from edge.store import open_reader

if TYPE_CHECKING:
    from pathlib import Path

SECOND_US: Final = 1_000_000
HALTED: Final = "halted"
KEYS: Final = {
    "tpm": "in the TPM of this machine",
    "file": "in a file: who takes the whole machine can read the stores",
}
COUNTERS: Final = {
    "tpm": "in the TPM of this machine",
    "file": "in a file: witnesses an old disk only while it is on another medium",
    "none": "none: an old copy of the disk is noticed by the core alone",
}


@dataclass(frozen=True, slots=True)
class Files:
    """A device's files, what they are encrypted with, and where that lies.

    Attributes:
        journal: The kiosk's, only read.
        journal_key: None for a plain one; the same for the next.
        mirror: The agent's.
        keys: `tpm` or `file`; empty where nothing is encrypted.
        counter: `tpm`, `file` or `none`.
    """

    journal: Path
    journal_key: bytes | None = field(repr=False)
    mirror: Path
    mirror_key: bytes | None = field(repr=False)
    keys: str = ""
    counter: str = "none"


@dataclass(frozen=True, slots=True)
class Status:
    """A device's sync at one look.

    Attributes:
        device: Its id.
        uplink: `ready`, `waiting`, `halted`, or `never` before the first contact.
        code: Why it waits or halted; empty when ready.
        journal_seq: Last entry of the journal; None when it does not exist or cannot be read.
        mark_seq: Last entry that the core is known to hold.
        contact_us: Last good contact, by our own clock; None when there was none.
        next_contact_us: When the next is planned.
        core_ahead_us: How far the core's clock was ahead of ours then.
        scopes: Scope → how far the mirror has come.
        keys: Where the keys of the files lie: `tpm` or `file`.
        counter: What would notice an old copy of the disk: `tpm`, `file` or `none`.
    """

    device: str
    uplink: str
    code: str
    journal_seq: int | None
    mark_seq: int
    contact_us: int | None
    next_contact_us: int | None
    core_ahead_us: int | None
    scopes: dict[str, int]
    keys: str = ""
    counter: str = "none"

    def as_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Returns it for people."""
        journal = "none yet" if self.journal_seq is None else f"entry {self.journal_seq}"
        said = [
            f"device        {self.device}",
            f"uplink        {self.uplink}" + (f" ({self.code})" if self.code else ""),
            f"journal       {journal}; the core holds up to {self.mark_seq}",
            f"last contact  {_spell(self.contact_us)}",
            f"next contact  {_spell(self.next_contact_us)}",
            "mirror        " + (", ".join(f"{k} {v}" for k, v in self.scopes.items()) or "empty"),
            f"keys          {KEYS.get(self.keys, 'none: the files are plain')}",
            f"counter       {COUNTERS[self.counter]}",
        ]
        if self.uplink == HALTED:
            said.append("Uploads have stopped. Keep this device as it is and call the bank.")
        return said


def read_status(device: str, files: Files) -> Status:
    """Reads the state of sync from the files of a device."""
    seq = _journal_seq(device, files)
    places = {"keys": files.keys, "counter": files.counter}
    try:
        store = open_reader(files.mirror, files.mirror_key)
    except DeviceFault as error:
        if error.code != "store-missing":
            raise
        return Status(device, "never", "", seq, 0, None, None, None, {}, **places)
    with store:
        noted = MirrorReader(store).noted
        rows = store.rows("SELECT scope, cursor FROM mirror_scopes ORDER BY scope")
        return Status(
            device,
            noted("uplink") or "never",
            noted("halt_code") or "",
            seq,
            noted("mark_seq") or 0,
            noted("contact_us"),
            noted("next_contact_us"),
            noted("core_ahead_us"),
            {row["scope"]: row["cursor"] for row in rows},
            **places,
        )


def _journal_seq(device: str, files: Files) -> int | None:
    try:
        with open_journal(files.journal, device, files.journal_key) as journal:
            return int(journal.head().seq) if journal else None
    except LastmileError:
        return None


def _spell(wall_us: int | None) -> str:
    if wall_us is None:
        return "never"
    return f"{datetime.fromtimestamp(wall_us // SECOND_US, UTC):%Y-%m-%d %H:%M:%S} UTC"
