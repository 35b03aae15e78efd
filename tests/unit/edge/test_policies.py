"""Claims about the policy that stands: it outlives restarts, and no older one comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import LocalError, PeerError
from edge.keys import FileIdentity
from edge.policies import MIGRATIONS, PolicyBook, read_standing
from edge.policy import Policy, sign_policy
from edge.store import open_store
from tests.unit.edge.desk import DEVICE, Desk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.store import Store
    from edge.suites import Aead


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db", [MIGRATIONS]) as store:
        yield store


def any_cipher(_suite: Aead) -> bool:
    return True


def book(store: Store, given: Policy) -> PolicyBook:
    return PolicyBook(store, given, any_cipher)


def take(desk: Desk, book: PolicyBook, seq: int, *algs: int) -> bool:
    desk.issue(seq, *(algs or (3,)))
    return book.take(desk.issued[seq][1], desk.verify_core)


def seq_of(store: Store) -> int:
    standing = read_standing(store, DEVICE)
    assert standing
    return standing.seq


def test_a_device_has_no_policy_before_its_first(store: Store) -> None:
    assert read_standing(store, DEVICE) is None


def test_a_newer_policy_stands_at_once_and_at_the_next_start(desk: Desk, store: Store) -> None:
    first = book(store, desk.policy)
    assert take(desk, first, 2, 30)
    assert first.standing()[0].seq == 2
    assert first.standing()[1].alg == 30
    assert book(store, desk.policy).standing() == first.standing()


def test_an_older_policy_is_refused_and_the_newer_one_stands(desk: Desk, store: Store) -> None:
    standing = book(store, desk.policy)
    assert take(desk, standing, 3)
    for seq in (1, 2):
        with pytest.raises(PeerError) as refusal:
            take(desk, standing, seq)
        assert refusal.value.code == "policy-downgrade"
    assert seq_of(store) == 3


def test_another_policy_of_the_same_number_is_refused(desk: Desk, store: Store) -> None:
    standing = book(store, desk.policy)
    assert take(desk, standing, 2, 3)
    assert not take(desk, standing, 2, 3)
    with pytest.raises(PeerError) as refusal:
        take(desk, standing, 2, 30)
    assert refusal.value.code == "policy-downgrade"
    assert standing.standing()[1].alg == 3


def test_an_older_file_put_back_brings_no_older_policy_back(desk: Desk, store: Store) -> None:
    book(store, desk.issue(5, 3))
    assert book(store, desk.policy).standing()[0].seq == 5


def test_a_file_outranks_an_older_or_equal_policy_in_the_store(desk: Desk, store: Store) -> None:
    take(desk, book(store, desk.policy), 2, 3)
    for seq in (2, 3):
        assert book(store, desk.issue(seq, 30)).standing()[1].alg == 30
        assert seq_of(store) == seq


def test_a_policy_without_a_cipher_that_fits_is_not_taken(desk: Desk, store: Store) -> None:
    standing = PolicyBook(store, desk.policy, lambda suite: suite.key_bytes == 16)
    assert standing.standing()[1].alg == 30
    for algs in ((3,), (99,)):
        with pytest.raises(PeerError) as refusal:
            take(desk, standing, 2, *algs)
        assert refusal.value.code == "policy-algorithm"
    assert seq_of(store) == 1


def test_a_file_whose_policy_allows_nothing_that_fits_is_refused(desk: Desk, store: Store) -> None:
    with pytest.raises(PeerError) as refusal:
        PolicyBook(store, desk.policy, lambda suite: suite.alg == 24)
    assert refusal.value.code == "policy-algorithm"


def test_only_the_core_gives_policies(desk: Desk, store: Store) -> None:
    standing = book(store, desk.policy)
    thief = FileIdentity("core", desk.identity.private_key)
    for hostile in (
        sign_policy(thief, replace(desk.policy, seq=9)),
        sign_policy(desk.core, replace(desk.policy, seq=9, device="box-2")),
    ):
        with pytest.raises(PeerError):
            standing.take(hostile, desk.verify_core)
    assert seq_of(store) == 1


@pytest.mark.parametrize("record", [b"", b"\xff", b"\xa0", b"\x01"])
def test_a_kept_policy_that_is_damaged_is_told_of(record: bytes, desk: Desk, store: Store) -> None:
    book(store, desk.policy)
    store.execute("UPDATE device_policy SET record = ?", (record,))
    with pytest.raises(LocalError, match="provision it anew") as refusal:
        book(store, desk.policy)
    assert refusal.value.code == "policy-kept"


def test_the_store_of_another_device_is_told_of(desk: Desk, store: Store) -> None:
    book(store, desk.policy)
    with pytest.raises(LocalError) as refusal:
        book(store, replace(desk.policy, device="box-2"))
    assert refusal.value.code == "policy-kept"


@given(st.lists(st.tuples(st.sampled_from(["air", "file"]), st.integers(1, 6)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_what_stands_never_goes_back_whatever_comes_by_air_or_by_file(
    tmp_path_factory: pytest.TempPathFactory, arrivals: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    with open_store(folder / "store.db", [MIGRATIONS]) as store:
        standing, highest = book(store, desk.issue(1, 3)), 1
        for way, seq in arrivals:
            if way == "file":
                standing = book(store, desk.issue(seq, 3))
            elif seq < highest:
                with pytest.raises(PeerError, match="not taken back"):
                    take(desk, standing, seq)
            else:
                assert take(desk, standing, seq) == (seq > highest)
            highest = max(highest, seq)
            assert standing.standing()[0].seq == highest == seq_of(store)
