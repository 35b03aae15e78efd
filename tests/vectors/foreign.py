"""Checks vectors that others published, as far as our own code takes such input.

Place in the flow: `run` hands on a file of Project Wycheproof or of RFC 9180; a function here
judges each case with the functions that Lastmile itself calls: suites, keys, HKDF and HMAC, and
where the microcontroller has its own (AES-CCM, HKDF, HMAC) with those too.

* What our code cannot be asked (a nonce of another size than the suite's) is refused, with a
  reason, and counted apart: it is neither agreement nor difference.
* An invalid case must be refused as a fault of the peer; an acceptable one may be.
* Signatures in DER are read strictly, as r and s, and verified as ours are; as they stand none is.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge import kdf
from edge.ccm import AesCcm
from edge.errors import LocalError, PeerError
from edge.keys import HpkeKeypair, hpke_open, load_public, verifier
from edge.suites import AEADS, AES_CCM_16_128_128
from tests.vectors.own import Aes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge.suites import Aead

    Case = Mapping[str, Any]

CURVE: Final = "secp256r1"
POINT: Final = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
SCALAR_BYTES: Final = 32
P1363_BYTES: Final = 2 * SCALAR_BYTES
BASE_MODE, DHKEM_P256, HKDF_SHA256, AES_256_GCM = 0, 16, 1, 2
CIPHERS: Final = {"AESGCM": 3, "AESCCM": 30, "CHACHA20POLY1305": 24, "SM4GCM": -65_601}


class Refused(Exception):  # noqa: N818 - a verdict, not an error
    """Our code cannot be asked this; the text says why."""


def octets(case: Case, name: str) -> bytes:
    """Returns a field of hexadecimal digits as bytes."""
    return bytes.fromhex(case[name])


# ------------------------------------------------------------------ ciphers
def _check_cipher(alg: int, group: Case, case: Case) -> bool:
    """Opens with the suite of an id; a valid case seals to the very bytes too."""
    if alg not in AEADS:
        raise Refused("a cipher that this machine's OpenSSL has not got")
    suite = AEADS[alg]
    if group["keySize"] != 8 * suite.key_bytes:
        raise Refused(f"keys of {group['keySize']} bits are not in the suite table")
    if group["ivSize"] != 8 * suite.nonce_bytes:
        raise Refused(f"nonces of other than {8 * suite.nonce_bytes} bits: a suite has one size")
    if group["tagSize"] != 8 * suite.tag_bytes:
        raise Refused(f"tags of other than {8 * suite.tag_bytes} bits: a suite has one size")
    key, nonce, aad = octets(case, "key"), octets(case, "iv"), octets(case, "aad")
    sealed = octets(case, "ct") + octets(case, "tag")
    makers: list[Aead | AesCcm] = [suite]
    if alg == AES_CCM_16_128_128:
        makers.append(AesCcm(Aes))
    opened = {_opened(maker, key, nonce, sealed, aad) for maker in makers}
    if opened == {None}:
        raise PeerError("The message does not open.", "vector-tag")
    plaintext = octets(case, "msg")
    resealed = {maker.seal(key, nonce, plaintext, aad) for maker in makers}
    return opened == {plaintext} and resealed == {sealed}


def _opened(maker: Aead | AesCcm, key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> Any:
    try:
        return maker.open(key, nonce, sealed, aad)
    except PeerError:
        return None


def check_aead(algorithm: str) -> Callable[[Case, Case], bool]:
    """Returns the check of a cipher."""
    return lambda group, case: _check_cipher(CIPHERS[algorithm], group, case)


# ------------------------------------------------------------------ the curve
def _require_curve(name: str) -> None:
    if name != CURVE:
        raise Refused(f"the curve {name}: ours is P-256 alone")


def check_p1363(group: Case, case: Case) -> bool:
    """Verifies r and s side by side with the key of the group."""
    _require_curve(group["publicKey"]["curve"])
    if group["sha"] != "SHA-256":
        raise Refused(f"the hash {group['sha']}: ES256 takes SHA-256")
    verifier(octets(group["publicKey"], "uncompressed"))(octets(case, "msg"), octets(case, "sig"))
    return True


def check_der(group: Case, case: Case) -> bool:
    """Shows that no DER verifies as it stands, then verifies the r and s that it spells."""
    spelled = octets(case, "sig")
    try:
        r, s = decode_dss_signature(spelled)
        plain = r.to_bytes(SCALAR_BYTES, "big") + s.to_bytes(SCALAR_BYTES, "big")
    except (ValueError, OverflowError):
        raise PeerError("The signature is no DER of two scalars.", "vector-der") from None
    if len(spelled) != P1363_BYTES:
        try:
            check_p1363(group, case)
        except PeerError:
            return check_p1363(group, {**case, "sig": plain.hex()})
        return False
    return check_p1363(group, {**case, "sig": plain.hex()})


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _wrapped(load: Callable[[], Any]) -> Any:
    """Reads a key out of a wrapping that is not ours."""
    try:
        key = load()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PeerError("The wrapping holds no key.", "vector-wrapping") from None
    if getattr(getattr(key, "curve", None), "name", "") != CURVE:
        raise PeerError("The key is of another curve.", "vector-wrapping")
    return key


def _public(encoding: str, public: Any) -> bytes:
    """Returns the point of a public key, as the file spells it."""
    if encoding == "ecpoint":
        return bytes.fromhex(public)
    if encoding == "webcrypto":
        if public.get("crv") != "P-256":
            raise PeerError("The key is of another curve.", "vector-wrapping")
        return b"\x04" + b"".join(_unpadded(public[name]) for name in ("x", "y"))
    load = serialization.load_der_public_key
    data = bytes.fromhex(public) if encoding == "asn" else public.encode()
    if encoding == "pem":
        load = serialization.load_pem_public_key
    point: bytes = _wrapped(lambda: load(data)).public_bytes(*POINT)
    return point


def _private(encoding: str, private: Any) -> ec.EllipticCurvePrivateKey:
    if encoding == "pem":
        key = _wrapped(lambda: serialization.load_pem_private_key(private.encode(), None))
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key
    if encoding == "webcrypto":
        private = _unpadded(private["d"]).hex()
    return ec.derive_private_key(int(private, 16), ec.SECP256R1())


def check_ecdh(group: Case, case: Case) -> bool:
    """Agrees on a secret with a point that `edge.keys` takes for one of the curve."""
    _require_curve(group["curve"])
    public = load_public(_public(group["encoding"], case["public"]))
    private = _private(group["encoding"], case["private"])
    return private.exchange(ec.ECDH(), public) == octets(case, "shared")


# ------------------------------------------------------------------ keys out of keys
def check_hkdf(_: Case, case: Case) -> bool:
    """Derives as `edge.keys.ratchet` does, and as the microcontroller does."""
    secret, size, info, salt = (
        octets(case, "ikm"), case["size"], octets(case, "info"), octets(case, "salt"),
    )  # fmt: skip
    try:
        worker = HKDF(hashes.SHA256(), size, salt=salt, info=info)
        derived = worker.derive(secret)
        same = kdf.hkdf(secret, size, info, salt) == derived
    except (ValueError, LocalError):
        raise PeerError("Too long for HKDF.", "vector-size") from None
    return same and derived == octets(case, "okm")


def _check_mac(algorithm: hashes.HashAlgorithm, group: Case, case: Case) -> bool:
    """Authenticates; a tag of less than 32 bytes is the beginning of the whole."""
    try:
        worker = HMAC(octets(case, "key"), algorithm)
    except UnsupportedAlgorithm:
        raise Refused("a hash that this machine's OpenSSL has not got") from None
    worker.update(octets(case, "msg"))
    whole, tag, size = worker.copy().finalize(), octets(case, "tag"), group["tagSize"] // 8
    ours = isinstance(algorithm, hashes.SHA256)
    if ours and kdf.hmac(octets(case, "key"), octets(case, "msg")) != whole:
        return False
    if size < algorithm.digest_size:
        return _refuse_unless(whole[:size] == tag)
    try:
        worker.verify(tag)
    except InvalidSignature:
        return _refuse_unless(same=False)
    return True


def check_hmac(algorithm: hashes.HashAlgorithm) -> Callable[[Case, Case], bool]:
    """Returns the check of HMAC with a hash."""
    return lambda group, case: _check_mac(algorithm, group, case)


def _refuse_unless(same: bool) -> bool:
    if not same:
        raise PeerError("The tag is wrong.", "vector-tag")
    return True


def check_hpke(_: Case, case: Case) -> bool:
    """Opens with `edge.keys.hpke_open` what the RFC's own key and nonce seal.

    Single-shot HPKE has no aad and the RFC's messages have one, so its message is checked with its
    key, and then sealed without aad: our code must come to the same key from the private key alone.
    """
    if case["mode"] != BASE_MODE:
        raise Refused("modes with a shared or a sender's key: we seal in base mode")
    if (case["kem_id"], case["kdf_id"], case["aead_id"]) != (DHKEM_P256, HKDF_SHA256, AES_256_GCM):
        raise Refused("other suites than DHKEM(P-256), HKDF-SHA256, AES-256-GCM")
    cipher, nonce = AESGCM(octets(case, "key")), octets(case, "base_nonce")
    first = case["encryptions"][0]
    text, aad = octets(first, "pt"), octets(first, "aad")
    private = ec.derive_private_key(int(case["skRm"], 16), ec.SECP256R1())
    sealed = octets(case, "enc") + cipher.encrypt(nonce, text, b"")
    return (
        cipher.encrypt(nonce, text, aad) == octets(first, "ct")
        and HpkeKeypair(private).public_bytes == octets(case, "pkRm")
        and hpke_open(HpkeKeypair(private), sealed, octets(case, "info")) == text
    )


ALGORITHMS: Final[Mapping[str, Callable[[Case, Case], bool]]] = {
    **{f"aead {name}": check_aead(name) for name in CIPHERS},
    "ecdsa_p1363_verify ECDSA": check_p1363,
    "ecdsa_verify ECDSA": check_der,
    "ecdh ECDH": check_ecdh,
    "ecdh_ecpoint ECDH": check_ecdh,
    "ecdh_pem ECDH": check_ecdh,
    "ecdh_webcrypto ECDH": check_ecdh,
    "hkdf HKDFSHA256": check_hkdf,
    "mac HMACSHA256": check_hmac(hashes.SHA256()),
    "mac HMACSM3": check_hmac(hashes.SM3()),
}


def _name_of(content: Mapping[str, Any]) -> str:
    """Returns schema and algorithm, without what differs between releases of the same."""
    schema = str(content.get("schema")).removesuffix(".json").removesuffix("_v1")
    algorithm = str(content.get("algorithm")).upper()
    kind = schema.removesuffix("_schema").removesuffix("_test")
    return f"{kind} {algorithm.replace('-', '').replace('_', '')}"


def cases_of(content: Any) -> Iterator[tuple[str, Case, Case]] | None:
    """Yields (algorithm, group, case) of a file, or returns None where it is not one of those."""
    if isinstance(content, list) and content and "kem_id" in content[0]:
        return (
            ("hpke", case, {"tcId": n, "result": "valid", **case}) for n, case in enumerate(content)
        )
    if not isinstance(content, dict) or "testGroups" not in content:
        return None
    name = _name_of(content)
    if name not in ALGORITHMS:
        return None
    return ((name, group, case) for group in content["testGroups"] for case in group["tests"])


def judge(algorithm: str, group: Case, case: Case) -> str:
    """Returns `agree`, `refused: ` with a reason, or how our code and the case differ."""
    check = check_hpke if algorithm == "hpke" else ALGORITHMS[algorithm]
    valid, may_be_refused = case["result"] != "invalid", case["result"] != "valid"
    try:
        same = check(group, case)
    except Refused as reason:
        return f"refused: {reason}"
    except PeerError as refusal:
        return "agree" if may_be_refused else f"refused as {refusal.code}"
    if not valid:
        return "taken, though it is invalid"
    return "agree" if same else "another result"
