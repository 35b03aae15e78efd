"""`lastmile-gateway`: the command line of the vehicle box.

Place in the flow: gateway.toml → **composition** → gateway.

* The only module here that chooses hardware: clock, randomness, bus, recording, simulator.
* Ends with 0 when its work is done or it was asked to stop, 1 when the world failed, 2 when the
  command or the configuration is wrong, 130 on Ctrl-C.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import epochs, outbox, policies
from edge.config import load_config
from edge.drivers import GRADE_TYPE, ROSTER_TYPE
from edge.errors import DeviceFault, LastmileError, LocalError, PeerError
from edge.keys import FileIdentity, LocalSecret, verifier
from edge.log import setup_logging
from edge.policy import TYPE as POLICY
from edge.policy import open_policy
from edge.store import open_reader, open_store
from hardware.drivers.can_bus import BusSettings, BusSource
from hardware.drivers.can_log import LogSource, Pace
from hardware.drivers.card_serial import SerialCardReader
from hardware.drivers.clock import SystemClock, SystemRandomness
from hardware.drivers.clock_disciplined import DisciplinedClock
from hardware.drivers.clock_floor import ClockFloor
from hardware.drivers.elm327 import ElmSettings, ElmSource
from hardware.drivers.gnss_line import GnssSource
from hardware.drivers.imu_line import ImuSource
from hardware.drivers.merge import MergedSource
from hardware.drivers.panel_leds import LedPanel, Lights
from hardware.drivers.panel_socket import PanelClient, PanelServer
from hardware.drivers.power_sysfs import PowerFiles, SysfsPower
from hardware.drivers.serial_line import SerialLine
from hardware.drivers.slcan import SlcanSource
from hardware.drivers.tcp_lines import TcpServer, TcpSettings
from hardware.sim.vehicle import SimSettings, SimulatedSource
from vehicle_gateway import batch, driver, roster, signin
from vehicle_gateway.answers import Answers
from vehicle_gateway.arguments import PROGRAM, build_parser
from vehicle_gateway.batch import Batcher, Sink, Vehicle
from vehicle_gateway.cabin import Books, Cabin, CabinSettings
from vehicle_gateway.campaign import default_campaign, read_campaign
from vehicle_gateway.config import DriverSection, GatewayConfig, PanelSection
from vehicle_gateway.decode import Decoder
from vehicle_gateway.decoders import Decoders
from vehicle_gateway.door_build import open_door
from vehicle_gateway.door_config import DoorConfig
from vehicle_gateway.driver import (
    DriverBook,
    consent_text,
    count_statements,
    leave_statement,
    make_statement,
)
from vehicle_gateway.gateway import Feed, Gateway
from vehicle_gateway.mqtt import Address, BrokerPlace, Publisher
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.power import CHARGING_MV, Power, PowerRule
from vehicle_gateway.profile import load_profile
from vehicle_gateway.publish import SendPlan
from vehicle_gateway.replay import bar, replay, report_text
from vehicle_gateway.status import read_status
from vehicle_gateway.timekeeping import DAY_US, Kept, Timekeeper
from vehicle_gateway.timekeeping_feed import ClockFeed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from edge.policy import Policy
    from edge.ports import Clock, DriverPanel, DriverReader, FrameSource, Requester
    from vehicle_gateway.answers import Listener
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.config import PowerSection, SourceSection
    from vehicle_gateway.profile import Profile

STORE = "outbox.db"
LINES = {"gnss": GnssSource, "imu": ImuSource}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    setup_logging("gateway")
    verbs = {
        "run": _run,
        "consent": _consent,
        "replay": _replay,
        "status": _status,
        "door": _door,
        "panel": _panel,
    }
    try:
        verbs[arguments.verb](arguments)
    except LocalError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except LastmileError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


# ---------------------------------------------------------------- run
def _run(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config, GatewayConfig)
    if arguments.exit_when_settled and config.broker is None:
        raise LocalError(
            "Without [broker] in the configuration nothing is ever acknowledged; leave out "
            "--exit-when-settled.",
            "gateway-broker",
        )
    clock, stop = _clock(config), threading.Event()
    given = arguments.log is not None or arguments.sim is not None
    sections = config.sources[:1] if given else config.sources
    profiles = [_profile(arguments.config, each) for each in sections]
    feed = _feed(arguments, sections, profiles, clock, stop)
    if feed.is_live:
        feed = replace(
            feed, source=ClockFeed(feed.source, clock, ClockFloor(config.gateway.data_dir))
        )
    decoder = _decoder(arguments, sections, profiles)
    campaign = _campaign(arguments.config, config)
    data_dir = config.gateway.data_dir
    migrations = [outbox.MIGRATIONS, policies.MIGRATIONS, batch.MIGRATIONS, driver.MIGRATIONS]
    migrations += [roster.MIGRATIONS, signin.MIGRATIONS]
    with open_store(data_dir / STORE, migrations) as store:
        sink = _sink(config, store, clock)
        vehicle = Vehicle(config.gateway.device, config.gateway.vehicle)
        batcher = Batcher(sink, vehicle, decoder, campaign)
        publisher = _publisher(config, sink)
        power = _power(config.power, clock)
        gateway = Gateway(feed, batcher, sink, publisher, data_dir, power)
        cabin = _cabin(config, sink)
        if cabin:
            gateway.attend(cabin)
        _stop_on_signals(stop)
        if publisher:
            publisher.open()
        try:
            summary = gateway.run(stop, exit_when_settled=arguments.exit_when_settled)
        finally:
            if publisher:
                publisher.close()
            if cabin:
                cabin.close()
    print(json.dumps(summary), flush=True)
    if gateway.is_cut and config.power.on_cut:
        _switch_off(config.power.on_cut)


def _clock(config: GatewayConfig) -> DisciplinedClock[Kept]:
    """The machine's clock, above the last known time; live receivers teach it more."""
    known = ClockFloor(config.gateway.data_dir).read()
    kept = Kept(known["at_us"], known["until_us"]) if known else None
    keeper = Timekeeper(kept, config.clock.ahead_days_max * DAY_US)
    return DisciplinedClock(SystemClock(), keeper)


