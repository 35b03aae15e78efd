"""Claims about logs: one line a record, UTC, and nobody's numbers in it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.log import DATE_FORMAT, FORMAT, MaskingFormatter, mask

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ gateway [\w.]+: .*")
MASKED = {
    "id number 51010119900101123X": "51***23X",
    "id number 510101199001011234.": "51***34.",
    "card6222021234567890123": "62***23",
    "id510101199001011234": "51***34",
    "证号510101199001011234号": "51***34",
    "tel=13800138000,": "13***00",
    "13800138000abc": "13***00",
    "(+8613800138000)": "86***00",
    "ＩＤ５１０１０１１９９００１０１１２３４": "５１***３４",
    "two 13800138000 and 13900139000": "13***00",
}
SHOWN = [
    "amount 1234567890 fen",
    "2026-11-24T10:35:12",
    "op 3f2504e04f8911d39a0c0305e82c3301",
    "hash 0000000000000000000000000000000a1111111111111111111111111111111b",
]


@pytest.mark.parametrize("text", MASKED)
def test_a_long_number_is_masked(text: str) -> None:
    assert MASKED[text] in mask(text)
    assert not re.search(r"\d{11}", mask(text))


@pytest.mark.parametrize("text", SHOWN)
def test_a_short_number_an_id_or_a_hash_is_shown(text: str) -> None:
    assert mask(text) == text


@given(st.text(alphabet="0123456789Xx ,.=:号ghz", max_size=60))
def test_no_run_of_eleven_digits_is_left(text: str) -> None:
    assert not re.search(r"\d{11}", mask(text))


def line_of(message: str, error: Exception | None = None) -> str:
    form = MaskingFormatter(FORMAT.format(program="gateway"), DATE_FORMAT)
    trace = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("vehicle_gateway.bus", 20, "", 1, message, (), trace)
    text = form.format(record)
    assert record.exc_info == trace
    return text


@given(st.text(max_size=60))
def test_a_record_is_one_line_whatever_it_says(message: str) -> None:
    line = line_of(message)
    assert len(line.splitlines()) == 1
    assert LINE.fullmatch(line)


def test_a_record_tells_its_time_in_utc() -> None:
    form = MaskingFormatter(FORMAT.format(program="gateway"), DATE_FORMAT)
    record = logging.LogRecord("a.b", 30, "", 1, "said", (), None)
    record.created, record.msecs = 1_795_516_512.25, 250.0
    assert form.format(record) == "2026-11-24T10:35:12.250Z WARNING gateway a.b: said"


def test_an_exception_forges_no_record_and_shows_no_number() -> None:
    forged = "x\n2026-11-24T10:35:12.123Z INFO gateway a: forged 510101199001011234"
    first, *rest = line_of("failed", ValueError(forged)).split("\n")
    assert LINE.fullmatch(first)
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "510101199001011234" not in "".join(rest)


def test_a_program_logs_to_standard_error_from_its_level_on() -> None:
    code = (
        "import logging; from edge.log import setup_logging; setup_logging('gateway', 'warning');"
        "log = logging.getLogger('edge.a'); log.info('quiet'); log.warning('tel %s', 13800138000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert LINE.fullmatch(line)
    assert line.endswith("WARNING gateway edge.a: tel 13***00")
