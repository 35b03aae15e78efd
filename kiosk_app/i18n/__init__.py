"""The shell's own words in other languages, straight from the Qt Linguist files.

Place in the flow: shell asks for a language, Qt asks this translator for each `qsTr` of the QML.

* Chinese is the source language: without a translator every text is Chinese.
* The `.ts` files are read as they are, so that nothing has to be compiled at installation;
  a text that Linguist marks unfinished or vanished is not used.
* Texts of services and of the flow come from the service documents, already in the right language.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QFile, QIODevice, QObject, QTranslator, QXmlStreamReader

from edge.errors import LocalError

FOLDER = Path(__file__).parent
SOURCE_LANGUAGE = "zh"
LANGUAGES = (SOURCE_LANGUAGE, "en")

Texts = dict[tuple[str, str], str]


def read_texts(path: Path) -> Texts:
    """Reads a Qt Linguist file: {(context, Chinese source): translation}.

    Raises:
        LocalError: The file is absent or no well-formed Linguist file (`translation-file`).
    """
    file = QFile(str(path))
    if not file.open(QIODevice.OpenModeFlag.ReadOnly):
        raise LocalError(f"{path} cannot be read; install the package again.", "translation-file")
    reader = QXmlStreamReader(file)
    texts: Texts = {}
    context = source = ""
    while not reader.atEnd():
        if reader.readNext() is not QXmlStreamReader.TokenType.StartElement:
            continue
        match reader.name():
            case "name":
                context = reader.readElementText()
            case "source":
                source = reader.readElementText()
            case "translation":
                finished = not reader.attributes().hasAttribute("type")
                text = reader.readElementText()
                if finished and text:
                    texts[context, source] = text
    file.close()
    if reader.hasError():
        raise LocalError(
            f"{path}, line {reader.lineNumber()}: {reader.errorString()}. Install it again.",
            "translation-file",
        )
    return texts


class Translator(QTranslator):
    """Answers Qt from a table of texts; empty while the language is Chinese."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._texts: Texts = {}

    def speak(self, language: str) -> None:
        """Takes up a language; one that has no file stays Chinese.

        Raises:
            LocalError: The language file is damaged.
        """
        path = FOLDER / f"{language}.ts"
        self._texts = read_texts(path) if path.exists() else {}

    def translate(
        self,
        context: str,
        sourceText: str,  # noqa: N803 - Qt's own name
        disambiguation: str | None = None,
        n: int = -1,
    ) -> str:
        """Returns the translation, or the source: Python cannot say `no text` as Qt would."""
        del disambiguation, n
        return self._texts.get((context, sourceText), sourceText)

    def isEmpty(self) -> bool:  # noqa: N802 - Qt's own name
        """Never empty for Qt: it would refuse to install us before a language is taken up."""
        return False
