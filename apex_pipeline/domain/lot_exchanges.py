"""What an exchange of shares for others pays beside them: a gain that closes nothing, by the broker's own figure."""

from collections.abc import Iterable
from decimal import Decimal

from apex_pipeline.domain.ledger import BasisSource, Direction, LotMethod, PositionMovement, RealizedPnl
from apex_pipeline.domain.lot_actions import Convert
from apex_pipeline.domain.lot_book import OpenUnits
from apex_pipeline.domain.lot_shares import ZERO, share, trimmed


def recognized(lots: Iterable[OpenUnits], effect: Convert, method: LotMethod) -> list[RealizedPnl]:
    """One row for each lot, as it was before: its part of the money less its part of the basis that went with it.

    `qty` is 0, because the units live on as others. The figure is the broker's: it proves nothing.
    """
    row = effect.paid_by
    if row is None:
        return []
    lots = list(lots)
    whole = sum((lot.whole - lot.taken for lot in lots), ZERO)
    made: list[RealizedPnl] = []
    start = ZERO
    for lot in lots:
        end = start + lot.whole - lot.taken
        money, spent = share(effect.money, start, end, whole), share(effect.spent, start, end, whole)
        made.append(_gain(lot, row, money, spent, method))
        start = end
    return made


def _gain(lot: OpenUnits, row: PositionMovement, money: Decimal, spent: Decimal, method: LotMethod) -> RealizedPnl:
    gain = trimmed(money - spent)
    return RealizedPnl(
        realized_uid=f"{row.movement_uid}:{lot.lot_uid}",
        broker=row.broker,
        account_id=row.account_id,
        instrument_id=row.instrument_id,
        symbol=row.symbol,
        underlying=row.underlying,
        asset_class=row.asset_class,
        kind=row.kind,
        direction=Direction.LONG if lot.is_long else Direction.SHORT,
        lot_uid=lot.lot_uid,
        open_trade_uid=lot.open_trade_uid,
        close_trade_uid=row.movement_uid,
        qty=ZERO,
        multiplier=lot.multiplier,
        open_price=None,
        close_price=None,
        open_fees=None,
        close_fees=None,
        carried_pnl=gain,
        cost_basis=trimmed(spent),
        realized_pnl=gain,
        currency=row.currency or lot.currency,
        fx_rate_to_base=None,
        realized_pnl_base=None,
        base_currency=None,
        opened_at=lot.opened_at,
        closed_at=row.moved_at,
        opened_on=lot.opened_on,
        closed_on=row.business_date,
        method=method,
        basis_source=BasisSource.BROKER_CLOSE,
    )
