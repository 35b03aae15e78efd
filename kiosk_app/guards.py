"""Guard expressions of service documents: a few operators over facts, and nothing else.

Place in the flow: **guards** → service, which compiles them at loading → flow, which asks them.

* The language is a whitelist of syntax nodes: no attribute, subscript, comprehension, lambda,
  power or format; calls only to `min`, `max`, `abs` and `len`; a name starting with `_` is refused.
* It is bounded before it runs: length of the text, number of nodes, depth, and size of every
  number on the way, so that a hostile document can waste neither time nor memory.
* Arithmetic is on integers only; a comparison of unlike things is an error, never a surprise.
"""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from edge.errors import LocalError, PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TEXT_CHARACTERS_MAX: Final = 300
NODES_MAX: Final = 80
DEPTH_MAX: Final = 20
NUMBER_MAX: Final = 10**15

CALLS: Final[Mapping[str, Callable[..., Any]]] = {"min": min, "max": max, "abs": abs, "len": len}
ARITHMETIC: Final[Mapping[type, Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
ORDER: Final[Mapping[type, Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
PERMITTED: Final = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp,
    ast.Compare, ast.Name, ast.Load, ast.Constant, ast.Call, *ARITHMETIC, *ORDER,
)  # fmt: skip


class GuardError(PeerError):
    """An expression that is not of this language, or that cannot be answered."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "guard")


@dataclass(frozen=True, slots=True)
class Guard:
    """A checked expression.

    Attributes:
        text: As the document has it.
        names: The facts that it asks for.
    """

    text: str
    names: frozenset[str]
    _tree: ast.expr

    def holds(self, facts: Mapping[str, object]) -> bool:
        """Tells whether the expression is true of these facts.

        Raises:
            LocalError: A fact is missing.
            GuardError: It compares or computes what does not go together.
        """
        return bool(_value(self._tree, facts))


def read_guard(text: str) -> Guard:
    """Reads an expression such as `amount_fen % 1000 == 0 and amount_fen <= max_fen`.

    Raises:
        GuardError: It is too long, no expression, or uses what is not permitted.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise GuardError(f"A guard has at most {TEXT_CHARACTERS_MAX} characters; split it.")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise GuardError(f"The guard {text!r} is no expression.") from error
    nodes = list(ast.walk(tree))
    if len(nodes) > NODES_MAX or _depth(tree.body, 0) > DEPTH_MAX:
        raise GuardError(f"The guard {text!r} is too complicated; split it.")
    for node in nodes:
        _permit(node, text)
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    names = (node for node in nodes if isinstance(node, ast.Name) and id(node) not in called)
    return Guard(text, frozenset(node.id for node in names), tree.body)


def _depth(node: ast.AST, depth: int) -> int:
    if depth > DEPTH_MAX:
        return depth
    return max((_depth(child, depth + 1) for child in ast.iter_child_nodes(node)), default=depth)


def _permit(node: ast.AST, text: str) -> None:
    refusal = ""
    if not isinstance(node, PERMITTED):
        refusal = f"{type(node).__name__} is not permitted"
    elif isinstance(node, ast.Name) and node.id.startswith("_"):
        refusal = "a name may not start with an underscore"
    elif isinstance(node, ast.Constant) and not isinstance(node.value, (bool, int, str)):
        refusal = "only whole numbers, texts, True and False may stand in it"
    elif isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > NUMBER_MAX:
        refusal = "a number is too large"
    elif isinstance(node, ast.Call) and not _is_permitted_call(node):
        refusal = f"only {', '.join(CALLS)} may be called"
    if refusal:
        raise GuardError(f"The guard {text!r} is refused: {refusal}.")


def _is_permitted_call(node: ast.Call) -> bool:
    named = isinstance(node.func, ast.Name) and node.func.id in CALLS
    return named and not node.keywords and bool(node.args)


def _value(node: ast.expr, facts: Mapping[str, object]) -> Any:  # noqa: ANN401 - a fact of any kind
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            if node.id not in facts:
                raise LocalError(f"A guard asks for {node.id}, which is not known.", "guard-fact")
            return facts[node.id]
        case ast.BoolOp():
            parts = (bool(_value(each, facts)) for each in node.values)
            return all(parts) if isinstance(node.op, ast.And) else any(parts)
        case ast.UnaryOp():
            inner = _value(node.operand, facts)
            return not inner if isinstance(node.op, ast.Not) else -_integer(inner)
        case ast.BinOp():
            return _computed(node, facts)
        case ast.Compare():
            return _compared(node, facts)
        case ast.Call():
            return _called(node, facts)
    raise AssertionError("a node that reading lets through is answered here")


def _computed(node: ast.BinOp, facts: Mapping[str, object]) -> int:
    left, right = _integer(_value(node.left, facts)), _integer(_value(node.right, facts))
    if right == 0 and isinstance(node.op, (ast.FloorDiv, ast.Mod)):
        raise GuardError("A guard divides by zero.")
    return _integer(ARITHMETIC[type(node.op)](left, right))


def _compared(node: ast.Compare, facts: Mapping[str, object]) -> bool:
    left = _value(node.left, facts)
    for relation, each in zip(node.ops, node.comparators, strict=True):
        right = _value(each, facts)
        if type(left) is not type(right):
            raise GuardError("A guard compares two things of different kinds.")
        if not ORDER[type(relation)](left, right):
            return False
        left = right
    return True


def _called(node: ast.Call, facts: Mapping[str, object]) -> int:
    assert isinstance(node.func, ast.Name)
    values: Sequence[Any] = [_value(each, facts) for each in node.args]
    if node.func.id == "len":
        if len(values) != 1 or not isinstance(values[0], (str, bytes)):
            raise GuardError("A guard asks for the length of something without one.")
        return len(values[0])
    numbers = [_integer(each) for each in values]
    if node.func.id == "abs":
        return abs(numbers[0])
    return min(numbers) if node.func.id == "min" else max(numbers)


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > NUMBER_MAX:
        raise GuardError("A guard computes with what is no number, or one that is too large.")
    return value
