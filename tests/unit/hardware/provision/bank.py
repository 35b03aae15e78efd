"""A bank that answers requests, and a folder of a device: what the tests of provisioning share.

Place in the flow: beneath the tests of provisioning; certificates come from the core's own PKI.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend_sync.core.pki import Pki
from edge.keys import FileIdentity, HpkeKeypair, hpke_seal, verifier
from edge.policy import Policy, sign_policy
from edge.ports import Instant
from edge.purposes import LOOKUP_INFO
from hardware.drivers.clock import SystemRandomness
from hardware.provision.request import Order, Site, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.ports import Clock

NOW_US = 1_796_000_000_000_000
DAY_US = 86_400_000_000
YEAR_US = 365 * DAY_US
LOOKUP_KEY = bytes(range(32))


@dataclass
class SetClock:
    """A clock that stands where a test set it."""

    wall_us: int = NOW_US

    def now(self) -> Instant:
        return Instant(self.wall_us, "00" * 8, 0)


class Bank:
    """The core's side of provisioning."""

    def __init__(self, folder: Path, org: str = "bank", clock: Clock | None = None) -> None:
        folder.mkdir()
        self.org = org
        self.signing = FileIdentity.create(folder / "core.pem", "core")
        self.catalogue = FileIdentity.create(folder / "catalogue.pem", "catalogue")
        self.hpke = HpkeKeypair.create(folder / "hpke.pem")
        self.pki = Pki(folder / "pki", org, clock or SetClock(), SystemRandomness())
        self.pki.establish(self.signing, ["127.0.0.1"])

    @property
    def signing_verify(self) -> Callable[[bytes, bytes], None]:
        """Verifies what this bank signed."""
        return verifier(self.signing.public_bytes)

    def policy(self, device: str, seq: int = 1, algs: tuple[int, ...] = (3, 30)) -> bytes:
        """Returns a signed policy."""
        return sign_policy(self.signing, Policy(device, seq, algs, self.hpke.public_bytes))

    def answer(self, request: dict[str, Any], **changed: Any) -> dict[str, Any]:
        """Returns the bundle for a request."""
        kiosk = request["kind"] == "kiosk"
        sealed = None
        if kiosk:
            public = bytes.fromhex(request["hpke_public"])
            sealed = hpke_seal(public, LOOKUP_KEY, LOOKUP_INFO).hex()
        chain = self.pki.issue_device(request["csr"].encode(), request["device"])
        bundle: dict[str, Any] = {
            "v": 1,
            "device": request["device"],
            "kind": request["kind"],
            "org": self.org,
            "certificate": chain,
            "ca": self.pki.ca.read_text(),
            "core": {
                "url": "https://127.0.0.1:8443",
                "signing_public": self.signing.public_bytes.hex(),
                "hpke_public": self.hpke.public_bytes.hex(),
                "catalogue_public": self.catalogue.public_bytes.hex(),
            },
            "broker": None if kiosk else {"host": "127.0.0.1", "port": 8883},
            "lookup_key_sealed": sealed,
            "policy": None if kiosk else self.policy(request["device"]).hex(),
        }
        return {**bundle, **changed}


def spell(bundle: dict[str, Any]) -> bytes:
    """Returns the bytes that a stick carries."""
    return json.dumps(bundle, indent=2).encode()


def prepare_kiosk(folder: Path, device: str = "kiosk-1") -> tuple[Site, dict[str, Any]]:
    """A prepared kiosk: its site and its request."""
    site = Site(folder)
    return site, prepare(site, Order(device, "kiosk", "pad-1"), SetClock(), SystemRandomness())


def prepare_gateway(folder: Path, device: str = "box-1") -> tuple[Site, dict[str, Any]]:
    """A prepared vehicle box: its site and its request."""
    site = Site(folder)
    return site, prepare(site, Order(device, "gateway"), SetClock(), SystemRandomness())
