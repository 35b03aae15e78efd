"""A TPM in software, for as long as a test needs one: `swtpm` on a socket in the test's folder."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

START_TRIES = 200
MISSING = [
    name
    for name, there in (
        ("swtpm", shutil.which("swtpm")),
        ("tpm2_pytss", importlib.util.find_spec("tpm2_pytss")),
    )
    if not there
]
needs_tpm = pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")


@contextlib.contextmanager
def soft_tpm(state: Path) -> Iterator[str]:
    """Runs a TPM that keeps its state in a folder; yields its TCTI; ends as by a power cut."""
    state.mkdir(exist_ok=True)
    # The path of a socket is short, that of a test's folder need not be.
    with tempfile.TemporaryDirectory(prefix="tpm-") as folder:
        path = Path(folder) / "s"
        command = [
            "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
            "--server", f"type=unixio,path={path}", "--ctrl", f"type=unixio,path={path}.ctrl",
            "--flags", "startup-clear",
        ]  # fmt: skip
        # It says a word about every connection: into a pipe that nobody reads it would block.
        complaints = state / "swtpm.log"
        with (
            complaints.open("wb") as log,
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log) as tpm,
        ):
            try:
                _await(Path(f"{path}.ctrl"), tpm, complaints)
                yield f"swtpm:path={path}"
            finally:
                tpm.kill()


def _await(path: Path, tpm: subprocess.Popen[bytes], complaints: Path) -> None:
    """Returns once the socket answers; the wait for the process gives it time to come up."""
    for _ in range(START_TRIES):
        with contextlib.suppress(subprocess.TimeoutExpired):
            tpm.wait(0.02)
        assert tpm.returncode is None, complaints.read_text(errors="replace")
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return
    raise AssertionError("swtpm does not come up")
