"""Claims about identities, evidence and wrapped keys: who signed, for what, and who alone opens."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codec import decode, encode
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import (
    CHAIN_KEY_BYTES,
    KID_LINE,
    FileIdentity,
    HpkeKeypair,
    LocalSecret,
    hpke_open,
    hpke_seal,
    load_public,
    open_evidence,
    ratchet,
    sign_evidence,
    unwrap_chain_key,
    verifier,
    wrap_chain_key,
    write_new,
    write_private,
)
from edge.seal import sign1
from edge.suites import AEADS
from hardware.drivers.clock import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

TOPIC = "lastmile/v1/org/box-1/up"
RECORD = {"type": "consent", "device": "box-1", "withdrawn": False}


def made(kid: str = "box-1") -> FileIdentity:
    return FileIdentity(kid, ec.generate_private_key(ec.SECP256R1()))


BOX = made()
OTHER = made()
VERIFY = verifier(BOX.public_bytes)
CORE = HpkeKeypair(ec.generate_private_key(ec.SECP256R1()))
ELSE = HpkeKeypair(ec.generate_private_key(ec.SECP256R1()))


# ---------------------------------------------------------------- files
def test_an_identity_is_read_back_as_it_was_made(tmp_path: Path) -> None:
    identity = FileIdentity.create(tmp_path / "keys" / "box.pem", "kiosk 河口-1")
    again = FileIdentity.load(tmp_path / "keys" / "box.pem")
    assert (again.kid, again.public_bytes) == (identity.kid, identity.public_bytes)
    verifier(identity.public_bytes)(b"message", again.sign(b"message"))


def test_a_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    FileIdentity.create(tmp_path / "keys" / "box.pem", "box-1")
    HpkeKeypair.create(tmp_path / "keys" / "hpke.pem")
    for path in (tmp_path / "keys").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert len(list((tmp_path / "keys").iterdir())) == 2


def test_an_open_draft_left_by_somebody_does_not_open_the_key(tmp_path: Path) -> None:
    draft = tmp_path / ".box.pem.new"
    draft.write_bytes(b"x" * 5_000)
    draft.chmod(0o666)
    FileIdentity.create(tmp_path / "box.pem", "box-1")
    assert stat.S_IMODE((tmp_path / "box.pem").stat().st_mode) == 0o600


def test_a_key_is_not_written_through_somebodys_link(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    (tmp_path / ".box.pem.new").symlink_to(target)
    FileIdentity.create(tmp_path / "box.pem", "box-1")
    assert not target.exists()
    assert not (tmp_path / "box.pem").is_symlink()


@pytest.mark.parametrize("make", [HpkeKeypair.create, lambda path: FileIdentity.create(path, "a")])
def test_a_key_is_never_overwritten(make: Callable[[Path], object], tmp_path: Path) -> None:
    make(tmp_path / "a.pem")
    before = (tmp_path / "a.pem").read_bytes()
    with pytest.raises(LocalError) as refusal:
        make(tmp_path / "a.pem")
    assert refusal.value.code == "key-exists"
    assert (tmp_path / "a.pem").read_bytes() == before


@pytest.mark.parametrize("kid", ["", "two\nlines", "tab\t", "\x00"])
def test_an_id_is_one_line_that_can_be_read(kid: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError) as refusal:
        FileIdentity.create(tmp_path / "a.pem", kid)
    assert refusal.value.code == "key-kid"
    assert not (tmp_path / "a.pem").exists()


def test_a_key_that_is_absent_is_a_fault_of_the_device(tmp_path: Path) -> None:
    for load in (FileIdentity.load, HpkeKeypair.load):
        with pytest.raises(DeviceFault) as refusal:
            load(tmp_path / "absent.pem")
        assert refusal.value.code == "key-read"


def test_a_folder_that_cannot_be_written_is_a_fault_of_the_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceFault) as refusal:
        write_private(tmp_path / "file" / "a.pem", b"secret")
    assert refusal.value.code == "key-write"
    with pytest.raises(LocalError) as exists:
        write_new(tmp_path / "file", b"secret")
    assert exists.value.code == "key-exists"


def pem(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    lock = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, lock)


def foreign_keys() -> dict[str, bytes]:
    whole = pem(BOX.private_key)
    return {
        "P-384": pem(ec.generate_private_key(ec.SECP384R1())),
        "secp256k1": pem(ec.generate_private_key(ec.SECP256K1())),
        "brainpool": pem(ec.generate_private_key(ec.BrainpoolP256R1())),
        "Ed25519": pem(ed25519.Ed25519PrivateKey.generate()),
        "RSA": pem(rsa.generate_private_key(65537, 2048)),
        "a passphrase": pem(BOX.private_key, b"secret"),
        "a public key": BOX.private_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "half a file": whole[: len(whole) // 2],
        "another curve's name": whole.replace(b"MIGHAgEAMBMGByqGSM49", b"MIGHAgEAMBMGByqGSM48"),
        "nothing": b"",
        "garbage": bytes(range(256)),
    }


@pytest.mark.parametrize("claim", foreign_keys())
def test_a_file_is_refused_that_holds(claim: str, tmp_path: Path) -> None:
    content = foreign_keys()[claim]
    (tmp_path / "a.pem").write_bytes(KID_LINE + b"box-1\n" + content)
    (tmp_path / "b.pem").write_bytes(content)
    with pytest.raises(LocalError) as refusal:
        FileIdentity.load(tmp_path / "a.pem")
    assert refusal.value.code == "key-damaged"
    with pytest.raises(LocalError) as refusal:
        HpkeKeypair.load(tmp_path / "b.pem")
    assert refusal.value.code == "key-damaged"


@pytest.mark.parametrize("line", [b"", KID_LINE + b"\n", KID_LINE + b"a\x00b\n", b"other: box-1\n"])
def test_a_file_is_refused_that_does_not_say_whose_key_it_is(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_bytes(line + pem(BOX.private_key))
    with pytest.raises(LocalError) as refusal:
        FileIdentity.load(tmp_path / "a.pem")
    assert refusal.value.code == "key-kid"


@given(st.binary(max_size=300))
@settings(max_examples=60)
def test_a_damaged_key_file_raises_only_our_errors(data: bytes) -> None:
    whole = bytearray(KID_LINE + b"box-1\n" + pem(BOX.private_key))
    for place, octet in enumerate(data):
        whole[(place * 7 + octet) % len(whole)] ^= octet
    try:
        identity = FileIdentity.load(_Memory(bytes(whole)))  # type: ignore[arg-type]
    except LocalError:
        return
    assert len(identity.public_bytes) == 65


class _Memory:
    """Bytes where a path is read: the disk is not what this test is about."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def read_bytes(self) -> bytes:
        return self.content


