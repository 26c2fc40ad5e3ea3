"""A made-up life of one account: what it traded, what ended, what companies did, what money came and went.

Every seed lives through everything of `ib_year_stories`; when, how much and at what price is drawn.
"""

import random
from datetime import date, datetime
from decimal import Decimal
from typing import final

from tests.faults.ib_year_days import BIRTH, LAST, at, is_quiet, next_open, open_days, settles
from tests.faults.ib_year_events import ZERO, Accrual, Action, Booking, Deal, Event, Paper
from tests.faults.ib_year_market import BASE, CENT, Market

MILL = Decimal("0.0000001")


@final
class Life:
    """What happens, in the order it is thought of; `finish` numbers it in the order of time.

    `linked`: exercises and assignments name the action of both legs. `old_cancels`: cancels name no transaction.
    `doubtful`: with what no fact settles, such as a commission in another currency than the contract's.
    """

    def __init__(self, seed: int, *, linked: bool = True, old_cancels: bool = False, doubtful: bool = False) -> None:
        self.seed, self.linked, self.old_cancels, self.doubtful = seed, linked, old_cancels, doubtful
        self.dice = random.Random(seed)
        self.market = Market(seed)
        self.events: list[Event] = []
        self.bookings: list[Booking] = []
        self.accruals: list[Accrual] = []
        self.papers: dict[str, Paper] = {}
        self._orders = 400_000_000
        self._actions = 70_000_000

    def paper(self, symbol: str, category: str = "STK", currency: str = BASE, exchange: str = "NASDAQ") -> Paper:
        """A stock, bond, future or pair of currencies, known by its symbol."""
        if symbol not in self.papers:
            multiplier = Decimal(50) if category == "FUT" else Decimal(1)
            expiry = date(2025, 9, 19) if category == "FUT" else None
            conid = 9_900_000 + 41_117 * len(self.papers)
            self.papers[symbol] = Paper(conid, category, symbol, currency, multiplier, exchange, expiry=expiry)
        return self.papers[symbol]

    def option(self, stock: Paper, right: str, expiry: date, strike: Decimal) -> Paper:
        """An option with IB's padded symbol; of the same terms, the same contract."""
        symbol = f"{stock.symbol:<6}{expiry:%y%m%d}{right}{int(strike * 1000):08d}"
        if symbol not in self.papers:
            conid = 600_000_000 + 53_003 * len(self.papers)
            self.papers[symbol] = Paper(
                conid, "OPT", symbol, stock.currency, Decimal(100), "CBOE", strike, expiry, right, stock
            )
        return self.papers[symbol]

    def day(self, first: date, last: date, paper: Paper | None = None) -> date:
        """Any day of trading; for a contract of another market, one on which all markets are open for a week."""
        first, last = max(first, BIRTH), min(last, LAST)
        found = open_days(first, last)
        if paper is not None and (paper.currency != BASE or paper.category in ("CASH", "BOND")):
            found = [day for day in found if is_quiet(day)]
        return self.dice.choice(found)

    def action_id(self) -> int:
        self._actions += self.dice.randint(1, 900)
        return self._actions

    def trade(
        self, paper: Paper, day: date, qty: Decimal | int, price: Decimal | None = None, *,
        hour: int | None = None, notes: tuple[str, ...] = (), minute: int | None = None,
    ) -> Deal:  # fmt: skip
        """One execution on the exchange with the charges of its market."""
        qty, dice = Decimal(qty), self.dice
        clock = dice.randint(10, 15) if hour is None else hour, dice.randint(0, 59) if minute is None else minute
        price = self.near(paper, day) if price is None else price
        self._orders += 1
        deal = Deal(
            paper, at(day, *clock, dice.randint(0, 59)), day, day, settles(day, paper.category, paper.currency),
            qty, price, commission=self._commission(paper, qty), commission_currency=paper.currency,
            taxes=self._taxes(paper, qty, price), notes=notes, order=self._orders,
        )  # fmt: skip
        if paper.category == "CASH":
            deal.commission_currency = BASE
        self.events.append(deal)
        return deal

    def fills(self, paper: Paper, day: date, qty: Decimal | int) -> list[Deal]:
        """One order in two to four parts, some of them in the same second."""
        qty = Decimal(qty)
        if abs(qty) < 4:
            return [self.trade(paper, day, qty)]
        parts = self.dice.randint(2, 4)
        sizes = [(qty / (parts + 1)).quantize(Decimal(1)) for _ in range(parts - 1)]
        sizes.append(qty - sum(sizes, ZERO))
        hour, minute = self.dice.randint(10, 15), self.dice.randint(0, 59)
        made = [self.trade(paper, day, size, hour=hour, minute=minute, notes=("P",)) for size in sizes]
        for one in made[1:]:
            one.order = made[0].order
            if self.dice.random() < 0.5:
                one.at = made[0].at
        return made

    def near(self, paper: Paper, day: date) -> Decimal:
        """A price not far from the day's close."""
        close = self.market.close(paper, day)
        if paper.category == "FUT":
            return close + Decimal(self.dice.randint(-60, 60)) / 4
        places = CENT if self.dice.random() < 0.7 else Decimal("0.0001")
        return max((close * Decimal(self.dice.uniform(0.985, 1.015))).quantize(places), CENT)

    def _commission(self, paper: Paper, qty: Decimal) -> Decimal:
        dice = self.dice
        if paper.category == "OPT":
            return -(abs(qty) * Decimal(dice.choice(("0.65", "0.7025", "1.04985")))).quantize(MILL)
        if paper.category == "FUT":
            return -abs(qty) * Decimal("2.25")
        if paper.currency != BASE or paper.category in ("BOND", "CASH"):
            return -Decimal(dice.choice(("2", "3.1", "18.0012")))
        if dice.random() < 0.06:
            return (abs(qty) * Decimal("0.0021")).quantize(MILL)
        return -max(Decimal(1), abs(qty) * Decimal("0.0051123")).quantize(MILL)

    def _taxes(self, paper: Paper, qty: Decimal, price: Decimal) -> Decimal:
        if paper.category != "STK" or paper.currency == BASE:
            return ZERO
        if paper.currency == "HKD":
            return -(abs(qty) * price * Decimal("0.001")).quantize(Decimal(1), "ROUND_UP")
        return -(qty * price * Decimal("0.003")).quantize(CENT) if qty > 0 else ZERO

    def book(self, paper: Paper, day: date, qty: Decimal | int, price: Decimal, note: str, reported: date) -> Deal:
        """A book entry: an expiry, an exercise or an assignment, or the shares of one."""
        self._orders += 1
        deal = Deal(
            paper, at(day, 16, 20), day, reported, settles(day, paper.category, paper.currency), Decimal(qty), price,
            commission_currency=paper.currency, kind="BOOK", notes=(note,), order=self._orders,
        )  # fmt: skip
        self.events.append(deal)
        return deal

    def deliver(self, option: Paper, day: date, qty: Decimal | int, note: str) -> None:
        """`qty` contracts (signed as held) are exercised (Ex) or assigned (A): gone, and shares come or go."""
        assert option.underlying is not None
        assert option.strike is not None
        reported = next_open(day) if note == "A" and self.dice.random() < 0.3 else day
        held = Decimal(qty)
        way = 1 if option.right == "C" else -1
        gone = self.book(option, day, -held, ZERO, note, reported)
        shares = self.book(option.underlying, day, held * way * 100, option.strike, note, reported)
        gone.delivers = shares
        if self.linked:
            gone.action_id = shares.action_id = str(self.action_id())

    def expire(self, option: Paper, qty: Decimal | int) -> None:
        """`qty` contracts (signed as held) end worthless; what ends on a Friday is told on the next open day."""
        assert option.expiry is not None
        _ = self.book(option, option.expiry, -Decimal(qty), ZERO, "Ep", next_open(option.expiry))

    def pay(
        self, day: date, currency: str, amount: Decimal, words: str, part: str,
        paper: Paper | None = None, text: str = "", action_id: int = 0,
    ) -> Booking:  # fmt: skip
        """A booking of cash."""
        made = Booking(day, day, currency, amount, words, part, paper, text or words.upper(), action_id)
        self.bookings.append(made)
        return made

    def finish(self) -> "Life":
        """Number everything: ids grow with the day of report, with gaps, over a change of their length."""
        number, trade = 999_700_000, 99_990_000
        rows: list[tuple[date, datetime, int, Event | Booking]] = [
            (one.report_date, one.at, place, one) for place, one in enumerate(self.events)
        ]
        rows += [(one.report_date, at(one.report_date, 20, 20), len(rows) + place, one)
                 for place, one in enumerate(self.bookings)]  # fmt: skip
        for _, _, _, one in sorted(rows, key=lambda row: row[:3]):
            number += self.dice.randint(1, 1900)
            if isinstance(one, Action):
                one.transaction_ids = [number + extra for extra in range(len(one.rows))]
                number += len(one.rows)
                continue
            one.transaction_id = number
            if isinstance(one, Deal):
                trade += self.dice.randint(1, 40)
                one.trade_id = trade
                one.exec_id = f"{number % 65536:08x}.{trade:08x}.01.01" if one.kind == "EXCH" else ""
        for one in self.events:
            if isinstance(one, Deal) and one.rebook_of is not None:
                one.trade_id = one.rebook_of.trade_id
                one.exec_id = one.rebook_of.exec_id[:-2] + "02"
            if isinstance(one, Deal) and one.original is not None:
                one.order, one.trade_id = one.original.order, 0
        return self
