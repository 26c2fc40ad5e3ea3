"""What takes a trade of IB back may come on any day, in any order and under any order id: the rows are the same."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apex_pipeline.brokers.ib.coverage import DATA_TYPE
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Ask, Call, Normalized, Record
from apex_pipeline.pipeline import classify_strategies, normalize, reconcile_days
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.ledger import NormalizeRepository
from apex_pipeline.store.repositories.loads import LoadRepository
from tests.brokers.ib.statements import delivered, document, row, statement
from tests.store.rows import query

FIRST, CANCELLED, REBOOKED, QUIET = date(2026, 3, 2), date(2026, 4, 29), date(2026, 6, 30), date(2026, 1, 5)
"""Further apart than one transaction of the normalizer reaches; on the quiet day nothing happened."""

ACCOUNTS = count(1)
BROKER = IbBroker(IbSettings("http://127.0.0.1:9", "a-token", "4711"))
Rows = list[tuple[Any, ...]]


def on(day: date) -> dict[str, str]:
    return {"tradeDate": f"{day:%Y%m%d}", "dateTime": f"{day:%Y%m%d};100000", "reportDate": f"{day:%Y%m%d}"}


ORIGINAL: dict[str, str] = {}
SECOND_FILL = {
    "transactionID": "9002", "tradeID": "71002", "ibExecID": "0000aa01.65e2b002.01.01", "quantity": "5",
}  # fmt: skip
NEXT_DAYS_FILL = {**SECOND_FILL, **on(FIRST + timedelta(days=1))}
CANCEL = {
    **on(CANCELLED), "transactionType": "TradeCancel", "notes": "Ca", "buySell": "BUY (Ca.)", "quantity": "-10",
    "transactionID": "9050", "tradeID": "", "ibExecID": "", "ibOrderID": "", "ibCommission": "0",
    "origTransactionID": "9001", "origTradeID": "71001", "openCloseIndicator": "", "orderTime": "",
}  # fmt: skip
REBOOK = {
    **on(REBOOKED), "transactionID": "9051", "ibExecID": "0000aa01.65e2b001.01.02", "ibOrderID": "5051",
    "tradePrice": "200.4", "ibCommission": "0",
}  # fmt: skip
CORRECTION = {**REBOOK, "transactionType": "TradeCorrect", "origTransactionID": "9001", "quantity": "9"}
BY_TRADE_ID = {**CANCEL, "origTransactionID": ""}

AGAIN = {**BY_TRADE_ID, **on(REBOOKED + timedelta(days=60)), "transactionID": "9060"}
SECOND_REBOOK = {
    **REBOOK, **on(REBOOKED + timedelta(days=61)), "transactionID": "9061", "ibOrderID": "5061",
    "ibExecID": "0000aa01.65e2b001.01.03",
}  # fmt: skip
BY_TRANSACTION = {**CANCEL, "origTradeID": ""}
TAXED = {"taxes": "-0.5"}

STORIES: dict[str, tuple[list[dict[str, str]], set[str], dict[str, str]]] = {
    "cancelled without an order id": ([ORIGINAL, CANCEL], set(), {"5001": "CANCELLED"}),
    "cancelled under another order id": (
        [ORIGINAL, {**CANCEL, "ibOrderID": "5050"}], set(), {"5001": "CANCELLED", "5050": "CANCELLED"},
    ),
    "one fill of two cancelled": ([ORIGINAL, NEXT_DAYS_FILL, CANCEL], {"9002"}, {"5001": "FILLED"}),
    "cancelled and rebooked": (
        [ORIGINAL, SECOND_FILL, CANCEL, REBOOK], {"9002", "9051"}, {"5001": "FILLED", "5051": "FILLED"},
    ),
    "cancelled by trade id and rebooked": (
        [ORIGINAL, BY_TRADE_ID, REBOOK], {"9051"}, {"5001": "CANCELLED", "5051": "FILLED"},
    ),
    "rebook cancelled as well": (
        [ORIGINAL, BY_TRADE_ID, REBOOK, AGAIN], set(), {"5001": "CANCELLED", "5051": "CANCELLED"},
    ),
    "cancelled once by each id": (
        [ORIGINAL, CANCEL, REBOOK, AGAIN], set(), {"5001": "CANCELLED", "5051": "CANCELLED"},
    ),
    "cancelled without its trade id, taxed and rebooked": (
        [TAXED, BY_TRANSACTION, REBOOK], {"9051"}, {"5001": "CANCELLED", "5051": "FILLED"},
    ),
    "cancelled and rebooked twice": (
        [TAXED, CANCEL, REBOOK, AGAIN, SECOND_REBOOK],
        {"9061"},
        {"5001": "CANCELLED", "5051": "CANCELLED", "5061": "FILLED"},
    ),
    "cancelled and rebooked without any order": (
        [{**TAXED, "ibOrderID": ""}, CANCEL, {**REBOOK, "ibOrderID": ""}], {"9051"}, {},
    ),
    "rebooked under the same execution id": (
        [TAXED, CANCEL, {**REBOOK, "ibExecID": "0000aa01.65e2b001.01.01"}],
        {"9051"},
        {"5001": "CANCELLED", "5051": "FILLED"},
    ),
    "corrected": ([ORIGINAL, SECOND_FILL, CORRECTION], {"9002", "9051"}, {"5001": "FILLED", "5051": "FILLED"}),
    "corrected under the same execution id": (
        [ORIGINAL, {**CORRECTION, "ibExecID": "0000aa01.65e2b001.01.01"}],
        {"9051"},
        {"5001": "CANCELLED", "5051": "FILLED"},
    ),
}  # fmt: skip
"""Rows, the transactions that stand in the end, and the status of each order."""


@dataclass
class Story:
    """One account of its own in a database that others share."""

    db: Database
    account: str

    def arrives(self, told: dict[str, str]) -> None:
        """Load a statement with this one row."""
        content = document(statement(row(accountId=self.account, **told), accountId=self.account))
        loads = LoadRepository(self.db, Broker.IB)
        run = loads.begin_run(Ask(FIRST, FIRST, FIRST))
        call = Call(DATA_TYPE, None, "ALL", FIRST, FIRST)
        loads.store(run, call, delivered(content), datetime.now(UTC))
        loads.end_run(run, complete=True)

    def normalized(self, day: date = QUIET) -> None:
        """Normalize one day, and what is dirty."""
        normalize(self.db, BROKER, day, day)

    def rows(self) -> Rows:
        """All normalized rows and open quarantine, the account left out of them."""
        text = (
            "SELECT replace(row, account, '') FROM (SELECT account_id, t::text FROM trades_norm t "
            "UNION ALL SELECT account_id, t::text FROM orders_norm t "
            "UNION ALL SELECT account_id, t::text FROM fees_norm t "
            "UNION ALL SELECT account_id, t::text FROM fee_allocations t "
            "UNION ALL SELECT account_id, t::text FROM broker_trade_figures t "
            "UNION ALL SELECT account_id, concat_ws(' ', kind, broker_key, reason) FROM quarantine "
            "WHERE resolved_at IS NULL) AS found (account, row) WHERE account = %s ORDER BY 1"
        )
        return query(self.db.url, text, self.account)

    def quarantined(self) -> Rows:
        """What could not be read."""
        text = "SELECT broker_key, reason_code FROM quarantine WHERE account_id = %s AND resolved_at IS NULL ORDER BY 1"
        return query(self.db.url, text, self.account)

    def standing(self) -> dict[str, bool]:
        """Which trades are effective, by transactionID."""
        return dict(
            query(self.db.url, "SELECT broker_trade_id, effective FROM trades_norm WHERE account_id = %s", self.account)
        )

    def statuses(self) -> dict[str, str]:
        """The status of each order."""
        return dict(
            query(self.db.url, "SELECT broker_order_id, status FROM orders_norm WHERE account_id = %s", self.account)
        )


def story(db: Database) -> Story:
    return Story(db, f"U{next(ACCOUNTS)}")


def told_at_once(db: Database, rows: Sequence[dict[str, str]]) -> Story:
    """The rows loaded first and normalized last, all days in one go."""
    whole = story(db)
    for told in rows:
        whole.arrives(told)
    days = sorted({day_of(told) for told in rows})
    NormalizeRepository(db, Broker.IB).rewrite([(whole.account, day) for day in days], BROKER.normalize)
    return whole


def day_of(told: dict[str, str]) -> date:
    return datetime.strptime(told.get("tradeDate", f"{FIRST:%Y%m%d}"), "%Y%m%d").replace(tzinfo=UTC).date()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if number else ()) for number, name in enumerate(STORIES)]
)
@settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a failing story is short enough to be read unshrunk
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_the_rows_are_the_same_in_whatever_order_they_arrive_and_days_are_normalized(
    db: Database, name: str, data: st.DataObject
) -> None:
    rows, standing, statuses = STORIES[name]
    whole = told_at_once(db, rows)
    assert {key for key, effective in whole.standing().items() if effective} == standing
    assert (len(whole.standing()), whole.statuses(), whole.quarantined()) == (len(rows), statuses, [])
    expected = whole.rows()
    days = sorted({QUIET, *map(day_of, rows)})
    tried = story(db)
    for told in data.draw(st.permutations(rows)):
        tried.arrives(told)
        for day in data.draw(st.lists(st.sampled_from(days), max_size=2)):
            tried.normalized(day)
    tried.normalized()
    assert tried.rows() == expected
    for day in data.draw(st.permutations(days)):
        tried.normalized(day)
        assert tried.rows() == expected


@pytest.mark.parametrize("told", [CANCEL, BY_TRADE_ID, {**CANCEL, "ibOrderID": "5050"}])
def test_a_cancel_of_another_day_and_order_takes_its_original_and_the_order_back(
    db: Database, told: dict[str, str]
) -> None:
    late = story(db)
    late.arrives(ORIGINAL)
    late.normalized()
    assert (late.standing(), late.statuses()) == ({"9001": True}, {"5001": "FILLED"})
    late.arrives(told)
    late.normalized()
    assert late.standing() == {"9001": False, "9050": False}
    assert late.statuses()["5001"] == "CANCELLED"
    late.normalized(FIRST)
    assert late.standing() == {"9001": False, "9050": False}


def alone(records: Sequence[Record]) -> Normalized:
    """The normalizer as it would be if it did not tell which other trades belong to these."""
    return replace(BROKER.normalize(records), relatives=set())


def test_without_its_relatives_a_cancelled_trade_would_stay_in_force(db: Database) -> None:
    late = story(db)
    late.arrives(ORIGINAL)
    late.arrives(CANCEL)
    days = [(late.account, FIRST), (late.account, CANCELLED)]
    repository = NormalizeRepository(db, Broker.IB)
    for day in days:
        repository.rewrite([day], alone)
    assert late.standing() == {"9001": True, "9050": False}
    repository.rewrite(days[1:], BROKER.normalize)
    assert late.standing() == {"9001": False, "9050": False}
    repository.rewrite(days[:1], alone)
    assert late.standing() == {"9001": True, "9050": False}


def dirty(db: Database, account: str, stage: str) -> set[date]:
    text = "SELECT business_date FROM dirty_days WHERE account_id = %s AND stage = %s"
    return {day for (day,) in query(db.url, text, account, stage)}


@pytest.fixture
def settled(db: Database) -> Story:
    """A filled order through all stages."""
    quiet = story(db)
    quiet.arrives(ORIGINAL)
    quiet.normalized()
    classify_strategies(db, FIRST, FIRST)
    reconcile_days(db, FIRST, FIRST)
    assert dirty(db, quiet.account, "classify") == dirty(db, quiet.account, "reconcile") == set()
    return quiet


def test_the_stages_after_learn_the_days_of_every_trade_that_a_cancel_touches(settled: Story) -> None:
    settled.arrives(CANCEL)
    assert dirty(settled.db, settled.account, "normalize") == {CANCELLED}
    settled.normalized()
    for stage in ("classify", "reconcile"):
        assert dirty(settled.db, settled.account, stage) == {FIRST, CANCELLED}
    named = "SELECT order_uid FROM order_strategy_map"
    assert query(settled.db.url, named) == [(f"IB_{settled.account}_5001",)]
    classify_strategies(settled.db, QUIET, QUIET)
    assert query(settled.db.url, named) == []


def test_the_same_ids_in_another_account_take_nothing_back(db: Database) -> None:
    mine, other = story(db), story(db)
    mine.arrives(ORIGINAL)
    other.arrives(CANCEL)
    mine.normalized()
    other.normalized(FIRST)
    assert (mine.standing(), other.standing()) == ({"9001": True}, {"9050": False})


def test_a_cancel_that_names_no_trade_is_quarantined_and_said(db: Database) -> None:
    nameless = story(db)
    nameless.arrives({**CANCEL, "origTransactionID": "", "origTradeID": ""})
    nameless.normalized()
    assert (nameless.standing(), nameless.quarantined()) == ({}, [("9050", "missing_original")])


def borne(told: Story) -> Rows:
    """Which transaction bears which fee, by a share of it."""
    text = (
        "SELECT replace(a.fee_uid, 'IB_' || a.account_id || '_', ''), t.broker_trade_id, a.amount "
        "FROM fee_allocations a JOIN trades_norm t USING (trade_uid) WHERE a.account_id = %s ORDER BY 1, 2"
    )
    return query(told.db.url, text, told.account)


def test_the_fees_of_a_cancelled_trade_go_with_the_rebook_that_is_in_force(db: Database) -> None:
    tax, commission = Decimal("0.5"), Decimal("1.0055")
    late = story(db)
    expected = [
        (TAXED, [("9001_TAX", "9001", tax)]),
        (BY_TRANSACTION, [("9001_TAX", "9001", tax)]),
        (REBOOK, [("9001_COMMISSION", "9051", commission), ("9001_TAX", "9051", tax)]),
        (AGAIN, [("9001_TAX", "9001", tax)]),
        (
            SECOND_REBOOK,
            [("9001_COMMISSION", "9061", commission), ("9001_TAX", "9061", tax), ("9051_COMMISSION", "9061", 0)],
        ),
    ]
    for told, shares in expected:
        late.arrives(told)
        late.normalized()
        assert borne(late) == shares, told


def test_without_its_relatives_a_rebook_would_not_bear_the_fees_of_its_original(db: Database) -> None:
    late = story(db)
    for told in (TAXED, BY_TRANSACTION):
        late.arrives(told)
        late.normalized()
    late.arrives(REBOOK)
    repository = NormalizeRepository(db, Broker.IB)
    repository.rewrite([(late.account, REBOOKED)], alone)
    assert borne(late) == [("9001_TAX", "9001", Decimal("0.5"))]
    repository.rewrite([(late.account, REBOOKED)], BROKER.normalize)
    assert [bearer for _, bearer, _ in borne(late)] == ["9051", "9051"]


def test_a_fee_that_is_corrected_away_leaves_no_share_behind(db: Database) -> None:
    late = story(db)
    late.arrives(TAXED)
    late.normalized()
    assert borne(late) == [("9001_TAX", "9001", Decimal("0.5"))]
    late.arrives({"taxes": "0", "notes": "P;R"})
    late.normalized()
    assert query(db.url, "SELECT * FROM fee_allocations WHERE account_id = %s", late.account) == []


def figures(told: Story) -> Rows:
    """What IB computed, by transaction and day."""
    text = (
        "SELECT t.broker_trade_id, f.business_date, f.proceeds FROM broker_trade_figures f "
        "LEFT JOIN trades_norm t USING (trade_uid) WHERE f.account_id = %s ORDER BY 1"
    )
    return query(told.db.url, text, told.account)


def test_the_figures_of_a_trade_follow_it_to_another_day(db: Database) -> None:
    moved, told = on(FIRST + timedelta(days=1)), {"proceeds": "-2005"}
    late = story(db)
    late.arrives(told)
    late.normalized()
    assert figures(late) == [("9001", FIRST, Decimal(-2005))]
    late.arrives({**told, **moved})
    late.normalized()
    late.normalized(FIRST)
    assert figures(late) == [("9001", FIRST + timedelta(days=1), Decimal(-2005))]


def test_the_figures_of_other_days_stay_when_a_relative_is_read_with_them(db: Database) -> None:
    late = story(db)
    for told in ({"proceeds": "-2005"}, CANCEL, {**REBOOK, "proceeds": "-2004"}):
        late.arrives(told)
        late.normalized()
    expected = [("9001", FIRST, Decimal(-2005)), ("9050", CANCELLED, None), ("9051", REBOOKED, Decimal(-2004))]
    for day in (FIRST, CANCELLED, REBOOKED, QUIET):
        late.normalized(day)
        assert figures(late) == expected
