"""What the core gives a device: read with nothing taken on trust, and verified against our keys.

Place in the flow: `bundle.json` → **bundle** → install.

* The shape is exact: an unknown or missing field, or one of the wrong type, refuses the whole.
* The certificate must be for this device, for the key that lies in its folder, on the curve P-256,
  and chain to the root in the bundle at this very time.
* A device that was installed once takes no bundle from another root: a stick that somebody swapped
  cannot move it to another core.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from edge.errors import PeerError
from edge.keys import load_public

if TYPE_CHECKING:
    from collections.abc import Sequence

BUNDLE_BYTES_MAX: Final = 262_144
PEM_CERTIFICATES_MAX: Final = 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
AGAIN: Final = "Copy it to the stick again, or have the bank make a new one."


class CoreKeys(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the core is, and its public keys: SEC1 uncompressed, hexadecimal."""

    url: str
    signing_public: str
    hpke_public: str
    catalogue_public: str


class BrokerPlace(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the MQTT broker listens."""

    host: str
    port: int


class Bundle(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The core's answer to a request.

    Attributes:
        v: Version of this shape.
        device: Whom it is for.
        kind: `gateway` or `kiosk`.
        org: Organisation, the third level of every telemetry topic.
        certificate: PEM chain of the device, leaf first.
        ca: PEM of what the device shall trust; the first self-signed one is the root.
        core: The core's address and keys.
        broker: The broker's address; None where there is none.
        lookup_key_sealed: Kiosk: key that ID numbers are looked up by, sealed to the device.
        policy: Gateway: the signed policy of the device, hexadecimal.
    """

    v: Literal[1]
    device: str
    kind: Literal["gateway", "kiosk"]
    org: str
    certificate: str
    ca: str
    core: CoreKeys
    broker: BrokerPlace | None
    lookup_key_sealed: str | None
    policy: str | None


@dataclass(frozen=True, slots=True)
class Owner:
    """The device in whose folder we are.

    Attributes:
        device: Its id.
        kind: `gateway` or `kiosk`.
        public_key: Of its identity, SEC1 uncompressed.
        root: SHA-256 of the root it trusts since it was installed; None before.
    """

    device: str
    kind: str
    public_key: bytes
    root: bytes | None


def read_bundle(content: bytes) -> Bundle:
    """Reads a bundle's shape.

    Args:
        content: Outside bytes.

    Raises:
        PeerError: Damaged, of another release, or with a key that is none.
    """
    if len(content) > BUNDLE_BYTES_MAX:
        raise PeerError(f"This is no bundle: it is too large. {AGAIN}", "bundle-shape")
    try:
        bundle = msgspec.json.decode(content, type=Bundle)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PeerError(f"The bundle is damaged ({error}). {AGAIN}", "bundle-shape") from error
    for name in ("signing_public", "hpke_public", "catalogue_public"):
        _check_key(name, getattr(bundle.core, name))
    if not bundle.core.url.startswith("https://"):
        raise PeerError("The core's address in the bundle is not https. " + AGAIN, "bundle-url")
    return bundle


def verify_bundle(bundle: Bundle, owner: Owner, now_us: int) -> x509.Certificate:
    """Returns the device's certificate once everything about it holds.

    Args:
        bundle: What `read_bundle` returned.
        owner: The device that it must be for.
        now_us: Wall time, microseconds UTC.

    Raises:
        PeerError: For another device, key or root, outside its validity, or not by that root.
    """
    if (bundle.device, bundle.kind) != (owner.device, owner.kind):
        raise PeerError(
            f"This bundle is for the {bundle.kind} {bundle.device}, and this is the {owner.kind} "
            f"{owner.device}. Take the bundle of {owner.device}.",
            "bundle-device",
        )
    chain, root = read_pem(bundle.certificate), root_of(bundle.ca)
    if owner.root is not None and fingerprint(root) != owner.root:
        raise PeerError(
            f"{owner.device} belongs to another bank's core since it was installed. To move it, "
            "retire it there, then prepare it in a new folder.",
            "bundle-root",
        )
    _check_leaf(chain[0], owner)
    _check_time(chain[0], now_us)
    _check_chain(chain, root, now_us)
    return chain[0]


def read_pem(text: str) -> Sequence[x509.Certificate]:
    """Reads a PEM chain of at least one certificate.

    Raises:
        PeerError: There is none, too many, or one is damaged.
    """
    try:
        found = x509.load_pem_x509_certificates(text.encode("ascii"))
    except ValueError as error:
        raise PeerError(
            f"A certificate of the bundle cannot be read. {AGAIN}", "bundle-certificate"
        ) from error
    if not 0 < len(found) <= PEM_CERTIFICATES_MAX:
        raise PeerError(f"The bundle has too many certificates. {AGAIN}", "bundle-certificate")
    return found


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Returns the SHA-256 of a certificate."""
    return certificate.fingerprint(hashes.SHA256())


def root_of(ca: str) -> x509.Certificate:
    """Returns the root of a PEM bundle: the first certificate that is its own issuer.

    Raises:
        PeerError: There is none.
    """
    root = next((each for each in read_pem(ca) if each.subject == each.issuer), None)
    if root is None:
        raise PeerError(f"The bundle has no root certificate. {AGAIN}", "bundle-root")
    return root


def _check_key(name: str, spelled: str) -> None:
    try:
        load_public(bytes.fromhex(spelled))
    except (ValueError, PeerError) as error:
        raise PeerError(
            f"core.{name} of the bundle is no public key ({error}). {AGAIN}", "bundle-key"
        ) from error


def _check_leaf(leaf: x509.Certificate, owner: Owner) -> None:
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ec.SECP256R1.name:
        raise PeerError(f"The certificate's key is not on the curve P-256. {AGAIN}", "bundle-curve")
    if key != load_public(owner.public_key):
        raise PeerError(
            "The certificate is for another key than this device holds now. Carry the present "
            "request.json to the bank and have a new bundle made.",
            "bundle-other-key",
        )
    names = [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [owner.device]:
        raise PeerError(f"The certificate is not for {owner.device}. {AGAIN}", "bundle-device")


def _check_time(leaf: x509.Certificate, now_us: int) -> None:
    now = EPOCH + timedelta(microseconds=now_us)
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if now < begin:
        raise PeerError(
            f"The certificate begins on {begin:%Y-%m-%d %H:%M} UTC and this device's clock says "
            f"{now:%Y-%m-%d %H:%M}. Set the clock, then install again.",
            "bundle-early",
        )
    if now > end:
        raise PeerError(
            f"The certificate ended on {end:%Y-%m-%d} and this device's clock says "
            f"{now:%Y-%m-%d}. If the clock is right, have the bank make a new bundle; else set it.",
            "bundle-late",
        )


def _check_chain(chain: Sequence[x509.Certificate], root: x509.Certificate, now_us: int) -> None:
    """RFC 5280 path validation; a device's certificate carries no host name."""
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store([root]))
        .time(EPOCH + timedelta(microseconds=now_us))
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=verification.ExtensionPolicy.permit_all(),
        )
    )
    try:
        policy.build_client_verifier().verify(chain[0], list(chain[1:]))
    except (verification.VerificationError, ValueError) as error:
        raise PeerError(
            f"The certificate does not come from the bank's root in this bundle. {AGAIN}",
            "bundle-chain",
        ) from error
