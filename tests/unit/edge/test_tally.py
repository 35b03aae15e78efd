"""Claims about the sums: whatever happens, every message that was put is accounted for."""

from __future__ import annotations

from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import DeviceFault
from edge.outbox import PRIORITY_EVIDENCE, Message, OutboxLimits
from tests.unit.edge.desk import DOWN, CoreSide, Desk
from tests.unit.edge.test_aside import heed

HOUR_US = 3_600_000_000

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, PRIORITY_EVIDENCE)),
        st.tuples(st.just("put"), st.integers(0, PRIORITY_EVIDENCE)),
        st.tuples(st.just("lose"), st.integers(0, PRIORITY_EVIDENCE)),
        st.tuples(st.just("refuse"), st.integers(0, 20)),
        st.tuples(st.just("refuse later"), st.integers(0, 20)),
        st.tuples(st.just("use"), st.integers(1, 40)),
        st.tuples(st.just("settle"), st.integers(0, 4)),
        st.tuples(st.just("restart"), st.booleans()),
        st.tuples(st.just("begin"), st.none()),
    ),
    max_size=40,
)


class Life:
    """A device with a small outbox, its core, and a count of what was ever put."""

    def __init__(self, desk: Desk, limits: OutboxLimits) -> None:
        self.desk, self.limits = desk, limits
        self.box = desk.open(limits)
        self.core = CoreSide(desk)
        self.highest: dict[int, int] = {}
        self.refused: list[Message] = []

    def close(self) -> None:
        self.box.store.close()

    def act(self, action: str, value: int | None) -> None:
        if action == "put":
            self.put(value or 0)
        elif action == "lose":
            with pytest.raises(RuntimeError):
                self.lose(value or 0)
        elif action == "refuse":
            self.refuse(value or 0)
        elif action == "refuse later":
            self.refused += [each for each in self.box.outbox.due(20) if each.seq == value]
        elif action == "use":
            self.desk.clock.advance((value or 0) * HOUR_US // 2)
        elif action == "settle":
            self.settle(value or 0)
        elif action == "begin":
            self.box.stream.begin()
        else:
            self.restart(is_boot=bool(value))

    def put(self, priority: int) -> None:
        if priority == PRIORITY_EVIDENCE:
            self.box.stream.state({"type": "notice"})
        else:
            self.box.stream.seal(b"x" * (40 + 60 * priority), priority)

    def lose(self, priority: int) -> None:
        with self.box.store.transaction():
            self.put(priority)
            raise RuntimeError

    def refuse(self, place: int) -> None:
        """The core refuses something that waits, and repeats what it refused earlier."""
        waiting = [each for each in self.box.outbox.due(100) if self.is_message(each)]
        for message in [*waiting[place : place + 1], *self.refused]:
            if (message.epoch, message.seq) not in self.heard():
                heed(self.desk, self.box, message)

    def is_message(self, each: Message) -> bool:
        """A gap wears the number of a message, and cannot be refused by it."""
        row = self.box.store.row(
            "SELECT 1 FROM outbox_messages WHERE epoch = ? AND seq = ? AND message IS NOT NULL",
            (each.epoch, each.seq),
        )
        return row is not None

    def heard(self) -> set[tuple[int, int]]:
        return {
            (epoch, seq) for epoch, stream in self.core.streams.items() for seq in stream.digests
        }

    def settle(self, count: int) -> None:
        """The core hears some of what waits, and answers."""
        for message in self.box.outbox.due(100)[: 4 * count]:
            self.core.hear(message.payload)
        for epoch, stream in self.core.streams.items():
            if stream.seq >= 0:
                ack = self.core.stored(epoch)
                self.box.outbox.settle(ack, self.desk.verify_core, DOWN)
                assert self.box.outbox.settle(ack, self.desk.verify_core, DOWN) == 0

    def restart(self, *, is_boot: bool) -> None:
        self.close()
        if is_boot:
            self.desk.clock.boot_id = f"{int(self.desk.clock.boot_id, 16) + 1:016x}"
            self.desk.clock.monotonic_us = 0
        self.box = self.desk.open(self.limits)

    def check(self) -> None:
        for row in self.box.store.rows("SELECT epoch, count FROM outbox_epochs"):
            self.highest[row["epoch"]] = row["count"]
        counts = self.box.outbox.counts()
        put = sum(count + 1 for count in self.highest.values())
        ends = [counts[name] for name in ("settled", "waiting", "dropped", "aside")]
        assert put == sum(ends), (put, counts)
        assert 0 <= counts["bytes"] <= self.limits.bytes_max
        found = self.box.store.row(
            "SELECT count(message) AS waiting, coalesce(sum(length(message)), 0) AS bytes "
            "FROM outbox_messages"
        )
        assert found == {"waiting": counts["waiting"], "bytes": counts["bytes"]}
        assert counts["aged"] <= counts["dropped"]


@given(ACTIONS, st.integers(1_500, 4_000), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_what_was_put_is_settled_or_waits_or_was_dropped_or_set_aside(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[str, int | None]],
    bytes_max: int,
    age_hours: int,
) -> None:
    limits = OutboxLimits(bytes_max=bytes_max, age_us_max=age_hours * HOUR_US)
    with closing(Life(Desk(tmp_path_factory.mktemp("desk")), limits)) as life:
        for action, value in actions:
            try:
                life.act(action, value)
            except DeviceFault as fault:
                if fault.code != "outbox-full":
                    raise
                life.settle(25)
            life.check()
        ends_covered(life)


def ends_covered(life: Life) -> None:
    """With a core that hears all, every epoch is covered through its last number in the end."""
    while life.box.store.row("SELECT 1 FROM outbox_epochs WHERE held IS NOT NULL"):
        life.box.outbox.held.try_next()
    life.settle(25)
    life.check()
    assert life.box.outbox.empty
    for epoch, count in life.highest.items():
        assert life.core.streams[epoch].seq == count
    assert not life.core.verdicts.keys() - {"new", "duplicate", "held"}
