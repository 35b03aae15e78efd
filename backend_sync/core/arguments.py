"""The command line of `lastmile-core`, as a parser; what a verb does is elsewhere.

Place in the flow: command line → **arguments** → `__main__`.

* `verb` names what to do: "init", "run", "device add", ...
* Amounts are texts in yuan; they are read exactly, later.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge.orders import VERBS

if TYPE_CHECKING:
    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - its only name

PROGRAM: Final = "lastmile-core"
BROKER_PORT: Final = 8883
CATALOGUE_DAYS: Final = 90
EPILOG: Final = """examples:
  lastmile-core init /var/lib/lastmile --org demo --api-port 8443 --broker-host 127.0.0.1
  lastmile-core run all --config /var/lib/lastmile/core.toml
  lastmile-core device add --config core.toml request.json --out bundle.json
  lastmile-core drawer fund --config core.toml --kiosk kiosk-1 --amount 20000 --transfer float-1
  lastmile-core customer add --config core.toml --customer c-1 --name 王小明 \\
      --id-number 11010519491231002X --pin-file - --kiosk kiosk-1 --opening 3000
  lastmile-core lease grant --config core.toml --customer c-1 --kiosk kiosk-1 --amount 1000 \\
      --per-op 500 --count 5 --days 7
  lastmile-core catalogue publish --config core.toml --kiosk kiosk-1 services/*.json
  lastmile-core keys rotate --config core.toml
  lastmile-core keys list --config core.toml
  lastmile-core keys retire --config core.toml 0123456789abcdef
  lastmile-core keys seed --config core.toml chip-1 --from seed.hex
  lastmile-core roster publish --config core.toml --device box-1 --file drivers.json
  lastmile-core campaign send --config core.toml brakes.json --device box-1 --days 30 \\
      --purpose "find out how smoothly brakes work"
  lastmile-core command send --config core.toml snapshot seconds=10 --device box-1
  lastmile-core command list --config core.toml
  lastmile-core grade --config core.toml --driver d-1
  lastmile-core report --config core.toml --json
  lastmile-core evidence --config core.toml proof.cose

exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of every verb."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The bank's end: takes journals and telemetry in, keeps the books, answers.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="noun", required=True, metavar="VERB")
    for add in (_add_init, _add_run, _add_device, _add_drawer, _add_customer):
        add(verbs)
    for add in (_add_lease, _add_catalogue, _add_keys, _add_grade, _add_report, _add_evidence):
        add(verbs)
    for add in (_add_campaign, _add_command):
        add(verbs)
    _add_roster(verbs)
    return parser


def _add_init(verbs: Verbs) -> None:
    verb = verbs.add_parser("init", help="make keys, certificates, core.toml and schema")
    verb.set_defaults(verb="init")
    verb.add_argument("directory", type=Path, metavar="DIR", help="folder of this core")
    verb.add_argument("--org", required=True, help="organisation, third level of every topic")
    verb.add_argument("--api-port", type=_port, required=True, help="TCP port of the API")
    verb.add_argument("--public-url", help="how devices reach the API, if not on loopback")
    verb.add_argument("--broker-host", help="name or address of the MQTT broker")
    verb.add_argument(
        "--broker-port", type=_port, default=BROKER_PORT, help="its port (default: %(default)s)"
    )
    verb.add_argument("--dsn", help="a real PostgreSQL; without it an embedded one is run")


def _add_run(verbs: Verbs) -> None:
    verb = verbs.add_parser("run", help="run the core, or one part of it, until SIGTERM")
    verb.set_defaults(verb="run")
    verb.add_argument("part", choices=("all", "api", "post", "ingest"), help="what to run")
    _config(verb)


def _add_device(verbs: Verbs) -> None:
    verb = _pair(verbs, "device", "add", "register a device from its request")
    verb.add_argument("request", type=Path, metavar="REQUEST.json", help="what the device asks")
    verb.add_argument("--out", type=Path, required=True, help="where to write its bundle")
    verb.add_argument(
        "--algorithms",
        nargs="+",
        metavar="ALG",
        help="ciphers of a gateway's policy, preferred first: names or COSE ids, such as"
        " A256GCM or 30 (default: [telemetry] algorithms of core.toml)",
    )


def _add_drawer(verbs: Verbs) -> None:
    verb = _pair(verbs, "drawer", "fund", "book float handed to a kiosk's agent")
    verb.add_argument("--kiosk", required=True, help="whose drawer")
    verb.add_argument("--amount", required=True, help="yuan, such as 20000 or 20000.00")
    verb.add_argument("--transfer", required=True, help="id of this handover; booked once")


def _add_customer(verbs: Verbs) -> None:
    verb = _pair(verbs, "customer", "add", "register a customer and open the account")
    verb.add_argument("--customer", required=True, help="id of the customer")
    verb.add_argument("--name", required=True, help="as on the ID card")
    verb.add_argument("--id-number", required=True, help="18 characters; only its HMAC is kept")
    verb.add_argument("--pin-file", required=True, help="file with six digits, - reads them")
    verb.add_argument("--kiosk", required=True, help="which kiosk serves them offline")
    verb.add_argument("--opening", default="0", help="yuan to open with (default: %(default)s)")
    verb.add_argument("--large-type", action="store_true", help="show them larger letters")


def _add_lease(verbs: Verbs) -> None:
    verb = _pair(verbs, "lease", "grant", "reserve money that a kiosk may pay out offline")
    verb.add_argument("--customer", required=True, help="whose money")
    verb.add_argument("--kiosk", required=True, help="which kiosk may pay it out")
    verb.add_argument("--amount", required=True, help="yuan in all")
    verb.add_argument("--per-op", required=True, help="yuan at most at once")
    verb.add_argument("--count", type=int, required=True, help="withdrawals at most")
    verb.add_argument("--days", type=int, required=True, help="how long it is valid")
    verb.add_argument("--lease", help="its id, 32 hexadecimal digits; the same again is free")


def _add_catalogue(verbs: Verbs) -> None:
    verb = _pair(verbs, "catalogue", "publish", "send service documents down to a kiosk")
    verb.add_argument("--kiosk", required=True, help="which kiosk offers them")
    verb.add_argument(
        "--days", type=int, default=CATALOGUE_DAYS, help="how long (default: %(default)s)"
    )
    verb.add_argument("files", type=Path, nargs="+", metavar="FILE", help="service documents")


KEYS: Final = """The keys that vehicle boxes seal telemetry to. Once a year, or when one is stolen:

  1. keys rotate    a new key; every gateway gets a policy for it when it begins its next epoch
  2. keys list      wait until nothing needs the old one: devices, open and unflushed are 0
  3. keys retire    delete the old one; a copy of the database and of this folder then opens nothing
                    that was sealed to it"""


def _add_keys(verbs: Verbs) -> None:
    noun = verbs.add_parser(
        "keys",
        help="rotate, list and retire the keys of telemetry; give a device its seed",
        description=KEYS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    acts = noun.add_subparsers(required=True, metavar="ACT")
    _act(acts, "keys", "rotate", "make a new HPKE key and issue every gateway a policy for it")
    listed = _act(acts, "keys", "list", "show the HPKE keys and how much still needs each")
    listed.add_argument("--json", action="store_true", help="print it for programs")
    retire = _act(acts, "keys", "retire", "delete a private HPKE key for ever")
    retire.add_argument("id", metavar="ID", help="16 hexadecimal digits, as keys list shows it")
    retire.add_argument(
        "--force",
        action="store_true",
        help="even if it is needed: what is sealed under it and not in the lake is lost",
    )
    seed = _act(acts, "keys", "seed", "keep the seed of a device that ratchets its epoch keys")
    seed.add_argument("device", metavar="DEVICE", help="whose seed")
    seed.add_argument(
        "--from", dest="file", required=True, help="file with 64 hexadecimal digits, - reads them"
    )
    seed.add_argument(
        "--first-epoch", type=int, default=1, help="the first that it is for (default: 1)"
    )
    seed.add_argument(
        "--replace", action="store_true", help="forget an earlier seed and what it would still open"
    )


def _add_campaign(verbs: Verbs) -> None:
    text = "send a campaign to gateways, or see what became of it"
    acts = verbs.add_parser("campaign", help=text).add_subparsers(required=True, metavar="ACT")
    send = _act(acts, "campaign", "send", "sign a campaign and send it until it is answered")
    send.add_argument("file", type=Path, metavar="FILE", help="the campaign, JSON")
    _devices(send)
    send.add_argument("--group", default="", help="name it, not each device; all get one message")
    send.add_argument("--days", type=int, required=True, help="how long it acts")
    send.add_argument(
        "--after-hours", type=int, default=0, help="when it begins (default: %(default)s)"
    )
    send.add_argument("--purpose", required=True, help="what its data is for, 10 to 300 characters")
    send.add_argument("--consent", action="store_true", help="acts only while a driver's lives")
    _listed(_act(acts, "campaign", "list", "show campaigns and what became of them"))


def _add_command(verbs: Verbs) -> None:
    text = "send a command to gateways, or see what became of it"
    acts = verbs.add_parser("command", help=text).add_subparsers(required=True, metavar="ACT")
    send = _act(acts, "command", "send", "sign a command and send it until it is answered")
    send.add_argument("word", choices=tuple(VERBS), help="what the box is to do")
    send.add_argument("arguments", nargs="*", metavar="NAME=NUMBER", help="such as seconds=10")
    _devices(send)
    send.add_argument(
        "--minutes", type=int, default=60, help="how long it waits (default: %(default)s)"
    )
    _listed(_act(acts, "command", "list", "show commands and what became of them"))


def _devices(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--device", dest="devices", action="append", required=True, help="once for each gateway"
    )


def _listed(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--device", help="of this gateway alone")
    verb.add_argument("--json", action="store_true", help="print it for programs")


def _add_grade(verbs: Verbs) -> None:
    verb = verbs.add_parser("grade", help="grade a driver, with reasons")
    verb.set_defaults(verb="grade")
    _config(verb)
    verb.add_argument("--driver", required=True, help="pseudonym of the driver")
    verb.add_argument(
        "--publish", action="store_true", help="tell the boxes where the driver agreed"
    )
    verb.add_argument("--as-of", help="ISO 8601 instant with offset (default: now)")
    verb.add_argument("--json", action="store_true", help="print the decision record")


def _add_roster(verbs: Verbs) -> None:
    verb = _pair(verbs, "roster", "publish", "tell a vehicle box who may sign in there")
    verb.add_argument("--device", required=True, help="which gateway")
    verb.add_argument(
        "--file", required=True, help="JSON list of {subject, number, name, card, pin}, - reads it"
    )


def _add_report(verbs: Verbs) -> None:
    verb = verbs.add_parser("report", help="does everything add up?")
    verb.set_defaults(verb="report")
    _config(verb)
    verb.add_argument("--json", action="store_true", help="print all figures")


def _add_evidence(verbs: Verbs) -> None:
    verb = verbs.add_parser("evidence", help="what do a device's signed entries prove?")
    verb.set_defaults(verb="evidence")
    _config(verb)
    verb.add_argument("file", type=Path, metavar="FILE", help="of `lastmile-kiosk evidence`")
    verb.add_argument("--json", action="store_true", help="print entries and hashes as JSON")


def _pair(verbs: Verbs, noun: str, act: str, text: str) -> argparse.ArgumentParser:
    return _act(
        verbs.add_parser(noun, help=text).add_subparsers(required=True, metavar=act),
        *(noun, act, text),
    )


def _act(acts: Verbs, noun: str, act: str, text: str) -> argparse.ArgumentParser:
    verb = acts.add_parser(act, help=text, description=text)
    verb.set_defaults(verb=f"{noun} {act}")
    _config(verb)
    return verb


def _config(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", type=Path, required=True, help="core.toml of this core")


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 2**16:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port
