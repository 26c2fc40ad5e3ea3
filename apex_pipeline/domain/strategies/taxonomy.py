"""The catalogue of strategies as typed values, read once from `taxonomy.json`.

A shape is a pattern of legs with conditions; a context type (ROLL, CUSTOM_MULTI_LEG, …) is a name that
needs time, ids or positions. The file is data: nothing here knows a particular strategy.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from apex_pipeline.domain.models import OptionRight, Side
from apex_pipeline.domain.strategies.constraints import Bindings, Condition, condition

ROLL = "ROLL"
CUSTOM_MULTI_LEG = "CUSTOM_MULTI_LEG"
UNCLASSIFIED = "UNCLASSIFIED"

Ratio = int | str
"""A whole number of contracts per unit, or a letter that binds to any positive whole number."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A condition of the catalogue: its text and the function read from it."""

    text: str
    holds: Condition

    def __call__(self, bound: Bindings) -> bool:
        """Whether it holds for these strikes, expiries and ratios."""
        return self.holds(bound)


@dataclass(frozen=True, slots=True)
class LegPattern:
    """One option leg of a shape; `strike` and `expiry` are letters, equal letters mean equal values."""

    right: OptionRight
    side: Side
    ratio: Ratio
    strike: str
    expiry: str


@dataclass(frozen=True, slots=True)
class StockPattern:
    """The stock leg of a shape; `ratio` counts lots of the option's multiplier."""

    side: Side
    ratio: Ratio


@dataclass(frozen=True, slots=True)
class Shape:
    """A named pattern of legs.

    `specificity` decides between shapes that match the same legs, the higher wins. `context_required`
    are sentences that legs alone cannot prove. `structural_confidence` bounds what the legs alone may claim.
    `aliases` are the names that brokers, exchanges and textbooks give it, by source.
    """

    id: str
    name: str
    family: str
    legs: tuple[LegPattern, ...]
    stock: StockPattern | None
    constraints: tuple[Constraint, ...]
    inverse: str | None
    specificity: int
    structural_confidence: Decimal
    context_required: tuple[str, ...]
    aliases: Mapping[str, str]

    @property
    def contracts(self) -> int:
        """How many different contracts the shape has, its stock included."""
        return len(self.legs) + (self.stock is not None)


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The whole catalogue under its version; both mappings are keyed by id."""

    version: str
    shapes: Mapping[str, Shape]
    context_types: frozenset[str]


@cache
def taxonomy() -> Taxonomy:
    """The catalogue that ships with the package."""
    text = files("apex_pipeline.domain.strategies").joinpath("taxonomy.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text, parse_float=Decimal)
    shapes = [_shape(item) for item in content["strategies"]]
    return Taxonomy(
        version=content["version"],
        shapes={item.id: item for item in shapes},
        context_types=frozenset(item["id"] for item in content["context_types"]),
    )


def shape(shape_id: str) -> Shape:
    """The shape of this id; KeyError for an id that is none, context types included."""
    return taxonomy().shapes[shape_id]


def label_allows(label: str, strategy_type: str) -> bool:
    """Whether a broker's coarse label can stand for this type; what is no label of Futu's allows everything.

    Futu names equal-width families without direction or ratio, and a close like what it closes; its CUSTOM
    and NONE say nothing. Source: the enumeration OptionStrategyType of the futu-api package, 10.11.
    """
    families = _FUTU_LABELS.get(label.upper())
    known = taxonomy().shapes.get(strategy_type)
    return families is None or known is None or known.family in families


_FUTU_LABELS: Mapping[str, frozenset[str]] = {
    "SINGLE": frozenset({"single"}),
    "COVERED": frozenset({"covered", "protective", "single"}),
    "SPREAD": frozenset({"vertical", "ratio"}),
    "STRADDLE": frozenset({"straddle", "strip"}),
    "STRANGLE": frozenset({"strangle", "guts", "strip"}),
    "COLLAR": frozenset({"collar", "risk_reversal", "synthetic"}),
    "BUTTERFLY": frozenset({"butterfly", "christmas_tree"}),
    "CONDOR": frozenset({"condor"}),
    "IRON_BUTTERFLY": frozenset({"iron"}),
    "IRON_CONDOR": frozenset({"iron"}),
    "CALENDAR_SPREAD": frozenset({"calendar"}),
    "DIAGONAL_SPREAD": frozenset({"diagonal"}),
}


def strategy_ids() -> frozenset[str]:
    """Every id that may stand in `order_strategy_map.strategy_type`: shapes and context types."""
    return frozenset(taxonomy().shapes) | taxonomy().context_types


def _shape(item: Mapping[str, Any]) -> Shape:
    return Shape(
        id=item["id"],
        name=item["name"],
        family=item["family"],
        legs=tuple(_leg(leg) for leg in item["legs"]),
        stock=_stock(item["stock_lots"]),
        constraints=tuple(Constraint(text, condition(text)) for text in item["constraints"]),
        inverse=item["inverse"],
        specificity=item["specificity"],
        structural_confidence=Decimal(item["structural_confidence"]),
        context_required=tuple(item["context_required"]),
        aliases=item["aliases"],
    )


def _leg(leg: Mapping[str, Any]) -> LegPattern:
    side = {"long": Side.BUY, "short": Side.SELL}[leg["side"]]
    return LegPattern(OptionRight(leg["right"]), side, leg["ratio"], leg["strike"], leg["expiry"])


def _stock(lots: int | str) -> StockPattern | None:
    """`1`, `-1`, or a sign and a letter such as `+a`; 0 means no stock."""
    if lots == 0:
        return None
    text = str(lots)
    side, amount = (Side.SELL, text[1:]) if text.startswith("-") else (Side.BUY, text.removeprefix("+"))
    return StockPattern(side, int(amount) if amount.isdigit() else amount)


if TYPE_CHECKING:

    class StrategyType(StrEnum):
        """The ids that a strategy may have; see below."""
else:
    StrategyType = StrEnum("StrategyType", {name: name for name in sorted(strategy_ids())})
    StrategyType.__doc__ = """Every id that a strategy may have, made from the catalogue: shapes and context types."""
