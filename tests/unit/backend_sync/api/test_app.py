"""Claims about the API over real HTTPS: two gates, bounded bodies, only signed answers."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import httpx
import pytest

from backend_sync.api.app import build_app
from backend_sync.api.gate import Gate
from backend_sync.api.serve import ApiServer
from backend_sync.core.config import ApiSection
from backend_sync.messages import (
    FRAME_BYTES_MAX,
    Request,
    downlink_path,
    journal_path,
    open_answer,
    open_pages,
    sign_request,
)
from edge.errors import DeviceFault, PeerError
from edge.keys import FileIdentity, verifier
from hardware.drivers.clock import SystemClock
from tests.unit.hardware.pki import Pki as ForeignPki

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backend_sync.messages import Answer
    from tests.unit.backend_sync.api.conftest import Address

NONCE = b"\x02" * 16
COPY = {"of": "00" * 16, "receipt": "R1"}
PATH = journal_path("kiosk-1")


@pytest.fixture
def kiosk(address: Address) -> Iterator[httpx.Client]:
    """The kiosk's own HTTPS client."""
    with address.client(address.village.kiosk.identity) as client:
        yield client


def opened(address: Address, response: httpx.Response, path: str = PATH) -> Answer:
    """Every body must be signed by the core for the path it answers, whatever the status."""
    assert response.headers["content-type"] == "application/cose"
    verify = verifier(address.village.core.public_bytes)
    return open_answer(response.content, verify, path, "kiosk-1")


# ------------------------------------------------------------------ the outer gate
def test_a_client_without_a_certificate_is_not_let_in(address: Address) -> None:
    with address.client(None) as client, pytest.raises(httpx.TransportError):
        client.get("/healthz")


def test_a_client_with_a_certificate_of_somebody_else_is_not_let_in(
    address: Address, tmp_path: Path
) -> None:
    certificate, key = ForeignPki(tmp_path, "foreign").issue("kiosk-1")
    context = ssl.create_default_context(cafile=str(address.pki.ca))
    context.load_cert_chain(certificate, key)
    client = httpx.Client(base_url=address.url, verify=context)
    with client, pytest.raises(httpx.TransportError):
        client.get("/healthz")


