"""Logs for people and for journald: one line a record, UTC, and nobody's numbers in it.

Place in the flow: each `__main__` calls `setup_logging` once; everything else logs by module name.

    2026-11-24T10:35:12.123Z INFO gateway vehicle_gateway.publish: connected to broker

* Runs of 11 digits or more are masked, wherever they come from: ID numbers, cards, telephones.
* A word of at least 16 hexadecimal digits with a letter among them is an id or hash, and is shown.
* Line breaks in a message are shown as ⏎, and the lines of a traceback are indented: what came from
  outside cannot forge a second record.
"""

from __future__ import annotations

import logging
import re
import sys
import time

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s {program} %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
LEVELS = ("debug", "info", "warning", "error")
WORD = re.compile(r"\w*\d{11}\w*")
HEXADECIMAL = re.compile(r"(?=.*[a-f])[0-9a-f]{16,}")
DIGIT_RUN = re.compile(r"(\d{2})\d{7,}(\d{2}[Xx]?)")
INDENT = "    "


def mask(text: str) -> str:
    """Hides the middle of long digit runs; hexadecimal ids and hashes stay readable."""
    return WORD.sub(_mask_word, text)


def _mask_word(found: re.Match[str]) -> str:
    word = found[0]
    return word if HEXADECIMAL.fullmatch(word) else DIGIT_RUN.sub(r"\1***\2", word)


class MaskingFormatter(logging.Formatter):
    """Formats a record on one line, masked."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line; a traceback stays readable on lines of its own."""
        trace = record.exc_info
        text, record.exc_info, record.exc_text = "", None, None
        try:
            text = "⏎".join(mask(super().format(record)).splitlines())
            if trace:
                lines = mask(self.formatException(trace)).splitlines()
                text += "".join(f"\n{INDENT}{line}" for line in lines)
        finally:
            record.exc_info = trace
        return text


def setup_logging(program: str, level: str = "info") -> None:
    """Sends every record of this process to standard error.

    Args:
        program: Short name, such as `gateway`.
        level: One of `LEVELS`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(MaskingFormatter(FORMAT.format(program=program), DATE_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
