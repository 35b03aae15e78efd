"""Certificates of a small test deployment: an issuer, and one client or server each."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
OVER = dt.datetime(2020, 2, 1, tzinfo=dt.UTC)
END = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)
LOOPBACK = ipaddress.ip_address("127.0.0.1")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, authority: bool) -> x509.KeyUsage:
    """What a key is for; Python 3.13 asks for it (RFC 5280 §4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass
class Pki:
    """An issuer and the folder its PEM files go to."""

    folder: Path
    name: str = "issuer"

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.ca = self.folder / f"{self.name}.pem"
        self._write(self.ca, self._certify(self.name, self._key.public_key(), authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Returns the paths of a certificate for `name` and of its private key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.folder / f"{self.name}-{name}.pem"
        self._write(certificate, self._certify(name, key.public_key(), authority=False))
        key_path = certificate.with_suffix(".key")
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key_path

    def expire(self, path: Path) -> None:
        """Exchanges a certificate for the same one, of the same key, whose time is over."""
        known = x509.load_pem_x509_certificate(path.read_bytes())
        name = known.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        key = known.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self._write(path, self._certify(str(name), key, authority=False, end=OVER))

    def _certify(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        *,
        authority: bool,
        end: dt.datetime = END,
    ) -> x509.Certificate:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name(self.name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(BEGIN)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(_usage(authority=authority), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
