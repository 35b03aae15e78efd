"""Installs what the core gave: certificates, public keys, the lookup key, and the settings.

Place in the flow: bundle → **install** → `gateway.toml`, or `kiosk.toml` and `agent.toml`.

    core/certificate.pem, core/ca.pem                      the device's chain, and whom it trusts
    core/signing.pub, core/catalogue.pub                   the core's public keys, hexadecimal
    core/policy.cose                                       gateway: what it may use, signed
    keys/lookup.key                                        kiosk: opened with our own key, 0600
    keys/vault.key or vault.sealed, keys/counter           kiosk: see keeping
    gateway.toml | kiosk.toml, agent.toml                  written last: they say that all is there

* Everything is verified before the first byte is written, and each file is replaced wholly: a
  pulled plug leaves the old installation or the new one, and installing again mends it.
* What a person changed in the settings outside of what a bundle says is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.config import read_toml, write_config
from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity, HpkeKeypair, hpke_open, verifier, write_private
from edge.policy import open_policy
from edge.purposes import LOOKUP_INFO
from hardware.provision.bundle import (
    Owner,
    fingerprint,
    read_bundle,
    read_pem,
    root_of,
    verify_bundle,
)
from hardware.provision.keeping import NOTHING, Wishes, keep
from hardware.provision.request import BUILT_US, GATEWAY, read_request
from hardware.provision.selftest import judge_clock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography import x509

    from edge.ports import Randomness
    from hardware.provision.bundle import Bundle
    from hardware.provision.request import Site

    Settings = dict[str, dict[str, Any]]

LOOKUP_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """What only the technician on the spot knows; an empty value keeps what was set before.

    Attributes:
        vehicle: Gateway: id of the vehicle; at first the device's own.
        village: Kiosk: name for receipts and screens; at first the device's own.
        operator_screen: Kiosk: name of the agent's screen, such as `HDMI-1`.
        customer_screen: Kiosk: name of the customer's screen.
        single_screen: Kiosk: both windows on one screen, on a desk.
        keeping: Kiosk: where its keys and its counter are to be.
    """

    vehicle: str = ""
    village: str = ""
    operator_screen: str = ""
    customer_screen: str = ""
    single_screen: bool = False
    keeping: Wishes = NOTHING


@dataclass(frozen=True, slots=True)
class Installed:
    """What was installed.

    Attributes:
        device: Id of the device.
        kind: `gateway` or `kiosk`.
        certificate: The device's own.
        root: The bank's root, whose fingerprint a person can compare.
        settings: The settings files, the first of which starts the device's program.
    """

    device: str
    kind: str
    certificate: x509.Certificate
    root: x509.Certificate
    settings: tuple[Path, ...]


def install(
    site: Site, content: bytes, place: Place, now_us: int, randomness: Randomness
) -> Installed:
    """Verifies a bundle and installs it.

    Args:
        site: A folder that was prepared.
        content: The bundle's bytes, from outside.
        place: What the technician sets.
        now_us: Wall time, microseconds UTC.
        randomness: The device's source of keys.

    Raises:
        LocalError: Nothing was prepared here.
        PeerError: The bundle is damaged, or not for this device.
        DeviceFault: A file cannot be written; install again when there is room.
    """
    owner = read_owner(site)
    sane, advice = judge_clock(now_us, BUILT_US)
    if not sane:
        raise LocalError(f"Nothing can be installed now: {advice}.", "clock")
    bundle = read_bundle(content)
    certificate = verify_bundle(bundle, owner, now_us)
    lookup_key = _open_lookup_key(site, bundle)
    policy = _open_policy(bundle)
    _require_broker(bundle)
    kept = {} if bundle.kind == GATEWAY else keep(site.directory, place.keeping, randomness)
    _write_keys(site, bundle, lookup_key, policy)
    settings = _write_settings(site, bundle, place, kept)
    return Installed(bundle.device, bundle.kind, certificate, root_of(bundle.ca), settings)


def read_owner(site: Site) -> Owner:
    """Reads whose folder this is.

    Raises:
        LocalError: Nothing was prepared here.
    """
    request = read_request(site)
    identity = FileIdentity.load(site.identity)
    root = fingerprint(root_of(_text(site.ca))) if site.ca.exists() else None
    return Owner(request["device"], request["kind"], identity.public_bytes, root)


def read_installed(site: Site) -> tuple[Owner, x509.Certificate]:
    """Reads what was installed here, for the label.

    Raises:
        LocalError: Nothing was installed here.
    """
    owner = read_owner(site)
    if not site.certificate.exists():
        raise LocalError(
            f"{site.directory} has no certificate yet; run `lastmile-provision install` first.",
            "not-installed",
        )
    return owner, read_pem(_text(site.certificate))[0]


def _text(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace")


def _open_lookup_key(site: Site, bundle: Bundle) -> bytes | None:
    sealed = bundle.lookup_key_sealed
    if (bundle.kind == GATEWAY) != (sealed is None):
        raise PeerError(
            "A kiosk's bundle carries a lookup key and a gateway's none; this one does not fit. "
            "Have the bank make a new one.",
            "bundle-lookup-key",
        )
    if sealed is None:
        return None
    try:
        key = hpke_open(HpkeKeypair.load(site.hpke), bytes.fromhex(sealed), LOOKUP_INFO)
    except (PeerError, ValueError) as error:
        raise PeerError(
            "The lookup key of the bundle is not sealed to this device. Carry the present "
            "request.json to the bank and have a new bundle made.",
            "bundle-lookup-key",
        ) from error
    if len(key) != LOOKUP_KEY_BYTES:
        raise PeerError(
            "The lookup key has the wrong length; have a new bundle made.", "bundle-key"
        )
    return key


def _open_policy(bundle: Bundle) -> bytes | None:
    """Returns the signed policy once the core's key verifies it and this machine can follow it."""
    spelled = bundle.policy
    if (bundle.kind == GATEWAY) == (spelled is None):
        raise PeerError(
            "A vehicle box's bundle carries a policy and a kiosk's none; this one does not fit. "
            "Have the bank make a new one.",
            "bundle-policy",
        )
    if spelled is None:
        return None
    verify = verifier(bytes.fromhex(bundle.core.signing_public))
    try:
        message = bytes.fromhex(spelled)
        open_policy(message, verify, bundle.device).choose()
    except (PeerError, ValueError) as error:
        raise PeerError(
            f"The policy of the bundle does not hold ({error}). Have the bank make a new one.",
            "bundle-policy",
        ) from error
    return message


