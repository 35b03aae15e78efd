"""The core's HPKE key pairs: files of one folder, found by the id that policies and epochs name.

Place in the flow: `lastmile-core init`, `keys rotate` → **keypairs** → policies, telemetry.

    hpke.pem, hpke-2.pem, hpke-3.pem ...    id = first 8 bytes of SHA-256 of the public key

* A pair that is not known is looked for in the folder: a running core finds a new one.
* Which of them is the present one stands in the database (`policies`), not here.
* The number only tells which is later; what counts is the id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from edge.errors import DeviceFault
from edge.keys import HpkeKeypair, sync_folder
from edge.policy import hpke_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME: Final = re.compile(r"hpke(?:-([1-9]\d{0,8}))?\.pem")


class KeyFolder(Mapping[bytes, HpkeKeypair]):
    """Key pairs by id; iterates over the ids, latest first, as the folder is at that moment.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pairs: dict[bytes, tuple[int, HpkeKeypair]] = {}

    def __getitem__(self, key_id: bytes) -> HpkeKeypair:
        """Returns a pair; looks into the folder when it is not known.

        Raises:
            KeyError: There is none of this id.
            LocalError: A file in the folder is damaged.
        """
        if key_id not in self._pairs:
            self._read()
        return self._pairs[key_id][1]

    def __iter__(self) -> Iterator[bytes]:
        """Reads the folder, and forgets pairs whose file is gone."""
        self._read()
        numbers = {key_id: number for key_id, (number, _) in self._pairs.items()}
        return iter(sorted(numbers, key=numbers.__getitem__, reverse=True))

    def __len__(self) -> int:
        """How many there are."""
        self._read()
        return len(self._pairs)

    def create(self) -> HpkeKeypair:
        """Makes a pair; its file is written wholly, synced, before anybody hears of it.

        Raises:
            DeviceFault: The disk is full.
        """
        self._read()
        last = max((number for number, _ in self._pairs.values()), default=0)
        pair = HpkeKeypair.create(self._folder / _name(last + 1))
        self._pairs = {**self._pairs, hpke_id(pair.public_bytes): (last + 1, pair)}
        return pair

    def delete(self, key_id: bytes) -> None:
        """Deletes a pair for ever; one that is gone already is no error.

        Raises:
            DeviceFault: The folder cannot be written.
        """
        if key_id not in self._pairs:
            self._read()
        found = self._pairs.get(key_id)
        if found is None:
            return
        path = self._folder / _name(found[0])
        try:
            path.unlink(missing_ok=True)
            sync_folder(self._folder)
        except OSError as error:
            raise DeviceFault(
                f"{path} cannot be deleted ({error.strerror}). Repeat the command as its owner.",
                "key-write",
            ) from error
        self._read()

    def _read(self) -> None:
        """Replaces what is known at once, so that another thread never sees half of it."""
        found = {}
        for path in self._folder.glob("hpke*.pem"):
            match = NAME.fullmatch(path.name)
            if match is not None:
                number = int(match[1] or 1)
                pair = HpkeKeypair.load(path)
                found[hpke_id(pair.public_bytes)] = (number, pair)
        self._pairs = found


def load_folder(folder: Path) -> KeyFolder:
    """Reads the pairs of a core that is made.

    Raises:
        DeviceFault: There is none.
        LocalError: One is damaged.
    """
    pairs = KeyFolder(folder)
    if not pairs:
        raise DeviceFault(
            f"{folder} holds no hpke.pem. Restore it, or run lastmile-core init first.", "key-read"
        )
    return pairs


def _name(number: int) -> str:
    return "hpke.pem" if number == 1 else f"hpke-{number}.pem"
