"""Tests that what a person can type, set or receive is written down, and that the pages hold.

Place in the flow: `dev.py lint` and `dev.py test` run it over pages and code.

* Commands and options come from the parsers themselves: each `__main__.py` has `build_parser()`.
* Settings come from the msgspec structs called `...Config`; messages from the `type` they carry.
* A page counts as documentation of a word where the word stands in code markup.
* Each rule is also run on a planted gap, so that it is known to find one.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import importlib
import re
import typing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

import dev

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("edge", "hardware", "vehicle_gateway", "kiosk_app", "backend_sync")
README, README_ZH = ROOT / "README.md", ROOT / "README.zh-CN.md"
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)
EVERYWHERE = {"--help", "--version"}


# ---------------------------------------------------------------- pages
def pages(root: Path = ROOT) -> list[Path]:
    """Every Markdown page of the repository."""
    folders = ("docs", *PACKAGES)
    return [
        *root.glob("*.md"),
        *(p for name in folders for p in sorted((root / name).rglob("*.md"))),
    ]


def code_markup(text: str) -> str:
    """What stands in code spans and fenced blocks."""
    return "\n".join(CODE.findall(text))


def documented_words() -> str:
    """The code markup of everything that explains: README files, how-to pages, reference."""
    return "\n".join(code_markup(page.read_text(encoding="utf-8")) for page in pages())


def absent(words: Iterable[str], markup: str) -> list[str]:
    """Words that do not stand alone anywhere in the markup."""
    return [w for w in words if not re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", markup)]


# ---------------------------------------------------------------- commands
def console_scripts() -> dict[str, str]:
    """Console script → `module:function`, from setup.cfg."""
    settings = configparser.ConfigParser(delimiters=("=",))
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = settings["options.entry_points"]["console_scripts"].strip().splitlines()
    return {
        name.strip(): target.strip() for name, _, target in (line.partition("=") for line in lines)
    }


def entry_points() -> list[str]:
    """The dotted names of every `__main__.py`."""
    found = (path for name in PACKAGES for path in sorted((ROOT / name).rglob("__main__.py")))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]


def words_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yields every verb and every long option of a parser and of the parsers below it."""
    for action in parser._actions:
        yield from (word for word in action.option_strings if word.startswith("--"))
        if isinstance(action, argparse._SubParsersAction):
            for verb, below in action.choices.items():
                yield verb
                yield from words_of(below)


def test_every_program_has_its_command() -> None:
    targets = {target.partition(":")[0] for target in console_scripts().values()}
    assert targets == set(entry_points())


