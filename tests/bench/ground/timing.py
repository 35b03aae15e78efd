"""Two ways of doing one thing, timed in turns: ours and the bare one, in one run.

Place in the flow: `tests.bench.edge` asks, each function here prepares both ways and times them.

* Every round does some of ours and some of the bare one; which goes first alternates, so that what
  else the machine does meets both. The median round counts.
* A turn is shorter than a slice of the scheduler, so that on a busy machine most turns are whole.
* The bare way has its keys and statements ready and nothing to check.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.journal import MIGRATIONS, Journal
from edge.keys import FileIdentity
from edge.seal import epoch_kid, nonce_of, seal_encrypt0, sign1
from edge.sqlite import Migrations
from edge.store import create_tables, open_store
from edge.suites import A256GCM, suite_of
from hardware.drivers.clock import SystemClock, SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.sqlite import Database

KIND: Final = "cash-withdrawal"
DEVICE: Final = "box-1"
EPOCH: Final = 7
AAD: Final = b"lastmile/v1/bench/box-1/up"
KEY_BYTES: Final = 32
BARE = Migrations("bare")


@BARE()
def bare_001(database: Database) -> None:
    """One table of bytes, without a trigger, a check or an index."""
    create_tables(database, "CREATE TABLE bare (entry BLOB NOT NULL)")


@dataclass(frozen=True, slots=True)
class Pair:
    """What one operation takes, seconds, ours and the bare one, round by round."""

    ours_s: Sequence[float]
    bare_s: Sequence[float]

    @property
    def ratio(self) -> float:
        """Our speed over the bare one's: 1 costs nothing, 0.5 takes twice as long."""
        rounds = zip(self.ours_s, self.bare_s, strict=True)
        return statistics.median(bare / ours for ours, bare in rounds)

    @property
    def ours_us(self) -> float:
        """Median of ours, microseconds."""
        return statistics.median(self.ours_s) * 1e6

    @property
    def bare_us(self) -> float:
        """Median of the bare one, microseconds."""
        return statistics.median(self.bare_s) * 1e6


def alternate(
    ours: Callable[[], object], bare: Callable[[], object], rounds: int, times: int
) -> Pair:
    """Times both in turns; one round more at the start warms both up and does not count."""
    found: tuple[list[float], list[float]] = [], []
    for number in range(rounds + 1):
        order = (0, 1) if number % 2 else (1, 0)
        for which in order:
            found[which].append(_time((ours, bare)[which], times))
    return Pair(found[0][1:], found[1][1:])


def _time(work: Callable[[], object], times: int) -> float:
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


# ------------------------------------------------------------------ the three
def time_signed_frame(folder: Path, size: int, rounds: int, times: int) -> Pair:
    """Seals and signs a frame as the journal's are: A256GCM in COSE_Encrypt0 in a COSE_Sign1."""
    identity = FileIdentity.create(folder / "frame.pem", DEVICE)
    token = SystemRandomness().token
    frame, key, base_iv = token(size), token(KEY_BYTES), token(12)
    suite, kid, numbers = suite_of(A256GCM), epoch_kid(DEVICE, EPOCH), count(1)
    keys: tuple[Any, bytes] = suite.ready(key), base_iv
    cipher, es256 = AESGCM(key), ec.ECDSA(hashes.SHA256())
    private = identity.private_key

    def ours() -> bytes:
        sealed = seal_encrypt0(suite, keys, kid, next(numbers), frame, AAD)
        return sign1(sealed, identity.sign, identity.kid, AAD)

    def bare() -> bytes:
        sealed = cipher.encrypt(nonce_of(base_iv, next(numbers)), frame, AAD)
        return private.sign(sealed, es256)

    return alternate(ours, bare, rounds, times)


def time_batch(plaintext: bytes, rounds: int, times: int) -> Pair:
    """Seals a batch, unsigned."""
    token = SystemRandomness().token
    key, base_iv = token(KEY_BYTES), token(12)
    suite, kid, numbers = suite_of(A256GCM), epoch_kid(DEVICE, EPOCH), count(1)
    keys: tuple[Any, bytes] = suite.ready(key), base_iv
    cipher = AESGCM(key)

    def ours() -> bytes:
        return seal_encrypt0(suite, keys, kid, next(numbers), plaintext, AAD)

    def bare() -> bytes:
        return cipher.encrypt(nonce_of(base_iv, next(numbers)), plaintext, AAD)

    return alternate(ours, bare, rounds, times)


def time_journal(folder: Path, key: bytes | None, rounds: int, times: int) -> tuple[Pair, int]:
    """Appends entries of a withdrawal, each in its transaction, and says how long one is.

    The bare insert is one statement that commits itself, into a second file that was opened in the
    same way: the write-ahead log under FULL, with the same key.
    """
    with (
        open_store(folder / "journal.db", [MIGRATIONS], key) as store,
        open_store(folder / "bare.db", [BARE], key) as plain,
    ):
        journal, numbers = Journal(store, DEVICE, SystemClock()), count(1)

        def ours() -> None:
            number = next(numbers)
            with store.transaction():
                journal.append("FACT", KIND, _withdrawal(number))

        ours()
        entry = journal.read(0, 1, 1 << 16)[0][0]
        insert = plain.database.conn.execute

        def bare() -> None:
            insert("INSERT INTO bare (entry) VALUES (?)", (entry,))

        return alternate(ours, bare, rounds, times), len(entry)


def _withdrawal(number: int) -> dict[str, object]:
    return {"lease": "0123456789abcdef", "amount_fen": 100 * number, "receipt": f"{number:06}"}
