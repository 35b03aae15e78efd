"""Claims about who is registered: the same again is free, another under its name is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.registry import (
    Pad,
    add_customer,
    add_device,
    add_pad,
    derived_id,
    find_certificate,
    find_customer,
    fund_drawer,
    mask_name,
)
from edge.codec import decode
from edge.errors import LocalError
from edge.purposes import id_key
from tests.unit.backend_sync.core.village import (
    LOOKUP,
    NOW_US,
    Village,
    make_customer,
    make_kiosk,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_device_may_be_added_again_and_its_certificate_renewed(village: Village) -> None:
    key = village.kiosk.identity.public_bytes
    for certificate in ("pem", "renewed"):
        add_device(village.connection, "kiosk-1", "kiosk", key, certificate, NOW_US)
        assert find_certificate(village.connection, "kiosk-1") == certificate
    assert village.number("SELECT count(*) FROM devices") == 1
    assert find_certificate(village.connection, "kiosk-7") == ""


def test_another_key_or_kind_under_a_known_name_is_refused(
    village: Village, tmp_path: Path
) -> None:
    other = make_kiosk(tmp_path, "other").identity.public_bytes
    for kind, key in (("kiosk", other), ("gateway", village.kiosk.identity.public_bytes)):
        with pytest.raises(LocalError) as raised:
            add_device(village.connection, "kiosk-1", kind, key, "", NOW_US)
        assert raised.value.code == "device-taken"
    assert find_certificate(village.connection, "kiosk-1") == "pem"


def test_a_known_key_under_another_name_is_refused(village: Village) -> None:
    key = village.kiosk.identity.public_bytes
    with pytest.raises(LocalError, match="new key"):
        add_device(village.connection, "kiosk-2", "kiosk", key, "", NOW_US)


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65, "kiosk\0", "村"])
def test_a_name_that_no_topic_can_carry_is_refused(village: Village, name: str) -> None:
    with pytest.raises(LocalError, match="is no id"):
        add_device(village.connection, name, "gateway", b"\x04" * 65, "", NOW_US)


def test_a_pad_stays_with_its_kiosk_and_a_kiosk_with_its_pad(village: Village) -> None:
    keys = (village.kiosk.pad.public_bytes, village.pad_hpke.public_bytes)
    add_pad(village.connection, Pad(village.kiosk.pad.kid, "kiosk-1", *keys))
    with pytest.raises(LocalError, match="another PIN pad"):
        add_pad(village.connection, Pad("pad-2", "kiosk-1", *keys))


def test_a_customer_may_be_added_again_and_is_opened_once(village: Village) -> None:
    customer = make_customer(village.hpke)
    add_customer(village.connection, customer, ["kiosk-1"], 300_000, NOW_US)
    assert village.balance("customer:c-1") == 300_000
    with pytest.raises(LocalError, match="id-conflict"):
        add_customer(village.connection, customer, ["kiosk-1"], 300_001, NOW_US)


def test_a_customer_id_or_id_number_of_somebody_else_is_refused(village: Village) -> None:
    customer = make_customer(village.hpke)
    for other in (replace(customer, name="李四"), replace(customer, customer="c-2")):
        with pytest.raises(LocalError, match="somebody else"):
            add_customer(village.connection, other, ["kiosk-1"], 0, NOW_US)


def test_a_customer_needs_a_registered_kiosk(village: Village, tmp_path: Path) -> None:
    box = make_kiosk(tmp_path, "box-1").identity.public_bytes
    add_device(village.connection, "box-1", "gateway", box, "", NOW_US)
    for kiosk in ("kiosk-7", "box-1"):
        with pytest.raises(LocalError, match="not a registered kiosk"):
            add_customer(village.connection, make_customer(village.hpke, "c-5"), [kiosk], 0, NOW_US)
    assert find_customer(village.connection, "c-5") is None


def test_the_kiosk_is_told_the_customer_and_never_the_id_number_or_pin(village: Village) -> None:
    row = village.connection.execute(
        "SELECT value FROM downlink_items WHERE scope = 'customers'"
    ).fetchone()
    assert row is not None
    assert decode(bytes(row[0])) == {
        "name": "王小明", "name_masked": "王**", "id_key": id_key(LOOKUP, "id of c-1"),
        "account": "customer:c-1", "large_type": False,
    }  # fmt: skip


def test_float_is_booked_once_per_transfer(village: Village) -> None:
    transfer = derived_id("float", "2")
    for _ in range(2):
        fund_drawer(village.connection, "kiosk-1", 5_000, transfer, NOW_US)
    assert village.balance("drawer:kiosk-1") == -2_005_000
    with pytest.raises(LocalError, match="id-conflict"):
        fund_drawer(village.connection, "kiosk-1", 6_000, transfer, NOW_US)


def test_a_quarantined_kiosks_float_is_frozen(village: Village) -> None:
    village.connection.execute("UPDATE devices SET state = 'quarantined', state_reason = 'x'")
    with pytest.raises(LocalError, match="no float"):
        fund_drawer(village.connection, "kiosk-1", 1, derived_id("float", "3"), NOW_US)


def test_an_id_key_is_the_same_in_either_case_and_needs_the_key() -> None:
    assert id_key(LOOKUP, "11010519491231002x") == id_key(LOOKUP, "11010519491231002X")
    assert id_key(LOOKUP, "1") != id_key(b"\x06" * 32, "1")


@pytest.mark.parametrize(
    ("name", "masked"), [("王小明", "王**"), ("王", "王*"), ("欧阳修", "欧**")]
)
def test_a_masked_name_keeps_the_first_character(name: str, masked: str) -> None:
    assert mask_name(name) == masked
