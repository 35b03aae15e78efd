"""The soak itself: a small one with everything real, and that each of its parts can say no."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import threading
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from backend_sync.core.database import DATABASE, connect
from backend_sync.core.postgres import EmbeddedServer
from edge.chain import next_head, start_head
from edge.ports import Instant
from hardware.drivers.broker import LOOPBACK
from hardware.drivers.clock import SystemClock
from tests.soak.clock import FastClock, read_since, write_since
from tests.soak.drive import Span, expect, record, spans_of
from tests.soak.life import Plan, Soak
from tests.soak.oracle import Epoch, Gap
from tests.soak.proxy import ChaosProxy
from tests.soak.weather import CLIMATES, acts, kill_places
from tests.story.stage import Stage
from tests.story.world import pause

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = Plan(
    drive_s=60, overflow_s=60, overflow_kills=1, kinds=("kill", "broker-kill", "cut-within")
)


# ---------------------------------------------------------------- the whole
@pytest.mark.slow
def test_a_small_soak_delivers_every_batch_once_and_a_core_that_lost_one_is_found_out() -> None:
    with Stage() as stage:
        soak = Soak(stage.world, SMALL, lambda _: None)
        result = soak.run()

        assert result.finding.violations == []
        assert (result.finding.lost, result.finding.twice) == (0, 0)
        assert result.status["dropped"] == result.finding.dropped > 0
        assert result.status["dropped_by"] == {"raw": result.finding.dropped}
        assert result.done["kill"] >= 2
        assert result.done["broker-kill"] >= 1

        core = soak.town.core_dir
        with connect(EmbeddedServer(core / "postgres").dsn(DATABASE)) as connection:
            connection.execute(
                "DELETE FROM telemetry_messages WHERE (epoch, seq) ="
                " (SELECT epoch, seq FROM telemetry_messages WHERE kind = 'batch' LIMIT 1)"
            )
        flushed = next((core / "lake" / "samples").glob("day=*/*.parquet"))
        flushed.with_stem("again").write_bytes(flushed.read_bytes())
        finding = soak.judge(overflown=True)
        assert finding.lost == 1
        assert finding.twice > 0
        assert any("no gap tells" in each for each in finding.violations)
        assert any("does not end where the box signed" in each for each in finding.violations)


# ---------------------------------------------------------------- oracle
def test_the_expected_samples_do_not_depend_on_who_plays_the_recording(tmp_path: Path) -> None:
    drive = record(tmp_path / "drive.log", seconds=25, seed=3)
    assert drive == expect(drive.path)
    assert len(drive.samples) == 3
    assert drive.samples != record(tmp_path / "other.log", seconds=25, seed=4).samples


def table(*rows: tuple[int, int, int]) -> pa.Table:
    signals, times, values = zip(*rows, strict=True)
    return pa.table(
        {
            "signal": pa.array(signals, pa.int32()),
            "time_us": pa.array(times, pa.int64()),
            "raw": pa.array(values, pa.int64()),
        }
    )


ROWS = ((1, 5, -7), (1, 6, 8), (2, 5, 8), (2, 10_000_001, 3))


def test_samples_add_up_to_the_same_in_any_order_and_any_pieces() -> None:
    whole = spans_of([table(*ROWS)])
    assert spans_of([table(row) for row in reversed(ROWS)]) == whole
    assert {span: each.count for span, each in whole.items()} == {0: 3, 1: 1}


@pytest.mark.parametrize(
    "changed",
    [ROWS[1:], (*ROWS, ROWS[0]), ((1, 5, -6), *ROWS[1:]), ((2, 5, -7), *ROWS[1:])],
    ids=["lost", "twice", "another value", "another signal"],
)
def test_a_sample_that_is_not_what_it_was_changes_the_sum_of_values(
    changed: tuple[tuple[int, int, int], ...],
) -> None:
    found, wanted = spans_of([table(*changed)])[0], spans_of([table(*ROWS)])[0]
    assert (found.count, found.values) != (wanted.count, wanted.values)
    assert found.rows != wanted.rows


def test_a_sample_at_another_time_changes_the_sum_of_rows_alone() -> None:
    found, wanted = spans_of([table((1, 7, -7), *ROWS[1:])])[0], spans_of([table(*ROWS)])[0]
    assert dataclasses.replace(found, rows=0) == dataclasses.replace(wanted, rows=0)
    assert found.rows != wanted.rows
    assert Span() + wanted == wanted


def epoch_of(*, lacks: tuple[int, ...] = (), gaps: tuple[Gap, ...] = ()) -> tuple[Epoch, bytes]:
    """An epoch of four messages and its end, of which some are lost, and its true head."""
    messages = {seq: b"message %d" % seq for seq in range(5)}
    heads = [start_head(messages[0])]
    for seq in range(1, 5):
        heads.append(next_head(heads[-1], messages[seq]))
    kept = {seq: each for seq, each in messages.items() if seq not in lacks} | {5: b"end"}
    told = [dataclasses.replace(gap, head=heads[gap.last]) for gap in gaps]
    return Epoch(kept, dict.fromkeys(kept, "batch"), told, (4, heads[-1])), heads[-1]


def test_a_whole_epoch_has_the_head_that_was_signed_and_lacks_nothing() -> None:
    epoch, head = epoch_of()
    assert epoch.head() == head
    assert (epoch.lost, epoch.told) == (set(), set())


def test_what_no_gap_tells_of_is_lost_and_leaves_no_head() -> None:
    epoch, _ = epoch_of(lacks=(2, 3), gaps=(Gap(3, 3, b"", {"raw": 1}),))
    assert epoch.lost - epoch.told == {2}
    assert epoch.head() is None


def test_a_gap_leads_over_what_is_lost_and_the_widest_counts() -> None:
    gaps = Gap(2, 2, b"", {"raw": 1}), Gap(2, 3, b"", {"raw": 1, "trip": 1})
    epoch, head = epoch_of(lacks=(2, 3), gaps=gaps)
    assert epoch.head() == head
    assert epoch.lost == epoch.told
    assert epoch.lost_by == {"raw": 1, "trip": 1}


# ---------------------------------------------------------------- weather and clock
def test_a_seed_is_a_weather_and_every_kind_of_fault_comes_in_it() -> None:
    assert acts(7, 240) == acts(7, 240) != acts(8, 240)
    assert kill_places(7, 5) == kill_places(7, 5) == sorted(kill_places(7, 5))
    for seconds in (2, 240):
        drawn = acts(7, seconds)
        assert {act.kind for act in drawn if act.begins} == set(CLIMATES)
        assert [act.at_s for act in drawn] == sorted(act.at_s for act in drawn)


def test_a_box_that_starts_again_finds_its_fast_clock_later_and_never_back() -> None:
    since = SystemClock().now()
    assert read_since(write_since(since)) == since
    now, later = FastClock(since, 1_000).now(), FastClock(since, 1_000).now()
    assert since.monotonic_us < now.monotonic_us < later.monotonic_us
    assert now.wall_us - since.wall_us == now.monotonic_us - since.monotonic_us
    assert FastClock(Instant(0, "b", now.monotonic_us), 1).now().wall_us < since.wall_us


# ---------------------------------------------------------------- network
@pytest.fixture
def echo() -> Iterator[int]:
    """A server that gives back what it gets, for as many callers as there are."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        threading.Thread(target=_answer, args=(listener,), daemon=True).start()
        yield int(listener.getsockname()[1])


