"""Claims about certificates: one root, P-256 throughout, and each only for what it is for."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from backend_sync.core.pki import DAY_US, LEAF_DAYS, Pki, certifies, renewal_due
from edge.certificates import make_csr
from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity
from edge.ports import Instant

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

NOW_US = 1_790_000_000_000_000
NAMES = ["localhost", "127.0.0.1", "broker.bank.example"]


@dataclass
class FixedClock:
    """A clock that stands still; fulfils `edge.ports.Clock`."""

    wall_us: int = NOW_US

    def now(self) -> Instant:
        return Instant(self.wall_us, "00" * 8, 0)


@dataclass
class Counting:
    """Randomness that counts; fulfils `edge.ports.Randomness`."""

    count: int = 0

    def token(self, count: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(count, "big")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def core(tmp_path: Path) -> FileIdentity:
    return FileIdentity.create(tmp_path / "core.pem", "core")


@pytest.fixture
def pki(tmp_path: Path, clock: FixedClock, core: FileIdentity) -> Pki:
    """A PKI that is established."""
    made = Pki(tmp_path / "pki", "demo", clock, Counting())
    made.establish(core, NAMES)
    return made


@pytest.fixture
def device(tmp_path: Path) -> FileIdentity:
    return FileIdentity.create(tmp_path / "kiosk-1.pem", "kiosk-1")


def chain(pem: bytes) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem)


def policy(tmp_path: Path, at_us: int = NOW_US) -> PolicyBuilder:
    root = x509.load_pem_x509_certificate((tmp_path / "pki" / "root.pem").read_bytes())
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    return PolicyBuilder().store(Store([root])).time(instant)


def read_files(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "pki").iterdir()}


def request(name: str, key: CertificateIssuerPrivateKeyTypes, more: tuple[str, ...] = ()) -> bytes:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, each) for each in (name, *more)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


# ------------------------------------------------------------------ establishing
def test_establishing_again_changes_nothing(pki: Pki, core: FileIdentity, tmp_path: Path) -> None:
    before = read_files(tmp_path)
    pki.establish(core, NAMES[::-1])
    assert read_files(tmp_path) == before


def test_every_file_is_its_owners_alone(pki: Pki, tmp_path: Path) -> None:
    assert pki.ca.exists()
    for path in (tmp_path / "pki").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_server_is_believed_under_each_of_its_names_and_no_other(
    pki: Pki, tmp_path: Path
) -> None:
    leaf, *above = chain((tmp_path / "pki" / "server.pem").read_bytes())
    assert pki.ca.exists()
    for name in (NAMES[0], NAMES[2]):
        verifier = policy(tmp_path).build_server_verifier(x509.DNSName(name))
        assert len(verifier.verify(leaf, above)) == 3
    with pytest.raises(VerificationError):
        policy(tmp_path).build_server_verifier(x509.DNSName("evil.example")).verify(leaf, above)


def test_the_core_is_a_client_by_its_own_key(pki: Pki, core: FileIdentity, tmp_path: Path) -> None:
    pem = (tmp_path / "pki" / "core.pem").read_bytes()
    assert pki.ca.exists()
    assert certifies(pem.decode(), core.private_key.public_key())
    leaf = chain(pem)[0]
    assert leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "core"
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_authorities_sign_certificates_and_leaves_do_not(pki: Pki, tmp_path: Path) -> None:
    assert pki.ca.exists()
    for name, authority in (("root", True), ("issuing", True), ("server", False), ("core", False)):
        leaf = chain((tmp_path / "pki" / f"{name}.pem").read_bytes())[0]
        basic = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
        assert (basic.critical, basic.value.ca) == (True, authority)
        assert (usage.value.key_cert_sign, usage.value.digital_signature) == (
            authority,
            not authority,
        )
        assert isinstance(leaf.public_key(), ec.EllipticCurvePublicKey)


def test_serial_numbers_come_from_randomness_and_differ(pki: Pki, tmp_path: Path) -> None:
    assert pki.ca.exists()
    names = ("root", "issuing", "server", "core")
    serials = {chain((tmp_path / "pki" / f"{n}.pem").read_bytes())[0].serial_number for n in names}
    assert serials == {(1 << 128) + number for number in (1, 2, 3, 4)}


def test_new_names_make_a_new_server_certificate_for_the_same_key(
    pki: Pki, core: FileIdentity, tmp_path: Path
) -> None:
    before = read_files(tmp_path)
    pki.establish(core, [*NAMES, "core.bank.example"])
    after = read_files(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"server.pem"}


def test_a_leaf_is_renewed_from_two_thirds_of_its_life(
    pki: Pki, core: FileIdentity, clock: FixedClock, tmp_path: Path
) -> None:
    before = read_files(tmp_path)
    clock.wall_us = NOW_US + LEAF_DAYS * DAY_US * 2 // 3
    pki.establish(core, NAMES)
    after = read_files(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"server.pem", "core.pem"}


def test_the_roots_key_may_be_moved_away_once_the_issuing_ca_is_made(
    pki: Pki, core: FileIdentity, device: FileIdentity, tmp_path: Path
) -> None:
    (tmp_path / "pki" / "root.key").unlink()
    pki.establish(core, NAMES)
    assert pki.issue_device(make_csr(device), "kiosk-1")
    assert not (tmp_path / "pki" / "root.key").exists()


def test_an_interrupted_start_is_made_up_for(pki: Pki, core: FileIdentity, tmp_path: Path) -> None:
    before = read_files(tmp_path)
    for name in ("server.pem", "ca.pem"):
        (tmp_path / "pki" / name).unlink()
    pki.establish(core, NAMES)
    after = read_files(tmp_path)
    assert after["ca.pem"] == before["ca.pem"]
    assert certifies(
        after["server.pem"].decode(),
        chain(before["server.pem"])[0].public_key(),  # type: ignore[arg-type]
    )


def test_a_damaged_certificate_is_named(pki: Pki, core: FileIdentity, tmp_path: Path) -> None:
    (tmp_path / "pki" / "issuing.pem").write_bytes(b"not PEM")
    with pytest.raises(LocalError, match=r"issuing\.pem"):
        pki.establish(core, NAMES)


# ------------------------------------------------------------------ devices
def test_a_device_gets_a_client_certificate_that_chains_to_the_root(
    pki: Pki, device: FileIdentity, tmp_path: Path
) -> None:
    pem = pki.issue_device(make_csr(device), "kiosk-1")
    leaf, *above = chain(pem.encode())
    assert certifies(pem, device.private_key.public_key())
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    leaf.verify_directly_issued_by(above[0])
    above[0].verify_directly_issued_by(
        x509.load_pem_x509_certificate((tmp_path / "pki" / "root.pem").read_bytes())
    )


def test_a_device_certificate_is_due_from_two_thirds_of_its_life(
    pki: Pki, device: FileIdentity
) -> None:
    pem = pki.issue_device(make_csr(device), "kiosk-1").encode()
    assert not renewal_due(pem, NOW_US + 400 * DAY_US)
    assert renewal_due(pem, NOW_US + 500 * DAY_US)


def test_a_request_for_another_name_is_refused(pki: Pki, device: FileIdentity) -> None:
    with pytest.raises(PeerError, match="not for kiosk-2"):
        pki.issue_device(make_csr(device), "kiosk-2")


def test_a_request_with_two_names_is_refused(pki: Pki, device: FileIdentity) -> None:
    twice = request("kiosk-1", device.private_key, ("core",))
    with pytest.raises(PeerError, match="not for kiosk-1"):
        pki.issue_device(twice, "kiosk-1")


def test_keys_off_p256_are_refused(pki: Pki) -> None:
    others: list[CertificateIssuerPrivateKeyTypes] = [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 2048),
    ]
    for key in others:
        with pytest.raises(PeerError) as raised:
            pki.issue_device(request("kiosk-1", key), "kiosk-1")
        assert raised.value.code == "request-curve"


def test_a_request_that_its_key_did_not_sign_is_refused(pki: Pki, device: FileIdentity) -> None:
    made = x509.load_pem_x509_csr(make_csr(device)).public_bytes(Encoding.DER)
    changed = made[:-1] + bytes([made[-1] ^ 1])
    pem = x509.load_der_x509_csr(changed).public_bytes(Encoding.PEM)
    with pytest.raises(PeerError) as raised:
        pki.issue_device(pem, "kiosk-1")
    assert raised.value.code == "request-signature"


@pytest.mark.parametrize("pem", [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\nAA==\n"])
def test_bytes_that_are_no_request_are_refused(pki: Pki, pem: bytes) -> None:
    with pytest.raises(PeerError) as raised:
        pki.issue_device(pem, "kiosk-1")
    assert raised.value.code == "request-shape"
