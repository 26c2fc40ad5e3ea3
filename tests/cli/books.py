"""Large made-up books of a Futu login, invented by a little generator of their own, and how the wire tells them.

Each thing in a book is said once, as exact decimals and instants (`Made`, `Fill`, `Booking`, `Holding`); the rows of
the wire are composed from it here, and the rows that must come of it in `tests.cli.booked`.
"""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from tests.cli.book_contracts import Contract, some_combination, some_option, some_stock, stock
from tests.cli.opend import UTC8, ZONES

UNIVERSAL, DISABLED, HK_ONLY = 281756420273981734, 281756460292981743, 281756455998014447
MARKETS = {UNIVERSAL: (1, 2), DISABLED: (2,), HK_ONLY: (1,)}
GTC_DAYS = 80
BUY, SELL, SHORT, BACK = 1, 2, 3, 4
OK, BUSTED, CHANGED = 0, 1, 2
LIVE, PART, FILLED, PART_CANCELLED, CANCELLED, FAILED = 5, 10, 11, 14, 15, 21
FILL_CANCELLED = 24
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

PARTS = {
    "US": ("Commission", "Platform Fee", "Settlement Fee", "SEC Fee", "Trading Activity Fee"),
    "US option": ("Commission", "Platform Fee", "ORF", "OCC Fee"),
    "HK": ("Commission", "Platform Fee", "Stamp Duty", "Trading Fee", "Settlement Fee", "Transaction Levy"),
    "HK option": ("Commission", "Trading Tariff"),
}


@dataclass(frozen=True)
class Fill:
    """One deal. `old_price`: what was told before it was changed."""

    number: int
    contract: Contract
    at: datetime
    side: int
    qty: Decimal
    price: Decimal
    status: int = OK
    old_price: Decimal | None = None


@dataclass(frozen=True)
class Made:
    """One order. `fee`: total and parts, total None while pending; None where OpenD leaves the id out."""

    account: int
    number: int
    order_id: str
    contract: Contract
    side: int
    kind: int
    status: int
    qty: Decimal
    price: Decimal
    amount: Decimal | None
    average: Decimal
    created: datetime
    updated: datetime
    fills: tuple[Fill, ...] = ()
    fee: tuple[Decimal | None, tuple[tuple[str, Decimal], ...]] | None = None

    @property
    def filled(self) -> Decimal:
        """Units that are filled, in those of the order."""
        counted = [fill for fill in self.fills if fill.status != BUSTED]
        ratio = self.contract.legs[0].ratio if self.contract.legs else 1
        if self.contract.legs:
            counted = [fill for fill in counted if fill.contract == self.contract.legs[0].contract]
        return sum((fill.qty for fill in counted), Decimal(0)) / ratio


@dataclass(frozen=True)
class Booking:
    """One row of the cash flow. `amount` is signed; `kind` is what must come of it."""

    account: int
    number: int
    day: date
    currency: str
    words: str
    remark: str
    amount: Decimal
    kind: str


@dataclass(frozen=True)
class Holding:
    """One position; `qty` is negative when short."""

    account: int
    number: int
    contract: Contract
    qty: Decimal
    cost: Decimal
    price: Decimal
    value: Decimal
    unrealized: Decimal


@dataclass
class Book:
    """A year of three accounts up to the instant `now`; `first` is the first day that is asked for."""

    now: datetime
    first: date
    orders: list[Made] = field(default_factory=list[Made])
    bookings: list[Booking] = field(default_factory=list[Booking])
    holdings: list[Holding] = field(default_factory=list[Holding])

    @property
    def today(self) -> date:
        """The day it is in Hong Kong."""
        return self.now.astimezone(UTC8).date()

    def filled(self, account: int) -> int:
        """Orders of an account that have a deal or a fill."""
        return sum(1 for order in self.orders if order.account == account and (order.fills or order.filled))


