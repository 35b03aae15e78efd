"""Claims about the mirror: whole pages, checked, dropped when wrong, seen by the reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.codec import encode
from edge.errors import LocalError, PeerError
from edge.mirror import MIGRATIONS, Mirror, MirrorReader, checksum
from edge.store import open_reader, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge.store import Store

SCOPE = "customers"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "mirror.db", [MIGRATIONS]) as opened:
        yield opened


@pytest.fixture
def mirror(store: Store) -> Mirror:
    return Mirror(store)


def page(state: Mapping[str, Any], cursor: int = 1, **changed: Any) -> dict[str, Any]:
    """A page after which the scope holds `state`."""
    made = {
        "scope": SCOPE, "cursor": cursor, "upserts": [[key, state[key]] for key in state],
        "tombstones": [], "as_of_us": 1_000 * cursor, "snapshot": False,
        "checksum": checksum((key, encode(value)) for key, value in state.items()),
    }  # fmt: skip
    return {**made, **changed}


def test_a_page_is_applied_with_its_cursor_and_time(mirror: Mirror) -> None:
    mirror.apply(page({"a": {"name": "Wang", "fen": 5}, "b": None}, cursor=7))
    assert mirror.items(SCOPE) == {"a": {"name": "Wang", "fen": 5}, "b": None}
    assert mirror.get(SCOPE, "a") == {"name": "Wang", "fen": 5}
    assert mirror.get(SCOPE, "z") is None
    assert mirror.cursors() == {SCOPE: 7}
    assert mirror.as_of_us(SCOPE) == 7_000
    assert mirror.as_of_us("leases") is None


def test_a_later_page_changes_and_removes(mirror: Mirror) -> None:
    mirror.apply(page({"a": 1, "b": 2, "c": 3}))
    after = {"a": 1, "b": 9}
    mirror.apply(page(after, 2, upserts=[["b", 9]], tombstones=["c", "never there"]))
    assert mirror.items(SCOPE) == after


def test_a_snapshot_replaces_the_scope_and_no_other(mirror: Mirror) -> None:
    mirror.apply(page({"a": 1, "b": 2}))
    mirror.apply(page({"x": 1}, scope="leases"))
    mirror.apply(page({"c": 3}, 2, snapshot=True))
    assert mirror.items(SCOPE) == {"c": 3}
    assert mirror.items("leases") == {"x": 1}


def test_a_wrong_checksum_drops_the_scope_and_no_other(mirror: Mirror) -> None:
    mirror.apply(page({"a": 1}))
    mirror.apply(page({"x": 1}, scope="leases"))
    with pytest.raises(PeerError) as refusal:
        mirror.apply(page({"a": 1, "b": 2}, 2, upserts=[["b", 3]]))
    assert refusal.value.code == "mirror-checksum"
    assert mirror.items(SCOPE) == {}
    assert mirror.cursors() == {"leases": 1}
    assert mirror.as_of_us(SCOPE) is None
    mirror.apply(page({"a": 1, "b": 2}, 2, snapshot=True))
    assert mirror.items(SCOPE) == {"a": 1, "b": 2}


def test_a_page_that_cannot_be_stored_changes_nothing(mirror: Mirror) -> None:
    mirror.apply(page({"a": 1}))
    with pytest.raises(LocalError):
        mirror.apply(page({"a": 1, "b": 2}, 2**64 - 1))
    assert mirror.items(SCOPE) == {"a": 1}
    assert mirror.cursors() == {SCOPE: 1}


def test_a_reader_notices_that_another_process_wrote(store: Store, mirror: Mirror) -> None:
    with open_reader(store.path) as read_only:
        reader = MirrorReader(read_only)
        before = reader.version()
        assert reader.version() == before
        mirror.apply(page({"a": 1}))
        after = reader.version()
        assert after != before
        assert reader.version() == after
        assert reader.items(SCOPE) == {"a": 1}


def test_notes_are_kept_and_replaced(store: Store, mirror: Mirror) -> None:
    assert mirror.noted("contact_us") is None
    mirror.note("contact_us", 5)
    mirror.note("contact_us", 6)
    mirror.note("uplink", {"state": "halted", "code": "fork"})
    with open_reader(store.path) as read_only:
        assert MirrorReader(read_only).noted("contact_us") == 6
        assert MirrorReader(read_only).noted("uplink") == {"state": "halted", "code": "fork"}


@given(st.dictionaries(st.text(max_size=5), st.binary(max_size=9), max_size=6), st.data())
def test_a_checksum_depends_on_content_and_not_on_order(
    content: dict[str, bytes], data: st.DataObject
) -> None:
    pairs = list(content.items())
    assert checksum(data.draw(st.permutations(pairs))) == checksum(pairs)
    changed = {**content, "a": content.get("a", b"") + b"\0"}
    assert checksum(changed.items()) != checksum(pairs)


def test_a_checksum_knows_where_a_key_ends() -> None:
    assert checksum([("a", b"\x61b")]) != checksum([("ab", b"\x61")])
    assert checksum([("a", b"\x01"), ("b", b"\x02")]) != checksum([("a", b"\x02"), ("b", b"\x01")])


CHANGE = st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 9))


@given(st.lists(st.lists(CHANGE, max_size=4), max_size=6))
@settings(max_examples=25, deadline=None)
def test_pages_one_after_another_give_what_the_core_holds(
    tmp_path_factory: pytest.TempPathFactory, changes: list[list[tuple[str, int | None]]]
) -> None:
    with open_store(tmp_path_factory.mktemp("m") / "mirror.db", [MIGRATIONS]) as store:
        mirror, state = Mirror(store), dict[str, int]()
        for cursor, change in enumerate(changes, start=1):
            final = dict(change)
            upserts = [[key, value] for key, value in final.items() if value is not None]
            tombstones = [key for key, value in final.items() if value is None]
            state = {**state, **{key: value for key, value in final.items() if value is not None}}
            state = {key: value for key, value in state.items() if key not in tombstones}
            mirror.apply(page(state, cursor, upserts=upserts, tombstones=tombstones))
        assert mirror.items(SCOPE) == state
