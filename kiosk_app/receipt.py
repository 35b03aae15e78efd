"""A receipt: what it says, how it is laid out on paper, and the code that the core can match.

Place in the flow: teller → **receipt** → printer and the operator's side.

    58 mm paper has 32 columns, 80 mm has 48; a full-width character takes two
    QR text: `LM1*device*epoch*seq*hash`, hash = the journal's chain after the entry, hexadecimal

* A receipt says 待上传 until the core has said what became of it; it never promises.
* Names and accounts are masked: paper lies around.
* `￥` and not `¥`: the latter is not in GB18030, which printers speak.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kiosk_app.money import format_fen, renminbi
from kiosk_app.privacy import local

if TYPE_CHECKING:
    from collections.abc import Mapping

COLUMNS: Final = 32
COLUMNS_WIDE: Final = 48
WIDE: Final = "WF"
CONTROLS: Final = ("Cc", "Cf", "Zl", "Zp")
STATUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {"waiting": "待上传", "posted": "已入账", "suspense": "需银行处理"},
    "en": {"waiting": "To be sent", "posted": "Posted", "suspense": "With the bank"},
}
NOTES: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "waiting": "网络恢复后自动入账",
        "posted": "已经入账",
        "suspense": "请等候银行处理",
    },
    "en": {
        "waiting": "It will be posted when the network is back",
        "posted": "It has been posted",
        "suspense": "The bank will look into it",
    },
}
"""What `{receipt_note}` of a service says; the rest of its sentence is the document's."""

FOOTERS: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "waiting": "联网后自动入账，请留存",
        "posted": "已入账，请留存",
        "suspense": "银行正在处理，请留存",
    },
    "en": {
        "waiting": "Posted when online; keep it",
        "posted": "Posted; please keep it",
        "suspense": "The bank looks into it; keep it",
    },
}
LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "zh": {
        "head": "助农金融服务点", "title": "现金支取凭条", "village": "服务点", "when": "日期",
        "name": "户名", "account": "账号", "amount": "金额", "capitals": "大写", "number": "流水",
        "status": "状态",
    },
    "en": {
        "head": "Village bank counter", "title": "Cash withdrawal", "village": "Counter",
        "when": "Date", "name": "Name", "account": "Account", "amount": "Amount",
        "capitals": "In words", "number": "Number", "status": "Status",
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a withdrawal's receipt says; everything that could name a person is masked already.

    Attributes:
        number: Text number, unique at this kiosk.
        head: The journal's chain after the entry.
    """

    op_id: str
    number: str
    device: str
    village: str
    name_masked: str
    account_masked: str
    amount_fen: int
    wall_us: int
    epoch: int
    seq: int
    head: bytes


def receipt_number(device: str, epoch: int, seq: int) -> str:
    """Returns the number that people read to each other: kiosk-0001/1-17."""
    return f"{device}/{epoch}-{seq}"


def qr_text(receipt: Receipt) -> str:
    """Returns what the QR code holds."""
    return f"LM1*{receipt.device}*{receipt.epoch}*{receipt.seq}*{receipt.head.hex()}"


def lay_out(receipt: Receipt, status: str, language: str, columns: int = COLUMNS) -> list[str]:
    """Returns the lines of a receipt, none wider than `columns`.

    Args:
        receipt: What it says.
        status: `waiting`, `posted` or `suspense`.
        language: `zh` or `en`; capitals are Chinese in both, as the law has it.
        columns: Of the paper.
    """
    words = LABELS[language]
    pairs = [
        ("village", receipt.village),
        ("when", f"{local(receipt.wall_us):%Y-%m-%d %H:%M:%S}"),
        ("name", receipt.name_masked),
        ("account", receipt.account_masked),
        ("amount", f"￥{format_fen(receipt.amount_fen)}"),
        ("capitals", renminbi(receipt.amount_fen)),
        ("number", receipt.number),
    ]
    lines = [centred(words["head"], columns), centred(words["title"], columns), "-" * columns]
    for name, value in pairs:
        lines += paired(words[name], value, columns)
    lines.append("-" * columns)
    lines += paired(words["status"], STATUSES[language][status], columns)
    lines.append(centred(FOOTERS[language][status], columns))
    return lines


def width(text: str) -> int:
    """Returns how many columns a text takes on paper."""
    return sum(2 if unicodedata.east_asian_width(each) in WIDE else 1 for each in text)


def centred(text: str, columns: int) -> str:
    """Returns a text in the middle of a line, cut where it is too long."""
    text = wrapped(text, columns)[0]
    return " " * ((columns - width(text)) // 2) + text


def paired(label: str, value: str, columns: int) -> list[str]:
    """Returns label and value at both ends of a line, or the value below, wrapped."""
    label, value = plain(label), plain(value)
    room = columns - width(label) - 1
    if width(value) <= room:
        return [label + " " * (columns - width(label) - width(value)) + value]
    parts = wrapped(value, columns)
    return [*wrapped(label, columns), *(" " * (columns - width(part)) + part for part in parts)]


def wrapped(text: str, columns: int) -> list[str]:
    """Breaks a text into pieces that fit; an empty text is one empty piece."""
    pieces, piece = [], ""
    for character in plain(text):
        if width(piece + character) > columns:
            pieces.append(piece)
            piece = ""
        piece += character
    return [*pieces, piece]


def plain(text: str) -> str:
    """Turns control characters into spaces: a name must not speak to the printer."""
    return "".join(" " if unicodedata.category(each) in CONTROLS else each for each in text)
