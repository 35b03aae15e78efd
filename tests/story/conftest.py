"""What the stories of this folder share: a whole town, and the figures of an undisturbed run.

Place in the flow: pytest → **conftest** → stage, town → test_*.py.

* Every town ends with its test, with nothing left behind.
* The undisturbed run is the demonstration itself, on the simulator; it is played once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.story.figures import last_json
from tests.story.stage import Stage
from tests.story.town import Town
from tests.story.world import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO_S_MAX = 150.0


@dataclass(frozen=True, slots=True)
class Performance:
    """A demonstration that was played as a command.

    Attributes:
        leftovers: What was in its folder for temporary files afterwards.
        pictures: Names of what it drew.
    """

    code: int
    said: str
    complained: str
    leftovers: list[str]
    pictures: list[str]

    @property
    def figures(self) -> dict[str, Any]:
        """The last line."""
        return last_json(self.said)


class Demo:
    """Plays the demonstration in a folder for temporary files of its own.

    Args:
        folder: An empty folder; the one within has a name that quoting must survive.
    """

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "t 村"
        self.out = folder / "out"
        self.temporary.mkdir()

    def command(self, *options: str) -> list[str]:
        """Returns the command line."""
        module = [sys.executable, "-P", "-m", "tests.story.demo"]
        return [*module, "--out", str(self.out), *options]

    def environment(self) -> dict[str, str]:
        """Returns its environment: no display, our folder for temporary files."""
        hidden = {"DISPLAY", "WAYLAND_DISPLAY"}
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return {**kept, "PYTHONPATH": str(ROOT), "TMPDIR": str(self.temporary)}

    def play(self, *options: str) -> Performance:
        """Plays it to its end."""
        done = subprocess.run(
            self.command(*options),
            env=self.environment(),
            cwd=self.temporary.parent,
            capture_output=True,
            text=True,
            timeout=DEMO_S_MAX,
            check=False,
        )
        drawn = sorted(path.name for path in self.out.glob("*")) if self.out.is_dir() else []
        return Performance(done.returncode, done.stdout, done.stderr, self.leftovers(), drawn)

    def leftovers(self) -> list[str]:
        """Returns what lies in its folder for temporary files."""
        return sorted(path.name for path in self.temporary.iterdir())


@pytest.fixture
def town() -> Iterator[Town]:
    """A town with core and broker running, a box, a kiosk, and a villager with a lease."""
    with Stage() as stage:
        town = Town(stage.world)
        town.settle("--single-screen")
        yield town


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A demonstration that waits to be played."""
    return Demo(tmp_path_factory.mktemp("d"))


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Performance:
    """The demonstration on the simulated vehicle, played once."""
    return Demo(tmp_path_factory.mktemp("d")).play("--broker", "amqtt", "--language", "en")


@pytest.fixture(scope="session")
def undisturbed(simulated: Performance) -> dict[str, Any]:
    """The figures of a run without any accident."""
    assert simulated.code == 0, simulated.said + simulated.complained
    return simulated.figures