def test_a_tls_library_passes_over_the_line_that_names_the_key(tmp_path: Path) -> None:
    FileIdentity.create(tmp_path / "box.pem", "box-1")
    content = (tmp_path / "box.pem").read_bytes()
    assert content.startswith(KID_LINE)
    key = serialization.load_pem_private_key(content, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)


# ---------------------------------------------------------------- signatures
@pytest.mark.parametrize("size", [0, 1, 32, 33, 64, 66, 96])
def test_a_public_key_of_another_form_is_refused(size: int) -> None:
    compressed = BOX.private_key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
    )
    for hostile in (compressed, BOX.public_bytes[:size] + b"\x01" * (size - 65)):
        with pytest.raises(PeerError) as refusal:
            load_public(hostile)
        assert refusal.value.code == "key-public"


@given(st.binary(min_size=65, max_size=65))
def test_a_point_off_the_curve_is_refused(data: bytes) -> None:
    for hostile in (data, b"\x04" + data[1:], bytes(65), b"\x04" + bytes(64)):
        with pytest.raises(PeerError) as refusal:
            verifier(hostile)
        assert refusal.value.code == "key-public"


def test_a_signature_in_der_does_not_verify() -> None:
    der = BOX.private_key.sign(b"message", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(PeerError) as refusal:
        VERIFY(b"message", der)
    assert refusal.value.code == "seal-signature"


ZERO, ORDER = (
    bytes(32),
    bytes.fromhex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
)
ONE = ORDER[:-1] + b"\x52"


@pytest.mark.parametrize("r", [ZERO, ORDER, ONE, b"\xff" * 32])
@pytest.mark.parametrize("s", [ZERO, ORDER, ONE, b"\xff" * 32])
def test_a_signature_out_of_range_does_not_verify(r: bytes, s: bytes) -> None:
    with pytest.raises(PeerError):
        VERIFY(b"message", r + s)


@given(st.binary(max_size=80))
def test_hostile_signatures_raise_only_peer_errors(signature: bytes) -> None:
    with pytest.raises(PeerError):
        VERIFY(b"message", signature)


def test_signatures_are_64_bytes_whatever_their_numbers() -> None:
    for number in range(300):
        message = number.to_bytes(2, "big")
        signature = BOX.sign(message)
        assert len(signature) == 64
        VERIFY(message, signature)


# ---------------------------------------------------------------- evidence
def test_evidence_opens_for_its_signer_and_topic() -> None:
    assert open_evidence(sign_evidence(BOX, RECORD, TOPIC), VERIFY, TOPIC, "box-1") == RECORD


def test_evidence_by_another_key_of_the_same_name_is_refused() -> None:
    with pytest.raises(PeerError) as refusal:
        open_evidence(sign_evidence(OTHER, RECORD, TOPIC), VERIFY, TOPIC, "box-1")
    assert refusal.value.code == "seal-signature"


def test_evidence_of_another_name_is_refused_before_its_signature_is_read() -> None:
    message = sign_evidence(FileIdentity("box-2", BOX.private_key), RECORD, TOPIC)
    with pytest.raises(PeerError) as refusal:
        open_evidence(message, VERIFY, TOPIC, "box-1")
    assert refusal.value.code == "evidence-signer"


def test_evidence_for_another_topic_is_refused() -> None:
    with pytest.raises(PeerError) as refusal:
        open_evidence(sign_evidence(BOX, RECORD, TOPIC), VERIFY, TOPIC + "/", "box-1")
    assert refusal.value.code == "seal-signature"


@pytest.mark.parametrize("payload", [[1], 5, None, b"", "text"])
def test_evidence_that_is_no_map_is_refused(payload: object) -> None:
    message = sign1(encode(payload), BOX.sign, "box-1", TOPIC.encode())
    with pytest.raises(PeerError) as refusal:
        open_evidence(message, VERIFY, TOPIC, "box-1")
    assert refusal.value.code == "evidence-shape"


def test_signed_evidence_of_hostile_bytes_raises_only_peer_errors() -> None:
    for payload in (b"", b"\xff", b"\xa2" * 40, b"\x9a\xff\xff\xff\xff"):
        message = sign1(payload, BOX.sign, "box-1", TOPIC.encode())
        with pytest.raises(PeerError):
            open_evidence(message, VERIFY, TOPIC, "box-1")


EVIDENCE = sign_evidence(BOX, RECORD, TOPIC)


@given(st.integers(0, len(EVIDENCE) - 1), st.integers(1, 255))
def test_every_byte_of_evidence_matters(place: int, change: int) -> None:
    changed = bytearray(EVIDENCE)
    changed[place] ^= change
    with pytest.raises(PeerError):
        open_evidence(bytes(changed), VERIFY, TOPIC, "box-1")


# ---------------------------------------------------------------- HPKE
@given(st.binary(max_size=100), st.binary(max_size=40))
@settings(max_examples=25)
def test_what_is_sealed_to_a_key_opens_with_it(secret: bytes, info: bytes) -> None:
    sealed = hpke_seal(CORE.public_bytes, secret, info)
    assert hpke_open(CORE, sealed, info) == secret
    assert len(sealed) == 65 + len(secret) + 16


def test_a_secret_opens_neither_elsewhere_nor_for_something_else() -> None:
    sealed = hpke_seal(CORE.public_bytes, b"secret", b"info")
    for keypair, info in ((ELSE, b"info"), (CORE, b"other"), (CORE, b"")):
        with pytest.raises(PeerError) as refusal:
            hpke_open(keypair, sealed, info)
        assert refusal.value.code == "hpke-open"


SECRET = hpke_seal(CORE.public_bytes, b"secret", b"info")


@given(st.integers(0, len(SECRET) - 1), st.integers(1, 255))
@settings(max_examples=60)
def test_a_changed_secret_does_not_open(place: int, change: int) -> None:
    changed = bytearray(SECRET)
    changed[place] ^= change
    with pytest.raises(PeerError):
        hpke_open(CORE, bytes(changed), b"info")


@given(st.binary(max_size=120))
def test_hostile_secrets_raise_only_peer_errors(sealed: bytes) -> None:
    with pytest.raises(PeerError) as refusal:
        hpke_open(CORE, sealed, b"info")
    assert refusal.value.code == "hpke-open"


def test_nothing_is_sealed_to_a_key_that_is_none() -> None:
    with pytest.raises(PeerError):
        hpke_seal(b"\x04" + bytes(64), b"secret", b"info")


# ---------------------------------------------------------------- chain keys
def test_a_chain_key_opens_for_its_device_and_epoch_alone() -> None:
    chain_key = bytes(range(32))
    wrapped = wrap_chain_key(CORE.public_bytes, chain_key, "box-1", 7)
    assert unwrap_chain_key(CORE, wrapped, "box-1", 7) == chain_key
    for device, epoch in (("box-2", 7), ("box-1", 8), ("box-17", 0)):
        with pytest.raises(PeerError) as refusal:
            unwrap_chain_key(CORE, wrapped, device, epoch)
        assert refusal.value.code == "hpke-open"


def test_a_wrapped_key_of_another_length_is_refused() -> None:
    wrapped = wrap_chain_key(CORE.public_bytes, b"short", "box-1", 7)
    with pytest.raises(PeerError):
        unwrap_chain_key(CORE, wrapped, "box-1", 7)


@pytest.mark.parametrize("alg", [3, 30])
def test_the_ratchet_gives_keys_of_the_suite_that_differ_from_the_next(alg: int) -> None:
    suite = AEADS[alg]
    chain_key = bytes(CHAIN_KEY_BYTES)
    next_key, (key, iv) = ratchet(chain_key, suite)
    assert (len(next_key), len(key), len(iv)) == (32, suite.key_bytes, suite.nonce_bytes)
    seen = {chain_key, next_key, key}
    for _ in range(20):
        next_key, (key, _) = ratchet(next_key, suite)
        assert next_key not in seen
        assert key not in seen
        seen |= {next_key, key}


def test_the_context_of_a_wrapped_key_has_one_spelling() -> None:
    sealed = wrap_chain_key(CORE.public_bytes, bytes(32), "box-1", 7)
    info = encode(["lastmile epoch", "box-1", 7])
    assert decode(info) == ["lastmile epoch", "box-1", 7]
    assert hpke_open(CORE, sealed, info) == bytes(32)


# ---------------------------------------------------------------- kept for oneself
@given(st.binary(max_size=200))
def test_what_a_device_keeps_for_itself_opens_again_and_never_looks_the_same(data: bytes) -> None:
    secret = LocalSecret(BOX, "drivers", SystemRandomness())
    first, second = secret.seal(data), secret.seal(data)
    assert first != second
    assert secret.open(first) == secret.open(second) == data


@pytest.mark.parametrize(
    ("identity", "purpose"), [(OTHER, "drivers"), (BOX, "receipts")], ids=["device", "purpose"]
)
def test_what_is_kept_opens_for_no_other(identity: FileIdentity, purpose: str) -> None:
    sealed = LocalSecret(BOX, "drivers", SystemRandomness()).seal(b"driver-1")
    with pytest.raises(PeerError):
        LocalSecret(identity, purpose, SystemRandomness()).open(sealed)


@given(st.binary(max_size=64))
def test_damaged_bytes_of_our_own_are_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(PeerError):
        LocalSecret(BOX, "drivers", SystemRandomness()).open(data)


def test_what_stands_for_content_is_steady_and_a_devices_and_purposes_own() -> None:
    secret = LocalSecret(BOX, "drivers", SystemRandomness())
    assert secret.mac(b"1") == LocalSecret(BOX, "drivers", SystemRandomness()).mac(b"1")
    assert len(secret.mac(b"")) == 32
    others = [LocalSecret(OTHER, "drivers", SystemRandomness()).mac(b"1")]
    others += [LocalSecret(BOX, "receipts", SystemRandomness()).mac(b"1"), secret.mac(b"2")]
    assert secret.mac(b"1") not in others
