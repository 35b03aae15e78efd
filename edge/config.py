"""Configuration files: TOML in, checked structs out; what is wrong is said in one sentence.

Place in the flow: each `__main__` reads its file here; provisioning writes them here.

* An unknown key is an error: a misspelt limit must not silently be the default.
* A relative path is relative to the file that names it.
* A file is replaced wholly or not at all.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec
import tomli_w

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

Settings = TypeVar("Settings")
FILE_BYTES_MAX = 1 << 20


class VaultSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[vault]`: where the keys of the stores lie; the same in kiosk.toml and agent.toml.

    Attributes:
        kind: `tpm`, or `file`, which protects no machine that is taken as a whole.
        path: File with the master key; with `tpm` it is sealed there.
        tcti: How the TPM is reached.
    """

    kind: Literal["file", "tpm"]
    path: Path
    tcti: str = "device:/dev/tpmrm0"


class CounterSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[counter]`: what notices an old copy of the disk; the same in kiosk.toml and agent.toml.

    Attributes:
        kind: `tpm`, `file` on a second medium, or `none`.
        path: With `file`: the file.
        tcti: How the TPM is reached.
        index: With `tpm`: its NV index.
    """

    kind: Literal["file", "tpm", "none"] = "none"
    path: Path | None = None
    tcti: str = "device:/dev/tpmrm0"
    index: int = 0x0180_1000


def load_config(path: Path, struct: type[Settings]) -> Settings:
    """Reads a TOML file into a msgspec struct.

    Raises:
        LocalError: The file is absent, no TOML, or a key is missing, unknown or wrong.
    """
    return convert(read_toml(path), struct, path)


def read_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file.

    Raises:
        LocalError: The file is absent, too large or no TOML.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LocalError(
            f"{path} cannot be read ({error.strerror}). Give the right file with --config.",
            "config-missing",
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise LocalError(f"{path} is no configuration file: it is too large.", "config-size")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LocalError(
            f"{path} is not TOML: {error}. Correct that place.", "config-toml"
        ) from error


def convert(values: Mapping[str, Any], struct: type[Settings], path: Path) -> Settings:
    """Checks values against a struct; `path` is where they came from.

    Raises:
        LocalError: A key is missing, unknown or wrong.
    """
    folder = path.absolute().parent

    def hook(kind: type, value: object) -> object:
        if kind is Path and isinstance(value, str):
            return folder / value
        if kind is Path:
            raise ValueError("Expected a path in quotes")
        raise NotImplementedError(f"{kind} cannot be read from TOML")

    try:
        return msgspec.convert(values, struct, dec_hook=hook)
    except msgspec.ValidationError as error:
        raise LocalError(f"{path}: {error}. Correct that key.", "config-key") from error


def write_config(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a TOML file atomically.

    Raises:
        DeviceFault: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(tomli_w.dumps(dict(values)).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the new name on an empty file
        draft.replace(path)
    except OSError as error:
        raise DeviceFault(
            f"{path} cannot be written ({error.strerror}); free some space, then repeat.",
            "config-write",
        ) from error
