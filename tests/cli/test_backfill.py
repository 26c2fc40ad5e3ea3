"""Every order, trade and fee that two strangers serve arrives in the tables, to the last digit."""

from tests.cli import traded
from tests.cli.opend import OpenD
from tests.cli.program import Apex
from tests.cli.sql import rows
from tests.cli.traded import FIRST, FRIDAY, Expected

RANGE = ("--from-date", str(FIRST), "--to-date", str(FRIDAY))


def require_equal(url: str, broker: str, expected: Expected) -> None:
    """Every expected row is there with its values, and there is no other."""
    for table, uid, wanted in (
        ("orders_norm", "order_uid", expected.orders),
        ("trades_norm", "trade_uid", expected.trades),
    ):
        found = {row[uid]: row for row in rows(url, f"SELECT * FROM {table} WHERE broker = %s", (broker,))}
        assert {name: {key: found.get(name, {}).get(key) for key in row} for name, row in wanted.items()} == wanted
        assert set(found) == set(wanted)
    fees = {
        (row["trade_uid"] or row["order_uid"], row["broker_fee_name"]): (
            row["amount"],
            row["currency"],
            row["charged_on"],
        )
        for row in rows(url, "SELECT * FROM fees_norm WHERE broker = %s", (broker,))
    }
    assert fees == expected.fees


def test_all_that_a_strange_opend_serves_is_in_the_tables(with_futu: Apex, database_url: str, opend: OpenD) -> None:
    ended = with_futu("backfill", *RANGE)
    assert ended.code == 0, ended.text
    require_equal(database_url, "FUTU", traded.futu_expected())


def test_all_that_a_strange_flex_service_serves_is_in_the_tables(with_flex: Apex, database_url: str) -> None:
    ended = with_flex("backfill", *RANGE)
    assert ended.code == 0, ended.text
    require_equal(database_url, "IB", traded.ib_expected())
