"""Claims about vectors in the schemas of Project Wycheproof: each judge agrees, and sees a lie.

The files here are small ones of our own making, in the public schemas; `dev.py vectors DIR` runs
the published ones, and test_vectors.py those of them that are at hand.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC

from edge import ccm, kdf
from edge.errors import PeerError
from tests.vectors import foreign
from tests.vectors.run import Tally, run_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAIN, AAD = b"ten seconds of a drive", b"lastmile/v1/org/box-1/up"
OURS = ec.derive_private_key(2**200 + 1, ec.SECP256R1())
THEIRS = ec.derive_private_key(2**201 + 7, ec.SECP256R1())
SHARED = OURS.exchange(ec.ECDH(), THEIRS.public_key()).hex()


def file_of(schema: str, algorithm: str, group: dict[str, Any], tests: list[Any]) -> dict[str, Any]:
    numbered = [{"tcId": number, **test} for number, test in enumerate(tests, start=1)]
    return {
        "schema": schema,
        "algorithm": algorithm,
        "testGroups": [{**group, "tests": numbered}],
    }


def run(tmp_path: Path, content: Any) -> Tally:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    tally = run_file(path)
    assert tally is not None
    return tally


def changed(value: str) -> str:
    return f"{int(value[:2], 16) ^ 1:02x}{value[2:]}"


# ------------------------------------------------------------------ ciphers
def sm4_gcm(key: bytes, nonce: bytes) -> bytes:
    worker = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
    worker.authenticate_additional_data(AAD)
    return worker.update(PLAIN) + worker.finalize() + worker.tag


CIPHERS: dict[str, tuple[int, int, Callable[[bytes, bytes], bytes]]] = {
    "AES-CCM": (16, 13, lambda key, nonce: AESCCM(key).encrypt(nonce, PLAIN, AAD)),
    "CHACHA20-POLY1305": (32, 12, lambda k, n: ChaCha20Poly1305(k).encrypt(n, PLAIN, AAD)),
    "SM4-GCM": (16, 12, sm4_gcm),
}


def aead_file(algorithm: str, **sizes: int) -> dict[str, Any]:
    key_bytes, nonce_bytes, seal = CIPHERS[algorithm]
    key, nonce = bytes(range(key_bytes)), bytes(range(nonce_bytes))
    sealed = seal(key, nonce)
    fields = {"key": key, "iv": nonce, "aad": AAD, "msg": PLAIN}
    good = {name: value.hex() for name, value in fields.items()}
    good |= {"ct": sealed[:-16].hex(), "tag": sealed[-16:].hex(), "result": "valid"}
    bad = [
        {**good, name: changed(good[name]), "result": "invalid"}
        for name in ("key", "iv", "aad", "ct", "tag")
    ]
    group = {"keySize": 8 * key_bytes, "ivSize": 8 * nonce_bytes, "tagSize": 128, **sizes}
    return file_of("aead_test_schema_v1.json", algorithm, group, [good, *bad])


@pytest.mark.parametrize("algorithm", CIPHERS)
def test_a_cipher_of_the_table_agrees(algorithm: str, tmp_path: Path) -> None:
    tally = run(tmp_path, aead_file(algorithm))
    assert (tally.agree, tally.differences, tally.refused) == (6, [], {})


@pytest.mark.parametrize("algorithm", CIPHERS)
@pytest.mark.parametrize("field", ["key", "iv", "aad", "msg", "ct", "tag"])
def test_a_spoilt_sealing_shows(algorithm: str, field: str, tmp_path: Path) -> None:
    content = aead_file(algorithm)
    good = content["testGroups"][0]["tests"][0]
    good[field] = changed(good[field])
    assert len(run(tmp_path, content).differences) == 1


@pytest.mark.parametrize("algorithm", CIPHERS)
def test_a_good_sealing_that_is_called_invalid_shows(algorithm: str, tmp_path: Path) -> None:
    content = aead_file(algorithm)
    content["testGroups"][0]["tests"][0]["result"] = "invalid"
    assert run(tmp_path, content).differences == ["case 1: taken, though it is invalid"]


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [({"keySize": 192}, "keys of 192"), ({"ivSize": 56}, "nonces"), ({"tagSize": 32}, "tags")],
)
def test_sizes_outside_the_table_are_refused_with_a_reason(
    sizes: dict[str, int], reason: str, tmp_path: Path
) -> None:
    tally = run(tmp_path, aead_file("AES-CCM", **sizes))
    assert sum(tally.refused.values()) == 6
    assert all(told.startswith(reason) for told in tally.refused)


def test_a_cipher_that_openssl_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "AEADS", {})
    tally = run(tmp_path, aead_file("SM4-GCM"))
    assert dict(tally.refused) == {"a cipher that this machine's OpenSSL has not got": 6}


def test_the_microcontrollers_ccm_is_judged_beside_that_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opens_anything(*_: Any) -> bytes:
        return PLAIN

    def opens_nothing(*_: Any) -> bytes:
        raise PeerError("no", "seal-tag")

    monkeypatch.setattr(ccm.AesCcm, "open", opens_anything)
    assert len(run(tmp_path, aead_file("AES-CCM")).differences) == 5
    monkeypatch.setattr(ccm.AesCcm, "open", opens_nothing)
    assert len(run(tmp_path, aead_file("AES-CCM")).differences) == 1


# ------------------------------------------------------------------ the curve
def spelled(key: ec.EllipticCurvePrivateKey, encoding: str) -> Any:
    """The public key as the files of one encoding spell it."""
    public = key.public_key()
    numbers = public.public_numbers()
    if encoding == "webcrypto":
        return {"kty": "EC", "crv": "P-256", "x": scalar(numbers.x), "y": scalar(numbers.y)}
    shapes = {
        "ecpoint": (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
        "asn": (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        "pem": (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    }
    data = public.public_bytes(*shapes[encoding])
    return data.decode() if encoding == "pem" else data.hex()


def scalar(number: int) -> str:
    return urlsafe_b64encode(number.to_bytes(32, "big")).decode().rstrip("=")


def private(encoding: str) -> Any:
    value = OURS.private_numbers().private_value
    if encoding == "webcrypto":
        return {"kty": "EC", "crv": "P-256", "d": scalar(value)}
    if encoding == "pem":
        return OURS.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
    return f"00{value:064x}"


SCHEMAS = {
    "asn": "ecdh_test_schema.json",
    "ecpoint": "ecdh_ecpoint_test_schema_v1.json",
    "pem": "ecdh_pem_test_schema_v1.json",
    "webcrypto": "ecdh_webcrypto_test_schema_v1.json",
}
ELSEWHERE = ec.derive_private_key(5, ec.SECP384R1())


def ecdh_file(encoding: str) -> dict[str, Any]:
    good = {
        "public": spelled(THEIRS, encoding),
        "private": private(encoding),
        "shared": SHARED,
        "result": "valid",
    }
    wrong = {**good, "result": "invalid", "public": broken(encoding)}
    group = {"curve": "secp256r1", "encoding": encoding}
    return file_of(
        SCHEMAS[encoding], "ECDH", group, [good, wrong, {**wrong, "result": "acceptable"}]
    )


def broken(encoding: str) -> Any:
    if encoding == "webcrypto":
        return {**spelled(THEIRS, encoding), "y": scalar(1)}
    if encoding == "pem":
        return spelled(ELSEWHERE, encoding)
    good: str = spelled(THEIRS, encoding)
    return good[:-2] + f"{int(good[-2:], 16) ^ 1:02x}"


@pytest.mark.parametrize("encoding", SCHEMAS)
def test_a_secret_of_two_agrees_and_points_off_the_curve_are_refused(
    encoding: str, tmp_path: Path
) -> None:
    tally = run(tmp_path, ecdh_file(encoding))
    assert (tally.agree, tally.differences, tally.refused) == (3, [], {})


@pytest.mark.parametrize("encoding", SCHEMAS)
def test_a_spoilt_secret_shows(encoding: str, tmp_path: Path) -> None:
    content = ecdh_file(encoding)
    content["testGroups"][0]["tests"][0]["shared"] = changed(SHARED)
    assert run(tmp_path, content).differences == ["case 1: another result"]
    content["testGroups"][0]["tests"][0] |= {"shared": SHARED, "result": "invalid"}
    assert run(tmp_path, content).differences == ["case 1: taken, though it is invalid"]


def test_keys_in_a_wrapping_of_nothing_or_of_another_curve_are_refused(tmp_path: Path) -> None:
    content = ecdh_file("asn")
    tests = content["testGroups"][0]["tests"]
    tests[1]["public"] = "3003020101"
    tests[2]["public"] = spelled(ELSEWHERE, "asn")
    assert run(tmp_path, content).agree == 3
    content = ecdh_file("webcrypto")
    content["testGroups"][0]["tests"][1]["public"]["crv"] = "P-384"
    assert run(tmp_path, content).agree == 3


def test_another_curve_or_hash_is_refused_with_a_reason(tmp_path: Path) -> None:
    content = ecdh_file("ecpoint")
    content["testGroups"][0]["curve"] = "secp384r1"
    assert dict(run(tmp_path, content).refused) == {"the curve secp384r1: ours is P-256 alone": 3}
    for public, sha in (("secp256k1", "SHA-256"), ("secp256r1", "SHA-512")):
        group = {"publicKey": {"curve": public, "uncompressed": "04"}, "sha": sha}
        tests = [{"msg": "", "sig": "00" * 64, "result": "invalid"}]
        content = file_of("ecdsa_p1363_verify_schema_v1.json", "ECDSA", group, tests)
        assert sum(run(tmp_path, content).refused.values()) == 1


def ecdsa_der(**spoilt: Any) -> dict[str, Any]:
    signature = OURS.sign(b"message", ec.ECDSA(hashes.SHA256())).hex()
    key = {"curve": "secp256r1", "uncompressed": spelled(OURS, "ecpoint")}
    good = {"msg": b"message".hex(), "sig": signature, "result": "valid"}
    bad = [
        {**good, "msg": "00"},
        {**good, "sig": signature + "00"},
        {**good, "sig": signature[:-2]},
        {**good, "sig": "3081" + signature[2:]},  # a length in two bytes where one would do
        {**good, "sig": "30060201ff020101"},  # r below zero
        {**good, "sig": "302602210100" + "00" * 31 + "020101"},  # r of 33 bytes
        {**good, "sig": "303e021f01" + "00" * 30 + "021b01" + "00" * 26},  # 64 bytes, as ours have
    ]
    tests = [{**good, **spoilt}, *({**test, "result": "invalid"} for test in bad)]
    group = {"publicKey": key, "sha": "SHA-256"}
    return file_of("ecdsa_verify_schema_v1.json", "ECDSA", group, tests)


def test_a_signature_in_der_agrees_once_it_is_read_strictly(tmp_path: Path) -> None:
    tally = run(tmp_path, ecdsa_der())
    assert (tally.agree, tally.differences, tally.refused) == (8, [], {})


def test_a_spoilt_signature_in_der_shows(tmp_path: Path) -> None:
    assert len(run(tmp_path, ecdsa_der(msg="00")).differences) == 1
    assert len(run(tmp_path, ecdsa_der(result="invalid")).differences) == 1


def test_a_verifier_that_took_der_as_it_stands_would_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "verifier", lambda _: lambda _message, _signature: None)
    assert len(run(tmp_path, ecdsa_der()).differences) >= 1


# ------------------------------------------------------------------ keys out of keys
MACS = {"HMACSM3": hashes.SM3(), "HMAC-SHA256": hashes.SHA256()}


def mac_file(algorithm: str, size: int) -> dict[str, Any]:
    worker = HMAC(b"key", MACS[algorithm])
    worker.update(PLAIN)
    tag = worker.finalize()[:size].hex()
    good = {"key": b"key".hex(), "msg": PLAIN.hex(), "tag": tag, "result": "valid"}
    bad = {**good, "tag": changed(tag), "result": "invalid"}
    return file_of("mac_test_schema_v1.json", algorithm, {"tagSize": 8 * size}, [good, bad])


@pytest.mark.parametrize("algorithm", MACS)
@pytest.mark.parametrize("size", [16, 32])
def test_a_mac_agrees_and_a_spoilt_one_shows(algorithm: str, size: int, tmp_path: Path) -> None:
    content = mac_file(algorithm, size)
    tally = run(tmp_path, content)
    assert (tally.agree, tally.differences, tally.refused) == (2, [], {})
    content["testGroups"][0]["tests"][0]["msg"] = "00"
    assert len(run(tmp_path, content).differences) == 1


def test_the_microcontrollers_hmac_is_judged_beside_that_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdf, "hmac", lambda _key, _message: bytes(32))
    assert len(run(tmp_path, mac_file("HMAC-SHA256", 32)).differences) == 2
    assert not run(tmp_path, mac_file("HMACSM3", 32)).differences
