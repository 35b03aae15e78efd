"""A disk that loses power: what was synced stays, of the rest each sector is kept, dropped or torn.

Place in the flow: SQLite → **disk** (an apsw VFS) → what is left → the next start.

    file      content that is synced | writes and truncations since, in order
    folder    names that are synced  | creations and deletions since, in order
    a cut     for each pending write, sector by sector: kept, dropped, or torn at some byte (the
              rest of the written bytes old, or garbage); truncations and names: kept or dropped

* Synced bytes are never lost, and bytes that were not written are never changed (SQLite calls that
  powersafe overwrite, and takes it for granted on Linux).
* `moment` stands before every write, truncation, sync, creation and deletion: power fails there.
* At a cut what survives is drawn at once; whatever the dying process does after it touches only a
  ghost of the disk. So nothing need be true of how an exception passes through SQLite.
* A folder is synced with the first sync of a new journal or log, as SQLite does it on Linux.
"""

# ruff: noqa: N802 - SQLite has named the methods of a VFS.
from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import apsw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

SECTORS: Final = (512, 4096)
JOURNALS: Final = apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
MOODS: Final = ("each", "each", "each", "all", "none", "first", "but one")
"""How a cut treats the pieces that were on their way; drawn anew for each cut."""
TORN: Final = 0.2
GARBAGE: Final = 0.3


class PowerCut(BaseException):
    """The power failed: like SIGKILL, nothing of ours may handle it."""


class Content:
    """One file: what is durable, and what a process that reads it now sees.

    Args:
        synced: What is on the disk already.
    """

    def __init__(self, synced: bytes = b"") -> None:
        self.synced = bytearray(synced)
        self.live = bytearray(synced)
        self.pending: list[tuple[int, bytes | None]] = []

    def write(self, offset: int, data: bytes) -> None:
        """Writes; a hole before it is zeros."""
        _put(self.live, offset, data)
        self.pending.append((offset, data))

    def truncate(self, size: int) -> None:
        """Cuts the end off."""
        del self.live[size:]
        self.pending.append((size, None))

    def sync(self, lazy: bool) -> None:
        """Makes what was written durable."""
        if lazy:
            return
        for offset, data in self.pending:
            _apply(self.synced, offset, data)
        self.pending.clear()

    def survive(self, chance: Random, sector: int) -> Content:
        """Returns what is left of the file after a cut."""
        left = bytearray(self.synced)
        pieces = list(self._pieces(sector))
        for place, kept in enumerate(_fates(chance, len(pieces))):
            offset, data = pieces[place]
            if data is None or not chance.random() < TORN:
                if kept:
                    _apply(left, offset, data)
            elif kept:
                _tear(left, offset, data, chance)
        return Content(bytes(left))

    def _pieces(self, sector: int) -> Iterator[tuple[int, bytes | None]]:
        for offset, data in self.pending:
            if data is None:
                yield offset, None
                continue
            at = 0
            while at < len(data):
                size = sector - (offset + at) % sector
                yield offset + at, data[at : at + size]
                at += size


class Disk:
    """All files of one device, and the switch of its power.

    Args:
        chance: Draws what survives.
        sector: Bytes that are kept or dropped as one.
        lazy: A planted flaw: a disk that says "synced" and is not.

    Attributes:
        off: Whether the power has failed; this disk is a ghost then, `left` is what is real.
    """

    def __init__(self, chance: Random, sector: int, lazy: bool = False) -> None:
        self.chance, self.sector, self.lazy = chance, sector, lazy
        self.names: dict[str, Content] = {}
        self.off = False
        self.failed_before = ""
        self.left: Disk | None = None
        self._synced: dict[str, Content] = {}
        self._renamed: list[tuple[str, Content | None]] = []
        self._moments: int | None = None
        self._act = ""
        self._silent = False

    def arm(self, moments: int, act: str = "") -> None:
        """Lets the power fail at the n-th moment from now, of those before `act` or of all."""
        self._moments, self._act = moments, act

    def moment(self, act: str) -> None:
        """Stands wherever the power may fail.

        Args:
            act: What was about to happen, in a word; kept in `failed_before`.

        Raises:
            PowerCut: It does.
        """
        if self._moments is None or self._act not in {"", act}:
            return
        self._moments -= 1
        if self._moments <= 0:
            self.failed_before = act
            self.cut()
            if not self._silent:
                raise PowerCut

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Lets the power fail without a word, for callers that would swallow it."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def cut(self) -> None:
        """Draws what is left; this disk is a ghost from now on."""
        self._moments = None
        if not self.off:
            self.off = True
            self.left = self._survive()

    def create(self, name: str) -> Content:
        """Makes an empty file; its name is durable once the folder is synced."""
        self.moment("create")
        self.names[name] = made = Content()
        self._renamed.append((name, made))
        return made

    def delete(self, name: str, durable: bool) -> None:
        """Removes a name."""
        self.moment("delete")
        del self.names[name]
        self._renamed.append((name, None))
        if durable:
            self.sync_folder()

    def sync_folder(self) -> None:
        """Makes all names durable."""
        if not self.lazy:
            self._synced = dict(self.names)
            self._renamed.clear()

    def _survive(self) -> Disk:
        left = Disk(self.chance, self.sector, self.lazy)
        names = dict(self._synced)
        for kept, (name, content) in zip(
            _fates(self.chance, len(self._renamed)), self._renamed, strict=True
        ):
            if kept and content is None:
                names.pop(name, None)
            elif kept and content is not None:
                names[name] = content
        left.names = {
            name: content.survive(self.chance, self.sector) for name, content in names.items()
        }
        left._synced = dict(left.names)
        return left


