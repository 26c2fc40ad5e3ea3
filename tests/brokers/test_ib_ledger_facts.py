"""What a statement tells the ledger: ids of instruments, IB's own figures, money of bonds, kinds of actions."""

from dataclasses import fields
from datetime import date
from decimal import Decimal

import pytest

from apex_pipeline.domain.ledger import Action
from apex_pipeline.domain.statements import BrokerTradeFigures, CorporateAction
from tests.brokers.ib.sections import APPLE, LOT, POSITION, facts
from tests.brokers.ib.statements import ACCOUNT, OPTION, normalized, row

FIGURES = {
    "proceeds": "-2005", "netCash": "-2006.0055", "cost": "2006.0055", "fifoPnlRealized": "0", "mtmPnl": "5",
    "fxRateToBase": "0.91",
}  # fmt: skip
NUMBERS = ["proceeds", "net_cash", "cost_basis", "realized_pnl", "mtm_pnl", "fx_rate_to_base"]
BOND = {
    "assetCategory": "BOND", "symbol": "T 0 1/4 09/30/23", "conid": "517782376", "listingExchange": "",
    "multiplier": "1", "quantity": "5000", "tradePrice": "98.42", "proceeds": "-4921", "principalAdjustFactor": "1",
}  # fmt: skip
ACTION = {
    **APPLE, "accountId": ACCOUNT, "type": "FS", "transactionID": "8101", "actionID": "501", "quantity": "30",
    "amount": "0", "proceeds": "0", "value": "0", "reportDate": "20260304", "dateTime": "20260303;202500",
    "description": "AAPL SPLIT 4 FOR 1", "levelOfDetail": "DETAIL",
}  # fmt: skip


def action(**changes: str) -> CorporateAction:
    (told,) = facts(row(ACTION, tag="CorporateAction", **changes), "CorporateActions").statements.corporate_actions
    return told


# ids of instruments ---------------------------------------------------------------------------------------------------


def test_every_row_that_moves_a_position_names_its_instrument_by_conid() -> None:
    transfer = {**APPLE, "accountId": ACCOUNT, "transactionID": "8201", "date": "20260304", "quantity": "5"}
    (trade,) = normalized(row()).trades
    (open_lot,) = facts(row(LOT, tag="OpenPosition"), "OpenPositions").statements.broker_lots
    (closed,) = facts(row(tag="Lot"), "Trades").statements.broker_closed_lots
    (moved,) = facts(row(transfer, tag="Transfer"), "Transfers").statements.transfers
    found = [one.instrument_id for one in (trade, open_lot, closed, moved, action())]
    assert found == ["265598"] * 5


def test_a_ticker_may_change_and_the_instrument_stays() -> None:
    old = action(symbol="AAPL.OLD", type="IC")
    (trade,) = normalized(row()).trades
    assert old.symbol != trade.symbol
    assert old.instrument_id == trade.instrument_id


def test_an_instrument_without_an_id_has_none() -> None:
    (trade,) = normalized(row(without=["conid"])).trades
    assert (trade.instrument_id, action(conid="0").instrument_id) == (None, None)


def test_a_transfer_of_cash_is_of_no_instrument() -> None:
    cash = {"accountId": ACCOUNT, "currency": "USD", "transactionID": "8202", "date": "20260304", "conid": ""}
    (moved,) = facts(row(cash, tag="Transfer"), "Transfers").statements.transfers
    assert (moved.symbol, moved.instrument_id) == (None, None)


# corporate actions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "kind"),
    [("FS", Action.SPLIT), ("RS", Action.SPLIT), ("rs", Action.SPLIT), ("IC", Action.SYMBOL_CHANGE)]
    + [(word, Action.MERGER) for word in ("TC", "TO", "DW")]
    + [(word, Action.UNKNOWN) for word in ("", "SO", "SD", "FI", "BC", "XX")],
)
def test_a_corporate_action_is_what_its_type_says(word: str, kind: Action) -> None:
    assert action(type=word).kind is kind


def test_the_text_of_a_corporate_action_decides_nothing() -> None:
    assert "SPLIT" in ACTION["description"]
    told = facts(row(ACTION, tag="CorporateAction", without=["type"]), "CorporateActions")
    assert [one.kind for one in told.statements.corporate_actions] == [Action.UNKNOWN]


@pytest.mark.parametrize(
    ("qty", "paid", "kind"),
    [
        ("-5000", "5000", Action.MERGER),
        ("-5000", "0", Action.UNKNOWN),
        ("-5000", "", Action.UNKNOWN),
        ("5000", "5000", Action.UNKNOWN),
        ("", "5000", Action.UNKNOWN),
    ],
)
def test_a_bond_that_matures_ends_for_the_money_it_pays(qty: str, paid: str, kind: Action) -> None:
    assert action(type="BM", quantity=qty, proceeds=paid).kind is kind


# what IB computed -----------------------------------------------------------------------------------------------------


def figures(*rows: str) -> list[BrokerTradeFigures]:
    return normalized(*rows).statements.broker_trade_figures


