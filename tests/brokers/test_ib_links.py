"""Options that were assigned or exercised find the shares they moved, where IB gives them no common id."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.links import linked
from apex_pipeline.brokers.ib.orders import Execution
from apex_pipeline.brokers.ib.symbols import instrument_of
from apex_pipeline.brokers.ib.trades import trade_of
from apex_pipeline.domain.records import Record, RecordKind
from tests.brokers.ib.statements import OPTION, STOCK, records_of, row

BOOKED = {
    "transactionType": "BookTrade", "notes": "A", "ibExecID": "", "ibCommission": "0", "orderType": "",
    "dateTime": "20260306;162000", "tradeDate": "20260306", "positionActionID": "",
}  # fmt: skip
PUT = {
    **OPTION, **BOOKED, "symbol": "AAPL  260306P00132500", "expiry": "20260306", "putCall": "P", "buySell": "BUY",
    "quantity": "2", "tradePrice": "0", "transactionID": "9301", "ibOrderID": "9301", "conid": "700009",
}  # fmt: skip
SHARES = {
    **STOCK, **BOOKED, "buySell": "BUY", "quantity": "200", "tradePrice": "132.50", "transactionID": "9302",
    "ibOrderID": "9302",
}  # fmt: skip


def executions(*rows: str) -> list[Execution]:
    return executions_of([record for record in records_of(*rows) if record.kind is RecordKind.TRADES])


def executions_of(records: Sequence[Record]) -> list[Execution]:
    return [Execution(trade_of(one, instrument_of(Attributes(one)), ()), one) for one in records]


def links(*rows: str) -> dict[str, str | None]:
    return {item.record.key: item.trade.link_id for item in linked(executions(*rows))}


def test_an_assigned_put_and_its_shares_are_linked() -> None:
    assert links(row(PUT), row(SHARES)) == {"9301": "B9301", "9302": "B9301"}


@pytest.mark.parametrize(
    ("right", "option_side", "stock_side"),
    [("P", "BUY", "BUY"), ("C", "BUY", "SELL"), ("P", "SELL", "SELL"), ("C", "SELL", "BUY")],
)
def test_shares_move_the_way_the_option_makes_them(right: str, option_side: str, stock_side: str) -> None:
    symbol, sign = f"AAPL  260306{right}00132500", "-" if option_side == "SELL" else ""
    option = row(PUT, symbol=symbol, putCall=right, buySell=option_side, quantity=f"{sign}2")
    there = row(SHARES, buySell=stock_side, quantity="-200" if stock_side == "SELL" else "200")
    other = row(SHARES, buySell="BUY" if stock_side == "SELL" else "SELL", quantity="200")
    assert links(option, there)["9302"] == "B9301"
    assert links(option, other) == {"9301": None, "9302": None}


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": "100"}, {"tradePrice": "132"}, {"symbol": "IBM", "conid": "8314"}, {"tradeDate": "20260305"},
        {"notes": "Ex"}, {"notes": ""}, {"transactionType": "ExchTrade"}, {"accountId": "U2"},
    ],
)  # fmt: skip
def test_shares_that_do_not_fit_are_left_alone(other: dict[str, str]) -> None:
    assert links(row(PUT), row(SHARES, **other)) == {"9301": None, "9302": None}


def test_a_link_of_ibs_own_is_kept() -> None:
    assert links(row(PUT, positionActionID="77"), row(SHARES, positionActionID="77")) == {"9301": "77", "9302": "77"}


def test_pairs_that_look_alike_are_matched_in_the_order_of_their_ids() -> None:
    rows = [
        row(PUT), row(PUT, transactionID="9303", ibOrderID="9303"),
        row(SHARES), row(SHARES, transactionID="9304", ibOrderID="9304"),
    ]  # fmt: skip
    expected = {"9301": "B9301", "9302": "B9301", "9303": "B9303", "9304": "B9303"}
    for seed in range(4):
        random.Random(seed).shuffle(rows)
        assert links(*rows) == expected


def test_shares_that_are_booked_at_once_or_in_parts_are_linked_if_they_add_up() -> None:
    second = {"transactionID": "9303", "ibOrderID": "9303"}
    whole, part = row(SHARES, quantity="400"), row(SHARES, **second, quantity="150")
    assert links(row(PUT), row(PUT, **second), whole) == {"9301": "B9301", "9303": "B9301", "9302": "B9301"}
    assert links(row(PUT), part, row(SHARES, quantity="50")) == {"9301": "B9301", "9303": "B9301", "9302": "B9301"}
    assert set(links(row(PUT), part, row(SHARES, quantity="40")).values()) == {None}, "control"


def test_an_expired_option_has_no_link() -> None:
    assert links(row(PUT, notes="Ep"), row(SHARES)) == {"9301": None, "9302": None}


def test_the_order_of_the_executions_is_kept_and_nothing_else_changes() -> None:
    given = executions(row(SHARES), row(), row(PUT))
    made = linked(given)
    assert [item.record.key for item in made] == [item.record.key for item in given]
    assert [replace(item.trade, link_id=None) for item in made] == [replace(item.trade, link_id=None) for item in given]
