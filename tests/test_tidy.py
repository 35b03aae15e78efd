"""Tests the repository itself: sizes, layout, dead modules, foreign paths, the MicroPython subset.

Place in the flow: `dev.py lint` and `dev.py test` run it; it imports nothing of ours.

* Every check takes a folder and yields its offences, so each is also run on a planted one below.
* A line of code is one that holds a token other than a comment: no blank lines, no docstrings.
* A function's length is its lines of code from `def` to its end, nested functions included.
* What git ignores is not looked at; the patterns are read from `.gitignore`.
"""

from __future__ import annotations

import ast
import configparser
import fnmatch
import io
import os
import re
import sys
import tokenize
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("edge", "hardware", "vehicle_gateway", "kiosk_app", "backend_sync")
FUNCTION_LINES_MAX = 40
FILE_LINES_MAX = 500
COLUMNS_MAX = 100
ARGUMENTS_MAX = 6
FILE_BYTES_MAX = 1 << 20
# DESIGN: files are named after the flow, so `ls` reads as the flow.
TOP_LEVEL = {
    *(".ci", ".git", ".gitignore", "LICENSE", "README.md", "README.zh-CN.md", "ARCHITECTURE.md"),
    *("CONTRIBUTING.md", "CHANGELOG.md", "dev.py", "setup.cfg", "pyproject.toml", "requirements"),
    *("docs", "tests", *PACKAGES),
}
DRAWERS = {"util", "utils", "common", "helper", "helpers", "misc"}
SIZED = (".py", ".qml", ".sql")
BINARY = {".png"}
MICROPYTHON_FILES = (
    *(f"edge/{name}.py" for name in ("ccm", "chain", "codec", "errors", "inflate", "kdf", "seal")),
    "tests/vectors/portable.py",
)
# `deflate` is MicroPython's own module; a PyPI package of that name is something else.
MICROPYTHON_OWN = {"deflate"}
MICROPYTHON_MODULES = {
    *MICROPYTHON_OWN,
    "__future__",
    "binascii",
    "edge",
    "hashlib",
    "io",
    "struct",
    "zlib",
}
MICROPYTHON_LACKS = {"bit_length", "fromhex", "isascii", "removeprefix", "removesuffix"}
# This file names what it forbids, so the checks of words pass over it.
FORBIDDING = "tests/test_tidy.py"
UNDONE = re.compile(r"\b(?:TODO|FIXME)\b(?!\()")
FOREIGN = {
    "machine path": re.compile(r"(?<![\w.>$}-])/(?:work|root|home/\w+|Users/\w+)/"),
    "registry host": re.compile(r"pypi\.org|pythonhosted|npmjs\.org|--index-url"),
}


# ---------------------------------------------------------------- reading the tree
def _ignored(root: Path) -> list[str]:
    listed = root / ".gitignore"
    patterns = listed.read_text(encoding="utf-8").split() if listed.exists() else []
    return [".git", *(pattern.strip("/") for pattern in patterns)]


def _belongs(name: str, ignored: Iterable[str]) -> bool:
    return not any(fnmatch.fnmatch(name, pattern) for pattern in ignored)


def files(root: Path, *suffixes: str) -> Iterator[Path]:
    """Yields the files that belong to the repository, in order."""
    ignored = _ignored(root)
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _belongs(name, ignored))
        for name in sorted(names):
            if _belongs(name, ignored) and (not suffixes or Path(name).suffix in suffixes):
                yield Path(folder) / name


