"""A rehearsal leaves nothing behind, and what happens within it is like what happens outside."""

from contextlib import AbstractContextManager

import pytest

from apex_pipeline.diagnosis import STAGES
from apex_pipeline.store.db import Database
from tests.store.rows import query

SET = "account_rules_set"


def say(db: Database, account: str, value: str = "USD") -> None:
    db.execute(SET, account_id=account, rule="BASE_CURRENCY", from_date="2026-01-01", value=value)


def fail_after(db: Database, account: str, scope: AbstractContextManager[object]) -> None:
    with scope:
        say(db, account)
        raise ValueError("on purpose")


def accounts(db: Database) -> list[str]:
    return [row["account_id"] for row in db.fetch("account_rules_list")]


def test_nothing_of_a_rehearsal_remains(db: Database) -> None:
    say(db, "U1")
    with db.rehearsal():
        say(db, "U2")
        assert accounts(db) == ["U1", "U2"], "a later transaction sees what an earlier one did"
        assert query(db.url, "SELECT count(*) FROM account_rules") == [(1,)]
    assert accounts(db) == ["U1"]
    say(db, "U3")
    assert query(db.url, "SELECT count(*) FROM account_rules") == [(2,)], "control: what comes after is kept"


def test_a_part_that_fails_is_undone_alone(db: Database) -> None:
    with db.rehearsal():
        say(db, "U1")
        with pytest.raises(ValueError, match="on purpose"):
            fail_after(db, "U2", db.transaction())
        assert accounts(db) == ["U1"]
    assert accounts(db) == []


def test_an_error_ends_a_rehearsal_and_the_connection_goes_on(db: Database) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        fail_after(db, "U1", db.rehearsal())
    say(db, "U2")
    assert accounts(db) == ["U2"]


def test_temporary_tables_end_with_their_part(db: Database) -> None:
    def make() -> None:
        with db.transaction() as tx:
            tx.run_script("CREATE TEMPORARY TABLE t (a int) ON COMMIT DROP")

    with db.rehearsal():
        make()
        make()
    make()


def test_a_lock_is_given_back_within_a_rehearsal(db: Database) -> None:
    with db.rehearsal():
        with db.lock("apex:test"):
            pass
        with Database(db.url) as other:
            assert other.fetchval("lock_try", name="apex:test")


def test_a_row_is_changed_as_it_is_proposed(db: Database) -> None:
    said = {"account_id": "U1", "rule": "BASE_CURRENCY", "from_date": "2026-01-01"}
    with db.transaction() as tx:
        tx.change(
            {
                "do": "insert",
                "table": "account_rules",
                "row": {**said, "value": "USD", "set_at": "2026-01-01T00:00:00Z"},
            }
        )
        tx.change({"do": "update", "table": "account_rules", "key": said, "row": {"value": "HKD"}})
    assert query(db.url, "SELECT account_id, value FROM account_rules") == [("U1", "HKD")]
    with db.transaction() as tx:
        assert tx.change({"do": "delete", "table": "account_rules", "key": said}) == 1
    assert accounts(db) == []


@pytest.mark.parametrize(
    "proposal",
    [
        {"do": "truncate", "table": "lots", "key": {"lot_uid": "1"}},
        {"do": "delete", "table": "lots"},
        {"do": "update", "table": "lots", "key": {"lot_uid": "1"}, "row": {"qty; DROP TABLE lots": "1"}},
    ],
)
def test_a_change_of_unknown_columns_or_of_all_rows_is_refused(db: Database, proposal: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot"), db.transaction() as tx:
        tx.change(proposal)


def test_no_stage_begins_elsewhere_while_a_rehearsal_holds_what_it_repeats(db: Database) -> None:
    with Database(db.url) as other:
        with db.rehearsal(*STAGES), db.lock("apex:match"):
            pass
        with db.rehearsal(*STAGES):
            with db.lock("apex:match"):
                pass
            assert not other.fetchval("lock_try", name="apex:match"), "given back by the stage, held by the rehearsal"
        assert other.fetchval("lock_try", name="apex:match")
        with db.rehearsal():
            assert other.fetchval("lock_try", name="apex:value"), "control: without the locks others go on"
