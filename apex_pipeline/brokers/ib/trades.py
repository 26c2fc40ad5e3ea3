"""Trade records as trade rows: what a row is, which way it went, and which order it belongs to."""

from collections.abc import Collection
from decimal import Decimal

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.symbols import Named
from apex_pipeline.domain.models import Broker, Side, Trade, TradeKind
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

SOURCE = "FLEX"
_EXEC_ID_PARTS = 4
_SINGLE_LEG = "01"
_EFFECTS = {frozenset("O"): "OPEN", frozenset("C"): "CLOSE", frozenset("CO"): "CLOSE_OPEN"}
_BOOKED = (
    (frozenset({"A"}), TradeKind.ASSIGNMENT),
    (frozenset({"Ex", "AEx", "MEx"}), TradeKind.EXERCISE),
    (frozenset({"Ep"}), TradeKind.EXPIRATION),
)


def trade_of(record: Record, named: Named, reversed_records: Collection[tuple[str, str]]) -> Trade:
    """The trade row of a record. `reversed_records` holds (account, key) of originals that were reversed.

    UnknownPayload if quantity, price, side, time or a number cannot be read.
    """
    row, instrument = Attributes(record), named.instrument
    kind, signed = kind_of_trade(row), row.required_number("quantity")
    qty, price = abs(signed), row.required_number("tradePrice")
    cancelled = kind is TradeKind.CANCEL or (record.account_id, record.key) in reversed_records
    return Trade(
        trade_uid=trade_uid(row),
        order_uid=order_uid(row),
        broker=Broker.IB,
        account_id=record.account_id,
        broker_trade_id=record.key,
        exec_id=row.id("ibExecID"),
        market=named.market,
        symbol=instrument.symbol,
        underlying=instrument.underlying,
        asset_class=instrument.asset_class,
        kind=kind,
        effective=not cancelled,
        side=_side(row, kind, signed),
        qty=qty,
        price=price,
        multiplier=instrument.multiplier,
        amount=_amount(qty, price, instrument.multiplier),
        currency=row.text("currency"),
        executed_at=row.executed_at(),
        trade_date=record.business_date,
        settle_date=row.date("settleDateTarget"),
        position_effect=_position_effect(row),
        link_id=row.id("positionActionID") or combo_stem(row),
        source=SOURCE,
        report_date=row.date("reportDate"),
        instrument_id=instrument.ib_conid,
    )


def trade_uid(row: Attributes) -> str:
    """`IB_{account}_{ibExecID}`, or `IB_{account}_T{transactionID}` for rows without an execution id."""
    exec_id = row.id("ibExecID")
    return f"IB_{row.record.account_id}_{exec_id}" if exec_id else uid_of_transaction(row.record)


def uid_of_transaction(record: Record) -> str:
    """`IB_{account}_T{transactionID}`, which no other row has."""
    return f"IB_{record.account_id}_T{record.key}"


def order_uid(row: Attributes) -> str | None:
    """`IB_{account}_{ibOrderID}`; None for book trades, whose ibOrderID only repeats the transactionID."""
    order_id = row.id("ibOrderID")
    repeated = order_id == row.id("transactionID") and row.id("ibExecID") is None
    if order_id is None or repeated or row.text("transactionType") == "BookTrade":
        return None
    return f"IB_{row.record.account_id}_{order_id}"


def kind_of_trade(row: Attributes) -> TradeKind:
    """What the row is; both legs of an assignment or exercise carry its kind."""
    transaction, notes = row.text("transactionType") or "", row.notes()
    if is_cancel(row):
        return TradeKind.CANCEL
    if transaction != "BookTrade":
        return TradeKind.TRADE
    return next((kind for codes, kind in _BOOKED if codes & notes), TradeKind.OTHER)


def is_cancel(row: Attributes) -> bool:
    """True for a row that takes an earlier one back."""
    return (row.text("transactionType") or "").endswith("Cancel") or "Ca" in row.notes()


def is_reversing(row: Attributes) -> bool:
    """True for a row that takes an earlier one back, also where it counts itself."""
    return is_cancel(row) or row.text("transactionType") == "TradeCorrect"


def combo_stem(row: Attributes) -> str | None:
    """`session.seq` of a combo leg's execution id: legs of one combination share it; None outside combos."""
    parts = (row.id("ibExecID") or "").split(".")
    is_leg = len(parts) == _EXEC_ID_PARTS and parts[2].isdigit() and parts[2] != _SINGLE_LEG
    return f"{parts[0]}.{parts[1]}" if is_leg else None


def _side(row: Attributes, kind: TradeKind, signed: Decimal) -> Side:
    """The direction: a cancel's quantity is the negated one of its original and tells its own."""
    told = (row.text("buySell") or "").upper()
    by_sign = Side.BUY if signed > 0 else Side.SELL
    if kind is TradeKind.CANCEL and signed:
        return by_sign
    for side in (Side.BUY, Side.SELL):
        if told.startswith(side):
            return side if kind is not TradeKind.CANCEL else _opposite(side)
    if signed:
        return by_sign
    raise UnknownPayload("missing_side", "the row has neither buySell nor a signed quantity")


def _opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _amount(qty: Decimal, price: Decimal, multiplier: Decimal | None) -> Decimal | None:
    return None if multiplier is None else EXACT.multiply(EXACT.multiply(qty, price), multiplier)


def _position_effect(row: Attributes) -> str | None:
    told = (row.text("openCloseIndicator") or "").replace(",", ";").replace(" ", "")
    return _EFFECTS.get(frozenset(told.split(";")) - {""}) if told else None
