"""Certificates: what a device asks the one certificate system for, and how long it holds.

Place in the flow: keys → **certificates** → provisioning → the core's issuing CA.

* A request carries the device's id as its common name and nothing else about it.
* A request proves that the asker holds the key: it is signed with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.keys import FileIdentity

COMMON_NAME_MAX = 64


def make_csr(identity: FileIdentity) -> bytes:
    """Returns a PEM certificate request (PKCS #10) whose common name is the identity's id.

    Raises:
        LocalError: The id is too long for a common name.
    """
    if len(identity.kid) > COMMON_NAME_MAX:
        raise LocalError(
            f"A device id has at most {COMMON_NAME_MAX} characters; choose a shorter one.",
            "certificate-name",
        )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, identity.kid)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return request.sign(identity.private_key, hashes.SHA256()).public_bytes(Encoding.PEM)


def ends_us(path: Path) -> int | None:
    """Returns until when the first certificate of a PEM file holds, microseconds UTC.

    None where there is none that can be read: whoever connects with it will say why.
    """
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None
    return int(certificate.not_valid_after_utc.timestamp()) * 1_000_000
