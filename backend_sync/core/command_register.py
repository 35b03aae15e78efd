"""The verbs that tell a core whom it serves: device, drawer, customer, lease, catalogue.

Place in the flow: `__main__` → **command_register** → registry, leases, catalogue, pki.

* Every verb can be repeated: the same thing again changes nothing, another under its name is
  refused.
* A PIN comes from a file or standard input, never from a command line, and leaves sealed.
* What a device's request asks is outside data: nothing of it is believed but its own signature.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from backend_sync.core.amounts import format_yuan, parse_yuan
from backend_sync.core.catalogue import DAY_US, publish_catalogue, read_documents
from backend_sync.core.leases import SALT_BYTES, Terms, grant_lease, seal_stored_pin
from backend_sync.core.pki import Pki, certifies, public_point, read_request, renewal_due
from backend_sync.core.policies import Issuer, ensure_policy, ensure_present, read_algorithms
from backend_sync.core.registry import (
    Customer,
    Pad,
    add_customer,
    add_device,
    add_pad,
    derived_id,
    find_certificate,
    fund_drawer,
    require_id,
)
from edge.errors import LocalError, PeerError
from edge.keys import hpke_seal, load_public, write_private
from edge.purposes import LOOKUP_INFO, id_key

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from backend_sync.core.config import CoreConfig
    from backend_sync.core.database import Connection
    from backend_sync.core.site import Keys, Site
    from edge.ports import Clock, Randomness

BUNDLE_VERSION: Final = 1
REQUEST_BYTES_MAX: Final = 65_536
LEASE_DIGITS: Final = 32
LEASE: Final = re.compile(r"[0-9a-f]{32}")
ID_NUMBER: Final = re.compile(r"\d{17}[\dX]", re.ASCII)
KINDS: Final = ("gateway", "kiosk")
DAYS_MAX: Final = 366
COUNT_MAX: Final = 10_000


class PadRequest(msgspec.Struct, frozen=True):
    """What a kiosk's request says of its PIN pad."""

    pad: str
    public_key: str
    hpke_public: str


class DeviceRequest(msgspec.Struct, frozen=True):
    """`request.json` as `lastmile-provision prepare` writes it; its self-test stays with it."""

    v: int
    device: str
    kind: str
    csr: str
    hpke_public: str = ""
    pad: PadRequest | None = None


@dataclass(frozen=True, slots=True)
class Desk:
    """All that a verb needs: the core's files, keys and an open connection."""

    site: Site
    config: CoreConfig
    keys: Keys
    connection: Connection
    clock: Clock
    randomness: Randomness

    @property
    def issuer(self) -> Issuer:
        """Who issues policies."""
        algs = read_algorithms(self.config.telemetry.algorithms)
        return Issuer(self.keys.core, self.keys.hpke, algs)

    def now_us(self) -> int:
        """The present, microseconds UTC."""
        return self.clock.now().wall_us


# ------------------------------------------------------------------ device add
def device_add(desk: Desk, arguments: Namespace) -> str:
    """Registers a device from its request and writes its bundle.

    Raises:
        LocalError: The name is taken by another key, or the file cannot be read.
        PeerError: The request is damaged or not signed by the key it names.
    """
    request = read_device_request(arguments.request)
    public = public_point(read_request(request.csr.encode(), request.device))
    certificate = _certify(desk, request)
    add_device(desk.connection, request.device, request.kind, public, certificate, desk.now_us())
    if request.pad is not None:
        keys = (_point(request.pad.public_key), _point(request.pad.hpke_public))
        add_pad(desk.connection, Pad(require_id(request.pad.pad), request.device, *keys))
    bundle = make_bundle(desk, request, find_certificate(desk.connection, request.device))
    if request.kind == "gateway":
        bundle["policy"] = _policy_of(desk, request.device, arguments.algorithms).hex()
    write_private(arguments.out, json.dumps(bundle, indent=2).encode() + b"\n")
    return f"{request.device} is registered; carry {arguments.out} to it."


def read_device_request(path: Path) -> DeviceRequest:
    """Reads a request.

    Raises:
        LocalError: There is no such file.
        PeerError: It is not what `lastmile-provision prepare` writes.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LocalError(
            f"{path} cannot be read ({error.strerror}). Give the device's request.json.",
            "request-missing",
        ) from error
    try:
        request = msgspec.json.decode(content[:REQUEST_BYTES_MAX], type=DeviceRequest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PeerError(f"{path} is no request ({error}). Prepare it again.", "request") from error
    kiosk = request.kind == "kiosk"
    whole = (request.pad is not None) == kiosk and bool(request.hpke_public) >= kiosk
    if request.v != BUNDLE_VERSION or request.kind not in KINDS or not whole:
        raise PeerError(
            f"{path} is of another version, or lacks keys of its kind. Prepare it again.", "request"
        )
    require_id(request.device)
    return request


def make_bundle(desk: Desk, request: DeviceRequest, certificate: str) -> dict[str, Any]:
    """Returns what a device must know of this core; nothing in it is secret to others."""
    broker, keys = desk.config.broker, desk.keys
    present = ensure_present(desk.connection, keys.hpke, desk.now_us())
    sealed = None
    if request.hpke_public:
        sealed = hpke_seal(_point(request.hpke_public), keys.lookup, LOOKUP_INFO).hex()
    return {
        "v": BUNDLE_VERSION,
        "device": request.device,
        "kind": request.kind,
        "org": desk.config.core.org,
        "certificate": certificate,
        "ca": desk.config.api.ca.read_text(encoding="ascii"),
        "core": {
            "url": desk.config.api.url,
            "signing_public": keys.core.public_bytes.hex(),
            "hpke_public": keys.hpke[present].public_bytes.hex(),
            "catalogue_public": keys.catalogue.public_bytes.hex(),
        },
        "broker": {"host": broker.host, "port": broker.port} if broker else None,
        "lookup_key_sealed": sealed,
        "policy": None,
    }


def _policy_of(desk: Desk, device: str, algorithms: Sequence[str] | None) -> bytes:
    """Issues a gateway's policy; the one that it has already when nothing is different."""
    algs = read_algorithms(algorithms) if algorithms else desk.issuer.algs
    return ensure_policy(desk.connection, desk.issuer, device, algs, desk.now_us())


