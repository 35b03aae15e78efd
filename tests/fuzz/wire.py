"""Targets below any signature: what everybody on the way can send.

Place in the flow: ground → **wire** → targets.
"""

from __future__ import annotations

import functools
import zlib
from typing import TYPE_CHECKING, Any, Final

from backend_sync.telemetry.batch import Origin, read_batch, rows_of
from backend_sync.telemetry.claim import read_claim
from edge.codec import decode, deflate, encode, inflate
from edge.columns import Group, decode_columns, encode_columns
from edge.errors import PeerError
from edge.keys import hpke_open, hpke_seal, sign_evidence, unwrap_chain_key
from edge.seal import (
    epoch_kid,
    open_encrypt0,
    read_encrypt0,
    read_sign1,
    seal_encrypt0,
    verify_sign1,
)
from edge.suites import AEADS
from tests.fuzz.ground import (
    BASE_IV,
    BOX,
    BOX_VERIFY,
    DEVICE,
    HPKE,
    KEY,
    ORG,
    UP,
    vector_bytes,
)  # fmt: skip
from tests.fuzz.judge import KIB, MIB, Mismatch, Target

if TYPE_CHECKING:
    from edge.suites import Aead

INFLATED_MAX: Final = 64 * KIB
SAMPLES_MAX: Final = 20_000
AAD: Final = UP.encode()
INFO: Final = b"fuzz"
DEEP: Final = b"\x81" * 40 + b"\x00"
GROUPS: Final = [
    Group([1_000, 2_000, 3_500], {1: [10, 20, 30], 2: [5, None, -7]}),
    Group(list(range(0, 100_000, 1_000)), {3: [9] * 100, 4: list(range(100))}),
    Group([0, 2**62], {5: [-(2**63), 2**63 - 1]}),
    Group([], {6: []}),
]


# ------------------------------------------------------------------ codec
def run_codec(data: bytes) -> None:
    """Decodes; one value has one spelling."""
    if encode(decode(data)) != data:
        raise Mismatch("What was decoded is not encoded to the same bytes.")


def codec_seeds() -> list[bytes]:
    """Values of every kind."""
    values = [0, -1, 2**64 - 1, b"x" * 30, "旧村", [1, [2, [3]]], {"a": {1: None}}, True, [[]] * 40]
    return [encode(value) for value in values] + [DEEP, b"\xd8\x23\x60", b"\xbb" + b"\xff" * 8]


def run_inflate(data: bytes) -> None:
    """Expands, never past the limit; what comes out packs and unpacks again."""
    taken = inflate(data, INFLATED_MAX)
    if len(taken) > INFLATED_MAX:
        raise Mismatch("More came out than the limit.")
    if inflate(deflate(taken), INFLATED_MAX) != taken:
        raise Mismatch("What was packed does not unpack.")


def inflate_seeds() -> list[bytes]:
    """Packed bytes of every block type, and a bomb."""
    stored = zlib.compressobj(0, zlib.DEFLATED, -15)
    plain = stored.compress(b"stored") + stored.flush()
    return [deflate(b""), deflate(b"abc" * 400), deflate(bytes(range(256))), plain,
            deflate(bytes(10 * MIB))]  # fmt: skip


# ------------------------------------------------------------------ seal
def keys_of(suite: Aead) -> tuple[bytes, bytes]:
    """Returns fixed keys of a cipher's lengths."""
    return KEY[: suite.key_bytes], BASE_IV[: suite.nonce_bytes]


def run_encrypt0(data: bytes) -> None:
    """Reads a sealed message and opens it with every cipher; what opens seals to the same bytes."""
    _, kid, seq = read_encrypt0(data)
    for suite in AEADS.values():
        try:
            plaintext = open_encrypt0(data, suite, keys_of(suite), AAD)
        except PeerError:
            continue
        if seal_encrypt0(suite, keys_of(suite), kid, seq, plaintext, AAD) != data:
            raise Mismatch("What was opened is not sealed to the same bytes.")


def encrypt0_seeds() -> list[bytes]:
    """Messages of every cipher."""
    kid = epoch_kid(DEVICE, 3)
    return [
        seal_encrypt0(suite, keys_of(suite), kid, seq, plaintext, AAD)
        for suite in AEADS.values()
        for seq, plaintext in ((1, b""), (300, b"ten seconds"))
    ]


def run_sign1(data: bytes) -> None:
    """Reads a signed message and verifies it with a real key."""
    read_sign1(data)
    verify_sign1(data, BOX_VERIFY, AAD)


@functools.cache
def _signed() -> bytes:
    return sign_evidence(BOX, {"type": "trip", "device": DEVICE, "epoch": 1, "seq": 2}, UP)


