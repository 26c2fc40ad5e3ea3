"""One fault is one open break: what follows from it is proven, and what does not is a break of its own."""

from datetime import date
from typing import Any

import pytest

from apex_pipeline.diagnosis import Diagnosis
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.reconciliation import SET_RIGHT, BreakRule, Finding
from apex_pipeline.pipeline import follow_again, reconcile_days, write_again
from apex_pipeline.store.repositories.breaks import BreakRepository
from tests.pipeline.conftest import World
from tests.store.rows import connected, query

FILLED = CheckName.ORDER_FILLED_QUANTITY_IS_THE_SUM_OF_ITS_TRADES.value
FOLLOWS = "agrees_once_its_cause_is_set_right"
STANDING = (
    "SELECT state, check_name, subject, account_id, rule, follows, break_uid FROM recon_breaks "
    "WHERE state <> 'CLOSED' ORDER BY check_name, subject, business_date"
)
DEALS = (
    "SELECT DISTINCT ON (t.account_id) t.trade_uid, t.account_id, t.broker_trade_id, t.order_uid || ' ' || t.symbol, "
    "t.trade_date FROM trades_norm t JOIN orders_norm o USING (order_uid) "
    "WHERE t.broker = 'FUTU' AND t.kind = 'TRADE' AND t.asset_class = 'STOCK' AND o.legs IS NULL "
    "ORDER BY t.account_id, t.trade_date, t.trade_uid"
)


def lose(world: World, uid: str, account: str, deal: str) -> None:
    """A deal that the broker never told: no record of it, no row, and no seal that says otherwise."""
    with connected(world.db.url) as connection, connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM trades_raw_futu WHERE account_id = %s AND record_key = %s", (account, deal))
        cursor.execute("DELETE FROM fee_allocations WHERE trade_uid = %s", (uid,))
        cursor.execute("DELETE FROM trades_norm WHERE trade_uid = %s", (uid,))
        cursor.execute("SELECT seal_all('trades_raw_futu'), seal_all('trades_norm')")
        cursor.execute(
            "INSERT INTO dirty_days SELECT stage, 'FUTU', account_id, trade_date FROM orders_norm, "
            "unnest(ARRAY['normalize', 'classify', 'match', 'value', 'reconcile']) AS stage WHERE account_id = %s "
            "ON CONFLICT DO NOTHING",
            (account,),
        )


def standing(world: World) -> list[tuple[Any, ...]]:
    return query(world.db.url, STANDING)


@pytest.fixture
def deals(loaded: World) -> list[tuple[str, str, str, str, date]]:
    """One deal of each account: its uid, account, the broker's id, what the check calls its order, its day."""
    return query(loaded.db.url, DEALS)


def leads_to(uid: str, told: list[tuple[Any, ...]]) -> set[str]:
    """The open breaks that a break follows from, at once or through others."""
    row = next(row for row in told if row[6] == uid)
    return {uid} if row[0] == "OPEN" else {root for cause in row[5] for root in leads_to(cause, told)}


def test_what_a_lost_deal_broke_follows_from_it(loaded: World, deals: list[tuple[str, str, str, str, date]]) -> None:
    uid, account, deal, subject, _ = deals[0]
    lose(loaded, uid, account, deal)
    loaded.derive()
    told = standing(loaded)
    assert [row[1:4] for row in told if row[0] == "OPEN"] == [(FILLED, subject, account)]
    (root,) = [row[6] for row in told if row[0] == "OPEN"]
    effects = [row for row in told if row[0] == "EXPLAINED"]
    assert effects, "control: a lost deal is noticed by more than its order"
    assert {row[4] for row in effects} <= {FOLLOWS, BreakRule.SAME_POSITION, BreakRule.SAME_FILLS}
    assert all(leads_to(row[6], told) == {root} for row in effects)
    before = query(loaded.db.url, "SELECT * FROM recon_breaks ORDER BY break_uid")
    reconcile_days(loaded.db, loaded.scenario.start, loaded.today)
    assert query(loaded.db.url, "SELECT * FROM recon_breaks ORDER BY break_uid") == before


def test_two_lost_deals_are_two_breaks_each_with_its_own_effects(
    loaded: World, deals: list[tuple[str, str, str, str, date]]
) -> None:
    assert len(deals) == 2
    for uid, account, deal, _, _ in deals:
        lose(loaded, uid, account, deal)
    loaded.derive()
    told = standing(loaded)
    causes = {row[3]: row[6] for row in told if row[0] == "OPEN"}
    assert {account for _, account, _, _, _ in deals} == set(causes)
    for row in told:
        if row[0] == "EXPLAINED":
            assert leads_to(row[6], told) == {causes[row[3]]}


def test_everything_closes_when_the_deal_comes_back(
    loaded: World, deals: list[tuple[str, str, str, str, date]]
) -> None:
    uid, account, deal, _, _ = deals[0]
    lose(loaded, uid, account, deal)
    loaded.derive()
    assert standing(loaded)
    loaded.run(loaded.ask(force=True))
    assert standing(loaded) == []
    closed = query(loaded.db.url, "SELECT DISTINCT closed_by, follows FROM recon_breaks")
    assert closed == [("AGREEMENT", [])]


def diagnosed(world: World, changes: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """What follows from the break of a lost deal if it claims that these changes set it right."""
    first, last = world.scenario.start, world.today
    found = [one for check in CheckName for one in BreakRepository(world.db).findings(check, first, last)]
    claimed = [_claiming(one, changes) if one.check_name == FILLED else _claiming(one, []) for one in found]
    return Diagnosis(world.db, write_again, follow_again, (first, last)).causes(claimed, [], [])


def _claiming(finding: Finding, changes: list[dict[str, Any]]) -> Finding:
    told = (finding.broker, finding.account_id, finding.subject, finding.business_date)
    figures = (finding.expected, finding.actual, finding.severity, finding.currency, finding.cause)
    return Finding(finding.check_name, *told, *figures, evidence={**finding.evidence, SET_RIGHT: changes})


def test_a_change_that_does_not_set_its_own_break_right_proves_nothing(
    loaded: World, deals: list[tuple[str, str, str, str, date]]
) -> None:
    uid, account, deal, _, _ = deals[0]
    right = query(loaded.db.url, "SELECT jsonb_strip_nulls(to_jsonb(t)) FROM trades_norm t WHERE trade_uid = %s", uid)[
        0
    ][0]
    right = {name: value if isinstance(value, (str, bool)) else str(value) for name, value in right.items()}
    lose(loaded, uid, account, deal)
    loaded.derive()
    rows = query(loaded.db.url, "SELECT * FROM trades_norm ORDER BY trade_uid")
    other = {"do": "delete", "table": "trades_norm", "key": {"trade_uid": deals[1][0]}}
    broken = {"do": "insert", "table": "trades_norm", "row": {"trade_uid": "x"}}
    assert diagnosed(loaded, [other]) == {}
    assert diagnosed(loaded, [broken]) == {}
    assert diagnosed(loaded, [{"do": "insert", "table": "trades_norm", "row": right}]) != {}, "control"
    assert query(loaded.db.url, "SELECT * FROM trades_norm ORDER BY trade_uid") == rows, "nothing of it remains"
