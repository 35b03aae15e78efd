"""Money for people: figures, capitals and banknotes of an amount in fen.

Place in the flow: receipt and view ask it how to say an amount.

* Nothing here ever rounds: an amount is a whole number of fen, and all of it is said.
* Capitals follow 《支付结算办法》附一《正确填写票据和结算凭证的基本规定》: 整 after 元 only, one 零
  for any run of zeros inside the number, and 零 between 元 and 分 where there is no 角.
"""

from __future__ import annotations

from typing import Final

FEN_MAX: Final = 10**14
"""One trillion yuan; what is larger is a mistake and has no words."""

DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
UNITS: Final = ("", "拾", "佰", "仟")
GROUPS: Final = ("", "万", "亿")
NOTES_FEN: Final = (10_000, 5_000, 2_000, 1_000, 500, 100, 50, 10, 5, 2, 1)
"""Denominations in circulation, 100 yuan to 1 fen (People's Bank of China, fifth series)."""


def format_fen(fen: int) -> str:
    """Returns yuan with two decimals and thousands separators: 198880 gives `1,988.80`."""
    sign = "-" if fen < 0 else ""
    yuan, rest = divmod(abs(fen), 100)
    return f"{sign}{yuan:,}.{rest:02d}"


def capitals(fen: int) -> str:
    """Returns an amount in capitals, without 人民币: 10050 gives 壹佰元零伍角.

    Args:
        fen: 0 up to `FEN_MAX`, exclusive.
    """
    assert 0 <= fen < FEN_MAX, "an amount outside of what can be written in capitals"
    yuan, rest = divmod(fen, 100)
    jiao, cents = divmod(rest, 10)
    words = f"{_integer(yuan)}元" if yuan else ""
    if not rest:
        return f"{words or '零元'}整"
    if yuan and (not jiao or yuan % 10 == 0):
        words += DIGITS[0]
    if jiao:
        words += f"{DIGITS[jiao]}角"
    return words + (f"{DIGITS[cents]}分" if cents else "")


def renminbi(fen: int) -> str:
    """Returns an amount in capitals as a receipt must have it, 人民币 before it."""
    return f"人民币{capitals(fen)}"


def banknotes(fen: int) -> list[list[int]]:
    """Returns [[denomination in fen, count], ...], fewest pieces, largest first."""
    pieces = []
    for note in NOTES_FEN:
        count, fen = divmod(fen, note)
        if count:
            pieces.append([note, count])
    return pieces


def describe(fen: int) -> dict[str, object]:
    """Returns the `money` of a view: fen, digits, capitals and banknotes."""
    return {
        "fen": fen,
        "digits": format_fen(fen),
        "capitals": renminbi(fen),
        "banknotes": banknotes(fen),
    }


def _integer(number: int) -> str:
    """Returns a positive integer in capitals: groups of four digits, named 万 and 亿."""
    words = ""
    skipped = False
    for group in reversed(range(len(GROUPS))):
        part = number // 10_000**group % 10_000
        if part == 0:
            skipped = True
            continue
        if words and (skipped or part < 1_000):
            words += DIGITS[0]
        words += _group(part) + GROUPS[group]
        skipped = False
    return words


def _group(part: int) -> str:
    words = ""
    gap = False
    for power in (3, 2, 1, 0):
        digit = part // 10**power % 10
        if digit:
            words += (DIGITS[0] if gap and words else "") + DIGITS[digit] + UNITS[power]
        gap = digit == 0
    return words
