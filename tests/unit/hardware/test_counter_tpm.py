"""Claims about the counter in a TPM: it outlives power and deletion, and leaps only so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault
from hardware.drivers.counter_tpm import LEAP_MAX, TpmCounter
from hardware.drivers.tpm import Tpm
from tests.unit.hardware.soft_tpm import needs_tpm, soft_tpm

if TYPE_CHECKING:
    from pathlib import Path

INDEX = 0x0180_1000

pytestmark = needs_tpm


def test_it_keeps_its_value_through_a_power_cut(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        counter = TpmCounter(Tpm(tcti), INDEX)
        counter.create()
        counter.advance_to(counter.read() + 5)
        value = counter.read()
    with soft_tpm(tmp_path / "tpm") as tcti:
        counter = TpmCounter(Tpm(tcti), INDEX)
        assert counter.read() == value
        counter.advance_to(value + 1)
        assert counter.read() == value + 1


def test_a_counter_that_was_deleted_comes_back_above_where_it_was(tmp_path: Path) -> None:
    import tpm2_pytss as tss

    with soft_tpm(tmp_path / "tpm") as tcti:
        counter = TpmCounter(Tpm(tcti), INDEX)
        counter.create()
        counter.advance_to(counter.read() + 9)
        value = counter.read()
        with tss.ESAPI(tcti) as esapi:
            esapi.nv_undefine_space(esapi.tr_from_tpmpublic(INDEX))
        with pytest.raises(DeviceFault) as fault:
            counter.read()
        assert fault.value.code == "counter-missing"
        counter.create()
        assert counter.read() > value


def test_a_counter_that_was_defined_and_never_written_is_finished(tmp_path: Path) -> None:
    import tpm2_pytss as tss

    from hardware.drivers import tpm

    with soft_tpm(tmp_path / "tpm") as tcti:
        with tss.ESAPI(tcti) as esapi:
            esapi.nv_define_space(b"", tpm._counter_area(tss, INDEX))
        counter = TpmCounter(Tpm(tcti), INDEX)
        with pytest.raises(DeviceFault):
            counter.read()
        counter.create()
        assert counter.read() >= 1


def test_a_leap_is_bounded_and_a_refused_one_changes_nothing(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        counter = TpmCounter(Tpm(tcti), INDEX)
        counter.create()
        value = counter.read()
        with pytest.raises(DeviceFault) as fault:
            counter.advance_to(value + LEAP_MAX + 1)
        assert fault.value.code == "counter-behind"
        assert counter.read() == value
