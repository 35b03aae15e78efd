"""What the kiosk itself says: one sentence for each side, in both languages, by outcome code.

Place in the flow: **words** → service (which codes exist) → flow (which notice) → view.

* A code has two sentences: what the agent must do, and what the customer may know.
* The agent's sentence never holds a placeholder of a private fact; loading the module checks it.
* Placeholders are `{fact}` or `{fact:form}`; forms are `yuan`, `capitals`, `clock`, `date`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from kiosk_app.money import format_fen, renminbi
from kiosk_app.privacy import FACTS, day_of, time_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)(?::([a-z]+))?\}")
LANGUAGES: Final = ("zh", "en")


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in both languages, with placeholders."""

    zh: str
    en: str


class Sentence(msgspec.Struct, frozen=True):
    """What each side is told about one outcome."""

    operator: Text
    customer: Text
    kind: str = "error"


FORMS: Final[Mapping[str, tuple[str, Callable[[int], str]]]] = {
    "yuan": ("fen", lambda fen: f"¥{format_fen(fen)}"),
    "capitals": ("fen", renminbi),
    "clock": ("time", time_of),
    "date": ("time", day_of),
}
"""Form → the kind of fact it takes, and how it writes it."""


def placeholders(text: Text) -> set[tuple[str, str]]:
    """Returns (fact, form) of every placeholder in either language."""
    found = (PLACEHOLDER.findall(each) for each in (text.zh, text.en))
    return {(name, form) for names in found for name, form in names}


def say(text: Text, language: str, facts: Mapping[str, object]) -> str:
    """Returns a text in one language, its placeholders filled.

    A fact that is absent is shown as a dash: a screen must not fail for a word.
    """

    def fill(match: re.Match[str]) -> str:
        value, form = facts.get(match[1]), match[2]
        if value is None:
            return "—"
        return FORMS[form][1](value) if form and isinstance(value, int) else str(value)

    return PLACEHOLDER.sub(fill, text.en if language == "en" else text.zh)


def _both(
    operator_zh: str, operator_en: str, customer_zh: str, customer_en: str, kind: str = "error"
) -> Sentence:
    return Sentence(Text(operator_zh, operator_en), Text(customer_zh, customer_en), kind)


def _same(zh: str, en: str, kind: str = "error") -> Sentence:
    return Sentence(Text(zh, en), Text(zh, en), kind)


ONLINE: Final = ("请联网后办理。", "Please serve this customer when the network is back.")
SORRY: Final = ("本机暂不能离线办理，请联网后办理。", "This cannot be done offline now; please wait for the network.")

