"""Claims about preparing: repeatable, one folder one device, and no secret leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from edge.errors import DeviceFault, LocalError
from hardware.drivers.clock import SystemRandomness
from hardware.provision.request import Order, Site, prepare, read_request
from tests.unit.hardware.provision.bank import (
    NOW_US,
    YEAR_US,
    SetClock,
    prepare_gateway,
    prepare_kiosk,
)

if TYPE_CHECKING:
    from pathlib import Path

KIOSK = Order("kiosk-1", "kiosk", "pad-1")


def prepare_again(site: Site, order: Order, wall_us: int = NOW_US) -> object:
    return prepare(site, order, SetClock(wall_us), SystemRandomness())


def test_a_kiosk_asks_with_public_keys_only(tmp_path: Path) -> None:
    site, request = prepare_kiosk(tmp_path)
    assert set(request) == {"v", "device", "kind", "csr", "selftest", "pad", "hpke_public"}
    assert "PRIVATE" not in site.request.read_text()
    assert read_request(site) == request
    assert len(bytes.fromhex(request["hpke_public"])) == 65


def test_a_gateway_has_neither_pad_nor_sealing_key(tmp_path: Path) -> None:
    site, request = prepare_gateway(tmp_path)
    assert set(request) == {"v", "device", "kind", "csr", "selftest"}
    assert not site.hpke.exists()


def test_private_keys_are_their_owners_alone(tmp_path: Path) -> None:
    site, _ = prepare_kiosk(tmp_path)
    keys = [site.identity, site.hpke, *site.pad.glob("*.pem")]
    assert [path.stat().st_mode & 0o077 for path in keys] == [0, 0, 0, 0]


def test_preparing_twice_gives_the_same_keys_and_names(tmp_path: Path) -> None:
    _, first = prepare_kiosk(tmp_path)
    _, second = prepare_kiosk(tmp_path)
    keys = [x509.load_pem_x509_csr(each["csr"].encode()).public_key() for each in (first, second)]
    assert keys[0] == keys[1]
    for name in ("device", "kind", "pad", "hpke_public"):
        assert first[name] == second[name]


def test_the_request_names_the_device(tmp_path: Path) -> None:
    _, request = prepare_gateway(tmp_path)
    subject = x509.load_pem_x509_csr(request["csr"].encode()).subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["box-1"]


@pytest.mark.parametrize("device", ["", "../x", "a/b", "a+b", "a b", "-x", "x" * 65, "a\n", "村"])
def test_an_id_that_a_topic_or_path_would_misread_is_refused(device: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="work order"):
        prepare_again(Site(tmp_path), Order(device, "gateway"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "order",
    [
        Order("kiosk-1", "kiosk"),
        Order("box-1", "gateway", "pad-1"),
        Order("box-1", "boat"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(order: Order, tmp_path: Path) -> None:
    with pytest.raises(LocalError):
        prepare_again(Site(tmp_path), order)


@pytest.mark.parametrize(
    "order", [Order("kiosk-2", "kiosk", "pad-1"), Order("kiosk-1", "gateway"),
              Order("kiosk-1", "kiosk", "pad-2")]
)  # fmt: skip
def test_a_folder_belongs_to_one_device(order: Order, tmp_path: Path) -> None:
    site, before = prepare_kiosk(tmp_path)
    with pytest.raises(LocalError, match="another folder"):
        prepare_again(site, order)
    assert read_request(site) == before


def test_the_key_itself_says_whose_folder_it_is(tmp_path: Path) -> None:
    site, _ = prepare_gateway(tmp_path)
    site.request.unlink()
    with pytest.raises(LocalError, match="key of box-1"):
        prepare_again(site, Order("box-2", "gateway"))


@pytest.mark.parametrize("wall_us", [0, NOW_US + 20 * YEAR_US])
def test_with_a_wrong_clock_no_key_is_made(wall_us: int, tmp_path: Path) -> None:
    with pytest.raises(DeviceFault, match="clock"):
        prepare_again(Site(tmp_path), KIOSK, wall_us)
    assert not Site(tmp_path).identity.exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "{}", '{"device": 1, "kind": "kiosk"}'])
def test_a_damaged_request_is_named(content: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.request.write_text(content)
    with pytest.raises(LocalError, match="damaged; prepare again"):
        read_request(site)


def test_an_empty_folder_was_not_prepared(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="lastmile-provision prepare"):
        read_request(Site(tmp_path))