@pytest.mark.parametrize("script", console_scripts())
def test_a_command_explains_itself(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, _, function = console_scripts()[script].partition(":")
    main: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    assert script in capsys.readouterr().out


@pytest.mark.parametrize("module", entry_points())
def test_every_verb_and_option_is_documented(module: str) -> None:
    parser: argparse.ArgumentParser = importlib.import_module(module).build_parser()
    words = set(words_of(parser)) - EVERYWHERE
    assert not absent(sorted(words), documented_words())


def test_every_verb_of_dev_is_documented() -> None:
    markup = documented_words()
    assert not [verb for verb in dev.VERBS if f"dev.py {verb.__name__}" not in markup]


# ---------------------------------------------------------------- settings
def config_structs() -> Iterator[tuple[str, type[msgspec.Struct]]]:
    """Yields (dotted name, struct) of every configuration file that a program reads."""
    for path in (path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
                module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                found = getattr(importlib.import_module(module), node.name)
                if issubclass(found, msgspec.Struct):
                    yield f"{module}.{node.name}", found


def settings_of(struct: type[msgspec.Struct]) -> Iterator[str]:
    """Yields every key of a struct and of the structs inside it."""
    for field in msgspec.structs.fields(struct):
        yield field.encode_name
        for inner in (field.type, *typing.get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from settings_of(inner)


def test_every_setting_is_documented() -> None:
    markup = documented_words()
    gaps = {name: absent(sorted(set(settings_of(it))), markup) for name, it in config_structs()}
    assert gaps, "no configuration was found, so nothing was checked"
    assert not {name: missing for name, missing in gaps.items() if missing}


# ---------------------------------------------------------------- messages
def message_types(tree: ast.Module) -> Iterator[str]:
    """Yields the values of `type` that a module writes into a message or compares one with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (_text(value) for key, value in pairs if key and _text(key) == "type")
        elif isinstance(node, ast.Compare) and _reads_type(node.left):
            yield from (_text(inner) for side in node.comparators for inner in ast.walk(side))


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _reads_type(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "type"
    return isinstance(node, ast.Subscript) and _text(node.slice) == "type"


def test_every_message_is_documented() -> None:
    paths = (path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py")))
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in paths)
    types = {word for tree in trees for word in message_types(tree) if word}
    assert not absent(sorted(types), documented_words())


# ---------------------------------------------------------------- links
def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as code hosts make them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root: Path) -> Iterator[str]:
    """Yields links between pages that lead nowhere."""
    for page in pages(root):
        for link in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
            target, _, anchor = link.partition("#")
            if ":" in target:
                continue
            aim = (page.parent / target).resolve() if target else page
            if not aim.exists() or (anchor and anchor not in anchors(aim)):
                yield f"{page.relative_to(root)} → {link}"


def test_links_between_pages_lead_somewhere() -> None:
    assert not list(broken_links(ROOT))


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / link).resolve() for link in LINK.findall(index)}
    listed = {*(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "README.md"}
    assert not sorted(page.relative_to(ROOT).as_posix() for page in listed - linked)


def shell_commands(page: Path) -> list[str]:
    """The commands of a page's fenced blocks: lines that start with `$` or a program of ours."""
    blocks = re.findall(r"^```.*?^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = (
        line.removeprefix("$ ").split("  #")[0].strip() for b in blocks for line in b.splitlines()
    )
    return [line for line in lines if line.startswith("python3 dev.py")]


def test_both_readmes_give_the_same_commands() -> None:
    assert shell_commands(README)
    assert shell_commands(README) == shell_commands(README_ZH)


# ---------------------------------------------------------------- the map
def missing_rooms(markup: str) -> list[str]:
    """Files and folders that a page names in code spans and that are nowhere in the tree."""
    named = re.findall(r"`([\w./-]+(?:\.(?:py|toml|json|sql|md)|/))`", markup)
    return [word for word in named if not _stands(word.strip("/"))]


def _stands(name: str) -> bool:
    if (ROOT / name).exists():
        return True
    return any(path for room in (*PACKAGES, "tests") for path in (ROOT / room).rglob(name))


def test_the_map_names_rooms_that_are_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert len(re.findall(r"`[\w./-]+\.py`", text)) > 30
    assert not missing_rooms(text)


def test_a_room_that_is_gone_is_noticed() -> None:
    text = "see `edge/gone.py`, `tests/nowhere/` and `edge/codec.py`, `ledger.py`"
    assert missing_rooms(text) == ["edge/gone.py", "tests/nowhere/"]


# ---------------------------------------------------------------- planted gaps
def test_a_missing_option_is_noticed() -> None:
    parser = argparse.ArgumentParser()
    parser.add_subparsers().add_parser("replay").add_argument("--json-lines")
    words = set(words_of(parser)) - EVERYWHERE
    assert absent(sorted(words), code_markup("`replay --json`, and --json-lines unmarked")) == [
        "--json-lines"
    ]


def test_a_missing_setting_is_noticed() -> None:
    inner = msgspec.defstruct("Inner", [("port", int)])
    outer = msgspec.defstruct("OuterConfig", [("broker", inner | None)])
    assert absent(settings_of(outer), code_markup("`[broker]`")) == ["port"]


def test_message_types_are_found_where_they_are_written_and_where_they_are_read() -> None:
    code = 'm = {"type": "stored"}\nif m["type"] in ("gap",) or n.type == "fork": pass'
    assert set(message_types(ast.parse(code))) - {""} == {"stored", "gap", "fork"}


def test_a_dead_link_and_a_dead_anchor_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "A.md").write_text("# One two\n[x](#one-two) [y](#three) [z](gone.md) `[c](d)`\n")
    assert list(broken_links(tmp_path)) == ["A.md → #three", "A.md → gone.md"]
