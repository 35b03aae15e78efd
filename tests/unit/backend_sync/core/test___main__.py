"""Claims about `lastmile-core`: from an empty folder to a served kiosk, by command line alone."""

from __future__ import annotations

import io
import json
import re
import signal
import ssl
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from backend_sync.core.__main__ import main
from backend_sync.core.command_init import Wishes, merge_settings
from backend_sync.core.command_register import read_device_request
from backend_sync.core.config import CoreConfig
from backend_sync.messages import Frame, journal_path, open_answer, sign_frame
from backend_sync.protocol import start_of
from edge.certificates import make_csr
from edge.codec import encode
from edge.config import load_config
from edge.errors import LocalError, PeerError
from edge.journal import chain
from edge.keys import FileIdentity, HpkeKeypair, hpke_open, verifier
from edge.policy import Policy, open_policy
from edge.purposes import LOOKUP_INFO
from hardware.drivers.broker import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ID_NUMBER = "11010519491231002X"
READY = re.compile(r"ready (https://[0-9.]+:\d+)")


@dataclass
class Bank:
    """A core's folder and its command line."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def config(self) -> Path:
        return self.folder / "core" / "core.toml"

    def init(self, *more: str) -> int:
        return main(["init", str(self.folder / "core"), "--org", "demo", *more])

    def do(self, *words: str, code: int = 0) -> str:
        """Runs a verb and returns what it printed, standard error when it must fail."""
        noun = 1 if words[0] in {"grade", "report", "run"} else 2
        self.capsys.readouterr()
        assert main([*words[:noun], "--config", str(self.config), *words[noun:]]) == code
        said = self.capsys.readouterr()
        return said.err if code else said.out

    def add(self, device: str, kind: str = "kiosk") -> dict[str, Any]:
        """Registers a device, and returns its bundle."""
        path = make_request(self.folder / device, device, kind)
        out = self.folder / device / "bundle.json"
        self.do("device", "add", str(path), "--out", str(out))
        bundle: dict[str, Any] = json.loads(out.read_text())
        return bundle


def make_request(folder: Path, device: str, kind: str, /, **changed: Any) -> Path:
    """Writes a request as `lastmile-provision prepare` does; the same keys when they exist."""
    folder.mkdir(exist_ok=True)
    path = folder / "identity.pem"
    identity = FileIdentity.load(path) if path.exists() else FileIdentity.create(path, device)
    request = {"v": 1, "device": device, "kind": kind, "csr": make_csr(identity).decode()}
    if kind == "kiosk":
        hpke = folder / "hpke.pem"
        pair = HpkeKeypair.load(hpke) if hpke.exists() else HpkeKeypair.create(hpke)
        pad = {"pad": f"pad-{device}", "public_key": identity.public_bytes.hex()}
        pad["hpke_public"] = pair.public_bytes.hex()
        request |= {"hpke_public": pair.public_bytes.hex(), "pad": pad}
    path = folder / "request.json"
    path.write_text(json.dumps({**request, "selftest": [], **changed}))
    return path


@pytest.fixture
def bank(place: Path, capsys: pytest.CaptureFixture[str]) -> Bank:
    """A core that is made and not running."""
    made = Bank(place, capsys)
    assert made.init("--api-port", str(free_port()), "--broker-host", "127.0.0.1") == 0
    return made


def add_customer(bank: Bank, monkeypatch: pytest.MonkeyPatch, *more: str, code: int = 0) -> str:
    monkeypatch.setattr(sys, "stdin", io.StringIO("123456\n"))
    words = ["--customer", "c-1", "--name", "王小明", "--id-number", ID_NUMBER, "--pin-file", "-"]
    return bank.do("customer", "add", *words, "--kiosk", "kiosk-1", *more, code=code)


# ------------------------------------------------------------------ the whole way
def test_a_bank_is_opened_by_its_command_line_and_every_step_repeats(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = f"{7:032x}"
    terms = ["--amount", "1000", "--per-op", "500.00", "--count", "5", "--days", "7"]
    service = bank.folder / "cash.json"
    service.write_text('{"id": "cash"}')
    for _ in range(2):
        bank.add("kiosk-1")
        fund = ["--kiosk", "kiosk-1", "--amount", "20000", "--transfer", "float-1"]
        bank.do("drawer", "fund", *fund)
        add_customer(bank, monkeypatch, "--opening", "3000.50")
        whose = ["--customer", "c-1", "--kiosk", "kiosk-1"]
        granted = bank.do("lease", "grant", *whose, *terms, "--lease", lease)
        assert granted.strip() == lease
        said = bank.do("catalogue", "publish", "--kiosk", "kiosk-1", str(service))
        assert "Catalogue 1" in said
    report = json.loads(bank.do("report", "--json"))
    assert report["core"]["sound"]
    assert report["core"]["cash_fen"] == {"kiosk-1": 2_000_000}
    assert (report["telemetry"]["double"], report["telemetry"]["lake_agrees"]) == (0, True)
    assert "sound" in bank.do("report")
    grade = json.loads(bank.do("grade", "--driver", "d-1", "--json"))
    assert grade["grade"] == "unrated"
    text = bank.do("grade", "--driver", "d-1", "--as-of", "2026-11-24T08:00+08:00")
    assert text.startswith("d-1: grade unrated, 500 points")


def test_a_roster_is_told_to_a_gateway_and_a_grade_to_nobody_without_consent(bank: Bank) -> None:
    bank.add("box-1", "gateway")
    drivers = bank.folder / "drivers.json"
    drivers.write_text('[{"subject": "d-1", "number": "17", "pin": "4711"}]')
    where = ["--device", "box-1", "--file", str(drivers)]
    assert "1 drivers may sign in at box-1" in bank.do("roster", "publish", *where)
    assert "no gateway" in bank.do(
        "roster", "publish", "--device", "box-2", "--file", str(drivers), code=2
    )
    assert "told to no box" in bank.do("grade", "--driver", "d-1", "--publish")


def test_a_bundle_tells_a_kiosk_all_and_gives_the_lookup_key_to_it_alone(bank: Bank) -> None:
    bundle = bank.add("kiosk-1")
    config = load_config(bank.config, CoreConfig)
    assert bundle["core"]["url"] == config.api.url
    assert bundle["broker"] == {"host": "127.0.0.1", "port": 8883}
    assert bundle["ca"].count("BEGIN CERTIFICATE") == 2
    sealed = bytes.fromhex(bundle["lookup_key_sealed"])
    own = HpkeKeypair.load(bank.folder / "kiosk-1" / "hpke.pem")
    lookup = (bank.folder / "core" / "keys" / "lookup.key").read_bytes()
    assert hpke_open(own, sealed, LOOKUP_INFO) == lookup
    again = bank.add("kiosk-1")
    assert again["certificate"] == bundle["certificate"]
    assert bundle["policy"] is None
    gateway = bank.add("box-1", "gateway")
    assert gateway["lookup_key_sealed"] is None


def test_another_device_under_a_known_name_is_refused(bank: Bank) -> None:
    bank.add("box-1", "gateway")
    other = make_request(bank.folder / "other", "box-1", "gateway")
    out = bank.folder / "other.json"
    said = bank.do("device", "add", str(other), "--out", str(out), code=1)
    assert "registered with another key" in said
    assert not out.exists()


# ------------------------------------------------------------------ policies and keys
def policy_of(bundle: dict[str, Any]) -> Policy:
    verify = verifier(bytes.fromhex(bundle["core"]["signing_public"]))
    return open_policy(bytes.fromhex(bundle["policy"]), verify, bundle["device"])


def test_a_gateways_bundle_carries_its_policy_and_other_ciphers_make_another(bank: Bank) -> None:
    first = bank.add("box-1", "gateway")
    assert bank.add("box-1", "gateway")["policy"] == first["policy"]
    policy = policy_of(first)
    assert (policy.seq, policy.algs) == (1, (3, 30))
    assert policy.hpke.hex() == first["core"]["hpke_public"]
    request, out = bank.folder / "box-1" / "request.json", bank.folder / "again.json"
    words = ["device", "add", str(request), "--out", str(out), "--algorithms"]
    bank.do(*words, "AES-CCM-16-128-128", "24")
    second = policy_of(json.loads(out.read_text()))
    assert (second.seq, second.algs) == (2, (30, 24))
    assert "no algorithm of this core" in bank.do(*words, "DES", code=2)
    bank.config.write_text(bank.config.read_text() + "[telemetry]\nalgorithms = [-65601]\n")
    assert policy_of(bank.add("box-1", "gateway")).algs == (-65_601,)


def test_keys_are_rotated_listed_and_retired_by_command_line(bank: Bank) -> None:
    before = policy_of(bank.add("box-1", "gateway"))
    assert "1 gateways" in bank.do("keys", "rotate")
    after = policy_of(bank.add("box-1", "gateway"))
    assert (after.seq, after.hpke_id != before.hpke_id) == (2, True)
    keys = json.loads(bank.do("keys", "list", "--json"))
    assert [(key["id"], key["state"]) for key in keys] == [
        (after.hpke_id.hex(), "present"),
        (before.hpke_id.hex(), "earlier"),
    ]
    assert "key is needed: 1 devices" in bank.do("keys", "retire", before.hpke_id.hex(), code=1)
    assert "present key" in bank.do("keys", "retire", after.hpke_id.hex(), code=1)
    assert "16 hexadecimal" in bank.do("keys", "retire", "first", code=2)
    assert "deleted for ever" in bank.do("keys", "retire", before.hpke_id.hex(), "--force")
    assert "retired" in bank.do("keys", "list")
    assert {path.name for path in (bank.folder / "core" / "keys").glob("hpke*")} == {"hpke-2.pem"}
    assert bank.init("--api-port", str(free_port())) == 0
    assert policy_of(bank.add("box-1", "gateway")) == after


def test_orders_to_boxes_are_sent_and_listed_by_command_line(bank: Bank) -> None:
    bank.add("box-1", "gateway")
    file = bank.folder / "brakes.json"
    file.write_text('{"v": 1, "id": "brakes", "version": 2}')
    to, why = ("--device", "box-1"), ("--days", "30", "--purpose", "find out how brakes work")
    assert "brakes 2 is on its way to box-1 (1)" in bank.do(
        "campaign", "send", str(file), *to, *why
    )
    assert "box-1 (1)" in bank.do("command", "send", "snapshot", "seconds=10", *to)
    assert "waiting       brakes 2" in bank.do("campaign", "list")
    (line,) = json.loads(bank.do("command", "list", "--json", *to))
    assert (line["device"], line["seq"], line["name"]) == ("box-1", 1, "snapshot")
    assert json.loads(bank.do("command", "list", "--json", "--device", "box-2")) == []
    for wrong in (
        ["command", "send", "snapshot", *to],
        ["command", "send", "snapshot", "seconds=ten", *to],
        ["command", "send", "read-dtc", "--device", "kiosk-9"],
        ["command", "send", "read-dtc", *to, "--minutes", "0"],
        ["campaign", "send", str(file), *to, "--days", "30", "--purpose", "why"],
        ["campaign", "send", str(file), *to, *why, "--days", "0"],
        ["campaign", "send", str(bank.config), *to, *why],
    ):
        assert bank.do(*wrong, code=2).count("\n") == 1


def test_a_pin_outlives_every_key_of_telemetry(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    bank.add("kiosk-1")
    add_customer(bank, monkeypatch, "--opening", "3000")
    first = json.loads(bank.do("keys", "list", "--json"))[0]["id"]
    bank.do("keys", "rotate")
    bank.do("keys", "retire", first)
    terms = ["--amount", "1000", "--per-op", "500", "--count", "5", "--days", "7"]
    bank.do("lease", "grant", "--customer", "c-1", "--kiosk", "kiosk-1", *terms)


def test_a_seed_is_read_from_a_file_or_standard_input_and_kept_once(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.add("chip-1", "gateway")
    file = bank.folder / "seed.hex"
    file.write_text("05" * 32 + "\n")
    words = ["keys", "seed", "chip-1", "--from"]
    assert "from epoch 1 on" in bank.do(*words, str(file))
    assert "has a seed" in bank.do(*words, str(file), code=1)
    monkeypatch.setattr(sys, "stdin", io.StringIO("06" * 32))
    assert "from epoch 9 on" in bank.do(*words, "-", "--replace", "--first-epoch", "9")
    assert "count from 1" in bank.do(*words, str(file), "--first-epoch", "0", code=1)
    for text in ("05" * 31, "seed", "05" * 200):
        file.write_text(text)
        bank.do(*words, str(file), "--replace", code=2)
    assert "holds no seed" in bank.do(*words, str(bank.folder / "gone"), code=2)


# ------------------------------------------------------------------ running
@dataclass
class Running:
    """A `lastmile-core run` process."""

    process: subprocess.Popen[str]
    url: str

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


def run(bank: Bank, part: str = "all") -> Running:
    """Starts the core and returns once it says that it is ready."""
    command = [sys.executable, "-m", "backend_sync.core", "run", part]
    process = subprocess.Popen(
        [*command, "--config", str(bank.config)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        found = READY.search(line)
        if found or "ready without" in line:
            return Running(process, found[1] if found else "")
    process.stderr.close()
    raise AssertionError(f"ended with {process.wait()}:\n{''.join(said)}")


@pytest.fixture
def running(bank: Bank) -> Iterator[list[Running]]:
    """Processes that are gone after the test."""
    started: list[Running] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.stop(signal.SIGKILL)
    bank.do("report")


def send(bank: Bank, bundle: dict[str, Any], url: str) -> Any:
    """The kiosk sends one entry over mutual TLS and reads the signed answer."""
    folder = bank.folder / "kiosk-1"
    (folder / "chain.pem").write_text(bundle["certificate"])
    (folder / "ca.pem").write_text(bundle["ca"])
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "chain.pem", folder / "identity.pem")
    start = start_of("kiosk-1", 1)
    entry = encode(
        {"device": "kiosk-1", "epoch": 1, "seq": 1, "class": "FACT", "kind": "receipt-copy",
         "body": {"of": "00" * 16, "receipt": "R1"}, "wall_us": 1, "boot": "00" * 8, "mono_us": 1,
         "counter": 1, "policy": 0}
    )  # fmt: skip
    frame = Frame("kiosk-1", 1, 1, 1, chain(start.head, entry), (entry,))
    identity, path = FileIdentity.load(folder / "identity.pem"), journal_path("kiosk-1")
    with httpx.Client(base_url=url, verify=context, timeout=10) as client:
        response = client.post(path, content=sign_frame(identity, frame))
    verify = verifier(bytes.fromhex(bundle["core"]["signing_public"]))
    return open_answer(response.content, verify, path, "kiosk-1")


def test_a_running_core_serves_a_kiosk_and_what_it_took_survives_kill_9(
    bank: Bank, running: list[Running]
) -> None:
    bundle = bank.add("kiosk-1")
    running.append(run(bank))
    first = send(bank, bundle, running[0].url)
    assert first.type == "received"
    running[0].stop(signal.SIGKILL)
    running.append(run(bank))
    assert send(bank, bundle, running[1].url) == first
    assert running[1].stop() == 0
    report = json.loads(bank.do("report", "--json"))["core"]
    assert (report["entries"], report["posted"], report["lost"]) == (1, 1, 0)


def test_parts_run_apart_and_each_ends_in_good_order(bank: Bank, running: list[Running]) -> None:
    running.extend(run(bank, part) for part in ("post", "ingest", "api"))
    assert [each.stop() for each in running] == [0, 0, 0]


def test_an_interrupt_ends_with_its_own_code(bank: Bank, running: list[Running]) -> None:
    running.append(run(bank, "post"))
    assert running[0].stop(signal.SIGINT) == 130


def test_a_second_core_on_the_same_port_ends_with_1(bank: Bank, running: list[Running]) -> None:
    running.append(run(bank, "api"))
    command = [sys.executable, "-m", "backend_sync.core", "run", "api"]
    second = subprocess.run(
        [*command, "--config", str(bank.config)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1
    assert "taken by another program" in second.stderr
    assert "Traceback" not in second.stderr


# ------------------------------------------------------------------ wrong usage
@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["drawer", "fund", "--kiosk", "k", "--amount", "1.001", "--transfer", "x"], 2, "amount"),
        (
            ["drawer", "fund", "--kiosk", "k", "--amount", "1", "--transfer", "x"],
            1,
            "not an active",
        ),
        (["catalogue", "publish", "--kiosk", "k", "gone.json"], 2, "cannot be read"),
        (["device", "add", "gone.json", "--out", "x"], 2, "cannot be read"),
        (["grade", "--driver", "d", "--as-of", "yesterday"], 2, "no instant"),
        (["grade", "--driver", "d", "--as-of", "2026-11-24"], 2, "no instant"),
    ],
)
def test_a_wrong_order_is_one_sentence_and_its_exit_code(
    bank: Bank, words: list[str], code: int, says: str
) -> None:
    said = bank.do(*words, code=code)
    assert says in said
    assert said.startswith("lastmile-core: ")
    assert said.count("\n") == 1


def test_a_wrong_customer_is_refused_in_words(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not a registered kiosk" in add_customer(bank, monkeypatch, code=1)
    words = ["--customer", "c-1", "--name", "王", "--kiosk", "kiosk-1", "--pin-file", "gone"]
    assert "PIN file" in bank.do("customer", "add", *words, "--id-number", ID_NUMBER, code=2)
    pin = bank.folder / "pin"
    pin.write_text("12345\n")
    words[-1] = str(pin)
    assert "6 digits" in bank.do("customer", "add", *words, "--id-number", ID_NUMBER, code=2)
    pin.write_text("123456")
    wrong = ID_NUMBER.replace("X", "1")
    assert "not valid" in bank.do("customer", "add", *words, "--id-number", wrong, code=2)


@pytest.mark.parametrize("more", [["--lease", "7"], ["--count", "0"], ["--per-op", "2000"]])
def test_terms_that_cannot_be_are_refused(bank: Bank, more: list[str]) -> None:
    whose = ["--customer", "c-1", "--kiosk", "kiosk-1", "--amount", "1000", "--per-op", "500"]
    bank.do("lease", "grant", *whose, "--count", "5", "--days", "7", *more, code=2)


def test_a_missing_or_misspelt_configuration_ends_with_2(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--config", str(place / "core.toml")]) == 2
    (place / "core.toml").write_text("[cores]\n")
    assert main(["report", "--config", str(place / "core.toml")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "changed",
    [{"v": 2}, {"kind": "scale"}, {"pad": None}, {"hpke_public": ""}, {"csr": 7}, {"device": None}],
)
def test_a_request_of_another_shape_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = make_request(tmp_path / "kiosk-1", "kiosk-1", "kiosk", **changed)
    with pytest.raises(PeerError):
        read_device_request(path)


# ------------------------------------------------------------------ init
def test_init_keeps_keys_and_what_the_operator_set(bank: Bank) -> None:
    keys = {path: path.read_bytes() for path in (bank.folder / "core" / "keys").iterdir()}
    text = bank.config.read_text().replace("[api]", "[api]\nnext_contact_s = 7")
    bank.config.write_text(text)
    assert bank.init("--api-port", "9443") == 0
    config = load_config(bank.config, CoreConfig)
    assert (config.api.port, config.api.next_contact_s) == (9443, 7)
    assert config.broker is not None
    assert {path: path.read_bytes() for path in keys} == keys
    assert bank.config.stat().st_mode & 0o077 == 0


def test_a_folder_of_another_organisation_is_not_taken_over() -> None:
    present = {"core": {"org": "other"}}
    with pytest.raises(LocalError, match="belongs to other"):
        merge_settings(present, Wishes("demo", 1))
