"""Planted markers: who can read a name, a number, a plate or a driver, and who cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.story import drive
from tests.story.clerk import clerk_of
from tests.story.figures import Surprise
from tests.story.forger import Forger
from tests.story.narrator import Narrator
from tests.story.privacy import check_privacy, markers
from tests.story.town import AGENT
from tests.story.transcript import files_holding

if TYPE_CHECKING:
    from tests.story.town import Town

pytestmark = pytest.mark.slow


def test_no_marker_is_readable_where_it_has_no_business(town: Town) -> None:
    narrator = Narrator("en", 1)
    number = markers(town)["ID number"]
    with town.listen() as transcript:
        drive.give_consent(town)
        drive.start_drive(town, drive.Source(sim_s=120))
        drive.end_drive(town)
        town.world.call(AGENT, "run", "--once", "--config", str(town.agent_config))
        with clerk_of(town) as clerk:
            clerk.withdraw(10_000)
        town.world.call(AGENT, "run", "--once", "--config", str(town.agent_config))
        town.world.stop("core")

        check_privacy(town, transcript, narrator)
        # An ID number is looked up by its HMAC; neither kiosk nor core keeps it.
        assert files_holding(town.kiosk_dir, number) == []
        assert files_holding(town.core_dir, number) == []
        # What the search would miss proves nothing: the name is kept where it must be.
        name = markers(town)["name"]
        assert files_holding(town.core_dir, name)

        with Forger(town) as forger:
            forger.send(b"in the clear: " + markers(town)["plate"])
        town.world.wait_until(
            "the transcript hears the forger", lambda: transcript.holds(markers(town)["plate"])
        )
        with pytest.raises(Surprise, match="plate is in no message"):
            check_privacy(town, transcript, narrator)