def texts(root: Path, *suffixes: str) -> Iterator[tuple[str, str]]:
    """Yields (path from the root, text) of every file that is text."""
    for path in files(root, *suffixes):
        if path.suffix not in BINARY:
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def modules(root: Path) -> Iterator[tuple[str, ast.Module, str]]:
    """Yields (path from the root, syntax tree, text) of every Python file."""
    for name, text in texts(root, ".py"):
        yield name, ast.parse(text), text


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.Module) -> Iterator[Function]:
    """Yields every function and method, nested ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Numbers of the lines that hold code."""
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    quiet.add(tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in quiet:
            lines.update(range(token.start[0], token.end[0] + 1))
    documented = (ast.Module, ast.ClassDef, Function)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            string = node.body[0]
            lines.difference_update(range(string.lineno, (string.end_lineno or 0) + 1))
    return lines


# ---------------------------------------------------------------- checks of size and form
def long_functions(root: Path) -> Iterator[str]:
    """Functions of more than 40 lines of code."""
    for name, tree, text in modules(root):
        lines = code_lines(text, tree)
        for node in functions(tree):
            count = sum(node.lineno <= line <= (node.end_lineno or 0) for line in lines)
            if count > FUNCTION_LINES_MAX:
                yield f"{name}:{node.lineno} {node.name} has {count} lines of code"


def long_files(root: Path) -> Iterator[str]:
    """Sources of more than 500 lines, all lines counted."""
    for name, text in texts(root, *SIZED):
        if text.count("\n") > FILE_LINES_MAX:
            yield f"{name} has {text.count(chr(10))} lines"


def long_lines(root: Path) -> Iterator[str]:
    """Lines of more than 100 characters."""
    for name, text in texts(root, *SIZED):
        for number, line in enumerate(text.splitlines(), start=1):
            if len(line) > COLUMNS_MAX:
                yield f"{name}:{number} has {len(line)} columns"


def many_arguments(root: Path) -> Iterator[str]:
    """Functions of more than six arguments; a test's fixtures are not counted."""
    for name, tree, _ in modules(root):
        for node in functions(tree):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = sum(argument.arg not in {"self", "cls"} for argument in given)
            fixtures = name.startswith("tests/") and (
                node.name.startswith("test_") or "fixture" in ast.unparse(node)[:80]
            )
            if count > ARGUMENTS_MAX and not fixtures:
                yield f"{name}:{node.lineno} {node.name} takes {count} arguments"


def undocumented_modules(root: Path) -> Iterator[str]:
    """Modules without a docstring, and parts of a flow that do not say where they stand."""
    for name, tree, _ in modules(root):
        docstring = ast.get_docstring(tree) or ""
        placed = "Place in the flow:" in docstring and "\n* " in docstring
        if not docstring:
            yield f"{name} has no docstring"
        elif name.split("/")[0] in PACKAGES and not name.endswith("__init__.py") and not placed:
            yield f"{name}: the docstring lacks its place in the flow or its invariants as bullets"


# ---------------------------------------------------------------- checks of layout
def stray_entries(root: Path) -> Iterator[str]:
    """What stands at the top and is not part of the layout."""
    ignored = _ignored(root)
    for path in sorted(root.iterdir()):
        if _belongs(path.name, ignored) and path.name not in TOP_LEVEL:
            yield f"{path.name} has no place at the top"


def drawers(root: Path) -> Iterator[str]:
    """Files and folders named after nothing."""
    for path in files(root):
        parts = path.relative_to(root).with_suffix("").parts
        if DRAWERS & {part.lower() for part in parts}:
            yield f"{'/'.join(parts)} is a drawer; name it after what it holds"


def packaged_tests(root: Path) -> Iterator[str]:
    """`__init__.py` below tests/: a test is named by its path alone."""
    for path in files(root / "tests", ".py"):
        if path.name == "__init__.py":
            yield f"{path.relative_to(root)} must go"


def unmirrored_tests(root: Path) -> Iterator[str]:
    """Unit tests of no module: tests/unit/P/test_X.py needs an X.py or X/ at or below P."""
    unit = root / "tests" / "unit"
    for path in files(unit, ".py"):
        if path.name.startswith("test_"):
            subject, folder = path.stem.removeprefix("test_"), root / path.parent.relative_to(unit)
            if not any(found.stem == subject for found in folder.rglob(f"{subject}*")):
                yield f"{path.relative_to(root)}: no {subject} below {folder.relative_to(root)}"


def heavy_files(root: Path) -> Iterator[str]:
    """Files of more than 1 MiB, and binary ones other than pictures."""
    for path in files(root):
        data = path.read_bytes()
        if len(data) > FILE_BYTES_MAX:
            yield f"{path.relative_to(root)} has {len(data)} bytes"
        elif b"\0" in data and path.suffix not in BINARY:
            yield f"{path.relative_to(root)} is binary"


def unpacked_data(root: Path) -> Iterator[str]:
    """Data files in a package that `package_data` of setup.cfg would leave behind."""
    settings = _setup(root)
    taken: set[Path] = set()
    for package in PACKAGES:
        listed = settings.get("options.package_data", package, fallback="")
        for pattern in listed.replace(",", " ").split():
            taken.update((root / package).glob(pattern))
    for path in files(root):
        packed = path.relative_to(root).parts[0] in PACKAGES and path.suffix not in {".py", ".pyi"}
        if packed and path not in taken:
            yield f"{path.relative_to(root)} is in no package_data pattern of setup.cfg"


# ---------------------------------------------------------------- checks of imports
def _setup(root: Path) -> configparser.ConfigParser:
    settings = configparser.ConfigParser(delimiters=("=",))
    settings.read(root / "setup.cfg", encoding="utf-8")
    return settings


def _dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_names(tree: ast.Module) -> set[str]:
    """Dotted names that a module imports; `from a import b` gives both a and a.b."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _strings(tree: ast.Module) -> set[str]:
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in constants if isinstance(node.value, str)}


def dead_modules(root: Path) -> Iterator[str]:
    """Modules that no other module imports or starts by name, and that are no command themselves.

    A module's own unit test does not keep it alive.
    """
    found = {name: (tree, text) for name, tree, text in modules(root)}
    users = {name: imported_names(tree) | _strings(tree) for name, (tree, _) in found.items()}
    for name, (_, text) in found.items():
        stem = Path(name).stem
        if "/" not in name or stem in {"__init__", "__main__", "conftest"}:
            continue
        if stem.startswith("test_") or '__name__ == "__main__"' in text:
            continue
        others = (
            used for user, used in users.items() if user != name and f"test_{stem}.py" not in user
        )
        if not any(_dotted(name) in used for used in others):
            yield f"{name} is imported by nothing but its test"


def undeclared_imports(root: Path) -> Iterator[str]:
    """Third-party imports that setup.cfg does not require."""
    settings = _setup(root)
    required = settings.get("options", "install_requires", fallback="")
    if settings.has_section("options.extras_require"):
        required += "\n".join(value for _, value in settings.items("options.extras_require"))
    declared = {_project(name) for name in re.findall(r"^\s*([\w.-]+)", required, re.MULTILINE)}
    distributions = packages_distributions()
    for name, tree, _ in modules(root):
        for top in sorted({imported.split(".")[0] for imported in imported_names(tree)}):
            if top in sys.stdlib_module_names or top in {
                *PACKAGES,
                "tests",
                "requirements",
                "dev",
                *MICROPYTHON_OWN,
            }:
                continue
            if not declared & {_project(known) for known in distributions.get(top, [top])}:
                yield f"{name} imports {top}, which setup.cfg does not require"


def _project(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def beyond_micropython(root: Path) -> Iterator[str]:
    """What the microcontroller's Python cannot run, in the files that both Pythons share."""
    for name in MICROPYTHON_FILES:
        path = root / name
        if not path.exists():
            continue
        tree = _Running().visit(ast.parse(path.read_text(encoding="utf-8")))
        for imported in sorted({full.split(".")[0] for full in imported_names(tree)}):
            if imported not in MICROPYTHON_MODULES:
                yield f"{name} imports {imported}"
        for node in ast.walk(tree):
            lacking = _lacking(node)
            if lacking:
                yield f"{name}:{getattr(node, 'lineno', 0)} uses {lacking}"


class _Running(ast.NodeTransformer):
    """Leaves out what only a type checker reads: `if TYPE_CHECKING:`, false at run time."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        guard = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if guard else self.generic_visit(node)


def _lacking(node: ast.AST) -> str:
    if isinstance(node, ast.Match | ast.TryStar):
        return type(node).__name__
    if isinstance(node, ast.arguments) and node.posonlyargs:
        return "positional-only arguments"
    if isinstance(node, ast.Attribute) and node.attr in MICROPYTHON_LACKS:
        return node.attr
    if isinstance(node, ast.ClassDef) and node.keywords:
        return "class keywords"
    return ""


# ---------------------------------------------------------------- checks of words
def _prose(root: Path) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in texts(root) if name != FORBIDDING)


def undone_work(root: Path) -> Iterator[str]:
    """Marks of unfinished work without a reason in brackets."""
    for name, text in _prose(root):
        for number, line in enumerate(text.splitlines(), start=1):
            if UNDONE.search(line):
                yield f"{name}:{number} {line.strip()}"


def foreign_places(root: Path) -> Iterator[str]:
    """Absolute paths of one machine, and hosts of package registries."""
    for name, text in _prose(root):
        for number, line in enumerate(text.splitlines(), start=1):
            for kind, pattern in FOREIGN.items():
                if pattern.search(line):
                    yield f"{name}:{number} names a {kind}"


# ---------------------------------------------------------------- the tests
HEAD = '"""M.\n\nPlace in the flow: here.\n\n* True.\n"""\n'
PLANTED: dict[str, tuple[Callable[[Path], Iterator[str]], str, str]] = {
    "a function of 41 lines": (long_functions, "edge/a.py", "def f():\n" + "    x = 1\n" * 40),
    "a file of 501 lines": (long_files, "edge/a.py", "x = 1\n" * 501),
    "a line of 101 columns": (long_lines, "kiosk_app/qml/A.qml", "/" * 101),
    "seven arguments": (many_arguments, "edge/a.py", "def f(a, b, c, d, e, g, *, h): ...\n"),
    "a module without docstring": (undocumented_modules, "tests/unit/a.py", "x = 1\n"),
    "a module without its place": (undocumented_modules, "edge/a.py", '"""Does a."""\n'),
    "a stray file at the top": (stray_entries, "notes.txt", "x"),
    "a drawer": (drawers, "edge/utils.py", HEAD),
    "a package of tests": (packaged_tests, "tests/unit/__init__.py", ""),
    "a test of nothing": (unmirrored_tests, "tests/unit/edge/test_gone.py", ""),
    "a file of 2 MiB": (heavy_files, "docs/a.svg", "x" * (2 << 20)),
    "a binary file": (heavy_files, "edge/a.bin", "\0"),
    "data that is not packed": (unpacked_data, "edge/a.csv", "1"),
    "a dead module": (dead_modules, "edge/dead.py", HEAD),
    "an undeclared import": (undeclared_imports, "edge/a.py", "import pytest_randomly\n"),
    "typing on the microcontroller": (beyond_micropython, "edge/codec.py", "import typing\n"),
    "match on the microcontroller": (
        beyond_micropython,
        "edge/seal.py",
        "match 1:\n    case 1: pass\n",
    ),
    "undone work": (undone_work, "docs/a.md", "TODO: finish"),
    "a path of one machine": (foreign_places, "docs/a.md", "see /home/me/notes"),
    "a registry": (foreign_places, "requirements/a.txt", "https://pypi.org/x"),
}
CHECKS = list(dict.fromkeys(check for check, _, _ in PLANTED.values()))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_repository_has_no(check: Callable[[Path], Iterator[str]]) -> None:
    offences = list(check(ROOT))
    assert not offences, f"{check.__doc__}\n" + "\n".join(offences)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_check_finds(planted: str, tmp_path: Path) -> None:
    check, name, text = PLANTED[planted]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    assert not list(check(tmp_path))
    path.write_text(text, encoding="utf-8")
    assert list(check(tmp_path))


def test_what_git_ignores_is_no_data_that_must_be_packed(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    (tmp_path / "edge" / "__pycache__").mkdir(parents=True)
    (tmp_path / "edge" / "__pycache__" / "a.pyc").write_bytes(b"")
    assert not list(unpacked_data(tmp_path))


def test_docstrings_comments_and_blank_lines_are_no_code() -> None:
    text = 'def f():\n    """One.\n\n    Two.\n    """\n\n    # three\n    return """a\nb"""\n'
    assert code_lines(text, ast.parse(text)) == {1, 8, 9}


def test_a_module_started_by_its_name_is_alive(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    (tmp_path / "edge" / "a.py").write_text(HEAD)
    (tmp_path / "edge" / "__main__.py").write_text('START = ["-m", "edge.a"]\n')
    assert not list(dead_modules(tmp_path))


def test_what_only_a_type_checker_reads_may_be_beyond_micropython(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    guarded = "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from typing import Any\n"
    (tmp_path / "edge" / "codec.py").write_text(guarded)
    assert not list(beyond_micropython(tmp_path))
