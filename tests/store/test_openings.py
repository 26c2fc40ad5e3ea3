"""Opening lots in the database: what the broker's lot data names, and nothing that a person signed."""

from datetime import date
from decimal import Decimal

from apex_pipeline.domain.ledger import BasisSource, OpeningBalance
from apex_pipeline.domain.models import Broker, Instrument
from apex_pipeline.domain.statements import ClosedLot, Transfer
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.openings import rewrite_openings
from apex_pipeline.store.tables import LEDGER_TABLES, STATEMENT_TABLES, as_row
from apex_pipeline.store.transaction import Merged
from tests.store import check_rows as rows
from tests.store.check_rows import ACCOUNT, CONID, at, made, write
from tests.store.rows import query

BEFORE, FIRST, LAST = date(2025, 6, 3), date(2026, 1, 1), date(2026, 3, 31)


def rewritten(db: Database) -> Merged:
    with db.transaction() as tx:
        return rewrite_openings(tx, [ACCOUNT])


def openings(db: Database) -> list[tuple[object, ...]]:
    return query(db.url, "SELECT qty, cost_basis, opened_on, source, note FROM opening_balances ORDER BY opening_uid")


def history(db: Database, held: int) -> None:
    """A quarter that is covered, ending with a statement of positions and one lot from before."""
    write(db, made(Instrument, ib_conid=CONID), rows.told_lot("900", held, held * 10, LAST, BEFORE))
    rows.covered(db, FIRST, LAST)
    rows.snapshot(db, Broker.IB, LAST)
    if held:
        write(db, rows.position(held, LAST))


def test_a_lot_from_before_is_written_once(db: Database) -> None:
    history(db, 100)
    assert rewritten(db) == Merged(1, 0, 0)
    assert openings(db) == [(100, 1000, BEFORE, "BROKER_LOT", None)]
    assert rewritten(db) == Merged(0, 0, 0)


def test_a_trade_with_the_id_of_the_lot_or_at_its_instant_makes_it_known(db: Database) -> None:
    history(db, 100)
    _ = rewritten(db)
    write(db, rows.trade("x", 100, BEFORE, broker_trade_id="900", executed_at=at(FIRST)))
    assert rewritten(db) == Merged(0, 0, 1)
    query(db.url, "UPDATE trades_norm SET broker_trade_id = '901'")
    query(db.url, "UPDATE broker_lots SET open_trade_id = NULL")
    query(db.url, "UPDATE trades_norm SET qty = 1")
    assert rewritten(db) == Merged(1, 0, 0)
    query(db.url, "UPDATE trades_norm SET executed_at = %s", at(BEFORE))
    assert rewritten(db) == Merged(0, 0, 1)


def test_pieces_closed_within_the_history_belong_to_the_lot(db: Database) -> None:
    history(db, 60)
    write(
        db,
        rows.trade("s", -40, date(2026, 2, 2)),
        made(
            ClosedLot, lot_uid="p", business_date=date(2026, 2, 2), qty=Decimal(40), broker_side="SELL",
            opened_at=at(BEFORE), open_price=Decimal(10), cost_basis=Decimal(400), open_trade_id="900",
        ),
    )  # fmt: skip
    _ = rewritten(db)
    assert openings(db) == [(100, 1000, BEFORE, "BROKER_LOT", None)]


def test_a_row_that_a_person_signed_is_never_touched_and_leaves_less_to_explain(db: Database) -> None:
    history(db, 100)
    signed = made(
        OpeningBalance, opening_uid="P1", qty=Decimal(100), opened_on=BEFORE, source=BasisSource.PERSON, note="signed"
    )
    with db.transaction() as tx:
        tx.merge(LEDGER_TABLES["opening_balances"], [as_row(signed)])
    assert rewritten(db) == Merged(0, 0, 0)
    assert openings(db) == [(100, None, BEFORE, "PERSON", "signed")]


def test_lots_of_a_transfer_begin_on_its_day(db: Database) -> None:
    history(db, 100)
    moved = made(Transfer, transfer_uid="T1", business_date=date(2026, 2, 10), direction="IN", qty=Decimal(100))
    with db.transaction() as tx:
        tx.merge(STATEMENT_TABLES["transfers"], [as_row(moved)])
    _ = rewritten(db)
    assert openings(db) == [(100, 1000, date(2026, 2, 10), "BROKER_LOT", "transfer T1")]


def test_an_account_without_lot_data_has_no_openings(db: Database) -> None:
    write(db, rows.trade("x", -100, FIRST))
    assert rewritten(db) == Merged(0, 0, 0)


def test_what_only_the_first_positions_tell_is_an_opening_without_a_basis(db: Database) -> None:
    rows.covered(db, FIRST, LAST)
    rows.snapshot(db, Broker.IB, LAST)
    write(db, made(Instrument, ib_conid=CONID), rows.position(60, LAST), rows.trade("s", -40, date(2026, 2, 2)))
    assert rewritten(db) == Merged(1, 0, 0)
    [(qty, cost, opened_on, source, note)] = openings(db)
    assert (qty, cost, opened_on, source) == (100, None, date(2025, 12, 31), "BROKER_POSITION")
    assert f"{LAST}" in str(note)
    assert rewritten(db) == Merged(0, 0, 0)
    write(db, rows.trade("b", 100, date(2026, 1, 9)))
    assert rewritten(db) == Merged(0, 0, 1)


def test_a_trade_that_is_missing_after_the_first_positions_stays_a_break(db: Database) -> None:
    rows.covered(db, FIRST, LAST)
    rows.snapshot(db, Broker.IB, FIRST)
    rows.snapshot(db, Broker.IB, LAST)
    write(db, made(Instrument, ib_conid=CONID), rows.position(60, LAST))
    assert rewritten(db) == Merged(0, 0, 0)
    write(db, rows.position(60, FIRST))
    assert rewritten(db) == Merged(1, 0, 0), "control"
