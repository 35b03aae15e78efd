"""Tests of door.toml: two terminals are never one, and a wrong number ends the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.config import load_config
from edge.errors import LocalError
from vehicle_gateway.door_config import DoorConfig

if TYPE_CHECKING:
    from pathlib import Path

HEAD = '[door]\ndata_dir = "data"\n'


def rows(*pairs: tuple[str, str]) -> str:
    return "".join(f'[[terminal]]\nphone = "{p}"\nfolder = "{f}"\n' for p, f in pairs)


def config(folder: Path, text: str) -> DoorConfig:
    path = folder / "door.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    return load_config(path, DoorConfig)


def test_phones_are_known_without_the_zeros_that_fill_them_up(tmp_path: Path) -> None:
    read = config(tmp_path, rows(("013800138000", "terminals/bus-1")))
    assert read.by_phone() == {"13800138000": tmp_path / "terminals" / "bus-1"}
    assert (read.listen.host, read.listen.port) == ("127.0.0.1", 7_808)


@pytest.mark.parametrize(
    "pairs",
    [(("0138", "a"), ("138", "b")), (("138", "a"), ("139", "a"))],
)
def test_two_terminals_never_share_phone_or_folder(
    tmp_path: Path, pairs: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(LocalError) as refused:
        config(tmp_path, rows(*pairs)).by_phone()
    assert refused.value.code == "door-terminals"


def test_a_phone_is_digits(tmp_path: Path) -> None:
    with pytest.raises(LocalError) as refused:
        config(tmp_path, rows(("+86138", "a")))
    assert refused.value.code == "config-key"
