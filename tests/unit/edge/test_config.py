"""Claims about configuration files: what is wrong is refused in one sentence that names it."""

from __future__ import annotations

import tomllib
import typing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.config import FILE_BYTES_MAX, convert, load_config, read_toml, write_config
from edge.errors import DeviceFault, LocalError
from tests.test_docs import config_structs

if TYPE_CHECKING:
    from collections.abc import Mapping


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table."""

    port: int = 8883
    ca: Path | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file."""

    device: str
    data_dir: Path
    broker: Inner = Inner()
    files: tuple[Path, ...] = ()


GOOD = 'device = "box-1"\ndata_dir = "data"\n'


def loaded(text: str, folder: Path) -> Settings:
    (folder / "a.toml").write_text(text, encoding="utf-8")
    return load_config(folder / "a.toml", Settings)


def test_a_relative_path_is_relative_to_the_file(tmp_path: Path) -> None:
    text = GOOD + 'files = ["x", "/abs"]\n[broker]\nca = "../ca.pem"\n'
    settings = loaded(text, tmp_path)
    assert settings.data_dir == tmp_path / "data"
    assert settings.files == (tmp_path / "x", Path("/abs"))
    assert settings.broker.ca == tmp_path / "../ca.pem"


def test_a_path_is_absolute_wherever_the_program_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(GOOD, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("a.toml"), Settings).data_dir == tmp_path / "data"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    assert loaded(GOOD, tmp_path).broker == Inner()


WRONG: Mapping[str, tuple[str, str, str]] = {
    "an unknown key": (GOOD + "bytes_maxx = 5", "config-key", "bytes_maxx"),
    "an unknown key in a table": (GOOD + "[broker]\nprot = 1", "config-key", "prot"),
    "a missing key": ('device = "a"', "config-key", "data_dir"),
    "a number for a text": ('device = 5\ndata_dir = "d"', "config-key", "device"),
    "a number for a path": ('device = "a"\ndata_dir = 5', "config-key", "data_dir"),
    "a text for a number": (GOOD + '[broker]\nport = "8883"', "config-key", "port"),
    "no TOML": ("device = ", "config-toml", "not TOML"),
    "a key twice": (GOOD + 'device = "b"', "config-toml", "overwrite"),
}


@pytest.mark.parametrize("claim", WRONG)
def test_a_file_may_not_have(claim: str, tmp_path: Path) -> None:
    text, code, named = WRONG[claim]
    with pytest.raises(LocalError) as refusal:
        loaded(text, tmp_path)
    assert refusal.value.code == code
    assert str(tmp_path / "a.toml") in str(refusal.value)
    assert named in str(refusal.value)


def test_bytes_that_are_no_text_are_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(LocalError) as refusal:
        read_toml(tmp_path / "a.toml")
    assert refusal.value.code == "config-toml"


def test_a_file_too_large_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"#" * (FILE_BYTES_MAX + 1))
    with pytest.raises(LocalError) as refusal:
        read_toml(tmp_path / "a.toml")
    assert refusal.value.code == "config-size"


def test_a_file_that_is_absent_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="--config") as refusal:
        load_config(tmp_path / "absent.toml", Settings)
    assert refusal.value.code == "config-missing"


def test_a_struct_of_ours_with_a_type_that_toml_cannot_hold_is_our_mistake(tmp_path: Path) -> None:
    class Odd(msgspec.Struct):
        value: complex

    with pytest.raises(NotImplementedError):
        convert({"value": "1"}, Odd, tmp_path / "a.toml")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.toml"
    values = {"device": "盒-1", "data_dir": "data", "broker": {"port": 1}}
    write_config(path, values)
    write_config(path, values)
    assert tomllib.loads(path.read_text(encoding="utf-8")) == values
    assert load_config(path, Settings).broker.port == 1
    assert [each.name for each in path.parent.iterdir()] == ["a.toml"]


def test_a_place_that_cannot_be_written_is_a_fault_of_the_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceFault) as fault:
        write_config(tmp_path / "file" / "a.toml", {})
    assert fault.value.code == "config-write"


@pytest.mark.parametrize("name", dict(config_structs()))
def test_the_settings_of_every_program_refuse_an_unknown_key(name: str, tmp_path: Path) -> None:
    struct = dict(config_structs())[name]
    with pytest.raises(LocalError) as refusal:
        convert({"no_such_key": 1}, struct, tmp_path / "a.toml")
    assert refusal.value.code == "config-key"
    for table in struct.__struct_fields__:
        with pytest.raises(LocalError):
            convert({table: {"no_such_key": 1}}, struct, tmp_path / "a.toml")
    assert all(each.__struct_config__.forbid_unknown_fields for each in nested(struct))


def nested(struct: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """The struct and every table below it."""
    hints = typing.get_type_hints(struct).values()
    tables = [each for hint in hints for each in (hint, *typing.get_args(hint))]
    below = [each for each in tables if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    return [struct, *(deeper for each in below for deeper in nested(each))]
