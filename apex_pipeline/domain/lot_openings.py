"""How a lot begins: what a movement opens, and what was open already where matching starts."""

from decimal import Decimal

from apex_pipeline.domain.ledger import BasisSource, Lot, LotMethod, MovementKind, PositionMovement
from apex_pipeline.domain.lot_book import OpenUnits
from apex_pipeline.domain.lot_shares import ZERO, share, trimmed, trimmed_or_none

_WITHOUT_TRADE = frozenset({MovementKind.OPENING, MovementKind.TRANSFER, MovementKind.CORPORATE_ACTION})
_SOURCES = {source.value: source for source in BasisSource}


def opened(row: PositionMovement, units: Decimal, carried: Decimal | None, method: LotMethod) -> OpenUnits:
    """The lot of the last `units` of a movement, with their part of its fees and of the P&L carried into it.

    Where what is carried is not known, None, the basis is not either.
    """
    whole = abs(row.qty)
    start = whole - units
    price = None if carried is None else row.price
    return OpenUnits(
        row.movement_uid,
        row.broker,
        row.account_id,
        row.instrument_id,
        row.symbol,
        row.underlying,
        row.asset_class,
        None if row.kind in _WITHOUT_TRADE else row.movement_uid,
        row.kind,
        row.moved_at,
        row.business_date,
        row.business_date,
        row.ordered_at,
        row.place,
        row.sequence,
        row.qty > 0,
        trimmed(units),
        ZERO,
        trimmed_or_none(price),
        trimmed_or_none(row.multiplier),
        None if row.fees is None else trimmed(share(row.fees, start, whole, whole)),
        trimmed(share(carried, start, whole, whole)) if carried else ZERO,
        row.currency,
        method,
        BasisSource.UNKNOWN if price is None or row.multiplier is None else _source(row),
    )


def _source(row: PositionMovement) -> BasisSource:
    """Openings say it in place of an effect; all else is known from trades."""
    if row.kind is not MovementKind.OPENING:
        return BasisSource.TRADES
    return _SOURCES.get(row.position_effect or "", BasisSource.BROKER_LOT)


def reopened(lot: Lot, taken: Decimal) -> OpenUnits:
    """The lot as it was when `taken` units of it (positive) had left."""
    return OpenUnits(
        lot.lot_uid,
        lot.broker,
        lot.account_id,
        lot.instrument_id,
        lot.symbol,
        lot.underlying,
        lot.asset_class,
        lot.open_trade_uid,
        lot.origin,
        lot.opened_at,
        lot.opened_on,
        lot.started_on,
        lot.ordered_at,
        lot.place,
        lot.sequence,
        lot.qty > 0,
        abs(lot.qty),
        taken,
        lot.open_price,
        lot.multiplier,
        lot.fees,
        lot.carried_pnl,
        lot.currency,
        lot.method,
        lot.basis_source,
    )
