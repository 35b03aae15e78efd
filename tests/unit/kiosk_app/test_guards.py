"""What is claimed of guard expressions."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LastmileError, LocalError
from kiosk_app.guards import GuardError, read_guard

FACTS = {"amount_fen": 50_000, "max_fen": 200_000, "phone": "13800000000", "ready": True}

TRUE = (
    "amount_fen % 1000 == 0 and amount_fen <= max_fen",
    "not (amount_fen > max_fen)",
    "0 < amount_fen < max_fen",
    "len(phone) == 11",
    "min(amount_fen, max_fen) == amount_fen",
    "abs(-5) == 5 and max(1, 2, 3) == 3",
    "ready or missing == 1",
    "amount_fen // 100 - 1 == 499",
)
REFUSED = (
    "__import__('os')",
    "_secret == 1",
    "amount_fen.__class__",
    "phone[0] == '1'",
    "open('/etc/passwd')",
    "lambda: 1",
    "[x for x in phone]",
    "2 ** 99",
    "f'{amount_fen}' == ''",
    "amount_fen = 1",
    "1 == 1.5",
    "b'x' == b'x'",
    "min(*phone)",
    "max(phone, key=len)",
    "1 if ready else 2",
    "amount_fen in (1, 2)",
    "99999999999999999999 > 1",
    "",
    "(" * 400,
    "1+" * 200 + "1",
    "-" * 60 + "1",
    "not " * 60 + "ready",
    "a" * 301,
    "\0",
)


@pytest.mark.parametrize("text", TRUE)
def test_a_guard_holds(text: str) -> None:
    assert read_guard(text).holds(FACTS)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_of_the_language_is_refused_at_loading(text: str) -> None:
    with pytest.raises(GuardError):
        read_guard(text)


@pytest.mark.parametrize(
    "text",
    ["amount_fen == phone", "ready == 1", "amount_fen // 0", "amount_fen % 0", "ready + 1",
     "phone + phone", "phone * 3", "len(amount_fen)", "max_fen * max_fen * max_fen", "-phone"],
)  # fmt: skip
def test_what_does_not_go_together_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(GuardError):
        read_guard(text).holds(FACTS)


def test_a_missing_fact_is_a_local_error() -> None:
    with pytest.raises(LocalError):
        read_guard("missing == 1").holds(FACTS)


def test_a_guard_names_the_facts_it_asks_for_and_not_what_it_calls() -> None:
    assert read_guard("len(phone) == 11 and amount_fen < max_fen").names == {
        "phone", "amount_fen", "max_fen",
    }  # fmt: skip


@given(st.text(max_size=60))
def test_no_text_raises_anything_but_our_errors(text: str) -> None:
    with contextlib.suppress(LastmileError):
        read_guard(text).holds(FACTS)


PIECES = st.sampled_from(
    ["amount_fen", "max_fen", "1", "0", "+", "-", "*", "//", "%", "==", "<", "and", "or", "not",
     "(", ")", "min", ",", "phone", "len", "ready", "999999999999999"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25))
def test_no_combination_of_our_own_words_raises_anything_else(pieces: list[str]) -> None:
    with contextlib.suppress(LastmileError):
        read_guard(" ".join(pieces)).holds(FACTS)
