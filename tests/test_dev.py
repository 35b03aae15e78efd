"""Tests the developer's command: what it sets up, what it refuses, what it passes on.

Place in the flow: `dev.py test` runs it; set-up is tried for real, in a checkout of its own.

* Nothing here reaches the network: the locks that are installed are empty ones.
"""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dev
from requirements import lock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)", re.MULTILINE)
REQUIREMENT = re.compile(r"^([\w.-]+)", re.MULTILINE)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with an empty lock, in a folder whose name is hard on scripts."""
    root = tmp_path / "最后 一公里"
    (root / "requirements").mkdir(parents=True)
    (root / "requirements" / "dev.txt").write_text("# nothing\n")
    shutil.copy(ROOT / "dev.py", root)
    return root


def start(checkout: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout / "no home")}
    return subprocess.Popen(
        [sys.executable, str(checkout / "dev.py"), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


# ---------------------------------------------------------------- set-up
@pytest.mark.slow
def test_two_first_runs_at_once_make_one_sound_environment(checkout: Path) -> None:
    runs = [start(checkout, "bench"), start(checkout, "bench")]
    outputs = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [2, 2], outputs
    assert sum("Making a virtual environment" in output for output in outputs) == 1
    assert all("Name a benchmark" in output for output in outputs)
    third = start(checkout, "run", "nothing")
    assert third.communicate(timeout=60)[0] == f"Name a program: {', '.join(dev.PARTS)}\n"


def test_a_checkout_without_its_lock_says_so(checkout: Path) -> None:
    (checkout / "requirements" / "dev.txt").unlink()
    run = start(checkout, "test")
    assert "no complete checkout" in run.communicate(timeout=60)[0]
    assert run.returncode == 2


def test_an_environment_of_another_lock_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, stamp = tmp_path / "dev.txt", tmp_path / "stamp.json"
    lock.write_text("a==1\n")
    monkeypatch.setattr(dev, "LOCK", lock)
    monkeypatch.setattr(dev, "STAMP", stamp)
    monkeypatch.setattr(dev, "PYTHON", Path(sys.executable))
    assert not dev.environment_is_ready()
    stamp.write_text(json.dumps(dev._wanted_stamp()))
    assert dev.environment_is_ready()
    lock.write_text("a==2\n")
    assert not dev.environment_is_ready()


def test_a_missing_library_is_named_with_the_line_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = dev.SystemPackage("libegl1", dev._library("libAbsent.so.9"), "Qt loads it")
    monkeypatch.setattr(dev, "system_packages", lambda *_: [absent])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(dev.SetupError, match=r"apt-get install --no-install-recommends libegl1$"):
        dev.ensure_packages(screens=True)
    assert "missing: libegl1 (Qt loads it)" in capsys.readouterr().err


def test_a_missing_font_is_told_and_does_not_stop(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = dev.SystemPackage("fonts-noto-cjk", lambda: False, "draws Chinese text", needed=False)
    monkeypatch.setattr(dev, "system_packages", lambda *_: [absent])
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    dev.ensure_packages(screens=True)
    assert "Going on without" in capsys.readouterr().err


def test_a_present_library_is_found_and_an_absent_one_is_not() -> None:
    assert dev._library("libc.so.6")()
    assert not dev._library("libAbsent.so.9")()


def test_the_child_sees_our_environment_and_no_bent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "nowhere")
    monkeypatch.setenv("PIP_TARGET", "elsewhere")
    monkeypatch.setenv("LASTMILE_REAL_DATA", "kept")
    child = dev.child_environment()
    assert not {"PYTHONHOME", "PIP_TARGET"} & set(child)
    assert child["PYTHONPATH"] == str(ROOT)
    assert child["LASTMILE_REAL_DATA"] == "kept"


# ---------------------------------------------------------------- old interpreters
def test_a_python_of_2016_can_read_the_file_and_meets_the_check_first() -> None:
    tree = ast.parse((ROOT / "dev.py").read_text(encoding="utf-8"), feature_version=(3, 6))
    kinds = [type(node) for node in tree.body]
    assert kinds.index(ast.If) < min(kinds.index(ast.FunctionDef), kinds.index(ast.ClassDef))
    first = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(first.test) == "sys.version_info < (3, 11)"


# ---------------------------------------------------------------- verbs
def test_options_after_the_verb_belong_to_the_verb() -> None:
    chosen = dev.build_parser().parse_args(["demo", "--log", "drive.log", "--help"])
    assert (chosen.verb, chosen.arguments) == ("demo", ["--log", "drive.log", "--help"])


def test_an_unknown_verb_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as left:
        dev.main(["sing"])
    assert left.value.code == 2


@pytest.mark.parametrize("verb", [dev.bench, dev.run])
def test_a_name_that_is_not_there_lists_those_that_are(
    verb: Callable[[Sequence[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb(["nothing"]) == 2
    assert capsys.readouterr().err


def test_every_program_that_run_names_exists() -> None:
    missing = [
        p for p in dev.PARTS.values() if not (ROOT / p.replace(".", "/") / "__main__.py").exists()
    ]
    assert not missing


@pytest.mark.parametrize("verb", ["demo", "sim", "replay", "vectors", "powercut", "fuzz", "lint"])
def test_the_module_behind_a_verb_exists(verb: str) -> None:
    source = (ROOT / "dev.py").read_text(encoding="utf-8")
    module = re.search(rf"^def {verb}\(.*?\"(tests[\w.]+)\"", source, re.MULTILINE | re.DOTALL)
    assert module
    assert (ROOT / (module[1].replace(".", "/") + ".py")).exists()


# ---------------------------------------------------------------- locks
def pins(name: str) -> dict[str, set[str]]:
    """Project → locked versions (several where they differ by Python)."""
    found: dict[str, set[str]] = {}
    for project, version in PINNED.findall((dev.LOCKS / f"{name}.txt").read_text(encoding="utf-8")):
        found.setdefault(project, set()).add(version)
    return found


@pytest.mark.parametrize("name", ["dev", *lock.DEPLOYMENTS, *lock.ADDED])
def test_a_lock_names_no_place_and_hashes_every_file(name: str) -> None:
    text = (dev.LOCKS / f"{name}.txt").read_text(encoding="utf-8")
    assert not lock.PLACES.search(text)
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert entries
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


@pytest.mark.parametrize(
    "place", ["--index" + "-url x", "a @ b", "file:///a", "-e .", "--find-links x"]
)
def test_a_lock_that_named_a_place_would_be_refused(place: str) -> None:
    assert lock.PLACES.search(f"a==1 \\\n    --hash=sha256:00\n{place}\n")


@pytest.mark.parametrize("name", lock.DEPLOYMENTS)
def test_a_deployment_runs_the_very_versions_that_were_tested(name: str) -> None:
    tested = pins("dev")
    assert pins(name)
    assert not {p: v for p, v in pins(name).items() if not v <= tested.get(p, set())}


@pytest.mark.parametrize("name", ["dev", *lock.DEPLOYMENTS, *lock.ADDED])
def test_a_lock_covers_what_setup_cfg_asks_for(name: str) -> None:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    asked = settings["options"]["install_requires"] + settings["options.extras_require"][name]
    wanted = {re.sub(r"[-_.]+", "-", n).lower() for n in REQUIREMENT.findall(asked)}
    assert wanted
    assert not wanted - set(pins(name))
