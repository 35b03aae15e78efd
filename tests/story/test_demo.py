"""The demonstration as a person plays it: its last line, its manners, and what it leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from edge.errors import LocalError
from tests.story.drive import Source, preview
from tests.story.stage import workers_in
from tests.story.world import pause

if TYPE_CHECKING:
    from pathlib import Path

    from tests.story.conftest import Demo, Performance

KEYS = ["demo", "frames", "samples", "bytes_per_sample", "events", "grade", "score", "reasons_sum"]
KEYS += ["entries", "lost", "double", "ledger_sum"]


def check(played: Performance, frames_min: int) -> None:
    assert played.code == 0, played.said[-2000:] + played.complained
    found = played.figures
    assert list(found) == KEYS
    assert found["demo"] == "ok"
    assert found["frames"] >= frames_min
    assert found["samples"] > found["frames"]
    assert 0 < found["bytes_per_sample"] < 1
    assert found["events"] > 0
    assert found["grade"] in "ABCDE"
    assert found["score"] == found["reasons_sum"]
    assert found["entries"] == 2
    assert (found["lost"], found["double"], found["ledger_sum"]) == (0, 0, 0)
    assert played.leftovers == []


@pytest.mark.slow
def test_it_plays_on_the_simulator_and_leaves_nothing(simulated: Performance) -> None:
    check(simulated, 60_000)
    assert "amqtt on 127.0.0.1" in simulated.said
    assert "receipt say Posted" in simulated.said
    for side in ("operator", "customer"):
        for step in ("idle", "amount", "pin", "confirm", "done"):
            drawn = [re.fullmatch(rf"\d{{3}}-{step}-{side}\.png", x) for x in simulated.pictures]
            assert any(drawn), f"no picture of {step} on the {side}'s screen"


@pytest.mark.slow
def test_the_printed_reasons_add_up_to_the_score(simulated: Performance) -> None:
    points = re.findall(r"^ +([+-]?\d+)  (?!score)\S", simulated.said, re.MULTILINE)
    assert len(points) >= 5
    assert sum(map(int, points)) == simulated.figures["score"]


@pytest.mark.slow
def test_it_plays_a_recorded_drive(demo: Demo, real_data: Path) -> None:
    log = real_data / "can" / "obd_car" / "obd2_gnss_imu_600s.log"
    played = demo.play("--log", str(log))
    check(played, 73_812)
    assert played.figures["frames"] == 73_812
    assert "已入账" in played.said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "step"),
    [(signal.SIGINT, 3), (signal.SIGTERM, 1)],
    ids=["Ctrl-C-while-funding", "SIGTERM-while-founding"],
)
def test_ctrl_c_in_the_middle_leaves_nothing(demo: Demo, number: signal.Signals, step: int) -> None:
    playing = subprocess.Popen(
        demo.command(),
        env=demo.environment(),
        cwd=demo.temporary.parent,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert playing.stdout is not None
    with playing.stdout as said:
        for line in said:
            if line.startswith(f"{step}/"):
                break
        while not workers_in(demo.temporary):
            assert playing.poll() is None, "the demonstration ended before it was told to"
            pause()
        playing.send_signal(number)
        said.read()
    assert playing.wait(30) == 130
    assert demo.leftovers() == []
    assert workers_in(demo.temporary) == []


def refused(played: Performance) -> str:
    """Returns the one sentence of a demonstration that did not begin."""
    assert played.code == 2
    assert played.said == ""
    assert played.leftovers == []
    assert "Traceback" not in played.complained
    assert played.complained.count("\n") == 1
    return played.complained


def test_an_absent_log_is_one_sentence(demo: Demo) -> None:
    assert "nowhere.log cannot be opened" in refused(demo.play("--log", "nowhere.log"))


def test_a_log_of_no_known_format_is_one_sentence(demo: Demo) -> None:
    path = demo.temporary.parent / "noise.log"
    path.write_bytes(bytes(range(256)) * 40)
    assert "holds no known format" in refused(demo.play("--log", str(path)))


def test_a_truncated_log_is_one_sentence(demo: Demo) -> None:
    path = demo.temporary.parent / "cut.log"
    path.write_text("(1627305599.790450) can2 009#95A44F410202B07F\n(1627305599.79")
    said = refused(demo.play("--log", str(path)))
    assert "ends in the middle" in said
    assert "copy it again" in said


def test_a_dbc_that_does_not_parse_is_one_sentence(demo: Demo) -> None:
    path = demo.temporary.parent / "broken.dbc"
    path.write_text("BO_ 1 without an end")
    assert "broken.dbc" in refused(demo.play("--dbc", str(path)))


def test_a_folder_that_takes_no_pictures_is_one_sentence(demo: Demo) -> None:
    demo.out.write_bytes(b"a file, not a folder")
    assert "name another --out" in refused(demo.play())


def test_a_log_is_read_by_the_profile_that_its_dbc_fits(real_data: Path) -> None:
    folder = real_data / "can" / "toyota"
    log, dbc = folder / "toyota_60s_bus0.log", folder / "toyota_new_mc_pt_generated.dbc"
    found = preview(Source(log, (dbc,)))
    assert found.profile == "toyota_tnga"
    assert found.figures["samples"] > 10_000
    with pytest.raises(LocalError, match=r"53,800 frames and none .* bring the DBC"):
        preview(Source(log))


def test_the_help_teaches(demo: Demo) -> None:
    played = demo.play("--help")
    assert played.code == 0
    for word in ("examples:", "--log drive.log", "exit codes:", "score = reasons_sum", "Ctrl-C"):
        assert word in played.said
