"""The ledger against an independent model, against itself in parallel, and against misuse."""

from __future__ import annotations

import random  # noqa: TID251 - seeded: a failure can be repeated
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend_sync.core.accounts import open_customer, open_drawer, read_holdings
from backend_sync.core.ledger import Outcome, Transfer, post_batch
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backend_sync.core.database import Connection

NOW_US = 1_790_000_000_000_000
NAMES = ["customer:a", "customer:b", "drawer:k", "vault"]


def number(value: int) -> UUID:
    return UUID(int=value)


def post(connection: Connection, *batch: Transfer) -> list[Outcome]:
    with connection.transaction():
        return post_batch(connection, batch, NOW_US)


def seed(connection: Connection) -> None:
    open_customer(connection, "a")
    open_customer(connection, "b")
    open_drawer(connection, "k")


def balances(connection: Connection) -> dict[str, tuple[int, int]]:
    found = read_holdings(connection, NAMES)
    return {each.account: (each.balance_fen, each.available_fen) for each in found}


# ------------------------------------------------------------------ an independent model
@dataclass
class Model:
    """The ledger again, as plainly as it can be said."""

    balance: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    reserved: dict[UUID, list[object]] = field(default_factory=dict)
    seen: dict[UUID, Transfer] = field(default_factory=dict)

    def available(self, name: str) -> int:
        held = sum(int(str(left)) for debit, _, left in self.reserved.values() if debit == name)
        return self.balance[name] - held

    def move(self, debit: str, credit: str, fen: int) -> None:
        self.balance[debit] -= fen
        self.balance[credit] += fen

    def apply(self, order: Transfer) -> str:
        if order.id in self.seen:
            return "exists" if self.seen[order.id] == order else "refused"
        done = self.resolve(order) if order.pending else self.begin(order)
        if done:
            self.seen[order.id] = order
        return "posted" if done else "refused"

    def begin(self, order: Transfer) -> bool:
        fen, debit, credit = order.amount_fen, order.debit, order.credit
        floored = debit.startswith("customer:")
        if fen <= 0 or debit == credit or (floored and self.available(debit) < fen):
            return False
        if order.kind == "single":
            self.move(debit, credit, fen)
        else:
            self.reserved[order.id] = [debit, credit, fen]
        return True

    def resolve(self, order: Transfer) -> bool:
        held = self.reserved.get(order.pending) if order.pending else None
        if held is None:
            return False
        left = int(str(held[2]))
        fen = order.amount_fen if order.kind == "post" else left
        if not 0 < fen <= left:
            return False
        if order.kind == "post":
            self.move(str(held[0]), str(held[1]), fen)
        held[2] = left - fen
        return True


ids = st.integers(1, 12).map(number)
begins = st.builds(
    Transfer,
    id=ids,
    kind=st.sampled_from(["single", "pending"]),
    debit=st.sampled_from(NAMES),
    credit=st.sampled_from(NAMES),
    amount_fen=st.integers(0, 400),
)
resolves = st.builds(
    lambda number, kind, pending, fen: Transfer(
        number, kind, amount_fen=fen if kind == "post" else 0, pending=pending
    ),
    ids,
    st.sampled_from(["post", "void", "expire"]),
    ids,
    st.integers(0, 300),
)
batches = st.lists(st.lists(begins | resolves, min_size=1, max_size=10), min_size=1, max_size=6)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches)
def test_outcomes_and_balances_equal_those_of_a_plain_model(
    connection: Connection, batches: Sequence[Sequence[Transfer]]
) -> None:
    model = Model()
    with connection.transaction(force_rollback=True):
        seed(connection)
        for batch in batches:
            expected = [model.apply(order) for order in batch]
            assert [each.status for each in post_batch(connection, batch, NOW_US)] == expected
        assert balances(connection) == {
            name: (model.balance[name], model.available(name)) for name in NAMES
        }
        row = connection.execute("SELECT sum(balance_fen) FROM accounts").fetchone()
        assert row == (0,)


# ------------------------------------------------------------------ parallel
def test_concurrent_posters_with_overlapping_shuffled_batches_post_each_transfer_once(
    connections: Callable[[], Connection],
) -> None:
    connection = connections()
    seed(connection)
    post(connection, Transfer(number(1), "single", "vault", "customer:a", 1_000_000))
    rng = random.Random(20261124)
    pairs = [(d, c) for d in NAMES for c in NAMES if d != c]
    orders = [
        Transfer(number(100 + each), "single", *rng.choice(pairs), rng.randint(1, 9))
        for each in range(300)
    ]
    posted: list[UUID] = []
    failures: list[BaseException] = []

    def work(seed_number: int, own: Connection) -> None:
        mine = random.Random(seed_number)
        try:
            for _ in range(12):
                batch = mine.sample(orders, 60)
                outcomes = post(own, *batch)
                posted.extend(each.id for each in outcomes if each.status == "posted")
        except psycopg.Error as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(each, connections())) for each in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    assert len(posted) == len(set(posted))
    row = connection.execute("SELECT count(*) FROM transfers WHERE transfer <> %s", [number(1)])
    assert row.fetchone() == (len(posted),)
    held = {each.account: each.balance_fen for each in read_holdings(connection, NAMES)}
    assert held == _derived(connection)
    assert sum(held.values()) == 0


