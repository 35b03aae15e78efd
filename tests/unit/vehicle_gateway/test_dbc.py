"""DBC messages as column decoders: bit for bit what cantools decodes one frame at a time."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cantools
import pytest
from cantools.database import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LocalError
from edge.ports import EXTENDED_ID
from vehicle_gateway.dbc import ColumnDecoder, load_dbc
from vehicle_gateway.scaling import Scaling

if TYPE_CHECKING:
    from pathlib import Path

    from vehicle_gateway.dbc import Message

TEXT = """VERSION ""
BU_: A
BO_ 256 little: 8 A
 SG_ ok : 0|1@1+ (1,0) [0|1] "" A
 SG_ ten : 1|10@1+ (0.125,-64) [0|0] "" A
 SG_ wide : 11|29@1- (0.01,3) [0|0] "" A
 SG_ signed : 40|7@1- (0.5,0) [0|0] "" A
 SG_ top : 47|17@1+ (1,0) [0|0] "" A

BO_ 257 big: 8 A
 SG_ ten : 1|10@0+ (0.03589,-18.375) [0|0] "" A
 SG_ wide : 23|32@0- (1,0) [0|0] "" A
 SG_ mixed : 56|8@1+ (1,0) [0|0] "" A

BO_ 2566844926 extended: 8 A
 SG_ speed : 8|16@1+ (0.00390625,0) [0|0] "km/h" A

BO_ 258 chosen: 8 A
 SG_ page M : 0|8@1+ (1,0) [0|0] "" A
 SG_ first m1 : 8|16@1+ (1,0) [0|0] "" A
 SG_ second m2 : 15|16@0+ (1,0) [0|0] "" A
 SG_ always : 32|8@1+ (2,0) [0|0] "" A

BO_ 259 long: 16 A
 SG_ last : 120|8@1+ (1,0) [0|0] "" A
 SG_ big : 71|16@0+ (1,0) [0|0] "" A

BO_ 260 short: 3 A
 SG_ two : 8|16@1+ (1,0) [0|0] "" A

"""


@pytest.fixture(scope="session")
def messages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Message]:
    path = tmp_path_factory.mktemp("dbc") / "all.dbc"
    path.write_text(TEXT)
    return {message.name: message for message in load_dbc(path)}


def decoder(message: Message, *names: str, valid: str | None = None) -> ColumnDecoder:
    """Columns 0, 1, ... in the unit of each signal's own factor."""
    wanted = {name: (key, abs(message.fields[name].factor)) for key, name in enumerate(names)}
    return ColumnDecoder(message, wanted, valid)


@given(payloads=st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=9))
def test_columns_are_what_cantools_decodes(
    messages: dict[str, Message], payloads: list[bytes]
) -> None:
    database = cantools.database.load_string(TEXT, "dbc", strict=False)
    for name, unit in (("little", Fraction(1, 1000)), ("big", Fraction(1, 100_000))):
        message = messages[name]
        wanted = {signal: (key, unit) for key, signal in enumerate(message.fields)}
        columns = ColumnDecoder(message, wanted).decode(payloads, Counter())
        for row, payload in enumerate(payloads):
            truth: Any = database.decode_message(name, payload)  # type: ignore[union-attr]
            for key, signal in enumerate(message.fields):
                value = columns[key][row]
                assert value is not None
                assert abs(value * unit - Fraction(repr(truth[signal]))) <= unit


def test_a_mixed_column_of_lengths_reads_what_is_there(messages: dict[str, Message]) -> None:
    payloads = [b"\1\2\3", b"\1\2\3\4\5", b"\0" * 8]
    columns = decoder(messages["short"], "two").decode(payloads, Counter())
    assert columns == {0: [0x0302, 0x0302, 0]}


def test_a_long_frame_is_read_to_its_last_byte(messages: dict[str, Message]) -> None:
    payload = bytes(range(16))
    columns = decoder(messages["long"], "last", "big").decode([payload], Counter())
    assert columns == {0: [15], 1: [0x0809]}


def test_bytes_needed_reach_to_the_last_wanted_signal(messages: dict[str, Message]) -> None:
    assert decoder(messages["little"], "ten").bytes_needed == 2
    assert decoder(messages["little"], "ten", "top").bytes_needed == 8
    assert decoder(messages["big"], "wide").bytes_needed == 6
    assert decoder(messages["long"], "last").bytes_needed == 16


def test_an_extended_id_carries_bit_31(messages: dict[str, Message]) -> None:
    assert messages["extended"].can_id == 2566844926 & 0x1FFF_FFFF | EXTENDED_ID


def test_frames_that_are_flagged_not_valid_are_absent(messages: dict[str, Message]) -> None:
    sound, broken = (512 << 1 | 1).to_bytes(8, "little"), (512 << 1).to_bytes(8, "little")
    column = decoder(messages["little"], "ten", valid="ok")
    counts: Counter[str] = Counter()
    assert column.decode([sound, sound], counts) == {0: [0, 0]}
    assert column.decode([], counts) == {0: []}
    assert not counts
    assert column.decode([sound, broken, sound], counts) == {0: [0, None, 0]}
    assert column.decode([broken] * 5, counts) == {0: [None] * 5}
    assert counts == {"flagged-invalid": 6}


