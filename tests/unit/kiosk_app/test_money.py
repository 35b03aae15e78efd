"""What is claimed of amounts in figures, capitals and banknotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk_app.money import DIGITS, FEN_MAX, NOTES_FEN, banknotes, capitals, describe, format_fen

AMOUNTS = st.integers(0, FEN_MAX - 1)

# 《正确填写票据和结算凭证的基本规定》 and its own examples where it has them.
CAPITALS = {
    0: "零元整",
    1: "壹分",
    50: "伍角",
    100: "壹元整",
    1_000: "壹拾元整",
    10_050: "壹佰元零伍角",
    10_005: "壹佰元零伍分",
    140_950: "壹仟肆佰零玖元伍角",
    600_714: "陆仟零柒元壹角肆分",
    168_032: "壹仟陆佰捌拾元零叁角贰分",
    10_700_053: "壹拾万柒仟元零伍角叁分",
    1_640_902: "壹万陆仟肆佰零玖元零贰分",
    32_504: "叁佰贰拾伍元零肆分",
    100_000_100: "壹佰万零壹元整",
    10_000_000_000: "壹亿元整",
    10_000_050_000: "壹亿零伍佰元整",
    1_000_000_000_000: "壹佰亿元整",
}


def figure_of(words: str) -> int:
    """Reads capitals back, by a way of its own: digits times units, groups times 万 and 亿."""
    yuan, _, rest = words.removesuffix("整").partition("元") if "元" in words else ("", "", words)
    total = 0
    for group, weight in (("亿", 10**8), ("万", 10**4), ("", 1)):
        part, found, after = yuan.partition(group) if group else (yuan, "", "")
        if group and not found:
            continue
        total += weight * small(part)
        yuan = after
    jiao, _, cents = rest.partition("角") if "角" in rest else ("", "", rest)
    return total * 100 + small(jiao) * 10 + small(cents.removesuffix("分"))


def small(words: str) -> int:
    total, digit = 0, 0
    for character in words:
        if character in DIGITS:
            digit = DIGITS.index(character)
        else:
            total += digit * {"仟": 1_000, "佰": 100, "拾": 10}[character]
            digit = 0
    return total + digit


@pytest.mark.parametrize(("fen", "words"), CAPITALS.items())
def test_capitals_follow_the_rules_for_bills(fen: int, words: str) -> None:
    assert capitals(fen) == words


@given(AMOUNTS)
def test_capitals_read_back_give_the_same_amount(fen: int) -> None:
    assert figure_of(capitals(fen)) == fen


@given(AMOUNTS)
def test_capitals_never_have_two_zeros_in_a_row(fen: int) -> None:
    words = capitals(fen)
    assert "零零" not in words
    assert words.endswith("整") == (fen % 100 == 0)


@given(st.integers(-FEN_MAX, FEN_MAX))
def test_figures_read_back_give_the_same_amount(fen: int) -> None:
    sign = -1 if format_fen(fen).startswith("-") else 1
    yuan, _, rest = format_fen(fen).lstrip("-").replace(",", "").partition(".")
    assert sign * (int(yuan) * 100 + int(rest)) == fen


@given(st.integers(0, 10**9))
def test_banknotes_add_up_and_are_the_fewest(fen: int) -> None:
    pieces = banknotes(fen)
    assert sum(note * count for note, count in pieces) == fen
    assert all(note in NOTES_FEN for note, _ in pieces)
    for (note, count), larger in zip(pieces, NOTES_FEN[:-1], strict=False):
        assert note == NOTES_FEN[0] or note * count < larger or note == larger


def test_money_of_a_view_says_the_amount_three_ways() -> None:
    assert describe(50_000) == {
        "fen": 50_000,
        "digits": "500.00",
        "capitals": "人民币伍佰元整",
        "banknotes": [[10_000, 5]],
    }
