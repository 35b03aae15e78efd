"""What a new device asks of the core: its name, its public keys, its self-test.

Place in the flow: `lastmile-provision prepare` → **request** → `request.json` on a stick or on the
wire → `lastmile-core device add` → bundle → install.

* The private key is made on the device and never leaves it; the request holds public keys only.
* Preparing twice gives the same keys and the same names: a technician may repeat every step.
* A device that failed its self-test asks for nothing.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.certificates import make_csr
from edge.errors import DeviceFault, LocalError
from edge.keys import FileIdentity, HpkeKeypair, write_private
from hardware.provision.keeping import require_cipher
from hardware.provision.selftest import run_selftest
from hardware.sim.pin_pad import create_pad

if TYPE_CHECKING:
    from pathlib import Path

    from edge.ports import Clock, Randomness
    from hardware.provision.selftest import Check

GATEWAY: Final = "gateway"
KIOSK: Final = "kiosk"
KINDS: Final = (GATEWAY, KIOSK)
DEVICE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""It stands in MQTT topics, paths and certificates: nothing that any of them treats specially."""

REQUEST_NAME: Final = "request.json"
BUILT_US: Final = 1_767_225_600_000_000
"""2026-01-01: no device of this release can live before it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the work order says: which device stands here.

    Attributes:
        device: Its id.
        kind: `gateway` or `kiosk`.
        pad: Id of the kiosk's PIN pad; empty for a gateway.
    """

    device: str
    kind: str
    pad: str = ""


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
    def hpke(self) -> Path:
        """The kiosk's key that the bank seals secrets to, PEM."""
        return self.directory / "keys" / "hpke.pem"

    @property
    def lookup_key(self) -> Path:
        """The kiosk's key that ID numbers are looked up by, 32 bytes in hexadecimal."""
        return self.directory / "keys" / "lookup.key"

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
        """What the core answered, as installed: certificates and public keys."""
        return self.directory / "core"

    @property
    def policy(self) -> Path:
        """The vehicle box's policy as the core signed it."""
        return self.installed / "policy.cose"

    @property
    def certificate(self) -> Path:
        """The device's certificate chain, PEM."""
        return self.installed / "certificate.pem"

    @property
    def ca(self) -> Path:
        """What the device trusts, PEM."""
        return self.installed / "ca.pem"


def prepare(site: Site, order: Order, clock: Clock, randomness: Randomness) -> dict[str, Any]:
    """Tests the machine, makes its keys and writes the request.

    Args:
        site: Where the device lives.
        order: Which device it is.
        clock: The device's clock.
        randomness: The device's source of keys, tried before one is made.

    Returns:
        The request as written to `request.json`.

    Raises:
        LocalError: The folder holds another device, the kind is unknown, or a kiosk's stores could
            not be encrypted here.
        DeviceFault: The self-test failed; the text lists what to do.
    """
    _check_order(site, order)
    if order.kind == KIOSK:
        require_cipher()
    checks = run_selftest(site.directory, clock, randomness, BUILT_US)
    raise_if_unfit(checks)
    identity = _identity(site, order.device)
    request: dict[str, Any] = {
        "v": 1,
        "device": order.device,
        "kind": order.kind,
        "csr": make_csr(identity).decode("ascii"),
        "selftest": [asdict(check) for check in checks],
    }
    if order.kind == KIOSK:
        request["pad"] = _pad_keys(site, order.pad)
        request["hpke_public"] = _hpke(site).public_bytes.hex()
    write_private(site.request, (json.dumps(request, indent=2) + "\n").encode())
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
    except (OSError, ValueError) as error:
        raise LocalError(f"{site.request} is damaged; prepare again.", "request-bad") from error
    if not isinstance(content, dict) or not _names_itself(content):
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


def _names_itself(content: dict[str, Any]) -> bool:
    return isinstance(content.get("device"), str) and content.get("kind") in KINDS


def _check_order(site: Site, order: Order) -> None:
    if order.kind not in KINDS:
        raise LocalError(f"Kind {order.kind!r} is unknown; use one of {', '.join(KINDS)}.", "kind")
    if (order.kind == KIOSK) != bool(order.pad):
        raise LocalError("A kiosk needs --pad with its PIN pad's id; a gateway has none.", "pad")
    if not DEVICE_ID.fullmatch(order.device):
        raise LocalError(
            "A device id has 1 to 64 letters, digits, dots, dashes and underscores and begins with "
            "a letter or digit. Take it from the work order.",
            "device-id",
        )
    if site.request.exists():
        before = read_request(site)
        if (before["device"], before["kind"]) != (order.device, order.kind):
            raise LocalError(
                f"{site.directory} belongs to the {before['kind']} {before['device']} already; "
                "use another folder.",
                "site-taken",
            )


def _identity(site: Site, device: str) -> FileIdentity:
    if not site.identity.exists():
        return FileIdentity.create(site.identity, device)
    identity = FileIdentity.load(site.identity)
    if identity.kid != device:
        raise LocalError(
            f"{site.directory} holds the key of {identity.kid}; use another folder.", "site-taken"
        )
    return identity


def _hpke(site: Site) -> HpkeKeypair:
    return HpkeKeypair.load(site.hpke) if site.hpke.exists() else HpkeKeypair.create(site.hpke)


def _pad_keys(site: Site, pad: str) -> dict[str, str]:
    keys = create_pad(site.pad, pad)
    return {"pad": pad, "public_key": keys.public_key.hex(), "hpke_public": keys.hpke_public.hex()}
