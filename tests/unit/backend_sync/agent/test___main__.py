"""Claims about `lastmile-agent` as it is deployed: over HTTPS, against the API, with real files."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from backend_sync.agent.__main__ import main
from backend_sync.agent.link import Link, Unreachable, make_context
from backend_sync.api.app import build_app
from backend_sync.api.gate import Gate
from backend_sync.api.serve import ApiServer
from backend_sync.core.config import ApiSection
from backend_sync.core.database import open_pool
from backend_sync.core.pki import Pki
from edge.certificates import make_csr
from edge.config import write_config
from edge.errors import DeviceFault, LocalError
from edge.keys import write_private
from hardware.drivers.clock import SystemClock, SystemRandomness
from tests.unit.backend_sync.agent.village import DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.backend_sync.agent.village import Core, Kiosk


@pytest.fixture
def pki(core: Core, kiosk: Kiosk, tmp_path: Path) -> Pki:
    """The bank's certificates, and one for the kiosk in its folder."""
    made = Pki(tmp_path / "pki", "org", SystemClock(), SystemRandomness())
    made.establish(core.signer, ["127.0.0.1"])
    chain = made.issue_device(make_csr(kiosk.identity), DEVICE)
    write_private(kiosk.folder / "certificate.pem", chain.encode())
    return made


@pytest.fixture
def url(core: Core, dsn: str, pki: Pki, tmp_path: Path) -> Iterator[str]:
    """The real API on loopback."""
    pool = open_pool(dsn, 2)
    gate = Gate(pool, core.signer, SystemClock(), 0)
    folder = tmp_path / "pki"
    settings = ApiSection(folder / "server.pem", folder / "server.key", pki.ca, port=0)
    server = ApiServer(build_app(gate), settings)
    try:
        yield server.start()
    finally:
        server.stop()
        pool.close()


def write_settings(core: Core, kiosk: Kiosk, pki: Pki, url: str) -> Path:
    write_private(kiosk.folder / "signing.pub", core.signer.public_bytes.hex().encode())
    path = kiosk.folder / "agent.toml"
    own = {
        "device": DEVICE,
        "journal": "journal.db",
        "mirror": "mirror.db",
        "identity": "identity.pem",
        "certificate": "certificate.pem",
    }
    theirs = {"url": url, "ca": str(pki.ca), "signing_public": "signing.pub"}
    vault = {"kind": "file", "path": "vault.key"}
    sections = {"agent": own, "core": theirs, "vault": vault, "contact": {"timeout_s": 10}}
    write_config(path, sections)
    return path


def test_once_brings_the_journal_up_and_the_mirror_down(
    core: Core, kiosk: Kiosk, pki: Pki, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_settings(core, kiosk, pki, url))
    kiosk.write(30)
    assert main(["run", "--once", "--config", config]) == 0
    assert core.entries() == kiosk.chain()
    assert kiosk.known() == core.scopes()
    assert main(["status", "--json", "--config", config]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["uplink"], told["journal_seq"], told["mark_seq"]) == ("ready", 30, 30)
    assert (told["keys"], told["counter"]) == ("file", "none")
    kiosk.journal.unlink()
    assert main(["run", "--once", "--config", config]) == 1
    assert "rollback" in capsys.readouterr().err


def start_agent(config: str, until: str) -> subprocess.Popen[str]:
    """Starts the real process and returns once it has logged a word."""
    command = [sys.executable, "-m", "backend_sync.agent", "run", "--config", config]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(until in line for line in process.stderr), f"it ended without saying {until!r}"
    return process


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    with process:
        return process.wait(20)


def test_the_service_ends_at_once_when_it_is_told(
    core: Core, kiosk: Kiosk, pki: Pki, url: str
) -> None:
    config = str(write_settings(core, kiosk, pki, url))
    kiosk.write(3)
    process = start_agent(config, "3 entries up")
    assert end(process, signal.SIGTERM) == 0
    assert core.entries() == kiosk.chain()


def test_an_agent_that_is_killed_again_and_again_loses_and_doubles_nothing(
    core: Core, kiosk: Kiosk, pki: Pki, url: str
) -> None:
    config = str(write_settings(core, kiosk, pki, url))
    for _ in range(3):
        kiosk.write(400)
        end(start_agent(config, "speaks for"), signal.SIGKILL)
    assert main(["run", "--once", "--config", config]) == 0
    assert core.entries() == kiosk.chain()