def _derived(connection: Connection) -> dict[str, int]:
    rows = connection.execute(
        "SELECT account, coalesce((SELECT sum(amount_fen) FROM transfers"
        " WHERE credit_id = a.account_id AND kind IN ('single', 'post')), 0)"
        " - coalesce((SELECT sum(amount_fen) FROM transfers"
        " WHERE debit_id = a.account_id AND kind IN ('single', 'post')), 0)"
        " FROM accounts a WHERE account = ANY (%s)",
        [NAMES],
    ).fetchall()
    return {str(account): int(fen) for account, fen in rows}


# ------------------------------------------------------------------ one by one
def test_the_same_id_with_the_same_content_moves_money_once(connection: Connection) -> None:
    seed(connection)
    order = Transfer(number(7), "single", "vault", "customer:a", 500)
    assert [each.status for each in post(connection, order, order)] == ["posted", "exists"]
    assert post(connection, order)[0].status == "exists"
    assert balances(connection)["customer:a"] == (500, 500)


def test_the_same_id_with_another_amount_is_refused(connection: Connection) -> None:
    seed(connection)
    post(connection, Transfer(number(7), "single", "vault", "customer:a", 500))
    outcome = post(connection, Transfer(number(7), "single", "vault", "customer:a", 501))[0]
    assert (outcome.status, outcome.reason) == ("refused", "id-conflict")


def test_a_reservation_is_not_available_and_a_void_gives_it_back(connection: Connection) -> None:
    seed(connection)
    post(connection, Transfer(number(1), "single", "vault", "customer:a", 1000))
    post(connection, Transfer(number(2), "pending", "customer:a", "drawer:k", 800))
    assert balances(connection)["customer:a"] == (1000, 200)
    refused = post(connection, Transfer(number(3), "single", "customer:a", "vault", 300))[0]
    assert (refused.status, refused.reason) == ("refused", "insufficient")
    post(connection, Transfer(number(4), "post", amount_fen=300, pending=number(2)))
    assert balances(connection)["customer:a"] == (700, 200)
    voided = post(connection, Transfer(number(5), "void", pending=number(2)))[0]
    assert (voided.status, voided.amount_fen) == ("posted", 500)
    assert balances(connection)["customer:a"] == (700, 700)
    closed = post(connection, Transfer(number(6), "post", amount_fen=1, pending=number(2)))[0]
    assert (closed.status, closed.reason) == ("refused", "pending-closed")


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (Transfer(number(9), "single", "vault", "customer:nobody", 5), "account-unknown"),
        (Transfer(number(9), "single", "vault", "vault", 5), "same-account"),
        (Transfer(number(9), "single", "vault", "customer:a", 0), "amount"),
        (Transfer(number(9), "single", "vault", "customer:a", -5), "amount"),
        (Transfer(number(9), "post", amount_fen=5, pending=number(8)), "pending-unknown"),
        (Transfer(number(9), "post", amount_fen=0, pending=number(2)), "amount"),
        (Transfer(number(9), "post", amount_fen=9_999, pending=number(2)), "exceeds-pending"),
    ],
)
def test_a_wrong_order_is_refused_with_its_reason(
    connection: Connection, order: Transfer, reason: str
) -> None:
    seed(connection)
    post(connection, Transfer(number(2), "pending", "vault", "customer:a", 100))
    outcome = post(connection, order)[0]
    assert (outcome.status, outcome.reason) == ("refused", reason)


def test_posting_outside_a_transaction_is_refused(connection: Connection) -> None:
    with pytest.raises(LocalError) as raised:
        post_batch(connection, [], NOW_US)
    assert raised.value.code == "no-transaction"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE accounts SET balance_fen = balance_fen + 1 WHERE account = 'vault'",
        "UPDATE accounts SET balance_fen = balance_fen - 1000 WHERE account = 'customer:a'",
        "UPDATE transfers SET amount_fen = 1",
        "DELETE FROM transfers",
        "DELETE FROM accounts",
        "INSERT INTO accounts (account, kind, balance_fen, floor_fen) VALUES ('x', 'vault', 5, 0)",
        "INSERT INTO accounts (account, kind) VALUES ('customer:free', 'customer')",
        "UPDATE reservations SET remaining_fen = -1, closed = false",
        "UPDATE accounts SET pending_debit_fen = -1 WHERE account = 'customer:a'",
    ],
)
def test_the_database_itself_refuses_a_wrong_state(connection: Connection, statement: str) -> None:
    seed(connection)
    post(
        connection,
        Transfer(number(1), "single", "vault", "customer:a", 100),
        Transfer(number(2), "pending", "customer:a", "vault", 50),
    )
    with pytest.raises(psycopg.IntegrityError):
        connection.execute(statement.encode())
