"""P-256 identities, HPKE, and the key ratchet: who signs, and who alone can open.

Place in the flow: seal → **keys** → epochs, journal, and everything that is signed or wrapped.

    evidence      COSE_Sign1 of encode(record), aad = topic or path, kid = who signs (DESIGN §5)
    chain key     CK_e → HKDF(CK_e, info "chain" | "key" | "iv") → CK_{e+1}, key, base_iv
                  by SHA-256, or by the hash that the suite names
    wrapped key   HPKE base mode (RFC 9180), DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM;
                  info = encode(["lastmile epoch", device, epoch]), since single-shot has no aad

* A private key is written once, 0600, and synced before its public half is told to anybody.
* A signature is 64 bytes r ‖ s (RFC 9053 §2.1); one in DER, or of another length, does not verify.
* The file names the id it speaks for in a line before the PEM, which TLS libraries pass over.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.codec import decode, encode
from edge.errors import DeviceFault, LocalError, PeerError
from edge.seal import SIGNATURE_BYTES, read_sign1, sign1, verify_sign1
from edge.suites import A256GCM, AEADS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.ports import Randomness, Signer
    from edge.suites import Aead

CHAIN_KEY_BYTES: Final = 32
POINT_BYTES: Final = 65
HALF: Final = SIGNATURE_BYTES // 2
LOCAL_SUITE: Final = AEADS[A256GCM]
KID_LINE: Final = b"Lastmile identity: "
EVIDENCE_ITEMS_MAX: Final = 4_096
HPKE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


# ------------------------------------------------------------------ identities
class FileIdentity:
    """A P-256 key in a file; fulfils `edge.ports.Signer`.

    Attributes:
        kid: The device, operator or service that the signature speaks for.
        private_key: For certificate requests and TLS.
    """

    def __init__(self, kid: str, private_key: ec.EllipticCurvePrivateKey) -> None:
        self.kid = kid
        self.private_key = private_key

    @classmethod
    def create(cls, path: Path, kid: str) -> FileIdentity:
        """Makes a key and writes it.

        Raises:
            LocalError: The file exists, or the id is not a single line of text.
        """
        if not kid or not kid.isprintable():
            raise LocalError("An identity needs an id of printable characters.", "key-kid")
        identity = cls(kid, ec.generate_private_key(ec.SECP256R1()))
        write_new(path, KID_LINE + kid.encode() + b"\n" + _pem(identity.private_key))
        return identity

    @classmethod
    def load(cls, path: Path) -> FileIdentity:
        """Reads a key that `create` wrote.

        Raises:
            DeviceFault: There is no such file, or it cannot be read.
            LocalError: It holds no identity of ours.
        """
        content = _read(path)
        first, _, rest = content.partition(b"\n")
        kid = first.removeprefix(KID_LINE).decode("utf-8", errors="replace")
        if not first.startswith(KID_LINE) or not kid or not kid.isprintable():
            raise LocalError(
                f"{path} does not say whose key it is. Provision this device again.", "key-kid"
            )
        return cls(kid, _load_private(path, rest))

    @property
    def public_bytes(self) -> bytes:
        """The public key, SEC1 uncompressed, 65 bytes."""
        return _point(self.private_key)

    def sign(self, message: bytes) -> bytes:
        """Returns the 64-byte `r || s` ES256 signature of `message`."""
        r, s = decode_dss_signature(self.private_key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(HALF, "big") + s.to_bytes(HALF, "big")


def verifier(public_bytes: bytes) -> Callable[[bytes, bytes], None]:
    """Returns a function (message, signature) that raises PeerError unless the signature holds.

    Args:
        public_bytes: P-256 point, SEC1 uncompressed.

    Raises:
        PeerError: The bytes are no point of the curve.
    """
    key = load_public(public_bytes)

    def verify(message: bytes, signature: bytes) -> None:
        if len(signature) != SIGNATURE_BYTES:
            raise PeerError("The signature has the wrong length.", "seal-signature")
        r, s = int.from_bytes(signature[:HALF], "big"), int.from_bytes(signature[HALF:], "big")
        try:
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise PeerError("The signature does not hold.", "seal-signature") from None

    return verify


def load_public(public_bytes: bytes) -> ec.EllipticCurvePublicKey:
    """Reads a P-256 point.

    Raises:
        PeerError: Not an uncompressed point of the curve.
    """
    if len(public_bytes) != POINT_BYTES:
        raise PeerError("A public key is 65 bytes, SEC1 uncompressed.", "key-public")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_bytes)
    except ValueError:
        raise PeerError("A public key is not on the curve P-256.", "key-public") from None


# ------------------------------------------------------------------ evidence
def sign_evidence(signer: Signer, record: Mapping[Any, Any], topic: str) -> bytes:
    """Signs a record for a topic, path or purpose."""
    return sign1(encode(dict(record)), signer.sign, signer.kid, topic.encode())


def open_evidence(
    message: bytes, verify: Callable[[bytes, bytes], None], topic: str, kid: str
) -> dict[Any, Any]:
    """Returns the record of evidence once its signature holds.

    Args:
        message: Hostile bytes.
        verify: What `verifier` returned for the key of `kid`.
        topic: What it must have been signed for.
        kid: Who must have signed it.

    Raises:
        PeerError: Malformed, by somebody else, for something else, or changed.
    """
    if read_sign1(message)[0] != kid:
        raise PeerError(f"The message is not signed by {kid}.", "evidence-signer")
    record = decode(verify_sign1(message, verify, topic.encode()), items_max=EVIDENCE_ITEMS_MAX)
    if not isinstance(record, dict):
        raise PeerError("The signed payload is not a map.", "evidence-shape")
    return record


# ------------------------------------------------------------------ HPKE
class HpkeKeypair:
    """A P-256 key pair that others seal secrets to."""

    def __init__(self, private_key: ec.EllipticCurvePrivateKey) -> None:
        self.private_key = private_key

    @classmethod
    def create(cls, path: Path) -> HpkeKeypair:
        """Makes a key pair and writes it.

        Raises:
            LocalError: The file exists.
        """
        keypair = cls(ec.generate_private_key(ec.SECP256R1()))
        write_new(path, _pem(keypair.private_key))
        return keypair

    @classmethod
    def load(cls, path: Path) -> HpkeKeypair:
        """Reads a key pair.

        Raises:
            DeviceFault: There is no such file, or it cannot be read.
            LocalError: It holds no P-256 key.
        """
        return cls(_load_private(path, _read(path)))

    @property
    def public_bytes(self) -> bytes:
        """The public key, SEC1 uncompressed, 65 bytes."""
        return _point(self.private_key)


def hpke_seal(public_bytes: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seals to a public key: enc (65 bytes) ‖ ciphertext.

    Raises:
        PeerError: The public key is none.
    """
    return HPKE.encrypt(plaintext, load_public(public_bytes), info)


