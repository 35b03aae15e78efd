"""The checks of a service document, each of which says in a sentence what is wrong.

Place in the flow: service → **service_checks** → catalogue.

* A check looks at the whole document; the first offence refuses it, and the old one stays.
* Paths are followed as a graph, so that what is proved here needs no check while a customer waits.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from kiosk_app.service import (
    CHOICES_MAX,
    DOCUMENT_BYTES_MAX,
    END,
    FEN_MAX,
    NAME,
    NEEDS,
    PROVIDES,
    SESSION_FACTS,
    STEPS_MAX,
    Document,
    Panel,
    Service,
    ServiceError,
    Step,
    known_kind,
    outcomes_of,
    read_rule,
    vocabulary,
)
from kiosk_app.words import FORMS, Text, placeholders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kiosk_app.privacy import Fact

SIDES: Final = ("operator", "customer")
TIMEOUT_MS: Final = (100, 180_000)
PRIVATE_DEVICES: Final = ("id_reader", "pin_pad")


def read_service(content: bytes) -> Service:
    """Reads and wholly checks a document.

    Args:
        content: Hostile bytes.

    Raises:
        ServiceError: What is wrong, in a sentence.
    """
    if len(content) > DOCUMENT_BYTES_MAX:
        raise ServiceError(f"A service document has at most {DOCUMENT_BYTES_MAX} bytes.")
    try:
        document = msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ServiceError(f"The service document does not fit: {error}.") from error
    return check_document(document, hashlib.sha256(content).hexdigest())


def check_document(document: Document, sha256: str) -> Service:
    """Returns the service of a document that passes every check.

    Raises:
        ServiceError: What is wrong.
    """
    facts = vocabulary(document)
    _check_head(document)
    guards = {
        rule.must: read_rule(rule.must) for step in document.steps.values() for rule in step.rules
    }
    service = Service(document, sha256, facts, guards)
    for name, step in document.steps.items():
        where = f"{document.id}, step {name}"
        _check_next(where, step, document)
        _check_deed(where, step, document)
        for side in SIDES:
            _check_panel(f"{where}, {side}", side, step.panel(side), facts)
        _check_rules(where, step, service)
    _check_paths(document)
    _check_known(service)
    return service


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ServiceError(sentence)


# ------------------------------------------------------------------ head and outcomes
def _check_head(document: Document) -> None:
    names = [document.id, document.first, *document.steps, *document.facts]
    names += [limit.name for limit in document.limits]
    for name in names:
        _require(
            bool(re.fullmatch(NAME, name)), f"{name!r} is no name: small letters, digits and _."
        )
    _require(document.version >= 1, f"{document.id} needs a version from 1.")
    _require(0 < len(document.steps) <= STEPS_MAX, f"{document.id} has 1 to {STEPS_MAX} steps.")
    _require(document.first in document.steps, f"{document.id} begins at no step of its own.")
    _require(END not in document.steps, f"{document.id}: no step may be called {END}.")
    for limit in document.limits:
        _require(0 < limit.fen <= FEN_MAX, f"Limit {limit.name} is no amount.")
        _require(bool(limit.source and limit.date), f"Limit {limit.name} needs source and date.")


def _check_next(where: str, step: Step, document: Document) -> None:
    must, may = outcomes_of(step)
    given = set(step.next)
    missing, extra = sorted(must - given), sorted(given - must - may)
    _require(not missing, f"{where}: {', '.join(missing)} leads nowhere; add it to next.")
    _require(not extra, f"{where}: {', '.join(extra)} can never happen; take it out of next.")
    _require(bool(given), f"{where} leads nowhere.")
    for target in step.next.values():
        known = target == END or target in document.steps
        _require(known, f"{where}: there is no step {target}.")
    deeds = [step.command, step.teller, step.ledger, step.print or None]
    _require(sum(each is not None for each in deeds) <= 1, f"{where} does more than one thing.")
    typed = any(step.panel(side).input for side in SIDES)
    _require(not (step.does and (typed or step.acknowledge)), f"{where} both acts and asks.")
    _require(step.timeout_s >= 0, f"{where}: timeout_s is no number of seconds.")
    for each in step.acknowledge:
        buttons = {button.id for button in step.panel(each.side).buttons}
        _require(each.button in buttons, f"{where}: the {each.side} has no button {each.button}.")


# ------------------------------------------------------------------ deeds
def _check_deed(where: str, step: Step, document: Document) -> None:
    if step.command is not None:
        _require(step.command.device in document.devices, f"{where}: device is not in devices.")
        low, high = TIMEOUT_MS
        fits = low <= step.command.timeout_ms <= high
        _require(fits, f"{where}: timeout_ms is from {low} to {high}.")
        _check_keep(where, step, vocabulary(document))
    if step.print:
        _require("printer" in document.devices, f"{where}: printer is not in devices.")
    if step.ledger is not None:
        _check_ledger(where, step, document)


def _check_keep(where: str, step: Step, facts: Mapping[str, Fact]) -> None:
    assert step.command is not None
    for name in step.command.keep:
        _require(name in facts, f"{where}: {name} is no fact; declare it under facts.")
        secret = step.command.device not in PRIVATE_DEVICES or facts[name].private
        _require(secret, f"{where}: {name} comes from a card or PIN pad and must be private.")


def _check_ledger(where: str, step: Step, document: Document) -> None:
    ledger = step.ledger
    assert ledger is not None
    facts = vocabulary(document)
    unknown = sorted(set(ledger.body) - known_kind(ledger.kind))
    _require(not unknown, f"{where}: {', '.join(unknown)} is not in the data catalogue.")
    absent = sorted(set(ledger.body.values()) - set(facts) - {"service", "service_sha256"})
    _require(not absent, f"{where}: {', '.join(absent)} is no fact.")
    balance: dict[str, int] = {}
    for posting in ledger.postings:
        named = isinstance(posting.amount, str)
        _check_amount(where, posting.amount, facts)
        sign = 1 if posting.side == "debit" else -1
        key, weight = (str(posting.amount), 1) if named else ("", int(posting.amount))
        balance[key] = balance.get(key, 0) + sign * weight
    balanced = bool(ledger.postings) and not any(balance.values())
    _require(balanced, f"{where}: debits and credits of the template do not balance.")


def _check_amount(where: str, amount: int | str, facts: Mapping[str, Fact]) -> None:
    if isinstance(amount, str):
        fact = facts.get(amount)
        _require(fact is not None and fact.kind == "fen", f"{where}: {amount} is no amount in fen.")
    else:
        _require(0 <= amount <= FEN_MAX, f"{where}: {amount} is no amount in fen.")


# ------------------------------------------------------------------ panels
def texts_of(panel: Panel) -> Iterator[Text]:
    """Yields every text of a panel but its lines."""
    yield panel.title
    yield from (each.text for each in panel.buttons)
    yield from (each.text for each in panel.choices)
    parts = [each.detail for each in panel.choices] + [panel.busy, panel.notice, panel.voice]
    if panel.input is not None:
        parts += [panel.input.unit, panel.input.hint]
    yield from (each for each in parts if each is not None)


def _check_panel(where: str, side: str, panel: Panel, facts: Mapping[str, Fact]) -> None:
    _require(len(panel.choices) <= CHOICES_MAX, f"{where}: more than {CHOICES_MAX} choices.")
    ids = [*(each.id for each in panel.buttons), *(each.id for each in panel.choices)]
    _require(len(ids) == len(set(ids)), f"{where}: two controls have one id.")
    used = {name for text in texts_of(panel) for name in _used(where, text, facts)}
    if panel.money:
        _check_amount(where, panel.money, facts)
        used.add(panel.money)
    used |= _input_facts(where, panel, facts)
    for line in panel.lines:
        shown = _used(where, line.value, facts)
        shown |= _used(where, line.label, facts) if line.label else set()
        secret = any(facts[name].private for name in shown)
        _require(line.private or not secret, f"{where}: a line with a private field must say so.")
        allowed = side == "customer" or not line.private
        _require(allowed, f"{where}: a private line is not for the operator.")
    if side == "operator":
        secret_names = sorted(name for name in used if facts[name].private)
        _require(not secret_names, f"{where}: {', '.join(secret_names)} is private.")


def _input_facts(where: str, panel: Panel, facts: Mapping[str, Fact]) -> set[str]:
    if panel.input is None:
        return set()
    entry = panel.input
    kind = "fen" if entry.kind == "amount" else "text"
    fact = facts.get(entry.name)
    _require(fact is not None and fact.kind == kind, f"{where}: {entry.name} cannot be typed.")
    _require(entry.step_fen >= 1, f"{where}: step_fen is from 1.")
    bounds = (entry.minimum, entry.maximum)
    for bound in bounds:
        _check_amount(where, bound, facts)
    return {entry.name, *(bound for bound in bounds if isinstance(bound, str))}


def _used(where: str, text: Text, facts: Mapping[str, Fact]) -> set[str]:
    names = set()
    for name, form in placeholders(text):
        _require(name in facts, f"{where}: {{{name}}} is no fact.")
        fits = not form or (form in FORMS and FORMS[form][0] == facts[name].kind)
        _require(fits, f"{where}: {{{name}:{form}}} has no such form.")
        names.add(name)
    return names


def _check_rules(where: str, step: Step, service: Service) -> None:
    entering = [side for side in SIDES if step.panel(side).input]
    _require(bool(entering) or not step.rules, f"{where}: rules without anything to type.")
    for rule in step.rules:
        unknown = sorted(service.guards[rule.must].names - set(service.facts))
        _require(not unknown, f"{where}: a rule asks for {', '.join(unknown)}, which is no fact.")
        names = _used(where, rule.say, service.facts)
        secret = any(service.facts[name].private for name in names)
        allowed = "operator" not in entering or not secret
        _require(allowed, f"{where}: a rule tells the operator a private field.")


# ------------------------------------------------------------------ paths
def _check_paths(document: Document) -> None:
    reached = _closure(
        {document.first}, {n: set(s.next.values()) for n, s in document.steps.items()}
    )
    dead = sorted(set(document.steps) - reached)
    _require(not dead, f"{document.id}: no path leads to {', '.join(dead)}.")
    back: dict[str, set[str]] = {}
    for name, step in document.steps.items():
        for target in step.next.values():
            back.setdefault(target, set()).add(name)
    trapped = sorted(set(document.steps) - _closure({END}, back))
    _require(not trapped, f"{document.id}: no path from {', '.join(trapped)} ends.")
    silent = {
        name: {t for t in step.next.values() if t != END and _silent(document.steps[t])}
        for name, step in document.steps.items()
    }
    posted = {name: {t for t in s.next.values() if t != END} for name, s in document.steps.items()}
    for name, step in document.steps.items():
        loops = _silent(step) and name in _closure(silent[name], silent)
        _require(not loops, f"{document.id}: {name} can go round for ever.")
        if step.ledger is not None and step.next["ok"] != END:
            again = _closure({step.next["ok"]}, posted)
            twice = any(document.steps[each].ledger for each in again)
            _require(not twice, f"{document.id}: {name} could book twice in one session.")


def _silent(step: Step) -> bool:
    return bool(step.teller or step.ledger)


def _closure(start: set[str], edges: Mapping[str, set[str]]) -> set[str]:
    found, waiting = set(start), list(start)
    while waiting:
        for target in edges.get(waiting.pop(), set()) - found:
            found.add(target)
            waiting.append(target)
    return found


# ------------------------------------------------------------------ what is known where
def _check_known(service: Service) -> None:
    """Follows every path and refuses a step that uses what some path has not provided."""
    document = service.document
    start = {*SESSION_FACTS, *service.limits()}
    known: dict[str, set[str]] = {document.first: start}
    waiting = [document.first]
    while waiting:
        name = waiting.pop()
        step = document.steps[name]
        for outcome, target in step.next.items():
            after = known[name] | (_provided(step) if outcome in ("ok", "entered") else set())
            before = known.get(target)
            merged = after if before is None else before & after
            if target != END and merged != before:
                known[target] = merged
                waiting.append(target)
    for name, step in document.steps.items():
        missing = sorted(_needed(step, service) - known[name])
        _require(
            not missing, f"{document.id}, step {name}: {', '.join(missing)} is not known there."
        )


def _provided(step: Step) -> set[str]:
    names = set(step.command.keep) if step.command else set()
    names |= set(PROVIDES[step.teller]) if step.teller else set()
    names |= set(PROVIDES["ledger"]) if step.ledger else set()
    inputs = (step.operator.input, step.customer.input)
    return names | {each.name for each in inputs if each is not None}


def _needed(step: Step, service: Service) -> set[str]:
    names: set[str] = set()
    typed = {each.name for each in (step.operator.input, step.customer.input) if each}
    for side in SIDES:
        panel = step.panel(side)
        texts = [*texts_of(panel), *(line.value for line in panel.lines)]
        names |= {name for text in texts for name, _ in placeholders(text)}
        names |= {panel.money} if panel.money else set()
        names |= _input_facts("", panel, service.facts)
    for rule in step.rules:
        names |= set(service.guards[rule.must].names)
    if step.command is not None:
        parameters = step.command.parameters.values()
        names |= {v[1:] for v in parameters if isinstance(v, str) and v.startswith("$")}
    if step.ledger is not None:
        names |= set(NEEDS["ledger"]) | set(step.ledger.body.values())
        names -= {"service", "service_sha256", "receipt"}
    names |= set(NEEDS[step.teller]) if step.teller else set()
    names |= set(NEEDS["print"]) if step.print else set()
    return names - typed
