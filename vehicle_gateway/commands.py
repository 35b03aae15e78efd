"""Commands of the core: a short list, each carried out at most once, and answered.

Place in the flow: down topic → answers → **commands** → batch, sources, the loop's end.

    COSE_Sign1(kid "core", aad "lastmile command")
      {type: "command", device, seq, verb, arguments: {name: number}, expiry_us}

    heard ──taken, on the disk──> under way ──told, on the disk──> done | failed
      └──refused: old, over, no verb of ours, wrong arguments      └─killed between─> unknown

* Nothing here moves a vehicle, clears a fault, or runs what the command brings along.
* That it is taken is on the disk before it is carried out: power that fails between the two makes
  its outcome `unknown`, told when the core asks again; it is never carried out twice.
* Each answer is evidence, `command-done`, in the chain of the box.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from edge.errors import LastmileError
from edge.orders import COMMAND_TYPE, VERBS, arguments_fit
from edge.purposes import COMMAND
from edge.sqlite import Migrations
from edge.store import create_tables
from vehicle_gateway.orders import Form, OrderBook, OrderRefused, open_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.epochs import SealedStream
    from edge.ports import Clock
    from edge.sqlite import Database
    from edge.store import Store
    from vehicle_gateway.batch import Sink
    from vehicle_gateway.orders import Addressee, Order, Verify

    Action = Callable[[Mapping[str, int]], None]

FORM: Final = Form(COMMAND, COMMAND_TYPE, {"type": str, "verb": str, "arguments": dict})
DONE, FAILED, REFUSED, UNKNOWN = "done", "failed", "refused", "unknown"
VERB_CHARACTERS_MAX: Final = 40
MIGRATIONS = Migrations("gateway_commands")

log = logging.getLogger(__name__)


@MIGRATIONS()
def gateway_commands_001(database: Database) -> None:
    """The command that is under way: one row or none."""
    create_tables(
        database,
        """CREATE TABLE gateway_command (
            id   INTEGER PRIMARY KEY CHECK (id = 1),
            seq  INTEGER NOT NULL,
            verb TEXT    NOT NULL
        )""",
    )


class Commands:
    """Hears commands and carries them out.

    Args:
        sink: Its store remembers, its stream answers.
        addressee: Whom a command must name.
        verify: Checks against the core's signing key.
        actions: What each verb does; one that is absent is refused as `verb-unavailable`.
    """

    def __init__(
        self, sink: Sink, addressee: Addressee, verify: Verify, actions: Mapping[str, Action]
    ) -> None:
        self._store: Store = sink.store
        self._stream: SealedStream = sink.stream
        self._clock: Clock = sink.clock
        self._addressee = addressee
        self._verify = verify
        self._actions = actions
        self._orders = OrderBook(sink.store, COMMAND_TYPE)

    def hear(self, message: bytes) -> bool:
        """Acts on one command; says whether there is an answer to send.

        Args:
            message: Hostile bytes.

        Raises:
            PeerError: Not the core's, not for this box, old, over, or none of ours.
            DeviceFault: The disk is full or failing; what was begun is not begun again.
        """
        order = open_order(message, self._verify, FORM, self._addressee)
        if order.seq == self._orders.highest:
            return self._tell_interrupted(order.seq)
        try:
            action, arguments = self._permit(order)
        except OrderRefused as refusal:
            self._refuse(refusal, order)
            raise
        verb = order.record["verb"]
        with self._store.transaction():
            self._orders.take(order.seq)
            self._store.execute(
                "INSERT INTO gateway_command (id, seq, verb) VALUES (1, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, verb = excluded.verb",
                (order.seq, verb),
            )
        self._tell(order.seq, verb, *_carry_out(verb, action, arguments))
        return True

    def _permit(self, order: Order) -> tuple[Action, Mapping[str, int]]:
        self._orders.require_due(order, self._clock.now().wall_us)
        verb, arguments = order.record["verb"], order.record["arguments"]
        if verb not in VERBS:
            raise OrderRefused("The command has no verb of this release.", "verb", order.seq)
        if not arguments_fit(verb, arguments):
            raise OrderRefused(f"{verb} takes other arguments.", "verb-arguments", order.seq)
        action = self._actions.get(verb)
        if action is None:
            raise OrderRefused(f"{verb} is not wired in this box.", "verb-unavailable", order.seq)
        return action, arguments

    def _refuse(self, refusal: OrderRefused, order: Order) -> None:
        with self._store.transaction():
            if self._orders.note_refusal(order.seq):
                verb = order.record["verb"][:VERB_CHARACTERS_MAX]
                self._state(order.seq, verb, REFUSED, refusal.code)

    def _tell_interrupted(self, seq: int) -> bool:
        """Tells of a command that was under way when the power failed."""
        row = self._store.row("SELECT verb FROM gateway_command WHERE seq = ?", (seq,))
        if row is None:
            return False
        self._tell(seq, row["verb"], UNKNOWN, "interrupted")
        return True

    def _tell(self, seq: int, verb: str, outcome: str, code: str) -> None:
        with self._store.transaction():
            self._state(seq, verb, outcome, code)
            self._store.execute("DELETE FROM gateway_command")

    def _state(self, seq: int, verb: str, outcome: str, code: str) -> None:
        log.info("command %d, %s: %s %s", seq, verb, outcome, code)
        told = {"order": seq, "verb": verb, "outcome": outcome, "code": code}
        self._stream.state({"type": "command-done", **told})


def _carry_out(verb: str, action: Action, arguments: Mapping[str, int]) -> tuple[str, str]:
    try:
        action(arguments)
    except LastmileError as error:
        log.warning("command %s: %s", verb, error)
        return FAILED, error.code
    return DONE, ""
