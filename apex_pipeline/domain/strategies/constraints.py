"""Conditions of the catalogue such as `K2-K1==K3-K2`, read once into functions; never evaluated as Python.

Only names, whole numbers, `+ - *`, comparisons and `and or not` exist in this language.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import TypeVar

Bindings = Mapping[str, int]
"""Values of strike letters (steps), expiry letters (days) and ratio letters: whole numbers all."""

Number = Callable[[Bindings], int]
Condition = Callable[[Bindings], bool]

_Node = TypeVar("_Node")
_Function = TypeVar("_Function")

_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def condition(text: str) -> Condition:
    """The function that tells whether `text` holds for given bindings; ValueError for anything else."""
    try:
        return _condition(ast.parse(text, mode="eval").body)
    except (SyntaxError, TypeError) as error:
        raise ValueError(f"constraint {text!r} cannot be read: {error}") from error


def _condition(node: ast.expr) -> Condition:
    match node:
        case ast.Compare(left=left, ops=ops, comparators=right):
            return _comparison([_number(part) for part in (left, *right)], ops)
        case ast.BoolOp(op=ast.And(), values=values):
            parts = [_condition(value) for value in values]
            return lambda bound: all(part(bound) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=values):
            parts = [_condition(value) for value in values]
            return lambda bound: any(part(bound) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            negated = _condition(operand)
            return lambda bound: not negated(bound)
        case _:
            raise TypeError(f"{type(node).__name__} is not a condition")


def _comparison(numbers: list[Number], ops: list[ast.cmpop]) -> Condition:
    """A chain such as K1<K2<=K3 holds when each neighbouring pair does."""
    tests = [_known(_COMPARISONS, op) for op in ops]
    pairs = list(zip(tests, numbers[:-1], numbers[1:], strict=True))
    return lambda bound: all(test(left(bound), right(bound)) for test, left, right in pairs)


def _number(node: ast.expr) -> Number:
    match node:
        case ast.Name(id=name):
            return lambda bound: bound[name]
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return lambda _bound: value
        case ast.BinOp(left=left, op=op, right=right):
            apply, first, second = _known(_ARITHMETIC, op), _number(left), _number(right)
            return lambda bound: apply(first(bound), second(bound))
        case _:
            raise TypeError(f"{type(node).__name__} is not a number")


def _known(table: Mapping[type[_Node], _Function], op: _Node) -> _Function:
    found = table.get(type(op))
    if found is None:
        raise TypeError(f"{type(op).__name__} is not part of the language")
    return found
