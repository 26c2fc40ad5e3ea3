"""Rows about cash, value, costs and day trades as the checks of value need them: short to write, the rest filled in."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from psycopg2 import sql

from apex_pipeline.domain.ledger import Lot, RealizedPnl
from apex_pipeline.domain.models import Broker, Instrument
from apex_pipeline.store.db import Database
from tests.store import check_rows
from tests.store.check_rows import ACCOUNT, CONID, SYMBOL, at, loaded, made, write
from tests.store.rows import query

FUTU = "281756000000000001"
"""The account at Futu; the one at Interactive Brokers is `check_rows.ACCOUNT`."""

LINES = ("cash", "stock", "options", "bonds", "notes", "funds", "commodities", "dividendAccruals", "interestAccruals")
COVERED = (
    "INSERT INTO load_coverage SELECT %s, 'FUTU', %s, 'futu_deals', 'ALL', %s, %s, 0, now() "
    "ON CONFLICT DO NOTHING"
)  # fmt: skip


def put(db: Database, table: LiteralString, **columns: Any) -> None:
    """One row of a table; columns that are not told are NULL."""
    name = sql.Identifier(table)
    text = sql.SQL("INSERT INTO {} SELECT * FROM jsonb_populate_record(NULL::{}, %s)").format(name, name)
    query(db.url, text, json.dumps(columns, default=str))


# Equity, cash and positions of an account at Interactive Brokers ----------------------------------------------------


def figures_of(lines: dict[str, str]) -> dict[str, str]:
    """Lines of an equity with their total, each beside its two halves."""
    whole = dict.fromkeys(LINES, "0") | lines
    total = sum(map(Decimal, lines.values()), Decimal(0))
    halves = {f"{name}Long": str(max(Decimal(told), Decimal(0))) for name, told in whole.items()}
    halves |= {f"{name}Short": str(min(Decimal(told), Decimal(0))) for name, told in whole.items()}
    ends = {
        end: sum((Decimal(told) for name, told in halves.items() if name.endswith(end)), Decimal(0))
        for end in ("Long", "Short")
    }
    return whole | halves | {"total": str(total), "totalLong": str(ends["Long"]), "totalShort": str(ends["Short"])}


def equity(db: Database, day: date, told: dict[str, str] | None = None, **lines: str) -> None:
    """The equity that the broker tells of a day: these lines with their sum; `told` replaces what it tells of them."""
    uid = f"IB_{ACCOUNT}_EquitySummaryInBase/{day}:USD:"
    put(
        db, "broker_figures", figures_uid=uid, broker="IB", account_id=ACCOUNT, business_date=day, to_date=day,
        section="EquitySummaryInBase", subject="", currency="USD", source="FLEX",
        figures=figures_of(lines) | (told or {}),
    )  # fmt: skip


def valued(db: Database, day: date, cash: str | None, positions_value: str | None = None) -> None:
    """What we say that the account has, in its base currency."""
    put(
        db, "performance_metrics", account_id=ACCOUNT, period="DAY", as_of=at(day, 23), scope="ACCOUNT", scope_id="",
        broker="IB", business_date=day, currency="USD", cash=cash, positions_value=positions_value, total_trades=0,
        source="BROKER",
    )  # fmt: skip


def cash_state(db: Database, day: date, total: str, settled: str | None = None, currency: str = "USD") -> None:
    put(
        db, "cash_account_state", account_id=ACCOUNT, currency=currency, as_of=day, broker="IB", total_cash=total,
        settled_cash=settled or total, unsettled_cash="0",
    )  # fmt: skip


def report(
    db: Database, first: date, last: date, ending: str, settled: str | None = None, currency: str = "USD"
) -> None:
    """The cash report of some days."""
    told = {"endingCash": ending} | ({"endingSettledCash": settled} if settled else {})
    put(
        db, "broker_figures", figures_uid=f"IB_{ACCOUNT}_CashReport/flex:{first}:{last}/{currency}", broker="IB",
        account_id=ACCOUNT, business_date=last, from_date=first, to_date=last, section="CashReport", subject=currency,
        currency=currency, figures=told, source="FLEX",
    )  # fmt: skip


def entry(
    db: Database, uid: str, booked: date, settles: date, amount: str, kind: str = "TRADE", **columns: Any
) -> None:
    """An entry of the ledger of cash."""
    usual: dict[str, Any] = {"broker": "IB", "account_id": ACCOUNT, "currency": "USD"}
    whole = usual | {"booked_on": booked, "settle_date": settles, "kind": kind, "amount": amount} | columns
    put(db, "cash_ledger", entry_uid=uid, **whole)


def settling(db: Database, uid: str, traded: date, ours: date, brokers: date) -> None:
    """When a trade settles by our rule, and by its broker."""
    put(
        db, "settlement_tracking", trade_uid=uid, broker="IB", account_id=ACCOUNT, symbol=SYMBOL, market="US",
        trade_date=traded, settlement_date=ours, broker_settlement_date=brokers, currency="USD", status="PENDING",
    )  # fmt: skip


def rate(db: Database, day: date, currency: str, told: str) -> None:
    """The broker's rate of a currency to the base."""
    put(
        db, "conversion_rates", rate_uid=f"{day} {currency}", broker="IB", account_id=ACCOUNT, business_date=day,
        from_currency=currency, to_currency="USD", rate=told, source="FLEX",
    )  # fmt: skip


