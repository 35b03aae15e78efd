"""Claims about pages: every change reaches a mirror, once, in a state that the core vouches for."""

from __future__ import annotations

import random  # noqa: TID251 - seeded: a failure can be repeated
from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.downlink import (
    ANSWER_VALUE_BYTES_MAX,
    SCOPE_BYTES_MAX,
    Item,
    publish,
    read_pages,
)
from backend_sync.core.registry import add_device
from backend_sync.messages import ANSWER_BYTES_MAX, Pages, sign_pages
from edge.errors import LocalError
from edge.mirror import MIGRATIONS, Mirror
from edge.store import open_store
from tests.unit.backend_sync.core.village import NOW_US, Village, make_kiosk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[Mirror]:
    """A kiosk's mirror that knows nothing."""
    store = open_store(tmp_path / "mirror.db", [MIGRATIONS])
    yield Mirror(store)
    store.close()


def tell(village: Village, key: str, value: Any, scope: str = "hotlist") -> None:
    with village.connection.transaction():
        publish(village.connection, [Item("kiosk-1", scope, key, value)])


def pages_of(village: Village, cursors: dict[str, int]) -> dict[str, dict[str, Any]]:
    pages, more = read_pages(village.connection, "kiosk-1", cursors, NOW_US)
    assert not more
    return {page["scope"]: page for page in pages}


def update(village: Village, mirror: Mirror) -> None:
    more = True
    while more:
        pages, more = read_pages(village.connection, "kiosk-1", mirror.cursors(), NOW_US)
        for page in pages:
            mirror.apply(page)


def test_a_device_that_knows_nothing_gets_a_snapshot_of_every_scope(village: Village) -> None:
    pages = pages_of(village, {})
    assert list(pages) == ["customers", "balances", "drawer"]
    assert all(page["snapshot"] for page in pages.values())
    assert [key for key, _ in pages["customers"]["upserts"]] == ["c-1"]


def test_a_cursor_brings_only_what_came_after_it(village: Village) -> None:
    tell(village, "a", 1)
    cursor = pages_of(village, {})["hotlist"]["cursor"]
    tell(village, "b", 2)
    page = pages_of(village, {"hotlist": cursor})["hotlist"]
    assert (page["upserts"], page["snapshot"]) == ([["b", 2]], False)


def test_what_is_taken_back_is_a_tombstone_and_in_no_snapshot(village: Village) -> None:
    tell(village, "a", 1)
    cursor = pages_of(village, {})["hotlist"]["cursor"]
    tell(village, "a", None)
    page = pages_of(village, {"hotlist": cursor})["hotlist"]
    assert (page["upserts"], page["tombstones"]) == ([], ["a"])
    assert pages_of(village, {})["hotlist"]["tombstones"] == []


def test_a_cursor_from_the_future_gets_a_snapshot(village: Village) -> None:
    tell(village, "a", 1)
    page = pages_of(village, {"hotlist": 99})["hotlist"]
    assert page["snapshot"]
    assert page["upserts"] == [["a", 1]]


def test_a_device_hears_nothing_that_is_told_to_another(village: Village, tmp_path: Path) -> None:
    other = make_kiosk(tmp_path, "kiosk-2")
    add_device(village.connection, "kiosk-2", "kiosk", other.identity.public_bytes, "", NOW_US)
    pages, _ = read_pages(village.connection, "kiosk-2", {}, NOW_US)
    assert [page["scope"] for page in pages] == ["drawer"]


def test_of_two_values_published_together_the_later_counts(village: Village) -> None:
    with village.connection.transaction():
        publish(village.connection, [Item("kiosk-1", "hotlist", "a", n) for n in (1, 2)])
    assert pages_of(village, {})["hotlist"]["upserts"] == [["a", 2]]


def test_an_unknown_scope_is_refused(village: Village) -> None:
    with pytest.raises(LocalError, match="gossip"):
        tell(village, "a", 1, "gossip")


def test_any_history_leaves_a_mirror_equal_to_the_core(village: Village, mirror: Mirror) -> None:
    rng = random.Random(20261124)
    truth: dict[str, int] = {}
    for step in range(120):
        key = f"key-{rng.randrange(8)}"
        if rng.random() < 0.3:
            truth.pop(key, None)
            tell(village, key, None)
        else:
            truth[key] = step
            tell(village, key, step)
        if rng.random() < 0.25:
            update(village, mirror)
            assert mirror.items("hotlist") == truth
        if rng.random() < 0.05:
            mirror.drop("hotlist")
    update(village, mirror)
    assert mirror.items("hotlist") == truth


def test_what_is_too_much_for_one_answer_comes_in_several(village: Village, mirror: Mirror) -> None:
    rng = random.Random(7)
    half = ANSWER_VALUE_BYTES_MAX * 3 // 4
    for scope in ("blobs", "hotlist"):
        tell(village, "big", rng.randbytes(half), scope)
    _, more = read_pages(village.connection, "kiosk-1", {}, NOW_US)
    assert more
    update(village, mirror)
    assert len(mirror.get("hotlist", "big")) == half


def test_a_change_larger_than_an_answers_share_still_arrives_behind_known_scopes(
    village: Village, mirror: Mirror
) -> None:
    update(village, mirror)
    tell(village, "big", random.Random(7).randbytes(ANSWER_VALUE_BYTES_MAX + 1))
    update(village, mirror)
    assert len(mirror.get("hotlist", "big")) == ANSWER_VALUE_BYTES_MAX + 1


def test_the_largest_scope_fits_into_an_answer_and_a_larger_one_is_said_to_be(
    village: Village,
) -> None:
    tell(village, "big", random.Random(7).randbytes(SCOPE_BYTES_MAX - 8))
    pages, _ = read_pages(village.connection, "kiosk-1", {"customers": 1}, NOW_US)
    answer = Pages([page for page in pages if page["upserts"]], b"\0" * 16, NOW_US, 0)
    assert len(sign_pages(village.core, "kiosk-1", answer)) < ANSWER_BYTES_MAX
    tell(village, "more", bytes(16))
    with pytest.raises(LocalError, match="larger than one answer"):
        read_pages(village.connection, "kiosk-1", {}, NOW_US)
