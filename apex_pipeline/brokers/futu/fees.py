"""Fee records to fee rows: the parts of an order's fee, and what each of its trades bears of them. Pure.

The parts sum to the broker's total, and what the trades bear of a part sums to the part, exactly.

Titles follow the language of OpenD. Each known fee has one name in `fee_uid` whatever the language, so
that switching OpenD from Chinese to English changes no identity; an unknown title is its own name.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu import amounts
from apex_pipeline.brokers.futu.orders import order_uid
from apex_pipeline.domain.models import Broker, Fee, FeeAllocation, FeeType, Order, Trade
from apex_pipeline.domain.money import allocate, places_of
from apex_pipeline.domain.records import Record

UNALLOCATED = "unallocated"
_MONEY_PLACES = 2

_TITLES = {
    "commission": (FeeType.COMMISSION, "Commission", "Commissions", "佣金"),
    "platform_fee": (FeeType.PLATFORM, "Platform Fee", "Platform Fees", "Platform Service Fee", "平台使用费", "平台费"),
    "orf": (FeeType.REGULATORY, "ORF", "Options Regulatory Fee", "Option Regulatory Fee", "期权监管费"),
    "occ_fee": (FeeType.CLEARING, "OCC Fee", "OCC Fees", "Option Clearing Fee", "Options Clearing Fee", "期权清算费"),
    "option_settlement_fee": (
        FeeType.SETTLEMENT, "Option Settlement Fees", "Option Settlement Fee", "Options Settlement Fee", "期权交收费",
    ),
    "settlement_fee": (FeeType.SETTLEMENT, "Settlement Fee", "Settlement Fees", "交收费"),
    "sec_fee": (FeeType.REGULATORY, "SEC Fee", "SEC Fees", "SEC Regulatory Fee", "证监会规费"),
    "taf": (
        FeeType.REGULATORY, "TAF", "Trading Activity Fee", "Trading Activity Fees", "FINRA Trading Activity Fee",
        "交易活动费",
    ),
    "cat_fee": (FeeType.REGULATORY, "CAT Fee", "Consolidated Audit Trail Fee", "综合审计跟踪监管费"),
    "exchange_fee": (FeeType.EXCHANGE, "Exchange Fee", "Exchange Fees", "交易所费用", "交易所费"),
    "trading_fee": (FeeType.EXCHANGE, "Trading Fee", "Trading Fees", "交易费"),
    "trading_tariff": (
        FeeType.EXCHANGE, "Trading Tariff", "System Usage Fee", "Trading System Usage Fee", "交易系统使用费",
    ),
    "transaction_levy": (
        FeeType.REGULATORY, "Transaction Levy", "SFC Transaction Levy", "SFC Levy", "交易征费", "证监会征费",
        "证监会交易征费",
    ),
    "frc_levy": (
        FeeType.REGULATORY, "FRC Transaction Levy", "AFRC Transaction Levy", "FRC Levy", "AFRC Levy",
        "财务汇报局交易征费", "会财局交易征费", "财汇局交易征费", "财汇局征费", "会财局征费",
    ),
    "clearing_fee": (FeeType.CLEARING, "Clearing Fee", "Clearing Fees", "CCASS Fee", "结算费", "清算费"),
    "transfer_fee": (FeeType.CLEARING, "Transfer Fee", "过户费"),
    "stamp_duty": (FeeType.STAMP_DUTY, "Stamp Duty", "Stamp Duty Fee", "印花税"),
    "tax": (FeeType.TAX, "Tax", "GST", "Consumption Tax", "消费税", "税费"),
}  # fmt: skip
"""Fee by its one name: our type, and the titles it is known under."""

_BY_TITLE = {
    title.casefold(): (name, fee_type)
    for name, (fee_type, *titles) in _TITLES.items()
    for title in titles
}  # fmt: skip


def read(record: Record, order: Order | None, executions: Sequence[Trade]) -> list[Fee]:
    """The parts of one order's fee; none while the fee is pending. Raises UnknownPayload.

    What the parts leave of the total is a part of its own (UNALLOCATED); a total without parts is one
    row even where it is 0, because a fee of zero is known and a missing fee is not.
    """
    total = amounts.number(record.payload, "feeAmount")
    if total is None:
        return []
    parts = _parts(record.payload)
    rest = total - sum((value for _, value in parts), Decimal(0))
    if rest or not parts:
        parts.append((UNALLOCATED, rest))
    uid, charged_on = order_uid(record.account_id, record.key), _charged_on(record, order, executions)
    currency = _currency(order, executions)
    seen: Counter[str] = Counter()
    rows: list[Fee] = []
    for title, value in parts:
        name, fee_type = named(title)
        seen[name] += 1
        rows.append(
            Fee(
                fee_uid=f"{uid}_{seen[name]}_{name}",
                order_uid=uid,
                trade_uid=None,
                broker=Broker.FUTU,
                account_id=record.account_id,
                fee_type=fee_type,
                broker_fee_name=title,
                amount=value,
                currency=currency,
                charged_on=charged_on,
            )
        )
    return rows


def allocations(fees: Sequence[Fee], executions: Sequence[Trade]) -> list[FeeAllocation]:
    """Each fee of an order split over its effective trades, of all legs, in proportion to the traded amount.

    By quantity where the amount of one of them is unknown or all are zero. The order in which the trades are given
    changes nothing.
    """
    counted = sorted((trade for trade in executions if trade.effective), key=lambda trade: trade.trade_uid)
    if not counted:
        return []
    known = [abs(trade.amount) for trade in counted if trade.amount is not None]
    weights = known if len(known) == len(counted) and any(known) else [trade.qty for trade in counted]
    return [
        FeeAllocation(fee.fee_uid, trade.trade_uid, fee.broker, fee.account_id, part)
        for fee in fees
        for trade, part in zip(
            counted, allocate(fee.amount, weights, max(_MONEY_PLACES, places_of(fee.amount))), strict=True
        )
    ]


def is_known(title: str) -> bool:
    """Whether a rule knows this title, in whatever language."""
    return " ".join(title.split()).casefold() in _BY_TITLE


def named(title: str) -> tuple[str, FeeType]:
    """The one name and the type of a fee title; OTHER under its own words where it is not known."""
    if title == UNALLOCATED:
        return UNALLOCATED, FeeType.UNALLOCATED
    plain = " ".join(title.split())
    known = _BY_TITLE.get(plain.casefold())
    return known or (re.sub(r"\W+", "_", plain.casefold()).strip("_") or "untitled", FeeType.OTHER)


def _parts(payload: dict[str, Any]) -> list[tuple[str, Decimal]]:
    """Title and value, equal titles by value so that a new order of the parts changes no identity."""
    parts: list[tuple[str, Decimal]] = []
    items: list[dict[str, Any]] = payload.get("feeList") or []
    for item in items:
        value = amounts.number(item, "value")
        if value is not None:
            parts.append((str(item.get("title") or "untitled"), value))
    return sorted(parts, key=lambda part: (named(part[0])[0], part[1]))


def _charged_on(record: Record, order: Order | None, executions: Sequence[Trade]) -> date:
    days = [trade.trade_date for trade in executions if trade.effective]
    return max(days) if days else order.trade_date if order else record.business_date


def _currency(order: Order | None, executions: Sequence[Trade]) -> str | None:
    if order and order.currency:
        return order.currency
    return next((trade.currency for trade in executions if trade.currency), None)
