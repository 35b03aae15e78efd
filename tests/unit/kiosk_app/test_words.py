"""What is claimed of texts and of the sentences that come with the program."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kiosk_app.catalogue import REFUSALS
from kiosk_app.words import CODES, Text, placeholders, say

TEXT = Text("余 {amount_fen:yuan}（{amount_fen:capitals}）", "{amount_fen:yuan} left")


def test_placeholders_are_filled_in_the_form_that_they_name() -> None:
    assert say(TEXT, "zh", {"amount_fen": 50_000}) == "余 ¥500.00（人民币伍佰元整）"
    assert say(TEXT, "en", {"amount_fen": 50_000}) == "¥500.00 left"


def test_a_fact_that_is_absent_is_a_dash() -> None:
    assert say(TEXT, "en", {}) == "— left"


def test_placeholders_of_both_languages_are_found() -> None:
    assert placeholders(Text("{a}", "{b:yuan}")) == {("a", ""), ("b", "yuan")}


def test_what_is_filled_in_is_not_read_again() -> None:
    assert say(Text("{a}", "{a}"), "en", {"a": "{secret}", "secret": "x"}) == "{secret}"


@given(
    st.text(),
    st.dictionaries(st.sampled_from(("a", "amount_fen")), st.none() | st.integers() | st.text()),
)
def test_no_text_and_no_fact_make_a_screen_fail(text: str, facts: dict[str, object]) -> None:
    say(Text(text, text), "zh", facts)


def test_every_sentence_is_said_in_both_languages_and_ends() -> None:
    for code, sentence in CODES.items():
        for text in (sentence.operator, sentence.customer):
            assert text.zh.endswith("。"), code
            assert text.en.endswith("."), code
        assert sentence.kind in ("info", "success", "warning", "error")
    assert all(text.zh.endswith("。") for text in REFUSALS.values())
