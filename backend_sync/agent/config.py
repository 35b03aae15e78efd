"""agent.toml: where the device's files are and how to reach the core. Paths are relative to it.

Place in the flow: agent.toml → **config** → `__main__`.

* Provisioning writes [agent], [core], [vault] and [counter]; [contact] is left to whoever runs the
  device.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - msgspec reads the annotations at run time

import msgspec

from edge.config import CounterSection, VaultSection


class AgentSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[agent]`: the device that we speak for.

    Attributes:
        device: Its id.
        journal: SQLite file of the kiosk that holds the journal; read, never written.
        mirror: SQLite file that the agent writes and the kiosk reads.
        identity: The device's private key, which signs every message.
        certificate: PEM certificate of the device, for mutual TLS.
    """

    device: str
    journal: Path
    mirror: Path
    identity: Path
    certificate: Path


class CoreSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[core]`: whom we speak to.

    Attributes:
        url: Such as `https://core.bank.example:8443`.
        ca: PEM roots that the server's certificate must chain to.
        signing_public: File with the core's public signing key, hexadecimal.
    """

    url: str
    ca: Path
    signing_public: Path


class ContactSection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[contact]`: how often and how patiently.

    Attributes:
        interval_s: Pause after a good contact, unless the core names another.
        poll_s: How often the journal is looked at for new entries meanwhile.
        timeout_s: Longest silence within one request.
        retry_s: First pause after a failed contact; doubled each time, with full jitter.
        retry_s_max: Longest pause after failed contacts.
    """

    interval_s: int = 900
    poll_s: int = 2
    timeout_s: int = 30
    retry_s: int = 2
    retry_s_max: int = 900


class AgentConfig(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    agent: AgentSection
    core: CoreSection
    vault: VaultSection
    counter: CounterSection = CounterSection()
    contact: ContactSection = ContactSection()
