"""Claims about certificate requests: the id, nothing else, and proof of the key."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.certificates import COMMON_NAME_MAX, make_csr
from edge.errors import LocalError
from edge.keys import FileIdentity


def identity(kid: str) -> FileIdentity:
    return FileIdentity(kid, ec.generate_private_key(ec.SECP256R1()))


def test_a_request_names_the_device_and_proves_its_key() -> None:
    device = identity("box-1")
    request = x509.load_pem_x509_csr(make_csr(device))
    assert request.is_signature_valid
    names = list(request.subject)
    assert [(name.oid, name.value) for name in names] == [(NameOID.COMMON_NAME, "box-1")]
    assert not list(request.extensions)
    point = request.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    assert point == device.public_bytes


def test_an_id_too_long_for_a_common_name_is_refused() -> None:
    make_csr(identity("d" * COMMON_NAME_MAX))
    with pytest.raises(LocalError) as refusal:
        make_csr(identity("d" * (COMMON_NAME_MAX + 1)))
    assert refusal.value.code == "certificate-name"
