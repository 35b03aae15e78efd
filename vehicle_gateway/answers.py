"""What the core says on the down topic, and who acts on it.

Place in the flow: broker → mqtt → **answers** → outbox, stream, and whoever else listens.

    stored     the outbox deletes what the core has
    refused    the stream sets aside what the core can never take, and tells of the gap
    ...        a listener of its own for each other type

* Every answer is evidence of the core. Here only its type is looked at, unverified, so as to find
  who listens; it is the listener that verifies before it acts.
* Bytes are hostile: one that no listener takes is counted and told in the log, never an exception.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from edge.codec import decode
from edge.errors import PeerError
from edge.keys import EVIDENCE_ITEMS_MAX
from edge.seal import read_sign1
from edge.verdicts import REFUSED, STORED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vehicle_gateway.batch import Sink

    Listener = Callable[[bytes], bool]

log = logging.getLogger(__name__)


class Answers:
    """Brings each answer to the one who listens for its type.

    Args:
        sink: Its outbox settles what is stored, its stream heeds what is refused.
        verify: Checks against the core's signing key.
        topic: The down topic; it is authenticated with every answer.
        listeners: For types of others: each verifies the message, raises PeerError where it is
            wrong, and returns whether something is to be sent now.

    Attributes:
        settled: Messages settled since this process began.
        refused: Arrivals that were wrong, or for which nobody listens.
    """

    def __init__(
        self,
        sink: Sink,
        verify: Callable[[bytes, bytes], None],
        topic: str,
        listeners: Mapping[str, Listener] | None = None,
    ) -> None:
        self._sink = sink
        self._verify = verify
        self._topic = topic
        own: dict[str, Listener] = {STORED: self._settle, REFUSED: self._heed}
        self._listeners = {**own, **(listeners or {})}
        self.settled = self.refused = 0

    def hear(self, message: bytes) -> bool:
        """Acts on one arrival; says whether there is more to send because of it.

        Args:
            message: Hostile bytes.

        Raises:
            DeviceFault: The disk is full or failing; nothing has changed.
        """
        try:
            return self._listener(message)(message)
        except PeerError as error:
            self.refused += 1
            log.warning("an answer is refused: %s", error)
            return False

    def _listener(self, message: bytes) -> Listener:
        record: Any = decode(read_sign1(message)[1], items_max=EVIDENCE_ITEMS_MAX)
        kind = record.get("type") if isinstance(record, dict) else None
        listener = self._listeners.get(kind) if isinstance(kind, str) else None
        if listener is None:
            raise PeerError("Nobody here listens for an answer of this type.", "answer-type")
        return listener

    def _settle(self, message: bytes) -> bool:
        settled = self._sink.outbox.settle(message, self._verify, self._topic)
        self.settled += settled
        return settled > 0

    def _heed(self, message: bytes) -> bool:
        is_ours = self._sink.stream.heed(message, self._verify, self._topic)
        if is_ours:
            log.error("the core can never take a message of ours; `status` says which and why")
        return is_ours
