"""core.toml: what the operator decides.

Place in the flow: core.toml → **config** → `__main__`, api.

* A path is relative to the file; an unknown key is an error.
* What is not there has a default that suits one machine.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time

import msgspec

from backend_sync.core.policies import DEFAULT_ALGORITHMS


class CoreSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[core]`: who we are and where our files are.

    Attributes:
        data_dir: Keys, certificates, embedded database.
        org: Organisation, the third level of every telemetry topic.
    """

    data_dir: Path
    org: str


class ApiSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[api]`: where devices reach us over HTTPS.

    Attributes:
        host: Address to listen on.
        port: TCP port; 0 takes a free one and logs it.
        certificate: PEM chain of the server.
        key: PEM private key of that certificate.
        ca: PEM roots that a device's certificate must chain to.
        next_contact_s: When an idle device should call again; 0 leaves it to the device.
        public_url: How devices reach us, if not at host and port (a proxy, a real name).
    """

    certificate: Path
    key: Path
    ca: Path
    host: str = "127.0.0.1"
    port: int = 8443
    next_contact_s: int = 0
    public_url: str = ""

    @property
    def url(self) -> str:
        """What devices are told."""
        return self.public_url or f"https://{self.host}:{self.port}"


class DatabaseSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[database]`: `dsn` selects a real PostgreSQL; empty runs the embedded one."""

    dsn: str = ""


class BrokerSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[broker]`: where ingest listens for telemetry; without it ingest does not run.

    Attributes:
        host: Name or address, as the broker's certificate spells it.
        port: TCP port of the broker.
        ca: PEM roots that the broker's certificate must chain to.
        certificate: PEM certificate of the core's ingest.
        key: PEM private key of that certificate.
        shared: Use a shared subscription: several ingest processes on Mosquitto or EMQX.
    """

    ca: Path
    certificate: Path
    key: Path
    host: str = "127.0.0.1"
    port: int = 8883
    shared: bool = False


class TelemetrySection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[telemetry]`: what gateways may use.

    Attributes:
        algorithms: Of a gateway's policy, preferred first: names or COSE ids of `edge.suites`.
    """

    algorithms: tuple[str | int, ...] = DEFAULT_ALGORITHMS


class LakeSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[lake]`: where telemetry becomes Parquet."""

    dir: Path


class CoreConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    core: CoreSection
    api: ApiSection
    lake: LakeSection
    database: DatabaseSection = DatabaseSection()
    broker: BrokerSection | None = None
    telemetry: TelemetrySection = TelemetrySection()
