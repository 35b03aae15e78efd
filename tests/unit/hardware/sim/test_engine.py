"""The simulated engine computer: services of SAE J1979, long answers, real manners."""

from __future__ import annotations

import pytest

from edge.ports import EXTENDED_ID
from hardware.sim.engine import ENGINE, ENGINE_29, Engine, EngineSettings

DATA = {0x04: b"\x40", 0x0C: b"\x0c\xd0", 0x0D: b"\x32", 0x2F: b"\x80", 0x42: b"\x36\xb0"}
GO_ON = bytes.fromhex("3000005555555555")


def engine(**settings: object) -> Engine:
    return Engine(EngineSettings(**settings), DATA.get)  # type: ignore[arg-type]


def ask(one: Engine, request: str, can_id: int = 0x7E0) -> list[str]:
    """Asks, lets a long answer go on, and returns the data of all frames."""
    message = bytes.fromhex(request)
    frames = one.frames(can_id, bytes([len(message)]) + message)
    if frames and frames[0][1][0] >> 4 == 1:
        frames += one.frames(0x7E0, GO_ON)
    return [payload.hex().upper() for _, payload in frames]


ANSWERS = {
    "a parameter": ("010D", ["03410D3255555555"]),
    "two at once": ("010C0D", ["06410C0CD00D3255"]),
    "what it has of three": ("010C990D", ["06410C0CD00D3255"]),
    "four at once, in two frames": ("010C0D2F42", ["100B410C0CD00D32", "212F804236B05555"]),
    "page 00": ("0100", ["0641009018000155"]),
    "its lamp, which is off": ("0101", ["0641010007650055"]),
    "page 20": ("0120", ["0641200002000155"]),
    "the last page": ("0140", ["0641404000000055"]),
    "no fault": ("03", ["0243005555555555"]),
    "its number": (
        "0902",
        [
            "101449020 14C5445".replace(" ", ""),
            "2153545341 4D504C".replace(" ", ""),
            "2245303030303031",
        ],
    ),
    "an unknown service": ("22F190", ["037F221155555555"]),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_it_answers(case: str) -> None:
    request, frames = ANSWERS[case]
    assert ask(engine(), request) == frames


SILENT = {
    "a parameter that it does not have": (0x7DF, "0201A6"),
    "a page that it does not have": (0x7E0, "0201A0"),
    "an unknown service, where all were asked": (0x7DF, "0322F190"),
    "another computer's id": (0x7E1, "02010D"),
    "the long address of all": (0x18DB33F1 | EXTENDED_ID, "02010D"),
    "a frame that is no request": (0x123, "02010D"),
    "a request cut short": (0x7DF, "02"),
    "a segmented request": (0x7DF, "10140101"),
    "a freeze frame that is not there": (0x7E0, "03020D00"),
    "flow control of nothing": (0x7E0, "300000"),
    "nothing": (0x7E0, ""),
}


@pytest.mark.parametrize("case", SILENT)
def test_it_is_silent_to(case: str) -> None:
    can_id, data = SILENT[case]
    assert engine().frames(can_id, bytes.fromhex(data)) == []


def test_a_fault_leaves_a_freeze_frame_until_it_is_cleared() -> None:
    one = engine()
    one.fail("P0420")
    one.fail("U0100")
    one.fail("C1234", service=0x0A)
    assert ask(one, "03") == ["0643020420C10055"]
    assert ask(one, "0101") == ["0641018207650055"]
    assert ask(one, "0A") == ["044A015234555555"]
    assert ask(one, "020200") == ["0542020004205555"]
    assert ask(one, "020D00") == ["04420D0032555555"]
    assert ask(one, "04") == ["0144555555555555"]
    assert ask(one, "03") == ["0243005555555555"]
    assert ask(one, "0A") == ["044A015234555555"]
    assert ask(one, "020D00") == []


def test_flow_control_says_how_many_frames_may_follow() -> None:
    one = engine()
    one.frames(0x7E0, b"\x02\x09\x02")
    assert len(one.frames(0x7E0, b"\x30\x01\x00")) == 1
    assert len(one.frames(0x7E0, b"\x30\x00\x00")) == 1
    one.frames(0x7E0, b"\x02\x09\x02")
    assert one.frames(0x7E0, b"\x32\x00\x00") == []
    assert one.frames(0x7E0, b"\x30\x00\x00") == []


def test_one_with_a_long_address_answers_there() -> None:
    one = engine(response_id=ENGINE_29)
    request = b"\x02\x01\x0d"
    assert one.frames(0x7DF, request) == []
    for can_id in (0x18DB33F1, 0x18DA10F1):
        assert one.frames(can_id | EXTENDED_ID, request) == [
            (ENGINE_29, bytes.fromhex("03410D3255555555"))
        ]


def test_one_may_answer_one_parameter_at_a_time_or_only_where_all_are_asked() -> None:
    assert ask(engine(group_max=1), "010C0D") == ["04410C0CD0555555"]
    deaf = engine(own_address=False)
    assert ask(deaf, "010D") == []
    assert deaf.frames(0x7DF, b"\x02\x01\x0d")[0][0] == ENGINE
