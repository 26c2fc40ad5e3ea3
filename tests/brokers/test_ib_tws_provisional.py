"""Provisional rows are the rows that the statement will make, until it does."""

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.brokers.ib.identity import execution_root
from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.brokers.ib.provisional import provisional_rows
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.statement_writer import StatementWriter
from apex_pipeline.domain.models import FeeType, Instrument, Side, Trade, TradeKind
from apex_pipeline.domain.records import Normalized, Record, RecordKind, Relative
from tests.brokers.ib.gateways import (
    ACCOUNT,
    OPTION,
    STOCK,
    commission,
    execution,
    hong_kong_day,
    provisional,
    records_of,
    scenario,
    told_by,
    trading_days,
)
from tests.brokers.ib.statements import delivered

AT = datetime(2026, 3, 10, 12, tzinfo=UTC)
EXEC = "0000e0d5.68a00001.01.01"


def from_statement(day: date) -> Normalized:
    """The rows of this day's statement."""
    return normalize(list(delivered(StatementWriter(scenario()).render(day, day, AT)).records))


def from_tws(*executions: Any, confirmed: Any = (), **told: Any) -> Normalized:
    """The provisional rows of these answers."""
    return provisional_rows(provisional(records_of(*executions, **told)), confirmed)


def facts(trade: Trade) -> tuple[Any, ...]:
    """What a fill is, whoever tells it."""
    return (
        trade.trade_uid, trade.market, trade.symbol, trade.underlying, trade.asset_class, trade.kind, trade.effective,
        trade.side, trade.qty, trade.price, trade.multiplier, trade.amount, trade.currency, trade.executed_at,
        trade.trade_date, trade.link_id,
    )  # fmt: skip


def identity(instrument: Instrument) -> tuple[Any, ...]:
    """What an instrument is, whoever tells it."""
    return (
        instrument.symbol, instrument.underlying, instrument.asset_class, instrument.strike, instrument.expiry,
        instrument.option_right, instrument.currency, instrument.ib_conid, instrument.ib_symbol,
    )  # fmt: skip


def commissions(rows: Normalized) -> dict[tuple[str, str | None], Decimal]:
    """What each fill cost; a statement of one day may break it down into parts."""
    sums: defaultdict[tuple[str, str | None], Decimal] = defaultdict(Decimal)
    for fee in rows.fees:
        if fee.trade_uid is not None and fee.order_uid is not None:
            sums[(fee.trade_uid, fee.currency)] += fee.amount
    return dict(sums)


@pytest.mark.parametrize("day", [*trading_days()[:3], hong_kong_day()])
def test_today_told_by_tws_is_what_the_statement_tells_tomorrow(day: date) -> None:
    with GatewaySimulator(scenario(), day=day) as gateway:
        today = provisional_rows(provisional(told_by(gateway)), ())
    tomorrow = from_statement(day)
    fills = [trade for trade in tomorrow.trades if trade.kind is TradeKind.TRADE]
    assert today.rejects == []
    assert len(fills) > 3
    assert sorted(map(facts, today.trades)) == sorted(map(facts, fills))
    assert commissions(today) == commissions(tomorrow)
    orders = [order for order in tomorrow.orders if order.filled_qty]
    assert sorted((o.account_id, o.symbol, o.side, o.filled_qty, o.avg_price) for o in today.orders) == sorted(
        (o.account_id, o.symbol, o.side, o.filled_qty, o.avg_price) for o in orders
    )
    known = {instrument.symbol: identity(instrument) for instrument in tomorrow.instruments}
    assert {item.symbol: identity(item) for item in today.instruments}.items() <= known.items()


def test_what_the_statement_confirms_makes_no_provisional_row() -> None:
    day = trading_days()[0]
    with GatewaySimulator(scenario(), day=day) as gateway:
        records = provisional(told_by(gateway))
    confirmed = {
        (trade.account_id, execution_root(trade.exec_id)) for trade in from_statement(day).trades if trade.exec_id
    }
    rows = provisional_rows(records, confirmed)
    assert (rows.trades, rows.orders, rows.fees, rows.instruments) == ([], [], [], [])
    one = min(confirmed)
    rest = provisional_rows(records, confirmed - {one})
    assert {(trade.account_id, execution_root(str(trade.exec_id))) for trade in rest.trades} == {one}


