"""A made-up history of two accounts at IB: every fact once, as IB books it, with what it really was beside it.

Shares no code with the product, its simulators or its scenario. What an entry really was (its kind, what it
takes back, the order it belongs to) is written when the fact is made and is not read from IB's words.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from tests.faults.flex_book_contracts import Contract

NEW_YORK = ZoneInfo("America/New_York")
ACCOUNTS = ("U5550001", "U5550002")
MONTHS = 14
DAYS = 426
"""Fourteen months: more than the 365 days that one request may ask for."""


@dataclass(eq=False)
class Instruction:
    """An order that nobody tells of but its fills."""

    order_id: str
    placed: datetime | None
    kind: str
    reference: str
    brokerage_id: str


@dataclass(eq=False)
class Entry:
    """One row of level EXECUTION. `signed`: quantity, negative when sold. Fields in IB's words are text."""

    account: str
    contract: Contract
    signed: Decimal
    price: Decimal
    at: datetime
    trade_date: date
    report_date: date
    settle_date: date
    instruction: Instruction | None = None
    exec_id: str = ""
    trade_id: str = ""
    transaction_type: str = "ExchTrade"
    notes: tuple[str, ...] = ()
    effect: str = ""
    commission: Decimal | None = None
    commission_currency: str = ""
    taxes: Decimal = Decimal(0)
    action_id: str = ""
    venue: str = "SMART"
    original: "Entry | None" = None
    names_transaction: bool = True
    """Whether a row that takes another back names it by its transactionID or, as in old statements, by its tradeID."""
    kind: str = "TRADE"
    link: str | None = None
    late: bool = False
    """Whether statements that were written early lack it."""
    transaction_id: str = ""

    @property
    def booked(self) -> bool:
        """Whether it is IB's own entry and not an execution."""
        return self.transaction_type == "BookTrade"

    @property
    def order_id(self) -> str:
        """ibOrderID as IB writes it; a book entry's repeats its transactionID."""
        if self.instruction is not None:
            return self.instruction.order_id
        return self.transaction_id if self.booked else ""


@dataclass(eq=False)
class Booking:
    """One cash transaction of level DETAIL; `amount` positive when received. `kind` is what it really was."""

    account: str
    words: str
    kind: str
    amount: Decimal
    currency: str
    at: datetime
    report_date: date
    settle_date: date
    description: str
    contract: Contract | None = None
    action_id: str = ""
    ex_date: date | None = None
    transaction_id: str = ""


@dataclass(eq=False)
class Event:
    """One row of a corporate action or a transfer; `section` and `tag` are IB's, `told` its other attributes."""

    account: str
    section: str
    tag: str
    contract: Contract | None
    report_date: date
    at: datetime
    told: dict[str, str] = field(default_factory=dict[str, str])
    transaction_id: str = ""


@dataclass
class Book:
    """Everything that happened, in the order in which it was booked."""

    first: date
    last: date
    entries: list[Entry]
    bookings: list[Booking]
    events: list[Event]

    def days(self) -> list[date]:
        """Every calendar day of it."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    def part(self, first: date, last: date) -> "Book":
        """What statements over these days tell: IB goes by the report date."""
        return Book(
            first,
            last,
            [one for one in self.entries if first <= one.report_date <= last],
            [one for one in self.bookings if first <= one.report_date <= last],
            [one for one in self.events if first <= one.report_date <= last],
        )

    def is_effective(self, entry: Entry) -> bool:
        """Whether an entry counts: it takes nothing back only, and no entry of this book takes it back."""
        return entry.kind != "CANCEL" and id(entry) not in self._taken_back

    @cached_property
    def _taken_back(self) -> set[int]:
        return {id(one.original) for one in self.entries if one.original is not None}


def is_business_day(day: date) -> bool:
    """Whether statements are written about the day; this world has no holidays."""
    return day.isoweekday() <= 5


def business_day_after(day: date, days: int = 1) -> date:
    """The next business day but so many."""
    while days:
        day += timedelta(days=1)
        days -= is_business_day(day)
    return day


def yesterday() -> date:
    """The newest day about which IB can have written."""
    return datetime.now(NEW_YORK).date() - timedelta(days=1)
