"""`lastmile-core init`: keys, certificates, configuration and schema of a new core.

Place in the flow: `__main__` → **command_init** → site, pki, core.toml, database.

* Every step can be repeated; what exists is kept, what is missing is made.
* Repeating with other options changes those keys of core.toml and leaves the operator's others.
* Another organisation's folder is never taken over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from backend_sync.core.config import CoreConfig
from backend_sync.core.database import prepare, used_server
from backend_sync.core.pki import Pki
from backend_sync.core.registry import require_id
from edge.config import load_config, read_toml, write_config
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backend_sync.core.site import Site
    from edge.ports import Clock, Randomness

LOOPBACK: Final = ("localhost", "127.0.0.1")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `init` was asked for.

    Attributes:
        org: Organisation.
        api_port: TCP port of the API.
        broker_host: Name or address of the broker; empty without one.
        broker_port: Its TCP port.
        dsn: Of a real PostgreSQL; empty for the embedded one.
        public_url: How devices reach the API; empty for loopback.
    """

    org: str
    api_port: int
    broker_host: str = ""
    broker_port: int = 0
    dsn: str = ""
    public_url: str = ""


def init(site: Site, wishes: Wishes, clock: Clock, randomness: Randomness) -> CoreConfig:
    """Makes a core, or completes one that exists.

    Raises:
        LocalError: The folder belongs to another organisation, or a file of ours is damaged.
        DeviceFault: The disk is full, or the database does not answer.
    """
    require_id(wishes.org)
    values = merge_settings(read_toml(site.config) if site.config.exists() else {}, wishes)
    keys = site.make_keys(randomness)
    pki = Pki(site.pki, wishes.org, clock, randomness)
    pki.establish(keys.core, server_names(values))
    write_config(site.config, values)
    site.config.chmod(0o600)  # A DSN may carry a password.
    config = load_config(site.config, CoreConfig)
    with used_server(config.core.data_dir, config.database.dsn) as server:
        prepare(server.dsn)
    return config


def merge_settings(present: dict[str, Any], wishes: Wishes) -> dict[str, Any]:
    """Returns the tables of core.toml: what is there, changed by what is asked for.

    Raises:
        LocalError: It is another organisation's.
    """
    before = present.get("core", {}).get("org", wishes.org)
    if before != wishes.org:
        raise LocalError(f"This core belongs to {before}; use another folder.", "site-taken")
    api = {
        "certificate": "pki/server.pem",
        "key": "pki/server.key",
        "ca": "pki/ca.pem",
        **present.get("api", {}),
        "port": wishes.api_port,
    }
    if wishes.public_url:
        api["public_url"] = wishes.public_url
    merged = {
        **present,
        "core": {"data_dir": ".", **present.get("core", {}), "org": wishes.org},
        "api": api,
        "lake": {"dir": "lake", **present.get("lake", {})},
    }
    if wishes.dsn:
        merged["database"] = {"dsn": wishes.dsn}
    if wishes.broker_host:
        merged["broker"] = {
            "ca": "pki/ca.pem",
            "certificate": "pki/core.pem",
            "key": "keys/core.pem",
            **present.get("broker", {}),
            "host": wishes.broker_host,
            "port": wishes.broker_port,
        }
    return merged


def server_names(values: Mapping[str, Any]) -> list[str]:
    """Returns the names that the certificate of API and broker must carry, from core.toml."""
    public = urlsplit(values["api"].get("public_url", "")).hostname or ""
    broker = values.get("broker", {}).get("host", "")
    return sorted({*LOOPBACK, broker, public} - {""})