def test_a_trade_says_where_it_is_from_and_what_it_is_not_known_for() -> None:
    rows = from_tws(execution(), commissions=(commission(),))
    (trade,) = rows.trades
    assert (trade.source, trade.trade_uid, trade.broker_trade_id) == ("TWS", f"IB_{ACCOUNT}_{EXEC}", EXEC)
    assert (trade.order_uid, trade.exec_id, trade.settle_date) == (f"IB_{ACCOUNT}_P1700000001", EXEC, None)
    assert trade.report_date is None
    (order,) = rows.orders
    assert (order.order_uid, order.broker_order_id, order.source) == (trade.order_uid, "P1700000001", "TWS")
    (fee,) = rows.fees
    assert (fee.amount, fee.trade_uid, fee.order_uid) == (Decimal("1.0055"), trade.trade_uid, trade.order_uid)
    (instrument,) = rows.instruments
    assert (instrument.exchange, instrument.name) == (None, None)


@pytest.mark.parametrize(
    ("told", "amount"), [("1.0055", "1.0055"), ("-0.35", "-0.35"), ("0", "0"), ("0.0", "0"), ("1E-2", "0.01")]
)
def test_a_commission_is_positive_when_paid_and_negative_when_rebated(told: str, amount: str) -> None:
    (fee,) = from_tws(execution(), commissions=(commission(commission=told),)).fees
    assert fee.amount == Decimal(amount)


@pytest.mark.parametrize("told", ["", "1.7976931348623157E308", "1.7976931348623157e+308"])
def test_a_commission_that_is_not_set_makes_no_fee(told: str) -> None:
    rows = from_tws(execution(), commissions=(commission(commission=told),))
    assert (len(rows.trades), rows.fees, rows.rejects) == (1, [], [])


@pytest.mark.parametrize(("word", "side"), [("BOT", Side.BUY), ("SLD", Side.SELL)])
def test_the_side_is_bought_or_sold(word: str, side: Side) -> None:
    (trade,) = from_tws(execution(side=word)).trades
    assert (trade.side, trade.qty) == (side, Decimal(10))


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [("side", "X", "missing_side"), ("shares", "", "missing_quantity"), ("shares", "1,0", "bad_number"),
     ("price", "1.7976931348623157E308", "missing_tradePrice"), ("price", "NaN", "bad_number")],
)  # fmt: skip
def test_an_execution_that_cannot_be_read_is_rejected_and_the_others_stand(field: str, text: str, reason: str) -> None:
    other = execution(execId="0000e0d5.68a00002.01.01")
    rows = from_tws(execution(**{field: text}), other)
    assert [(item.kind, item.key, item.reason_code) for item in rows.rejects] == [("provisional", EXEC, reason)]
    assert [trade.exec_id for trade in rows.trades] == [other["execId"]]


def test_the_highest_revision_counts_and_keeps_the_commission_it_has() -> None:
    revised = [execution(execId=f"0000e0d5.68a00001.01.{part}", price=price)
               for part, price in (("10", "10"), ("9", "9"), ("01", "1"))]  # fmt: skip
    rows = from_tws(*revised, commissions=(commission(execId="0000e0d5.68a00001.01.9", commission="2"), commission()))
    assert [(str(trade.price), trade.trade_uid[-2:]) for trade in rows.trades] == [("10", "10")]
    assert [(fee.amount, fee.trade_uid) for fee in rows.fees] == [(Decimal(2), rows.trades[0].trade_uid)]


def test_a_statement_of_any_revision_confirms_all_of_them() -> None:
    told = [execution(), execution(execId="0000e0d5.68a00001.01.02", price="1")]
    assert from_tws(*told, confirmed={(ACCOUNT, "0000e0d5.68a00001.01")}).trades == []
    assert len(from_tws(*told, confirmed={("U2", "0000e0d5.68a00001.01")}).trades) == 1
    assert len(from_tws(*told, confirmed={(ACCOUNT, "0000e0d5.68a00001")}).trades) == 1


def test_the_legs_of_a_combination_are_orders_of_their_own_that_share_it() -> None:
    legs = [execution(STOCK, execId="0000e0d5.68a00001.02.01"), execution(OPTION, execId="0000e0d5.68a00001.03.01")]
    parent = execution({**STOCK, "secType": "BAG", "conId": "28812380"})
    rows = from_tws(parent, *legs)
    assert [(order.order_uid, order.combo_id) for order in rows.orders] == [
        (f"IB_{ACCOUNT}_P1700000001-02", "0000e0d5.68a00001"),
        (f"IB_{ACCOUNT}_P1700000001-03", "0000e0d5.68a00001"),
    ]
    assert {order.symbol for order in rows.orders} == {"US.AAPL", "US.AAPL 2026-09-18 C 132.5"}


