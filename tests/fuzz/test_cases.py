"""Replays what fuzzing found and what decoders are known to trip over; tests the fuzzer itself.

Place in the flow: pytest; `dev.py fuzz` looks for more.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.codec import deflate, encode
from edge.errors import LocalError, PeerError
from edge.planes import ColumnsError
from tests.fuzz import run
from tests.fuzz.edits import apply_edits
from tests.fuzz.judge import KIB, MIB, Judge, Target
from tests.fuzz.planted import BUGS
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).resolve().parent / "cases"
NAMED = sorted(
    f"{path.parent.name}/{path.stem}" for path in CASES.glob("*/*.hex")
)  # a case is named by what it is, so that its failure says what broke
ITEMS = 65_535
BOMBS = {
    "codec: empty maps": ("codec", b"\x99\xff\xff" + b"\xa0" * ITEMS),
    "codec: empty arrays": ("codec", b"\x99\xff\xff" + b"\x80" * ITEMS),
    "codec: one-item maps": ("codec", b"\x99\x50\x00" + b"\xa1\x00\x00" * 0x5000),
    "codec: nested arrays": ("codec", b"\x99\x0f\x00" + (b"\x81" * 15 + b"\x00") * 0x0F00),
    "codec: long numbers": ("codec", b"\x99\xff\xff" + (b"\x1b" + b"\xff" * 8) * ITEMS),
    "inflate: a bomb in a bomb": ("inflate", deflate(deflate(bytes(64 * MIB)))),
    "frame: empty maps": ("frame", encode({"entries": deflate(b"\x99\xff\xff" + b"\xa0" * ITEMS)})),
    "batch: empty maps": ("batch", b"\x9a\x00\x07\xff\xff" + b"\xa0" * 0x7FFFF),
    "batch: a bomb of columns": (
        "batch", encode({"v": 1, "columns": bytes.fromhex("010100c0843d000000")}),
    ),
}  # fmt: skip


def judged(name: str, data: bytes) -> str:
    """Returns what a target makes of an input that it must not, or nothing."""
    finding = Judge(TARGETS[name]).weigh(data)
    return finding.told if finding else ""


@pytest.mark.parametrize("case", NAMED)
def test_a_known_case_is_taken_or_refused_within_its_memory(case: str) -> None:
    name = case.split("/", maxsplit=1)[0]
    assert judged(name, bytes.fromhex((CASES / f"{case}.hex").read_text())) == ""


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_a_bomb_does_not_go_off(bomb: str) -> None:
    assert judged(*BOMBS[bomb]) == ""


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_seeds_of_a_target_reach_its_inside(name: str) -> None:
    target = TARGETS[name]
    assert [judged(name, data) for data in target.seeds() if judged(name, data)] == []
    assert any(_is_taken(target.run, data) for data in target.seeds())


def test_every_target_has_cases_and_every_case_a_target() -> None:
    assert {case.split("/")[0] for case in NAMED} == set(TARGETS)


def raising(error: Exception) -> Callable[[bytes], object]:
    """Returns a decoder that does nothing else."""

    def run_one(_: bytes) -> object:
        raise error

    return run_one


def _is_taken(run_one: Callable[[bytes], object], data: bytes) -> bool:
    try:
        run_one(data)
    except PeerError:
        return False
    return True


# ---------------------------------------------------------------- the fuzzer itself
def engines() -> list[object]:
    """Both engines; atheris is not on every machine."""
    here = importlib.util.find_spec("atheris") is not None
    mark = pytest.mark.skipif(not here, reason="atheris has no wheel for this machine")
    return [pytest.param("atheris", marks=mark), "hypothesis"]


@pytest.mark.parametrize("engine", engines())
@pytest.mark.parametrize("bug", [bug.name for bug in BUGS])
def test_a_planted_bug_is_found(engine: str, bug: str) -> None:
    outcome = run.fuzz(bug, engine, 3, seed=1)
    assert [each["key"].split(" ")[0] for each in outcome.found] == [
        "IndexError" if bug == "trusting" else "memory"
    ]
    assert outcome.told == ""
    assert outcome.inputs > 0


def test_a_finding_is_written_and_printed_with_how_to_repeat_it(tmp_path: Path) -> None:
    found = [{"key": "IndexError at x.py:1", "told": "IndexError: x", "hex": "8100"}]
    outcome = run.Outcome("codec", 7, found)
    text = "\n".join(run.failures([outcome], tmp_path))
    written = list(tmp_path.glob("codec/*.hex"))
    assert [path.read_text() for path in written] == ["8100\n"]
    assert f"repeat: python3 dev.py fuzz --target codec --input {written[0]}" in text
    assert run.summary([outcome], 3.0) == {"seconds": 3, "inputs": 7, "foreign_exceptions": 1}


def test_a_process_that_dies_is_a_finding() -> None:
    outcome = run.fuzz("no such target", "hypothesis", 1, seed=1)
    assert "KeyError" in outcome.told
    assert run.summary([outcome], 1.0)["foreign_exceptions"] == 1


@pytest.mark.parametrize("error", [LocalError("x"), AssertionError(), RecursionError(), OSError()])
def test_only_a_peer_error_is_a_refusal(error: Exception) -> None:
    finding = Judge(Target("x", "x", raising(error), list))(b"")
    assert finding is not None
    assert finding.key.startswith(type(error).__name__)


def test_refusals_and_thrift_are_no_findings() -> None:
    assert Judge(Target("x", "x", raising(ColumnsError("no")), list))(b"") is None
    assert Judge(Target("x", "x", bytes.hex, list, memory_base=KIB)).weigh(b"12") is None


def test_the_command_ends_with_one_object(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ["--target", "codec", "--engine", "hypothesis"]
    assert run.main([*options, "--seconds", "1"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["inputs"] > 0
    assert said["foreign_exceptions"] == 0
    path = tmp_path / "x.hex"
    path.write_text("d823635b5b5b\n")
    assert run.main(["--target", "codec", "--input", str(path)]) == 0


def test_edits_put_insert_delete_and_cut() -> None:
    assert apply_edits(b"abcd", [("put", 1, b"XY")]) == b"aXYd"
    assert apply_edits(b"abcd", [("insert", 4, b"X")]) == b"abcdX"
    assert apply_edits(b"abcd", [("delete", 1, b"XY"), ("cut", 1, b"X")]) == b"a"
