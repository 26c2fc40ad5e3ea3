"""Snapshots that TWS told, as positions and balances. Pure.

TWS tells the cost of a whole contract, commissions included; here a cost is per unit of the underlying. It tells no
marks with its positions.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.provisional import TWS
from apex_pipeline.brokers.ib.symbols import instrument_of
from apex_pipeline.brokers.ib.tws_contract import flex_words, number
from apex_pipeline.domain.models import AssetClass, Broker, BrokerBalance, BrokerPosition, Instrument
from apex_pipeline.domain.money import decimal_of
from apex_pipeline.domain.records import Record, RecordKind
from apex_pipeline.domain.snapshots import AccountFigures
from apex_pipeline.errors import UnknownPayload

_BASE = "BASE"
_PLACES = Decimal("1E-12")
_HELD = (
    "StockMarketValue", "OptionMarketValue", "FutureOptionValue", "FundValue", "MutualFundValue",
    "MoneyMarketFundValue", "TBondValue", "TBillValue", "CorporateBondValue", "IssuerOptionValue", "WarrantValue",
    "CryptocurrencyValue",
)  # fmt: skip
"""Values of the ledger that are holdings; they add up to the market value of an account."""


def tws_positions(record: Record) -> list[BrokerPosition]:
    """The positions of a snapshot, without those of quantity 0. UnknownPayload if one cannot be read."""
    found = [(row, _described(record, row)) for row in record.payload["rows"]]
    made = [_position(record, row, instrument) for row, instrument in found]
    return [position for position in made if position.qty]


def tws_instruments(record: Record) -> list[Instrument]:
    """The instruments of a snapshot's positions. UnknownPayload if one cannot be read."""
    return [_described(record, row) for row in record.payload["rows"]]


def tws_balances(record: Record) -> list[BrokerBalance]:
    """The cash by currency, totals on the row of the base currency. UnknownPayload if an amount cannot be read.

    Without cash by currency, the total cash stands on that row, as the base currency counts it.
    """
    told: dict[tuple[str, str], str] = {(row["tag"], row["currency"]): row["value"] for row in record.payload["rows"]}
    base = next((unit for tag, unit in sorted(told) if tag == "NetLiquidation" and unit), None)
    cash: dict[str, Decimal | None] = {}
    for tag in ("CashBalance", "TotalCashBalance"):  # the total, where both are told
        units = [unit for name, unit in told if name == tag and unit not in ("", _BASE)]
        cash |= {unit: _number(told[(tag, unit)]) for unit in units}
    if not cash and base:
        cash[base] = _number(told.get(("TotalCashValue", base)))
    units: list[str] = sorted(cash if base is None else {*cash, base})
    return [_balance(record, unit, cash.get(unit), told if unit == base else {}) for unit in units]


def tws_figures(record: Record) -> AccountFigures:
    """What a summary says of the whole account, in its base currency. UnknownPayload if an amount cannot be read."""
    told: dict[tuple[str, str], str] = {(row["tag"], row["currency"]): row["value"] for row in record.payload["rows"]}
    base = next((unit for tag, unit in sorted(told) if tag == "NetLiquidation" and unit), None)
    return AccountFigures(
        net_liquidation=_number(told.get(("NetLiquidation", base or ""))),
        total_cash_value=_number(told.get(("TotalCashValue", base or ""))),
        unrealized_pnl=_number(told.get(("UnrealizedPnL", _BASE))),
        realized_pnl=_number(told.get(("RealizedPnL", _BASE))),
        margin_used=_number(told.get(("InitMarginReq", base or ""))),
        currency=base,
    )


def _described(record: Record, row: Mapping[str, Any]) -> Instrument:
    contract = row["contract"]
    words: dict[str, Any] = {**flex_words(contract)}
    row_record = Record(RecordKind.POSITIONS, record.account_id, "", record.business_date, words)
    return instrument_of(Attributes(row_record)).instrument


def _position(record: Record, row: Mapping[str, Any], instrument: Instrument) -> BrokerPosition:
    qty = _number(row["position"])
    if qty is None:
        raise UnknownPayload("missing_position", f"the position of {instrument.symbol} has no quantity")
    return BrokerPosition(
        business_date=record.business_date,
        broker=Broker.IB,
        account_id=record.account_id,
        broker_position_id=row["contract"]["conId"] or instrument.symbol,
        symbol=instrument.symbol,
        underlying=instrument.underlying,
        asset_class=instrument.asset_class,
        qty=qty,
        average_cost=_cost_per_unit(row, instrument),
        mark_price=None,
        market_value=None,
        unrealized_pnl=None,
        realized_pnl=None,
        currency=instrument.currency,
        as_of=_as_of(record),
        source=TWS,
    )


def _cost_per_unit(row: Mapping[str, Any], instrument: Instrument) -> Decimal | None:
    """The cost without the multiplier; None for bonds, whose unit is not told."""
    cost = _number(row["avgCost"])
    if cost is None or instrument.asset_class is AssetClass.BOND:
        return None
    multiplier = instrument.multiplier or Decimal(1)
    return cost if multiplier == 1 else _rounded(EXACT.divide(cost, multiplier))


def _rounded(value: Decimal) -> Decimal:
    """The value to twelve places, without the zeros that a division leaves."""
    text = f"{EXACT.quantize(value, _PLACES):f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _balance(record: Record, unit: str, cash: Decimal | None, totals: Mapping[tuple[str, str], str]) -> BrokerBalance:
    held = [value for tag in _HELD if (value := _number(totals.get((tag, _BASE)))) is not None]
    return BrokerBalance(
        business_date=record.business_date,
        broker=Broker.IB,
        account_id=record.account_id,
        currency=unit,
        cash=cash,
        net_liquidation=_number(totals.get(("NetLiquidation", unit))),
        market_value=sum(held, Decimal(0)) if held else None,
        as_of=_as_of(record),
        source=TWS,
    )


def _number(text: str | None) -> Decimal | None:
    told = number(text)
    return decimal_of(told) if told else None


def _as_of(record: Record) -> datetime:
    return datetime.fromisoformat(record.payload["asOf"])
