"""Claims about a contact: a believable request gets what is new, and is told when to call again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backend_sync.core.contact import SOON_S, answer_request
from backend_sync.core.leases import RELEASE_AFTER_US
from backend_sync.messages import Request, sign_request
from edge.errors import PeerError
from tests.unit.backend_sync.core.village import DAY_US, NOW_US, Village, make_kiosk

if TYPE_CHECKING:
    from pathlib import Path

    from backend_sync.messages import Pages

NONCE = b"\x09" * 16
IDLE_S = 900


def request(village: Village, **changed: Any) -> bytes:
    fields = {"device": "kiosk-1", "cursors": {}, "nonce": NONCE, "journal": village.kiosk.head()}
    fields["wall_us"] = NOW_US
    return sign_request(village.kiosk.identity, Request(**{**fields, **changed}))


def ask(village: Village, message: bytes, now_us: int = NOW_US) -> Pages:
    return answer_request(village.connection, "kiosk-1", message, now_us, IDLE_S)


def test_a_first_contact_brings_snapshots_the_nonce_and_the_time(village: Village) -> None:
    pages = ask(village, request(village))
    assert [page["scope"] for page in pages.pages] == ["customers", "balances", "drawer"]
    assert (pages.nonce, pages.now_us, pages.next_contact_s) == (NONCE, NOW_US, IDLE_S)
    assert village.number("SELECT contact_us FROM devices") == NOW_US


def test_a_device_whose_entries_wait_for_the_poster_calls_again_at_once(village: Village) -> None:
    village.kiosk.withdraw(village.lease(), 100)
    village.send()
    assert ask(village, request(village)).next_contact_s == SOON_S
    village.post()
    assert ask(village, request(village)).next_contact_s == IDLE_S


def test_a_contact_after_the_expiry_releases_and_tells_at_once(village: Village) -> None:
    name = village.lease()
    later_us = NOW_US + 7 * DAY_US + RELEASE_AFTER_US + 1
    cursors = {page["scope"]: page["cursor"] for page in ask(village, request(village)).pages}
    pages = ask(village, request(village, cursors=cursors, wall_us=later_us), later_us)
    told = {page["scope"]: page for page in pages.pages}
    assert told["leases"]["tombstones"] == [name]
    assert told["balances"]["upserts"][0][1]["available_fen"] == 300_000


def test_a_quarantined_device_still_hears(village: Village) -> None:
    village.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'x'")
    assert ask(village, request(village)).pages


def test_a_request_of_another_or_for_another_is_refused(village: Village, tmp_path: Path) -> None:
    other = make_kiosk(tmp_path, "kiosk-2").identity
    fields = Request("kiosk-2", {}, NONCE, village.kiosk.head(), NOW_US)
    with pytest.raises(PeerError, match="not from the device"):
        ask(village, sign_request(other, fields))
    other.kid = "kiosk-1"
    forged = sign_request(other, Request("kiosk-1", {}, NONCE, village.kiosk.head(), NOW_US))
    with pytest.raises(PeerError, match="signature"):
        ask(village, forged)


def test_a_request_that_was_changed_underway_is_refused(village: Village) -> None:
    message = bytearray(request(village))
    message[-70] ^= 1
    with pytest.raises(PeerError):
        ask(village, bytes(message))
