"""Tests of the whole box: kills, signals, silence, consent on the way, and a real broker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.certificates import make_csr
from edge.errors import DeviceFault
from edge.keys import FileIdentity
from edge.ports import FrameChunk, PowerReading
from edge.store import open_reader
from hardware.drivers.broker import BrokerFiles, start_broker
from tests.unit.hardware.mqtt_peer import Peer
from tests.unit.hardware.pki import Pki
from tests.unit.vehicle_gateway.yard import ADDRESS, DEVICE, Box, Core, Hasty, Script, frames
from vehicle_gateway.__main__ import main
from vehicle_gateway.driver import leave_statement, make_statement
from vehicle_gateway.gateway import SILENCE_US, Feed, Gateway
from vehicle_gateway.power import Power, PowerRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hardware.drivers.broker import RunningBroker

ROOT = Path(__file__).resolve().parents[3]
READY_S = 20.0


def run_script(box: Box, steps: Sequence[Any], *, is_live: bool = False) -> dict[str, Any]:
    batcher = box.open()
    feed = Feed(Script(steps), is_live=is_live)
    return Gateway(feed, batcher, box.sink, None, box.folder).run(Hasty())


def parts(seconds: float) -> list[FrameChunk]:
    return list(frames(seconds, chunk=400))


def test_a_run_seals_all_and_signs_the_end_of_its_epoch(box: Box, core: Core) -> None:
    summary = run_script(box, parts(65.0))
    records = core.records(box.messages())
    assert sum(record["counts"]["frames"] for record in records) == summary["frames"]
    assert summary["samples"] > 6 * 60 * 100
    assert summary["bytes_per_sample"] < 1
    assert core.evidence(box.messages())[-1]["type"] == "epoch-close"


def test_asked_to_stop_it_seals_what_it_holds_and_the_next_run_goes_on(
    box: Box, core: Core
) -> None:
    stop, batcher = Hasty(), box.open()
    script = Script([*parts(23.0)[:4], stop.set, *parts(23.0)[4:]], name="drive")
    first = Gateway(Feed(script, is_live=False), batcher, box.sink, None, box.folder).run(stop)
    assert 0 < first["frames"] < 2_400
    assert not any("trip_summary" in record for record in core.records(box.messages()))
    batcher = box.open()
    rest = Script(list(frames(23.0, 400, skip=batcher.position)), name="drive")
    second = Gateway(Feed(rest, is_live=False), batcher, box.sink, None, box.folder).run(Hasty())
    whole = sum(len(part.ids) for part in parts(23.0))
    assert second["frames"] == whole
    records = core.records(box.messages())
    assert sum(record["counts"]["frames"] for record in records) == whole


def test_consent_given_and_withdrawn_on_the_way(box: Box, core: Core) -> None:
    box.consented = None

    def leave(*, withdrawn: bool) -> Callable[[], None]:
        now_us = box.clock.now().wall_us + withdrawn
        statement = make_statement("driver-1", "zh", now_us, 365, withdrawn=withdrawn)

        def act() -> None:
            leave_statement(box.folder, statement, box.secret)

        return act

    drive = parts(90.0)
    third = len(drive) // 3
    steps = [*drive[:third], leave(withdrawn=False), *drive[third : 2 * third]]
    steps += [leave(withdrawn=True), *drive[2 * third :]]
    run_script(box, steps)
    drivers = [record["driver"] for record in core.records(box.messages())]
    changes = [one for one, two in zip(drivers, [*drivers[1:], "end"], strict=True) if one != two]
    assert changes == [None, "driver-1", None]
    assert [each["withdrawn"] for each in core.consents(box.messages())] == [False, True]
    assert not list((box.folder / "statements").glob("[0-9]*"))


def test_asleep_the_epoch_is_over_and_a_frame_begins_another(box: Box, core: Core) -> None:
    drive = parts(25.0)
    steps = [*drive, lambda: box.clock.advance(601), None, None, *drive]
    batcher = box.open()
    power = Power(None, PowerRule(), box.clock.monotonic_us)
    feed = Feed(Script(steps), is_live=True)
    Gateway(feed, batcher, box.sink, None, box.folder, power).run(Hasty())
    kinds = [each["type"] for each in core.evidence(box.messages())]
    assert kinds == ["epoch-start", "epoch-close", "epoch-start", "epoch-close"]
    records = core.records(box.messages())
    assert sum(record["counts"]["frames"] for record in records) == 2 * sum(
        len(part.ids) for part in drive
    )


def test_an_empty_battery_ends_the_run_and_what_was_heard_is_sealed(box: Box, core: Core) -> None:
    class Low:
        def read(self) -> PowerReading:
            return PowerReading(ignition=False, supply_mv=11_000)

    drive = parts(25.0)
    steps: list[Any] = [*drive, lambda: box.clock.advance(61), None, None, *drive]
    batcher = box.open()
    power = Power(Low(), PowerRule(), box.clock.monotonic_us)
    gateway = Gateway(Feed(Script(steps), is_live=True), batcher, box.sink, None, box.folder, power)
    summary = gateway.run(Hasty())
    assert summary["ended"] == "low-battery"
    assert summary["frames"] == sum(len(part.ids) for part in drive)
    assert core.evidence(box.messages())[-1]["type"] == "epoch-close"


def test_a_silent_bus_has_its_last_frames_sealed_and_its_trip_ended(box: Box, core: Core) -> None:
    drive = parts(25.0)

    def pass_time(seconds: float) -> Callable[[], None]:
        def act() -> None:
            box.clock.wall_us = drive[-1].times_us[-1] + round(seconds * 1e6)
            box.clock.monotonic_us += round(seconds * 1e6)

        return act

    seen: list[int] = []
    look = lambda: seen.append(len(core.records(box.messages())))  # noqa: E731
    steps = [*drive, None, look, pass_time(SILENCE_US / 1e6), None, look, pass_time(400), None]
    run_script(box, steps, is_live=True)
    assert seen[1] == seen[0] + 1
    assert any("trip_summary" in record for record in core.records(box.messages()))


def test_a_lost_bus_is_opened_again(box: Box) -> None:
    batcher = box.open()
    drive = parts(25.0)
    script = Script([*drive[:2], DeviceFault("The bus went off.", "bus-off"), *drive[2:]])
    gateway = Gateway(Feed(script, is_live=True), batcher, box.sink, None, box.folder)
    assert gateway.run(Hasty())["frames"] == sum(len(part.ids) for part in drive)
    assert script.opened == 2


def test_a_recording_that_cannot_be_read_ends_the_run(box: Box) -> None:
    with pytest.raises(DeviceFault, match="unplugged"):
        run_script(box, [*parts(5.0), DeviceFault("The stick was unplugged.", "log-read")])


# ------------------------------------------------------------------ the command line
def provision(folder: Path, core: Core, broker: RunningBroker | None = None) -> Path:
    """Writes what provisioning leaves in a box's folder; returns gateway.toml."""
    identity = folder / "keys" / "identity.pem"
    if not identity.exists():
        FileIdentity.create(identity, DEVICE)
    (folder / "signing.pub").write_text(core.signer.public_bytes.hex())
    (folder / "policy.cose").write_bytes(core.issue(1, 3, 30))
    text = (
        f'[gateway]\ndevice = "{DEVICE}"\norg = "org"\nvehicle = "bus-1"\ndata_dir = "data"\n'
        'identity = "keys/identity.pem"\n'
        '[core]\nsigning_public = "signing.pub"\npolicy = "policy.cose"\n'
    )
    if broker is not None:
        text += (
            f'[broker]\nhost = "{broker.host}"\nport = {broker.port}\nca = "issuer.pem"\n'
            f'certificate = "issuer-{DEVICE}.pem"\n'
        )
    path = folder / "gateway.toml"
    path.write_text(text)
    return path