def _certify(desk: Desk, request: DeviceRequest) -> str:
    """A certificate that is still good for the same key is not made again."""
    key = read_request(request.csr.encode(), request.device)
    present = find_certificate(desk.connection, request.device)
    if present and not renewal_due(present.encode(), desk.now_us()) and certifies(present, key):
        return present
    pki = Pki(desk.site.pki, desk.config.core.org, desk.clock, desk.randomness)
    return pki.issue_device(request.csr.encode(), request.device)


def _point(text: str) -> bytes:
    try:
        point = bytes.fromhex(text)
    except ValueError:
        raise PeerError("A public key of the request is not hexadecimal.", "key-public") from None
    load_public(point)
    return point


# ------------------------------------------------------------------ money and people
def drawer_fund(desk: Desk, arguments: Namespace) -> str:
    """Books float that was handed to a kiosk's agent.

    Raises:
        LocalError: No active kiosk, no amount, or the transfer's id was used for another.
    """
    fen = parse_yuan(arguments.amount)
    transfer = derived_id("float", arguments.transfer)
    fund_drawer(desk.connection, arguments.kiosk, fen, transfer, desk.now_us())
    return f"{format_yuan(fen)} yuan of float for {arguments.kiosk}."


def customer_add(desk: Desk, arguments: Namespace) -> str:
    """Registers a customer, with their PIN sealed, for one kiosk.

    Raises:
        LocalError: The id or ID number is somebody else's, no such kiosk, or no PIN.
    """
    pin = read_pin(arguments.pin_file)
    salt = desk.randomness.token(SALT_BYTES)
    customer = Customer(
        arguments.customer,
        arguments.name,
        id_key(desk.keys.lookup, require_id_number(arguments.id_number)),
        arguments.large_type,
        seal_stored_pin(desk.keys.pins, arguments.customer, pin, salt),
    )
    opening_fen = parse_yuan(arguments.opening)
    account = add_customer(desk.connection, customer, [arguments.kiosk], opening_fen, desk.now_us())
    return f"{account} is open at {arguments.kiosk}."


def read_pin(name: str) -> str:
    """Reads a PIN from a file, or from standard input for `-`; one line break may follow it.

    Raises:
        LocalError: The file cannot be read.
    """
    if name == "-":
        return sys.stdin.readline().rstrip("\r\n")
    try:
        return Path(name).read_text(encoding="ascii").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"The PIN file {name} cannot be read.", "pin-file") from error


def require_id_number(text: str) -> str:
    """Refuses what is no resident identity number (GB 11643-1999): 17 digits and a check digit.

    Raises:
        LocalError: Wrong length, not digits, or a wrong check digit (ISO 7064 MOD 11-2).
    """
    number = text.upper()
    if ID_NUMBER.fullmatch(number) is None or _check_digit(number) != number[-1]:
        raise LocalError("The ID number is not valid; type it again.", "id-number")
    return number


def _check_digit(number: str) -> str:
    """ISO 7064 MOD 11-2: weights 2^(17-i) mod 11."""
    total = sum(int(digit) * 2 ** (17 - place) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11]


def lease_grant(desk: Desk, arguments: Namespace) -> str:
    """Reserves money for a kiosk to pay out offline.

    Raises:
        LocalError: Too little money, no such customer or kiosk, or terms that cannot be.
    """
    lease = arguments.lease or desk.randomness.token(LEASE_DIGITS // 2).hex()
    if LEASE.fullmatch(lease) is None:
        raise LocalError("--lease takes 32 lower-case hexadecimal digits.", "lease-id")
    amount_fen, per_op_fen = parse_yuan(arguments.amount), parse_yuan(arguments.per_op)
    if (
        not 0 < per_op_fen <= amount_fen
        or arguments.count < 1
        or not 0 < arguments.days <= DAYS_MAX
    ):
        raise LocalError(
            "A lease needs 0 < --per-op <= --amount, --count and --days from 1 on.",
            "lease-terms",
        )
    now_us = desk.now_us()
    terms = Terms(
        lease,
        arguments.customer,
        arguments.kiosk,
        amount_fen,
        per_op_fen,
        arguments.count,
        now_us,
        now_us + arguments.days * DAY_US,
    )
    grant_lease(desk.connection, desk.keys.core, desk.keys.pins, terms)
    return lease


def catalogue_publish(desk: Desk, arguments: Namespace) -> str:
    """Sends service documents down to a kiosk under a signed manifest.

    Raises:
        LocalError: No such kiosk, or a file that is no service document.
    """
    documents = read_documents(arguments.files)
    signer, now_us = desk.keys.catalogue, desk.now_us()
    seq = publish_catalogue(
        desk.connection, signer, arguments.kiosk, documents, now_us, arguments.days
    )
    return f"Catalogue {seq} of {arguments.kiosk}: {', '.join(sorted(documents))}."
