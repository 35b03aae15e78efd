"""What a folder that `lastmile-provision` installed opens to: identity, policy, stream, connection.

Place in the flow: gateway.toml, keys/, core/ → **provisioned** → batch, mqtt.

* Nothing is taken from a folder that is another device's: identity, policy and settings must agree.
* Everything that is random or of the moment comes from ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge import epochs, outbox
from edge.drivers import GRADE_TYPE, ROSTER_TYPE
from edge.errors import DeviceFault, LocalError, PeerError
from edge.keys import FileIdentity, LocalSecret, verifier
from edge.policy import TYPE as POLICY
from edge.policy import open_policy
from vehicle_gateway.answers import Answers
from vehicle_gateway.batch import Sink
from vehicle_gateway.campaign_book import CampaignBook
from vehicle_gateway.data_plan import DataPlan, PlanRule
from vehicle_gateway.driver import SEALED_FOR, DriverBook
from vehicle_gateway.health import Organs, read_signal
from vehicle_gateway.mqtt import Address, BrokerPlace, Publisher
from vehicle_gateway.orders import Addressee
from vehicle_gateway.publish import SendPlan
from vehicle_gateway.roster import RosterBook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.policy import Policy
    from edge.ports import Clock, FrameSource, Randomness
    from edge.store import Store
    from vehicle_gateway.batch import Batcher
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.config import GatewayConfig
    from vehicle_gateway.duties import Duties
    from vehicle_gateway.power import Power


@dataclass(frozen=True, slots=True)
class Provisioned:
    """A device in its folder.

    Attributes:
        config: Its gateway.toml.
        clock: Reads the present.
        randomness: Makes keys and jitter.
    """

    config: GatewayConfig
    clock: Clock
    randomness: Randomness

    @property
    def address(self) -> Address:
        """Its topics."""
        return Address(self.config.gateway.org, self.config.gateway.device)

    def identity(self) -> FileIdentity:
        """Loads its private key.

        Raises:
            LocalError: It is that of another device.
        """
        identity = FileIdentity.load(self.config.gateway.identity)
        if identity.kid != self.config.gateway.device:
            raise LocalError(
                f"The identity is that of {identity.kid}, not of {self.config.gateway.device}. "
                "Correct [gateway] device or provision this device.",
                "gateway-identity",
            )
        return identity

    def open_sink(self, store: Store) -> Sink:
        """Opens outbox, stream and drivers over an open store.

        Raises:
            LocalError: Identity or policy is that of another device.
            DeviceFault: A file of the core cannot be read.
        """
        identity, limits = self.identity(), self.config.outbox
        age_us = limits.age_days_max * outbox.DAY_US
        waiting = outbox.Outbox(
            store, identity.kid, outbox.OutboxLimits(bytes_max=limits.bytes_max, age_us_max=age_us)
        )
        ports = epochs.StreamPorts(
            identity, self._policy(), self.clock, self.randomness, self.address.up
        )
        stream = epochs.SealedStream(store, waiting, ports)
        secret = LocalSecret(identity, SEALED_FOR, self.randomness)
        return Sink(store, waiting, stream, DriverBook(store, secret), self.clock)

    def roster(self, sink: Sink) -> RosterBook:
        """Returns what the core told of its drivers."""
        return RosterBook(sink.store, self.identity(), sink.drivers.secret)

    def addressee(self) -> Addressee:
        """Returns whom an order may name to mean it."""
        return Addressee(self.config.gateway.device, self.config.campaign.group)

    def campaigns(self, store: Store, base: Campaign) -> CampaignBook:
        """Returns the campaigns that the core sends; `base` acts where none may."""
        return CampaignBook(store, self.addressee(), base)

    def publisher(self, sink: Sink, duties: Duties | None = None) -> Callable[[], Publisher] | None:
        """Returns what makes a connection to its broker; None where it has none.

        Args:
            sink: Where answers of the core settle what waits.
            duties: What it does on the core's word; None for nothing.
        """
        brokers = places(self.config)
        if not brokers:
            return None
        verify = verifier(self._signing_key())
        book = self.roster(sink)
        listeners = {
            POLICY: lambda message: sink.stream.take_policy(message, verify),
            ROSTER_TYPE: lambda message: book.take_roster(message, verify),
            GRADE_TYPE: lambda message: book.take_grade(message, verify),
            **(duties.listeners(self.addressee(), verify) if duties else {}),
        }

        def make() -> Publisher:
            answers = Answers(sink, verify, self.address.down, listeners)
            plan = SendPlan(self.randomness)
            publisher = Publisher(brokers, self.address, sink, answers, plan, self.randomness)
            bought = self.config.data_plan
            if bought is not None:
                rule = PlanRule(bought.bytes_per_month, bought.reset_day)
                publisher.data_plan = DataPlan(sink.store, rule)
            return publisher

        return make

    def organs(
        self,
        batcher: Batcher,
        source: FrameSource,
        publisher: Publisher | None,
        power: Power | None,
        clock: Callable[[], Mapping[str, Any]],
    ) -> Organs:
        """Returns what a health record is made of.

        Args:
            batcher: Counts, and seals the record.
            source: Counts what could not be read.
            publisher: The connection, if there is one.
            power: Ignition and supply.
            clock: What the clock's discipline tells.
        """
        config = self.config
        return Organs(
            device=config.gateway.device,
            data_dir=config.gateway.data_dir,
            batcher=batcher,
            source=source,
            certificate=config.broker.certificate if config.broker else None,
            publisher=publisher,
            power=power,
            clock=clock,
            signal=read_signal(config.health.signal),
        )

    def _policy(self) -> Policy:
        path = self.config.core.policy
        verify = verifier(self._signing_key())
        try:
            return open_policy(_read(path), verify, self.config.gateway.device)
        except PeerError as error:
            raise LocalError(
                f"{path} holds no policy for this device: {error} Install the bundle again.",
                "gateway-policy",
            ) from error

    def _signing_key(self) -> bytes:
        path = self.config.core.signing_public
        try:
            return bytes.fromhex(_read(path).decode("ascii").strip())
        except ValueError as error:
            raise LocalError(
                f"{path} holds no hexadecimal key. Install the bundle again.", "gateway-key"
            ) from error


def places(config: GatewayConfig) -> list[BrokerPlace]:
    """Returns the brokers of a device, the first first; none where it has no [broker]."""
    broker = config.broker
    if broker is None:
        return []
    keys = broker.ca, broker.certificate, config.gateway.identity
    others = [BrokerPlace(each.host, each.port, *keys) for each in broker.fallback]
    return [BrokerPlace(broker.host, broker.port, *keys), *others]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeviceFault(
            f"{path} of the core cannot be read ({error.strerror}). Install the bundle again.",
            "gateway-key",
        ) from error
