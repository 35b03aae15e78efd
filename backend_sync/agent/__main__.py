"""`lastmile-agent`: brings a kiosk's journal to the core and the core's word to the kiosk.

Place in the flow: agent.toml → **`__main__`** → agent → contact.

* Here alone the agent meets the real clock and the real randomness.
* Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
* SIGTERM ends it at once: whatever was under way is undone, or was whole.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from backend_sync.agent.agent import Agent
from backend_sync.agent.config import AgentConfig
from backend_sync.agent.contact import Contact, Ends
from backend_sync.agent.link import Link, make_context
from backend_sync.agent.schedule import Schedule
from backend_sync.agent.status import Files, read_status
from edge.config import load_config
from edge.errors import LastmileError, LocalError, PeerError
from edge.keys import FileIdentity, verifier
from edge.log import LEVELS, setup_logging
from edge.mirror import MIGRATIONS
from edge.purposes import JOURNAL_KEY, MIRROR_KEY
from edge.store import open_store
from hardware.drivers.clock import SystemClock, SystemRandomness
from hardware.drivers.vault import choose_counter, choose_vault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backend_sync.agent.config import CoreSection

OK: Final = 0
FAILED: Final = 1
WRONG: Final = 2
INTERRUPTED: Final = 130
PROGRAM: Final = "lastmile-agent"

log = logging.getLogger(PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Brings a kiosk's journal to the core and the core's word to the kiosk.",
        epilog=(
            "examples:\n"
            f"  {PROGRAM} run --config /etc/lastmile/agent.toml\n"
            f"  {PROGRAM} run --once --config agent.toml   # one contact, for a technician\n"
            f"  {PROGRAM} status --config agent.toml --json"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="keep in contact with the core")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.toml")
    run.add_argument(
        "--once", action="store_true", help="bring everything up to date once, then end"
    )
    run.add_argument("--log-level", choices=LEVELS, default="info", help="default: info")
    status = verbs.add_parser("status", help="show how far sync has come")
    status.add_argument("--config", type=Path, required=True, metavar="FILE", help="agent.toml")
    status.add_argument("--json", action="store_true", help="print it for programs")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        config = load_config(arguments.config, AgentConfig)
        if arguments.verb == "status":
            return _show_status(config, as_json=arguments.json)
        setup_logging("agent", arguments.log_level)
        return _run(config, once=arguments.once)
    except KeyboardInterrupt:
        return INTERRUPTED
    except LastmileError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return WRONG if isinstance(error, LocalError) else FAILED


def _show_status(config: AgentConfig, *, as_json: bool) -> int:
    settings = config.agent
    vault = choose_vault(config.vault, SystemRandomness())
    files = Files(
        settings.journal,
        vault.key(JOURNAL_KEY),
        settings.mirror,
        vault.key(MIRROR_KEY),
        vault.where,
        config.counter.kind,
    )
    status = read_status(settings.device, files)
    print(json.dumps(status.as_dict(), indent=2) if as_json else "\n".join(status.lines()))
    return OK


def _run(config: AgentConfig, *, once: bool) -> int:
    with _agent(config) as agent:
        if once:
            outcome = agent.run_once()
            for error in (outcome.uplink_error, outcome.downlink_error):
                if error is not None:
                    print(f"{PROGRAM}: {error}", file=sys.stderr)
            if outcome.halt_code:
                print(
                    f"{PROGRAM}: Uploads have stopped ({outcome.halt_code}). Keep this device as "
                    "it is and call the bank.",
                    file=sys.stderr,
                )
            return OK if outcome.good and not outcome.halt_code else FAILED
        signal.signal(signal.SIGTERM, _leave)
        log.info("speaks for %s with %s", config.agent.device, config.core.url)
        agent.run(threading.Event())
    return OK


@contextlib.contextmanager
def _agent(config: AgentConfig) -> Iterator[Agent]:
    """Yields an agent with everything it holds open."""
    settings, core = config.agent, config.core
    identity = FileIdentity.load(settings.identity)
    if identity.kid != settings.device:
        raise LocalError(
            f"The key {settings.identity} is that of {identity.kid}, not of {settings.device}. "
            "Correct [agent] identity, or provision this device again.",
            "agent-identity",
        )
    verify = verifier(_read_key(core))
    context = make_context(core.ca, settings.certificate, settings.identity)
    clock, randomness = SystemClock(), SystemRandomness()
    vault = choose_vault(config.vault, randomness)
    with (
        Link(core.url, context, config.contact.timeout_s) as link,
        open_store(settings.mirror, [MIGRATIONS], vault.key(MIRROR_KEY)) as store,
    ):
        ends = Ends(
            settings.device, identity, verify, link, clock, randomness,
            choose_counter(config.counter), journal_key=vault.key(JOURNAL_KEY),
        )  # fmt: skip
        schedule = Schedule(config.contact, randomness)
        yield Agent(Contact(ends, store), schedule, settings.journal, store, clock)


def _read_key(core: CoreSection) -> bytes:
    try:
        key = bytes.fromhex(core.signing_public.read_text(encoding="ascii"))
        verifier(key)
    except (OSError, ValueError, PeerError) as error:
        raise LocalError(
            f"{core.signing_public} holds no public key of the core ({error}). Install the "
            "bundle again: lastmile-provision install.",
            "core-key",
        ) from error
    return key


def _leave(_signal: int, _frame: object) -> NoReturn:
    """Ends at once: whatever was under way is undone or was whole."""
    raise SystemExit(OK)


if __name__ == "__main__":
    sys.exit(main())
