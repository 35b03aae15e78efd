"""Power cuts in the middle of everything: the final figures are those of an undisturbed run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.config import read_toml, write_config
from tests.story import drive
from tests.story.clerk import clerk_of
from tests.story.play import CONTACT
from tests.story.town import AGENT, KIOSK
from tests.story.wreck import (
    entries_uploaded,
    frames_sealed,
    kill_between,
    kill_core,
    messages_settled,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from tests.story.town import Town

pytestmark = pytest.mark.slow

SIM = drive.Source(sim_s=600)
WITHDRAWALS, FEN, COPIES = 8, 5_000, 12_000


def test_a_drive_that_box_core_and_database_did_not_survive_is_graded_the_same(
    town: Town, undisturbed: Mapping[str, Any]
) -> None:
    frames = undisturbed["frames"]
    drive.give_consent(town)
    drive.start_drive(town, SIM)
    kill_between(town, "gateway", frames_sealed, frames // 5, frames)
    first = frames_sealed(town)

    drive.start_drive(town, SIM)
    already = messages_settled(town)
    town.world.wait_until("the core ingests", lambda: messages_settled(town) > already)
    kill_core(town)
    kill_between(town, "gateway", frames_sealed, min(first + 1, frames), frames + 1)

    town.start_core()
    drive.start_drive(town, SIM)
    gateway = drive.end_drive(town)
    telemetry = drive.await_lake(town)
    grade = drive.grade_driver(town)

    for name in ("frames", "samples", "events"):
        assert gateway[name] == telemetry[name] == undisturbed[name]
    assert (grade["grade"], grade["score"]) == (undisturbed["grade"], undisturbed["score"])
    assert (telemetry["lost"], telemetry["double"], telemetry["waiting"]) == (0, 0, 0)
    assert (telemetry["rejected"], telemetry["quarantined"]) == ({}, 0)
    assert telemetry["lake_agrees"]
    assert telemetry["epochs"] == telemetry["epochs_verified"] == 3


def test_a_journal_that_agent_core_and_database_did_not_survive_is_posted_once(
    town: Town,
) -> None:
    town.world.call(AGENT, "run", "--once", "--config", str(town.agent_config))
    with clerk_of(town) as clerk:
        for _ in range(WITHDRAWALS):
            clerk.withdraw(FEN)
        clerk.copy_receipts(COPIES)
    entries = WITHDRAWALS + COPIES
    settings = read_toml(town.agent_config)
    write_config(town.agent_config, {**settings, "contact": CONTACT})

    town.world.start("agent", AGENT, "run", "--config", str(town.agent_config))
    kill_between(town, "agent", entries_uploaded, 1, entries)
    town.world.start("agent", AGENT, "run", "--config", str(town.agent_config))
    before = entries_uploaded(town)
    town.world.wait_until("the agent goes on", lambda: entries_uploaded(town) > before)
    kill_core(town)
    assert entries_uploaded(town) < entries, "the core was killed after the upload, not during it"
    town.start_core()
    town.world.wait_until("all is uploaded", lambda: entries_uploaded(town) == entries, 60)
    town.world.wait_until(
        "all is posted", lambda: not town.report()["core"]["waiting"] and town.world.alive("agent")
    )

    books = town.report()["core"]
    paid = WITHDRAWALS * FEN
    assert (books["entries"], books["posted"], books["suspense"]) == (entries, entries, 0)
    assert (books["lost"], books["double"], books["ledger_sum_fen"]) == (0, 0, 0)
    assert books["cash_fen"] == {KIOSK: 500_000 - paid}
    assert books["paid_out_fen"] == {KIOSK: paid}
    assert (books["exceptions"], books["quarantined"]) == ({}, [])
    assert books["sound"]
