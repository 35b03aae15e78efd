"""The one certificate system: root → issuing CA → server, core and devices, all P-256 (DESIGN §5).

Place in the flow: `lastmile-core init` makes it; a device's request → **pki** → its certificate →
bundle → device; API and broker then let in only what chains to the root.

    pki/root.key, root.pem          signs the issuing CA, nothing else: move the key offline
    pki/issuing.key, issuing.pem    signs everything below
    pki/server.key, server.pem      TLS server of API and broker, with the issuing CA behind it
    pki/core.pem                    TLS client "core" of the ingest, for the key of keys/core.pem
    pki/ca.pem                      what everybody trusts: root and issuing CA

* Making it twice changes nothing; a step that a power cut interrupted is made up for. A leaf is
  renewed from two thirds of its life, or when the names it must carry have changed.
* A key is durable before a certificate names it.
* A device gets a certificate only for the id it was registered with, only on P-256, and only if it
  holds the key. Nothing else that a request asks for is granted.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity, write_private

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.ports import Clock, Randomness

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
DAY_US: Final = 86_400_000_000
BACKDATED_US: Final = 3_600_000_000
"""A device whose clock is an hour slow already takes a certificate as valid."""

ROOT_DAYS: Final = 20 * 365
ISSUING_DAYS: Final = 10 * 365
LEAF_DAYS: Final = 2 * 365
SERIAL_BYTES: Final = 16
REQUEST_BYTES_MAX: Final = 16_384
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class Profile:
    """What a certificate is for.

    Attributes:
        common_name: Whom it names.
        days: How long it is valid.
        purpose: Extended key usage of a leaf; None for an authority.
        path_length: Authorities below an authority; None for a leaf.
        names: DNS names and addresses of a server.
    """

    common_name: str
    days: int
    purpose: x509.ObjectIdentifier | None = None
    path_length: int | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Authority:
    """A key that signs certificates, and the certificate that says so."""

    identity: FileIdentity
    certificate: x509.Certificate


class Pki:
    """The certificates of one core.

    Args:
        directory: Where they are; made when missing.
        org: Organisation that every name carries.
        clock: Says from when a certificate is valid.
        randomness: Makes serial numbers.
    """

    def __init__(self, directory: Path, org: str, clock: Clock, randomness: Randomness) -> None:
        self._directory = directory
        self._org = org
        self._clock = clock
        self._randomness = randomness

    @property
    def ca(self) -> Path:
        """PEM of root and issuing CA."""
        return self._directory / "ca.pem"

    def establish(self, core: FileIdentity, server_names: Sequence[str]) -> None:
        """Makes what is missing or due: root, issuing CA, server and core certificates.

        Args:
            core: The core's own identity, which its client certificate is for.
            server_names: DNS names and addresses under which devices reach API and broker.

        Raises:
            LocalError: A file of ours is damaged.
        """
        root = self._root()
        issuing = self._issuing()
        write_private(self.ca, _pem(root) + _pem(issuing.certificate))
        server = _identity(self._directory / "server.key", "server")
        profile = Profile("server", LEAF_DAYS, SERVER, names=tuple(sorted(set(server_names))))
        self._leaf("server", server, profile)
        self._leaf("core", core, Profile(core.kid, LEAF_DAYS, CLIENT))

    def issue_device(self, request: bytes, device: str) -> str:
        """Returns the PEM chain of a device's certificate, leaf first.

        Args:
            request: PEM certificate request; outside bytes.
            device: The id it must be for.

        Raises:
            PeerError: Not a request for that id, not on P-256, or not signed by its own key.
        """
        key = read_request(request, device)
        return self._issue(Profile(device, LEAF_DAYS, CLIENT), key).decode("ascii")

    def _root(self) -> x509.Certificate:
        """The root's key is needed only to make an issuing CA: afterwards it may be elsewhere."""
        path = self._directory / "root.pem"
        if not path.exists():
            identity = _identity(self._directory / "root.key", "root")
            profile = Profile(f"Lastmile root {self._org}", ROOT_DAYS, path_length=1)
            key = identity.private_key.public_key()
            write_private(path, _pem(self._certify(profile, key, identity, None)))
        return _read(path)

    def _issuing(self) -> Authority:
        path = self._directory / "issuing.pem"
        identity = _identity(self._directory / "issuing.key", "issuing")
        if not path.exists():
            root_key = FileIdentity.load(self._directory / "root.key")
            root = Authority(root_key, _read(self._directory / "root.pem"))
            profile = Profile(f"Lastmile issuing {self._org}", ISSUING_DAYS, path_length=0)
            key = identity.private_key.public_key()
            write_private(path, _pem(self._certify(profile, key, root.identity, root.certificate)))
        return Authority(identity, _read(path))

    def _leaf(self, name: str, identity: FileIdentity, profile: Profile) -> None:
        path = self._directory / f"{name}.pem"
        key = identity.private_key.public_key()
        if path.exists():
            present = _read(path)
            same = (present.public_key(), _names_of(present)) == (key, profile.names)
            if same and not _is_due(present, self._clock.now().wall_us):
                return
        write_private(path, self._issue(profile, key))

    def _issue(self, profile: Profile, key: ec.EllipticCurvePublicKey) -> bytes:
        issuing = self._issuing()
        leaf = self._certify(profile, key, issuing.identity, issuing.certificate)
        return _pem(leaf) + _pem(issuing.certificate)

    def _certify(
        self,
        profile: Profile,
        key: ec.EllipticCurvePublicKey,
        signer: FileIdentity,
        above: x509.Certificate | None,
    ) -> x509.Certificate:
        """Signs a certificate; without one above it, it is its own issuer."""
        subject = self._name(profile.common_name)
        begin_us = self._clock.now().wall_us - BACKDATED_US
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above.subject if above else subject)
            .public_key(key)
            .serial_number(int.from_bytes(b"\x01" + self._randomness.token(SERIAL_BYTES), "big"))
            .not_valid_before(_instant(begin_us))
            .not_valid_after(_instant(begin_us + profile.days * DAY_US))
        )
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            signer.private_key.public_key()
        )
        builder = builder.add_extension(authority, critical=False).add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        )
        for extension, critical in _extensions(profile):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer.private_key, hashes.SHA256())

    def _name(self, common_name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self._org),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )


