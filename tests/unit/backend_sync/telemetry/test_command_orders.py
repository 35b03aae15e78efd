"""Claims about the verbs that order boxes: what they refuse before anything is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backend_sync.telemetry.command_orders import read_campaign
from edge.errors import LocalError
from edge.orders import CAMPAIGN_BYTES_MAX

if TYPE_CHECKING:
    from pathlib import Path


def test_a_campaign_is_named_by_its_id_and_version(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"id": "brakes", "version": 3}')
    assert read_campaign(path) == (path.read_bytes(), "brakes 3")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"id": 5}',
        b"\xff",
        b"[" * 50_000,
        b" " * CAMPAIGN_BYTES_MAX + b"{}",
    ],
)
def test_what_is_no_campaign_is_not_sent(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(LocalError) as refused:
        read_campaign(path)
    assert refused.value.code == "campaign-file"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"none\.json"):
        read_campaign(tmp_path / "none.json")
