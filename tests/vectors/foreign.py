"""Checks vectors that others published, as far as our own code takes such input.

Place in the flow: `run` hands on a file of Project Wycheproof or of RFC 9180; a function here
judges each case with the function that Lastmile itself calls: suites, keys, HKDF and HMAC.

* What our code cannot be asked (a nonce of another size than the suite's) is refused, with a
  reason, and counted apart: it is neither agreement nor difference.
* An invalid case must be refused as a fault of the peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.errors import PeerError
from edge.keys import HpkeKeypair, hpke_open, verifier
from edge.suites import A256GCM, AEADS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Case = Mapping[str, Any]

P1363_BYTES: Final = 64
BASE_MODE, DHKEM_P256, HKDF_SHA256, AES_256_GCM = 0, 16, 1, 2


class Refused(Exception):  # noqa: N818 - a verdict, not an error
    """Our code cannot be asked this; the text says why."""


def octets(case: Case, name: str) -> bytes:
    """Returns a field of hexadecimal digits as bytes."""
    return bytes.fromhex(case[name])


def check_gcm(group: Case, case: Case) -> bool:
    """Opens with the suite A256GCM; a valid case seals to the very bytes too."""
    suite = AEADS[A256GCM]
    if group["keySize"] != 8 * suite.key_bytes:
        raise Refused(f"keys of {group['keySize']} bits are not in the suite table")
    if group["ivSize"] != 8 * suite.nonce_bytes:
        raise Refused("nonces of other than 96 bits: a suite has one size")
    key, nonce, aad = octets(case, "key"), octets(case, "iv"), octets(case, "aad")
    sealed = octets(case, "ct") + octets(case, "tag")
    plaintext = suite.open(key, nonce, sealed, aad)
    return plaintext == octets(case, "msg") and suite.seal(key, nonce, plaintext, aad) == sealed


def check_p1363(group: Case, case: Case) -> bool:
    """Verifies r and s side by side with the key of the group."""
    verifier(octets(group["publicKey"], "uncompressed"))(octets(case, "msg"), octets(case, "sig"))
    return True


def check_der(group: Case, case: Case) -> bool:
    """Shows that no signature in DER verifies, whatever it signs."""
    if len(octets(case, "sig")) == P1363_BYTES:
        raise Refused("DER of 64 bytes, the length of r and s side by side")
    try:
        check_p1363(group, case)
    except PeerError:
        if case["result"] == "valid":
            raise Refused("signatures in DER: ours are r and s side by side") from None
        raise
    return True


def check_hkdf(_: Case, case: Case) -> bool:
    """Derives as `edge.keys.ratchet` does."""
    try:
        worker = HKDF(
            hashes.SHA256(), case["size"], salt=octets(case, "salt"), info=octets(case, "info")
        )
    except ValueError:
        raise PeerError("Too long for HKDF.", "vector-size") from None
    return worker.derive(octets(case, "ikm")) == octets(case, "okm")


def check_hmac(group: Case, case: Case) -> bool:
    """Authenticates; a tag of less than 32 bytes is the beginning of the whole."""
    worker = HMAC(octets(case, "key"), hashes.SHA256())
    worker.update(octets(case, "msg"))
    whole, tag = worker.copy(), octets(case, "tag")
    size = group["tagSize"] // 8
    if size < hashes.SHA256.digest_size:
        return _refuse_unless(whole.finalize()[:size] == tag)
    try:
        worker.verify(tag)
    except InvalidSignature:
        return _refuse_unless(same=False)
    return True


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
    "aead_test_schema_v1.json AES-GCM": check_gcm,
    "ecdsa_p1363_verify_schema_v1.json ECDSA": check_p1363,
    "ecdsa_verify_schema_v1.json ECDSA": check_der,
    "hkdf_test_schema_v1.json HKDF-SHA-256": check_hkdf,
    "mac_test_schema_v1.json HMACSHA256": check_hmac,
}


def cases_of(content: Any) -> Iterator[tuple[str, Case, Case]] | None:
    """Yields (algorithm, group, case) of a file, or returns None where it is not one of those."""
    if isinstance(content, list) and content and "kem_id" in content[0]:
        return (
            ("hpke", case, {"tcId": n, "result": "valid", **case}) for n, case in enumerate(content)
        )
    if not isinstance(content, dict) or "testGroups" not in content:
        return None
    name = f"{content.get('schema')} {content.get('algorithm')}"
    if name not in ALGORITHMS:
        return None
    return ((name, group, case) for group in content["testGroups"] for case in group["tests"])


def judge(algorithm: str, group: Case, case: Case) -> str:
    """Returns `agree`, `refused: ` with a reason, or how our code and the case differ."""
    check = check_hpke if algorithm == "hpke" else ALGORITHMS[algorithm]
    valid = case["result"] == "valid"
    try:
        same = check(group, case)
    except Refused as reason:
        return f"refused: {reason}"
    except PeerError as refusal:
        return f"refused as {refusal.code}" if valid else "agree"
    if not valid:
        return "taken, though it is invalid"
    return "agree" if same else "another result"
