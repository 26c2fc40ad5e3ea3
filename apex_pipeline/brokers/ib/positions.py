"""What an account held at the end of a day: OpenPositions as positions and as the open lots behind them."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import reduce

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.rows import Row, read_each
from apex_pipeline.brokers.ib.securities import required
from apex_pipeline.brokers.ib.symbols import Named
from apex_pipeline.brokers.ib.times import NEW_YORK
from apex_pipeline.brokers.ib.trades import SOURCE
from apex_pipeline.domain.models import AssetClass, Broker, BrokerPosition, Instrument
from apex_pipeline.domain.records import Record, Reject
from apex_pipeline.domain.statements import BrokerLot

_PRICE_PLACES = Decimal("1E-12")
_LOT = "LOT"

Held = tuple[Row, Named]
"""A row of OpenPositions and its instrument."""


def positions_of(
    record: Record, rejects: list[Reject]
) -> tuple[list[BrokerPosition], list[BrokerLot], list[Instrument]]:
    """The positions of one snapshot, its lots, and their instruments; unreadable rows are added to `rejects`.

    A query may deliver sums, lots or both: a contract without a sum is the sum of its lots.
    """
    sums: dict[str, list[Held]] = {}
    lots: dict[str, list[Held]] = {}

    def take(row: Row) -> None:
        held = row, required(row.told)
        _ = _checked(row.told)
        group = lots if is_lot(row.told) else sums
        group.setdefault(row.told.id("conid") or held[1].instrument.symbol, []).append(held)

    read_each(record, take, rejects)
    ids = sorted(sums.keys() | lots.keys())
    positions = [_position(own, sums.get(own) or lots[own]) for own in ids]
    open_lots = [lot for own in sorted(lots) for lot in _lots(own, lots[own])]
    instruments = [(sums.get(own) or lots[own])[0][1].instrument for own in ids]
    return positions, open_lots, instruments


def is_lot(row: Attributes) -> bool:
    """Whether the row is one lot of a position; without a level, only lots say when they were opened."""
    level = row.text("levelOfDetail")
    return level.upper() == _LOT if level else row.text("openDateTime") is not None


def as_of(record: Record) -> datetime:
    """When the broker told this state: when it wrote the statement, else the end of the day in New York; UTC."""
    if record.generated_at is not None:
        return record.generated_at
    return datetime.combine(record.business_date + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)


def _checked(row: Attributes) -> Decimal:
    """The signed quantity; UnknownPayload where it or any number that a position is made of cannot be read."""
    for name in ("markPrice", "positionValue", "costBasisPrice", "costBasisMoney", "fifoPnlUnrealized", "openPrice"):
        _ = row.number(name)
    _ = row.instant("openDateTime")
    return row.required_number("position")


def _position(own: str, rows: Sequence[Held]) -> BrokerPosition:
    """One contract; several rows of it (models of an account, or lots) are added up."""
    (first, named), record = rows[0], rows[0][0].record
    instrument, qty = named.instrument, _sum(rows, "position") or Decimal(0)
    cost = first.told.number("costBasisPrice") if len(rows) == 1 else _unit_cost(rows, qty, instrument)
    return BrokerPosition(
        business_date=record.business_date,
        broker=Broker.IB,
        account_id=record.account_id,
        broker_position_id=own,
        symbol=instrument.symbol,
        underlying=instrument.underlying,
        asset_class=instrument.asset_class,
        qty=qty,
        average_cost=cost,
        mark_price=first.told.number("markPrice"),
        market_value=_sum(rows, "positionValue"),
        unrealized_pnl=_sum(rows, "fifoPnlUnrealized"),
        realized_pnl=None,
        currency=first.told.text("currency"),
        as_of=as_of(record),
        source=SOURCE,
    )


def _sum(rows: Sequence[Held], name: str) -> Decimal | None:
    """The sum of an attribute; None where a row does not tell it."""
    told = [row.told.number(name) for row, _ in rows]
    known = [value for value in told if value is not None]
    return reduce(EXACT.add, known) if len(known) == len(told) else None


def _unit_cost(rows: Sequence[Held], qty: Decimal, instrument: Instrument) -> Decimal | None:
    """The average of the rows' costs per unit, else their money by the size; a bond's price is no money per unit."""
    if not qty:
        return None
    prices = [(row.told.number("costBasisPrice"), row.told.required_number("position")) for row, _ in rows]
    known = [EXACT.multiply(price, size) for price, size in prices if price is not None]
    money, size = _sum(rows, "costBasisMoney"), instrument.multiplier
    if len(known) == len(prices):
        cost = EXACT.divide(reduce(EXACT.add, known), qty)
    elif money is not None and size is not None and instrument.asset_class is not AssetClass.BOND:
        cost = EXACT.divide(money, EXACT.multiply(qty, size))
    else:
        return None
    return EXACT.quantize(cost, _PRICE_PLACES).normalize(EXACT)


def _lots(own: str, rows: Sequence[Held]) -> list[BrokerLot]:
    """The lots of one contract, numbered where the trade that opened them does not tell them apart."""
    seen: dict[str, int] = {}
    made: list[BrokerLot] = []
    for row, named in sorted(rows, key=_age):
        opened_by = row.told.id("originatingTransactionID")
        stem = f"IB_{row.record.account_id}_{row.record.business_date}_{own}_{opened_by or ''}"
        seen[stem] = seen.get(stem, 0) + 1
        made.append(_lot(f"{stem}#{seen[stem]}", row, named.instrument, opened_by))
    return made


def _age(held: Held) -> tuple[str, ...]:
    told = held[0].told
    opened = told.instant("openDateTime")
    stamp = opened.isoformat() if opened else ""
    return stamp, *(told.text(name) or "" for name in ("originatingTransactionID", "position", "costBasisMoney"))


def _lot(uid: str, row: Row, instrument: Instrument, opened_by: str | None) -> BrokerLot:
    told, record = row.told, row.record
    return BrokerLot(
        lot_uid=uid,
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        symbol=instrument.symbol,
        underlying=instrument.underlying,
        asset_class=instrument.asset_class,
        qty=told.required_number("position"),
        opened_at=told.instant("openDateTime"),
        open_price=told.number("openPrice"),
        cost_basis=told.number("costBasisMoney"),
        market_value=told.number("positionValue"),
        unrealized_pnl=told.number("fifoPnlUnrealized"),
        currency=told.text("currency"),
        open_trade_id=opened_by,
        source=SOURCE,
        instrument_id=instrument.ib_conid,
    )
