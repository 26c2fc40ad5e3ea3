"""A record that is told differently later leaves nothing behind of what it was."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from apex_pipeline.brokers.ib.coverage import DATA_TYPE
from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, Content, Record, RecordKind, WholeDelivery
from apex_pipeline.pipeline import normalize, reconcile_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.loads import LoadRepository
from tests.brokers.ib.statements import ACCOUNT, RECEIVED, document, row, statement
from tests.store.rows import query

FIRST, LAST = date(2026, 3, 1), date(2026, 3, 31)
CONVERSION = {
    "assetCategory": "CASH", "symbol": "EUR.USD", "conid": "12087792", "currency": "USD", "quantity": "1000",
    "tradePrice": "1.1", "proceeds": "-1100", "transactionID": "9300", "ibOrderID": "5300", "tradeID": "71300",
    "ibExecID": "0000aa01.65e2b300.01.01",
}  # fmt: skip
FILL = {"_source": "TWS", "execId": "e.1.01.01", "_root": "e.1.01", "side": "BOT", "shares": "10", "price": "200"}


def store(db: Database, content: bytes) -> None:
    tell(db, FlexDelivery(Content.of((content,)), {}, RECEIVED))


def tell(db: Database, delivery: Any) -> None:
    loads = LoadRepository(db, Broker.IB)
    with loads.run(Ask(FIRST, LAST, LAST)) as run_id:
        loads.store(run_id, Call(DATA_TYPE, None, ALL_MARKETS, FIRST, LAST), delivery, RECEIVED)
    normalize(db, IbBroker(IbSettings()), FIRST, FIRST)


def of_week(*rows: str, hour: int = 5, section: str = "Trades", **told: str) -> bytes:
    return document(statement("".join(rows), section=section, whenGenerated=f"20260309;{hour:02d}0000", **told))


def column(db: Database, sql: str) -> Sequence[Any]:
    return [value for (value,) in query(db.url, sql)]  # pyright: ignore[reportArgumentType] - written below


def provisional(*, permId: str = "77", day: date = date(2026, 3, 2), **told: str) -> WholeDelivery:  # noqa: N803 - IB's
    contract = {"secType": "STK", "symbol": "AAPL", "localSymbol": "AAPL", "currency": "USD", "conId": "265598"}
    order_id = f"P{permId}" if permId != "0" else None
    payload = {**FILL, "contract": {**contract, "primaryExchange": "NASDAQ"}, **told}
    payload["executedAt"] = f"{day}T15:00:00+00:00"
    fee = {"_source": "TWS", "execId": "e.1.01.01", "_root": "e.1.01", "commission": "1", "currency": "USD"}
    kind = RecordKind.PROVISIONAL
    records = (
        Record(kind, ACCOUNT, "e.1.01.01", day, payload, order_id),
        Record(kind, ACCOUNT, "e.1.01.01/commission", day, fee, order_id),
    )
    return WholeDelivery((), records, (), ())


def test_an_order_whose_id_was_corrected_is_one_order(db: Database) -> None:
    store(db, of_week(row()))
    assert column(db, "SELECT broker_order_id FROM orders_norm") == ["5001"]
    store(db, of_week(row(ibOrderID="5002"), hour=6))
    assert column(db, "SELECT broker_order_id FROM orders_norm") == ["5002"]
    assert column(db, "SELECT order_uid FROM fees_norm") == [f"IB_{ACCOUNT}_5002"]


def test_a_charge_that_was_taken_off_is_gone(db: Database) -> None:
    booked = {"transactionType": "BookTrade", "ibExecID": "", "ibOrderID": "9001", "notes": "Ep"}
    store(db, of_week(row(), row(**booked, transactionID="9002", ibCommission="-2")))
    assert len(column(db, "SELECT fee_uid FROM fees_norm")) == 2
    gone = row(**booked, transactionID="9002", ibCommission="0")
    store(db, of_week(row(ibCommission=""), gone, hour=6))
    assert column(db, "SELECT fee_uid FROM fees_norm") == []


def test_a_booking_that_can_no_longer_be_read_moves_no_cash(db: Database) -> None:
    booking = {"accountId": ACCOUNT, "currency": "USD", "type": "Dividends", "reportDate": "20260304"}
    told = {"levelOfDetail": "DETAIL", "transactionID": "700", **booking}
    store(db, of_week(row({}, tag="CashTransaction", amount="10", **told), section="CashTransactions"))
    store(db, of_week(row(**CONVERSION)))
    assert sorted(column(db, "SELECT amount FROM cash_movements")) == [-1100, 10, 1000]
    store(db, of_week(row({}, tag="CashTransaction", amount="ten", **told), section="CashTransactions", hour=6))
    store(db, of_week(row(**{**CONVERSION, "tradePrice": "dear"}), hour=6))
    assert column(db, "SELECT amount FROM cash_movements") == []


def test_a_fill_without_an_order_is_charged_once_after_its_statement(db: Database) -> None:
    tell(db, provisional(permId="0"))
    assert column(db, "SELECT amount FROM fees_norm") == [1]
    store(db, of_week(row(ibExecID="e.1.01.01")))
    assert len(column(db, "SELECT amount FROM fees_norm")) == 1
    assert column(db, "SELECT source FROM trades_norm") == ["FLEX"]


def test_a_break_about_a_fill_closes_when_the_statement_has_it_on_another_day(db: Database) -> None:
    tell(db, provisional())
    reconcile_days(db, FIRST, LAST)
    state = "SELECT state FROM recon_breaks WHERE check_name = 'every_provisional_trade_is_confirmed'"
    assert column(db, state) == ["OPEN"]
    store(db, of_week(row(ibExecID="e.1.01.02", tradeDate="20260303")))
    reconcile_days(db, LAST, LAST)
    assert column(db, state) == ["CLOSED"]
    assert column(db, "SELECT order_uid FROM orders_norm") == [f"IB_{ACCOUNT}_5001"]


def test_an_unreadable_snapshot_of_today_empties_nothing(db: Database) -> None:
    def held(position: str) -> WholeDelivery:
        contract = {"secType": "STK", "symbol": "AAPL", "localSymbol": "AAPL", "currency": "USD", "conId": "265598"}
        rows = [{"contract": contract, "position": position, "avgCost": "200"}]
        payload = {"_source": "TWS", "asOf": "2026-03-06T20:00:00+00:00", "rows": rows}
        record = Record(RecordKind.POSITIONS, ACCOUNT, "tws:2026-03-06", date(2026, 3, 6), payload)
        return WholeDelivery((), (record,), (), ())

    tell(db, held("10"))
    assert column(db, "SELECT qty FROM broker_positions") == [10]
    tell(db, held("many"))
    assert column(db, "SELECT qty FROM broker_positions") == [10]
    tell(db, held("0"))
    assert column(db, "SELECT qty FROM broker_positions") == []
