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
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import outbox, policies
from edge.config import load_config
from edge.ending import Ending
from edge.errors import DeviceFault, LastmileError, LocalError
from edge.keys import LocalSecret
from edge.log import setup_logging
from edge.store import open_reader, open_store
from hardware.drivers.can_log import LogSource, Pace
from hardware.drivers.card_serial import SerialCardReader
from hardware.drivers.clock import SystemClock, SystemRandomness
from hardware.drivers.clock_disciplined import DisciplinedClock
from hardware.drivers.clock_floor import ClockFloor
from hardware.drivers.merge import MergedSource
from hardware.drivers.panel_leds import LedPanel, Lights
from hardware.drivers.panel_socket import PanelClient, PanelServer
from hardware.drivers.power_sysfs import PowerFiles, SysfsPower
from hardware.drivers.serial_line import SerialLine
from hardware.drivers.sources import LiveSettings, live_source
from hardware.drivers.supervisor import SystemdSupervisor
from hardware.drivers.tcp_lines import TcpServer, TcpSettings
from hardware.sim.vehicle import SimSettings, SimulatedSource
from vehicle_gateway import (
    batch,
    campaign_book,
    commands,
    data_plan,
    driver,
    orders,
    roster,
    signin,
)
from vehicle_gateway.arguments import PROGRAM, build_parser
from vehicle_gateway.batch import Batcher, Sink, Vehicle
from vehicle_gateway.cabin import Books, Cabin, CabinSettings
from vehicle_gateway.campaign import DEFAULT, built_in, default_campaign, read_campaign
from vehicle_gateway.config import DriverSection, GatewayConfig, PanelSection
from vehicle_gateway.decode import Decoder
from vehicle_gateway.decoders import Decoders
from vehicle_gateway.doctor import judge, listen, look_at_broker, look_at_files, report
from vehicle_gateway.door_build import open_door
from vehicle_gateway.door_config import DoorConfig
from vehicle_gateway.driver import (
    consent_text,
    count_statements,
    leave_statement,
    make_statement,
)
from vehicle_gateway.duties import Duties
from vehicle_gateway.gateway import Feed, Gateway
from vehicle_gateway.health import Health
from vehicle_gateway.obd_schedule import ObdSchedule
from vehicle_gateway.obd_service import Service, faults_text
from vehicle_gateway.power import CHARGING_MV, Power, PowerRule
from vehicle_gateway.profile import ObdSection, load_profile
from vehicle_gateway.provisioned import Provisioned, places
from vehicle_gateway.replay import bar, replay, report_text
from vehicle_gateway.status import read_status
from vehicle_gateway.timekeeping import DAY_US, Kept, Timekeeper
from vehicle_gateway.timekeeping_feed import ClockFeed

if TYPE_CHECKING:
    import argparse
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from edge.ports import Clock, DriverPanel, DriverReader, FrameSource, Requester
    from vehicle_gateway.campaign import Campaign
    from vehicle_gateway.config import HealthSection, PowerSection, SourceSection
    from vehicle_gateway.health import Organs
    from vehicle_gateway.profile import Profile
    from vehicle_gateway.uds_client import UdsClient

