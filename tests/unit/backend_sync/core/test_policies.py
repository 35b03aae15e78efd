"""Claims about policies and the core's HPKE keys: issued once, rotated whole, found when new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from backend_sync.core import policies
from backend_sync.core.keypairs import KeyFolder, load_folder
from backend_sync.core.policies import (
    Issuer,
    ensure_policy,
    ensure_present,
    find_present,
    read_algorithms,
    rotate_key,
)
from backend_sync.core.registry import add_device
from edge.errors import DeviceFault, LocalError
from edge.keys import FileIdentity, verifier
from edge.policy import Policy, hpke_id, open_policy

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.core.database import Connection


@dataclass
class Office:
    """A core's folder of keys and its register."""

    connection: Connection
    folder: Path
    signer: FileIdentity

    @property
    def issuer(self) -> Issuer:
        """As a process that starts now has it."""
        return Issuer(self.signer, KeyFolder(self.folder))

    def issue(self, device: str, *algs: int) -> Policy:
        message = ensure_policy(self.connection, self.issuer, device, algs or (3, 30), 1)
        return open_policy(message, verifier(self.signer.public_bytes), device)

    def rotate(self) -> tuple[bytes, list[str]]:
        pairs = KeyFolder(self.folder)
        return rotate_key(self.connection, Issuer(self.signer, pairs), pairs.create, 2)

    def newest(self, device: str) -> Policy:
        row = self.connection.execute(
            "SELECT message FROM policies WHERE device = %s ORDER BY seq DESC LIMIT 1", [device]
        ).fetchone()
        assert row is not None
        return open_policy(row[0], verifier(self.signer.public_bytes), device)


@pytest.fixture
def office(connection: Connection, tmp_path: Path) -> Office:
    """A core with two gateways, and a third that was retired."""
    signer = FileIdentity.create(tmp_path / "core.pem", "core")
    KeyFolder(tmp_path / "keys").create()
    for number in (1, 2, 3):
        add_device(connection, f"box-{number}", "gateway", bytes([number]) * 65, "", 1)
    add_device(connection, "kiosk-1", "kiosk", b"\x09" * 65, "", 1)
    connection.execute(
        "UPDATE devices SET state = 'retired', state_reason = 'sold' WHERE device = 'box-3'"
    )
    return Office(connection, tmp_path / "keys", signer)


def test_a_policy_with_the_same_content_is_not_issued_again(office: Office) -> None:
    assert office.issue("box-1").seq == office.issue("box-1").seq == 1
    second = office.issue("box-1", 30)
    assert (second.seq, second.algs) == (2, (30,))
    assert office.issue("box-1").seq == 3


def test_a_rotation_issues_every_gateway_a_policy_and_keeps_its_algorithms(office: Office) -> None:
    before = office.issue("box-1", 24)
    key_id, told = office.rotate()
    assert told == ["box-1", "box-2"]
    after = office.newest("box-1")
    assert (after.seq, after.algs, after.hpke_id) == (2, (24,), key_id)
    assert after.hpke_id != before.hpke_id
    assert office.newest("box-2").algs == (3, 30)
    assert office.issue("box-1", 24) == after


def test_a_power_cut_between_file_and_database_leaves_a_key_that_the_next_rotation_uses(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = office.issue("box-1")

    def cut(*_: object) -> None:
        raise psycopg.OperationalError("the power is gone")

    with monkeypatch.context() as patch:
        patch.setattr(policies, "_issue", cut)
        with pytest.raises(psycopg.OperationalError):
            office.rotate()
    assert len(KeyFolder(office.folder)) == 2
    assert find_present(office.connection) == first.hpke_id
    assert office.issue("box-1") == first
    key_id, _ = office.rotate()
    assert len(KeyFolder(office.folder)) == 2
    assert office.newest("box-1").hpke_id == key_id != first.hpke_id


def test_the_first_key_is_that_of_init_even_when_a_rotation_was_cut_short_before(
    office: Office,
) -> None:
    first = next(iter(KeyFolder(office.folder)))
    KeyFolder(office.folder).create()
    assert ensure_present(office.connection, KeyFolder(office.folder), 1) == first


def test_a_present_key_whose_file_is_lost_is_named_and_nothing_is_issued(office: Office) -> None:
    office.issue("box-1")
    (office.folder / "hpke.pem").rename(office.folder / "gone")
    for act in (lambda: office.issue("box-2"), office.rotate):
        with pytest.raises(DeviceFault, match="Restore hpke") as fault:
            act()
        assert fault.value.code == "hpke-missing"
    assert not KeyFolder(office.folder)


def test_a_folder_that_is_open_finds_a_new_key_and_forgets_a_deleted_one(tmp_path: Path) -> None:
    mine, other = KeyFolder(tmp_path), KeyFolder(tmp_path)
    first = hpke_id(mine.create().public_bytes)
    second = hpke_id(other.create().public_bytes)
    assert mine[second].public_bytes == other[second].public_bytes
    assert list(mine) == [second, first]
    other.delete(second)
    other.delete(second)
    assert list(mine) == [first]
    third = hpke_id(other.create().public_bytes)
    assert third in mine
    assert second not in mine


def test_a_folder_without_a_key_is_no_core(tmp_path: Path) -> None:
    (tmp_path / "hpke-x.pem").write_text("a stray file")
    with pytest.raises(DeviceFault, match="init first"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("words", "algs"),
    [
        (["A256GCM"], (3,)),
        (["30", 3], (30, 3)),
        (["aes-ccm-16-128-128", "ChaCha20/Poly1305"], (30, 24)),
    ],
)
def test_algorithms_are_named_or_numbered(words: list[Any], algs: tuple[int, ...]) -> None:
    assert read_algorithms(words) == algs


@pytest.mark.parametrize("words", [[], ["3", "A256GCM"], ["DES"], ["1"], ["--3"], [""], ["3 30"]])
def test_algorithms_that_the_core_has_not_are_refused_with_those_that_it_has(
    words: list[Any],
) -> None:
    with pytest.raises(LocalError) as refusal:
        read_algorithms(words)
    assert refusal.value.code == "algorithms"
