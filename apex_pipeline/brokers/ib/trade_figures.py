"""What IB computed for a trade itself: proceeds, basis, realized P&L. Kept for comparison, under the trade's uid."""

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.orders import Execution
from apex_pipeline.brokers.ib.trades import SOURCE
from apex_pipeline.domain.statements import BrokerTradeFigures


def trade_figures(execution: Execution) -> BrokerTradeFigures:
    """The figures of an execution record; what it does not tell is None.

    `business_date` is the record's. UnknownPayload where one of the numbers cannot be read.
    """
    trade, record = execution.trade, execution.record
    row = Attributes(record)
    return BrokerTradeFigures(
        trade_uid=trade.trade_uid,
        broker=trade.broker,
        account_id=record.account_id,
        business_date=record.business_date,
        symbol=trade.symbol,
        proceeds=row.number("proceeds"),
        net_cash=row.number("netCash"),
        cost_basis=row.number("cost"),
        realized_pnl=row.number("fifoPnlRealized"),
        mtm_pnl=row.number("mtmPnl"),
        fx_rate_to_base=row.number("fxRateToBase"),
        currency=row.text("currency"),
        position_effect=trade.position_effect,
        source=SOURCE,
    )
