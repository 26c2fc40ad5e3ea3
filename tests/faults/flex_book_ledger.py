"""One account of a made-up book while it is being written: days, moments, prices, ids, and plain fills.

All accounts have the same ids, so that whatever forgets the account in a key mixes them up.
"""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from tests.faults.flex_book import NEW_YORK, Booking, Entry, Event, Instruction, business_day_after, is_business_day
from tests.faults.flex_book_contracts import Contract

_KINDS = ("LMT", "MKT", "MOC", "SNAPMID", "")
_TAIL = 12
"""Days at the end in which nothing new begins, so that what follows a fact still happens within the book."""


class Ledger:
    """One account being written. Days are business days; ids are dealt in the order of booking at the end."""

    def __init__(self, account: str, random: Random, first: date, last: date) -> None:
        self.account = account
        self.random = random
        span = [first + timedelta(days=number) for number in range((last - first).days + 1 - _TAIL)]
        self.days = [day for day in span if is_business_day(day)]
        self.entries: list[Entry] = []
        self.bookings: list[Booking] = []
        self.events: list[Event] = []
        self._ids = 0

    def number(self) -> int:
        """A number that nothing else of this account has."""
        self._ids += 1
        return self._ids

    def day(self) -> date:
        """Any business day."""
        return self.random.choice(self.days)

    def moment(self, day: date, first: int = 9, last: int = 15) -> datetime:
        """A second of that day in New York between two hours."""
        clock = time(self.random.randint(first, last), self.random.randint(30, 59), self.random.randint(0, 59))
        return datetime.combine(day, clock, NEW_YORK)

    def instruction(self, at: datetime, *, brokerage: bool = True, reference: str = "") -> Instruction:
        """A new order, placed shortly before `at`."""
        number = 700_000_000 + self.number()
        placed = at - timedelta(seconds=self.random.randint(0, 900))
        kind = self.random.choice(_KINDS)
        told = f"00{number:x}.0001.{number % 97:02d}" if brokerage else ""
        return Instruction(str(number), placed, kind, reference, told)

    def exec_stem(self) -> str:
        """The first two parts of a new execution id."""
        return f"0000e1a7.{0x60000000 + self.number():08x}"

    def price(self, contract: Contract) -> Decimal:
        """A price near the usual one, with its digits."""
        moved = contract.price * (1 + Decimal(self.random.randint(-900, 900)) / 10_000)
        return moved.quantize(contract.price) or contract.price

    def fill(self, contract: Contract, signed: Decimal, at: datetime, instruction: Instruction | None) -> Entry:
        """An execution on the day of `at`, booked the same day."""
        day = at.date()
        entry = Entry(
            self.account, contract, signed, self.price(contract), at, day, day, business_day_after(day),
            instruction, f"{self.exec_stem()}.01.01", self.trade_id(),
            effect=self.random.choice(("O", "C", "O", "C;O", "")),
            commission=-Decimal(self.random.randint(35, 900)) / 100, commission_currency=contract.currency,
        )  # fmt: skip
        self.entries.append(entry)
        return entry

    def trade_id(self) -> str:
        """A new tradeID."""
        return str(1_000_000_000 + self.number())
