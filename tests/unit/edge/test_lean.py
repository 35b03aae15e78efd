"""Claims about lean imports: what is heavy stays out, what was there stays there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from edge.lean import without

GATEWAY = """import vehicle_gateway.__main__
from vehicle_gateway.decode import Decoder
from vehicle_gateway.profile import load_profile
Decoder(load_profile())"""
ROOT = Path(__file__).resolve().parents[3]


def test_a_hidden_module_is_not_to_be_had_and_afterwards_it_is() -> None:
    sys.modules.pop("colorsys", None)
    with without("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys").rgb_to_hsv


def test_a_module_that_is_loaded_is_left_alone() -> None:
    colorsys = importlib.import_module("colorsys")
    with without("colorsys"):
        assert importlib.import_module("colorsys") is colorsys
    assert sys.modules["colorsys"] is colorsys


def test_an_error_in_the_block_leaves_nothing_hidden() -> None:
    sys.modules.pop("colorsys", None)
    with pytest.raises(KeyError), without("colorsys"):
        raise KeyError
    assert importlib.import_module("colorsys").rgb_to_hsv


@pytest.mark.parametrize(
    "what",
    ["import edge.store", GATEWAY],
)
def test_stores_and_the_gateway_start_without_the_heavy_ones(what: str) -> None:
    code = f"{what}\nimport sys\nprint({{'pandas', 'numpy', 'asammdf'}} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "set()"
