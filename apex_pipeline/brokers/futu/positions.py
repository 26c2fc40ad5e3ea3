"""Position snapshots to the positions that Futu says an account holds. Pure.

A short position is negative here whatever sign the wire gives it. A combination is told twice, as a whole and leg
by leg: only the legs are kept. Costs are Futu's average cost; its diluted cost mixes in realized profit.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from apex_pipeline.brokers.futu import amounts, codes, vocabulary
from apex_pipeline.brokers.futu.codes import Listing
from apex_pipeline.brokers.futu.orders import listing_of
from apex_pipeline.brokers.futu.snapshot_rows import Row, Snapshot, read_each
from apex_pipeline.domain.models import AssetClass, Broker, BrokerPosition, Instrument
from apex_pipeline.domain.records import Record

SOURCE = "futu_positions"


def read(record: Record) -> tuple[Snapshot[BrokerPosition], list[Instrument]]:
    """The positions of a snapshot and their instruments; unreadable rows are its reject."""
    found: list[Instrument] = []

    def position(row: Row, as_of: datetime) -> BrokerPosition | None:
        if row.get("positionType") == vocabulary.COMBINED_POSITION:
            return None
        listing = listing_of(row)
        made = _position(record, row, listing, as_of)
        multiplier = amounts.multiplier_of_position(row, listing)
        found.append(codes.instrument(listing, made.currency, multiplier, row.get("name") or None))
        return made

    read_rows = read_each(record, position)
    kept = [made for made in read_rows.made if made is not None]
    return Snapshot(_told_apart(kept), read_rows.reject), found


def _position(record: Record, row: Row, listing: Listing, as_of: datetime) -> BrokerPosition:
    short = row.get("positionSide") == vocabulary.SHORT_POSITION
    qty = amounts.required(row, "qty")
    qty = -abs(qty) if short else qty
    return BrokerPosition(
        business_date=record.business_date,
        broker=Broker.FUTU,
        account_id=record.account_id,
        broker_position_id=_id(row) or listing.futu_code,
        symbol=listing.symbol,
        underlying=listing.underlying,
        asset_class=listing.asset_class,
        qty=qty,
        average_cost=_average_cost(row, listing, qty),
        mark_price=amounts.number(row, "price"),
        market_value=_market_value(row, listing, short),
        unrealized_pnl=amounts.number(row, "unrealizedPL"),
        realized_pnl=amounts.number(row, "realizedPL"),
        currency=amounts.currency_of(row),
        as_of=as_of,
        source=SOURCE,
    )


def _id(row: Row) -> str | None:
    text = str(row.get("positionID") or "")
    return text if text.strip("0") else None


def _average_cost(row: Row, listing: Listing, qty: Decimal) -> Decimal | None:
    """Futures have one cost, the average; elsewhere the field of that name is the diluted cost."""
    told = amounts.number(row, "averageCostPrice")
    if told is None and listing.asset_class is AssetClass.FUTURE:
        told = amounts.number(row, "costPrice")
    return told if qty else None


def _market_value(row: Row, listing: Listing, short: bool) -> Decimal | None:
    """Signed as the quantity; None for futures, where the field is always 0."""
    value = amounts.number(row, "val")
    if value is None or (listing.asset_class is AssetClass.FUTURE and not value):
        return None
    return -abs(value) if short else value


def _told_apart(positions: list[BrokerPosition]) -> list[BrokerPosition]:
    """Positions under ids that are all different; equal ids are numbered in the order told."""
    seen: Counter[str] = Counter()
    told: list[BrokerPosition] = []
    for position in positions:
        own = position.broker_position_id
        seen[own] += 1
        told.append(position if seen[own] == 1 else replace(position, broker_position_id=f"{own}#{seen[own]}"))
    return told
