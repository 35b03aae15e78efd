"""The words of `lastmile-gateway` and what they mean.

Place in the flow: command line → **arguments** → `__main__`.

* What changes a vehicle wants a reason and a yes; nothing else here asks twice.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from vehicle_gateway.driver import consent_text
from vehicle_gateway.profile import DEFAULT

PROGRAM: Final = "lastmile-gateway"
CONSENT_DAYS: Final = 365
LISTEN_S: Final = 5.0


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The vehicle box: listens to the bus, seals what it heard, sends it.",
        epilog=(
            "examples:\n"
            f"  {PROGRAM} run --config gateway.toml\n"
            f"  {PROGRAM} run --config gateway.toml --sim 600 --exit-when-settled\n"
            f"  {PROGRAM} consent give --config gateway.toml --driver driver-17 --language zh\n"
            f"  {PROGRAM} dtc list --config gateway.toml\n"
            f"  {PROGRAM} replay monday.log tuesday.mf4 --json\n"
            f"  {PROGRAM} status --config gateway.toml\n"
            f"  {PROGRAM} panel --config gateway.toml --windowed"
        ),
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_run(verbs.add_parser("run", help="listen, seal and send until stopped"))
    _add_consent(verbs.add_parser("consent", help="give or withdraw a driver's consent"))
    doctor = verbs.add_parser("doctor", help="say what is wrong with wiring, keys, broker, disk")
    _add_config(doctor)
    _add_json(doctor)
    doctor.add_argument(
        "--seconds", type=float, default=LISTEN_S, help="to listen to each source (default: 5)"
    )
    _add_dtc(verbs.add_parser("dtc", help="read a vehicle's fault codes, or clear them"))
    _add_replay(verbs.add_parser("replay", help="show what a recorded drive holds"))
    _add_panel(verbs.add_parser("panel", help="show the driver's screen, beside the gateway"))
    door = verbs.add_parser("door", help="let terminals of JT/T 808 report, until stopped")
    door.add_argument("--config", type=Path, required=True, metavar="FILE", help="door.toml")
    status = verbs.add_parser("status", help="show what waits and what was sent")
    _add_config(status)
    _add_json(status)
    return parser


def _add_run(verb: argparse.ArgumentParser) -> None:
    _add_config(verb)
    verb.add_argument("--log", metavar="FILE", help="replay this recording instead of [source]")
    _add_dbc(verb)
    verb.add_argument("--speed", choices=("full", "real"), help="pace of recording or simulator")
    verb.add_argument(
        "--sim", type=float, metavar="SECONDS", help="drive the simulated vehicle so long, at once"
    )
    verb.add_argument(
        "--exit-when-settled",
        action="store_true",
        help="end when the source has ended and the core has signed for everything",
    )


def _add_consent(verb: argparse.ArgumentParser) -> None:
    words = verb.add_subparsers(dest="word", required=True, metavar="give|withdraw")
    for name, help_text in (
        ("give", "the driver agrees and signs in"),
        ("withdraw", "the driver ends the consent and signs out"),
    ):
        word = words.add_parser(name, help=help_text)
        _add_config(word)
        word.add_argument("--driver", required=True, metavar="ID", help="pseudonym of the driver")
        word.add_argument(
            "--language",
            default="zh",
            choices=sorted(consent_text().texts),
            help="of the text that was shown (default: zh)",
        )
        word.add_argument(
            "--days", type=int, default=CONSENT_DAYS, help="how long a consent lives (default: 365)"
        )


def _add_panel(verb: argparse.ArgumentParser) -> None:
    _add_config(verb)
    verb.add_argument("--theme", choices=("auto", "day", "night"), help="instead of [panel] theme")
    verb.add_argument("--windowed", action="store_true", help="in a window, not over the screen")
    verb.add_argument(
        "--screenshots", type=Path, metavar="DIR", help="save each changed picture there"
    )


def _add_dtc(verb: argparse.ArgumentParser) -> None:
    words = verb.add_subparsers(dest="word", required=True, metavar="list|clear")
    for name, help_text in (
        ("list", "show stored, pending and permanent codes of every computer"),
        ("clear", "clear them; for a technician, at standstill, with the ignition on"),
    ):
        word = words.add_parser(name, help=help_text)
        _add_config(word)
        if name == "list":
            _add_json(word)
            continue
        word.add_argument("--reason", required=True, metavar="TEXT", help="why; it is signed")
        word.add_argument(
            "--yes-clear", action="store_true", required=True, help="yes, change the vehicle"
        )


def _add_replay(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "log",
        type=Path,
        nargs="+",
        metavar="LOG",
        help="candump, ASC, BLF or MF4 recording, or a receiver's NMEA sentences",
    )
    _add_dbc(verb)
    verb.add_argument(
        "--campaign", type=Path, metavar="FILE", help="rules of events instead of the built-in ones"
    )
    verb.add_argument(
        "--profile", default=DEFAULT, metavar="NAME", help=f"vehicle profile (default: {DEFAULT})"
    )
    _add_json(verb)


def _add_config(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", type=Path, required=True, metavar="FILE", help="gateway.toml")


def _add_dbc(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--dbc",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="DBC beside those of the profile; may be given more than once",
    )


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON for programs")