def test_the_figures_of_a_trade_stand_under_its_uid() -> None:
    made = normalized(row(**FIGURES))
    (told,), (trade,) = made.statements.broker_trade_figures, made.trades
    assert told.trade_uid == trade.trade_uid
    assert [getattr(told, name) for name in NUMBERS] == [Decimal(text) for text in FIGURES.values()]
    assert (told.symbol, told.currency, told.position_effect, told.business_date) == (
        "US.AAPL", "USD", "OPEN", date(2026, 3, 2),
    )  # fmt: skip


def test_what_a_statement_does_not_tell_is_unknown() -> None:
    (told,) = figures(row(cost=""))
    assert [getattr(told, name) for name in NUMBERS] == [None] * len(NUMBERS)


def test_cancels_and_book_entries_have_figures_too() -> None:
    cancel = row(
        transactionID="9050", ibExecID="", transactionType="TradeCancel", notes="Ca", quantity="-10",
        origTransactionID="9001", tradeID="", **FIGURES,
    )  # fmt: skip
    expiry = row(OPTION, transactionID="9110", ibExecID="", transactionType="BookTrade", notes="Ep", **FIGURES)
    made = normalized(row(), cancel, expiry)
    found = {told.trade_uid for told in made.statements.broker_trade_figures}
    assert found == {trade.trade_uid for trade in made.trades}
    assert len(found) == 3


def test_of_two_rows_with_one_execution_id_each_has_its_figures() -> None:
    cancel = row(
        transactionID="9050", ibExecID="", transactionType="TradeCancel", notes="Ca", quantity="-10",
        origTransactionID="9001", tradeID="",
    )  # fmt: skip
    made = normalized(row(proceeds="-1"), cancel, row(transactionID="9051", proceeds="-2"))
    uids = {trade.broker_trade_id: trade.trade_uid for trade in made.trades}
    told = {one.trade_uid: one.proceeds for one in made.statements.broker_trade_figures}
    assert (told[uids["9001"]], told[uids["9051"]]) == (Decimal(-1), Decimal(-2))


def test_a_figure_that_cannot_be_read_is_refused_by_itself() -> None:
    made = normalized(row(cost="1,000.00"), row(transactionID="9002", ibExecID="0000aa01.65e2b002.01.01"))
    assert [trade.broker_trade_id for trade in made.trades] == ["9001", "9002"]
    assert [told.trade_uid for told in made.statements.broker_trade_figures] == [made.trades[1].trade_uid]
    assert [(one.key, one.reason_code) for one in made.rejects] == [("9001#figures", "bad_number")]


def test_a_trade_that_is_refused_is_refused_once() -> None:
    made = normalized(row(quantity="ten", cost="1,000.00"))
    assert (made.trades, made.statements.broker_trade_figures) == ([], [])
    assert [one.key for one in made.rejects] == ["9001"]


def test_every_figure_has_a_number_that_the_statement_tells() -> None:
    texts = {"trade_uid", "broker", "account_id", "business_date", "symbol", "currency", "position_effect", "source"}
    assert {one.name for one in fields(BrokerTradeFigures)} - texts == set(NUMBERS)


# bonds ----------------------------------------------------------------------------------------------------------------


def test_the_price_of_a_bond_is_a_percentage_and_its_amount_is_money() -> None:
    made = normalized(row(**BOND))
    (trade,), (instrument,) = made.trades, made.instruments
    assert (trade.multiplier, instrument.multiplier, trade.price) == (
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("98.42"),
    )
    assert trade.amount == Decimal(4921)


@pytest.mark.parametrize(
    ("changes", "multiplier"),
    [
        ({"proceeds": ""}, None),
        ({"proceeds": "4,921"}, None),
        ({"proceeds": "-4700"}, None),
        ({"tradePrice": "0"}, None),
        ({"proceeds": "-4921.004"}, "0.01"),
        ({"assetCategory": "BILL"}, "0.01"),
        ({"multiplier": ""}, "0.01"),
        ({"multiplier": "10", "proceeds": "-49210"}, "0.1"),
        ({"proceeds": "-492100"}, "1"),
        ({"proceeds": "-2460.5", "principalAdjustFactor": "0.5"}, "0.005"),
        ({"quantity": "-5000", "proceeds": "4921", "buySell": "SELL"}, "0.01"),
    ],
)
def test_what_a_point_of_a_bond_is_worth_is_proven_by_money_or_unknown(
    changes: dict[str, str], multiplier: str | None
) -> None:
    (trade,) = normalized(row(**{**BOND, **changes})).trades
    assert trade.multiplier == (None if multiplier is None else Decimal(multiplier))
    assert (trade.amount is None) == (multiplier is None)


def test_money_decides_nothing_but_bonds() -> None:
    (trade,) = normalized(row(proceeds="-20.05")).trades
    assert (trade.multiplier, trade.amount) == (Decimal(1), Decimal(2005))


def test_a_position_of_a_bond_proves_its_money_as_well() -> None:
    held = {**POSITION, **{name: BOND[name] for name in ("assetCategory", "symbol", "conid", "multiplier")}}
    bond = row(held, tag="OpenPosition", position="5000", markPrice="98.5", positionValue="4925")
    untold = row(held, tag="OpenPosition", position="5000", markPrice="98.5", positionValue="", conid="5")
    made = facts(bond, "OpenPositions").instruments + facts(untold, "OpenPositions").instruments
    assert [one.multiplier for one in made] == [Decimal("0.01"), None]
