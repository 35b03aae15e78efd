"""`lastmile-kiosk`: the counter program, and the one place that chooses its hardware.

Place in the flow: kiosk.toml → **`__main__`** → worker → shell.

* `build_counter` makes everything but the windows; tests and the demo use it in their own process.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edge import journal as edge_journal
from edge.config import load_config
from edge.encryption import encrypt_store
from edge.ending import Ending
from edge.errors import LastmileError, LocalError
from edge.journal import Journal
from edge.keys import FileIdentity, verifier
from edge.log import LEVELS, setup_logging
from edge.purposes import JOURNAL_KEY, MIRROR_KEY
from edge.store import open_store
from hardware.drivers.clock import SystemClock, SystemRandomness
from hardware.drivers.vault import choose_counter, choose_vault
from kiosk_app import catalogue, till
from kiosk_app.catalogue import Shelf
from kiosk_app.config import KioskConfig, read_hex
from kiosk_app.desk import Desk, Parts
from kiosk_app.evidence import write_evidence
from kiosk_app.mirror import MirrorFile
from kiosk_app.recover import Patient, recover, refuse_half_recovered
from kiosk_app.teller import Site, Teller
from kiosk_app.till import Till
from kiosk_app.worker import OpenDesk, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from PySide6.QtCore import QCoreApplication, QTimer

    from edge.ports import Clock, KioskDevice
    from kiosk_app.desk import Hands
    from kiosk_app.shell import Shell

OK: Final = 0
FAILED: Final = 1
WRONG: Final = 2
INTERRUPTED: Final = 130
PROGRAM: Final = "lastmile-kiosk"
POINT_BYTES: Final = 65
LOOKUP_KEY_BYTES: Final = 32
WAKE_MS: Final = 200

log = logging.getLogger(PROGRAM)


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="The village counter: two screens, an ID reader, a PIN pad and a printer.",
        epilog=(
            "examples:\n"
            f"  {PROGRAM} run --config /etc/lastmile/kiosk.toml\n"
            f"  {PROGRAM} run --config kiosk.toml --screenshots pictures   # on a desk only\n"
            f"  {PROGRAM} encrypt --config kiosk.toml   # once, for files from before\n"
            f"  {PROGRAM} evidence --config kiosk.toml --from 17 --to 20 --out proof.cose\n"
            f"  {PROGRAM} recover --config kiosk.toml   # a damaged journal, when the bank says so"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="serve customers until it is stopped")
    run.add_argument("--config", type=Path, required=True, metavar="FILE", help="kiosk.toml")
    run.add_argument(
        "--screenshots",
        type=Path,
        metavar="DIR",
        help="save each step of both screens as PNG; never at a live counter: they show customers",
    )
    run.add_argument("--log-level", choices=LEVELS, default="info", help="default: info")
    encrypt = verbs.add_parser("encrypt", help="encrypt files from before that are plain, once")
    encrypt.add_argument("--config", type=Path, required=True, metavar="FILE", help="kiosk.toml")
    _add_evidence(verbs.add_parser("evidence", help="write a signed run of journal entries"))
    _add_recover(verbs.add_parser("recover", help="save what is legible of a damaged journal"))
    return parser


def _add_evidence(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", type=Path, required=True, metavar="FILE", help="kiosk.toml")
    verb.add_argument("--epoch", type=int, default=0, help="of the journal; default: the present")
    for end, name in (("from", "first"), ("to", "last")):
        verb.add_argument(
            f"--{end}", type=int, required=True, dest=name, metavar="SEQ", help=f"{name} entry"
        )
    verb.add_argument("--out", type=Path, required=True, metavar="FILE", help="a new file")


def _add_recover(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--config", type=Path, required=True, metavar="FILE", help="kiosk.toml")
    verb.add_argument(
        "--epoch", type=int, metavar="N", help="last epoch that the bank knows, when it asks for it"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        config = load_config(arguments.config, KioskConfig)
        if arguments.verb == "encrypt":
            return _encrypt(config)
        if arguments.verb in {"evidence", "recover"}:
            print((_evidence if arguments.verb == "evidence" else _recover)(config, arguments))
            return OK
        setup_logging("kiosk", arguments.log_level)
        return _run(config, arguments.screenshots)
    except KeyboardInterrupt:
        return INTERRUPTED
    except LastmileError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return WRONG if isinstance(error, LocalError) else FAILED


# ------------------------------------------------------------------ composition
def build_counter(
    config: KioskConfig,
    clock: Clock,
    devices: Mapping[str, KioskDevice] | None = None,
    ended: Callable[[], None] = lambda: None,
) -> Worker:
    """Makes a worker with everything below it; nothing is opened before it starts.

    Args:
        config: kiosk.toml.
        clock: Reads time.
        devices: By kind; those of the configuration when None.
        ended: Called from the worker's thread when it ends.

    Raises:
        LocalError: A key is missing, or the identity is another device's.
        DeviceFault: A device cannot be reached.
    """
    _load_identity(config)
    site = _read_site(config)
    catalogue_public = read_hex(config.core.catalogue_public, POINT_BYTES, "catalogue key")
    at_hand = make_devices(config, clock) if devices is None else devices
    vault = choose_vault(config.vault, SystemRandomness())
    counter = choose_counter(config.counter)

    def open_desk(hands: Hands) -> OpenDesk:
        with contextlib.ExitStack() as opened:
            refuse_half_recovered(_journal_path(config))
            store = open_store(
                _journal_path(config),
                [edge_journal.MIGRATIONS, till.MIGRATIONS, catalogue.MIGRATIONS],
                vault.key(JOURNAL_KEY),
            )
            opened.callback(store.close)
            mirror = MirrorFile(config.kiosk.mirror, vault.key(MIRROR_KEY))
            opened.callback(mirror.close)
            journal = Journal(store, site.kiosk, clock, counter)
            teller = Teller(site, journal, Till(store), lambda: mirror.reader, clock)
            shelf = Shelf(store, catalogue_public, site.kiosk)
            parts = Parts(
                journal, teller, shelf, mirror, clock, frozenset(at_hand),
                config.devices.columns, config.devices.watch_card,
            )  # fmt: skip
            desk = Desk(parts, hands)
            return OpenDesk(desk, opened.pop_all().close)

    return Worker(open_desk, at_hand, ended)


def _load_identity(config: KioskConfig) -> FileIdentity:
    identity = FileIdentity.load(config.kiosk.identity)
    if identity.kid != config.kiosk.device:
        raise LocalError(
            f"The key {config.kiosk.identity} is that of {identity.kid}, not of "
            f"{config.kiosk.device}. Correct [kiosk] identity, or provision this kiosk again.",
            "kiosk-identity",
        )
    return identity


def _read_site(config: KioskConfig) -> Site:
    pad_public = b""
    if config.devices.pin_pad == "sim" and config.devices.pad_dir is not None:
        from hardware.sim.pin_pad import IDENTITY_NAME

        pad_public = FileIdentity.load(config.devices.pad_dir / IDENTITY_NAME).public_bytes
    return Site(
        config.kiosk.device,
        config.kiosk.village,
        read_hex(config.kiosk.lookup_key, LOOKUP_KEY_BYTES, "lookup key"),
        read_hex(config.core.signing_public, POINT_BYTES, "key of the core"),
        config.devices.pad,
        pad_public,
    )


def make_devices(config: KioskConfig, clock: Clock) -> dict[str, KioskDevice]:
    """Returns the devices that the configuration names.

    Raises:
        LocalError: A simulated device has no folder.
        DeviceFault: A device cannot be reached.
    """
    from hardware.sim.id_reader import simulated_id_reader
    from hardware.sim.pin_pad import PinPad
    from hardware.sim.printer import simulated_printer

    settings = config.devices
    devices: dict[str, KioskDevice] = {}
    if settings.pin_pad == "sim":
        pad = PinPad(_folder(settings.pad_dir, "pad_dir"), clock)
        if settings.pad and pad.pad != settings.pad:
            raise LocalError(
                f"The PIN pad is {pad.pad}, but [devices] pad says {settings.pad}. Connect the "
                "right one, or provision this kiosk again.",
                "kiosk-pad",
            )
        devices["pin_pad"] = pad
    if settings.id_reader == "sim":
        devices["id_reader"] = simulated_id_reader(_folder(settings.sim_dir, "sim_dir"), clock)
    if settings.printer == "sim":
        devices["printer"] = simulated_printer(_folder(settings.sim_dir, "sim_dir"), clock)
    return devices


def _folder(path: Path | None, key: str) -> Path:
    if path is None:
        raise LocalError(f"A simulated device needs a folder: set [devices] {key}.", "config-key")
    path.mkdir(parents=True, exist_ok=True)
    return path


def build_shell(config: KioskConfig, worker: Worker, screenshots: Path | None = None) -> Shell:
    """Makes the two windows of a worker; call it in the thread that Qt runs in.

    Raises:
        LocalError: The screens are not there as the configuration names them.
    """
    from kiosk_app.screens import ScreenNames
    from kiosk_app.shell import Shell, ShellSetup

    screens = config.screens
    names = ScreenNames(screens.operator, screens.customer, screens.single_screen)
    return Shell(ShellSetup(worker, names, screenshots))


# ------------------------------------------------------------------ files
def _journal_path(config: KioskConfig) -> Path:
    return config.kiosk.data_dir / "journal.db"


def _evidence(config: KioskConfig, arguments: argparse.Namespace) -> str:
    key = choose_vault(config.vault, SystemRandomness()).key(JOURNAL_KEY)
    entries = arguments.epoch, arguments.first, arguments.last
    identity = _load_identity(config)
    return write_evidence(_journal_path(config), key, identity, entries, arguments.out)


def _recover(config: KioskConfig, arguments: argparse.Namespace) -> str:
    vault, site = choose_vault(config.vault, SystemRandomness()), _read_site(config)
    mirror = MirrorFile(config.kiosk.mirror, vault.key(MIRROR_KEY))
    with contextlib.closing(mirror):
        mirror.poll()
        patient = Patient(
            _journal_path(config), vault.key(JOURNAL_KEY), site.kiosk, site.village, SystemClock(),
            choose_counter(config.counter), verifier(site.core_public), mirror.reader,
        )  # fmt: skip
        return recover(patient, arguments.epoch)


def _encrypt(config: KioskConfig) -> int:
    vault = choose_vault(config.vault, SystemRandomness())
    for path, name in ((_journal_path(config), JOURNAL_KEY), (config.kiosk.mirror, MIRROR_KEY)):
        converted = encrypt_store(path, vault.key(name))
        print(f"{path} {'is encrypted now' if converted else 'was not plain; nothing was done'}.")
    return OK


# ------------------------------------------------------------------ run
def end_on_signals(application: QCoreApplication) -> QTimer:
    """Lets SIGINT and SIGTERM end Qt's loop, even when they come before it has begun.

    Python runs a signal's handler only when Qt runs something of Python, which an idle counter may
    not for a minute; so a timer calls into Python, and looks whether one has come.

    Returns:
        The timer; keep it while the loop runs.
    """
    from PySide6.QtCore import QTimer

    asked = Ending()
    waker = QTimer()
    waker.timeout.connect(lambda: application.quit() if asked.is_set() else None)
    waker.start(WAKE_MS)
    asked.on(signal.SIGINT, signal.SIGTERM)
    return waker


def _run(config: KioskConfig, screenshots: Path | None) -> int:
    from PySide6.QtCore import QMetaObject, Qt

    from kiosk_app.shell import make_application

    application = make_application()

    def quit_qt() -> None:
        QMetaObject.invokeMethod(application, "quit", Qt.ConnectionType.QueuedConnection)

    worker = build_counter(config, SystemClock(), ended=quit_qt)
    shell = build_shell(config, worker, screenshots)
    waker = end_on_signals(application)
    try:
        shell.start()
        log.info("%s serves %s", config.kiosk.device, config.kiosk.village)
        log.info("its keys lie in a %s", config.vault.kind)
        application.exec()
    finally:
        waker.stop()
        shell.stop()
    return FAILED if worker.failure is not None else OK


if __name__ == "__main__":
    sys.exit(main())
