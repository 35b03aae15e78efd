"""The main job, played end to end: a drive becomes a grade, a withdrawal becomes a posting.

Place in the flow: `python3 dev.py demo`. Plays what town, drive and counter can do, in order, and
checks each figure; the last line of output is one JSON object.

* Every part is the real command in a process of its own; the two kiosk windows are in this one.
* Data is in a temporary folder, everything listens on loopback, and nothing of it stays: no
  process, folder or socket, whether the story ended well, badly or by Ctrl-C.
* A figure that is not the expected one ends the story with both, and with exit code 1.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.drivers.broker import KINDS
from tests.story.narrator import LANGUAGES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

OK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
AGAIN_S = 0.02
TURN = "_turn"  # of tests.gui.pilot.Pilot
SIM_S = 600


DESCRIPTION = """\
Plays both flows on this machine, with the real programs, in about half a minute.
A bus drives; the core grades its driver with reasons. A villager withdraws cash
without any network; afterwards the core posts it, and the books add up."""
EPILOG = """\
what you see: eight numbered steps with their figures. The last line is JSON:
  demo ok|failed; frames, samples, events: of the drive, as stored at the core;
  bytes_per_sample: sealed; score = reasons_sum: base and points of every reason;
  entries: of the kiosk's journal; lost, double, ledger_sum: must be 0.
Without a display, OUT holds a picture of both screens for every step.

examples:
  python3 dev.py demo                       a simulated drive of ten minutes
  python3 dev.py demo --log drive.log       a recorded one: candump, ASC, BLF or MF4
  python3 dev.py demo --log bus.log --dbc bus.dbc
  python3 dev.py demo --language en --stay  look around until Ctrl-C

exit codes: 0 ok, 1 a figure was not as expected, 2 wrong usage, 130 Ctrl-C"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="dev.py demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--log", type=Path, metavar="FILE", help="recorded drive to play")
    parser.add_argument(
        "--dbc", type=Path, action="append", default=[], metavar="FILE", help="what its ids mean"
    )
    parser.add_argument(
        "--language", choices=LANGUAGES, help="of screens, slips, reasons and this text"
    )
    parser.add_argument("--stay", action="store_true", help="keep everything running until Ctrl-C")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="DIR",
        help="folder for the pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the temporary folder and say where it is"
    )
    parser.add_argument(
        "--broker",
        choices=KINDS,
        default="auto",
        help="default: Mosquitto if installed, else amqtt",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Plays the story and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    for number in SIGNALS:
        signal.signal(number, _leave)
    try:
        return _play(arguments)
    except KeyboardInterrupt:
        print("\ndev.py demo: interrupted; everything is ended and removed.", file=sys.stderr)
        return INTERRUPTED


def _play(arguments: argparse.Namespace) -> int:
    # Imported here, so that --help and Ctrl-C need not wait for Qt and its like.
    from edge.errors import LastmileError, LocalError
    from tests.gui.pilot import PilotError
    from tests.story.counter import has_display, prepare_pictures
    from tests.story.drive import Source, preview
    from tests.story.figures import Surprise
    from tests.story.play import Play, Wishes
    from tests.story.stage import Stage

    source = Source(arguments.log, tuple(arguments.dbc), SIM_S)
    try:
        if not has_display():
            prepare_pictures(arguments.out)
        look = preview(source)
        wishes = Wishes(source, look, arguments.language, arguments.out, arguments.broker)
        with (
            Stage(keep=arguments.keep) as stage,
            Play(stage.world, wishes).performed() as (figures, stay),
        ):
            line = json.dumps({"demo": "ok", **figures})
            if arguments.stay:
                print(line, flush=True)
                stay()
    except LocalError as error:
        print(f"dev.py demo: {error}", file=sys.stderr)
        return WRONG
    except (Surprise, LastmileError, PilotError) as error:
        print(f"\n{error}", flush=True)
        print(json.dumps({"demo": "failed", "why": str(error).splitlines()[0]}))
        return FAILED
    if not arguments.stay:
        print(line)
    return OK


def _leave(_signal: int, frame: FrameType | None) -> None:
    """Ends the way Ctrl-C does, once: a second one does not disturb the clearing away.

    What a callback of Qt raises is printed and forgotten, so within one it is put off.
    """
    if _in_callback(frame):
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S)
        return
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _in_callback(frame: FrameType | None) -> bool:
    """Says whether Qt's loop, which the pilot turns, called what runs now."""
    while frame is not None:
        frame = frame.f_back
        if frame is not None and frame.f_code.co_name == TURN:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
