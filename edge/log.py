"""Logs for people and for journald: one line a record, UTC, and nobody's numbers in it.

Place in the flow: each `__main__` calls `setup_logging` once; everything else logs by module name.

    2026-11-24T10:35:12.123Z INFO gateway vehicle_gateway.publish: connected to broker

* Runs of 11 digits or more are masked, wherever they come from: ID numbers, cards, telephones.
* Line breaks in a message are shown as ⏎: what came from outside cannot forge a second record.
"""

from __future__ import annotations

import logging
import re
import sys
import time

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s {program} %(name)s: %(message)s"
DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
LEVELS = ("debug", "info", "warning", "error")
DIGIT_RUN = re.compile(r"(?<![0-9A-Fa-f])(\d{2})\d{7,}(\d{2}[Xx]?)(?![0-9A-Fa-f])")


def mask(text: str) -> str:
    """Hides the middle of long digit runs; hexadecimal ids and hashes stay readable."""
    return DIGIT_RUN.sub(r"\1***\2", text)


class MaskingFormatter(logging.Formatter):
    """Formats a record on one line, masked."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line; a traceback stays readable on lines of its own."""
        trace = record.exc_info
        text, record.exc_info, record.exc_text = "", None, None
        try:
            text = mask(super().format(record)).replace("\r", "").replace("\n", "⏎")
            if trace:
                text += "\n" + mask(self.formatException(trace))
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
