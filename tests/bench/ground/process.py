"""The gateway as a process of its own, as systemd would start it: what it takes of a machine.

Place in the flow: `lastmile-gateway run` beside a broker → **process** → memory, CPU, cold start.

* Memory is the highest resident set that Linux saw of it (VmHWM); CPU is what user and system
  took of one core, by the scheduler's own ticks, while a recording runs at its real pace.
* Cold start is from the process's birth to the first sealed batch on the disk: interpreter,
  imports, keys, store, a window of ten seconds, decode, seal, sync.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import DeviceFault
from edge.keys import FileIdentity, HpkeKeypair, write_private
from edge.policy import Policy, sign_policy
from edge.store import open_reader
from edge.suites import A256GCM
from tests.bench.ground.box import DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardware.drivers.broker import RunningBroker
    from tests.unit.hardware.pki import Pki

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 30.0
LOOK_S = 0.002


@dataclass(frozen=True, slots=True)
class Place:
    """A provisioned box: its gateway.toml, and the store that the gateway makes."""

    config: Path
    store: Path


def provision(folder: Path, broker: RunningBroker, pki: Pki, profile: str, dbc: Path) -> Place:
    """Writes what provisioning leaves in a box's folder; the box reports to this broker."""
    folder.mkdir()
    certificate, key = pki.issue(DEVICE)
    head = f"Lastmile identity: {DEVICE}\n".encode()
    write_private(folder / "identity.pem", head + key.read_bytes())
    core = FileIdentity.create(folder / "core.pem", "core")
    policy = Policy(DEVICE, 1, (A256GCM,), HpkeKeypair.create(folder / "hpke.pem").public_bytes)
    (folder / "signing.pub").write_text(core.public_bytes.hex())
    (folder / "policy.cose").write_bytes(sign_policy(core, policy))
    path = folder / "gateway.toml"
    path.write_text(
        f'[gateway]\ndevice = "{DEVICE}"\norg = "bench"\nvehicle = "bus-1"\ndata_dir = "data"\n'
        'identity = "identity.pem"\n[core]\nsigning_public = "signing.pub"\n'
        f'policy = "policy.cose"\n[source]\nprofile = "{profile}"\ndbc = ["{dbc}"]\n'
        f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\nca = "{pki.ca}"\n'
        f'certificate = "{certificate}"\n'
    )
    words = ["consent", "give", "--config", str(path), "--driver", "driver-1"]
    subprocess.run(_command(words), cwd=ROOT, check=True, capture_output=True)
    return Place(path, folder / "data" / "outbox.db")


@contextmanager
def running(place: Place, words: Sequence[str]) -> Iterator[int]:
    """Runs the gateway and yields its process id; ends it in good order."""
    with (place.config.parent / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            _command(["run", "--config", str(place.config), *words]),
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "vehicle_gateway", *words]


def cold_start_ms(place: Place, log: Path) -> float:
    """Returns milliseconds from a process's birth to its first sealed batch on the disk."""
    started = time.perf_counter()
    with running(place, ["--log", str(log)]):
        wait_for_frames(place, 1)
        return (time.perf_counter() - started) * 1_000


def wait_for_frames(place: Place, frames: int) -> None:
    """Waits until so many frames are sealed and on the disk."""
    end = time.perf_counter() + WAIT_S
    while frames_of(place) < frames:
        assert time.perf_counter() < end, "the gateway sealed nothing"
        time.sleep(LOOK_S)


def frames_of(place: Place) -> int:
    """Returns how many frames are sealed."""
    try:
        with open_reader(place.store) as store:
            row = store.row("SELECT position FROM gateway_checkpoint")
    except DeviceFault:
        return 0  # not there yet
    return int(row["position"]) if row else 0


def resident_mb(pid: int) -> float:
    """Returns the highest resident set of a process so far, in 10^6 bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1_024 / 1e6


def cpu_s(pid: int) -> float:
    """Returns the seconds of a core that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_share(pid: int, seconds: float) -> float:
    """Returns the part of a core that a process takes over so many seconds."""
    before, since = cpu_s(pid), time.perf_counter()
    time.sleep(seconds)
    return (cpu_s(pid) - before) / (time.perf_counter() - since)
