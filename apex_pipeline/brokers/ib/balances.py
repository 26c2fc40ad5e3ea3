"""What cash an account had at the end of a statement: CashReport as balances by currency.

A row of the cash report is one currency; the row BASE_SUMMARY sums up all of them in the base currency and is none.
Its columns Sec, Com and IBUKL are parts of the total beside them. What the whole account was worth stands in other
sections (EquitySummaryInBase, else ChangeInNAV) and is added on the row of the base currency.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import reduce

from apex_pipeline.brokers.ib.attributes import EXACT
from apex_pipeline.brokers.ib.positions import as_of
from apex_pipeline.brokers.ib.rows import Row, read_each, rows_of, section_of
from apex_pipeline.brokers.ib.trades import SOURCE
from apex_pipeline.domain.models import Broker, BrokerBalance
from apex_pipeline.domain.records import Record, Reject
from apex_pipeline.errors import UnknownPayload

BASE_SUMMARY = "BASE_SUMMARY"
"""What stands for a currency in rows that sum up all currencies."""

EQUITY, NAV, RATES, ACCOUNT = "EquitySummaryInBase", "ChangeInNAV", "ConversionRates", "AccountInformation"

_NEVER = datetime.min.replace(tzinfo=UTC)

Place = tuple[str, date]
"""Account and day."""


@dataclass(slots=True)
class Worth:
    """What accounts were worth at the end of days, and in which currency that is told."""

    equity: dict[Place, Decimal] = field(default_factory=dict[Place, Decimal])
    nav: dict[Place, Decimal] = field(default_factory=dict[Place, Decimal])
    base: dict[Place, str] = field(default_factory=dict[Place, str])

    def of(self, place: Place) -> tuple[str, Decimal] | None:
        """Base currency and worth; None where one of them is not known."""
        base, worth = self.base.get(place), self.equity.get(place, self.nav.get(place))
        return (base, worth) if base and worth is not None else None


def worth_of(records: Iterable[Record]) -> Worth:
    """What these records say of the worth of their accounts. Rows that cannot be read are refused as figures."""
    worth, currencies = Worth(), dict[Place, dict[str, str]]()
    for record in records:
        section = section_of(record)
        if section not in (EQUITY, NAV, RATES, ACCOUNT):
            continue
        for row in rows_of(record):
            _take_worth(worth, row)
            told = row.told.text("toCurrency" if section == RATES else "currency")
            if told and told != BASE_SUMMARY:
                currencies.setdefault((record.account_id, row.days[1]), {})[section] = told
    for place, told in currencies.items():
        worth.base[place] = next(told[name] for name in (ACCOUNT, EQUITY, NAV, RATES) if name in told)
    return worth


def _take_worth(worth: Worth, row: Row) -> None:
    place = row.record.account_id, row.days[1]
    try:
        if row.section == EQUITY and (total := row.told.number("total")) is not None:
            worth.equity[place] = total
        if row.section == NAV and (ending := row.told.number("endingValue")) is not None:
            worth.nav[place] = ending
    except UnknownPayload:
        return


def balances_of(records: Sequence[Record], worth: Worth, rejects: list[Reject]) -> list[BrokerBalance]:
    """The balances of these cash reports. Of reports that end on one day of one account the newest is told."""
    newest: dict[Place, Record] = {}
    for record in sorted(records, key=lambda one: (one.generated_at or _NEVER, one.key)):
        newest[record.account_id, record.business_date] = record
    return [balance for place in sorted(newest) for balance in _balances(newest[place], worth.of(place), rejects)]


def _balances(record: Record, worth: tuple[str, Decimal] | None, rejects: list[Reject]) -> list[BrokerBalance]:
    cash = _cash_of(record, rejects)
    if worth is not None and cash:
        _ = cash.setdefault(worth[0], None)
    return [
        BrokerBalance(
            business_date=record.business_date,
            broker=Broker.IB,
            account_id=record.account_id,
            currency=currency,
            cash=cash[currency],
            net_liquidation=worth[1] if worth and worth[0] == currency else None,
            market_value=None,
            as_of=as_of(record),
            source=SOURCE,
        )
        for currency in sorted(cash)
    ]


def _cash_of(record: Record, rejects: list[Reject]) -> dict[str, Decimal | None]:
    """The cash by currency. A currency told for several models of the account is added up."""
    found: dict[tuple[str, str], Decimal | None] = {}

    def take(row: Row) -> None:
        currency = row.told.required("currency")
        if currency == BASE_SUMMARY:
            return
        spot, cash = (currency, row.told.text("model") or ""), row.told.number("endingCash")
        if found.setdefault(spot, cash) != cash:
            raise UnknownPayload("repeated_currency", f"the cash report tells two sums of {currency}")

    read_each(record, take, rejects)
    return {currency: _total(found, currency) for currency, _ in found}


def _total(found: Mapping[tuple[str, str], Decimal | None], currency: str) -> Decimal | None:
    told = [cash for (of, _), cash in found.items() if of == currency]
    known = [cash for cash in told if cash is not None]
    return reduce(EXACT.add, known) if len(known) == len(told) else None
