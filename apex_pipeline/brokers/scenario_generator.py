"""The order flow of a scenario: who opens and closes what, when, and how it fills.

Each broker has a desk; a desk walks through the session days, draws trade ideas, sends their orders and
settles what ends. Everything is drawn from one seeded stream per broker, so the result is a pure function.
"""

import random
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import final

from apex_pipeline.brokers.scenario import Event, Scenario, ScenarioAccount, ScenarioOrder
from apex_pipeline.brokers.scenario_book import Book, Idea, Piece, Settled, final_holdings
from apex_pipeline.brokers.scenario_cash import drawn_bookings
from apex_pipeline.brokers.scenario_days import SESSIONS, booking_time, is_session, session_days, session_times
from apex_pipeline.brokers.scenario_ideas import Drawn, draw, planned_short_put
from apex_pipeline.brokers.scenario_market import Market, mark_price
from apex_pipeline.brokers.scenario_orders import Clerk, Ids, Intent
from apex_pipeline.domain.models import Broker, OptionRight, Side, TradeKind
from apex_pipeline.errors import ConfigError

FUTU_ACCOUNT = "281756478396547854"
FUTU_OLD_ACCOUNT = "281756455981243107"
IB_ACCOUNTS = ("U8120456", "U9034517")
_LEAD = timedelta(minutes=10)
_LAST_HOUR = timedelta(minutes=65)


def generate(seed: int, orders: int, days: int, end: date) -> Scenario:
    """A scenario with at least `orders` orders per broker, spread over the `days` calendar days up to `end`.

    For IB only orders with fills are counted. Raises ConfigError when New York has no session on these days.
    """
    start = end - timedelta(days - 1)
    sessions = {market: session_days(market, start, end) for market in SESSIONS}
    if not sessions["US"]:
        raise ConfigError(f"New York's exchanges do not open between {start} and {end}: ask for more days")
    market, ids = Market(seed, sessions), Ids()
    accounts = _accounts(sessions["US"])
    desks = [Desk(seed, broker, [a for a in accounts if a.broker == broker], market, ids) for broker in Broker]
    for desk in desks:
        desk.trade(orders)
    made = sorted((o for desk in desks for o in desk.orders), key=lambda o: (o.created_at, o.number))
    events = sorted((e for desk in desks for e in desk.events), key=lambda e: (e.at, e.event_id))
    holdings = final_holdings(made, events, lambda c: mark_price(market.closes, c, end))
    names = {b: tuple(a.account_id for a in accounts if a.broker == b) for b in Broker}
    cash = drawn_bookings(seed, (a for a in accounts if a.broker == Broker.FUTU), made, events, market.days)
    return Scenario(seed, start, end, names, tuple(made), tuple(events), holdings, accounts, market.closes, cash)


def _accounts(sessions: list[date]) -> tuple[ScenarioAccount, ...]:
    old = len(sessions) // 5
    last_day = sessions[old - 1] if old else None
    return (
        ScenarioAccount(Broker.FUTU, FUTU_ACCOUNT, "REAL", "ACTIVE", ("HK", "US")),
        ScenarioAccount(Broker.FUTU, FUTU_OLD_ACCOUNT, "REAL", "DISABLED", ("US",), last_day),
        *(ScenarioAccount(Broker.IB, name, "REAL", "ACTIVE", ("HK", "US")) for name in IB_ACCOUNTS),
    )


@dataclass(slots=True)
class Action:
    """One decision at one time; `idea` is set where it is already known what must be closed."""

    at: datetime
    account: ScenarioAccount
    market: str
    idea: Idea | None = None


