"""Claims about the verb that writes evidence: the present journal, one new file, or a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.errors import DeviceFault, LocalError
from edge.evidence import open_bundle
from edge.keys import verifier
from edge.purposes import JOURNAL_KEY
from kiosk_app.evidence import write_evidence
from tests.unit.kiosk_app.village import KIOSK, village_key

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.kiosk_app.village import Village


def write(village: Village, entries: tuple[int, int, int], out: Path) -> str:
    key = village_key(village.folder, JOURNAL_KEY)
    return write_evidence(village.folder / "data" / "journal.db", key, village.kiosk, entries, out)


@pytest.mark.parametrize("epoch", [0, 1])
def test_evidence_is_written_while_the_counter_is_open(village: Village, epoch: int) -> None:
    village.withdraw(20_000)
    last, out = village.journal.head().seq, village.folder / "proof.cose"
    said = write(village, (epoch, 1, last), out)
    assert said == f"{out} proves entries 1/1 to 1/{last} of {KIOSK}."
    evidence = open_bundle(out.read_bytes(), verifier(village.kiosk.public_bytes), KIOSK)
    assert list(evidence.entries) == village.entries()


def test_a_file_that_is_there_is_not_written_over(village: Village) -> None:
    village.withdraw(20_000)
    out = village.folder / "proof.cose"
    out.write_bytes(b"kept")
    with pytest.raises(LocalError, match="exists already"):
        write(village, (0, 1, 1), out)
    assert out.read_bytes() == b"kept"


def test_a_folder_that_is_not_there_is_named(village: Village) -> None:
    village.withdraw(20_000)
    with pytest.raises(DeviceFault, match="nowhere"):
        write(village, (0, 1, 1), village.folder / "nowhere" / "proof.cose")


def test_what_the_journal_does_not_hold_leaves_no_file(village: Village) -> None:
    out = village.folder / "proof.cose"
    with pytest.raises(LocalError, match="does not hold"):
        write(village, (0, 1, 99), out)
    assert not out.exists()