def test_two_fills_of_one_order_are_one_order() -> None:
    rows = from_tws(execution(), execution(execId="0000e0d5.68a00002.01.01", price="201.5"))
    (order,) = rows.orders
    assert (order.filled_qty, order.avg_price) == (Decimal(20), Decimal(201))


def test_an_execution_without_a_permanent_id_belongs_to_no_order() -> None:
    rows = from_tws(execution(permId="0"))
    assert (rows.trades[0].order_uid, rows.orders) == (None, [])


def test_every_execution_asks_for_the_statement_and_for_what_else_was_told_of_it() -> None:
    asked = from_tws(execution(), confirmed={(ACCOUNT, "0000e0d5.68a00001.01")}).relatives
    root = "0000e0d5.68a00001.01"
    assert Relative(ACCOUNT, "_root", root, RecordKind.PROVISIONAL) in asked
    revisions = {Relative(ACCOUNT, "ibExecID", f"{root}.{number:02d}") for number in range(1, 21)}
    assert asked == revisions | {Relative(ACCOUNT, "_root", root, RecordKind.PROVISIONAL)}


@pytest.mark.parametrize(
    ("changes", "venue", "symbol"),
    [
        ({}, "DARK", "US.AAPL"),
        ({"localSymbol": "BRK B", "symbol": "BRK B"}, "NYSE", "US.BRK.B"),
        ({"localSymbol": "700", "symbol": "700", "currency": "HKD", "exchange": "SEHK"}, "SEHK", "HK.00700"),
        ({"localSymbol": "VUSD", "exchange": "LSEETF"}, "LSEETF", "UK.VUSD"),
        ({"localSymbol": "SAP", "currency": "EUR", "exchange": "SMART"}, "IBIS", "DE.SAP"),
        ({"secType": "CASH", "symbol": "EUR", "localSymbol": "EUR.USD", "exchange": "IDEALPRO"}, "IDEALPRO",
         "FX.EUR.USD"),
        ({"secType": "FUT", "symbol": "ES", "localSymbol": "ESZ6", "multiplier": "50", "exchange": "CME"}, "CME",
         "US.ESZ6"),
        ({"secType": "FUT", "symbol": "YM", "localSymbol": "YM   DEC 26", "multiplier": "5", "exchange": "ECBOT"},
         "ECBOT", "US.YMZ6"),
        ({**OPTION, "localSymbol": "SPXW  260918C00132500", "symbol": "SPX", "tradingClass": "SPXW"}, "CBOE",
         "US.SPXW 2026-09-18 C 132.5"),
        ({**OPTION, "symbol": "700", "localSymbol": "TCH   260918C00132500", "tradingClass": "TCH",
          "currency": "HKD", "exchange": "SEHK"}, "HKFE", "HK.00700 2026-09-18 C 132.5"),
        ({**OPTION, "symbol": "700", "localSymbol": "86412345", "tradingClass": "TCH", "currency": "HKD",
          "exchange": "SEHK"}, "HKFE", "HK.00700 2026-09-18 C 132.5"),
        ({**OPTION, "localSymbol": ""}, "CBOE", "US.AAPL 2026-09-18 C 132.5"),
        ({**OPTION, "symbol": "BMW", "localSymbol": "C BMW  20260918 132.5 M", "tradingClass": "BMW",
          "currency": "EUR", "exchange": "EUREX"}, "EUREX", "DE.BMW 2026-09-18 C 132.5"),
    ],
)  # fmt: skip
def test_contracts_have_the_names_of_the_statement(changes: dict[str, str], venue: str, symbol: str) -> None:
    rows = from_tws(execution({**STOCK, **changes}, exchange=venue))
    assert (rows.rejects, [trade.symbol for trade in rows.trades]) == ([], [symbol])


CONFIRMED = {
    "_section": "TradeConfirms", "accountId": ACCOUNT, "currency": "USD", "assetCategory": "STK", "symbol": "AAPL",
    "description": "APPLE INC", "conid": "265598", "listingExchange": "NASDAQ", "multiplier": "1", "tradeID": "71001",
    "orderID": "5001", "execID": EXEC, "dateTime": "20260310;093105", "tradeDate": "20260310",
    "settleDate": "20260311", "transactionType": "ExchTrade", "exchange": "ISLAND", "buySell": "BUY", "quantity": "10",
    "price": "200.5", "commission": "-1.0055", "commissionCurrency": "USD", "tax": "-0.2", "code": "P",
    "levelOfDetail": "EXECUTION", "orderType": "LMT", "orderReference": "",
}  # fmt: skip