STORE = "outbox.db"
ENDS = (signal.SIGTERM, signal.SIGHUP)
MIGRATIONS = [outbox.MIGRATIONS, policies.MIGRATIONS, batch.MIGRATIONS, driver.MIGRATIONS]
MIGRATIONS += [roster.MIGRATIONS, signin.MIGRATIONS, orders.MIGRATIONS]
MIGRATIONS += [campaign_book.MIGRATIONS, commands.MIGRATIONS, data_plan.MIGRATIONS]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = build_parser().parse_args(argv)
    setup_logging("gateway")
    verbs = {
        "run": _run,
        "consent": _consent,
        "doctor": _doctor,
        "dtc": _dtc,
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
    _require_broker(arguments, config)
    clock, stop = _clock(config), Ending()
    box = Provisioned(config, clock, SystemRandomness())
    given = arguments.log is not None or arguments.sim is not None
    sections = config.sources[:1] if given else config.sources
    profiles = [_profile(arguments.config, each) for each in sections]
    requesters = [_requesters(each) for each in profiles]
    feed = _feed(arguments, sections, requesters, clock, stop)
    if feed.is_live:
        feed = replace(
            feed, source=ClockFeed(feed.source, clock, ClockFloor(config.gateway.data_dir))
        )
    campaign = _campaign(arguments.config, config)
    data_dir = config.gateway.data_dir
    with ExitStack() as stack:
        sink = box.open_sink(stack.enter_context(open_store(data_dir / STORE, MIGRATIONS)))
        batcher = _batcher(box, sink, _decoder(arguments, sections, profiles), campaign)
        duties = Duties(sink, batcher, stop.set, requesters)
        connect = box.publisher(sink, duties)
        publisher = connect() if connect else None
        power = _power(config.power, clock)
        gateway = Gateway(feed, batcher, sink, publisher, data_dir, power)
        cabin = _cabin(box, sink)
        if cabin:
            gateway.attend(cabin)
            stack.callback(cabin.close)
        organs = box.organs(batcher, feed.source, publisher, power, clock.report)
        _keep_watch(gateway, organs, duties, config.health)
        stop.on(*ENDS)
        if publisher:
            publisher.open()
            stack.callback(publisher.close)
        summary = gateway.run(stop, exit_when_settled=arguments.exit_when_settled)
    print(json.dumps(summary), flush=True)
    if gateway.is_cut:
        _switch_off(config.power.on_cut)


def _keep_watch(gateway: Gateway, organs: Organs, duties: Duties, section: HealthSection) -> None:
    health = Health(organs, SystemdSupervisor(), section)
    duties.tell_health = health.tell
    gateway.report(health)


def _require_broker(arguments: argparse.Namespace, config: GatewayConfig) -> None:
    if arguments.exit_when_settled and config.broker is None:
        raise LocalError(
            "Without [broker] in the configuration nothing is ever acknowledged; leave out "
            "--exit-when-settled.",
            "gateway-broker",
        )


def _batcher(
    box: Provisioned, sink: Sink, decoder: Decoder | Decoders, campaign: Campaign
) -> Batcher:
    vehicle = Vehicle(box.config.gateway.device, box.config.gateway.vehicle)
    return Batcher(sink, vehicle, decoder, campaign, box.campaigns(sink.store, campaign))


def _clock(config: GatewayConfig) -> DisciplinedClock[Kept]:
    """The machine's clock, above the last known time; live receivers teach it more."""
    known = ClockFloor(config.gateway.data_dir).read()
    kept = Kept(known["at_us"], known["until_us"]) if known else None
    keeper = Timekeeper(kept, config.clock.ahead_days_max * DAY_US)
    return DisciplinedClock(SystemClock(), keeper)


def _cabin(box: Provisioned, sink: Sink) -> Cabin | None:
    """Returns the driver's place, None where neither [driver] nor [panel] is configured."""
    config = box.config
    if config.driver is None and config.panel is None:
        return None
    own, shown = config.driver or DriverSection(), config.panel or PanelSection(screen=False)
    book = box.roster(sink)
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
    if not command:
        return
    try:
        subprocess.run(command, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceFault(
            f"[power] on_cut does not work ({error}); correct that command.", "gateway-on-cut"
        ) from error


def _campaign(path: Path, config: GatewayConfig) -> Campaign:
    named = config.campaign.file or DEFAULT
    if named.endswith(".json"):
        return read_campaign(path.absolute().parent / named)
    return built_in(named)


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
    requesters: Sequence[list[Requester]],
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
    live = [
        _live(section, asked, clock) for section, asked in zip(sections, requesters, strict=True)
    ]
    source = live[0] if len(live) == 1 else MergedSource(live)
    return Feed(source, is_live=True, requesters=[each for asked in requesters for each in asked])


def _recording(arguments: argparse.Namespace, section: SourceSection) -> Path:
    named = section.log if arguments.log is None else arguments.log
    if not named:
        raise LocalError("Name the recording in [source] log or with --log.", "gateway-log")
    folder = arguments.config.absolute().parent if arguments.log is None else Path()
    return folder / str(named)


def _requesters(profile: Profile) -> list[Requester]:
    requesters: list[Requester] = [ObdSchedule(profile.obd)] if profile.obd else []
    if profile.uds and profile.uds.asks:
        # Here alone: a box that asks no control unit never loads udsoncan.
        from vehicle_gateway.uds_client import UdsClient

        requesters.append(UdsClient(profile.uds))
    return requesters


def _units(profile: Profile, *, may_clear: bool) -> UdsClient | None:
    """Returns who asks a profile's control units for fault codes, on demand alone."""
    if profile.uds is None:
        return None
    from vehicle_gateway.uds_client import UdsClient

    silent = tuple(replace(ecu, dids=(), codes_us=0) for ecu in profile.uds.ecus)
    return UdsClient(replace(profile.uds, ecus=silent), may_clear=may_clear)


def _live(section: SourceSection, requesters: Sequence[Requester], clock: Clock) -> FrameSource:
    settings = LiveSettings(
        section.kind, section.channel, section.baud, section.interface, section.options
    )
    return live_source(settings, requesters, clock)


def _sleep(stop: threading.Event, seconds: float) -> None:
    stop.wait(seconds)


# ---------------------------------------------------------------- the other verbs
def _door(arguments: argparse.Namespace) -> None:
    config, stop = load_config(arguments.config, DoorConfig), Ending()
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
        stop.on(*ENDS)
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
    box = Provisioned(config, SystemClock(), SystemRandomness())
    secret = LocalSecret(box.identity(), driver.SEALED_FOR, box.randomness)
    leave_statement(config.gateway.data_dir, statement, secret)
    word = "withdrawn" if withdrawn else "given"
    print(f"Consent {word} for {statement.subject}; the gateway signs it within a second or so.")


def _dtc(arguments: argparse.Namespace) -> None:
    config, clock = load_config(arguments.config, GatewayConfig), SystemClock()
    section = next((each for each in config.sources if each.kind in {"can", "elm327"}), None)
    if section is None:
        raise LocalError("No [source] of this box can ask a vehicle anything.", "dtc-source")
    profile = _profile(arguments.config, section)
    plan = replace(profile.obd or ObdSection(), requests=(), codes_us=0)
    schedule = ObdSchedule(plan, may_clear=arguments.word == "clear")
    asked: list[Requester] = [schedule]
    units = _units(profile, may_clear=arguments.word == "clear")
    if units:
        asked.append(units)
    visit = Service(_live(section, asked, clock), schedule, clock, units)
    try:
        if arguments.word == "list":
            faults = visit.read()
            print(json.dumps(faults) if arguments.json else faults_text(faults))
            return
        box = Provisioned(config, clock, SystemRandomness())
        with open_store(config.gateway.data_dir / STORE, MIGRATIONS) as store:
            stream = box.open_sink(store).stream
            stream.begin()
            faults, is_clear = visit.clear(arguments.reason, stream.state)
            stream.close()
        print(faults_text(faults))
        print("cleared" if is_clear else "not every computer said that it is cleared")
    finally:
        visit.close()


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
    try:
        from vehicle_gateway.panel import PanelSetup, run_panel
    except ImportError as error:
        raise LocalError(
            "The panel needs PySide6: install lastmile[panel].", "panel-missing"
        ) from error

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


def _doctor(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config, GatewayConfig)
    clock = _clock(config)
    findings = look_at_files(config.files(), config.gateway.data_dir, clock.now().wall_us)
    findings += [look_at_broker(each) for each in places(config)]
    for section in config.sources:
        profile = _profile(arguments.config, section)
        decoder = Decoder(profile, section.dbc)
        if section.kind in ("log", "sim"):
            continue
        heard = listen(_live(section, [], clock), decoder, clock, arguments.seconds)
        findings += judge(heard, profile.name)
    if arguments.json:
        print(json.dumps([asdict(each) for each in findings], ensure_ascii=False))
    else:
        print(report(findings))
    bad = sum(each.level == "bad" for each in findings)
    if bad:
        raise DeviceFault(f"{bad} of {len(findings)} things are wrong.", "gateway-doctor")


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
