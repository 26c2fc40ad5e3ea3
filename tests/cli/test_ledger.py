"""`apex why` and `apex account` as an outsider runs them, on statements that were imported."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.cli import traded
from tests.cli.flex import Flex
from tests.cli.program import Apex
from tests.cli.sql import rows


@pytest.fixture
def imported(apex: Apex, flex: Flex) -> Apex:
    """The command, with every statement of the strange service loaded."""
    flex.in_progress = 0
    days = {"fd": f"{traded.FIRST:%Y%m%d}", "td": f"{traded.FRIDAY:%Y%m%d}"}
    asked = urlencode({"t": flex.token, "q": flex.query_id, "v": "3", **days})
    found = re.search("<ReferenceCode>(.*)</ReferenceCode>", flex.answer(f"/SendRequest?{asked}"))
    assert found
    told = flex.answer("/GetStatement?" + urlencode({"t": flex.token, "q": found[1], "v": "3"}))
    _ = Path(apex.folder / "all.xml").write_bytes(told.encode())
    ended = apex("import", "flex", "all.xml")
    assert ended.code == 0, ended.text
    return apex


def test_a_trade_is_explained_down_to_the_bytes_of_its_statement(imported: Apex, database_url: str) -> None:
    (trade,) = rows(database_url, "SELECT * FROM trades_norm WHERE effective ORDER BY trade_uid LIMIT 1")
    (document,) = rows(database_url, "SELECT sha256 FROM raw_documents LIMIT 1")
    ended = imported("why", trade["trade_uid"])
    assert ended.code == 0, ended.text
    assert f"trades_norm  {trade['trade_uid']}" in ended.out
    assert f"raw_documents  {document['sha256']}" in ended.out
    assert f'transactionID="{trade["broker_trade_id"]}"' in ended.out
    told = imported("why", trade["trade_uid"], "--json").json()
    assert {origin["table"] for origin in told} >= {"trades_norm", "position_movements"}


def test_a_uid_that_no_row_has_is_told_in_one_line(imported: Apex) -> None:
    ended = imported("why", "IB_nothing")
    assert ended.code == 2
    assert len(ended.complaints) == 1, ended.text
    assert "no row is called 'IB_nothing'" in ended.complaints[0]


def test_what_a_person_says_of_an_account_is_kept_and_computed(imported: Apex, database_url: str) -> None:
    methods = "SELECT DISTINCT method FROM lots WHERE account_id = %s"
    assert rows(database_url, methods, (traded.IB,)) == [{"method": "FIFO"}]
    ended = imported("account", "set", traded.IB, "--lot-method", "average")
    assert ended.code == 0, ended.text
    assert traded.IB in imported("account", "list").out
    again = imported("import", "flex", "all.xml")
    assert again.code == 0, again.text
    assert rows(database_url, methods, (traded.IB,)) == [{"method": "AVERAGE"}]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("account", "set", traded.IB), "say what to set"),
        (("account", "set", traded.IB, "--lot-method", "lifo"), "'LIFO' is not known"),
        (("account", "set", "U0", "--base-currency", "USD"), "nothing was ever loaded of account U0"),
        (("account", "set", traded.IB, "--base-currency", "dollars"), "'DOLLARS' is no currency"),
    ],
)
def test_what_cannot_be_meant_is_refused(imported: Apex, arguments: tuple[str, ...], complaint: str) -> None:
    ended = imported(*arguments)
    assert ended.code == 2, ended.text
    assert complaint in ended.complaints[0]