def _cabin(config: GatewayConfig, sink: Sink) -> Cabin | None:
    """Returns the driver's place, None where neither [driver] nor [panel] is configured."""
    if config.driver is None and config.panel is None:
        return None
    own, shown = config.driver or DriverSection(), config.panel or PanelSection(screen=False)
    book = _roster(config, sink)
    books = Books(sink.drivers, book, signin.SignIn(sink.store, book.roster))
    readers: list[DriverReader] = []
    if own.reader:
        line = Path(own.reader)
        readers.append(SerialCardReader(lambda: SerialLine(line, own.baud), sink.clock))
    panels: list[DriverPanel] = []
    if shown.screen:
        panels.append(PanelServer(config.gateway.data_dir))
    lights = Lights(shown.green, shown.amber, shown.red, shown.buzzer)
    if lights != Lights():
        panels.append(LedPanel(lights))
    settings = CabinSettings(own.sign_out_after_min * 60_000_000, own.consent_days)
    return Cabin(books, readers, panels, settings)


def _roster(config: GatewayConfig, sink: Sink) -> roster.RosterBook:
    return roster.RosterBook(sink.store, _identity(config), sink.drivers.secret)


def _power(section: PowerSection, clock: Clock) -> Power:
    times = section.system_volts // 12
    rule = PowerRule(
        sleep_after_us=section.sleep_after_s * 1_000_000,
        cut_mv=section.cut_mv * times,
        cut_after_us=section.cut_after_s * 1_000_000,
        charging_mv=CHARGING_MV * times,
    )
    files = PowerFiles(section.ignition, section.inverted, section.supply, section.scale_uv)
    return Power(SysfsPower(files), rule, clock.now().monotonic_us)


