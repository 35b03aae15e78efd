"""What a new device asks of the core: its name, its public keys, its self-test.

Place in the flow: `lastmile-provision prepare` → **request** → `request.json` on a stick or on the
wire → `lastmile-core device add` → bundle → install.

* The private key is made on the device and never leaves it; the request holds public keys only.
* Preparing twice gives the same keys and the same names: a technician may repeat every step.
* A device that failed its self-test asks for nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.certificates import make_csr
from edge.errors import DeviceFault, LocalError
from edge.keys import FileIdentity
from hardware.provision.selftest import run_selftest
from hardware.sim.pin_pad import create_pad

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Clock
    from hardware.provision.selftest import Check

KINDS: Final = ("gateway", "kiosk")
REQUEST_NAME: Final = "request.json"
BUILT_US: Final = 1_767_225_600_000_000
"""2026-01-01: no device of this release can live before it."""


@dataclass(frozen=True, slots=True)
class Site:
    """The folders of one device.

    Attributes:
        directory: Everything of this device; the technician names it.
    """

    directory: Path

    @property
    def identity(self) -> Path:
        """The device's private key, PEM, readable by its owner alone."""
        return self.directory / "keys" / "identity.pem"

    @property
    def pad(self) -> Path:
        """The simulated PIN pad's own folder, which no other part of the kiosk reads."""
        return self.directory / "pad"

    @property
    def request(self) -> Path:
        """What is carried to the core."""
        return self.directory / REQUEST_NAME

    @property
    def installed(self) -> Path:
        """What the core answered, as installed."""
        return self.directory / "core"


def prepare(site: Site, device: str, kind: str, pad: str, clock: Clock) -> dict[str, Any]:
    """Tests the machine, makes its keys and writes the request.

    Args:
        site: Where the device lives.
        device: Its id, as the work order names it.
        kind: `gateway` or `kiosk`.
        pad: Id of the kiosk's PIN pad; empty for a gateway.
        clock: The device's clock.

    Returns:
        The request as written to `request.json`.

    Raises:
        LocalError: The folder holds another device, or the kind is unknown.
        DeviceFault: The self-test failed; the text lists what to do.
    """
    _check_order(site, device, kind, pad)
    checks = run_selftest(site.directory, clock, BUILT_US)
    raise_if_unfit(checks)
    identity = _identity(site.identity, device)
    request: dict[str, Any] = {
        "v": 1,
        "device": device,
        "kind": kind,
        "csr": make_csr(identity).decode("ascii"),
        "selftest": [asdict(check) for check in checks],
    }
    if pad:
        request["pad"] = _pad_keys(site, pad)
    site.request.write_text(json.dumps(request, indent=2) + "\n", encoding="utf-8")
    return request


def read_request(site: Site) -> dict[str, Any]:
    """Reads what was prepared here before.

    Raises:
        LocalError: Nothing was prepared in this folder.
    """
    try:
        content = json.loads(site.request.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LocalError(
            f"{site.directory} holds no request; run `lastmile-provision prepare` first.",
            "not-prepared",
        ) from None
    except ValueError as error:
        raise LocalError(f"{site.request} is damaged; prepare again.", "request-bad") from error
    if not isinstance(content, dict) or "device" not in content:
        raise LocalError(f"{site.request} is damaged; prepare again.", "request-bad")
    return content


def raise_if_unfit(checks: list[Check]) -> None:
    """Turns a failed self-test into one sentence a check.

    Raises:
        DeviceFault: At least one check failed.
    """
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.ok]
    if failed:
        raise DeviceFault("The self-test failed. " + "; ".join(failed) + ".", "selftest")


def _check_order(site: Site, device: str, kind: str, pad: str) -> None:
    if kind not in KINDS:
        raise LocalError(f"Kind {kind!r} is unknown; use one of {', '.join(KINDS)}.", "kind")
    if (kind == "kiosk") != bool(pad):
        raise LocalError("A kiosk needs --pad with its PIN pad's id; a gateway has none.", "pad")
    if site.request.exists():
        before = read_request(site)
        if (before["device"], before["kind"]) != (device, kind):
            raise LocalError(
                f"{site.directory} belongs to {before['device']} already; use another folder.",
                "site-taken",
            )


def _identity(path: Path, device: str) -> FileIdentity:
    if path.exists():
        return FileIdentity.load(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return FileIdentity.create(path, device)


def _pad_keys(site: Site, pad: str) -> dict[str, str]:
    site.pad.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = create_pad(site.pad, pad)
    return {"pad": pad, "public_key": keys.public_key.hex(), "hpke_public": keys.hpke_public.hex()}