def sign1_seeds() -> list[bytes]:
    """A good message, and one of each length around it."""
    good = _signed()
    return [good, good[:-1], good + b"\x00", good[:40], *encrypt0_seeds()[:1]]


def run_hpke(data: bytes) -> None:
    """Opens what was sealed to the core, as a secret and as a chain key."""
    try:
        hpke_open(HPKE, data, INFO)
    except PeerError:
        unwrap_chain_key(HPKE, data, DEVICE, 1)


def hpke_seeds() -> list[bytes]:
    """Sealed secrets, and points that are none."""
    good = hpke_seal(HPKE.public_bytes, b"secret", INFO)
    return [good, good[:65], good[:64], bytes(65), b"\x04" + bytes(96), HPKE.public_bytes]


# ------------------------------------------------------------------ telemetry
def run_columns(data: bytes) -> None:
    """Decodes; what was decoded comes out again, value by value."""
    groups = decode_columns(data, samples_max=SAMPLES_MAX)
    again = decode_columns(encode_columns(groups, 0), samples_max=SAMPLES_MAX)
    if again != groups:
        raise Mismatch("What was decoded is not encoded to the same values.")


def columns_seeds() -> list[bytes]:
    """Columns of every form, also those of the vectors."""
    made = [encode_columns([group], 1_000) for group in GROUPS]
    return [*made, encode_columns(GROUPS, 0), b"\x01\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"]


def run_batch(data: bytes) -> None:
    """Reads an opened batch as it would be after inflating, and lays it out as rows."""
    origin = Origin(DEVICE, 1, 1, 0)
    rows_of(read_batch(deflate(data)), origin)


def batch_seeds() -> list[bytes]:
    """Batches with and without each part."""
    event = {"kind": "harsh-brake", "start_us": 1, "end_us": 2, "peak": -400, "unit": "mm/s2",
             "severity": "high", "rule": "r"}  # fmt: skip
    least = {"v": 1, "start_us": 1_000, "vehicle": "V-1", "counts": {"frames": 3, "samples": 3}}
    summary = {"distance_m": 3, "events": [1, {"y": 2}]}
    fault = {"kind": "dtc", "at_us": 1, "ecu": "7EC", "codes": ["P0A80-11"], "lamps": ["mil"]}
    full = {**least, "driver": "D-1", "trip": "T-1", "events": [event], "trip_summary": summary,
            "columns": encode_columns(GROUPS[:1], 0), "snapshots": [fault],
            "health": {"queue": 1, "version": "1"}}  # fmt: skip
    big = {**full, "columns": encode_columns([Group([0, 1], {1: [2**60, -(2**63)]})], 0)}
    return [encode(least), encode(full), encode(big)]


def run_claim(data: bytes) -> None:
    """Reads what a message says of itself."""
    read_claim(ORG, UP, data)


def claim_seeds() -> list[bytes]:
    """A batch and evidence of every kind."""
    records: list[dict[str, Any]] = [
        {"type": "epoch-start", "device": DEVICE, "epoch": 1, "alg": 3, "wrap": bytes(113)},
        {"type": "epoch-close", "device": DEVICE, "epoch": 1, "count": 7, "head": bytes(32)},
        {"type": "gap", "device": DEVICE, "epoch": 1, "first": 1, "last": 2, "head": bytes(32)},
        {"type": "consent", "device": DEVICE},
    ]
    return [*encrypt0_seeds()[:2], *(sign_evidence(BOX, record, UP) for record in records)]


def _with_vectors(seeds: list[bytes]) -> list[bytes]:
    return [*seeds, *vector_bytes()]


# Many empty containers cost most for a byte; the limit of items bounds them (edge.codec).
TARGETS: Final = (
    Target("codec", "edge.codec.decode, and the way back", run_codec,
           lambda: _with_vectors(codec_seeds())),
    Target("inflate", "edge.codec.inflate, and the way back", run_inflate, inflate_seeds,
           bytes_max=16 * KIB, memory_base=MIB),
    Target("encrypt0", "edge.seal.read_encrypt0 and open_encrypt0 with each cipher", run_encrypt0,
           lambda: _with_vectors(encrypt0_seeds())),
    Target("sign1", "edge.seal.read_sign1 and verify_sign1 with a real key", run_sign1,
           lambda: _with_vectors(sign1_seeds())),
    Target("hpke", "edge.keys.hpke_open and unwrap_chain_key", run_hpke, hpke_seeds, bytes_max=512),
    Target("columns", "edge.columns.decode_columns, and the way back", run_columns,
           lambda: _with_vectors(columns_seeds()), memory_base=32 * MIB),
    Target("batch", "telemetry.batch: what a hostile box seals, to rows of the lake", run_batch,
           batch_seeds, memory_base=256 * MIB),
    Target("claim", "telemetry.claim.read_claim", run_claim, claim_seeds),
)  # fmt: skip
