"""Resolves setup.cfg into requirements/*.txt, every file by hash: the verb `lock` of dev.py.

Place in the flow: outside it. What stands here was tested; dev.py and every deployment install it.

* One lock serves every Python and machine that we support.
* A deployment's lock, and that of the TPM, hold the very versions of the developer's.
* A lock that named a place would tie every bank to it, and is not written.
"""

from __future__ import annotations

import argparse
import configparser
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCKS: Final = Path(__file__).resolve().parent
ROOT: Final = LOCKS.parent
DEPLOYMENTS: Final = ("gateway", "kiosk", "core")
ADDED: Final = ("tpm",)
"""Comes on top of a deployment, where the machine has what it is built with."""

HEADER: Final = "# Written by `python3 dev.py lock` from setup.cfg. Do not edit.\n"
PLACES: Final = re.compile(r"://|--(extra-)?index-url|--find-links|\s@\s|^-", re.MULTILINE)
OPTIONS: Final = (
    "--universal", "--python-version", "3.11", "--generate-hashes",
    "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links",
)  # fmt: skip


def compile_lock(target: Path, extras: Sequence[str], more: Sequence[str]) -> str:
    """Resolves setup.cfg with these extras for every Python and machine that we support."""
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / target.name
        if target.exists():
            shutil.copy(target, draft)  # uv keeps the versions that stand there
        command = [sys.executable, "-m", "uv", "pip", "compile", "setup.cfg", "--quiet"]
        command += ["-o", str(draft), *OPTIONS, *more]
        command += [word for extra in extras for word in ("--extra", extra)]
        subprocess.run(command, cwd=ROOT, check=True)
        return draft.read_text(encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Writes every lock; returns 1 where one would name a place."""
    parser = argparse.ArgumentParser(prog="dev.py lock", description="Resolves setup.cfg by hash.")
    parser.add_argument("--upgrade", action="store_true", help="take newer versions")
    upgrade = ["--upgrade"] if parser.parse_args(argv).upgrade else []
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    missing = {*DEPLOYMENTS, *ADDED, "dev"} - set(settings["options.extras_require"])
    assert not missing, f"setup.cfg has no extra {missing}"
    tested = ["--constraints", str(LOCKS / "dev.txt")]
    jobs = [("dev", [*DEPLOYMENTS, "dev"], upgrade)]
    jobs += [(name, [name], tested) for name in (*DEPLOYMENTS, *ADDED)]
    for name, extras, more in jobs:
        target = LOCKS / f"{name}.txt"
        text = compile_lock(target, extras, more)
        place = PLACES.search(text)
        if place:
            print(f"{target.name} would name a place ({place[0]!r}); not written.", file=sys.stderr)
            return 1
        target.write_text(HEADER + text, encoding="utf-8")
        count = len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE))
        print(f"{target.relative_to(ROOT)}: {count} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
