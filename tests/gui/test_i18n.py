"""Every word of the shell in both languages, and the toggle between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge.errors import LocalError
from kiosk_app import i18n, shell
from tests.gui import pages

if TYPE_CHECKING:
    from tests.gui.pilot import Pilot
    from tests.gui.script import ScriptedWorker

    Counter = tuple[Pilot, ScriptedWorker]

QML = Path(shell.__file__).parent / "qml" / "Lastmile"
QSTR = re.compile(r'qsTr\("([^"]*)"\)')
TRANSLATED = re.compile(r'translate\(\s*"(\w+)",\s*"([^"]*)"')
HANZI = re.compile(r"[\u3400-\u9fff]")
LITERAL = re.compile(r'"([^"\n]*[\u3400-\u9fff][^"\n]*)"')
# The toggle names each language in that language; 角 and 分 stand on the coins themselves.
AS_IT_IS = {"中文", "切换到中文", "角", "分"}


def used() -> set[tuple[str, str]]:
    found = {
        (path.stem, text) for path in QML.glob("*.qml") for text in QSTR.findall(path.read_text())
    }
    return found | set(TRANSLATED.findall(Path(shell.__file__).read_text()))


def test_every_text_of_the_shell_has_an_english_one_and_none_is_left_over() -> None:
    assert set(i18n.read_texts(i18n.FOLDER / "en.ts")) == used()


def test_every_english_text_is_english_and_keeps_its_places() -> None:
    for (_, source), text in i18n.read_texts(i18n.FOLDER / "en.ts").items():
        assert not HANZI.search(text), text
        assert source.count("%1") == text.count("%1"), text


def test_no_chinese_text_of_the_qml_bypasses_translation() -> None:
    for path in QML.glob("*.qml"):
        code = re.sub(r"//.*", "", path.read_text())
        loose = {text for text in LITERAL.findall(QSTR.sub("", code)) if text not in AS_IT_IS}
        assert not loose, (path.name, loose)


def test_the_toggle_turns_every_word_of_the_shell_and_back(counter: Counter) -> None:
    pilot, worker = counter
    chinese = pilot.texts("operator")
    pilot.press("operator", "button_language")
    pilot.wait(lambda views: views.status.language == "en")
    english = pilot.texts("operator")
    assert {"Network", "Offline", "中文"} <= set(english)
    assert worker.intents[-1]["language"] == "en"
    pilot.press("operator", "button_language")
    pilot.wait(lambda views: views.status.language == "zh")
    assert pilot.texts("operator") == chinese


def test_in_english_no_chinese_is_left_but_what_the_view_brings(counter: Counter) -> None:
    pilot, _ = counter
    for name in pages.PAGES:
        views = pages.page(name, "en")
        pilot.show(views)
        brought = str(views) + "中文" + pages.RECEIPT
        for side in ("operator", "customer"):
            left = [
                text for text in pilot.texts(side) if HANZI.search(text) and text not in brought
            ]
            assert all(re.fullmatch("[1-5][角分]", text) for text in left), (name, side, left)


def test_a_language_without_a_file_stays_chinese() -> None:
    translator = i18n.Translator()
    translator.speak("tlh")
    assert translator.translate("StatusBar", "网络") == "网络"


DAMAGED = {
    "not well formed": "<TS><context>",
    "absent": None,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_language_file_is_a_sentence(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "en.ts"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LocalError) as caught:
        i18n.read_texts(path)
    assert caught.value.code == "translation-file"


def test_an_unfinished_translation_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "en.ts"
    path.write_text(
        "<TS><context><name>A</name>"
        "<message><source>一</source><translation type='unfinished'>one</translation></message>"
        "<message><source>二</source><translation>two</translation></message></context></TS>"
    )
    assert i18n.read_texts(path) == {("A", "二"): "two"}
