"""What the core tells one vehicle box of its drivers: who may sign in, and how they are graded.

Place in the flow: core → **drivers** (signed, sealed) → down topic → roster book of the box.

    roster   {type: "roster", device, seq, sealed}   purpose `edge.purposes.ROSTER`
    grade    {type: "grade",  device, seq, sealed}   purpose `edge.purposes.GRADE`
             sealed = HPKE to the box's own public key, info = encode([purpose, device, seq])
             inside: JSON of `Roster` or `Grade`, deflated

* Broker and disk see that a box has a roster, and not of whom.
* `seq` counts up: microseconds UTC of the core's clock when it signed; a box takes no older one.
* A card's number and a PIN stand there by Argon2id alone (RFC 9106; 7 MiB, 5 passes, 1 lane, one
  of OWASP's choices: a box has no 64 MiB to spare). The salt of cards is the roster's, so that
  one hash finds a card among all; that of a PIN is the driver's own.
* Drivers are pseudonyms. The `name` is for the screen in front of the driver, and for nothing else.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.codec import deflate, encode, inflate
from edge.errors import LocalError, PeerError
from edge.keys import HpkeKeypair, hpke_open, hpke_seal, open_evidence, sign_evidence
from edge.purposes import GRADE, ROSTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.keys import FileIdentity
    from edge.ports import Signer

CORE: Final = "core"
ROSTER_TYPE: Final = "roster"
GRADE_TYPE: Final = "grade"
PURPOSES: Final = {ROSTER_TYPE: ROSTER, GRADE_TYPE: GRADE}
FIELDS: Final = frozenset({"type", "device", "seq", "sealed"})
SEQ_MAX: Final = (1 << 63) - 1
PLAIN_BYTES_MAX: Final = 65_536
HASH_BYTES: Final = 32
SALT_BYTES_MIN: Final = 16
MEMORY_KIB: Final = 7_168
PASSES: Final = 5
DRIVERS_MAX: Final = 64

Text = Annotated[str, msgspec.Meta(max_length=64)]
Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{2,6}$")]


class RosterDriver(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One driver who may sign in.

    Attributes:
        subject: Pseudonym.
        number: What they type before their PIN, 2 to 6 digits.
        name: What the screen calls them once they have agreed; may be empty.
        card: `stretch` of the card's number under the roster's salt; empty without a card.
        pin_salt: Of `pin`.
        pin: `stretch` of the PIN; empty without one.
    """

    subject: Text
    number: Number
    name: Text
    card: bytes
    pin_salt: bytes
    pin: bytes


class Roster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may sign in at a box."""

    salt: bytes
    drivers: Annotated[list[RosterDriver], msgspec.Meta(max_length=DRIVERS_MAX)]

    def by_card(self, uid: bytes) -> RosterDriver | None:
        """Returns whose card it is."""
        found = stretch(uid, self.salt)
        return next((each for each in self.drivers if hmac.compare_digest(each.card, found)), None)

    def by_pin(self, number: str, pin: str) -> RosterDriver | None:
        """Returns who typed this; an unknown number takes as long as a wrong PIN."""
        named = next((each for each in self.drivers if each.number == number), None)
        found = stretch(pin.encode(), named.pin_salt if named and named.pin else self.salt)
        return named if named and hmac.compare_digest(named.pin, found) else None

    def find(self, subject: str) -> RosterDriver | None:
        """Returns a driver by pseudonym."""
        return next((each for each in self.drivers if each.subject == subject), None)


class Grade(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A driver's grade as the core decided it.

    Attributes:
        subject: Pseudonym.
        as_of_us: Facts up to here were taken, microseconds UTC.
        grade: A to E, or `unrated`.
        score: Sum of base and points.
        features: Feature → value; null is unknown.
        table: The points table that it was decided by, its exact bytes.
    """

    subject: Text
    as_of_us: int
    grade: Text
    score: int
    features: dict[str, float | None]
    table: str


Told = TypeVar("Told", Roster, Grade)


def stretch(secret: bytes, salt: bytes) -> bytes:
    """Returns the 32 bytes that stand for a card's number or a PIN; it takes 20 to 200 ms.

    Args:
        secret: Number as the reader gives it, or the typed digits.
        salt: At least 16 bytes.
    """
    derive = Argon2id(
        salt=salt, length=HASH_BYTES, iterations=PASSES, lanes=1, memory_cost=MEMORY_KIB
    )
    return derive.derive(secret)