def run_main(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def config(tmp_path: Path, core: Core) -> Path:
    """A provisioned box without a broker."""
    return provision(tmp_path, core)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Running the command in this process must not leave its signal handlers behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_simulated_run_prints_one_line_of_json(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run_main(capsys, "run", "--config", str(config), "--sim", "30")
    assert code == 0
    summary = json.loads(out)
    wanted = {"frames", "samples", "events", "batches", "sealed_bytes", "bytes_per_sample"}
    assert wanted | {"unknown_frames", "dropped"} <= summary.keys()
    assert summary["frames"] > 3_000


def spawn(config: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vehicle_gateway", "run", "--config", str(config), *words]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def position_of(config: Path) -> int:
    try:
        with open_reader(config.parent / "data" / "outbox.db") as store:
            row = store.row("SELECT position FROM gateway_checkpoint")
    except DeviceFault:
        return 0
    return int(row["position"]) if row else 0


def wait_for_position(process: subprocess.Popen[str], config: Path, position: int) -> None:
    for _ in range(round(READY_S / 0.01)):
        if position_of(config) > position:
            return
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        pytest.fail(f"ended too soon: {process.communicate()}")
    pytest.fail("nothing is sealed")


@pytest.mark.slow
def test_killed_three_times_the_totals_are_those_of_an_undisturbed_run(
    config: Path, core: Core, tmp_path_factory: pytest.TempPathFactory
) -> None:
    undisturbed = provision(tmp_path_factory.mktemp("undisturbed"), core)
    expected = json.loads(spawn(undisturbed, "--sim", "900").communicate()[0])
    for _ in range(3):
        with spawn(config, "--sim", "900") as process:
            wait_for_position(process, config, position_of(config))
            process.kill()
    assert 0 < position_of(config) < expected["frames"]
    got = json.loads(spawn(config, "--sim", "900").communicate()[0])
    for name in ("frames", "samples", "events", "batches", "unknown_frames"):
        assert got[name] == expected[name], name


@pytest.mark.slow
def test_a_term_signal_ends_a_run_in_good_order(config: Path) -> None:
    with spawn(config, "--sim", "600", "--speed", "real") as process:
        assert process.stderr is not None
        line = process.stderr.readline()  # the first progress line
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=READY_S)
    assert "frames" in line
    assert process.returncode == 0
    assert json.loads(out)["frames"] > 0


def test_the_verbs_work_together(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", str(config), "--driver", "driver-17"]
    code, out, _ = run_main(capsys, "consent", "give", *words, "--language", "en")
    assert code == 0
    assert "I agree that" in out
    run_main(capsys, "run", "--config", str(config), "--sim", "15")
    code, out, _ = run_main(capsys, "status", "--config", str(config), "--json")
    status = json.loads(out)
    assert (code, status["driver"], status["statements"]) == (0, "signed in", 0)
    assert status["waiting"] > 0
    assert (status["aged"], status["aside"], status["aside_last"]) == (0, 0, None)
    assert (status["policy"], status["algorithm"]) == (1, "A256GCM")
    run_main(capsys, "consent", "withdraw", *words)
    _, out, _ = run_main(capsys, "status", "--config", str(config))
    assert "statements      1" in out
    run_main(capsys, "run", "--config", str(config), "--sim", "25")
    _, out, _ = run_main(capsys, "status", "--config", str(config), "--json")
    assert json.loads(out)["driver"] == "none"


def test_replay_needs_no_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "drive.log"
    with log.open("w", encoding="ascii") as file:
        for part in parts(60.0):
            for time, number, data in zip(part.times_us, part.ids, part.payloads, strict=True):
                file.write(f"({time / 1e6:.6f}) can0 {number:03X}#{data.hex().upper()}\n")
    code, out, _ = run_main(capsys, "replay", str(log), "--json")
    report = json.loads(out)
    assert code == 0
    assert report["signals"]["Vehicle.Speed"]["unit"] == "km/h"
    assert len(report["trips"]) == 1
    code, out, _ = run_main(capsys, "replay", str(log))
    assert "Vehicle.Speed" in out


WRONG = {
    "no such file": ["run", "--config", "none.toml"],
    "nothing would ever be acknowledged": ["run", "--config", "C", "--exit-when-settled"],
    "no recording is named": ["run", "--config", "C", "--log", ""],
    "a telephone number as a name": [
        *("consent", "give", "--config", "C", "--driver", "13812345678"),
    ],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_ends_with_two(
    case: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(config) if word == "C" else word for word in WRONG[case]]
    code, _, err = run_main(capsys, *words)
    assert code == 2
    assert "Traceback" not in err


def test_an_identity_of_another_box_is_refused(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(config.read_text().replace(f'"{DEVICE}"', '"box-2"'))
    code, _, err = run_main(capsys, "run", "--config", str(config), "--sim", "5")
    assert code == 2
    assert "identity is that of box-1" in err


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 1, "policy.cose of the core cannot be read"),
        (b"", 2, "policy.cose holds no policy for this device"),
        (b"\x84", 2, "Install the bundle again"),
    ],
)
def test_a_box_without_its_policy_does_not_run(
    content: bytes | None, code: int, said: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config.with_name("policy.cose")
    path.unlink() if content is None else path.write_bytes(content)
    found, _, err = run_main(capsys, "run", "--config", str(config), "--sim", "5")
    assert found == code
    assert said in err


def test_a_policy_of_another_core_does_not_run(
    config: Path, core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    thief = Core(core.hpke, FileIdentity.create(config.with_name("thief.pem"), "core"))
    config.with_name("policy.cose").write_bytes(thief.issue(1, 3))
    code, _, err = run_main(capsys, "run", "--config", str(config), "--sim", "5")
    assert code == 2
    assert "signature does not hold" in err


def test_a_newer_policy_of_the_file_is_kept_though_the_old_file_comes_back(
    config: Path, core: Core, capsys: pytest.CaptureFixture[str]
) -> None:
    for seq, alg, expected in ((2, 30, 2), (1, 3, 2)):
        config.with_name("policy.cose").write_bytes(core.issue(seq, alg))
        run_main(capsys, "run", "--config", str(config), "--sim", "15")
        _, out, _ = run_main(capsys, "status", "--config", str(config), "--json")
        status = json.loads(out)
        assert (status["policy"], status["algorithm"]) == (expected, "AES-CCM-16-128-128")


def test_status_before_the_first_run_says_what_to_do(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run_main(capsys, "status", "--config", str(config))
    assert code == 1
    assert "does not exist yet" in err


# ------------------------------------------------------------------ a real broker
@contextmanager
def answering(
    core: Core, broker: RunningBroker, pki: Pki
) -> Iterator[dict[tuple[int, int], bytes]]:
    """A core that stores what arrives and signs for it, twice, and issues another policy.

    Yields what it has by (epoch, number).
    """
    from backend_sync.telemetry.claim import read_claim

    stored: dict[tuple[int, int], bytes] = {}
    done = threading.Event()

    def serve(peer: Peer) -> None:
        while not done.is_set():
            try:
                topic, message = peer.next(0.1)
            except TimeoutError:
                continue
            claim = read_claim("org", topic, message)
            if claim.seq is not None:
                stored.setdefault((claim.epoch, claim.seq), message)
                peer.publish(ADDRESS.down, core.issue(2, 30))
                for _ in range(2):
                    peer.publish(ADDRESS.down, _acknowledge(core, stored, claim.epoch))

    with Peer((broker.host, broker.port), pki.ca, pki.issue("core"), "core") as peer:
        assert peer.subscribe(ADDRESS.up)
        thread = threading.Thread(target=serve, args=(peer,))
        thread.start()
        try:
            yield stored
        finally:
            done.set()
            thread.join()


def _acknowledge(core: Core, stored: Mapping[tuple[int, int], bytes], epoch: int) -> bytes:
    import hashlib

    from edge.outbox import Message

    head, last = b"", -1
    while (epoch, last + 1) in stored:
        last += 1
        head = hashlib.sha256(head + stored[epoch, last]).digest()
    return core.stored(Message(epoch, last, b""), head) if last >= 0 else b"\x84not yet"


@pytest.mark.parametrize("kind", ["auto", "amqtt"])
def test_everything_is_settled_over_a_broker(
    tmp_path: Path, core: Core, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pki = Pki(tmp_path)
    certificate, key = pki.issue(DEVICE)
    identity = tmp_path / "keys" / "identity.pem"
    identity.parent.mkdir()
    identity.write_bytes(f"Lastmile identity: {DEVICE}\n".encode() + key.read_bytes())
    assert make_csr(FileIdentity.load(identity))
    assert certificate.exists()
    files = BrokerFiles(tmp_path / "broker", pki.ca, *pki.issue("broker"))
    with start_broker(files, kind) as broker, answering(core, broker, pki) as stored:
        config = provision(tmp_path, core, broker)
        code, out, _ = run_main(
            capsys, "run", "--config", str(config), "--sim", "120", "--exit-when-settled"
        )
    summary = json.loads(out)
    assert code == 0
    assert summary["waiting"] == 0
    assert summary["settled"] == len(stored) > 12
    _, out, _ = run_main(capsys, "status", "--config", str(config), "--json")
    assert (json.loads(out)["policy"], json.loads(out)["algorithm"]) == (2, "AES-CCM-16-128-128")