def book(seed: int, orders: int, now: datetime, days: int = 365) -> Book:
    """A book of about so many orders."""
    made = Book(now, now.astimezone(UTC8).date() - timedelta(days=days - 1))
    writer = _Writer(random.Random(seed), made)
    for number in range(orders):
        writer.order(number)
    writer.odd_hours()
    writer.cash()
    writer.hold()
    return made


def exchange_date(market: str, at: datetime) -> date:
    """The calendar date of an instant where the market is."""
    return at.astimezone(ZONES[market]).date()


@dataclass
class _Writer:
    """Invents one thing after another."""

    dice: random.Random
    book: Book
    _numbers: int = 0

    def order(self, number: int) -> None:
        """An ordinary order, or one that waits up to `GTC_DAYS` for its fills, or one of before the asked days."""
        account = self.dice.choices((UNIVERSAL, DISABLED, HK_ONLY), (78, 12, 10))[0]
        market = {DISABLED: "US", HK_ONLY: "HK"}.get(account) or self.dice.choice(("HK", "US", "US"))
        last = self.book.first + timedelta(days=150) if account == DISABLED else self.book.today
        waits = self.dice.random() < 0.06
        day = self._weekday(self.book.first - timedelta(days=GTC_DAYS if waits or number % 50 == 0 else 0), last)
        created = self._session(market, day)
        latest = min(self.book.now, datetime.combine(last, time(20), UTC))
        if created < latest:
            contract = self._contract(market, day)
            self.book.orders.append(self._made(account, contract, created, latest, waits=waits))

    def odd_hours(self) -> None:
        """Orders in the hour that November repeats, and in the first and last moments of the first day."""
        fold = _november_fold(self.book.today)
        moments = [("US", fold + timedelta(minutes=minutes)) for minutes in (30, 59, 60, 90, 119)]
        for market in ("US", "HK"):
            midnight = datetime.combine(self.book.first, time(), ZONES[market]).astimezone(UTC)
            moments += [(market, midnight + timedelta(milliseconds=ms)) for ms in (0, 1, 86_399_999)]
        for market, at in moments:
            if at < self.book.now:
                end = at + timedelta(seconds=30)
                self.book.orders.append(self._made(UNIVERSAL, some_stock(self.dice, market), at, end, waits=False))

    def cash(self) -> None:
        """Bookings on weekdays; ids are small and repeat on other days."""
        day = self.book.first
        while day < self.book.today:
            if day.weekday() < 5:
                for number, (account, currency, words, remark, amount, kind) in enumerate(self._flows(day), start=1):
                    self.book.bookings.append(
                        Booking(account, 16000 + number, day, currency, words, remark, amount, kind)
                    )
            day += timedelta(days=1)

    def hold(self) -> None:
        """Long and short shares and options in each account."""
        for account, numbers in MARKETS.items():
            for market in ("HK", "US"):
                if {"HK": 1, "US": 2}[market] in numbers and account != DISABLED:
                    self._hold(account, market)

    def _hold(self, account: int, market: str) -> None:
        contracts = [stock(market, {"US": "BRK.B", "HK": "00700"}[market]), some_stock(self.dice, market)]
        contracts += [some_option(self.dice, market, self.book.today) for _ in range(4)]
        for number, contract in enumerate(dict.fromkeys(contracts)):
            qty = Decimal(self.dice.choice((-1, 1)) * (number + 1))
            price = self._price()
            self.book.holdings.append(
                Holding(
                    account, 7_900_000_000_000_000_000 + self._next(), contract, qty, self._price(), price,
                    qty * price * contract.size, Decimal(self.dice.randint(-99999, 99999)) / 100,
                )
            )  # fmt: skip

    def _flows(self, day: date) -> list[tuple[int, str, str, str, Decimal, str]]:
        money = Decimal(self.dice.randint(1, 10_000_000)) / 100
        event = f"Opt ASS-P-JXC{day:%y%m%d}P13000-{day:%Y%m%d}"
        every: list[tuple[int, str, str, str, Decimal, str]] = [
            (UNIVERSAL, "USD", "Deposit", "", money, "DEPOSIT"),
            (UNIVERSAL, "HKD", "Withdrawal", "", -money, "WITHDRAWAL"),
            (UNIVERSAL, "USD", "Others", "F 100 SHARES DIVIDENDS 0.15 USD PER SHARE", Decimal("15.00"), "DIVIDEND"),
            (UNIVERSAL, "HKD", "Others", event, Decimal(0), "ASSIGNMENT"),
            (UNIVERSAL, "HKD", "Others", "", Decimal("-104000.00"), "OTHER"),
            (HK_ONLY, "HKD", "Fund Redemption", "Fund Redemption#X", money, "FUND"),
        ]
        return [flow for flow in every if self.dice.random() < 0.1]

    def _contract(self, market: str, day: date) -> Contract:
        pick = self.dice.random()
        if pick < 0.5:
            return some_stock(self.dice, market)
        return some_option(self.dice, market, day) if pick < 0.85 else some_combination(self.dice, market, day)

    def _made(self, account: int, contract: Contract, created: datetime, latest: datetime, *, waits: bool) -> Made:
        kind = self.dice.choice((1, 1, 1, 2, 5)) if not contract.legs else 1
        qty = Decimal(self.dice.randint(1, 40)) * (1 if contract.asset_class != "STOCK" else 10)
        if contract.code == "AAPL" and qty < 100:
            qty = qty / 100
        price = Decimal(0) if kind == 2 else self._price()
        if contract.legs and self.dice.random() < 0.2:
            price = -price
        told = price and self.dice.random() < 0.9
        number = self._next()
        order = Made(
            account, 6_000_000_000_000_000_000 + number, self._id(number), contract,
            BUY if contract.legs else self.dice.choice((BUY, SELL, SHORT, BACK)), kind, CANCELLED, qty, price,
            abs(qty * price * contract.size) if told else None, Decimal(0), created, created,
        )  # fmt: skip
        return self._finished(order, latest, waits=waits)

    def _finished(self, order: Made, latest: datetime, *, waits: bool) -> Made:
        """The order with its end: no fill, some, or all of it."""
        end = self.dice.random()
        recent = order.created > latest - timedelta(days=60)
        if end < 0.14 and waits and recent:
            return replace(order, status=LIVE)
        if end < 0.14:
            return replace(order, status=CANCELLED if end < 0.11 else FAILED, updated=self._later(order, latest, 1))
        whole = end < 0.9 or order.qty < 2 or order.qty != int(order.qty) or bool(order.contract.legs)
        qty = order.qty if whole else Decimal(int(order.qty) // 2)
        fills = self._fills(order, qty, latest, waits=waits)
        updated = max(fill.at for fill in fills)
        if end < 0.16 and not order.contract.legs:  # the exchange took every fill back
            fills = [replace(fill, status=BUSTED) for fill in fills]
            return replace(order, status=FILL_CANCELLED, fills=tuple(fills), updated=updated)
        status = FILLED if whole else PART if waits and recent else PART_CANCELLED
        fills += self._busted(order, fills)
        average = sum((fill.qty * fill.price for fill in fills if fill.status != BUSTED), Decimal(0)) / qty
        average = order.price or Decimal(1) if order.contract.legs else average
        filled = replace(
            order, status=status, fills=tuple(fills), updated=updated, average=Decimal(repr(float(average)))
        )
        return replace(filled, fee=self._fee(filled))

    def _fills(self, order: Made, qty: Decimal, latest: datetime, *, waits: bool) -> list[Fill]:
        pieces = self.dice.choice((1, 1, 2, 3)) if qty == int(qty) and qty >= 3 else 1
        sizes = [qty - (qty // pieces) * (pieces - 1), *[qty // pieces] * (pieces - 1)]
        fills: list[Fill] = []
        for size in sizes:
            at = self._later(order, latest, GTC_DAYS * 86400 if waits else 1500)
            for contract, side, ratio in [(leg.contract, leg.side, leg.ratio) for leg in order.contract.legs] or [
                (order.contract, order.side, 1)
            ]:
                fills.append(self._fill(contract, at, side, size * ratio))
        return fills

    def _fill(self, contract: Contract, at: datetime, side: int, qty: Decimal) -> Fill:
        fill = Fill(9_300_000_000_000_000_000 + self._next() * 3, contract, at, side, qty, self._price())
        changed = self.dice.random() < 0.02
        return replace(fill, status=CHANGED, old_price=fill.price + Decimal("0.01")) if changed else fill

    def _busted(self, order: Made, fills: list[Fill]) -> list[Fill]:
        if order.contract.legs or self.dice.random() > 0.03:
            return []
        return [replace(fills[0], number=9_300_000_000_000_000_000 + self._next() * 3, status=BUSTED, old_price=None)]

    def _fee(self, order: Made) -> tuple[Decimal | None, tuple[tuple[str, Decimal], ...]] | None:
        option = " option" if order.contract.asset_class != "STOCK" else ""
        titles = PARTS[f"{order.contract.market}{option}"]
        if order.created > self.book.now - timedelta(days=3) and self.dice.random() < 0.5:
            return None, ()
        lot = self.dice.random()
        if lot < 0.01:
            return None
        parts = tuple(
            (title, Decimal(self.dice.randint(1, 99999)) / self.dice.choice((100, 10000))) for title in titles
        )
        if lot < 0.03:
            parts = (*parts, ("Moon Tax", Decimal("0.01")), ("Platform Fee", Decimal("-0.37")))
        total = sum((value for _, value in parts), Decimal(0))
        if 0.03 < lot < 0.06:
            total += self.dice.choice((Decimal("0.01"), Decimal("-0.0203")))
        return (Decimal(0), ()) if 0.06 < lot < 0.07 else (total, parts)

    def _later(self, order: Made, latest: datetime, seconds: int) -> datetime:
        """Some time after the order was made, but not before the asked days where it is long, nor after `latest`."""
        at = order.created + timedelta(milliseconds=self.dice.randint(0, seconds * 1000))
        if seconds > 86400 and at.date() > self.book.first:
            at = self._session(order.contract.market, self._weekday(at.date(), at.date() + timedelta(days=2)))
        return max(order.created, min(at, latest))

    def _session(self, market: str, day: date) -> datetime:
        opened = datetime.combine(day, time(9, 30), ZONES[market])
        return opened.astimezone(UTC) + timedelta(milliseconds=self.dice.randint(0, 390 * 60_000))

    def _weekday(self, first: date, last: date) -> date:
        day = first + timedelta(days=self.dice.randint(0, (last - first).days))
        return day if day.weekday() < 5 else day - timedelta(days=2)

    def _price(self) -> Decimal:
        return Decimal(self.dice.randint(1, 600_00)) / 100 if self.dice.random() < 0.9 else self._small()

    def _small(self) -> Decimal:
        return Decimal(self.dice.randint(1, 99_999)) / 10_000

    def _id(self, number: int) -> str:
        """18 characters, the first a letter, all different."""
        text = "".join(self.dice.choice(LETTERS + "0123456789") for _ in range(11))
        return f"{self.dice.choice(LETTERS)}{text}{number:06d}"

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def _november_fold(today: date) -> datetime:
    """01:00 daylight time in New York on the newest day whose clocks went back."""
    for year in (today.year, today.year - 1):
        first = date(year, 11, 1)
        sunday = first + timedelta(days=(6 - first.weekday()) % 7)
        if sunday < today:
            return datetime.combine(sunday, time(1), ZONES["US"]).astimezone(UTC)
    raise AssertionError("a year without November")
