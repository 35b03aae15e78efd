"""Lines of an adapter: one frame or none, words with a reason, noise that hides nothing whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ports import EXTENDED_ID
from hardware.drivers.elm327_lines import LINE_BYTES_MAX, Kind, Splitter, read_line

FRAMES = {
    "a short id": ("7E8064100BE3FA813", 0x7E8, "064100BE3FA813"),
    "spaces": ("7E8 06 41 00 BE 3F A8 13 ", 0x7E8, "064100BE3FA813"),
    "a long id": ("18DAF11003410D32", 0x18DAF110 | EXTENDED_ID, "03410D32"),
    "a long id with spaces": ("18 DA F1 10 03 41 0D 32", 0x18DAF110 | EXTENDED_ID, "03410D32"),
    "small letters": ("7e8 03 41 0d 32", 0x7E8, "03410D32"),
    "one byte": ("7E844", 0x7E8, "44"),
    "after the search": ("SEARCHING...7E803410D32", 0x7E8, "03410D32"),
    "after the slow start of a bus": ("BUS INIT: OK7E803410D32", 0x7E8, "03410D32"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_a_frame_is_read_with(case: str) -> None:
    text, can_id, payload = FRAMES[case]
    line = read_line(text.encode())
    assert (line.kind, line.can_id, line.payload.hex().upper()) == (Kind.FRAME, can_id, payload)


WORDS = {
    "OK": (Kind.OK, ""),
    "?": (Kind.UNKNOWN, "elm-unknown-command"),
    "NO DATA": (Kind.NO_DATA, "elm-no-data"),
    "UNABLE TO CONNECT": (Kind.BUS_FAULT, "elm-unable-to-connect"),
    "SEARCHING...UNABLE TO CONNECT": (Kind.BUS_FAULT, "elm-unable-to-connect"),
    "CAN ERROR": (Kind.BUS_FAULT, "elm-can-error"),
    "BUS BUSY": (Kind.BUS_FAULT, "elm-bus-busy"),
    "BUS ERROR": (Kind.BUS_FAULT, "elm-bus-error"),
    "BUS INIT: ...ERROR": (Kind.BUS_FAULT, "elm-bus-init"),
    "BUS INIT: ERROR": (Kind.BUS_FAULT, "elm-bus-init"),
    "FB ERROR": (Kind.BUS_FAULT, "elm-feedback-error"),
    "ERR94": (Kind.BUS_FAULT, "elm-internal-error"),
    "BUFFER FULL": (Kind.REPLY_FAULT, "elm-buffer-full"),
    "DATA ERROR": (Kind.REPLY_FAULT, "elm-data-error"),
    "<RX ERROR": (Kind.REPLY_FAULT, "elm-rx-error"),
    "7E8 03 41 0D 32 <RX ERROR": (Kind.REPLY_FAULT, "elm-rx-error"),
    "7E803410D32<DATA ERROR": (Kind.REPLY_FAULT, "elm-data-error"),
    "STOPPED": (Kind.REPLY_FAULT, "elm-stopped"),
    "!ACT ALERT": (Kind.NOTICE, "elm-activity-alert"),
    "LP ALERT": (Kind.NOTICE, "elm-low-power-alert"),
    "SEARCHING...": (Kind.NOTICE, ""),
    "BUS INIT: OK": (Kind.NOTICE, ""),
    "LV RESET": (Kind.BANNER, ""),
    "ELM327 v1.5": (Kind.BANNER, ""),
    "OBDII to RS232": (Kind.BANNER, ""),
    "12.6V": (Kind.VOLTAGE, ""),
    "A6": (Kind.PROTOCOL, ""),
    "6": (Kind.PROTOCOL, ""),
}


@pytest.mark.parametrize("text", WORDS)
def test_a_word_is_known(text: str) -> None:
    line = read_line(text.encode())
    assert (line.kind, line.reason) == WORDS[text]


NOISE = {
    "digits beside noise": b"7E803\x8410D32",
    "an id that no bus has": b"8E803410D32",
    "a long id that no bus has": b"3FFFFFFF03410D32",
    "half a byte too few": b"7E803410D3",
    "more than eight bytes": b"7E8064100BE3FA8130000",
    "an id alone": b"7E8",
    "an answer without its id, as ATH0 prints it": b"4100BE3FA813",
    "a frame that runs into a word": b"7E803410DBUFFER FULL",
    "letters of no language": b"\xff\xfe\x80",
}


@pytest.mark.parametrize("case", NOISE)
def test_no_frame_is_read_from(case: str) -> None:
    line = read_line(NOISE[case])
    assert (line.kind, line.reason) == (Kind.NOISE, "elm-garbage")


@given(st.binary(max_size=64))
def test_any_line_is_something(raw: bytes) -> None:
    line = read_line(raw)
    assert line.reason or line.kind in {
        *(Kind.FRAME, Kind.OK, Kind.NOTICE, Kind.BANNER, Kind.VOLTAGE, Kind.PROTOCOL)
    }


frames = st.tuples(st.integers(0, 0x7FF), st.binary(min_size=1, max_size=8)).map(
    lambda frame: b"%03X" % frame[0] + frame[1].hex().upper().encode()
)
rubbish = st.binary(max_size=40).map(lambda raw: raw.translate(None, b"\r\n>"))


@given(st.lists(st.tuples(st.booleans(), frames, rubbish), max_size=12), st.integers(1, 9))
def test_what_is_whole_comes_through_whatever_is_between(
    parts: list[tuple[bool, bytes, bytes]], size: int
) -> None:
    stream = b"".join((line if is_frame else noise) + b"\r" for is_frame, line, noise in parts)
    splitter = Splitter()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    lines = [line for piece in pieces for line in splitter.split(piece)]
    wanted = [line for is_frame, line, _ in parts if is_frame]
    assert [line for line in lines if line in wanted] == [
        line
        for is_frame, line, noise in parts
        if is_frame or noise.replace(b"\0", b"") in wanted
        for line in [line if is_frame else noise.replace(b"\0", b"")]
    ]


def test_a_prompt_ends_a_line_and_nul_bytes_are_not_there() -> None:
    assert Splitter().split(b"\r\r\n7E8\x0003\x00\r\rOK>A") == [b"7E803", b"OK", None]


def test_a_line_without_end_is_dropped_up_to_its_end() -> None:
    splitter = Splitter()
    assert splitter.split(b"x" * (3 * LINE_BYTES_MAX)) == []
    assert splitter.split(b"7E803\r7E844\r") == [b"7E844"]
    assert splitter.overlong == 1