def test_a_multiplexed_signal_is_absent_in_the_other_pages(messages: dict[str, Message]) -> None:
    payloads = [bytes([page, 1, 2, 0, 7, 0, 0, 0]) for page in (1, 2, 3)]
    column = decoder(messages["chosen"], "first", "second", "always")
    columns = column.decode(payloads, Counter())
    assert columns == {0: [0x0201, None, None], 1: [None, 0x0102, None], 2: [7, 7, 7]}


NESTED = """VERSION ""
BU_: A
BO_ 261 nested: 8 A
 SG_ service M : 0|8@1+ (1,0) [0|0] "" A
 SG_ page m1M : 8|8@1+ (1,0) [0|0] "" A
 SG_ deep m7 : 16|16@1+ (1,0) [0|0] "" A
 SG_ wide m2 : 23|16@0- (1,0) [0|0] "" A

SG_MUL_VAL_ 261 page service 1-1;
SG_MUL_VAL_ 261 deep page 7-9, 12-12;
SG_MUL_VAL_ 261 wide service 2-4;
"""


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([1, 2, 3, 4, 5]), st.integers(6, 13), st.binary(min_size=6, max_size=6)
        ),
        min_size=1,
        max_size=9,
    ),
    often=st.sampled_from([1, 20]),
)
def test_a_multiplexer_below_another_selects_as_cantools_says(
    rows: list[tuple[int, int, bytes]], often: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "nested.dbc"
    path.write_text(NESTED)
    (message,) = load_dbc(path)
    payloads = [bytes([service, page]) + rest for service, page, rest in rows] * often
    found = decoder(message, "deep", "wide").decode(payloads, Counter())
    database = cantools.database.load_string(NESTED, "dbc")
    for number, payload in enumerate(payloads):
        truth: Any = {}
        with suppress(DecodeError):  # a page that no signal has
            truth = database.decode_message("nested", payload)  # type: ignore[union-attr]
        assert found[0][number] == truth.get("deep")
        assert found[1][number] == truth.get("wide")


REPEATED = st.sampled_from([bytes([n, 9, n, 0, 0, 0, 0, 1]) for n in range(5)])


@given(payloads=st.lists(REPEATED, max_size=300))
def test_what_repeats_is_decoded_to_the_same(
    payloads: list[bytes], messages: dict[str, Message]
) -> None:
    column = decoder(messages["little"], "ten", "wide", "top", valid="ok")
    together, apart = Counter[str](), Counter[str]()
    one_by_one = [column.decode([payload], apart) for payload in payloads]
    assert column.decode(payloads, together) == {
        key: [each[key][0] for each in one_by_one] for key in range(3)
    }
    assert together == apart


def test_listed_codes_are_values_and_others_absence(messages: dict[str, Message]) -> None:
    column = ColumnDecoder(messages["chosen"], {"page": (0, {0: 1, 2: 0})})
    counts: Counter[str] = Counter()
    payloads = [bytes([page]) + bytes(7) for page in (0, 1, 2, 255)]
    assert column.decode(payloads, counts) == {0: [1, None, 0, None]}
    assert counts == {"unlisted-code": 2}
    with pytest.raises(LocalError, match="29 bits, too many to list"):
        ColumnDecoder(messages["little"], {"wide": (0, {0: 1})})


@given(
    st.integers(-(2**40), 2**40),
    st.fractions(max_denominator=10_000).filter(bool),
    st.fractions(max_denominator=10_000),
    st.fractions(min_value=Fraction(1, 1_000), max_denominator=1_000),
)
def test_scaling_rounds_the_exact_value_half_up(
    bits: int, factor: Fraction, offset: Fraction, unit: Fraction
) -> None:
    exact = (bits * factor + offset) / unit
    raw = Scaling.between(factor, offset, unit).apply(bits)
    assert raw - Fraction(1, 2) <= exact < raw + Fraction(1, 2)


BROKEN = {
    "a line that is none": ('VERSION ""\nBU_: A\n\nBO_ 1 a: 8 A\n SG_ oops\n', "line 5 of all.dbc"),
    "an empty file": ("", "line 1 of all.dbc"),
    "bytes of something else": ("\x89PNG \x00\x01", "line 1 of all.dbc"),
    "a factor that is none": (
        'VERSION ""\nBU_: A\nBO_ 1 a: 8 A\n SG_ b : 0|8@1+ (x,0) [0|1] "" A\n',
        "line 4 of all.dbc",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_dbc_that_does_not_parse_names_file_and_line(case: str, tmp_path: Path) -> None:
    text, where = BROKEN[case]
    path = tmp_path / "all.dbc"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(LocalError, match=where) as caught:
        load_dbc(path)
    assert caught.value.code == "dbc-parse"


def test_a_missing_dbc_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"gone\.dbc cannot be read"):
        load_dbc(tmp_path / "gone.dbc")


@given(cut=st.integers(0, len(TEXT)), junk=st.text(max_size=9))
def test_a_damaged_dbc_never_raises_anything_else(
    cut: int, junk: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.dbc"
    path.write_text(TEXT[:cut] + junk + TEXT[cut + len(junk) :], encoding="utf-8")
    try:
        loaded = load_dbc(path)
    except LocalError:
        return
    for message in loaded:
        for name in message.fields:
            ColumnDecoder(message, {name: (0, Fraction(1))}).decode(
                [bytes(message.length)], Counter()
            )


def test_a_signal_that_the_message_lacks_is_named(messages: dict[str, Message]) -> None:
    with pytest.raises(LocalError, match="little of the DBC has no integer signal gone"):
        ColumnDecoder(messages["little"], {"gone": (0, Fraction(1))})
