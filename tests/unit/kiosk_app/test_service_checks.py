"""What is claimed of service documents: what passes, and each way in which one is refused."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import LastmileError
from kiosk_app.service import ServiceError
from kiosk_app.service_checks import read_service
from tests.unit.kiosk_app.village import document

Tree = dict[str, Any]
WITHDRAWAL: Tree = json.loads(document("cash_withdrawal"))
TEXT = {"zh": "一", "en": "one"}


def read(tree: Tree) -> None:
    read_service(json.dumps(tree).encode())


def step(name: str) -> Any:
    def find(tree: Tree) -> Tree:
        found: Tree = tree["steps"][name]
        return found

    return find


def line(value: str, **more: object) -> Tree:
    return {"value": {"zh": value, "en": value}, **more}


# What is changed in the document of a withdrawal → a part of the sentence that refuses it.
FAULTS: dict[str, tuple[Any, str]] = {
    "an unknown field": (lambda t: t.update(colour="red"), "unknown field"),
    "an unknown field of a step": (lambda t: step("pin")(t).update(color=1), "unknown field"),
    "a text in one language": (lambda t: t["title"].pop("en"), "missing required field"),
    "no step": (lambda t: t.update(steps={}), "1 to"),
    "a first step that is not there": (lambda t: t.update(first="nowhere"), "begins at no step"),
    "a step called end": (lambda t: t["steps"].update(end=step("sorry")(t)), "called end"),
    "a bad name": (lambda t: t.update(id="Cash-Withdrawal"), "is no name"),
    "a name with a line break": (lambda t: t.update(id="cash\n"), "is no name"),
    "version 0": (lambda t: t.update(version=0), "version"),
    "a limit in fractions": (lambda t: t["limits"][0].update(fen=2000.5), "fen"),
    "a limit as text": (lambda t: t["limits"][0].update(fen="2000"), "fen"),
    "a limit without source": (lambda t: t["limits"][0].update(source=""), "source"),
    "a limit below zero": (lambda t: t["limits"][0].update(fen=-1), "no amount"),
    "a next that is not there": (
        lambda t: step("pin")(t)["next"].update(ok="gone"),
        "no step gone"),
    "an outcome without next": (lambda t: step("pin")(t)["next"].pop("failed"), "leads nowhere"),
    "a button without next": (lambda t: step("sorry")(t)["next"].clear(), "leads nowhere"),
    "a next that cannot happen": (
        lambda t: step("sorry")(t)["next"].update(entered="end"), "never happen"),
    "a step that nothing leads to": (
        lambda t: t["steps"].update(lost=step("sorry")(t)), "no path leads to lost"),
    "a path that never ends": (
        lambda t: step("sorry")(t)["next"].update(finish="sorry"), "ends"),
    "a private field for the operator": (
        lambda t: step("amount")(t)["operator"]["lines"].append(line("{customer_name}")),
        "private"),
    "a private line for the operator": (
        lambda t: step("amount")(t)["operator"]["lines"].append(line("x", private=True)),
        "not for the operator"),
    "a private field in the operator's title": (
        lambda t: step("amount")(t)["operator"].update(
            title={"zh": "{id_number}", "en": "one"}), "id_number is private"),
    "a private field in one language only": (
        lambda t: step("amount")(t)["operator"].update(
            title={"zh": "一", "en": "{id_number}"}), "id_number is private"),
    "private money for the operator": (
        lambda t: step("amount")(t)["operator"].update(money="available_fen"), "is private"),
    "a private field that is not marked": (
        lambda t: step("amount")(t)["customer"]["lines"].append(line("{account}")), "must say so"),
    "a bound that is private to the operator": (
        lambda t: step("amount")(t)["operator"].update(
            input={"name": "amount_fen", "kind": "amount", "maximum": "max_fen"}), "is private"),
    "a card field declared public": (
        lambda t: (t.update(facts={"face": {"kind": "text", "private": False}}),
                   step("read_card")(t)["command"]["keep"].update(face="name")), "must be private"),
    "a name of ours declared anew": (
        lambda t: t.update(facts={"id_number": {"kind": "text", "private": False}}),
        "meaning already"),
    "an unknown placeholder": (
        lambda t: step("pin")(t)["customer"].update(title={"zh": "{shoe}", "en": "a"}),
        "is no fact"),
    "an unknown form": (
        lambda t: step("done")(t)["customer"].update(
            title={"zh": "{receipt:yuan}", "en": "a"}), "no such form"),
    "a fact that no step provides": (
        lambda t: step("read_card")(t)["customer"].update(
            title={"zh": "{receipt}", "en": "a"}), "not known there"),
    "a template that does not balance": (
        lambda t: step("post")(t)["ledger"]["postings"].pop(), "do not balance"),
    "a template of two debits": (
        lambda t: step("post")(t)["ledger"]["postings"][1].update(side="debit"), "do not balance"),
    "a template of different amounts": (
        lambda t: step("post")(t)["ledger"]["postings"][1].update(amount=50_000), "do not balance"),
    "an amount that is no money": (
        lambda t: step("post")(t)["ledger"]["postings"][1].update(amount="lease"),
        "no amount in fen"),
    "an amount in fractions": (
        lambda t: step("post")(t)["ledger"]["postings"][1].update(amount=0.5), "amount"),
    "a kind outside of the data catalogue": (
        lambda t: step("post")(t)["ledger"].update(kind="gossip"), "data catalogue"),
    "a field outside of the data catalogue": (
        lambda t: step("post")(t)["ledger"]["body"].update(pin="pin_answer"), "data catalogue"),
    "booking twice": (
        lambda t: step("no_print")(t)["next"].update(retry="post"), "book twice"),
    "a circle without people": (
        lambda t: step("balance")(t)["next"].update(ok="reserve", failed="amount"), "for ever"),
    "a rule that calls out": (
        lambda t: step("amount")(t)["rules"].append({"must": "exec('1')", "say": TEXT}), "refused"),
    "a rule on a hidden name": (
        lambda t: step("amount")(t)["rules"].append({"must": "_x == 1", "say": TEXT}),
        "underscore"),
    "a rule on an unknown fact": (
        lambda t: step("amount")(t)["rules"].append({"must": "shoe == 1", "say": TEXT}),
        "is no fact"),
    "an acknowledgement without its button": (
        lambda t: step("confirm")(t)["acknowledge"].append(
            {"side": "operator", "button": "yes"}), "no button yes"),
    "a device that is not listed": (lambda t: t.update(devices=["printer"]), "not in devices"),
    "a device that nobody knows": (lambda t: t["devices"].append("toaster"), "toaster"),
    "two deeds in one step": (
        lambda t: step("pin")(t).update(teller="balance"),
        "more than one thing"),
    "six choices": (
        lambda t: (step("sorry")(t)["operator"].update(
            choices=[{"id": f"c{n}", "text": TEXT} for n in range(6)]),
            step("sorry")(t)["next"].update({f"c{n}": "end" for n in range(6)})), "choices"),
    "two controls with one id": (
        lambda t: step("sorry")(t)["operator"]["buttons"].append(
            {"id": "finish", "text": TEXT}), "one id"),
    "a command without end": (
        lambda t: step("pin")(t)["command"].update(timeout_ms=10**9), "timeout_ms"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["balance", "cash_withdrawal"])
def test_the_services_of_this_repository_pass(name: str) -> None:
    assert read_service(document(name)).id == name


@pytest.mark.parametrize("fault", FAULTS)
def test_a_document_is_refused_for(fault: str) -> None:
    change, sentence = FAULTS[fault]
    tree = copy.deepcopy(WITHDRAWAL)
    change(tree)
    with pytest.raises(ServiceError) as refused:
        read(tree)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b"1" * 300_000]
)
def test_bytes_that_are_no_document_are_refused(content: bytes) -> None:
    with pytest.raises(ServiceError):
        read_service(content)


def test_the_limit_of_the_day_is_that_of_the_central_bank() -> None:
    limits = read_service(document("cash_withdrawal")).limits()
    assert limits["day_max_fen"] == 200_000


def paths(tree: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    return [(*before, k) for k, _ in items] + [p for k, v in items for p in paths(v, (*before, k))]


PATHS = paths(WITHDRAWAL)
SCALARS: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just([]) | st.just({})
)


@given(st.sampled_from(PATHS), SCALARS)
def test_whatever_is_changed_a_document_passes_or_is_refused_by_us(
    path: tuple[Any, ...], value: Any
) -> None:
    tree: Any = copy.deepcopy(WITHDRAWAL)
    place = tree
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with contextlib.suppress(LastmileError):
        read(tree)
