"""Claims about the port `Counter`, held against all three: a TPM, a file, and the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import DeviceFault
from hardware.drivers.counter_file import FileCounter
from hardware.drivers.counter_tpm import LEAP_MAX, TpmCounter
from hardware.drivers.tpm import Tpm
from hardware.sim.counter import SimCounter
from tests.unit.hardware.soft_tpm import needs_tpm, soft_tpm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INDEX = 0x0180_1000
KINDS = [pytest.param("tpm", marks=needs_tpm), "file", "sim"]
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


class Provisioned(Protocol):
    """A counter with the step that only provisioning takes."""

    def create(self) -> None: ...
    def read(self) -> int: ...
    def advance_to(self, value: int) -> None: ...


@pytest.fixture(params=KINDS)
def counter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Provisioned]:
    """A counter that was never created."""
    if request.param == "tpm":
        with soft_tpm(tmp_path / "tpm") as tcti:
            yield TpmCounter(Tpm(tcti), INDEX)
    elif request.param == "file":
        yield FileCounter(tmp_path / "counter")
    else:
        lost = SimCounter()
        lost.fault = "counter-missing"
        yield lost


def test_a_counter_that_was_never_made_is_a_fault_and_not_zero(counter: Provisioned) -> None:
    for act in (counter.read, lambda: counter.advance_to(1)):
        with pytest.raises(DeviceFault) as fault:
            act()
        assert fault.value.code == "counter-missing"


def test_making_a_counter_twice_keeps_its_value(counter: Provisioned) -> None:
    counter.create()
    counter.advance_to(counter.read() + 3)
    value = counter.read()
    counter.create()
    assert counter.read() == value


@settings(max_examples=12, deadline=None, suppress_health_check=SLOW)
@given(steps=st.lists(st.integers(-5, LEAP_MAX), max_size=8))
def test_it_is_the_highest_value_that_it_was_raised_to(
    counter: Provisioned, steps: list[int]
) -> None:
    counter.create()
    expected = counter.read()
    for step in steps:
        counter.advance_to(max(0, expected + step))
        expected = max(expected, expected + step)
        assert counter.read() == expected
    counter.advance_to(0)
    assert counter.read() == expected


def test_a_simulated_counter_fails_as_it_is_told() -> None:
    counter = SimCounter(5)
    counter.stuck = "counter-write"
    counter.advance_to(4)
    with pytest.raises(DeviceFault) as fault:
        counter.advance_to(6)
    assert (fault.value.code, counter.read(), counter.raised) == ("counter-write", 5, 0)
