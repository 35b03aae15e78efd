"""Speaks while the story runs: numbered steps, and figures as they happen.

Place in the flow: town, drive, counter → **narrator** → standard output.

* Each line is out at once, so that a pipe shows progress too.
* Every text exists in both languages; the caller gives both, side by side.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

LANGUAGES = ("zh", "en")


@dataclass(slots=True)
class Narrator:
    """Tells a story of a known number of steps.

    Attributes:
        language: `zh` or `en`.
        steps: How many steps there are.
    """

    language: str
    steps: int
    _step: int = 0
    _begun: float = field(default_factory=time.monotonic)

    def step(self, zh: str, en: str) -> None:
        """Begins the next step."""
        self._step += 1
        elapsed = time.monotonic() - self._begun
        print(f"{self._step}/{self.steps}  {self._choose(zh, en)}  [{elapsed:.1f} s]", flush=True)

    def say(self, zh: str, en: str) -> None:
        """Tells one thing of the present step."""
        print(f"     {self._choose(zh, en)}", flush=True)

    def _choose(self, zh: str, en: str) -> str:
        return zh if self.language == "zh" else en


def yuan(fen: int) -> str:
    """Spells an amount: 50000 gives `500.00`."""
    return f"{fen // 100}.{fen % 100:02d}"