def _require_broker(bundle: Bundle) -> None:
    if bundle.kind == GATEWAY and bundle.broker is None:
        raise PeerError(
            "The bundle names no broker, and a vehicle box speaks through one. Have the bank set "
            "[broker] in core.toml and make a new bundle.",
            "bundle-broker",
        )


def _write_keys(site: Site, bundle: Bundle, lookup_key: bytes | None, policy: bytes | None) -> None:
    keys = bundle.core
    if policy is not None:
        write_private(site.policy, policy)
    if lookup_key is not None:
        write_private(site.lookup_key, _line(lookup_key.hex()))
    write_private(site.installed / "signing.pub", _line(keys.signing_public))
    write_private(site.installed / "catalogue.pub", _line(keys.catalogue_public))
    write_private(site.certificate, bundle.certificate.encode("ascii"))
    write_private(site.ca, bundle.ca.encode("ascii"))


def _line(text: str) -> bytes:
    return text.encode("ascii") + b"\n"


# ------------------------------------------------------------------ settings
def _write_settings(site: Site, bundle: Bundle, place: Place, kept: Settings) -> tuple[Path, ...]:
    (site.directory / "data").mkdir(mode=0o700, exist_ok=True)
    if bundle.kind == GATEWAY:
        files = {"gateway.toml": _gateway(bundle, place)}
    else:
        pad = read_request(site)["pad"]["pad"]
        files = {"kiosk.toml": _kiosk(bundle, place, pad), "agent.toml": _agent(bundle)}
    for name, (firm, first) in files.items():
        path = site.directory / name
        before = read_toml(path) if path.exists() else {}
        write_config(path, merge(before, {**firm, **kept}, first))
    return tuple(site.directory / name for name in files)


def merge(
    before: Mapping[str, Any], firm: Mapping[str, Any], first: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the settings to write.

    Args:
        before: What the file says now.
        firm: What must stand there from now on.
        first: What stands there unless somebody set it before.
    """
    sections = dict.fromkeys([*first, *before, *firm])
    return {
        name: {**first.get(name, {}), **before.get(name, {}), **firm.get(name, {})}
        for name in sections
    }


def _set(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _gateway(bundle: Bundle, place: Place) -> tuple[Settings, Settings]:
    """Returns (firm, first) of gateway.toml."""
    assert bundle.broker is not None, "checked before anything was written"
    firm: Settings = {
        "gateway": {
            "device": bundle.device,
            "org": bundle.org,
            "data_dir": "data",
            "identity": "keys/identity.pem",
            **_set(vehicle=place.vehicle),
        },
        "broker": {
            "host": bundle.broker.host,
            "port": bundle.broker.port,
            "ca": "core/ca.pem",
            "certificate": "core/certificate.pem",
        },
        "core": {"signing_public": "core/signing.pub", "policy": "core/policy.cose"},
    }
    first: Settings = {
        "gateway": {"vehicle": bundle.device},
        "source": {"kind": "can", "interface": "socketcan", "channel": "can0"},
    }
    return firm, first


def _kiosk(bundle: Bundle, place: Place, pad: str) -> tuple[Settings, Settings]:
    """Returns (firm, first) of kiosk.toml."""
    screens: dict[str, Any] = _set(operator=place.operator_screen, customer=place.customer_screen)
    if screens or place.single_screen:
        screens["single_screen"] = place.single_screen
    firm: Settings = {
        "kiosk": {
            "device": bundle.device,
            "data_dir": "data",
            "identity": "keys/identity.pem",
            "mirror": "mirror.db",
            "lookup_key": "keys/lookup.key",
            **_set(village=place.village),
        },
        "core": {"signing_public": "core/signing.pub", "catalogue_public": "core/catalogue.pub"},
        "devices": {"pad": pad, "pad_dir": "pad"},
        "screens": screens,
    }
    first: Settings = {
        "kiosk": {"village": bundle.device},
        "devices": {"id_reader": "sim", "pin_pad": "sim", "printer": "sim", "sim_dir": "sim"},
        "screens": {"operator": "", "customer": "", "single_screen": False},
    }
    return firm, first


def _agent(bundle: Bundle) -> tuple[Settings, Settings]:
    """Returns (firm, first) of agent.toml."""
    firm: Settings = {
        "agent": {
            "device": bundle.device,
            "journal": "data/journal.db",
            "mirror": "mirror.db",
            "identity": "keys/identity.pem",
            "certificate": "core/certificate.pem",
        },
        "core": {
            "url": bundle.core.url,
            "ca": "core/ca.pem",
            "signing_public": "core/signing.pub",
        },
    }
    return firm, {}