class DiskVfs(apsw.VFS):
    """What SQLite sees of a disk.

    Args:
        name: That connections ask for.
        disk: Where new connections go; change it to go on with what a cut has left.
    """

    def __init__(self, name: str, disk: Disk) -> None:
        self.disk = disk
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        """Opens a file, makes it when it is asked to."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = self.disk
        if path is None:  # a temporary file of SQLite: nothing of it need survive
            return OpenFile(disk, Content(), new=False)  # type: ignore[return-value]
        found = disk.names.get(path)
        if found is not None:
            return OpenFile(disk, found, new=False)  # type: ignore[return-value]
        if not flags[0] & apsw.SQLITE_OPEN_CREATE:
            raise apsw.CantOpenError(f"{path} is not there.")
        new, content = bool(flags[0] & JOURNALS), disk.create(path)
        return OpenFile(disk, content, new)  # type: ignore[return-value]

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Removes a file."""
        if filename in self.disk.names:
            self.disk.delete(filename, syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: ARG002
        """Tells whether a file is there."""
        return pathname in self.disk.names

    def xFullPathname(self, name: str) -> str:
        """Returns the name; the disk has one folder."""
        return name

    def xRandomness(self, numbytes: int) -> bytes:
        """Returns the salt of logs out of the seed, so that a seed is a life."""
        return self.disk.chance.randbytes(numbytes)


class OpenFile:
    """A file that SQLite has open; it has no shared memory, and needs none in exclusive mode."""

    def __init__(self, disk: Disk, content: Content, new: bool) -> None:
        self._disk, self._content, self._new = disk, content, new

    def xRead(self, amount: int, offset: int) -> bytes:
        """Reads what was written, synced or not."""
        return bytes(self._content.live[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        """Writes, unless the power fails before it."""
        self._disk.moment("write")
        self._content.write(offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        """Cuts the end off, unless the power fails before it."""
        self._disk.moment("truncate")
        self._content.truncate(size)

    def xSync(self, flags: int) -> None:  # noqa: ARG002
        """Makes the file durable, unless the power fails before it."""
        self._disk.moment("sync")
        self._content.sync(self._disk.lazy)
        if self._new:
            self._new = False
            self._disk.sync_folder()

    def xFileSize(self) -> int:
        """Returns the size that the process sees."""
        return len(self._content.live)

    def xSectorSize(self) -> int:
        """Returns the size of a sector."""
        return self._disk.sector

    def xDeviceCharacteristics(self) -> int:
        """Promises what SQLite takes for granted on Linux, and no more."""
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xLock(self, level: int) -> None:
        """Locks nothing: each disk has one process."""

    def xUnlock(self, level: int) -> None:
        """Unlocks nothing."""

    def xCheckReservedLock(self) -> bool:
        """Tells that nobody else is there."""
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: ARG002
        """Knows no special orders."""
        return False

    def xClose(self) -> None:
        """Closes; that makes nothing durable."""


def _put(target: bytearray, offset: int, data: bytes) -> None:
    end = offset + len(data)
    if len(target) < end:
        target.extend(bytes(end - len(target)))
    target[offset:end] = data


def _apply(target: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del target[offset:]
    else:
        _put(target, offset, data)


def _tear(target: bytearray, offset: int, data: bytes, chance: Random) -> None:
    """Applies the front of a piece; the rest of it is old, or garbage."""
    at = chance.randrange(len(data) + 1)
    if chance.random() < GARBAGE:
        _put(target, offset, data[:at] + chance.randbytes(len(data) - at))
    elif at:
        _put(target, offset, data[:at])


def _fates(chance: Random, count: int) -> list[bool]:
    """Returns which of `count` pending things are kept, in the mood of this cut."""
    mood = chance.choice(MOODS)
    if mood == "first":
        border = chance.randrange(count + 1)
        return [place < border for place in range(count)]
    if mood == "but one":
        dropped = chance.randrange(count) if count else 0
        return [place != dropped for place in range(count)]
    if mood == "each":
        return [chance.random() < 0.5 for _ in range(count)]
    return [mood == "all"] * count