def hpke_open(keypair: HpkeKeypair, sealed: bytes, info: bytes) -> bytes:
    """Opens what was sealed to a key pair for the same `info`.

    Raises:
        PeerError: Sealed to another key or for something else, or changed.
    """
    try:
        return HPKE.decrypt(sealed, keypair.private_key, info)
    except (InvalidTag, ValueError):
        raise PeerError("The secret is not sealed to this key.", "hpke-open") from None


# ------------------------------------------------------------------ chain keys
def ratchet(chain_key: bytes, suite: Aead) -> tuple[bytes, tuple[bytes, bytes]]:
    """Returns the next chain key and (key, base_iv) of this one; forget `chain_key` then."""
    by = suite.ratchet_hash
    next_key = _derive(chain_key, b"chain", CHAIN_KEY_BYTES, by)
    key = _derive(chain_key, b"key", suite.key_bytes, by)
    return next_key, (key, _derive(chain_key, b"iv", suite.nonce_bytes, by))


def wrap_chain_key(public_bytes: bytes, chain_key: bytes, device: str, epoch: int) -> bytes:
    """Seals the chain key of an epoch to the backend."""
    return hpke_seal(public_bytes, chain_key, _epoch_info(device, epoch))


def unwrap_chain_key(keypair: HpkeKeypair, wrapped: bytes, device: str, epoch: int) -> bytes:
    """Opens the chain key of an epoch.

    Raises:
        PeerError: It was wrapped for another backend, device or epoch, or is no chain key.
    """
    chain_key = hpke_open(keypair, wrapped, _epoch_info(device, epoch))
    if len(chain_key) != CHAIN_KEY_BYTES:
        raise PeerError("A chain key is 32 bytes.", "hpke-open")
    return chain_key