def _switch_off(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceFault(
            f"[power] on_cut does not work ({error}); correct that command.", "gateway-on-cut"
        ) from error


def _campaign(path: Path, config: GatewayConfig) -> Campaign:
    named = config.campaign.file
    return read_campaign(path.absolute().parent / named) if named else default_campaign()


def _profile(path: Path, section: SourceSection) -> Profile:
    named = section.profile
    folder = path.absolute().parent
    return load_profile(str(folder / named) if named.endswith(".toml") else named)


def _decoder(
    arguments: argparse.Namespace, sections: Sequence[SourceSection], profiles: Sequence[Profile]
) -> Decoder | Decoders:
    decoders = [
        Decoder(profile, [*section.dbc, *arguments.dbc])
        for section, profile in zip(sections, profiles, strict=True)
    ]
    return decoders[0] if len(decoders) == 1 else Decoders(decoders)


def _feed(
    arguments: argparse.Namespace,
    sections: Sequence[SourceSection],
    profiles: Sequence[Profile],
    clock: Clock,
    stop: threading.Event,
) -> Feed:
    first = sections[0]
    given = arguments.log is not None or arguments.sim is not None
    speed = arguments.speed or ("full" if given else first.speed)
    pace = Pace(clock, lambda seconds: _sleep(stop, seconds)) if speed == "real" else None
    if arguments.log is not None or (arguments.sim is None and first.kind == "log"):
        return Feed(LogSource(_recording(arguments, first), pace), is_live=False)
    if arguments.sim is not None or first.kind == "sim":
        return Feed(SimulatedSource(SimSettings(seconds=arguments.sim), pace), is_live=False)
    live = [_live(*each, clock) for each in zip(sections, profiles, strict=True)]
    return Feed(live[0] if len(live) == 1 else MergedSource(live), is_live=True)


def _recording(arguments: argparse.Namespace, section: SourceSection) -> Path:
    named = section.log if arguments.log is None else arguments.log
    if not named:
        raise LocalError("Name the recording in [source] log or with --log.", "gateway-log")
    folder = arguments.config.absolute().parent if arguments.log is None else Path()
    return folder / str(named)


def _live(section: SourceSection, profile: Profile, clock: Clock) -> FrameSource:
    """Returns a source in the present; a recording or the simulator stands alone."""
    if section.kind in LINES:
        return LINES[section.kind](Path(section.channel), section.baud, clock)
    requesters: list[Requester] = [ObdSchedule(profile.obd)] if profile.obd else []
    if section.kind == "elm327":
        return ElmSource(ElmSettings(section.channel, section.baud, requesters), clock)
    if section.kind != "can":
        raise LocalError(
            f"A source of kind {section.kind} cannot be read beside others; make it the only "
            "[source].",
            "gateway-sources",
        )
    if profile.uds and profile.uds.asks:
        # Here alone: a box that asks no control unit never loads udsoncan.
        from vehicle_gateway.uds_client import UdsClient

        requesters.append(UdsClient(profile.uds))
    if section.interface == "slcan":
        return _slcan(section, requesters, clock)
    bus = BusSettings(section.interface, section.channel, section.options, requesters)
    return BusSource(bus, clock)


def _slcan(section: SourceSection, requesters: Sequence[Requester], clock: Clock) -> SlcanSource:
    """Our own reader: python-can's takes a byte a call."""
    known = {"bitrate": 500_000, "baud": 115_200}
    if not known.keys() >= section.options.keys():
        raise LocalError(
            "[source] options of slcan are bitrate and baud. Correct that key.", "gateway-slcan"
        )
    options = {**known, **section.options}
    return SlcanSource(
        Path(section.channel),
        clock,
        bitrate=int(options["bitrate"]),
        requesters=requesters,
        baud=int(options["baud"]),
    )


def _sleep(stop: threading.Event, seconds: float) -> None:
    stop.wait(seconds)


def _identity(config: GatewayConfig) -> FileIdentity:
    identity = FileIdentity.load(config.gateway.identity)
    if identity.kid != config.gateway.device:
        raise LocalError(
            f"The identity is that of {identity.kid}, not of {config.gateway.device}. Correct "
            "[gateway] device or provision this box.",
            "gateway-identity",
        )
    return identity


def _secret(identity: FileIdentity) -> LocalSecret:
    return LocalSecret(identity, driver.SEALED_FOR, SystemRandomness())


def _sink(config: GatewayConfig, store: Any, clock: Clock) -> Sink:  # noqa: ANN401
    identity = _identity(config)
    limits = outbox.OutboxLimits(
        bytes_max=config.outbox.bytes_max, age_us_max=config.outbox.age_days_max * outbox.DAY_US
    )
    waiting = outbox.Outbox(store, identity.kid, limits)
    ports = epochs.StreamPorts(
        signer=identity,
        policy=_policy(config),
        clock=clock,
        randomness=SystemRandomness(),
        topic=Address(config.gateway.org, config.gateway.device).up,
    )
    stream = epochs.SealedStream(store, waiting, ports)
    return Sink(store, waiting, stream, DriverBook(store, _secret(identity)), clock)


def _publisher(config: GatewayConfig, sink: Sink) -> Publisher | None:
    if config.broker is None:
        return None
    place = BrokerPlace(
        config.broker.host,
        config.broker.port,
        config.broker.ca,
        config.broker.certificate,
        config.gateway.identity,
    )
    address = Address(config.gateway.org, config.gateway.device)
    verify = verifier(_public(config.core.signing_public))
    book = _roster(config, sink)
    listeners: dict[str, Listener] = {
        POLICY: lambda message: sink.stream.take_policy(message, verify),
        ROSTER_TYPE: lambda message: book.take_roster(message, verify) and False,
        GRADE_TYPE: lambda message: book.take_grade(message, verify) and False,
    }
    answers = Answers(sink, verify, address.down, listeners)
    randomness = SystemRandomness()
    return Publisher([place], address, sink, answers, SendPlan(randomness), randomness)


def _policy(config: GatewayConfig) -> Policy:
    verify = verifier(_public(config.core.signing_public))
    path = config.core.policy
    try:
        return open_policy(_read(path), verify, config.gateway.device)
    except PeerError as error:
        raise LocalError(
            f"{path} holds no policy for this box: {error} Install the bundle again.",
            "gateway-policy",
        ) from error


def _public(path: Path) -> bytes:
    try:
        return bytes.fromhex(_read(path).decode("ascii").strip())
    except ValueError as error:
        raise LocalError(
            f"{path} holds no hexadecimal key. Install the bundle again.", "gateway-key"
        ) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DeviceFault(
            f"{path} of the core cannot be read ({error.strerror}). Install the bundle again.",
            "gateway-key",
        ) from error


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())


