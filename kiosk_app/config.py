"""kiosk.toml: which kiosk this is, whom it believes, and what stands on its counter.

Place in the flow: kiosk.toml → **config** → `__main__`.

* Paths are relative to the file; an unknown key is an error.
* A key file that cannot be read, or is of another length, is refused before anything is opened.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time
from typing import Literal

import msgspec

from edge.config import CounterSection, VaultSection
from edge.errors import LocalError
from kiosk_app.receipt import COLUMNS

KEY_BYTES_MAX = 1_024


class KioskSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[kiosk]`: who we are.

    Attributes:
        device: Our id.
        village: Name of the place, for receipts.
        data_dir: Holds `journal.db`; must be on a local disk.
        identity: Our private key; must be that of `device`.
        mirror: SQLite file that the agent writes.
        lookup_key: File with 32 bytes, hexadecimal; key of what stands for an ID number.
    """

    device: str
    village: str
    data_dir: Path
    identity: Path
    mirror: Path
    lookup_key: Path


class CoreSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[core]`: whose signatures we believe; files with public keys, hexadecimal."""

    signing_public: Path
    catalogue_public: Path


class DevicesSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[devices]`: what stands on the counter.

    Attributes:
        id_reader: `sim`, or empty for none; the same for the next two.
        sim_dir: Folder that simulated devices watch.
        pad: Id of the PIN pad.
        pad_dir: Folder of a simulated pad.
        columns: Of the printer's paper: 32 for 58 mm, 48 for 80 mm.
        watch_card: Taking the ID card away ends a session.
    """

    id_reader: Literal["sim", ""] = "sim"
    pin_pad: Literal["sim", ""] = "sim"
    printer: Literal["sim", ""] = "sim"
    sim_dir: Path | None = None
    pad: str = ""
    pad_dir: Path | None = None
    columns: Literal[32, 48] = COLUMNS
    watch_card: bool = True


class ScreensSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[screens]`: which window stands on which screen, by the platform's names."""

    operator: str = ""
    customer: str = ""
    single_screen: bool = False


class KioskConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    kiosk: KioskSection
    core: CoreSection
    vault: VaultSection
    counter: CounterSection = CounterSection()
    devices: DevicesSection = DevicesSection()
    screens: ScreensSection = ScreensSection()


def read_hex(path: Path, length: int, what: str) -> bytes:
    """Reads a key that stands in a file as hexadecimal text.

    Raises:
        LocalError: The file is absent or holds something else.
    """
    try:
        with path.open("rb") as file:
            key = bytes.fromhex(file.read(KEY_BYTES_MAX).decode("ascii").strip())
    except (OSError, ValueError) as error:
        raise LocalError(
            f"{path} cannot be read as the {what}. Install the bank's bundle again.", "key-file"
        ) from error
    if len(key) != length:
        raise LocalError(
            f"{path} holds {len(key)} bytes and no {what} of {length}. Install the bundle again.",
            "key-file",
        )
    return key
