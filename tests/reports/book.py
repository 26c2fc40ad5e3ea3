"""A small book with everything that the report shows, hostile words of brokers and gaps of knowledge included."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from apex_pipeline.store.db import Database
from tests.store.rows import query
from tests.store.value_rows import put

IB, FUTU = "U7654321", "281756000000000001"
FIRST = date(2026, 3, 2)  # a Monday
NOW = datetime(2026, 3, 14, 1, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"
QUOTED = "\"><img src=x onerror='alert(2)'>&amp;"
LONG = Decimal("12345678901234567890.123456789")

LOADED = """
WITH run AS (
    INSERT INTO load_runs (broker, from_date, to_date, started_at) VALUES (%s, %s, %s, now()) RETURNING run_id
), load AS (
    INSERT INTO loads
        (run_id, broker, data_type, account_id, market, from_date, to_date, status, started_at, finished_at)
    SELECT run_id, %s, %s, %s, 'ALL', %s, %s, 'COMPLETE', now(), now() FROM run RETURNING *
)
INSERT INTO load_coverage
SELECT load_id, broker, account_id, data_type, market, from_date, to_date, 0, now() FROM load
"""


def day(number: int) -> date:
    """So many days after the first."""
    return FIRST + timedelta(number)


def covered(db: Database, broker: str, account: str, data_type: str, first: date, last: date) -> None:
    """Days that a broker told everything of."""
    query(db.url, LOADED, broker, first, last, broker, data_type, account, first, last)


def worth(db: Database, account: str, on: date, value: str | None, fall: str | None = "0", **changes: Any) -> None:
    """What an account was worth at the end of a day."""
    told = {
        "account_id": account, "period": "DAY", "as_of": f"{on}T21:59:59Z", "scope": "ACCOUNT", "scope_id": account,
        "broker": "IB" if account.startswith("U") else "FUTU", "business_date": on, "currency": "USD",
        "net_liquidation": value, "drawdown": fall, "total_trades": 0, "source": "LEDGER",
    }  # fmt: skip
    put(db, "performance_metrics", **{**told, **changes})


def gain(db: Database, key: str, on: date, amount: str | None, **changes: Any) -> None:
    """A piece that a trade closed."""
    told = {
        "realized_uid": key, "broker": "IB", "account_id": IB, "instrument_id": "1", "symbol": "US.KO",
        "underlying": "US.KO", "asset_class": "STOCK", "kind": "TRADE", "direction": "LONG", "close_trade_uid": key,
        "qty": "1", "carried_pnl": "0", "realized_pnl": amount, "currency": "USD", "closed_on": on, "method": "FIFO",
        "basis_source": "TRADES",
    }  # fmt: skip
    put(db, "realized_pnl", **{**told, **changes})


def position(db: Database, account: str, on: date, symbol: str, **changes: Any) -> None:
    """What is held at the end of a day."""
    told = {
        "business_date": on, "broker": "IB" if account.startswith("U") else "FUTU", "account_id": account,
        "instrument_id": symbol, "symbol": symbol, "underlying": symbol, "asset_class": "STOCK", "qty": "100",
        "avg_cost": "60", "cost_basis": "6000", "currency": "USD",
    }  # fmt: skip
    put(db, "positions_daily", **{**told, **changes})


def broken(db: Database, uid: str, subject: str, **changes: Any) -> None:
    """An open break."""
    told = {
        "break_uid": uid, "check_name": "positions_equal_the_brokers", "severity": "ERROR", "broker": "IB",
        "account_id": IB, "subject": subject, "business_date": day(1), "expected": "10", "actual": "7", "delta": "-3",
        "state": "OPEN", "first_seen_at": NOW, "last_seen_at": NOW, "age_bd": 4, "evidence": {}, "follows": [],
        "is_material": True,
    }  # fmt: skip
    put(db, "recon_breaks", **{**told, **changes})


def fee(db: Database, key: str, on: date, kind: str, amount: str, currency: str = "USD") -> None:
    """A fee that was paid, or came back."""
    put(
        db, "fees_norm", fee_uid=key, broker="IB", account_id=IB, fee_type=kind, broker_fee_name=kind, amount=amount,
        currency=currency, charged_on=on,
    )  # fmt: skip


def filled(db: Database) -> None:
    """The whole book: two weeks of two accounts."""
    covered(db, "IB", IB, "ib_flex", day(0), day(2))
    covered(db, "IB", IB, "ib_flex", day(8), day(11))
    covered(db, "FUTU", FUTU, "futu_orders", day(0), day(11))
    covered(db, "FUTU", FUTU, "futu_deals", day(0), day(11))
    for number, value in enumerate(("1000000.25", None, "1000100", "999000.123456789", str(LONG))):
        worth(db, IB, day(number), value, None if value is None else f"0.0{number}")
    worth(db, FUTU, day(0), None, None, currency="HKD")
    gain(db, "G1", day(1), "1234.5678", open_trade_uid="T1")
    gain(db, "G2", day(2), "-200.5", symbol=HOSTILE, underlying=HOSTILE)
    gain(db, "G3", day(3), None)
    gain(db, "G4", day(3), "77", currency="HKD", symbol="HK.00700", underlying="HK.00700")
    fee(db, "F1", day(1), "COMMISSION", "3.5")
    fee(db, "F2", day(1), "EXCHANGE", "-0.25")
    fee(db, "F3", day(2), "STAMP_DUTY", "100", "HKD")
    position(db, IB, day(11), QUOTED)
    position(db, IB, day(11), "US.KO", mark_price="61.5", market_value=str(LONG), unrealized_pnl="150")
    broken(db, "B_1", HOSTILE)
    put(
        db, "quarantine", quarantine_uid="Q1", stage="normalize", broker="IB", kind="trades", account_id=IB,
        broker_key="=1+1", business_date=day(1), reason_code="bad_number", reason=f"'{QUOTED}' is not a number",
        payload={}, first_seen_at=NOW,
    )  # fmt: skip
