"""What the kiosk itself says: one sentence for each side, in both languages, by outcome code.

Place in the flow: **words** → service (which codes exist) → flow (which notice) → view.

* A code has two sentences: what the agent must do, and what the customer may know.
* They are data, in `sentences.json`; none of the agent's holds a placeholder of a private fact,
  which is checked when they are read.
* Placeholders are `{fact}` or `{fact:form}`; forms are `yuan`, `capitals`, `clock`, `date`.
"""

from __future__ import annotations

import re
from importlib import resources
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


class Sentence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def read_sentences() -> dict[str, Sentence]:
    """Reads `sentences.json`, and refuses one that would tell the agent a private fact."""
    content = (resources.files("kiosk_app") / "sentences.json").read_bytes()
    sentences = msgspec.json.decode(content, type=dict[str, Sentence])
    for code, sentence in sentences.items():
        for name, form in placeholders(sentence.operator):
            assert not FACTS[name].private, f"{code} tells the operator {name}:{form}"
    return sentences


CODES: Final[Mapping[str, Sentence]] = read_sentences()
"""Outcome → what each side is told."""
