"""Tests of the box and its panel as two processes: what a driver does there, and what stays out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.keys import FileIdentity
from edge.store import open_reader
from hardware.drivers.panel_socket import PanelClient
from hardware.sim.card_reader import SimulatedCardReader
from tests.unit.vehicle_gateway.yard import DEVICE, Core
from vehicle_gateway.driver import consent_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[3]
READY_S = 20.0
CARD = bytes.fromhex("0A004F7B2C")


def provision(folder: Path, core: Core, reader: str) -> Path:
    """Writes gateway.toml of a box with a card reader and a panel, and without a broker."""
    FileIdentity.create(folder / "identity.pem", DEVICE)
    (folder / "signing.pub").write_text(core.signer.public_bytes.hex())
    (folder / "policy.cose").write_bytes(core.issue(1, 3, 30))
    path = folder / "gateway.toml"
    path.write_text(
        f'[gateway]\ndevice = "{DEVICE}"\norg = "org"\nvehicle = "bus-1"\ndata_dir = "data"\n'
        'identity = "identity.pem"\n[core]\nsigning_public = "signing.pub"\n'
        f'policy = "policy.cose"\n[driver]\nreader = "{reader}"\n[panel]\nscreen = true\n'
    )
    return path


class Cab:
    """The gateway as a process, and both ends of the driver's place."""

    def __init__(self, folder: Path, core: Core) -> None:
        self.near, self._far = os.openpty()
        self.config = provision(folder, core, os.ttyname(self._far))
        self.folder = folder / "data"
        command = [sys.executable, "-m", "vehicle_gateway", "run", "--config", str(self.config)]
        self.process = subprocess.Popen(
            [*command, "--sim", "600", "--speed", "real"],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.client = PanelClient(self.folder)

    def wait(self, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Reads states until one is as wanted."""
        for _ in range(round(READY_S / 0.05)):
            for state in self.client.states():
                if until(state):
                    return state
            try:
                self.process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"the gateway ended: {self.process.communicate()}")
        pytest.fail("the panel never shows it")

    def end(self) -> dict[str, Any]:
        """Asks the gateway to stop; returns its last line."""
        self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=READY_S)
        self.client.close()
        summary: dict[str, Any] = json.loads(out)
        return summary

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.client.close()
        os.close(self.near)
        os.close(self._far)


@pytest.fixture
def cab(tmp_path: Path, core: Core) -> Iterator[Cab]:
    cab = Cab(tmp_path, core)
    yield cab
    cab.close()


class Near:
    """Our end of the reader's line."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def write(self, data: bytes) -> None:
        os.write(self._handle, data)

    def read(self, timeout_ms: int) -> bytes:
        raise NotImplementedError(timeout_ms)

    def close(self) -> None:
        pass


@pytest.mark.slow
def test_a_running_box_shows_what_goes_on_hears_cards_and_leaves_nothing_behind(cab: Cab) -> None:
    state = cab.wait(lambda state: "clock" in state)
    assert (state["driver"], state["card"], state["pin"]) == (None, True, False)
    assert state["link"]["online"] is None
    SimulatedCardReader(Near(cab.near)).hold(CARD)
    assert cab.wait(lambda state: state["notice"] != "")["notice"] == "no-roster"
    digest = consent_text().sha256("zh")
    cab.client.touch({"touch": "agree", "language": "zh", "text_sha256": digest})
    assert cab.end()["frames"] >= 0
    assert not (cab.folder / "panel.sock").exists()
    with open_reader(cab.folder / "outbox.db") as store:
        assert store.rows("SELECT * FROM gateway_driver") == []


@pytest.mark.slow
def test_the_gateway_never_loads_the_screens_library() -> None:
    code = (
        "import sys, vehicle_gateway.__main__ as main; main.build_parser(); "
        "sys.exit(any(name.startswith('PySide6') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
