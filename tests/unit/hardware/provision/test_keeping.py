"""Claims about a kiosk's vault and counter: made once, kept, and never made anew unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.config import CounterSection, VaultSection, convert, write_config
from edge.errors import DeviceFault, LastmileError, LocalError
from edge.purposes import JOURNAL_KEY
from hardware.drivers.clock import SystemRandomness
from hardware.drivers.vault import choose_counter, choose_vault
from hardware.provision import keeping
from hardware.provision.keeping import NOTHING, Wishes, judge_counter, judge_keys, keep
from hardware.provision.request import Order, Site, prepare
from tests.unit.hardware.provision.bank import SetClock
from tests.unit.hardware.soft_tpm import needs_tpm, soft_tpm

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

RANDOMNESS = SystemRandomness()


def install(folder: Path, wishes: Wishes = NOTHING) -> dict[str, dict[str, Any]]:
    """Keeps, and writes what is kept, as an installation does."""
    kept = keep(folder, wishes, RANDOMNESS)
    write_config(folder / "kiosk.toml", kept)
    return kept


def key(folder: Path, kept: dict[str, dict[str, Any]]) -> bytes:
    section = convert(kept["vault"], VaultSection, folder / "kiosk.toml")
    return choose_vault(section, RANDOMNESS).key(JOURNAL_KEY)


def raise_counter(folder: Path, kept: dict[str, dict[str, Any]], by: int) -> None:
    counter = choose_counter(convert(kept["counter"], CounterSection, folder / "kiosk.toml"))
    assert counter is not None
    counter.advance_to(counter.read() + by)


def refusal(folder: Path, wishes: Wishes = NOTHING) -> LastmileError:
    with pytest.raises(LastmileError) as refused:
        keep(folder, wishes, RANDOMNESS)
    return refused.value


def test_a_desk_gets_files_and_is_told_what_they_are_worth(tmp_path: Path) -> None:
    assert judge_keys(tmp_path, RANDOMNESS) == (True, "none yet; a kiosk gets them at install")
    assert judge_counter(tmp_path) == (True, "none yet; a kiosk gets one at install")
    kept = install(tmp_path)
    assert (kept["vault"]["kind"], kept["counter"]["kind"]) == ("file", "file")
    assert (tmp_path / "keys" / "vault.key").stat().st_mode & 0o077 == 0
    assert "who takes the whole machine can read" in judge_keys(tmp_path, RANDOMNESS)[1]
    assert "witnesses nothing" in judge_counter(tmp_path)[1]


def test_installing_again_keeps_keys_and_count(tmp_path: Path) -> None:
    kept = install(tmp_path)
    before = key(tmp_path, kept)
    raise_counter(tmp_path, kept, 7)
    assert install(tmp_path) == kept
    assert key(tmp_path, kept) == before
    assert "at 7" in judge_counter(tmp_path)[1]


def test_a_cut_before_the_settings_were_written_keeps_what_was_made(tmp_path: Path) -> None:
    first = keep(tmp_path, NOTHING, RANDOMNESS)
    before = key(tmp_path, first)
    assert key(tmp_path, install(tmp_path)) == before


def test_a_vault_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "keys" / "vault.key").unlink()
    assert refusal(tmp_path).code == "vault-missing"
    assert not (tmp_path / "keys" / "vault.key").exists()


def test_a_counter_that_is_gone_is_not_made_anew_unless_a_person_names_one(tmp_path: Path) -> None:
    card = tmp_path / "card"
    card.mkdir()
    named = Wishes(counter_file=str(card / "counter"))
    raise_counter(tmp_path, install(tmp_path, named), 3)
    (card / "counter").unlink()
    assert refusal(tmp_path).code == "counter-missing"
    with pytest.raises(DeviceFault):
        judge_counter(tmp_path)
    install(tmp_path, named)
    assert "at 0" in judge_counter(tmp_path)[1]


def test_a_card_that_is_not_in_stops_the_installation(tmp_path: Path) -> None:
    error = refusal(tmp_path, Wishes(counter_file=str(tmp_path / "no-card" / "counter")))
    assert error.code == "counter-write"


def test_a_counter_on_another_medium_is_told_apart(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from pathlib import Path as Real

    other = Real("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    name = other / f"lastmile-{tmp_path_factory.getbasetemp().name}-{tmp_path.name}"
    try:
        install(tmp_path, Wishes(counter_file=str(name)))
        assert judge_counter(tmp_path) == (True, "at 0 on a second medium")
    finally:
        name.unlink(missing_ok=True)


def test_a_kiosk_may_have_no_counter(tmp_path: Path) -> None:
    write_config(tmp_path / "kiosk.toml", {"counter": {"kind": "none"}})
    kept = install(tmp_path)
    assert kept["counter"] == {"kind": "none"}
    assert "by the core alone" in judge_counter(tmp_path)[1]


def test_a_counter_in_a_file_needs_its_place(tmp_path: Path) -> None:
    write_config(tmp_path / "kiosk.toml", {"counter": {"kind": "file"}})
    assert refusal(tmp_path).code == "config-key"


@needs_tpm
def test_a_tpm_keeps_keys_and_count(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        kept = install(tmp_path, Wishes(tpm=tcti))
        assert (kept["vault"]["kind"], kept["counter"]["kind"]) == ("tpm", "tpm")
        before = key(tmp_path, kept)
        raise_counter(tmp_path, kept, 2)
        assert install(tmp_path) == kept
        assert key(tmp_path, kept) == before
        assert judge_keys(tmp_path, RANDOMNESS) == (True, "sealed to the TPM of this machine")
        assert "in the TPM of this machine" in judge_counter(tmp_path)[1]


@needs_tpm
def test_a_tpm_may_keep_the_keys_and_a_card_the_count(tmp_path: Path) -> None:
    with soft_tpm(tmp_path / "tpm") as tcti:
        kept = install(tmp_path, Wishes(tcti, str(tmp_path / "counter")))
    assert (kept["vault"]["kind"], kept["counter"]["kind"]) == ("tpm", "file")


@needs_tpm
@pytest.mark.parametrize("store", ["data/journal.db", "mirror.db"])
def test_the_vault_of_a_kiosk_that_has_stores_is_not_changed(store: str, tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / store).write_bytes(b"")
    with soft_tpm(tmp_path / "tpm") as tcti:
        assert refusal(tmp_path, Wishes(tpm=tcti)).code == "vault-change"
        (tmp_path / store).unlink()
        install(tmp_path, Wishes(tpm=tcti))


def test_without_sqlcipher_no_kiosk_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "HAS_CIPHER", False)
    assert refusal(tmp_path).code == "kiosk-cipher"
    with pytest.raises(LocalError, match="lastmile"):
        prepare(Site(tmp_path), Order("kiosk-1", "kiosk", "pad-1"), SetClock(), RANDOMNESS)
    assert list(tmp_path.iterdir()) == []
    prepare(Site(tmp_path), Order("box-1", "gateway", ""), SetClock(), RANDOMNESS)
