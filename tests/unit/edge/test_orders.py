"""Claims about orders as both ends spell them."""

from __future__ import annotations

from edge.orders import VERBS, arguments_fit


def test_no_verb_moves_a_vehicle_or_clears_a_fault() -> None:
    assert set(VERBS) == {
        "report-status", "resend-health", "read-dtc", "snapshot", "reboot-program",
    }  # fmt: skip


def test_a_verb_takes_exactly_its_arguments() -> None:
    assert arguments_fit("snapshot", {"seconds": 60})
    assert arguments_fit("read-dtc", {})
    for wrong in ({}, {"seconds": 0}, {"seconds": 61}, {"seconds": True}, {"seconds": 5, "x": 1}):
        assert not arguments_fit("snapshot", wrong)
