"""Conditions over signals: a few operators, three answers, and nothing that costs without bound.

Place in the flow: campaign → **expression** (reads once) → collect, triggers, which ask it.

    Vehicle.Speed > 60 and not present("Vehicle.Cabin.Door.Row1.DriverSide.IsOpen")
    held(Vehicle.OBD.CoolantTemperature >= 105, 5) or age("Vehicle.Speed") > 30

* The language is a whitelist of Python's syntax nodes (`ast`), read into a tree of our own: no name
  but a VSS path, no attribute but in a path, no subscript, no power, no loop, no text elsewhere.
* It is bounded before it runs: characters, nodes, depth, and the size of every number.
* Numbers are exact fractions in the unit of the data catalogue; a decimal is what is written.
* A signal without a value, or with an old one, is unknown; so is what divides by zero. `and`, `or`
  and `not` are Kleene's: false and unknown is false, true or unknown is true.
* A path that is not in the data catalogue, or a number where a truth belongs, is refused at load.
"""

from __future__ import annotations

import ast
import operator
from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from edge.catalogue import signal
from edge.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.catalogue import SignalSpec

TEXT_CHARACTERS_MAX: Final = 400
NODES_MAX: Final = 120
DEPTH_MAX: Final = 24
NUMBER_MAX: Final = 10**12
SECOND_US: Final = 1_000_000
STALE_US: Final = 120 * SECOND_US
"""A value that is older than this is no answer about the present."""
LATE_US: Final = 5 * SECOND_US
SECONDS_MAX: Final = 3_600

Truth = bool | None
Number = Fraction | None


@dataclass(slots=True)
class View:
    """What is known at one instant.

    Attributes:
        now_us: The instant.
        raws: Last raw value by place of the signal in `Condition.signals`; None is absence.
        times_us: When each was measured; None before the first.
        since_us: Since when each `held` has been true without interruption.
    """

    now_us: int
    raws: list[int | None]
    times_us: list[int | None]
    since_us: list[int | None]

    def raw(self, place: int) -> int | None:
        """Returns a value that is fresh enough to speak of the present."""
        time = self.times_us[place]
        if time is None or not -LATE_US <= self.now_us - time <= STALE_US:
            return None
        return self.raws[place]

    def age_us(self, place: int) -> int | None:
        """Returns how old the last sample is that had a value."""
        time = self.times_us[place]
        return None if time is None else max(0, self.now_us - time)


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked expression that is true, false or unknown.

    Attributes:
        text: As the campaign has it.
        signals: Ids of the signals that it asks for.
        is_clocked: Whether its answer can change without a sample: `age`, `held`.
        holds: How many `held` it has.
    """

    text: str
    signals: tuple[int, ...]
    is_clocked: bool
    holds: int
    _answer: Callable[[View], Truth]

    def blank(self) -> View:
        """Returns what is known before the first sample: nothing."""
        count = len(self.signals)
        return View(0, [None] * count, [None] * count, [None] * self.holds)

    def answer(self, view: View) -> Truth:
        """Answers at an instant, and lets each `held` go on."""
        return self._answer(view)


def read_condition(text: str) -> Condition:
    """Reads an expression.

    Raises:
        LocalError: It is too long, no condition, or uses what is not permitted.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise _refuse(text[:40], f"it has more than {TEXT_CHARACTERS_MAX} characters; split it")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _refuse(text, "it is no expression") from error
    if _size(tree.body) > NODES_MAX or _depth(tree.body) > DEPTH_MAX:
        raise _refuse(text, "it is too complicated; split it")
    reading = _Reading(text)
    answer = reading.truth(tree.body)
    return Condition(text, tuple(reading.places), reading.is_clocked, reading.holds, answer)


def _size(node: ast.AST) -> int:
    return sum(1 for _ in ast.walk(node))


def _depth(root: ast.AST) -> int:
    """Counts levels without recursion: the tree is not trusted yet."""
    waiting, deepest = deque([(root, 1)]), 0
    while waiting:
        node, depth = waiting.popleft()
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in ast.iter_child_nodes(node))
    return deepest