def _answer(listener: socket.socket) -> None:
    while True:
        try:
            caller, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_give_back, args=(caller,), daemon=True).start()


def _give_back(caller: socket.socket) -> None:
    with caller, contextlib.suppress(OSError):  # however the connection ends
        while piece := _read(caller):
            caller.sendall(piece)


def _read(connection: socket.socket) -> bytes:
    """Reads what is there; nothing once the connection is over, however it ended."""
    try:
        return connection.recv(65_536)
    except OSError:
        return b""


@pytest.fixture
def proxy(echo: int) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(echo)
    yield proxy
    proxy.close()


def _call(proxy: ChaosProxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), 10)


def _read_all(connection: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count and (piece := _read(connection)):
        got += piece
    return got


def test_a_slow_network_loses_nothing_and_keeps_the_order(proxy: ChaosProxy) -> None:
    words = os.urandom(5_000)
    proxy.rules.is_slow = True
    with _call(proxy) as connection:
        connection.sendall(words)
        assert _read_all(connection, len(words)) == words


def test_a_cut_in_the_middle_lets_only_the_beginning_through(proxy: ChaosProxy) -> None:
    with _call(proxy) as connection:
        connection.sendall(b"whole")
        assert _read_all(connection, 5) == b"whole"
        proxy.rules.left = 3
        connection.sendall(b"never whole")
        assert len(_read_all(connection, 11)) <= 3
    assert proxy.resets == 1
    with _call(proxy) as connection:
        connection.sendall(b"again")
        assert _read_all(connection, 5) == b"again"


def test_nobody_gets_through_a_network_that_is_away(proxy: ChaosProxy) -> None:
    with _call(proxy) as before:
        before.sendall(b"here")
        assert _read_all(before, 4) == b"here"
        proxy.refuse(begins=True)
        assert _read(before) == b""
    with contextlib.suppress(ConnectionResetError), _call(proxy) as connection:
        assert _read(connection) == b""
    proxy.refuse(begins=False)
    with _call(proxy) as connection:
        connection.sendall(b"back")
        assert _read_all(connection, 4) == b"back"


def test_bytes_that_vanish_are_never_made_up_for(proxy: ChaosProxy) -> None:
    with _call(proxy) as connection:
        connection.sendall(b"here")
        assert _read_all(connection, 4) == b"here"
        proxy.swallow(begins=True)
        connection.sendall(b"gone")
        while proxy.vanished < len(b"gone"):
            pause()
        proxy.swallow(begins=False)
        assert _read(connection) == b""