def sign_roster(signer: Signer, to: tuple[str, bytes], roster: Roster, seq: int) -> bytes:
    """Returns a roster as evidence of the core.

    Args:
        signer: The core, kid "core".
        to: Id and public key of the box.
        roster: What it is to know.
        seq: The present, microseconds UTC.

    Raises:
        LocalError: No box would take it.
    """
    try:
        _check_roster(roster)
    except PeerError as error:
        raise LocalError(str(error), error.code) from error
    return _sign(signer, to, (ROSTER_TYPE, roster), seq)


def sign_grade(signer: Signer, to: tuple[str, bytes], grade: Grade, seq: int) -> bytes:
    """Returns a grade as evidence of the core; arguments as of `sign_roster`."""
    return _sign(signer, to, (GRADE_TYPE, grade), seq)


def open_roster(
    message: bytes, verify: Callable[[bytes, bytes], None], identity: FileIdentity
) -> tuple[int, Roster]:
    """Returns (seq, roster) once signature and seal hold.

    Args:
        message: Hostile bytes.
        verify: What `edge.keys.verifier` returned for the core's signing key.
        identity: The box's own.

    Raises:
        PeerError: Malformed, not signed by the core, for another box, or changed.
    """
    seq, roster = _open(message, verify, identity, (ROSTER_TYPE, Roster))
    _check_roster(roster)
    return seq, roster


def open_grade(
    message: bytes, verify: Callable[[bytes, bytes], None], identity: FileIdentity
) -> tuple[int, Grade]:
    """Returns (seq, grade) once signature and seal hold; as `open_roster`."""
    return _open(message, verify, identity, (GRADE_TYPE, Grade))


# ------------------------------------------------------------------ inside
def _sign(
    signer: Signer, to: tuple[str, bytes], told: tuple[str, Roster | Grade], seq: int
) -> bytes:
    (device, public), (kind, content) = to, told
    plain = deflate(msgspec.json.encode(content))
    sealed = hpke_seal(public, plain, _info(kind, device, seq))
    record = {"type": kind, "device": device, "seq": seq, "sealed": sealed}
    return sign_evidence(signer, record, PURPOSES[kind])


def _open(
    message: bytes,
    verify: Callable[[bytes, bytes], None],
    identity: FileIdentity,
    wanted: tuple[str, type[Told]],
) -> tuple[int, Told]:
    kind, shape = wanted
    record = open_evidence(message, verify, PURPOSES[kind], CORE)
    if set(record) != FIELDS or record["type"] != kind:
        raise PeerError(f"The message is no {kind} of this release.", f"{kind}-shape")
    if record["device"] != identity.kid:
        raise PeerError(f"The {kind} is not for {identity.kid}.", f"{kind}-device")
    seq, sealed = record["seq"], record["sealed"]
    if not _is_seq(seq) or not isinstance(sealed, bytes):
        raise PeerError(f"The {kind} has no number or no content.", f"{kind}-shape")
    own = HpkeKeypair(identity.private_key)
    plain = inflate(hpke_open(own, sealed, _info(kind, identity.kid, seq)), PLAIN_BYTES_MAX)
    try:
        return seq, msgspec.json.decode(plain, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PeerError(f"The {kind} cannot be read: {error}.", f"{kind}-shape") from error


def _info(kind: str, device: str, seq: int) -> bytes:
    return encode([PURPOSES[kind], device, seq])


def _is_seq(value: Any) -> bool:  # noqa: ANN401 - whatever a message holds
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= SEQ_MAX


def _check_roster(roster: Roster) -> None:
    """Refuses what would let one in as another, or nobody."""
    salts = [roster.salt, *(each.pin_salt for each in roster.drivers if each.pin)]
    if any(len(salt) < SALT_BYTES_MIN for salt in salts):
        raise PeerError("A salt of the roster is shorter than 16 bytes.", "roster-salt")
    hashes = [each for driver in roster.drivers for each in (driver.card, driver.pin)]
    if any(each and len(each) != HASH_BYTES for each in hashes):
        raise PeerError("A hash of the roster is not 32 bytes.", "roster-hash")
    for words in (
        [each.subject for each in roster.drivers],
        [each.number for each in roster.drivers],
        [each.card.hex() for each in roster.drivers if each.card],
    ):
        if len(set(words)) != len(words):
            raise PeerError(
                "Two drivers of the roster have one id, number or card.", "roster-twice"
            )