@final
class Desk:
    """All trading of one broker."""

    def __init__(self, seed: int, broker: Broker, accounts: list[ScenarioAccount], market: Market, ids: Ids) -> None:
        self.broker = broker
        self.rng = random.Random(f"{seed} desk {broker}")  # noqa: S311 - must be repeatable, guards no secret
        self.accounts = accounts
        self.market = market
        self.ids = ids
        self.books = {a.account_id: Book() for a in accounts}
        self.clerk = Clerk(broker, self.rng, market, ids)
        self.events: list[Event] = []
        self.acted = 0

    @property
    def orders(self) -> list[ScenarioOrder]:
        """Everything sent so far."""
        return self.clerk.orders

    def trade(self, orders: int) -> None:
        """Spread at least `orders` countable orders evenly over the session days."""
        days, new_york = self.market.days, self.market.sessions["US"]
        plan_day = new_york[len(new_york) // 4]
        for n, day in enumerate(days, 1):
            target = ceil(orders * n / len(days))
            self._day(day, target, plan=day == plan_day)
            if day == new_york[-1]:
                self._catch_up(day, orders)
            self._settle(day)

    def _active(self, day: date) -> list[ScenarioAccount]:
        old = [a for a in self.accounts if a.last_day and day <= a.last_day]
        return old or [a for a in self.accounts if a.status == "ACTIVE"]

    def _day(self, day: date, target: int, *, plan: bool) -> None:
        accounts = [account for account in self._active(day) if self._trading(account, day)]
        per_action = (self.clerk.counted + 3) / (self.acted + 2)
        wanted = ceil(max(target - self.clerk.counted, 0) / per_action) if accounts else 0
        if plan:
            self._plan_assignment(next(a for a in self.accounts if a.status == "ACTIVE"), day)
        actions = [self._drawn_action(day, self._pick(accounts)) for _ in range(wanted)]
        actions += [a for account in accounts for a in self._rescues(account, day)]
        for action in sorted(actions, key=lambda a: a.at):
            self._act(action, day)
        for account in accounts:
            if account.last_day == day:
                self._close_all(account, day)

    def _pick(self, accounts: list[ScenarioAccount]) -> ScenarioAccount:
        return accounts[0] if len(accounts) == 1 or self.rng.random() < 0.65 else accounts[-1]

    def _drawn_action(self, day: date, account: ScenarioAccount) -> Action:
        markets = self._trading(account, day)
        market = markets[0] if len(markets) == 1 or self.rng.random() < 0.7 else markets[-1]
        parts = session_times(market, day)
        begin, stop = parts[self.rng.randrange(len(parts))]
        margin = _LAST_HOUR if account.last_day == day else _LEAD
        return Action(self._between(begin + timedelta(seconds=5), stop - margin), account, market)

    def _trading(self, account: ScenarioAccount, day: date) -> list[str]:
        """The markets of an account that trade on a day, New York first."""
        return [market for market in SESSIONS if market in account.markets and is_session(market, day)]

    def _between(self, begin: datetime, stop: datetime) -> datetime:
        at = begin + timedelta(milliseconds=self.rng.randrange(int((stop - begin).total_seconds() * 1000)))
        return self.clerk.tick(at)

    def _rescues(self, account: ScenarioAccount, day: date) -> list[Action]:
        """Most of what would end in the money today is closed in the last hour, as people do."""
        actions: list[Action] = []
        for idea in self.books[account.account_id].ideas:
            if idea.expiry == day and not idea.assign_on and self._in_the_money(idea, day) and self.rng.random() < 0.85:
                market = idea.pieces[0].contract.market
                stop = session_times(market, day)[-1][1]
                actions.append(Action(self._between(stop - timedelta(hours=1), stop - _LEAD), account, market, idea))
        return actions

    def _in_the_money(self, idea: Idea, day: date) -> bool:
        for contract in (p.contract for p in idea.pieces if p.contract.strike is not None):
            close = self.market.close(self.market.stock_of(contract), day)
            if (close - (contract.strike or close)) * (1 if contract.right == OptionRight.CALL else -1) > 0:
                return True
        return False

    def _act(self, action: Action, day: date) -> None:
        book = self.books[action.account.account_id]
        self.acted += 1
        if action.idea is not None:
            if action.idea.units and action.idea in book.ideas and book.may_close(action.idea, action.at):
                self._close(action, day, action.idea, action.idea.units, certain=True)
            return
        ready = book.closable(action.market, action.at)
        if ready and self.rng.random() < min(0.62, 0.2 + len(ready) / 90):
            idea = min(self.rng.choices(ready, k=3), key=lambda i: i.expiry or date.max)
            part = self.rng.randint(1, idea.units) if self.rng.random() < 0.25 else idea.units
            self._close(action, day, idea, self._whole_lots(idea, part), certain=False)
        else:
            self._open(action, day)

    @staticmethod
    def _whole_lots(idea: Idea, units: int) -> int:
        lot = idea.pieces[0].contract.lot if len(idea.pieces) == 1 else 1
        return max(units // lot, 1) * lot if idea.units >= lot else idea.units

    def _open(self, action: Action, day: date) -> None:
        book = self.books[action.account.account_id]
        drawn = next(filter(None, (self._draw(action, day, book) for _ in range(8))), None)
        if drawn is None:
            return
        intent = Intent(
            action.account.account_id, next(self.ids.groups), drawn.strategy, drawn.pieces, drawn.units, drawn.lot,
            action.at, day, drawn.spot, opening=True, patient=not action.account.last_day and drawn.may_rest(day),
        )  # fmt: skip
        done = self.clerk.send(intent)
        if done.units:
            book.add(Idea(intent.group, drawn.strategy, drawn.pieces, done.units, done.at, drawn.expiry))

    def _draw(self, action: Action, day: date, book: Book) -> Drawn | None:
        drawn = draw(self.rng, self.market, action.market, day, action.at)
        if not book.admits(drawn.pieces, action.at):
            return None
        return self._covered(drawn, book)

    def _covered(self, drawn: Drawn, book: Book) -> Drawn | None:
        """A call sold against free shares is a covered call; against too few of them it is not drawn."""
        if drawn.strategy != "SHORT_CALL":
            return drawn
        free = book.free_shares(self.market.share(drawn.stock))
        if not free:
            return drawn
        units = free // drawn.stock.size
        return drawn.with_units(min(units, drawn.units), "COVERED_CALL") if units else None

    def _close(self, action: Action, day: date, idea: Idea, units: int, *, certain: bool) -> None:
        stock = self.market.stock_of(idea.pieces[0].contract)
        pieces = [Piece(p.contract, -p.per_unit) for p in idea.pieces]
        lot = stock.lot if len(pieces) == 1 and pieces[0].contract.right is None else 1
        intent = Intent(
            action.account.account_id, idea.group, idea.strategy, pieces, units, lot, action.at, day,
            self.market.spot_at(stock, day, action.at), opening=False, certain=certain,
        )  # fmt: skip
        done = self.clerk.send(intent)
        if done.units:
            self.books[action.account.account_id].reduce(idea, done.units, done.at)

    def _plan_assignment(self, account: ScenarioAccount, day: date) -> None:
        """Sell one put that is sure to be assigned, so that every scenario has an assignment."""
        last = self.market.days[-1]
        begin = session_times("US", day)[0][0]
        at = self.clerk.tick(begin + timedelta(seconds=3))
        book = self.books[account.account_id]
        drawn, assign_on = planned_short_put(self.market, day, last, lambda p: book.admits(p, at))
        intent = Intent(
            account.account_id, next(self.ids.groups), drawn.strategy, drawn.pieces, drawn.units, 1, at, day,
            drawn.spot, opening=True, certain=True,
        )  # fmt: skip
        done = self.clerk.send(intent)
        book.add(Idea(intent.group, drawn.strategy, drawn.pieces, done.units, done.at, drawn.expiry, assign_on))

    def _close_all(self, account: ScenarioAccount, day: date) -> None:
        stop = session_times("US", day)[0][1]
        ideas = list(self.books[account.account_id].ideas)
        times = sorted(self._between(stop - timedelta(minutes=50), stop - _LEAD) for _ in ideas)
        for at, idea in zip(times, ideas, strict=True):
            if idea in self.books[account.account_id].ideas:
                self._close(Action(at, account, "US"), day, idea, idea.units, certain=True)

    def _catch_up(self, day: date, orders: int) -> None:
        """Fill what chance left open of the promised number, at the end of the last session."""
        begin, stop = session_times("US", day)[0]
        last = max((o.created_at for o in self.orders), default=begin)
        latest = stop - _LEAD
        at = min(max(last, begin + timedelta(seconds=5)), latest)
        while self.clerk.counted < orders:
            at = self.clerk.tick(at + (latest - at) / 200)
            self._act(Action(at, self._pick(self._active(day)), "US"), day)

    def _settle(self, day: date) -> None:
        for account, book in self.books.items():
            for ended in book.settle(day, lambda c: self.market.close(self.market.stock_of(c), day)):
                self._book_end(account, book, ended, day)

    def _book_end(self, account: str, book: Book, ended: Settled, day: date) -> None:
        option = Event(
            next(self.ids.executions[self.broker]), self.broker, account, ended.kind, ended.contract,
            Side.SELL if ended.qty > 0 else Side.BUY, Decimal(abs(ended.qty)), Decimal(0), booking_time(day), day,
        )  # fmt: skip
        self.events.append(option)
        if ended.kind == TradeKind.EXPIRATION:
            return
        delivered = self._delivery(option, bought=(ended.contract.right == OptionRight.CALL) == (ended.qty > 0))
        self.events.append(delivered)
        signed = delivered.qty if delivered.side == Side.BUY else -delivered.qty
        book.deliver(delivered.contract, int(signed), delivered.at, next(self.ids.groups))

    def _delivery(self, option: Event, *, bought: bool) -> Event:
        """The shares that an exercised or assigned option moves, at its strike."""
        return replace(
            option,
            event_id=next(self.ids.executions[self.broker]),
            contract=self.market.share(self.market.stock_of(option.contract)),
            side=Side.BUY if bought else Side.SELL,
            qty=option.qty * option.contract.multiplier,
            price=option.contract.strike or Decimal(0),
            related=option.event_id,
        )
