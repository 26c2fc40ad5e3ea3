"""What Futu tells of gains and day trades between the lines fits what we realized and count."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apex_pipeline.domain.checks import CHECKS, CheckName, Severity
from apex_pipeline.domain.ledger import LotMove, MovementKind
from apex_pipeline.domain.models import Broker
from apex_pipeline.store.db import Database
from tests.store.check_rows import SYMBOL, compared, differences, findings, made, write
from tests.store.rows import query
from tests.store.value_rows import (
    FUTU,
    costs_told,
    day_trades,
    futu_lot,
    futu_piece,
    left_told,
    new_york,
    put,
    weekdays_known,
)

COSTS, COUNT = CheckName.REALIZED_PNL_FITS_FUTUS_COSTS, CheckName.DAY_TRADES_EQUAL_THE_BROKERS_COUNT
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (date(2026, 3, day) for day in range(2, 7))
DIRECTION, PAIR = "DIRECTION_CHANGE", "ORDER_PAIR"


# Costs ------------------------------------------------------------------------------------------------------------


def a_position(db: Database, **piece: Any) -> None:
    """100 bought at 10 and 100 at 12 on Monday, 100 sold at 15 on Tuesday: 500 are gained by lots, 400 on average."""
    old, new = futu_lot("a", 100, "10", MONDAY, 0, "2"), futu_lot("b", 100, "12", MONDAY, 100)
    write(db, old, new, futu_piece("c", old, 100, "15", TUESDAY, "3", **piece))


def test_costs_that_say_what_was_gained_are_no_finding(db: Database) -> None:
    """By its average of 11 Futu gained 400: (11 - 7) x 100. First in, first out gains 500 and holds what cost 12."""
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "7"))
    assert findings(db, COSTS, TUESDAY) == []
    assert compared(db, COSTS, TUESDAY) == 1
    assert (CHECKS[COSTS].check_id, CHECKS[COSTS].severity) == ("D03", Severity.WARN)


@pytest.mark.parametrize("diluted", ["7.0005", "6.9995", "7.05"], ids=["rounded up", "rounded down", "with fees"])
def test_rounding_and_fees_are_no_difference(db: Database, diluted: str) -> None:
    """Fees of 5 on 100 shares."""
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", diluted))
    assert findings(db, COSTS, TUESDAY) == []


def test_a_gain_that_is_not_ours_is_a_warning_with_both_costs(db: Database) -> None:
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "6.5"))
    [found] = findings(db, COSTS, TUESDAY)
    assert differences([found]) == [(SYMBOL, 450, 400, None)]
    assert (found.severity, found.currency, found.business_date) == (Severity.WARN, "USD", TUESDAY)
    assert (found.evidence["average_cost"], found.evidence["diluted_cost"]) == ("11", "6.5")
    assert found.evidence["rows"] == [f"broker_positions/{TUESDAY}/FUTU/{FUTU}/1", "c:a"]


def test_a_realized_gain_that_was_changed_is_noticed(db: Database) -> None:
    a_position(db)
    query(db.url, "UPDATE realized_pnl SET realized_pnl = realized_pnl + 30")
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "7"))
    assert differences(findings(db, COSTS, TUESDAY)) == [(SYMBOL, 400, 430, None)]


def test_the_gains_of_a_short_position_have_their_sign(db: Database) -> None:
    """Sold 100 at 10, bought 50 back at 8: 100 gained; diluted (1000 - 400) / 50."""
    short = futu_lot("a", -100, "10", MONDAY, -50)
    write(db, short)
    bought: dict[str, Any] = {"direction": "SHORT", "realized_pnl": Decimal(100), "cost_basis": Decimal(-500)}
    write(db, futu_piece("c", short, 50, "8", TUESDAY, **bought))
    costs_told(db, TUESDAY, (SYMBOL, -50, "10", "12"))
    costs_told(db, WEDNESDAY, (SYMBOL, -50, "10", "13"))
    assert differences(findings(db, COSTS, TUESDAY, WEDNESDAY)) == [(SYMBOL, 150, 100, None)]


def test_gains_of_a_life_that_ended_do_not_count(db: Database) -> None:
    """What was bought and sold in February is no part of the position since March."""
    february = date(2026, 2, 2)
    ended = futu_lot("old", 100, "50", february, 0)
    write(db, ended, futu_piece("gone", ended, 100, "70", february + timedelta(days=5)))
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "7"))
    assert findings(db, COSTS, TUESDAY) == []


def test_a_life_that_begins_on_the_day_on_which_another_ended_may_count_both(db: Database) -> None:
    ended = futu_lot("old", 100, "50", MONDAY - timedelta(days=3), 0)
    write(db, ended, futu_piece("gone", ended, 100, "51", MONDAY, closed_at=f"{MONDAY} 10:00+00"))
    write(db, futu_lot("b", 100, "12", MONDAY, 100))
    costs_told(db, TUESDAY, (SYMBOL, 100, "12", "11"))
    assert findings(db, COSTS, TUESDAY) == []


def test_one_cost_told_twice_says_nothing_of_gains(db: Database) -> None:
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "11"), ("US.KO", 5, "60", "60"))
    assert findings(db, COSTS, TUESDAY) == []
    assert compared(db, COSTS, TUESDAY) == 0


def test_another_average_cost_is_of_the_check_of_average_costs(db: Database) -> None:
    """The diluted cost is our average: then it is one cost told twice, and the other of them is wrong."""
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11.6", "11"))
    assert findings(db, COSTS, TUESDAY) == []


def test_a_snapshot_that_tells_costs_apart_says_that_the_others_gained_nothing(db: Database) -> None:
    a_position(db)
    others = ("US.KO", "US.PEP")
    for symbol in others:
        lot = futu_lot(symbol, 10, "5", MONDAY, 10, instrument_id=symbol, symbol=symbol)
        write(db, lot)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "11"), *((symbol, 10, "5", "4.9") for symbol in others))
    assert sorted(one.subject for one in findings(db, COSTS, TUESDAY)) == [SYMBOL, *others]


def test_a_difference_that_stays_is_told_once_and_again_when_it_changes(db: Database) -> None:
    a_position(db)
    for day, diluted in ((TUESDAY, "6.5"), (WEDNESDAY, "6.5"), (THURSDAY, "6.4")):
        costs_told(db, day, (SYMBOL, 100, "11", diluted))
    assert [one.business_date for one in findings(db, COSTS, MONDAY, FRIDAY)] == [TUESDAY, THURSDAY]
    assert findings(db, COSTS, WEDNESDAY) == []


@pytest.mark.parametrize("told", [(90, "11", "6"), (100, None, "6"), (100, "11", None)])
def test_another_quantity_or_one_cost_alone_is_not_compared(
    db: Database, told: tuple[int, str | None, str | None]
) -> None:
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, *told))
    query(db.url, "UPDATE positions_daily SET qty = 100")
    assert findings(db, COSTS, TUESDAY) == []
    assert compared(db, COSTS, TUESDAY) == 0


def test_what_other_rows_than_known_trades_made_is_not_compared(db: Database) -> None:
    a_position(db)
    costs_told(db, TUESDAY, (SYMBOL, 100, "11", "6.5"))
    query(db.url, "UPDATE lots SET origin = %s WHERE lot_uid = 'b'", MovementKind.TRANSFER)
    assert (findings(db, COSTS, TUESDAY), compared(db, COSTS, TUESDAY)) == ([], 0)
    query(db.url, "UPDATE lots SET origin = 'TRADE'")
    assert len(findings(db, COSTS, TUESDAY)) == 1
    split: dict[str, Any] = {"move_uid": "m", "lot_uid": "b", "movement_uid": "x", "moved_on": TUESDAY}
    write(db, made(LotMove, broker=Broker.FUTU, account_id=FUTU, instrument_id=SYMBOL, qty=Decimal(1), **split))
    assert (findings(db, COSTS, TUESDAY), compared(db, COSTS, TUESDAY)) == ([], 0)


# Day trades -------------------------------------------------------------------------------------------------------


def a_week(db: Database) -> None:
    """Two day trades on Wednesday and one on Thursday, of which one counts as two by pairs of orders."""
    weekdays_known(db, MONDAY - timedelta(days=14), FRIDAY + timedelta(days=7))
    day_trades(db, WEDNESDAY, [DIRECTION, DIRECTION, PAIR, PAIR])
    day_trades(db, THURSDAY, [DIRECTION, PAIR, PAIR])


@pytest.mark.parametrize("words", ["0,0,1,2,3", "0", "(0, 0, 1, 2, 3)", "N/A", "Unlimited", "-1", ""])
def test_a_count_that_fits_or_none_at_all_is_no_finding(db: Database, words: str) -> None:
    a_week(db)
    left_told(db, new_york(FRIDAY, 12), words)
    assert findings(db, COUNT, FRIDAY) == []
    assert compared(db, COUNT, FRIDAY) == int(words.strip("(")[:1] == "0")
    assert (CHECKS[COUNT].check_id, CHECKS[COUNT].severity) == ("D15", Severity.WARN)


def test_fewer_than_either_way_of_counting_is_a_warning(db: Database) -> None:
    """Two are left, so Futu counts one; we count three, or four pairs."""
    a_week(db)
    left_told(db, new_york(FRIDAY, 12), "2,2,2,3,3")
    [found] = findings(db, COUNT, FRIDAY)
    assert differences([found]) == [(FUTU, 1, 3, "CONVENTION")]
    assert (found.severity, found.business_date) == (Severity.WARN, FRIDAY)
    assert (found.evidence["by_change_of_direction"], found.evidence["by_pairs_of_orders"]) == (3, 4)
    assert len(found.evidence["rows"]) == 3


def test_more_than_the_accounts_together_is_a_warning(db: Database) -> None:
    """Futu joins the accounts of a firm: what another one traded may be in its count."""
    a_week(db)
    left_told(db, new_york(THURSDAY - timedelta(days=7), 12), "1,1,1,1,1")
    assert differences(findings(db, COUNT, THURSDAY - timedelta(days=7))) == [(FUTU, 2, 0, "CONVENTION")]
    day_trades(db, WEDNESDAY - timedelta(days=7), [DIRECTION, DIRECTION], "another")
    assert findings(db, COUNT, THURSDAY - timedelta(days=7)) == []


def test_what_happened_after_the_snapshot_is_not_in_it(db: Database) -> None:
    weekdays_known(db, MONDAY - timedelta(days=14), FRIDAY)
    day_trades(db, FRIDAY, [DIRECTION, PAIR], closed=new_york(FRIDAY, 15))
    left_told(db, new_york(FRIDAY, 12), "3,3,3,3,3")
    assert findings(db, COUNT, FRIDAY) == []


def test_after_the_close_the_five_sessions_may_end_with_the_next_one(db: Database) -> None:
    weekdays_known(db, MONDAY - timedelta(days=14), FRIDAY)
    day_trades(db, MONDAY, [DIRECTION, PAIR])
    left_told(db, new_york(FRIDAY, 17), "3")
    assert findings(db, COUNT, FRIDAY) == []
    left_told(db, new_york(THURSDAY, 12), "3")
    assert differences(findings(db, COUNT, THURSDAY)) == [(FUTU, 0, 1, "CONVENTION")]


def test_an_order_that_waits_to_close_counts_at_futu_already(db: Database) -> None:
    weekdays_known(db, MONDAY - timedelta(days=14), FRIDAY)
    left_told(db, new_york(FRIDAY, 12), "2")
    assert differences(findings(db, COUNT, FRIDAY)) == [(FUTU, 1, 0, "CONVENTION")]
    put(
        db, "orders_norm", order_uid="o", broker="FUTU", account_id=FUTU, broker_order_id="1", symbol="US.KO",
        asset_class="STOCK", status="OPEN", created_at=new_york(FRIDAY, 11), trade_date=FRIDAY, source="futu_orders",
    )  # fmt: skip
    assert findings(db, COUNT, FRIDAY) == []


@pytest.mark.parametrize(("said", "seen"), [("LEGACY_PDT", 1), ("INTRADAY_MARGIN", 0), ("NOT_APPLICABLE", 0)])
def test_only_the_old_rule_counts(db: Database, said: str, seen: int) -> None:
    a_week(db)
    left_told(db, new_york(FRIDAY, 12), "2")
    put(db, "account_rules", account_id=FUTU, rule="REGIME", from_date=MONDAY, value=said, set_at=new_york(MONDAY, 1))
    assert (len(findings(db, COUNT, FRIDAY)), compared(db, COUNT, FRIDAY)) == (seen, seen)


def test_the_old_rule_ends_by_itself(db: Database) -> None:
    june = date(2026, 6, 10)
    weekdays_known(db, june - timedelta(days=20), june)
    left_told(db, new_york(june, 12), "1")
    left_told(db, new_york(date(2026, 6, 3), 12), "1")
    assert compared(db, COUNT, date(2026, 6, 1), june) == 1
    assert [one.business_date for one in findings(db, COUNT, date(2026, 6, 1), june)] == [date(2026, 6, 3)]


@pytest.mark.parametrize("fields", [{"isPdt": True}, {"dtStatus": 1}])
def test_marked_and_unlimited_accounts_have_no_count(db: Database, fields: dict[str, Any]) -> None:
    a_week(db)
    left_told(db, new_york(FRIDAY, 12), "2", **fields)
    assert (findings(db, COUNT, FRIDAY), compared(db, COUNT, FRIDAY)) == ([], 0)


def test_days_whose_deals_are_not_all_known_are_not_compared(db: Database) -> None:
    a_week(db)
    left_told(db, new_york(FRIDAY, 12), "2")
    put(
        db, "quarantine", quarantine_uid="q", stage="normalize", broker="FUTU", kind="trades", account_id=FUTU,
        business_date=TUESDAY, reason_code="bad_number", reason="x", payload={}, first_seen_at=new_york(TUESDAY, 9),
    )  # fmt: skip
    assert (findings(db, COUNT, FRIDAY), compared(db, COUNT, FRIDAY)) == ([], 0)
    query(db.url, "UPDATE quarantine SET resolved_at = now()")
    assert len(findings(db, COUNT, FRIDAY)) == 1
    query(db.url, "UPDATE load_coverage SET from_date = %s", TUESDAY)
    assert (findings(db, COUNT, FRIDAY), compared(db, COUNT, FRIDAY)) == ([], 0)


def test_a_count_that_stays_away_is_told_once(db: Database) -> None:
    a_week(db)
    left_told(db, new_york(THURSDAY, 22), "2")
    left_told(db, new_york(FRIDAY, 12), "2")
    assert len(findings(db, COUNT, MONDAY, FRIDAY + timedelta(days=7))) == 1
