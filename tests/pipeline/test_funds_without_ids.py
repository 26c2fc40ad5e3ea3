"""Margin that the statement of funds tells without an id is in the cash ledger once, however statements overlap."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline import settings
from apex_pipeline.live import Database
from apex_pipeline.live.files import StatementImporter
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.migrate import MigrationRunner
from apex_pipeline.store.repositories.lineage import LineageRepository
from tests.brokers.ib.statements import ACCOUNT, document, row, statement
from tests.brokers.test_ib_unnumbered import BALANCE, MARGIN, TAG
from tests.store.rows import query, value

FIRST, DAYS = date(2026, 3, 2), 12
TRADED = {
    **{name: MARGIN[name] for name in ("accountId", "currency", "assetCategory", "symbol", "conid", "listingExchange",
                                       "multiplier", "expiry")},
    "levelOfDetail": "EXECUTION", "transactionType": "ExchTrade", "exchange": "CME", "buySell": "BUY", "quantity": "2",
    "tradePrice": "5000", "tradeID": "71", "transactionID": "901", "ibOrderID": "51", "ibExecID": "a.b.01.01",
    "dateTime": "20260302;100000", "tradeDate": "20260302", "reportDate": "20260302", "settleDateTarget": "20260302",
    "proceeds": "-500000", "netCash": "13", "mtmPnl": "15", "ibCommission": "-2", "ibCommissionCurrency": "USD",
    "taxes": "0", "openCloseIndicator": "O", "notes": "", "cost": "500002", "fifoPnlRealized": "0",
}  # fmt: skip
LOADED = (
    "WITH run AS (INSERT INTO load_runs (broker, from_date, to_date, started_at) "
    "VALUES ('IB', '2026-03-02', '2026-03-13', now()) RETURNING run_id) "
    "INSERT INTO loads (run_id, broker, data_type, market, from_date, to_date, status, started_at, finished_at) "
    "SELECT run_id, 'IB', 'ib_flex', 'ALL', '2026-03-02', '2026-03-13', 'COMPLETE', now(), now() FROM run "
    "RETURNING load_id"
)
Window = tuple[int, int]


def _day(number: int) -> str:
    return f"{FIRST + timedelta(days=number):%Y%m%d}"


def _lines(number: int) -> list[dict[str, str]]:
    """Two equal lines and another one on each day; on the first only what the trade moved."""
    told = {"reportDate": _day(number), "date": _day(number), "settleDate": _day(number)}
    if number == 0:
        return [{**MARGIN, **told, "activityCode": "BUY", "amount": "13", "tradeID": "71"}]
    return [{**MARGIN, **told}, {**MARGIN, **told}, {**MARGIN, **told, "amount": str(-number)}]


def _text(window: Window, written: int = 20) -> str:
    """The statement of these days, written so many days after the first."""
    first, last = window
    lines = [one for number in range(first, last + 1) for one in _lines(number)]
    balance = sum(int(one["amount"]) for number in range(first) for one in _lines(number))
    days = {"fromDate": _day(first), "toDate": _day(last), "whenGenerated": f"{_day(written)};050000"}
    body = row(BALANCE, tag=TAG, reportDate=_day(first), balance=str(balance))
    for one in lines:
        balance += int(one["amount"])
        body += row({**one, "balance": str(balance)}, tag=TAG)
    body += row(BALANCE, tag=TAG, reportDate=_day(last), activityDescription="Ending Balance", balance=str(balance))
    trades = f"</StmtFunds><Trades>{row(TRADED) if first == 0 else ''}</Trades><StmtFunds>"
    return document(statement(trades + body, section="StmtFunds", **days)).decode()


def _load(db: Database, home: Path, texts: Sequence[str]) -> None:
    home.mkdir()
    for number, text in enumerate(texts):
        _ = (home / f"{number:03}.xml").write_text(text, encoding="utf-8")
    configured = replace(settings.load(environ={}, config_file=home / "no.yaml"), home=home, brokers=("ib",))
    told = StatementImporter(db, configured).load_paths([home])
    assert [(file.file, file.error, file.quarantined) for file in told.files if file.error or file.quarantined] == []


def _ledger(db: Database) -> list[tuple[Any, ...]]:
    return query(db.url, 'SELECT c::text FROM cash_ledger c ORDER BY entry_uid COLLATE "C"')


def _margin(db: Database) -> Any:
    return value(db.url, "SELECT sum(amount) FROM cash_ledger WHERE kind IN ('OTHER', 'TRADE', 'FEE')")


def _open_breaks(db: Database) -> list[tuple[Any, ...]]:
    text = (
        "SELECT check_name, subject, expected, actual, evidence FROM recon_breaks WHERE state = 'OPEN' "
        "AND check_name IN ('the_balance_of_funds_runs', 'ending_cash_equals_the_cash_report')"
    )
    return query(db.url, text)


@pytest.mark.parametrize("seed", range(3))
def test_windows_that_overlap_in_any_order_give_the_same_ledger(
    seed: int, db: Database, empty_clone: str, tmp_path: Path
) -> None:
    _load(db, tmp_path / "whole", [_text((0, DAYS - 1))])
    entries = sum(int(one["amount"]) for number in range(DAYS) for one in _lines(number))
    assert _margin(db) == entries
    assert value(db.url, "SELECT count(*) FROM cash_ledger WHERE kind = 'OTHER'") == 3 * (DAYS - 1)
    dice = random.Random(seed)
    windows = [(number, number) for number in range(DAYS)] + [(0, DAYS - 1), (3, 8), (6, DAYS - 1)]
    windows += dice.sample(windows, 4)
    dice.shuffle(windows)
    with Database(empty_clone) as other:
        for number, part in enumerate((windows[:9], windows[9:], windows[:3])):
            _load(other, tmp_path / f"part{number}", [_text(window) for window in part])
        assert _ledger(other) == _ledger(db)


def test_the_lines_of_a_day_run_and_a_line_that_is_gone_is_gone(db: Database, tmp_path: Path) -> None:
    _load(db, tmp_path / "whole", [_text((0, DAYS - 1))])
    assert value(db.url, "SELECT count(*) FROM broker_funds WHERE from_date IS NOT NULL") == 2
    assert _open_breaks(db) == []
    span: dict[str, Any] = {"from_date": FIRST, "to_date": FIRST + timedelta(days=DAYS)}
    assert [one["subjects"] for one in db.fetch("subjects_the_balance_of_funds_runs", **span)] == [1]
    _ = query(db.url, "UPDATE broker_funds SET amount = amount + 1 WHERE balance = 387")
    assert len(db.fetch("check_the_balance_of_funds_runs", **span)) == 2
    _ = query(db.url, "UPDATE broker_funds SET amount = amount - 1 WHERE balance = 387")
    before = _margin(db)
    less = _text((4, 4), written=21).replace('amount="-4"', 'amount="-5"')
    _load(db, tmp_path / "less", [less])
    assert _margin(db) == before - 1
    gone = document(
        statement(row(BALANCE, tag=TAG), section="StmtFunds", fromDate=_day(5), toDate=_day(5),
                  whenGenerated=f"{_day(22)};050000")
    ).decode()  # fmt: skip
    _load(db, tmp_path / "gone", [gone])
    assert _margin(db) == before - 1 - (250 - 5)


def test_margin_is_explained_down_to_the_line_of_the_statement(db: Database, tmp_path: Path) -> None:
    _load(db, tmp_path / "whole", [_text((0, DAYS - 1))])
    uid = value(db.url, "SELECT entry_uid FROM cash_ledger WHERE kind = 'OTHER' ORDER BY booked_on, entry_uid LIMIT 1")
    (origin,) = LineageRepository(db).origins(uid)
    assert [one.table for one in origin.made_of] == ["broker_funds"]
    (raw,) = origin.made_of[0].made_of
    assert [one.table for one in raw.made_of] == ["raw_documents"]
    line, excerpt = origin.made_of[0].row, raw.made_of[0].row["excerpt"]
    assert excerpt.startswith(f"<{TAG} ")
    assert f'reportDate="{line["business_date"]:%Y%m%d}"' in excerpt
    assert f'amount="{line["amount"]}"' in excerpt


def test_margin_of_a_database_of_before_is_counted_once_after_the_migration(empty_url: str, tmp_path: Path) -> None:
    with Database(empty_url) as db:
        runner = MigrationRunner(db, PROJECT_DIR / "migrations")
        _ = runner.run(3)
        load = value(empty_url, LOADED)
        for window, written in (((0, DAYS - 1), 20), ((1, 4), 21), ((4, 4), 19)):
            _store_as_before(empty_url, load, window, written)
        _ = runner.run()
        days = "SELECT count(*) FROM sections_raw_ib WHERE record_key LIKE 'StmtFunds/unnumbered/%%'"
        assert value(empty_url, days) == DAYS
        versions = value(empty_url, "SELECT count(*) FROM raw_versions")
        _load(db, tmp_path / "again", [_text((0, DAYS - 1)), _text((1, 4), written=21)])
        assert value(empty_url, "SELECT count(*) FROM raw_versions") == versions
        assert _margin(db) == sum(int(one["amount"]) for number in range(DAYS) for one in _lines(number))


def _store_as_before(url: str, load: int, window: Window, written: int) -> None:
    """The lines and balances of a statement under the keys that they had: the days of the statement."""
    first, last = (f"{FIRST + timedelta(days=number)}" for number in window)
    balance = sum(int(one["amount"]) for number in range(window[0]) for one in _lines(number))
    told = [{**BALANCE, "reportDate": _day(window[0]), "balance": str(balance)}]
    for one in (one for number in range(window[0], window[1] + 1) for one in _lines(number)):
        balance += int(one["amount"])
        told.append({**one, "balance": str(balance)})
    for number, one in enumerate(told):
        payload = {**one, "_section": "StmtFunds", "_tag": TAG, "_from": first, "_to": last}
        _ = query(
            url,
            "INSERT INTO sections_raw_ib (account_id, record_key, business_date, payload, fetched_at, generated_at, "
            "load_id) SELECT %s, %s, %s, jsonb_object(%s, %s), now(), %s, %s",
            ACCOUNT, f"StmtFunds/{first}/{last}/{number}#1", last, list(payload), list(payload.values()),
            f"{FIRST + timedelta(days=written)} 05:00 America/New_York", load,
        )  # fmt: skip