def test_tls_older_than_1_3_is_refused(address: Address) -> None:
    context = ssl.create_default_context(cafile=str(address.pki.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    host, _, port = address.url.removeprefix("https://").partition(":")
    with socket.create_connection((host, int(port))) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname=host)


# ------------------------------------------------------------------ contacts
def test_a_journal_is_received_and_the_answer_signed(address: Address, kiosk: httpx.Client) -> None:
    address.village.kiosk.write("receipt-copy", COPY)
    response = kiosk.post(PATH, content=address.village.kiosk.frame())
    answer = opened(address, response)
    assert (response.status_code, answer.type) == (200, "received")
    assert answer.at == address.village.kiosk.head()


def test_a_gap_and_a_fork_have_their_status_and_their_signed_heads(
    address: Address, kiosk: httpx.Client
) -> None:
    village = address.village
    for receipt in ("R1", "R2"):
        village.kiosk.write("receipt-copy", {**COPY, "receipt": receipt})
    gap = kiosk.post(PATH, content=village.kiosk.frame(2, 2))
    assert (gap.status_code, opened(address, gap).type) == (409, "gap")
    kiosk.post(PATH, content=village.kiosk.frame())
    village.kiosk.entries.clear()
    village.kiosk.hashes.clear()
    village.kiosk.write("receipt-copy", {**COPY, "receipt": "R9"})
    fork = kiosk.post(PATH, content=village.kiosk.frame())
    assert (fork.status_code, opened(address, fork).type) == (423, "fork")


def test_a_request_brings_pages_for_its_nonce(address: Address, kiosk: httpx.Client) -> None:
    request = Request("kiosk-1", {}, NONCE, address.village.kiosk.head(), 1)
    message = sign_request(address.village.kiosk.identity, request)
    response = kiosk.post(downlink_path("kiosk-1"), content=message)
    verify = verifier(address.village.core.public_bytes)
    pages = open_pages(response.content, verify, "kiosk-1", NONCE)
    assert [page["scope"] for page in pages.pages] == ["customers", "balances", "drawer"]
    assert pages.next_contact_s == 60


# ------------------------------------------------------------------ signed refusals
def test_a_body_over_the_limit_is_refused_with_a_signed_answer(
    address: Address, kiosk: httpx.Client
) -> None:
    response = kiosk.post(PATH, content=b"\0" * (FRAME_BYTES_MAX + 1))
    answer = opened(address, response)
    assert (response.status_code, answer.code) == (413, "too-large")


def test_a_body_without_a_length_is_read_no_further_than_the_limit(
    address: Address, kiosk: httpx.Client
) -> None:
    parts = (b"\0" * 8_192 for _ in range(64))
    try:
        response = kiosk.post(PATH, content=parts)
    except httpx.TransportError:
        return
    assert opened(address, response).code == "too-large"


@pytest.mark.parametrize("body", [b"", b"hello", b"\x84\x43\xa1\x01\x26\xa0\x40\x40"])
def test_a_body_that_is_no_message_is_refused_with_a_signed_answer(
    address: Address, kiosk: httpx.Client, body: bytes
) -> None:
    response = kiosk.post(PATH, content=body)
    answer = opened(address, response)
    assert (response.status_code, answer.type, answer.code) == (400, "error", "seal-shape")


def test_a_device_on_the_path_of_another_is_refused(address: Address, kiosk: httpx.Client) -> None:
    path = journal_path("kiosk-2")
    address.village.kiosk.write("receipt-copy", COPY)
    response = kiosk.post(path, content=address.village.kiosk.frame())
    answer = opened(address, response, path)
    assert (response.status_code, answer.code) == (403, "wrong-device")


@pytest.mark.parametrize("path", ["/v1/devices/kiosk-1", "/", "/v2/devices/kiosk-1/journal"])
def test_an_unknown_address_is_answered_with_a_signature(
    address: Address, kiosk: httpx.Client, path: str
) -> None:
    response = kiosk.post(path, content=b"x")
    assert (response.status_code, opened(address, response, path).code) == (404, "bad-request")


def test_an_error_for_one_address_is_not_believed_at_another(
    address: Address, kiosk: httpx.Client
) -> None:
    response = kiosk.post(PATH, content=b"x")
    with pytest.raises(PeerError):
        opened(address, response, journal_path("kiosk-2"))


# ------------------------------------------------------------------ health
def test_readyz_follows_the_database_and_healthz_does_not(
    address: Address, kiosk: httpx.Client
) -> None:
    assert kiosk.get("/readyz").json() == {"status": "ready"}
    address.pool.close()
    response = kiosk.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"status": "database-unreachable"})
    assert kiosk.get("/healthz").json() == {"status": "alive"}


def test_a_contact_while_the_database_is_away_may_pass(
    address: Address, kiosk: httpx.Client
) -> None:
    address.village.kiosk.write("receipt-copy", COPY)
    address.pool.close()
    response = kiosk.post(PATH, content=address.village.kiosk.frame())
    answer = opened(address, response)
    assert (response.status_code, answer.code) == (503, "unavailable")
    assert response.headers["retry-after"] == "5"


# ------------------------------------------------------------------ starting
def test_a_port_that_is_taken_is_a_fault_in_words(address: Address) -> None:
    port = int(address.url.rpartition(":")[2])
    folder = address.folder / "pki"
    section = ApiSection(folder / "server.pem", folder / "server.key", folder / "ca.pem", port=port)
    gate = Gate(address.pool, address.village.core, SystemClock(), 0)
    with pytest.raises(DeviceFault, match="taken by another"):
        ApiServer(build_app(gate), section).start()


def test_a_missing_certificate_is_a_fault_in_words(address: Address, tmp_path: Path) -> None:
    gate = Gate(address.pool, FileIdentity.create(tmp_path / "x", "core"), SystemClock(), 0)
    with pytest.raises(DeviceFault, match="cannot be read"):
        ApiServer(build_app(gate), ApiSection(tmp_path / "a", tmp_path / "b", tmp_path / "c"))
