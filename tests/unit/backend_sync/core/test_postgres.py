"""Claims about the embedded server: it comes back after any death, and goes when not needed."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backend_sync.core.database import connect, used_server
from backend_sync.core.postgres import EmbeddedServer
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(place: Path) -> Iterator[EmbeddedServer]:
    """A server that does not run yet."""
    found = EmbeddedServer(place / "postgres")
    yield found
    found.stop()


def pid_file(place: Path) -> Path:
    return place / "postgres" / "cluster" / "postmaster.pid"


def server_pid(place: Path) -> int:
    return int(pid_file(place).read_text().partition("\n")[0])


def kill(pid: int) -> None:
    """Kills a server as the kernel would, and waits until it is gone."""
    watch = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([watch], [], [], 10)
    os.close(watch)


def answers(server: EmbeddedServer) -> bool:
    with connect(server.dsn()) as connection:
        return connection.execute("SELECT 1").fetchone() == (1,)


def test_starting_twice_is_starting_once(server: EmbeddedServer, place: Path) -> None:
    server.start()
    pid = server_pid(place)
    assert EmbeddedServer(place / "postgres").start() == server.dsn()
    assert server_pid(place) == pid
    assert answers(server)


def test_a_killed_server_is_started_again_with_what_was_committed(
    server: EmbeddedServer, place: Path
) -> None:
    with connect(server.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        kill(server_pid(place))
    assert not server.running()
    server.keep_running()
    with connect(server.dsn()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_pid_file_whose_number_another_program_has_is_not_believed(
    server: EmbeddedServer, place: Path
) -> None:
    server.start()
    lines = pid_file(place).read_text().splitlines()
    server.stop()
    pid_file(place).write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    assert not server.running()
    server.start()
    assert answers(server)


def test_the_last_user_out_stops_the_server(place: Path) -> None:
    with used_server(place, "") as first:
        with used_server(place, "") as second:
            assert second.dsn == first.dsn
        assert first.embedded is not None
        assert first.embedded.running()
        with connect(first.dsn) as connection:
            assert connection.execute("SELECT current_database()").fetchone() == ("lastmile",)
    assert not first.embedded.running()


def test_a_user_that_is_killed_leaves_the_server_to_the_next(place: Path) -> None:
    program = (
        "import os, pathlib, sys\n"
        "from backend_sync.core.database import used_server\n"
        "with used_server(pathlib.Path(sys.argv[1]), ''):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(place)], check=False)
    assert done.returncode == -signal.SIGKILL
    pid = server_pid(place)
    with used_server(place, "") as server:
        assert server_pid(place) == pid
    assert server.embedded is not None
    assert not server.embedded.running()


def test_a_socket_directory_of_somebody_else_is_refused(place: Path) -> None:
    (place / "postgres").mkdir()
    (place / "postgres" / "socket").mkdir(mode=0o777)
    (place / "postgres" / "socket").chmod(0o777)
    with pytest.raises(LocalError, match="open to others"):
        EmbeddedServer(place / "postgres").start()


def test_a_server_that_never_was_is_not_running_and_cannot_be_stopped(place: Path) -> None:
    absent = EmbeddedServer(place / "none")
    assert not absent.running()
    assert not absent.stop()