def test_a_server_that_is_not_the_banks_is_unreachable(
    core: Core, kiosk: Kiosk, pki: Pki, url: str, tmp_path: Path
) -> None:
    stranger = Pki(tmp_path / "stranger", "org", SystemClock(), SystemRandomness())
    stranger.establish(core.signer, ["127.0.0.1"])
    folder = kiosk.folder
    context = make_context(stranger.ca, folder / "certificate.pem", folder / "identity.pem")
    with Link(url, context, 5) as link, pytest.raises(Unreachable, match="does not answer"):
        link.post("/v1/devices/x/journal", b"", 100)
    assert pki.ca.exists()


def test_an_answer_longer_than_allowed_is_not_read(kiosk: Kiosk, pki: Pki, url: str) -> None:
    context = make_context(pki.ca, kiosk.folder / "certificate.pem", kiosk.folder / "identity.pem")
    with Link(url, context, 5) as link, pytest.raises(Unreachable, match="too long"):
        link.post(f"/v1/devices/{DEVICE}/journal", b"garbage", 10)


PORTAL = {
    "that is cut short": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf",
    "of another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "that never comes": b"",
}


@pytest.mark.parametrize("kind", PORTAL)
def test_unreachable_is_a_core_with_an_answer(kind: str, kiosk: Kiosk, pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.ca.with_name("server.pem"), pki.ca.with_name("server.key"))
    with socket.create_server(("127.0.0.1", 0)) as door:

        def answer() -> None:
            plain, _ = door.accept()
            with context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(65_536)
                secured.sendall(PORTAL[kind])

        thread = threading.Thread(target=answer)
        thread.start()
        client = make_context(
            pki.ca, kiosk.folder / "certificate.pem", kiosk.folder / "identity.pem"
        )
        with (
            Link(f"https://127.0.0.1:{door.getsockname()[1]}", client, 5) as link,
            pytest.raises(Unreachable),
        ):
            link.post("/v1/devices/x/journal", b"", 100)
        thread.join()


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "https://", "https://[::1", "core.example"]
)
def test_an_address_without_tls_is_refused(address: str) -> None:
    with pytest.raises(LocalError):
        Link(address, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), 1)


def test_missing_certificates_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="Provision it again"):
        make_context(tmp_path / "ca", tmp_path / "certificate", tmp_path / "key")


def test_an_unreachable_core_fails_once_and_says_so(
    core: Core, kiosk: Kiosk, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    config = str(write_settings(core, kiosk, pki, f"https://127.0.0.1:{port}"))
    assert main(["run", "--once", "--config", config]) == 1
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    "damage",
    [
        ("signing.pub", "00", 2),
        ("signing.pub", "not hexadecimal", 2),
        ("identity.pem", "no key", 2),
        ("certificate.pem", "no certificate", 1),
    ],
)
def test_a_damaged_file_is_named(
    damage: tuple[str, str, int],
    core: Core,
    kiosk: Kiosk,
    pki: Pki,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = str(write_settings(core, kiosk, pki, "https://127.0.0.1:1"))
    name, content, code = damage
    (kiosk.folder / name).write_text(content)
    assert main(["run", "--once", "--config", config]) == code
    assert capsys.readouterr().err.startswith("lastmile-agent: ")


def test_a_key_of_another_device_is_refused(
    core: Core, kiosk: Kiosk, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_settings(core, kiosk, pki, "https://127.0.0.1:1")
    path.write_text(path.read_text().replace(DEVICE, "kiosk-2"))
    assert main(["run", "--once", "--config", str(path)]) == 2
    assert "kiosk-1, not of kiosk-2" in capsys.readouterr().err


def test_two_agents_do_not_share_a_mirror(
    core: Core, kiosk: Kiosk, pki: Pki, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_settings(core, kiosk, pki, "https://127.0.0.1:1"))
    with kiosk.open_mirror():
        assert main(["run", "--once", "--config", config]) == 2
    assert "Another program" in capsys.readouterr().err


def test_a_missing_configuration_is_wrong_usage(tmp_path: Path) -> None:
    assert main(["status", "--config", str(tmp_path / "none.toml")]) == 2