def held(db: Database, day: date, qty: int, mark: str, ours: str, theirs: str | None = None, **columns: Any) -> None:
    """A position at the end of a day at the broker's mark: what it is worth to us, and to the broker if it tells it."""
    usual: dict[str, Any] = {
        "broker": "IB", "account_id": ACCOUNT, "symbol": SYMBOL, "asset_class": "STOCK", "currency": "USD", "qty": qty,
        "business_date": day, "mark_price": mark,
    }  # fmt: skip
    whole = usual | columns
    put(db, "positions_daily", **({"instrument_id": CONID, "market_value": ours} | whole))
    if theirs is not None:
        told = {"broker_position_id": CONID, "market_value": theirs, "as_of": at(day, 22), "source": "FLEX"}
        put(db, "broker_positions", **(told | whole))


# Costs of positions at Futu -----------------------------------------------------------------------------------------


def futu_lot(uid: str, qty: int, price: str, on: date, left: int, fees: str = "0", **values: Any) -> Lot:
    """A lot that a known trade opened at Futu."""
    cost = qty * Decimal(price) + Decimal(fees)
    usual: dict[str, Any] = {
        "broker": Broker.FUTU, "account_id": FUTU, "instrument_id": SYMBOL, "open_price": Decimal(price),
        "fees": Decimal(fees), "remaining_qty": Decimal(left), "remaining_cost": cost * left / qty,
        "open_trade_uid": uid, "closed_on": None if left else on + timedelta(days=1),
    }  # fmt: skip
    return check_rows.lot(uid, qty, str(cost), on, **(usual | values))


def futu_piece(uid: str, lot: Lot, qty: int, price: str, on: date, fees: str = "0", **values: Any) -> RealizedPnl:
    """A piece of a lot that was sold at a price."""
    assert lot.open_price is not None
    assert lot.fees is not None
    share = lot.fees * qty / abs(lot.qty)
    gain = (Decimal(price) - lot.open_price) * qty - share - Decimal(fees)
    usual: dict[str, Any] = {
        "broker": Broker.FUTU, "account_id": FUTU, "instrument_id": SYMBOL, "lot_uid": lot.lot_uid,
        "close_trade_uid": uid, "open_price": lot.open_price, "close_price": Decimal(price), "open_fees": share,
        "close_fees": Decimal(fees), "cost_basis": lot.open_price * qty + share, "realized_pnl": gain,
        "opened_at": lot.opened_at, "opened_on": lot.opened_on,
    }  # fmt: skip
    return check_rows.realized(f"{uid}:{lot.lot_uid}", qty, on, **(usual | values))


def costs_told(db: Database, day: date, *told: tuple[str, int, str | None, str | None]) -> None:
    """Futu's snapshot of positions: symbol, quantity, average and diluted cost of each."""
    load, as_of = loaded(db, Broker.FUTU, "futu_positions", day, day), at(day, 22)
    rows: list[dict[str, Any]] = []
    for number, (symbol, qty, average, diluted) in enumerate(told, start=1):
        costs = {"averageCostPrice": average, "dilutedCostPrice": diluted}
        known = {name: float(cost) for name, cost in costs.items() if cost is not None}
        rows.append({"positionID": str(number), "code": symbol.removeprefix("US."), "qty": float(qty), **known})
        mine = {"symbol": symbol, "underlying": symbol, "broker_position_id": str(number), "source": "futu_positions"}
        write(db, check_rows.position(qty, day, broker=Broker.FUTU, account_id=FUTU, **mine))
        write(db, made(Instrument, symbol=symbol, futu_code=symbol))
        put(
            db, "positions_daily", business_date=day, broker="FUTU", account_id=FUTU, instrument_id=symbol,
            symbol=symbol, asset_class="STOCK", qty=qty,
        )  # fmt: skip
    put(
        db, "positions_raw_futu", account_id=FUTU, record_key=str(day), business_date=day, payload={"rows": rows},
        fetched_at=as_of, generated_at=as_of, load_id=load,
    )  # fmt: skip


# Day trades at Futu -------------------------------------------------------------------------------------------------


def left_told(db: Database, moment: datetime, words: str, account: str = FUTU, **fields: Any) -> None:
    """Futu's snapshot of funds with the number of day trades that are left."""
    day = moment.date()
    load = loaded(db, Broker.FUTU, "futu_funds", day, day)
    put(
        db, "balances_raw_futu", account_id=account, record_key=str(moment), business_date=day, fetched_at=moment,
        generated_at=moment, load_id=load, payload={"rows": [{"cash": 1.0, "pdtSeq": words, **fields}]},
    )  # fmt: skip


def day_trades(
    db: Database, day: date, methods: Sequence[str], account: str = FUTU, closed: datetime | None = None
) -> None:
    """A day trade for each of these methods, closed at some moment."""
    for number, method in enumerate(methods):
        uid = f"{account} {day} {number}"
        signed: dict[str, Any] = {"broker": Broker.FUTU, "account_id": account, "executed_at": closed or at(day)}
        write(db, check_rows.trade(uid, -1, day, **signed))
        put(
            db, "day_trades", day_trade_uid=f"{method}:{uid}", broker="FUTU", account_id=account, symbol=SYMBOL,
            trade_date=day, method=method, open_trade_uid=f"{uid} open", close_trade_uid=uid, open_trade_uids=[],
            close_trade_uids=[uid], qty=1, regime="LEGACY_PDT",
        )  # fmt: skip


def weekdays_known(db: Database, first: date, last: date, account: str = FUTU) -> None:
    """Every weekday between two days is a session in New York, and Futu's deals of these days were loaded."""
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        put(db, "market_days", calendar="XNYS", on_date=day, is_session=day.isoweekday() < 6, is_settlement_day=True)
    load = loaded(db, Broker.FUTU, "futu_deals", first, last)
    _ = query(db.url, COVERED, load, account, first, last)


def new_york(day: date, hour: int) -> datetime:
    """An hour of the clock of New York in winter."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour + 5)