# ------------------------------------------------------------------ requests and certificates
def read_request(request: bytes, device: str) -> ec.EllipticCurvePublicKey:
    """Returns the public key of a certificate request.

    Args:
        request: PEM; outside bytes.
        device: The one common name it must carry.

    Raises:
        PeerError: Not such a request, not on P-256, or not signed by its own key.
    """
    try:
        found = x509.load_pem_x509_csr(request[:REQUEST_BYTES_MAX])
        key = found.public_key()
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        signed = found.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PeerError(
            "The certificate request cannot be read. Prepare the device again.", "request-shape"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ec.SECP256R1.name:
        raise PeerError("A device's key must be on the curve P-256.", "request-curve")
    if not signed:
        raise PeerError("The request is not signed by the key it names.", "request-signature")
    if [name.value for name in names] != [device]:
        raise PeerError(f"The request is not for {device}.", "request-name")
    return key


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Returns a public key as SEC1 uncompressed, 65 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def certifies(chain: str, key: ec.EllipticCurvePublicKey) -> bool:
    """Says whether the first certificate of a PEM chain is for that key."""
    return x509.load_pem_x509_certificate(chain.encode()).public_key() == key


def renewal_due(chain: bytes, now_us: int) -> bool:
    """Says whether the first certificate of a PEM chain is past two thirds of its life."""
    return _is_due(x509.load_pem_x509_certificate(chain), now_us)


def _is_due(certificate: x509.Certificate, now_us: int) -> bool:
    begin_us = (certificate.not_valid_before_utc - EPOCH) // MICROSECOND
    end_us = (certificate.not_valid_after_utc - EPOCH) // MICROSECOND
    return 3 * (now_us - begin_us) >= 2 * (end_us - begin_us)


def _extensions(profile: Profile) -> list[tuple[x509.ExtensionType, bool]]:
    """RFC 5280 §4.2.1: basic constraints, key usage, extended key usage, names."""
    authority = profile.purpose is None
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=authority, path_length=profile.path_length)
    found: list[tuple[x509.ExtensionType, bool]] = [(constraints, True), (usage, True)]
    if profile.purpose is not None:
        found.append((x509.ExtendedKeyUsage([profile.purpose]), False))
    if profile.names:
        names = [_general_name(name) for name in profile.names]
        found.append((x509.SubjectAlternativeName(names), False))
    return found


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(sorted(str(name.value) for name in extension.value))


def _instant(time_us: int) -> datetime:
    """Certificates carry whole seconds (RFC 5280 §4.1.2.5)."""
    return EPOCH + timedelta(seconds=time_us // 1_000_000)


def _identity(path: Path, kid: str) -> FileIdentity:
    return FileIdentity.load(path) if path.exists() else FileIdentity.create(path, kid)


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LocalError(
            f"{path} holds no certificate. Restore it, or remove it and run init again.",
            "certificate-damaged",
        ) from error


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