def confirmation(**changes: str) -> Record:
    """A trade confirmation as the reader keeps it."""
    told = {**CONFIRMED, **changes}
    key = f"confirm:{told['execID'] or told['tradeID']}"
    return Record(RecordKind.PROVISIONAL, ACCOUNT, key, date(2026, 3, 10), told, told["orderID"])


def test_a_confirmation_is_a_trade_with_its_order_and_its_fees() -> None:
    rows = provisional_rows([confirmation()], ())
    (trade,) = rows.trades
    assert (trade.source, trade.trade_uid, trade.broker_trade_id) == ("TCF", f"IB_{ACCOUNT}_{EXEC}", f"confirm:{EXEC}")
    assert (trade.order_uid, trade.price, trade.settle_date) == (
        f"IB_{ACCOUNT}_5001", Decimal("200.5"), date(2026, 3, 11),
    )  # fmt: skip
    assert trade.executed_at == datetime(2026, 3, 10, 13, 31, 5, tzinfo=UTC)
    assert [(fee.fee_type, fee.amount) for fee in rows.fees] == [
        (FeeType.COMMISSION, Decimal("1.0055")), (FeeType.TAX, Decimal("0.2")),
    ]  # fmt: skip
    assert [(order.order_uid, order.source, order.order_type) for order in rows.orders] == [
        (trade.order_uid, "TCF", "LMT")
    ]
    assert rows.instruments[0].exchange == "NASDAQ"
    assert provisional_rows([confirmation()], {(ACCOUNT, execution_root(EXEC))}).trades == []


def test_where_both_tell_a_fill_the_confirmation_counts() -> None:
    told = provisional(records_of(execution(price="1"), commissions=(commission(commission="9"),)))
    rows = provisional_rows([*told, confirmation()], ())
    assert [(trade.source, trade.price) for trade in rows.trades] == [("TCF", Decimal("200.5"))]
    assert sum(fee.amount for fee in rows.fees) == Decimal("1.2055")
    assert provisional_rows([confirmation(), *reversed(told)], ()).trades == rows.trades


@pytest.mark.parametrize("level", ["ORDER", "SYMBOL_SUMMARY"])
def test_sums_among_the_confirmations_are_no_trades(level: str) -> None:
    assert provisional_rows([confirmation(levelOfDetail=level)], ()).trades == []


def test_a_confirmation_that_no_statement_could_replace_is_rejected() -> None:
    rows = provisional_rows([confirmation(execID="")], ())
    assert ([item.reason_code for item in rows.rejects], rows.trades) == (["missing_execID"], [])


def test_a_confirmed_cancel_takes_its_original_back_and_goes_with_it() -> None:
    cancel = confirmation(
        execID="", tradeID="71002", origTradeID="71001", transactionType="TradeCancel", quantity="-10", code="Ca",
        commission="0", tax="0",
    )  # fmt: skip
    rows = provisional_rows([confirmation(), cancel], ())
    assert {(trade.kind, trade.effective) for trade in rows.trades} == {
        (TradeKind.CANCEL, False), (TradeKind.TRADE, False),
    }  # fmt: skip
    assert provisional_rows([confirmation(), cancel], {(ACCOUNT, execution_root(EXEC))}).trades == []


def test_the_order_of_the_records_does_not_matter() -> None:
    with GatewaySimulator(scenario(), day=trading_days()[0], faults={"revised_execution", "combo_parent"}) as gateway:
        records = provisional(told_by(gateway))
    there, back = provisional_rows(records, ()), provisional_rows(records[::-1], ())
    assert there == back


def test_provisional_trades_have_the_conid_of_the_statement() -> None:
    (told,), (confirmed,) = from_tws(execution()).trades, provisional_rows([confirmation()], ()).trades
    assert told.instrument_id == confirmed.instrument_id == "265598"


def test_the_tax_of_a_confirmation_is_borne_by_its_trade() -> None:
    rows = provisional_rows([confirmation()], ())
    assert [(part.trade_uid, part.amount) for part in rows.fee_allocations] == [
        (rows.trades[0].trade_uid, Decimal("0.2"))
    ]
    assert provisional_rows([confirmation(tax="0")], ()).fee_allocations == []
