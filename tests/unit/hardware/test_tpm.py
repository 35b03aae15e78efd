"""Claims about the door to the TPM: one machine opens what it sealed; every trouble is ours."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge.codec import encode
from edge.errors import DeviceFault, LocalError, PeerError
from hardware.drivers.tpm import Tpm
from tests.unit.hardware.soft_tpm import needs_tpm, soft_tpm

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = bytes(range(32))
INDEX = 0x0180_1000


@needs_tpm
def test_a_secret_opens_again_and_again_and_after_a_power_cut(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        sealed = Tpm(tcti).seal(SECRET)
        assert SECRET not in sealed
        # More often than the TPM has room for objects and sessions: each is let go.
        assert [Tpm(tcti).unseal(sealed) for _ in range(5)] == [SECRET] * 5
    with soft_tpm(tmp_path / "tpm") as tcti:
        assert Tpm(tcti).unseal(sealed) == SECRET


@needs_tpm
def test_another_tpm_does_not_open_it(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "one") as tcti:
        sealed = Tpm(tcti).seal(SECRET)
    with soft_tpm(tmp_path / "two") as tcti, pytest.raises(DeviceFault) as fault:
        Tpm(tcti).unseal(sealed)
    assert fault.value.code == "tpm"


@needs_tpm
def test_a_secret_changed_by_one_bit_does_not_open(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        sealed = bytearray(Tpm(tcti).seal(SECRET))
        for at in range(6, len(sealed), 7):
            changed = bytearray(sealed)
            changed[at] ^= 0x40
            with pytest.raises((DeviceFault, PeerError)):
                Tpm(tcti).unseal(bytes(changed))
        assert Tpm(tcti).unseal(bytes(sealed)) == SECRET


@needs_tpm
@pytest.mark.parametrize(
    "sealed",
    [b"", b"\xff", encode(7), encode([2, b"", b""]), encode([1, b""]), encode([1, "", b""])],
)
def test_what_no_tpm_sealed_is_refused_before_one_is_asked(sealed: bytes) -> None:
    with pytest.raises(PeerError) as refusal:
        Tpm("device:/nowhere").unseal(sealed)
    assert refusal.value.code == "tpm-sealed"


@needs_tpm
@pytest.mark.parametrize("halves", [[b"", b""], [b"\x00", b"\x00"], [b"\xff" * 9, b"\xff" * 9]])
def test_halves_that_are_none_are_refused(halves: list[bytes], tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti, pytest.raises((PeerError, DeviceFault)):
        Tpm(tcti).unseal(encode([1, *halves]))


@needs_tpm
@pytest.mark.parametrize("tcti", ["device:/dev/no-tpm", "swtpm:path=/nowhere/s", "bogus", ""])
def test_a_tpm_that_is_not_there_is_a_fault_with_a_hint(tcti: str) -> None:
    tpm = Tpm(tcti)
    acts: list[Callable[[], object]] = [
        lambda: tpm.seal(SECRET),
        lambda: tpm.read_counter(INDEX),
        lambda: tpm.define_counter(INDEX),
        lambda: tpm.increment_counter(INDEX, 1),
    ]
    for act in acts:
        with pytest.raises(DeviceFault, match="firmware") as fault:
            act()
        assert fault.value.code == "tpm"


@needs_tpm
def test_an_index_that_cannot_be_a_counter_is_a_fault(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        for index in (0, 7, 0x8100_0001):
            with pytest.raises(DeviceFault):
                Tpm(tcti).define_counter(index)


def define_area(tcti: str, attributes: int) -> None:
    import tpm2_pytss as tss

    area = tss.TPMS_NV_PUBLIC(
        nvIndex=INDEX,
        nameAlg=tss.TPM2_ALG.SHA256,
        attributes=attributes,
        authPolicy=b"",
        dataSize=8,
    )
    with tss.ESAPI(tcti) as esapi:
        esapi.nv_define_space(b"", tss.TPM2B_NV_PUBLIC(nvPublic=area))


@needs_tpm
def test_an_area_that_can_be_set_at_will_is_not_taken_for_a_counter(tmp_path: Path) -> None:
    from tpm2_pytss import TPMA_NV

    with soft_tpm(tmp_path / "tpm") as tcti:
        define_area(tcti, TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE | TPMA_NV.NO_DA)
        tpm = Tpm(tcti)
        acts: list[Callable[[], object]] = [
            lambda: tpm.read_counter(INDEX),
            lambda: tpm.define_counter(INDEX),
            lambda: tpm.increment_counter(INDEX, 1),
        ]
        for act in acts:
            with pytest.raises(DeviceFault) as fault:
                act()
            assert fault.value.code == "counter-other"


@needs_tpm
def test_a_counter_that_may_not_be_read_is_a_fault(tmp_path: Path) -> None:
    from tpm2_pytss import TPM2_NT, TPMA_NV

    with soft_tpm(tmp_path / "tpm") as tcti:
        counts = TPM2_NT.COUNTER << TPMA_NV.TPM2_NT_SHIFT
        define_area(tcti, TPMA_NV.OWNERREAD | TPMA_NV.AUTHWRITE | TPMA_NV.NO_DA | counts)
        with pytest.raises(DeviceFault) as fault:
            Tpm(tcti).read_counter(INDEX)
        assert fault.value.code == "tpm"


UNREACHABLE = """
import sys
from edge.errors import DeviceFault
from hardware.drivers.tpm import Tpm
try:
    Tpm(sys.argv[1]).read_counter(1)
except DeviceFault:
    sys.exit(7)
"""


@needs_tpm
def test_the_library_prints_nothing_of_its_own(tmp_path: Path) -> None:
    # In a process of its own: the library asks only once how loud it may be.
    tcti = f"swtpm:path={tmp_path}/nobody"
    done = subprocess.run(
        [sys.executable, "-c", UNREACHABLE, tcti], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


def test_without_the_library_the_technician_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tpm2_pytss", None)
    with pytest.raises(LocalError, match="lastmile") as refusal:
        Tpm("device:/dev/tpmrm0").read_counter(INDEX)
    assert refusal.value.code == "tpm-library"
