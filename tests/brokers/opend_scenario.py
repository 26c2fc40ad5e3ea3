"""A small scenario by hand with every kind of row that OpenD tells, for tests of exact texts and codes."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from apex_pipeline.brokers.scenario import (
    Charge,
    Contract,
    Event,
    Fill,
    Holding,
    Leg,
    Scenario,
    ScenarioAccount,
    ScenarioOrder,
)
from apex_pipeline.domain.models import AssetClass, Broker, FeeType, OptionRight, OrderStatus, Side, TradeKind

REAL, OLD, PAPER = "281756478396547854", "281756455998014447", "3450310"
FIRST_FILL = 4_611_873_000_000_000_117

_US = Contract("US", AssetClass.STOCK, "AAPL", "AAPL", "APPLE INC", "USD", Decimal(1), 1)
_HK = Contract("HK", AssetClass.STOCK, "00700", "TCH", "TENCENT", "HKD", Decimal(1), 2)
_PEP = Contract(
    "US", AssetClass.OPTION, "PEP", "PEP", "PEP 18SEP26 120 P", "USD", Decimal(100), 3, Decimal(120),
    date(2026, 9, 18), OptionRight.PUT,
)  # fmt: skip
_PEP_LATER = replace(_PEP, expiry=date(2026, 11, 21), conid=4)
_COMBO = Contract("US", AssetClass.COMBO, "PEP", "PEP", "PEP COMBO", "USD", Decimal(100), 5)
_TCH = Contract(
    "HK", AssetClass.OPTION, "00700", "TCH", "TCH 28AUG26 42.5 C", "HKD", Decimal(100), 6, Decimal("42.5"),
    date(2026, 8, 28), OptionRight.CALL,
)  # fmt: skip


def utc(text: str) -> datetime:
    """An instant of a text without zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def order(number: int, contract: Contract, created: str, fills: tuple[Fill, ...] = (), **more: object) -> ScenarioOrder:
    """A filled order of one instrument, changed by `more`."""
    at = utc(created)
    made = ScenarioOrder(
        number, Broker.FUTU, REAL, contract, (), Side.BUY, opening=True, order_type="LIMIT",
        status=OrderStatus.FILLED if fills else OrderStatus.CANCELLED, qty=Decimal(1), limit_price=Decimal("2.5"),
        created_at=at, updated_at=at, trade_date=at.date(), fills=fills, charges=(), group=number,
        strategy="LONG_STOCK", action="OPEN",
    )  # fmt: skip
    return replace(made, **more)  # pyright: ignore[reportArgumentType]  # the fields are named at the call


def fill(number: int, contract: Contract, side: Side, traded: str, at: str) -> Fill:
    """One execution; `traded` is quantity @ price."""
    qty, price = traded.split("@")
    moment = utc(at)
    return Fill(FIRST_FILL + number, contract, side, Decimal(qty), Decimal(price), moment, moment.date())


def small_scenario() -> Scenario:
    """Three accounts, stocks and options of two markets, a combination, an assignment, both 01:30 of November 1."""
    split = (
        fill(1, _US, Side.BUY, "1@10.01", "2026-09-01 14:00:00.123"),
        fill(2, _US, Side.BUY, "2@10.02", "2026-09-01 14:00:01"),
    )
    charges = (Charge(FeeType.COMMISSION, Decimal("0.10"), "Commission"), Charge(FeeType.PLATFORM, Decimal("0.20")))
    legs = (Leg(_PEP, Side.BUY, 1), Leg(_PEP_LATER, Side.SELL, 1))
    both = (
        fill(3, _PEP, Side.BUY, "2@1.20", "2026-08-03 14:00:00"),
        fill(4, _PEP_LATER, Side.SELL, "2@3.05", "2026-08-03 14:00:00"),
    )
    orders = (
        order(1, _US, "2026-09-01 14:00:00", split, qty=Decimal(3), limit_price=Decimal("10.02"), charges=charges),
        order(2, _COMBO, "2026-08-03 13:59:00", both, legs=legs, side=Side.SELL, qty=Decimal(2),
              limit_price=Decimal("1.85"), strategy="LONG_PUT_CALENDAR"),
        order(3, _HK, "2026-09-02 01:30:00", status=OrderStatus.REJECTED),
        order(4, _TCH, "2026-08-04 02:00:00", (fill(5, _TCH, Side.SELL, "1@0.11", "2026-08-04 02:00:00"),),
              side=Side.SELL, charges=(Charge(FeeType.EXCHANGE, Decimal(3), "Trading Fee"),)),
        order(5, _US, "2026-11-01 05:30:00"),
        order(6, _US, "2026-11-01 06:30:00"),
        order(7, _US, "2026-01-05 15:00:00", (fill(6, _US, Side.BUY, "1@9", "2026-01-05 15:00:00"),),
              account_id=OLD),
        order(8, _HK, "2026-09-03 02:00:00", account_id=PAPER),
        order(9, _US, "2026-08-20 15:00:00", status=OrderStatus.OPEN, time_in_force="GTC"),
    )  # fmt: skip
    assigned = Event(
        FIRST_FILL + 50, Broker.FUTU, REAL, TradeKind.ASSIGNMENT, _PEP, Side.BUY, Decimal(2), Decimal(0),
        utc("2026-09-18 20:20:00"), date(2026, 9, 18),
    )  # fmt: skip
    shares = replace(
        assigned, event_id=FIRST_FILL + 51, qty=Decimal(200), price=Decimal(120), related=assigned.event_id,
        contract=replace(_US, code="PEP", root="PEP"),
    )  # fmt: skip
    holdings = (
        Holding(Broker.FUTU, REAL, _US, Decimal(3), Decimal("10.016667"), Decimal("11.5")),
        Holding(Broker.FUTU, REAL, _TCH, Decimal(-1), Decimal("0.11"), Decimal("0.05")),
    )
    details = (
        ScenarioAccount(Broker.FUTU, REAL, "REAL", "ACTIVE", ("HK", "US")),
        ScenarioAccount(Broker.FUTU, OLD, "REAL", "DISABLED", ("US",)),
        ScenarioAccount(Broker.FUTU, PAPER, "SIMULATE", "ACTIVE", ("HK",)),
    )
    names = {Broker.FUTU: (REAL, OLD, PAPER)}
    return Scenario(1, date(2026, 1, 1), date(2026, 11, 1), names, orders, (assigned, shares), holdings, details)
