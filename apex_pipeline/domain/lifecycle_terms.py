"""What one option contract delivers, as far as it is known: the arithmetic of its end. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Context, Decimal
from zoneinfo import ZoneInfo

from apex_pipeline.domain.models import AssetClass, Instrument, OptionRight, TradeKind

EXACT = Context(prec=40)

HK_INDEX_CLASSES = frozenset({"HSI", "HHI", "HTI", "MHI", "MCH", "PHS", "PHH"})
"""HKEX classes of index options, which are settled in cash."""

_ZONES = {"US": ZoneInfo("America/New_York")}
_OTHERS = ZoneInfo("Asia/Hong_Kong")


class Undecided(Exception):
    """What was observed does not say how an option ended. `reason_code` is stable; the text is for people."""

    def __init__(self, reason_code: str, reason: str) -> None:
        super().__init__(reason)
        self.reason_code = reason_code


@dataclass(frozen=True, slots=True)
class Terms:
    """An option contract. `multiplier`: units of the underlying per contract, None where it is not known."""

    symbol: str
    market: str
    underlying: str | None
    strike: Decimal
    expiry: date
    right: OptionRight
    multiplier: Decimal | None
    currency: str | None
    cash_settled: bool

    @property
    def adjusted(self) -> bool:
        """Whether a US class is not that of its stock: such a contract delivers something else than its shares."""
        return self.market == "US" and self.underlying is not None and self.symbol.partition(" ")[0] != self.underlying

    def contracts_for(self, amount: Decimal, kind: TradeKind) -> Decimal:
        """How many contracts a signed amount of cash delivers; raises Undecided."""
        size, _ = self.deliverable()
        if (amount < 0) != self.pays(kind):
            raise Undecided("contradicting_cash", f"{kind} of {self.symbol} cannot move {amount}")
        contracts = EXACT.divide(abs(amount), EXACT.multiply(self.strike, size))
        if not contracts or contracts != contracts.to_integral_value():
            raise Undecided(
                "not_whole", f"{abs(amount)} is no whole number of contracts of {self.symbol} for {size} shares each"
            )
        return contracts.quantize(Decimal(1))

    def deliverable(self) -> tuple[Decimal, str]:
        """Shares per contract and their symbol; raises Undecided where either is not known."""
        if self.underlying is None:
            raise Undecided("unknown_underlying", f"the stock behind {self.symbol} is not known")
        if self.adjusted:
            raise Undecided(
                "adjusted_contract", f"{self.symbol} is an adjusted contract: what it delivers is not known"
            )
        if self.multiplier is None:
            raise Undecided("unknown_multiplier", f"the contract size of {self.symbol} is not known")
        return self.multiplier, self.underlying

    def pays(self, kind: TradeKind) -> bool:
        """Whether the account buys the shares: assigned on a put, or exercising a call."""
        return (kind is TradeKind.ASSIGNMENT) == (self.right is OptionRight.PUT)


def terms_of(symbol: str, instruments: Mapping[str, Instrument], traded_multiplier: Decimal | None) -> Terms:
    """The terms of an option; `traded_multiplier` where its instrument tells none. Raises Undecided.

    Where neither tells, the contract size is that of all other contracts of its class, if they agree.
    """
    known = instruments.get(symbol)
    if known is None or known.strike is None or known.expiry is None or known.option_right is None:
        raise Undecided("unknown_contract", f"strike, expiry or right of {symbol} are not known")
    return Terms(
        symbol=symbol,
        market=symbol.partition(".")[0],
        underlying=known.underlying,
        strike=known.strike,
        expiry=known.expiry,
        right=known.option_right,
        multiplier=known.multiplier or traded_multiplier or _multiplier_of_class(symbol, instruments),
        currency=known.currency,
        cash_settled=_is_cash_settled(known, instruments),
    )


def zone_of(market: str) -> ZoneInfo:
    """The zone whose calendar date is the exchange's."""
    return _ZONES.get(market, _OTHERS)


def _multiplier_of_class(symbol: str, instruments: Mapping[str, Instrument]) -> Decimal | None:
    option_class = symbol.partition(" ")[0] + " "
    sizes = {one.multiplier for name, one in instruments.items() if name.startswith(option_class) and one.multiplier}
    return sizes.pop() if len(sizes) == 1 else None


def _is_cash_settled(option: Instrument, instruments: Mapping[str, Instrument]) -> bool:
    market, _, option_class = option.symbol.partition(" ")[0].partition(".")
    underlying = instruments.get(option.underlying or "")
    return (
        (option.underlying or "").startswith(f"{market}..")
        or (market == "HK" and option_class in HK_INDEX_CLASSES)
        or (underlying is not None and underlying.asset_class is AssetClass.INDEX)
    )
