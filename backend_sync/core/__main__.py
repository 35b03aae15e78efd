"""`lastmile-core`: everything that a person or a service manager asks of the core.

Place in the flow: command line → **__main__** → command_init, command_register, command_keys,
command_orders, api.

* Here alone the core meets the real clock and the real randomness.
* Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
* Our errors are one sentence on standard error, never a traceback.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from typing import TYPE_CHECKING, Final

import psycopg

from backend_sync.api import compose, figures
from backend_sync.core import command_register as register
from backend_sync.core.arguments import build_parser
from backend_sync.core.command_evidence import evidence
from backend_sync.core.command_init import Wishes, init
from backend_sync.core.config import CoreConfig
from backend_sync.core.database import connect, prepare, used_server
from backend_sync.core.site import Site
from backend_sync.telemetry import command_keys, command_orders
from backend_sync.telemetry.command_roster import roster_publish
from edge.config import load_config
from edge.ending import Ending
from edge.errors import LastmileError, LocalError
from edge.log import setup_logging
from hardware.drivers.clock import SystemClock, SystemRandomness

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["build_parser", "main"]

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
USAGE_CODES: Final = frozenset(
    {"amount", "id", "id-number", "instant", "lease-id", "lease-terms", "no-broker", "pin-file"}
    | {
        "algorithms",
        "campaign-file",
        "campaign-purpose",
        "command-arguments",
        "order-device",
        "order-span",
        "key-id",
        "seed-file",
        "seed-length",
        "pin-shape",
        "service-file",
        "service-json",
        "request-missing",
        "roster-device",
        "roster-file",
    }
)
VERBS: Final[dict[str, Callable[[register.Desk, argparse.Namespace], str]]] = {
    "device add": register.device_add,
    "drawer fund": register.drawer_fund,
    "customer add": register.customer_add,
    "lease grant": register.lease_grant,
    "catalogue publish": register.catalogue_publish,
    "keys list": command_keys.keys_list,
    "keys rotate": command_keys.keys_rotate,
    "keys retire": command_keys.keys_retire,
    "keys seed": command_keys.keys_seed,
    "campaign send": command_orders.campaign_send,
    "campaign list": command_orders.campaign_list,
    "command send": command_orders.command_send,
    "command list": command_orders.command_list,
    "evidence": evidence,
    "roster publish": roster_publish,
    "grade": figures.grade,
    "report": figures.report,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Carries out one command and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    setup_logging("core", "info" if arguments.verb == "run" else "warning")
    try:
        return _carry_out(arguments)
    except LocalError as error:
        usage = error.code in USAGE_CODES or error.code.startswith("config-")
        return _say(error, USAGE if usage else FAILED)
    except (LastmileError, psycopg.Error, OSError) as error:
        return _say(error, FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED


def _carry_out(arguments: argparse.Namespace) -> int:
    if arguments.verb == "init":
        return _init(arguments)
    if arguments.verb == "run":
        return _run(arguments)
    with _desk(arguments.config) as desk:
        print(VERBS[arguments.verb](desk, arguments))
    return 0


def _init(arguments: argparse.Namespace) -> int:
    wishes = Wishes(
        arguments.org,
        arguments.api_port,
        arguments.broker_host or "",
        arguments.broker_port,
        arguments.dsn or "",
        arguments.public_url or "",
    )
    site = Site(arguments.directory)
    init(site, wishes, SystemClock(), SystemRandomness())
    print(f"{site.config} is ready; start with: lastmile-core run all --config {site.config}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    config = load_config(arguments.config, CoreConfig)
    stop = Ending()
    stop.on(signal.SIGTERM, signal.SIGINT)
    keys = Site(config.core.data_dir).load_keys()
    core = compose.Core(config, keys, SystemClock(), SystemRandomness())
    code = compose.run(core, arguments.part, stop)
    return INTERRUPTED if signal.SIGINT in stop.caught else code


@contextlib.contextmanager
def _desk(path: Path) -> Iterator[register.Desk]:
    config = load_config(path, CoreConfig)
    site = Site(config.core.data_dir)
    keys = site.load_keys()
    with used_server(config.core.data_dir, config.database.dsn) as server:
        prepare(server.dsn)
        with connect(server.dsn) as connection:
            clock, randomness = SystemClock(), SystemRandomness()
            yield register.Desk(site, config, keys, connection, clock, randomness)


def _say(error: Exception, code: int) -> int:
    logging.getLogger(__name__).debug("failed", exc_info=error)
    print(f"lastmile-core: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
