"""Public sample statements through the whole pipeline: what agrees with IB's own figures, and why the rest cannot.

Their publishers cut rows out, so each difference is named here with the rows that are not in the file.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline import settings
from apex_pipeline.live.files import StatementImporter
from apex_pipeline.settings import IbSettings
from apex_pipeline.store.db import Database
from tests.store.rows import query

FOLDER = Path(os.environ.get("APEX_SAMPLES", "")) / "flex"
SAMPLES = sorted(FOLDER.glob("*.xml")) if os.environ.get("APEX_SAMPLES") else []

pytestmark = pytest.mark.skipif(not SAMPLES, reason="needs APEX_SAMPLES, a folder with public sample statements")

BREAKS = (
    "SELECT check_name, coalesce(evidence ->> 'symbol', currency, subject), subject FROM recon_breaks "
    "WHERE state <> 'CLOSED' AND check_name <> 'the_query_tells_what_is_needed' ORDER BY 1, 2, 3"
)
"""All but which sections and fields a query lacks: that is true of every one of these files."""
CLOSINGS = (
    "SELECT f.trade_uid, t.symbol, f.realized_pnl, sum(r.realized_pnl), array_agg(DISTINCT r.basis_source::text) "
    "FROM broker_trade_figures f JOIN trades_norm t USING (trade_uid) "
    "JOIN realized_pnl r ON r.close_trade_uid = f.trade_uid GROUP BY 1, 2, 3 ORDER BY 2, 4"
)


@dataclass(frozen=True)
class Told:
    """What is true of a file: closings as (symbol, our gain, the source of its basis), and why it does not agree.

    `untold`: (check, what it is about, why) of every break: the rows that the file lacks, or what is wrong in it.
    """

    closings: Sequence[tuple[str, str, str]] = ()
    untold: Sequence[tuple[str, str, str]] = ()


CASH, STOPPED, GAIN, WORD, SETTLED, HELD = (
    "ending_cash_equals_the_cash_report",
    "every_movement_has_a_rule",
    "realized_pnl_equals_the_brokers",
    "every_word_of_the_broker_is_known",
    "settlement_dates_equal_the_brokers",
    "every_position_belongs_to_strategies",
)
MOVED = "the publisher moved all dates to the year 2000, when shares settled three days later, and never at weekends"
TOLD = {
    # a query with Model: IB writes a P&L of 0 and no effect, so these gains are not compared; the cash of all
    # currencies is equal, that of the segment U1234567F in it
    "gabbersepp_futures_day": Told(
        [("DE.FDAXZ8", "271", "TRADES")] * 2 + [("US.YMZ8", "-244.06", "TRADES"), ("US.YMZ8", "-234.06", "TRADES")]
    ),
    "invented_unknown_cash_type_transfers": Told((), [
        (WORD, "cash type Some Future Line Type", "invented: IB has no such type"),
    ]),
    "malformed_wrong_statement_count": Told((), [(WORD, "cash currency GBX", "pence: a currency that is not known")]),
    "pp_01_corporate_actions_fx": Told((), [
        *((STOPPED, f"CA.{symbol}", "a reverse split in rows without `type`") for symbol in ("GCM", "GCM.OLD")),
        *((STOPPED, f"CA.{symbol}", "a tender in rows without `type`") for symbol in ("UUU", "UUU.TEN2")),
        (GAIN, "CA.UUU.TEN2", "the gain of the claim that came of the tender"),
    ]),
    "pp_02_option_assignment": Told([("US.ORCL 2017-09-15 P 50", "0", "TRADES")]),
    "pp_20_all_levels_accruals": Told((), [
        (CASH, currency, "one trade and two bookings of a year were kept; the dividends and their tax were not")
        for currency in ("CAD", "USD")
    ]),
    "pp_23_cash_merger": Told((), [
        (STOPPED, "US.JMLP", "no trade or position tells of the 367 shares, nor does the row tell a gain"),
    ]),
    "pp_26_two_accounts": Told([("US.NET", "221.849812", "BROKER_CLOSE")]),
    # eight trades and five bookings of nine months
    "uabean_beancount": Told(
        [("US.AGG", "4.7196518183", "TRADES"), ("US.BRK.B", "8.583487542", "BROKER_CLOSE"),
         ("US.BRK.B", "14.24547205", "BROKER_CLOSE")],
        [(CASH, "USD", "all other trades and bookings")]
        + [(STOPPED, f"US.{symbol}", "what TRNE and MRO were bought for")
           for symbol in ("COP", "DM", "MRO", "TRNE.OLD")]
        + [(SETTLED, f"US.{symbol}", MOVED) for symbol in ("AGG", "BRK.B", "BRK.B", "LVGO", "LVGO")]
        + [(HELD, "US.BRK.B", "1.6282 were sold that no row bought: strategies do not hold them short")],
    ),
}  # fmt: skip


def imported(path: Path, db: Database, home: Path) -> int:
    """Load one file as a person does; how many statements of it could be read."""
    configured = settings.load(environ={}, config_file=home / "no.yaml")
    configured = replace(configured, home=home, ib=IbSettings("http://127.0.0.1:9", "t", "1", 1000, 0.001))
    files = StatementImporter(db, configured).load_paths([path]).files
    return sum(not file.error for file in files)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_every_difference_to_the_broker_is_of_rows_that_the_file_lacks(
    path: Path, db: Database, database_url: str, tmp_path: Path
) -> None:
    told = TOLD.get(path.stem, Told())
    if not imported(path, db, tmp_path):
        pytest.skip("no statement")
    found = [(check, about) for check, about, _ in query(database_url, BREAKS)]
    assert found == sorted((check, about) for check, about, _ in told.untold)
    closings: list[tuple[Any, ...]] = query(database_url, CLOSINGS)
    assert [(symbol, ours, source) for _, symbol, _, ours, [source] in closings] == [
        (symbol, Decimal(ours), source) for symbol, ours, source in told.closings
    ]
    if path.stem != "gabbersepp_futures_day":
        assert all(theirs is None or abs(theirs - ours) < Decimal("0.01") for _, _, theirs, ours, _ in closings)


def test_a_merger_for_shares_and_money_gains_what_the_broker_says_and_keeps_the_cost(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    """LVGO was bought in two lots; the broker counts the money as gain, and so the new shares cost what the old did."""
    path = FOLDER / "uabean_beancount.xml"
    if not path.exists():
        pytest.skip("not among the samples")
    _ = imported(path, db, tmp_path)
    gained = "SELECT sum(realized_pnl), sum(qty) FROM realized_pnl WHERE symbol = 'US.LVGO'"
    assert query(database_url, gained) == [(Decimal("10.622048"), 0)]
    costs = (
        "SELECT symbol, sum(cost_basis), sum(remaining_qty) FROM lots WHERE symbol IN ('US.LVGO', 'US.TDOC') GROUP BY 1"
    )
    (_, before, left), (_, after, held) = sorted(query(database_url, costs))
    assert (before, left, held) == (after, 0, Decimal("1.4831"))