# ---------------------------------------------------------------- the other verbs
def _door(arguments: argparse.Namespace) -> None:
    config, stop = load_config(arguments.config, DoorConfig), threading.Event()
    listen = config.listen
    settings = TcpSettings(
        listen.host,
        listen.port,
        listen.certificate,
        listen.key,
        listen.trusted,
        config.limits.connections_max,
    )
    with open_door(config, SystemClock(), SystemRandomness()) as door:
        server = TcpServer(settings, door)
        _stop_on_signals(stop)
        server.run(stop.is_set, lambda: print("{}:{}".format(*server.address), flush=True))
        summary = {**door.summary(), "turned-away": server.turned_away}
    print(json.dumps(summary), flush=True)


def _consent(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config, GatewayConfig)
    withdrawn = arguments.word == "withdraw"
    now_us = _clock(config).now().wall_us
    statement = make_statement(
        arguments.driver, arguments.language, now_us, arguments.days, withdrawn=withdrawn
    )
    if not withdrawn:
        print(consent_text().texts[arguments.language])
    leave_statement(config.gateway.data_dir, statement, _secret(_identity(config)))
    word = "withdrawn" if withdrawn else "given"
    print(f"Consent {word} for {statement.subject}; the gateway signs it within a second or so.")


def _replay(arguments: argparse.Namespace) -> None:
    profile = load_profile(arguments.profile)
    named = arguments.campaign
    campaign = read_campaign(named) if named else default_campaign()
    faults: list[DeviceFault] = []
    for log in arguments.log:
        source = LogSource(log)
        try:
            report = replay(source, Decoder(profile, arguments.dbc), campaign, _bar(source))
        except DeviceFault as error:
            faults.append(error)
            continue
        finally:
            _show_bar("")
        print(json.dumps(report, ensure_ascii=False) if arguments.json else report_text(report))
    for fault in faults[1:]:
        print(f"{PROGRAM}: {fault}", file=sys.stderr)
    if faults:
        raise faults[0]


def _bar(source: LogSource) -> Callable[[int], None]:
    return lambda frames: _show_bar(bar(source.name, frames, source.fraction))


def _show_bar(line: str) -> None:
    """Puts a line in the place of the last one, where somebody looks at a terminal."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _panel(arguments: argparse.Namespace) -> None:
    # Here alone, and in a process of its own: the gateway never loads Qt.
    from vehicle_gateway.panel import PanelSetup, run_panel

    config = load_config(arguments.config, GatewayConfig)
    section = config.panel or PanelSection()
    setup = PanelSetup(
        client=PanelClient(config.gateway.data_dir),
        language=section.language,
        theme=arguments.theme or section.theme,
        ambient=section.ambient,
        ambient_dark=section.ambient_dark,
        is_windowed=arguments.windowed,
        screenshots=arguments.screenshots,
    )
    run_panel(setup)


def _status(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config, GatewayConfig)
    data_dir = config.gateway.data_dir
    with open_reader(data_dir / STORE) as store:
        now_us = _clock(config).now().wall_us
        status: Mapping[str, Any] = {
            **read_status(store, config.gateway.device, now_us),
            "statements": count_statements(data_dir),
            "clock": ClockFloor(data_dir).read(),
        }
    if arguments.json:
        print(json.dumps(status))
        return
    for name, value in status.items():
        print(f"{name:15} {value}")


if __name__ == "__main__":
    sys.exit(main())
