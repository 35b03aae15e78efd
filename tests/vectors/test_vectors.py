"""Claims about vectors: ours and those of others agree with our code, and a difference shows."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.vectors.run import OWN, SCHEMA, main, run_file, run_folder

if TYPE_CHECKING:
    from pathlib import Path

# Released vectors are never edited: other implementations are built on them. New cases go into
# new files.
RELEASED: dict[str, str] = {
    "chain.json": "20b0debf29592141e17a3056980d8f701816397bbfc2127be533962c1a7978dc",
    "codec.json": "0a8adb53be51abd05d07a93594f15681785f4621b30a3824422abb7232c1f892",
    "columns.json": "64c57bf0bbbf71157a2956346793e2952c2184c74feb61f6d2ba5a971750e620",
    "columns2.json": "080277f6b2c31b194569fcfedbe699fb15357cf1a709ac816f31ab5ba77c72f2",
    "envelope.json": "6fdde789bbc0fd2dd1fb460784d2e9828a383799aa3503ce0d933074a24400cb",
    "journal.json": "0e53b24a5e514c74f5fffb0e6667803cde41433f223eff881c40ebc657f23678",
    "primitives.json": "6076aaf188eed832e49e80cbec0b4183141fa5af7f54abfb7e89f053051fe85b",
    "suites.json": "d50d79b09fd37cec7149e81f01c2657c467ad81567424ae8ffd0764b0438da2d",
}
AGREED = {
    "aes_gcm_test.json": 66,
    "ecdsa_secp256r1_sha256_p1363_test.json": 262,
    "ecdsa_secp256r1_sha256_test.json": 484,
    "hkdf_sha256_test.json": 86,
    "hmac_sha256_test.json": 174,
    "rfc9180_base_vectors.json": 1,
}


@pytest.mark.parametrize("name", RELEASED)
def test_released_vectors_are_as_they_were_released(name: str) -> None:
    assert hashlib.sha256((OWN / name).read_bytes()).hexdigest() == RELEASED[name]


def test_our_code_agrees_with_our_vectors() -> None:
    tallies, others = run_folder(OWN)
    assert {tally.name for tally in tallies} >= set(RELEASED)
    assert not others
    for tally in tallies:
        assert not tally.differences
        assert not tally.refused
        assert tally.agree


def test_our_code_agrees_with_the_vectors_of_others(real_data: Path) -> None:
    tallies, _ = run_folder(real_data / "vectors")
    assert {tally.name: tally.agree for tally in tallies} == AGREED
    assert not [tally.differences for tally in tallies if tally.differences]


def spoilt(name: str, subject: str, **changed: Any) -> dict[str, Any]:
    """The first case of a subject, with something else in it."""
    suites = json.loads((OWN / name).read_text(encoding="utf-8"))["suites"]
    case = next(suite for suite in suites if suite["subject"] == subject)["cases"][0]
    spoilt_suite = {"subject": subject, "cases": [{**case, **changed}]}
    return {"schema": SCHEMA, "suites": [spoilt_suite]}


SPOILT = {
    "another value": spoilt("codec.json", "codec", value=7),
    "an invalid case that is taken": spoilt("codec.json", "codec", result="invalid"),
    "a valid case that is refused": spoilt("codec.json", "codec", hex="ff"),
    "another plaintext": spoilt("envelope.json", "encrypt0", plaintext="00"),
    "another payload": spoilt("envelope.json", "sign1", payload="a0"),
    "another key": spoilt("envelope.json", "ratchet", key="00"),
    "another operation id": spoilt("journal.json", "journal", op_id="00"),
    "another epoch close": spoilt("chain.json", "chain", close="00"),
    "a head that is missing": spoilt("chain.json", "chain", steps=[]),
    "other plaintexts of an epoch": spoilt("chain.json", "epoch", plaintexts=["00"]),
    "a refusal for another reason": spoilt(
        "chain.json", "epoch", result="invalid", start="", code="seal-tag"
    ),
    "a refusal of ours": spoilt("primitives.json", "ccm", result="invalid", key=""),
    "another code": spoilt("primitives.json", "ccm", result="invalid", code="other", sealed=""),
    "another tag": spoilt("primitives.json", "hmac", tag="00"),
    "other key material": spoilt("primitives.json", "hkdf", okm="00"),
    "another sealing": spoilt("primitives.json", "ccm", plaintext="00"),
    "another encoding": spoilt("primitives.json", "encode", hex="00"),
    "another expansion": spoilt("primitives.json", "inflate", plain="00"),
    "other columns": spoilt("columns.json", "columns", groups=[{"times_us": [1], "series": {}}]),
}


@pytest.mark.parametrize("claim", SPOILT)
def test_a_difference_shows_and_ends_with_1(
    claim: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spoilt.json").write_text(json.dumps(SPOILT[claim]), encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


WYCHEPROOF = {
    "aes_gcm_test.json": ("tag", "00" * 16),
    "ecdsa_secp256r1_sha256_p1363_test.json": ("sig", "00" * 64),
    "hkdf_sha256_test.json": ("okm", "00"),
    "hmac_sha256_test.json": ("tag", "00" * 32),
}


@pytest.mark.parametrize("name", WYCHEPROOF)
def test_a_spoilt_vector_of_others_shows(name: str, real_data: Path, tmp_path: Path) -> None:
    field, value = WYCHEPROOF[name]
    content = json.loads((real_data / "vectors" / name).read_text(encoding="utf-8"))
    for group in content["testGroups"]:
        for case in group["tests"]:
            if case["result"] == "valid":
                case[field] = value
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    tally = run_file(tmp_path / name)
    assert tally is not None
    assert tally.differences


def test_a_spoilt_vector_of_the_rfc_shows(real_data: Path, tmp_path: Path) -> None:
    name = "rfc9180_base_vectors.json"
    content = json.loads((real_data / "vectors" / name).read_text(encoding="utf-8"))
    for case in content:
        case["info"] = "00"
    (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    tally = run_file(tmp_path / name)
    assert tally is not None
    assert len(tally.differences) == 1


def test_files_without_vectors_are_named_and_a_folder_of_none_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, text in enumerate(("{}", "[]", '{"testGroups": [], "algorithm": "ROT13"}')):
        (tmp_path / f"{number}.json").write_text(text, encoding="utf-8")
    assert main([str(tmp_path)]) == 2
    out = capsys.readouterr()
    assert out.out.count("holds no vectors that we know") == 3
    assert "Name a folder" in out.err


def test_our_own_vectors_run_when_no_folder_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(told) == ["agree", "differ", "refused"]
    assert told["agree"] > 300
    assert told["differ"] == 0
