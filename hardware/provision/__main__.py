"""`lastmile-provision`: what a technician types at the roadside; every step can be repeated.

Place in the flow: **`__main__`** → selftest, request, install, label.

* Here alone provisioning meets the real clock and the real randomness.
* Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.
* What goes wrong is one sentence that says what to do at the roadside, never a traceback.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.errors import LastmileError, LocalError
from hardware.drivers.clock import SystemClock, SystemRandomness
from hardware.provision.bundle import BUNDLE_BYTES_MAX
from hardware.provision.install import Place, install, read_installed
from hardware.provision.keeping import Wishes, judge_counter, judge_keys
from hardware.provision.label import label_code, label_text, short_fingerprint
from hardware.provision.request import BUILT_US, KINDS, KIOSK, Order, Site, prepare
from hardware.provision.selftest import run_selftest

if TYPE_CHECKING:
    from collections.abc import Sequence

OK: Final = 0
FAILED: Final = 1
WRONG: Final = 2
INTERRUPTED: Final = 130
PROGRAM: Final = "lastmile-provision"


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Makes a vehicle box or a kiosk out of a machine. Every step can be repeated.",
        epilog=(
            "examples, in this order:\n"
            f"  {PROGRAM} selftest --dir /var/lib/lastmile\n"
            f"  {PROGRAM} prepare --dir /var/lib/lastmile --device box-17 --kind gateway\n"
            "  (the bank: lastmile-core device add --config core.toml request.json --out b.json)\n"
            f"  {PROGRAM} install --dir /var/lib/lastmile b.json --vehicle bus-17\n"
            f"  {PROGRAM} label --dir /var/lib/lastmile"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    selftest = verbs.add_parser("selftest", help="is this machine fit to hold keys and money?")
    selftest.add_argument("--json", action="store_true", help="print it for programs")
    order = verbs.add_parser("prepare", help="test the machine, make its keys, write request.json")
    order.add_argument("--device", required=True, metavar="ID", help="as the work order names it")
    order.add_argument("--kind", required=True, choices=KINDS, help="what the device is")
    order.add_argument("--pad", default="", metavar="ID", help="kiosk: id of its PIN pad")
    put = verbs.add_parser("install", help="verify the bank's bundle and write the settings")
    put.add_argument("bundle", type=Path, metavar="BUNDLE.json", help="what the bank gave")
    _add_place(put)
    label = verbs.add_parser("label", help="print the text of the label on the housing")
    for verb in (selftest, order, put, label):
        verb.add_argument(
            "--dir", type=Path, required=True, metavar="DIR", help="folder of this device"
        )
    return parser


def _add_place(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--vehicle", default="", metavar="ID", help="gateway: id of the vehicle")
    verb.add_argument("--village", default="", metavar="NAME", help="kiosk: name of the village")
    verb.add_argument(
        "--operator-screen", default="", metavar="NAME", help="kiosk: the agent's, such as HDMI-1"
    )
    verb.add_argument(
        "--customer-screen", default="", metavar="NAME", help="kiosk: the customer's screen"
    )
    verb.add_argument(
        "--single-screen",
        action="store_true",
        help="kiosk: both windows on one screen; on a desk, never in a village",
    )
    verb.add_argument(
        "--tpm",
        default="",
        metavar="TCTI",
        help="kiosk: keep keys and counter in this TPM, such as device:/dev/tpmrm0",
    )
    verb.add_argument(
        "--counter-file",
        type=Path,
        metavar="FILE",
        help="kiosk: keep the counter here, on a card or stick that is not the disk",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    steps = {"selftest": _selftest, "prepare": _prepare, "install": _install, "label": _label}
    try:
        return steps[arguments.verb](arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except LastmileError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return WRONG if isinstance(error, LocalError) else FAILED


def _selftest(arguments: argparse.Namespace) -> int:
    checks = run_selftest(arguments.dir, SystemClock(), SystemRandomness(), BUILT_US)
    if arguments.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<20} {check.detail}")
    return OK if all(check.ok for check in checks) else FAILED


def _prepare(arguments: argparse.Namespace) -> int:
    site = Site(arguments.dir)
    order = Order(arguments.device, arguments.kind, arguments.pad)
    prepare(site, order, SystemClock(), SystemRandomness())
    print(f"{order.device} is prepared. Carry {site.request} to the bank; it holds no secret.")
    return OK


def _install(arguments: argparse.Namespace) -> int:
    counter = arguments.counter_file
    place = Place(
        arguments.vehicle,
        arguments.village,
        arguments.operator_screen,
        arguments.customer_screen,
        arguments.single_screen,
        Wishes(arguments.tpm, str(counter.absolute()) if counter else ""),
    )
    content = _read(arguments.bundle)
    now_us, randomness = SystemClock().now().wall_us, SystemRandomness()
    done = install(Site(arguments.dir), content, place, now_us, randomness)
    print(f"{done.device} is installed.")
    print(f"certificate  {short_fingerprint(done.certificate)}")
    print(f"bank's root  {short_fingerprint(done.root)}   compare it with the work order")
    if done.kind == KIOSK:
        print(f"keys         {judge_keys(arguments.dir, randomness)[1]}")
        print(f"counter      {judge_counter(arguments.dir)[1]}")
    first = done.settings[0]
    print(f"next         lastmile-{done.kind} run --config {first}")
    if done.kind == KIOSK:
        print(f"             lastmile-agent run --once --config {done.settings[-1]}")
    return OK


def _label(arguments: argparse.Namespace) -> int:
    owner, certificate = read_installed(Site(arguments.dir))
    print(label_text(owner, certificate))
    code = label_code(owner, certificate)
    if code:
        print(code)
    return OK


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as error:
        raise LocalError(
            f"{path} cannot be read ({error.strerror}). Is the stick plugged in?", "bundle-missing"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
