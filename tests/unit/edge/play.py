"""A device at play: what its program does in any order, and what the world does to it meanwhile.

Place in the flow: `Desk` → **play** → claims about the stream.

* `Play` acts by words, so that hypothesis can write the plot; transactions fail where it says so.
* `Recorder` stands between the stream and its ciphers: it knows each key and nonce that was used,
  whether what was sealed was kept or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge import epochs
from edge.epochs import EPOCH_US_MAX
from edge.errors import DeviceFault
from edge.keys import ratchet
from edge.seal import nonce_of, seal_encrypt0
from tests.unit.edge.desk import DOWN, CoreSide, Desk

if TYPE_CHECKING:
    from edge.outbox import OutboxLimits
    from edge.suites import Aead


class Recorder:
    """Notes every (key, nonce) that was ever used, kept or not."""

    def __init__(self) -> None:
        self.used: list[tuple[bytes, bytes]] = []
        self.keys: set[bytes] = set()
        self._key_of: dict[bytes, bytes] = {}

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Stands between the stream and its ciphers."""
        patch.setattr(epochs, "seal_encrypt0", self.seal)
        patch.setattr(epochs, "ratchet", self.ratchet)

    def ratchet(self, chain_key: bytes, suite: Aead) -> tuple[bytes, tuple[bytes, bytes]]:
        stepped = ratchet(chain_key, suite)
        key, base_iv = stepped[1]
        self._key_of[base_iv] = key
        return stepped

    def seal(
        self,
        suite: Aead,
        keys: tuple[Any, bytes],
        kid: bytes,
        seq: int,
        plaintext: bytes,
        aad: bytes,
    ) -> bytes:
        key, base_iv = self._key_of[keys[1]], keys[1]
        self.used.append((key, nonce_of(base_iv, seq)))
        self.keys |= {key, base_iv}
        return seal_encrypt0(suite, keys, kid, seq, plaintext, aad)


class Play:
    """Acts as the program of a device would, and as the world would to it."""

    def __init__(
        self, desk: Desk, limits: OutboxLimits | None = None, *, has_seed: bool = False
    ) -> None:
        desk.has_seed = has_seed
        self.desk = desk
        self.limits = limits
        self.box = desk.open(limits)
        self.core = CoreSide(desk)
        self.number = 0

    def close(self) -> None:
        self.box.close()

    def seal(self) -> None:
        self.number += 1
        self.box.stream.seal(b"batch %d" % self.number, self.number % 3)

    def act(self, action: str) -> None:
        stream = self.box.stream
        acts = {
            "seal": self.seal,
            "state": lambda: stream.state({"type": "consent"}),
            "close": stream.close,
            "begin": stream.begin,
            "hour": lambda: self.desk.clock.advance(EPOCH_US_MAX),
            "restart": self.restart,
            "settle": self.settle,
            "policy": self.take_policy,
        }
        acts.get(action, lambda: self.lose(action))()

    def restart(self) -> None:
        self.box.close()
        self.box = self.desk.open(self.limits)

    def take_policy(self) -> None:
        seq = max(self.desk.issued) + 1
        self.desk.issue(seq, (30, 3)[seq % 2])
        assert self.box.stream.take_policy(self.desk.issued[seq][1], self.desk.verify_core)

    def act_or_make_room(self, action: str) -> None:
        if self.limits is None:
            self.act(action)
            return
        try:
            self.act(action)
        except DeviceFault:  # the outbox may hold only what is never dropped
            self.settle()

    def settle(self) -> None:
        self.box.send(self.core)
        for epoch in list(self.core.streams):
            self.box.outbox.settle(self.core.stored(epoch), self.desk.verify_core, DOWN)

    def lose(self, action: str) -> None:
        with pytest.raises(RuntimeError):
            self.failing(action)

    def failing(self, action: str) -> None:
        with self.box.store.transaction():
            if action == "lose begin":
                self.box.stream.begin()
            if action == "catch":
                with pytest.raises(RuntimeError):
                    self.failing("lose many")
                self.seal()
            self.seal()
            if action == "lose many":
                self.seal()
                self.box.stream.state({"type": "consent"})
            raise RuntimeError
