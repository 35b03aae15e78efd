"""Who may reach which topic of the embedded broker: the rules of `mosquitto.acl` as plugins.

Place in the flow: amqtt loads the two plugins by name; `hardware.drivers.broker_amqtt` tells them
whose certificate a connection showed.

* A client id belongs to the first certificate that used it: a session cannot be taken over.
* A device writes `lastmile/v1/+/{name}/up` and reads `lastmile/v1/+/{name}/down`; the core reads
  every uplink and writes every downlink; everything else is refused.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amqtt.contexts import Action, BaseContext
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin

if TYPE_CHECKING:
    from amqtt.session import Session

TOPIC_LEVELS = 5
CLIENTS_MAX = 10_000

peer_name: ContextVar[str] = ContextVar("peer_name", default="")


def may(name: str, core: str, action: Action, topic: str) -> bool:
    """Decides one publish, subscription or delivery.

    Args:
        name: Common name of the client's certificate.
        core: Common name of the core's certificate.
        action: What the client wants to do.
        topic: A topic, or a topic filter when it subscribes.
    """
    levels = topic.split("/")
    if len(levels) != TOPIC_LEVELS or levels[:2] != ["lastmile", "v1"] or not name:
        return False
    device, direction = levels[3:]
    writes = action is Action.PUBLISH
    if name == core:
        return direction == ("down" if writes else "up")
    return device == name and direction == ("up" if writes else "down")


class _Owners:
    """Remembers which certificate each client id belongs to."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def claim(self, client_id: str, name: str) -> bool:
        if client_id not in self._names and len(self._names) >= CLIENTS_MAX:
            return False
        return self._names.setdefault(client_id, name) == name

    def name(self, client_id: str | None) -> str:
        return self._names.get(client_id or "", "")


_owners = _Owners()


class CertificateAuthentication(BaseAuthPlugin):  # type: ignore[misc] # amqtt carries no types
    """Admits a client by the certificate of its connection."""

    async def authenticate(self, *, session: Session) -> bool | None:
        """Says whether the session may begin."""
        name = peer_name.get()
        return bool(name) and _owners.claim(session.client_id or "", name)


class CertificateTopics(BaseTopicPlugin):  # type: ignore[misc] # as above
    """Keeps every client to the topics of its certificate."""

    @dataclass
    class Config:
        """Settings of the rule."""

        core: str = "core"

    def __init__(self, context: BaseContext) -> None:
        super().__init__(context)
        self._core = str(self._get_config_option("core", "core"))

    async def topic_filtering(
        self,
        *,
        session: Session | None = None,
        topic: str | None = None,
        action: Action | None = None,
    ) -> bool | None:
        """Says whether the session's owner may do this to this topic."""
        if session is None or topic is None or action is None:
            return False
        return may(_owners.name(session.client_id), self._core, action, topic)