def _derive(secret: bytes, info: bytes, length: int, by: hashes.HashAlgorithm) -> bytes:
    return HKDF(by, length, salt=None, info=info).derive(secret)


def _epoch_info(device: str, epoch: int) -> bytes:
    return encode(["lastmile epoch", device, epoch])


# ------------------------------------------------------------------ kept for oneself
class LocalSecret:
    """Seals what a device keeps for itself alone: nonce (12 bytes) ‖ ciphertext ‖ tag, A256GCM.

    Args:
        identity: The key is derived from its private key; whoever has a file that was sealed so,
            a copy or a backup of it, and not the key, reads nothing.
        purpose: What is kept; a secret of another purpose does not open.
        randomness: Makes nonces.
    """

    def __init__(self, identity: FileIdentity, purpose: str, randomness: Randomness) -> None:
        scalar = identity.private_key.private_numbers().private_value
        info = encode(["lastmile local", purpose])
        by = LOCAL_SUITE.ratchet_hash
        self._key = _derive(scalar.to_bytes(HALF, "big"), info, CHAIN_KEY_BYTES, by)
        self._randomness = randomness

    def seal(self, plaintext: bytes) -> bytes:
        """Returns the sealed bytes; the same plaintext gives others each time."""
        nonce = self._randomness.token(LOCAL_SUITE.nonce_bytes)
        return nonce + LOCAL_SUITE.seal(self._key, nonce, plaintext, b"")

    def open(self, sealed: bytes) -> bytes:
        """Opens what was sealed here.

        Raises:
            PeerError: Sealed by another device or for another purpose, or changed.
        """
        nonce, rest = sealed[: LOCAL_SUITE.nonce_bytes], sealed[LOCAL_SUITE.nonce_bytes :]
        return LOCAL_SUITE.open(self._key, nonce, rest, b"")

    def mac(self, content: bytes) -> bytes:
        """Returns 32 bytes that stand for content: the same each time, and telling nothing of it.

        A short number or word cannot be found by trying, for the key is this device's own.
        """
        key = _derive(self._key, b"mac", CHAIN_KEY_BYTES, LOCAL_SUITE.ratchet_hash)
        return hmac.new(key, content, hashlib.sha256).digest()


# ------------------------------------------------------------------ files
def write_new(path: Path, content: bytes) -> None:
    """Writes a secret that must not exist yet.

    Raises:
        LocalError: The file exists.
    """
    if path.exists():
        raise LocalError(
            f"{path} exists; a key is never overwritten. Remove it by hand first.", "key-exists"
        )
    write_private(path, content)


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner can read: wholly or not at all, and synced.

    Raises:
        DeviceFault: The disk is full or the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft.unlink(missing_ok=True)  # one of another owner, mode or place must not be written to
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise DeviceFault(
            f"{path} cannot be written ({error.strerror}); free some space, then repeat.",
            "key-write",
        ) from error


def sync_folder(folder: Path) -> None:
    """Makes durable which files a folder holds: a new name is lost in a power cut without.

    Raises:
        OSError: As the operating system says; the caller knows what was being kept.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeviceFault(
            f"The key {path} cannot be read ({error.strerror}). Provision this device first.",
            "key-read",
        ) from error


def _load_private(path: Path, pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise LocalError(
            f"{path} holds no P-256 private key. Provision this device again.", "key-damaged"
        )
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
