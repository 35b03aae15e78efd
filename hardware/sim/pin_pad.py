"""A PIN pad in a folder of its own: the only thing in the village that ever sees a PIN.

Place in the flow: worker → **pad** (`verify`) → answer signed by the pad → journal → core.

    verifier   HPKE, sealed to this pad for info b"lastmile pin verifier", of the encoded map
               {alg "argon2id", iterations, lanes, memory_kib, salt, hash, customer, lease}
    answer     evidence of the pad, topic "lastmile pin answer":
               {type "pin-answer", ok, lease, pad, counter, amount_fen, verifier}

* The PIN is read from the keys, compared and forgotten: it is in no answer, no log and no file.
* A try is counted on disk *before* it is compared, so that pulling the plug buys none.
* Wrong tries are counted by the verifier's salt: five block it until the bank gives out a new one.
* A block for another pad, for another lease, or damaged, is refused and costs no try.
* Every answer has its own number; the pad never gives the same one twice.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.codec import decode
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import FileIdentity, HpkeKeypair, hpke_open, sign_evidence, write_private
from edge.purposes import PIN_ANSWER_TOPIC, PIN_INFO
from hardware.drivers.call import CallDevice, text_parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.ports import Clock, Completion
    from hardware.drivers.call import Call

TRIES_MAX: Final = 5
PIN_DIGITS: Final = 6
TYPED_BYTES_MAX: Final = 64
IDENTITY_NAME, HPKE_NAME = "identity.pem", "hpke.pem"
STATE_NAME: Final = "state.json"
TYPED_NAME: Final = "typed"
ASKING_NAME: Final = "asking"
BOUNDS: Final = {"iterations": (1, 10), "lanes": (1, 4), "memory_kib": (8, 65_536)}
"""A block that asks for more than these would stop the pad for minutes."""

SALT_BYTES: Final = (8, 64)
HASH_BYTES: Final = (16, 64)


# ------------------------------------------------------------------ factory
@dataclass(frozen=True, slots=True)
class PadKeys:
    """What the bank must know of a pad: two P-256 points, SEC1 uncompressed.

    Attributes:
        public_key: Verifies its answers.
        hpke_public: Verifiers are sealed to it.
    """

    public_key: bytes
    hpke_public: bytes


def create_pad(directory: Path, pad: str) -> PadKeys:
    """Makes the keys of a pad, or returns those it has.

    Args:
        directory: The pad's own folder.
        pad: Its id.

    Raises:
        LocalError: The folder holds another pad.
    """
    identity_path, hpke_path = directory / IDENTITY_NAME, directory / HPKE_NAME
    if not identity_path.exists():
        FileIdentity.create(identity_path, pad)
    if not hpke_path.exists():
        HpkeKeypair.create(hpke_path)
    identity = FileIdentity.load(identity_path)
    if identity.kid != pad:
        raise LocalError(f"{directory} holds the pad {identity.kid}; use another folder.", "pad")
    return PadKeys(identity.public_bytes, HpkeKeypair.load(hpke_path).public_bytes)


# ------------------------------------------------------------------ verifier block
@dataclass(frozen=True, slots=True)
class PinBlock:
    """An opened verifier.

    Attributes:
        digest: SHA-256 of the sealed verifier; the answer names it, so that nobody can have a
            verifier of their own answered for.
        parameters: {iterations, lanes, memory_kib}, within `BOUNDS`.
    """

    digest: bytes
    lease: str
    salt: bytes
    expected: bytes
    parameters: Mapping[str, int]

    def matches(self, pin: str) -> bool:
        """Compares in constant time."""
        argon = Argon2id(
            salt=self.salt,
            length=len(self.expected),
            iterations=self.parameters["iterations"],
            lanes=self.parameters["lanes"],
            memory_cost=self.parameters["memory_kib"],
        )
        return hmac.compare_digest(argon.derive(pin.encode()), self.expected)


def open_block(keypair: HpkeKeypair, sealed: object, lease: str) -> PinBlock:
    """Opens a verifier and checks that it is for a lease.

    Raises:
        PeerError: Sealed to another pad, damaged, for another lease, or beyond a bound.
    """
    if not isinstance(sealed, bytes):
        raise PeerError("The PIN block is not bytes; the lease must be made anew.", "wrong-block")
    record = decode(hpke_open(keypair, sealed, PIN_INFO))
    if not isinstance(record, dict) or record.get("alg") != "argon2id":
        raise PeerError("The PIN block is no verifier; the lease must be made anew.", "wrong-block")
    salt, expected = record.get("salt"), record.get("hash")
    parameters = {name: record.get(name) for name in BOUNDS}
    sound = (
        record.get("lease") == lease
        and _sized(salt, SALT_BYTES)
        and _sized(expected, HASH_BYTES)
        and all(_bounded(parameters[name], *BOUNDS[name]) for name in BOUNDS)
        and record["memory_kib"] >= 8 * record["lanes"]
    )
    if not sound:
        raise PeerError("The PIN block does not fit this lease and this pad.", "wrong-block")
    digest = hashlib.sha256(sealed).digest()
    bounded = {name: record[name] for name in BOUNDS}
    return PinBlock(digest, lease, record["salt"], record["hash"], bounded)


def _sized(value: object, bounds: tuple[int, int]) -> bool:
    return isinstance(value, bytes) and bounds[0] <= len(value) <= bounds[1]


def _bounded(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


# ------------------------------------------------------------------ pad
class PinPad(CallDevice):
    """A pad that was made by `create_pad`; fulfils `edge.ports.KioskDevice`.

    Verb: `verify` {verifier: bytes, lease: text, amount_fen: int} waits for a PIN and returns
    {answer, ok, tries_left}; a wrong PIN is `refused` with `wrong-pin`, five are `pin-blocked`.

    Args:
        directory: The pad's own folder; a person types into its file `typed`.
        clock: Measures time limits.

    Raises:
        DeviceFault: The folder holds no pad.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        super().__init__("pin_pad", clock)
        self._directory = directory
        self._identity = FileIdentity.load(directory / IDENTITY_NAME)
        self._keypair = HpkeKeypair.load(directory / HPKE_NAME)
        (directory / ASKING_NAME).unlink(missing_ok=True)

    @property
    def pad(self) -> str:
        """Its id."""
        return self._identity.kid

    def verbs(self) -> Mapping[str, Callable[[Call], Completion]]:
        """`verify` alone: no command resets a count or tells a key."""
        return {"verify": self._verify}

    def _verify(self, call: Call) -> Completion:
        lease = text_parameter(call.command, "lease")
        amount = call.command.parameters.get("amount_fen")
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
            raise LocalError("verify needs amount_fen as integer fen.", "parameter")
        try:
            block = open_block(self._keypair, call.command.parameters.get("verifier"), lease)
        except PeerError:
            return call.failed("refused", "wrong-block")
        if self._tries(block) >= TRIES_MAX:
            return self._answer(call, block, amount, ok=False)
        self._forget_typed()
        pin = self._await_pin(call)
        if pin is None:
            return call.ended()
        if pin == "":
            return call.failed("cancelled", "pin-cancelled")
        self._count(block, self._tries(block) + 1)
        ok = len(pin) == PIN_DIGITS and block.matches(pin)
        if ok:
            self._count(block, 0)
        return self._answer(call, block, amount, ok=ok)

    def _answer(self, call: Call, block: PinBlock, amount_fen: int, *, ok: bool) -> Completion:
        record = {
            "type": "pin-answer",
            "ok": ok,
            "lease": block.lease,
            "pad": self.pad,
            "counter": self._next_number(),
            "amount_fen": amount_fen,
            "verifier": block.digest,
        }
        left = TRIES_MAX - self._tries(block)
        signed = sign_evidence(self._identity, record, PIN_ANSWER_TOPIC)
        if ok:
            return call.done(answer=signed, ok=True, tries_left=left)
        code = "wrong-pin" if left else "pin-blocked"
        return call.failed("refused", code, answer=signed, ok=False, tries_left=left)

    # -------------------------------------------------------------- keys
    def _await_pin(self, call: Call) -> str | None:
        """Returns what was typed, empty for the red key, None when the command ended first."""
        lamp = self._directory / ASKING_NAME
        lamp.touch()
        try:
            while not call.over:
                typed = self._take_typed()
                if typed is not None:
                    return typed
                call.pause()
            return None
        finally:
            lamp.unlink(missing_ok=True)

    def _take_typed(self) -> str | None:
        path = self._directory / TYPED_NAME
        try:
            with path.open("rb") as keys:
                typed = keys.read(TYPED_BYTES_MAX)
            path.unlink()
        except OSError:
            return None
        return typed.decode("ascii", errors="replace").strip()

    def _forget_typed(self) -> None:
        """Drops what was typed while nobody was asked."""
        (self._directory / TYPED_NAME).unlink(missing_ok=True)

    # -------------------------------------------------------------- counts
    def _tries(self, block: PinBlock) -> int:
        return int(self._state()["tries"].get(block.salt.hex(), 0))

    def _count(self, block: PinBlock, tries: int) -> None:
        state = self._state()
        state["tries"][block.salt.hex()] = tries
        self._keep(state)

    def _next_number(self) -> int:
        state = self._state()
        state["answers"] += 1
        self._keep(state)
        return int(state["answers"])

    def _state(self) -> dict[str, Any]:
        path = self._directory / STATE_NAME
        if not path.exists():
            return {"answers": 0, "tries": {}}
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            return {"answers": int(state["answers"]), "tries": dict(state["tries"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeviceFault(
                f"The PIN pad {self.pad} lost its counts; send it to the bank.", "pad-state"
            ) from error

    def _keep(self, state: Mapping[str, Any]) -> None:
        write_private(self._directory / STATE_NAME, json.dumps(state).encode())
