"""Where a core's keys and files are, and the keys themselves.

Place in the flow: `lastmile-core init` makes it → **site** → every other verb.

    DIR/core.toml              what the operator decides (config)
    DIR/keys/core.pem          signs answers, leases, acknowledgements: kid "core"; TLS client key
    DIR/keys/catalogue.pem     signs catalogues and nothing else: kid "catalogue"
    DIR/keys/hpke.pem          devices seal epoch keys to it; hpke-2.pem ... after a rotation
    DIR/keys/pins.pem          the registry seals PIN verifiers to it
    DIR/keys/lookup.key        32 bytes: HMAC key under which ID numbers are looked up
    DIR/pki/                   certificates (pki)
    DIR/postgres/, DIR/lake/   embedded database, telemetry

* A key that exists is never made again.
* Every secret is readable by its owner alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backend_sync.core.keypairs import KeyFolder, load_folder
from edge.errors import DeviceFault, LocalError
from edge.keys import FileIdentity, HpkeKeypair, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Randomness

CORE_KID: Final = "core"
CATALOGUE_KID: Final = "catalogue"
LOOKUP_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """All secrets of a core but those of its certificates."""

    core: FileIdentity
    catalogue: FileIdentity
    hpke: KeyFolder
    pins: HpkeKeypair
    lookup: bytes


@dataclass(frozen=True, slots=True)
class Site:
    """The folder of one core."""

    directory: Path

    @property
    def config(self) -> Path:
        """What the operator decides."""
        return self.directory / "core.toml"

    @property
    def pki(self) -> Path:
        """Certificates and the keys that sign them."""
        return self.directory / "pki"

    def make_keys(self, randomness: Randomness) -> Keys:
        """Makes the keys that are missing and returns all.

        Raises:
            LocalError: A file of ours is damaged.
            DeviceFault: The disk is full.
        """
        folder = self.directory / "keys"
        for name, kid in (("core", CORE_KID), ("catalogue", CATALOGUE_KID)):
            if not (folder / f"{name}.pem").exists():
                FileIdentity.create(folder / f"{name}.pem", kid)
        if not (folder / "pins.pem").exists():
            HpkeKeypair.create(folder / "pins.pem")
        pairs = KeyFolder(folder)
        if not pairs:
            pairs.create()
        if not (folder / "lookup.key").exists():
            write_private(folder / "lookup.key", randomness.token(LOOKUP_KEY_BYTES))
        return self.load_keys()

    def load_keys(self) -> Keys:
        """Reads the keys.

        Raises:
            DeviceFault: One is missing or cannot be read.
            LocalError: One is damaged.
        """
        folder = self.directory / "keys"
        return Keys(
            FileIdentity.load(folder / "core.pem"),
            FileIdentity.load(folder / "catalogue.pem"),
            load_folder(folder),
            HpkeKeypair.load(folder / "pins.pem"),
            _read_lookup(folder / "lookup.key"),
        )


def _read_lookup(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise DeviceFault(
            f"The key {path} cannot be read ({error.strerror}). Run lastmile-core init first.",
            "key-read",
        ) from error
    if len(key) != LOOKUP_KEY_BYTES:
        raise LocalError(f"{path} is damaged; restore it from a backup.", "key-damaged")
    return key
