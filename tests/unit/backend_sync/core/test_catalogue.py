"""Claims about catalogues: signed, counted up, named by the exact bytes that go down first."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.catalogue import publish_catalogue, read_documents
from backend_sync.core.downlink import SCOPES
from edge.codec import decode
from edge.errors import LocalError, PeerError
from edge.keys import open_evidence, verifier
from edge.purposes import CATALOGUE_TOPIC
from tests.unit.backend_sync.core.village import DAY_US, NOW_US, Village

if TYPE_CHECKING:
    from pathlib import Path

CASH = b'{"id": "cash", "version": 1}'
BILLS = b'{"id": "bills", "version": 1}'


def offer(village: Village, documents: dict[str, bytes], now_us: int = NOW_US) -> int:
    return publish_catalogue(
        village.connection, village.catalogue, "kiosk-1", documents, now_us, 30
    )


def told(village: Village, scope: str) -> dict[str, Any]:
    rows = village.connection.execute(
        "SELECT key, value FROM downlink_items WHERE scope = %s AND value IS NOT NULL", [scope]
    )
    return {key: decode(bytes(value)) for key, value in rows.fetchall()}


def manifest(village: Village) -> dict[str, Any]:
    verify = verifier(village.catalogue.public_bytes)
    return open_evidence(
        told(village, "catalogue")["current"], verify, CATALOGUE_TOPIC, "catalogue"
    )


def test_a_manifest_names_every_service_by_its_exact_bytes(village: Village) -> None:
    assert offer(village, {"cash": CASH, "bills": BILLS}) == 1
    said = manifest(village)
    assert (said["target"], said["seq"], said["valid_to_us"]) == (
        "kiosk-1",
        1,
        NOW_US + 30 * DAY_US,
    )
    blobs = told(village, "blobs")
    assert {name: blobs[sha256] for name, sha256 in said["services"].items()} == {
        "cash": CASH,
        "bills": BILLS,
    }
    assert SCOPES.index("blobs") < SCOPES.index("catalogue")


def test_publishing_the_same_services_again_is_free(village: Village) -> None:
    assert [offer(village, {"cash": CASH}) for _ in range(2)] == [1, 1]
    assert village.number("SELECT count(*) FROM catalogues") == 1


def test_another_service_or_an_expired_manifest_counts_up(village: Village) -> None:
    offer(village, {"cash": CASH})
    assert offer(village, {"cash": CASH + b" "}) == 2
    assert offer(village, {"cash": CASH + b" "}, NOW_US + 31 * DAY_US) == 3
    assert manifest(village)["seq"] == 3


def test_a_document_that_no_manifest_names_is_taken_back(village: Village) -> None:
    offer(village, {"cash": CASH, "bills": BILLS})
    offer(village, {"cash": CASH})
    assert set(told(village, "blobs")) == {hashlib.sha256(CASH).hexdigest()}


def test_the_cores_own_key_does_not_pass_for_the_catalogues(village: Village) -> None:
    offer(village, {"cash": CASH})
    message = told(village, "catalogue")["current"]
    with pytest.raises(PeerError):
        open_evidence(message, verifier(village.core.public_bytes), CATALOGUE_TOPIC, "catalogue")


def test_a_catalogue_needs_a_kiosk_and_a_document(village: Village) -> None:
    with pytest.raises(LocalError, match="registered kiosk"):
        publish_catalogue(village.connection, village.catalogue, "kiosk-7", {"a": CASH}, NOW_US, 1)
    with pytest.raises(LocalError, match="a document"):
        offer(village, {})


def test_files_are_read_by_the_id_they_give_themselves(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(CASH)
    assert read_documents([tmp_path / "a.json"]) == {"cash": CASH}
    with pytest.raises(LocalError, match="Two of the files"):
        read_documents([tmp_path / "a.json"] * 2)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"id": ""}', b'{"id": 7}', b"\xff"])
def test_a_file_that_is_no_service_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(LocalError):
        read_documents([tmp_path / "a.json"])


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be read"):
        read_documents([tmp_path / "gone.json"])
    (tmp_path / "big.json").write_bytes(b" " * 300_000)
    with pytest.raises(LocalError, match="longer than"):
        read_documents([tmp_path / "big.json"])