def _refuse(text: str, why: str) -> LocalError:
    return LocalError(f"The condition {text!r} is refused: {why}.", "expression")


# ------------------------------------------------------------------ three-valued logic
def _not(value: Truth) -> Truth:
    return None if value is None else not value


def _all(values: Sequence[Truth]) -> Truth:
    if False in values:
        return False
    return None if None in values else True


def _any(values: Sequence[Truth]) -> Truth:
    if True in values:
        return True
    return None if None in values else False


ORDER: Final[Mapping[type, Callable[[Fraction, Fraction], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: Final[Mapping[type, Callable[[Fraction, Fraction], Fraction]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
NUMBERS_OF: Final[Mapping[str, Callable[[Sequence[Fraction]], Fraction]]] = {
    "min": min,
    "max": max,
    "abs": lambda numbers: abs(numbers[0]),
}


class _Term(NamedTuple):
    """A number: its value, and the signal or the constant that it simply is."""

    value: Callable[[View], Number]
    place: int | None = None
    constant: Fraction | None = None


@dataclass(slots=True)
class _Reading:
    """Turns nodes of Python's syntax into functions of a view; all else is refused."""

    text: str
    places: dict[int, int] = field(default_factory=dict)
    specs: list[SignalSpec] = field(default_factory=list)
    is_clocked: bool = False
    holds: int = 0

    def truth(self, node: ast.expr) -> Callable[[View], Truth]:
        """Reads what is true, false or unknown."""
        match node:
            case ast.BoolOp():
                parts = [self.truth(each) for each in node.values]
                join = _all if isinstance(node.op, ast.And) else _any
                # Every part is asked each time, so that no `held` misses an instant.
                return lambda view: join([part(view) for part in parts])
            case ast.UnaryOp(op=ast.Not()):
                inner = self.truth(node.operand)
                return lambda view: _not(inner(view))
            case ast.Compare():
                return self._comparison(node)
            case ast.Call(func=ast.Name(id="present")):
                place = self._place(self._one_path(node))
                return lambda view: view.raw(place) is not None
            case ast.Call(func=ast.Name(id="held")):
                return self._held(node)
        raise _refuse(self.text, f"{ast.unparse(node)!r} is neither true nor false")

    def number(self, node: ast.expr) -> _Term:
        """Reads what is a number or unknown."""
        match node:
            case ast.Constant():
                constant = self._constant(node)
                return _Term(lambda _: constant, constant=constant)
            case ast.UnaryOp(op=ast.USub()):
                inner = self.number(node.operand)
                if inner.constant is not None:
                    negative = -inner.constant
                    return _Term(lambda _: negative, constant=negative)
                return _Term(lambda view: None if (x := inner.value(view)) is None else -x)
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.Call(func=ast.Name(id="signal")):
                return self._signal(self._one_path(node))
            case ast.Call(func=ast.Name(id="age")):
                self.is_clocked = True
                place = self._place(self._one_path(node))
                return _Term(
                    lambda view: (
                        None if (age := view.age_us(place)) is None else Fraction(age, SECOND_US)
                    )
                )
            case ast.Call(func=ast.Name(id="min" | "max" | "abs")):
                return self._of_numbers(node)
            case ast.Name() | ast.Attribute():
                return self._signal(self._bare_path(node))
        raise _refuse(self.text, f"{ast.unparse(node)!r} is no number")

    def _comparison(self, node: ast.Compare) -> Callable[[View], Truth]:
        terms = [self.number(each) for each in (node.left, *node.comparators)]
        parts = [
            self._relation(relation, *pair)
            for relation, pair in zip(node.ops, pairwise(terms), strict=True)
        ]
        if len(parts) == 1:
            return parts[0]
        return lambda view: _all([part(view) for part in parts])

    def _relation(self, relation: ast.cmpop, left: _Term, right: _Term) -> Callable[[View], Truth]:
        compare = ORDER.get(type(relation))
        if compare is None:
            raise _refuse(self.text, f"{type(relation).__name__} is not permitted")
        if left.place is not None and right.constant is not None:
            return self._threshold(compare, left.place, right.constant)

        def answer(view: View) -> Truth:
            one, two = left.value(view), right.value(view)
            return None if one is None or two is None else compare(one, two)

        return answer

    def _threshold(
        self, compare: Callable[[Fraction, Fraction], bool], place: int, constant: Fraction
    ) -> Callable[[View], Truth]:
        """Compares a signal with a constant by raw integers: what nearly every condition does."""
        spec = self.specs[place]
        factor = spec.numerator * constant.denominator
        limit = constant.numerator * spec.denominator
        by_integers = cast("Callable[[int, int], bool]", compare)

        def answer(view: View) -> Truth:
            raw = view.raw(place)
            return None if raw is None else by_integers(raw * factor, limit)

        return answer

    def _held(self, node: ast.Call) -> Callable[[View], Truth]:
        if len(node.args) != 2 or node.keywords:
            raise _refuse(self.text, "held takes a condition and seconds")
        inner, seconds = self.truth(node.args[0]), self.number(node.args[1]).constant
        if seconds is None or not 0 < seconds <= SECONDS_MAX:
            raise _refuse(self.text, f"held takes from 0 to {SECONDS_MAX} seconds, as a number")
        number, span_us = self.holds, round(seconds * SECOND_US)
        self.holds, self.is_clocked = number + 1, True

        def answer(view: View) -> Truth:
            value, since_us = inner(view), view.since_us[number]
            if not value:
                view.since_us[number] = None
                return value
            if since_us is None or since_us > view.now_us:
                view.since_us[number] = since_us = view.now_us
            return view.now_us - since_us >= span_us

        return answer

    def _arithmetic(self, node: ast.BinOp) -> _Term:
        compute = ARITHMETIC.get(type(node.op))
        if compute is None:
            raise _refuse(self.text, f"{type(node.op).__name__} is not permitted")
        left, right = self.number(node.left).value, self.number(node.right).value

        def value(view: View) -> Number:
            one, two = left(view), right(view)
            if one is None or two is None or (compute is operator.truediv and two == 0):
                return None
            return compute(one, two)

        return _Term(value)

    def _of_numbers(self, node: ast.Call) -> _Term:
        name = cast("ast.Name", node.func).id
        if node.keywords or not node.args or (name == "abs" and len(node.args) > 1):
            raise _refuse(self.text, f"{name} takes numbers alone")
        choose, parts = NUMBERS_OF[name], [self.number(each).value for each in node.args]

        def value(view: View) -> Number:
            numbers = [part(view) for part in parts]
            return None if None in numbers else choose(cast("list[Fraction]", numbers))

        return _Term(value)

    def _signal(self, path: str) -> _Term:
        place = self._place(path)
        spec = self.specs[place]

        def value(view: View) -> Number:
            raw = view.raw(place)
            return None if raw is None else Fraction(raw * spec.numerator, spec.denominator)

        return _Term(value, place=place)

    def _place(self, path: str) -> int:
        spec = signal(path)
        if spec.id not in self.places:
            self.places[spec.id] = len(self.specs)
            self.specs.append(spec)
        return self.places[spec.id]

    def _one_path(self, node: ast.Call) -> str:
        if len(node.args) != 1 or node.keywords:
            raise _refuse(self.text, f"{ast.unparse(node.func)} takes one VSS path")
        (argument,) = node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return argument.value
        return self._bare_path(argument)

    def _bare_path(self, node: ast.expr) -> str:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise _refuse(self.text, f"{ast.unparse(node)!r} is no VSS path")
        return ".".join([node.id, *reversed(parts)])

    def _constant(self, node: ast.Constant) -> Fraction:
        written = ast.unparse(node)
        is_number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
        if not is_number or "e" in written:
            raise _refuse(self.text, f"{written[:40]} is no plain number")
        number = Fraction(written)
        if number > NUMBER_MAX:
            raise _refuse(self.text, f"{written} is too large")
        return number