CODES: Final[Mapping[str, Sentence]] = {
    # ---------------------------------------------------------- devices
    "timeout": _same("设备等待超时，请重试。", "The device waited too long; please try again.", "warning"),
    "cancelled": _same("已取消。", "Cancelled.", "info"),
    "refused": _both(
        "设备拒绝了操作，请检查设备后重试。", "The device refused; check it and try again.",
        "请稍候。", "One moment please.",
    ),
    "fault": _both(
        "设备故障，请检查电源和连线后重试。", "The device failed; check its power and cable, then try again.",
        "设备故障，请稍候。", "The device failed; one moment please.",
    ),
    "card-unreadable": _both(
        "没有读到身份证，请让客户重新放置后重试。", "No ID card was read; have it put down again and retry.",
        "请重新放置身份证。", "Please put your ID card down again.", "warning",
    ),
    "pin-cancelled": _both(
        "客户取消了密码输入。", "The customer cancelled the PIN.", "已取消密码输入。", "The PIN was cancelled.", "info",
    ),
    "wrong-pin": _both(
        "密码未通过，请客户重新输入。", "The PIN was not right; the customer may try again.",
        "密码不正确，还可以输入 {tries_left} 次。", "The PIN is not right; {tries_left} tries are left.", "warning",
    ),
    "pin-blocked": _both(
        "密码已锁定，请客户到银行网点办理。", "The PIN is blocked; the customer must go to a branch.",
        "密码输错次数过多，已锁定。请到银行网点解锁。", "Too many wrong PINs: it is blocked. Please go to a branch.",
    ),
    "wrong-block": _both(
        "授权与本机密码键盘不符，" + ONLINE[0], "The lease is not for this PIN pad. " + ONLINE[1], *SORRY,
    ),
    "paper-out": _both(
        "打印机缺纸：请装入热敏纸后按“重试”。业务已登记，不会丢失。",
        "The printer is out of paper: load paper and press “Retry”. The business is recorded and safe.",
        "凭条暂时无法打印，业务已登记。", "The receipt cannot be printed yet; the business is recorded.", "warning",
    ),
    # ---------------------------------------------------------- customer and lease
    "customer-unknown": _both(
        "本机没有该客户的资料，" + ONLINE[0], "This kiosk does not know the customer. " + ONLINE[1], *SORRY,
    ),
    "balance-unknown": _both(
        "本机没有该客户的余额，" + ONLINE[0], "This kiosk has no balance of the customer. " + ONLINE[1], *SORRY,
    ),
    "no-lease": _both("该客户没有离线额度，" + ONLINE[0], "The customer has no offline limit. " + ONLINE[1], *SORRY),
    "lease-expired": _both(
        "该客户的离线额度已过期，" + ONLINE[0], "The customer's offline limit has expired. " + ONLINE[1],
        "离线额度已过期，请联网后办理。", "Your offline limit has expired; please wait for the network.",
    ),
    "lease-spent": _both(
        "该客户的离线额度已用完，" + ONLINE[0], "The customer's offline limit is used up. " + ONLINE[1],
        "离线额度已用完，请联网后办理。", "Your offline limit is used up; please wait for the network.",
    ),
    "lease-forged": _both(
        "离线额度的签名无效，已拒绝。请联系银行。", "The offline limit is not signed by the bank and was refused. Call the bank.",
        *SORRY,
    ),
    "lease-other-kiosk": _both(
        "离线额度属于另一台终端，已拒绝。请联系银行。", "The offline limit is for another kiosk and was refused. Call the bank.",
        *SORRY,
    ),
    "lease-other-customer": _both(
        "离线额度属于另一位客户，已拒绝。请联系银行。", "The offline limit is another customer's and was refused. Call the bank.",
        *SORRY,
    ),
    "day-limit": _both(
        "今日取款已达上限。", "The limit of the day is reached.",
        "今日取款已达上限（每卡每日 2,000 元）。", "The limit of the day is reached (¥2,000 a card and day).",
    ),
    "drawer-short": _both(
        "钱箱现金不足，请补充现金或减少金额。", "There is not enough cash in the drawer; add cash or take less.",
        "服务点现金不足，请减少金额或稍后再来。", "The counter has not enough cash; please take less or come later.",
    ),
    "amount": _both(
        "金额不符合规则，请客户改正。", "The amount breaks a rule; the customer may correct it.",
        "金额不符合规则，请改正。", "The amount breaks a rule; please correct it.",
    ),
    "pin-answer": _both(
        "密码键盘的应答无效，业务未办理。请重试。", "The PIN pad's answer does not hold; nothing was done. Try again.",
        "密码验证未完成，请重试。", "The PIN was not verified; please try again.",
    ),
    "store": _both(
        "本机存储故障，业务未登记，请勿付款。请联系银行。", "The kiosk cannot store; nothing was recorded, pay nothing. Call the bank.",
        "业务未办理，请稍候。", "Nothing was done; one moment please.",
    ),
    # ---------------------------------------------------------- input and session
    "input": _both(
        "输入有误，请改正。", "The entry is not right; please correct it.",
        "输入有误，请改正。", "The entry is not right; please correct it.",
    ),
    "idle-warning": _same(
        "长时间没有操作，20 秒后将退出并清除信息。触摸屏幕可继续。",
        "Nothing was touched for a while; in 20 seconds this session is wiped. Touch a button to go on.", "warning",
    ),
    "wiped-idle": _same("长时间没有操作，业务已退出。", "The session was wiped after a time without a touch.", "info"),
    "wiped-card": _same("证件已取走，业务已退出。", "The card was taken away; the session was wiped.", "info"),
    "wiped-lock": _same("操作屏已锁定，业务已退出。", "The counter was locked; the session was wiped.", "info"),
    "wiped-screen": _same("操作屏断开，业务已退出。", "The operator's screen was lost; the session was wiped.", "info"),
    "wiped-document": _both(
        "业务文件有误，业务已退出。请联系银行。", "The service document is wrong; the session was wiped. Call the bank.",
        "业务已退出，请稍候。", "The session has ended; one moment please.",
    ),
    "suspended": _both(
        "客户屏断开，业务暂停。接好后自动继续，也可以取消。",
        "The customer's screen is missing: the session waits. It goes on when the screen is back; you may cancel.",
        "业务暂停。", "The session waits.", "warning",
    ),
}  # fmt: skip
"""Outcome → what each side is told."""


def _check_sentences() -> None:
    for code, sentence in CODES.items():
        for name, form in placeholders(sentence.operator):
            assert not FACTS[name].private, f"{code} tells the operator {name}:{form}"


_check_sentences()
