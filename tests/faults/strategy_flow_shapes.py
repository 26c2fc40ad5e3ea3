"""Naming by shape, written from the catalogue's matching rule alone: what a set of held legs is called."""

import json
import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from itertools import permutations
from pathlib import Path
from types import CodeType
from typing import Any

import apex_pipeline
from tests.faults.strategy_flow_market import Paper

_CATALOGUE = Path(apex_pipeline.__file__).parent / "domain" / "strategies" / "taxonomy.json"
_DEEP = Decimal("0.97")
Bound = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    """One row of the catalogue, ready to be tried on legs."""

    name: str
    family: str
    legs: tuple[tuple[str, int, int | str, str, str], ...]
    stock: int | str
    rules: tuple[CodeType, ...]
    specificity: int


@cache
def shapes() -> tuple[Shape, ...]:
    """The catalogue, most specific first; free cash is not in the file, so no put is cash-secured."""
    rows: list[dict[str, Any]] = json.loads(_CATALOGUE.read_text())["strategies"]
    made = [
        Shape(
            row["id"],
            row["family"],
            tuple(
                (
                    {"C": "call", "P": "put"}[one["right"]],
                    1 if one["side"] == "long" else -1,
                    one["ratio"],
                    one["strike"],
                    one["expiry"],
                )
                for one in row["legs"]
            ),
            row["stock_lots"],
            tuple(compile(rule, row["id"], "eval") for rule in row["constraints"]),
            row["specificity"],
        )
        for row in rows
        if row["id"] != "CASH_SECURED_PUT"
    ]
    return tuple(sorted(made, key=lambda one: (-one.specificity, one.name)))


def families() -> dict[str, str]:
    """The family of each type; a context type is a family of its own."""
    return {one.name: one.family for one in shapes()} | {"CASH_SECURED_PUT": "single"}


def _bind(bound: Bound, name: int | str, value: object) -> bool:
    """Ties a variable of the shape to a value, or compares it with what it is tied to."""
    if isinstance(name, int):
        return name == value
    key = name.lstrip("+-")
    return bound.setdefault(key, value) == value


def _fits(shape: Shape, legs: tuple[tuple[Paper, int], ...], stock: int) -> Bound | None:
    if isinstance(shape.stock, int) and shape.stock != stock:
        return None
    if isinstance(shape.stock, str) and stock <= 0:
        return None
    for order in permutations(legs):
        bound: Bound = {}
        told = zip(shape.legs, order, strict=True)
        if all(
            right == paper.kind
            and side * qty > 0
            and _bind(bound, ratio, abs(qty))
            and _bind(bound, strike, paper.strike)
            and _bind(bound, expiry, paper.expiry)
            for (right, side, ratio, strike, expiry), (paper, qty) in told
        ):
            _bind(bound, shape.stock, abs(stock) if isinstance(shape.stock, str) else stock)
            if all(eval(rule, {"__builtins__": {}}, bound) for rule in shape.rules):
                return bound
    return None


def _deep_enough(shape: Shape, bound: Bound, spot: Decimal | None) -> bool:
    """The context that poor man's structures need: far leg deep in the money, thirty days longer."""
    if not shape.name.startswith("POOR_MANS"):
        return True
    near: date = bound["E1"]
    far: date = bound["E2"]
    if spot is None or (far - near).days < 30:
        return False
    call = shape.name == "POOR_MANS_COVERED_CALL"
    return bool(bound["K1"] < spot * _DEEP) if call else bool(bound["K2"] * _DEEP > spot)


def name_of(legs: dict[Paper, int], lot: int, spot: Decimal | None = None) -> str | None:
    """The most specific type of held legs (signed contracts and shares); None without a named shape."""
    options = {paper: qty for paper, qty in legs.items() if qty and paper.kind != "stock"}
    shares = sum(qty for paper, qty in legs.items() if paper.kind == "stock")
    if not options and shares:
        return "LONG_STOCK" if shares > 0 else "SHORT_STOCK"
    if not options or shares % lot or len(options) > 4:
        return None
    unit = math.gcd(shares // lot, *options.values())
    normal = tuple((paper, qty // unit) for paper, qty in options.items())
    signs = sorted((paper.kind, qty > 0) for paper, qty in normal)
    for shape in shapes():
        if sorted((right, side > 0) for right, side, *_ in shape.legs) == signs:
            bound = _fits(shape, normal, shares // lot // unit)
            if bound is not None and _deep_enough(shape, bound, spot):
                return shape.name
    return None


def single_name(paper: Paper, qty: int) -> str:
    """The type of one held leg by itself."""
    return f"{'LONG' if qty > 0 else 'SHORT'}_{paper.kind.upper()}"
