"""What the made-up trader decides: open, close or roll, on one account and underlying, with a book in mind.

Choices, where the words leave room (`rivals` holds the other reading, for a second score):
* never against oneself: a new leg never faces a held contract of the other sign, short stock is never sold where
  stock is held, and no contract is traded twice within a minute (opposite trades in one contract are a trap apart);
* a single call sold on free shares is COVERED_CALL, a put bought on them PROTECTIVE_PUT (rival: LONG_PUT), both COLLAR
  (rival: the risk reversal); combinations of options keep their own shape whatever shares lie beneath;
* a full or partial close has the lot's own type; partial means whole units; a leg-out closes one option leg and has
  that leg's single type; two legs of one right closed out of an iron structure are a leg-out with the vertical's type
  (rival: the whole);
* what is left after a leg-out goes by its shape, or by its old name if it has none (rival: the old name);
* the type of a roll is ROLL, its result the rolled lot's type, which its closing has later.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from random import Random
from typing import final

from tests.faults.strategy_flow_book import Book, Lot
from tests.faults.strategy_flow_ideas import IDEAS, OVERLAYS, SINGLES, Idea, pick
from tests.faults.strategy_flow_market import ZONES, Market, Paper, Underlying, expiry_near
from tests.faults.strategy_flow_orders import Action, Move, Wish
from tests.faults.strategy_flow_shapes import name_of, single_name

ROLLED = {
    "BULL_PUT_SPREAD": "VERTICAL_ROLL",
    "BEAR_CALL_SPREAD": "VERTICAL_ROLL",
    "BULL_CALL_SPREAD": "VERTICAL_ROLL",
    "BEAR_PUT_SPREAD": "VERTICAL_ROLL",
    "SHORT_STRANGLE": "STRADDLE_ROLL",
    "LONG_STRANGLE": "STRADDLE_ROLL",
    "SHORT_STRADDLE": "STRADDLE_ROLL",
}
_SINGLE_OPTIONS = {"LONG_CALL", "LONG_PUT", "SHORT_CALL", "SHORT_PUT", "COVERED_CALL"}
_NEAR_LEGS = {"LONG_CALL_CALENDAR", "LONG_PUT_CALENDAR", "LONG_CALL_DIAGONAL", "POOR_MANS_COVERED_CALL"}
_TRIES = 30
MINUTE = timedelta(minutes=1)


@final
class Trader:
    """Decides moves for one account; `market` and `book` are shared with the others."""

    def __init__(self, account: str, dice: Random, market: Market, book: Book) -> None:
        self.account = account
        self._dice = dice
        self._market = market
        self._book = book
        self._busy: dict[Paper, datetime] = {}

    def decide(self, names: list[str], at: datetime, lots_busy: set[int]) -> Move | None:
        """A move on one of the underlyings, closing in 31 %, rolling in 11 % where there is something to; else None."""
        wanted = self._dice.choices(("OPEN", "CLOSE", "ROLL"), (58, 31, 11))[0]
        lots = [
            one for one in self._book.live(self.account, at) if one.underlying in names and id(one) not in lots_busy
        ]
        makers: dict[str, Callable[[], Move | None]] = {
            "CLOSE": lambda: self._close(lots, names, at),
            "ROLL": lambda: self._roll(lots, at),
        }
        if wanted in makers and (move := makers[wanted]()):
            return move
        return self.open_one(self._dice.choice(names), at)

    def single(self, name: str, at: datetime, lots_busy: set[int]) -> Move | None:
        """One order that has nothing to do with its neighbours: a single opened, or (three in ten) one closed."""
        lots = [one for one in self._book.live(self.account, at) if one.underlying == name and len(one.legs) == 1]
        lots = [one for one in lots if id(one) not in lots_busy]
        move = self._close_lot(self._dice.choice(lots)) if lots and self._dice.random() < 0.3 else None
        if move and len(move.legs) == 1 and self._idle(move.legs, at):
            return move
        return self.open_one(name, at, SINGLES)

    def note(self, papers: Iterable[Paper], until: datetime) -> None:
        """Remembers contracts that are being traded until an instant."""
        for paper in papers:
            self._busy[paper] = max(until, self._busy.get(paper, until))

    def _idle(self, legs: list[Wish], at: datetime) -> bool:
        return all(paper not in self._busy or self._busy[paper] + MINUTE < at for paper in (w.paper for w in legs))

    def open_one(self, name: str, at: datetime, ideas: tuple[Idea, ...] = IDEAS) -> Move | None:
        """A new position, on top of free shares in a third of the cases where there are any."""
        one, dice = self._market.underlyings[name], self._dice
        free = self._book.free_shares(self.account, name) // one.lot
        for _ in range(_TRIES):
            over = free > 0 and ideas is IDEAS and dice.random() < 0.35
            move = self._opening(one, pick(dice, OVERLAYS if over else ideas), free, at)
            if move and self._idle(move.legs, at):
                return move
        return None

    def _opening(self, one: Underlying, idea: Idea, free: int, at: datetime) -> Move | None:
        units = self._dice.choices((1, 2, 3, 4, 5, 6, 8, 10), (30, 22, 12, 8, 10, 5, 4, 4))[0]
        bare = len(idea.legs) == 1 and idea.legs[0].right != "stock"
        bound = free > 0 and (idea in OVERLAYS or (bare and idea.name in {"SHORT_CALL", "LONG_PUT"}))
        units = min(units, free) if bound else units
        legs = self._legs(one, idea, units, at)
        if legs is None or not self._allowed(legs):
            return None
        held = {wish.paper: wish.qty for wish in legs}
        stock = {Paper(one.name, "stock"): one.lot * units} if bound else {}
        name = name_of(held | stock, one.lot, self._market.spot(one.name, at))
        if name is None or (name != idea.name and not bound):
            return None
        rivals: list[tuple[str, Action]] = []
        tags: tuple[str, ...] = ()
        if bound:
            tags = ("overwrite",) if name == "COVERED_CALL" else ("hedge",)
            plain = name_of(held, one.lot)
            rivals = [(plain, "OPEN")] if plain and name != "COVERED_CALL" else []
        elif free >= units and all(paper.kind != "stock" for paper in held):
            wrapped = name_of(held | {Paper(one.name, "stock"): one.lot * units}, one.lot)
            rivals = [(wrapped, "OPEN")] if wrapped else []
        overlaid = one.lot * units if bound else 0
        return Move(self.account, one.name, legs, name, "OPEN", overlaid=overlaid, tags=tags, rivals=tuple(rivals))

    def _legs(self, one: Underlying, idea: Idea, units: int, at: datetime) -> list[Wish] | None:
        dice, today = self._dice, at.astimezone(ZONES[one.market]).date()
        near = expiry_near(one.market, today, dice.choice((3, 7, 12, 18, 25, 30, 40, 45)))
        assert near
        far = expiry_near(one.market, near, dice.choice((0, 7, 30)) + idea.far_days)
        strikes = [self._market.strike(one.name, at, offset) for offset in idea.place(dice)]
        if far is None or min(strikes) <= 0:
            return None
        legs: list[Wish] = []
        for leg in idea.legs:
            paper = Paper(one.name, "stock")
            if leg.right != "stock":
                paper = Paper(one.name, leg.right, strikes[leg.letter], far if leg.far else near)
            legs.append(Wish(paper, leg.qty * units * (one.lot if leg.right == "stock" else 1)))
        if idea.name == "LONG_STOCK" and one.market == "US" and dice.random() < 0.3:
            return [Wish(legs[0].paper, dice.randint(5, 250))]  # shares alone need not be whole lots
        return legs

    def _allowed(self, legs: list[Wish]) -> bool:
        """Whether no leg faces what is held."""
        return all(self._book.net(self.account, wish.paper) * wish.qty >= 0 for wish in legs)

    def _close(self, lots: list[Lot], names: list[str], at: datetime) -> Move | None:
        dice = self._dice
        free = {name: self._book.free_shares(self.account, name) for name in names}
        held = [name for name in names if free[name]]
        for _ in range(_TRIES):
            if held and (not lots or dice.random() < 0.06):
                move = self._close_stock(dice.choice(held), free)
            elif lots:
                move = self._close_lot(dice.choice(lots))
            else:
                return None
            if move and self._idle(move.legs, at):
                return move
        return None

    def _close_stock(self, name: str, free: dict[str, int]) -> Move:
        one, qty = self._market.underlyings[name], free[name]
        lots = abs(qty) // one.lot
        part = self._dice.randint(1, lots) * one.lot if lots > 1 and self._dice.random() < 0.5 else abs(qty)
        paper = Paper(name, "stock")
        wish = Wish(paper, -part if qty > 0 else part, closing=True)
        sub = "CLOSE_FULL" if part == abs(qty) else "CLOSE_PARTIAL"
        return Move(self.account, name, [wish], single_name(paper, qty), "CLOSE", sub)

    def _close_lot(self, lot: Lot) -> Move | None:
        one, dice = self._market.underlyings[lot.underlying], self._dice
        units, drawn = lot.units(one.lot), dice.random()
        rivals: tuple[tuple[str, Action], ...] = ((lot.name, "CLOSE"),)
        if len(lot.legs) > 1 and drawn < 0.14:
            paper = dice.choice(list(lot.options))
            return self._closing(lot, {paper: lot.legs[paper]}, single_name(paper, lot.legs[paper]), "LEG_OUT", rivals)
        if "IRON" in lot.name and not lot.broken and drawn < 0.22:
            right = dice.choice(("call", "put"))
            side = {paper: qty for paper, qty in lot.legs.items() if paper.kind == right}
            name = name_of(side, one.lot)
            return self._closing(lot, side, name, "LEG_OUT", rivals) if name else None
        rivals = tuple((name, "CLOSE") for name in ((lot.before,) if lot.broken else lot.aliases))
        if units > 1 and lot.even() and drawn > 0.75:
            part = dice.randint(1, units - 1)
            return self._closing(
                lot, {paper: qty // units * part for paper, qty in lot.legs.items()}, lot.name, "CLOSE_PARTIAL", rivals
            )
        legs = dict(lot.legs)
        sold = lot.overlaid and lot.name == "COVERED_CALL" and drawn < 0.12
        if sold:
            legs[Paper(lot.underlying, "stock")] = lot.overlaid
        move = self._closing(lot, legs, lot.name, "CLOSE_FULL", rivals)
        if move and sold:
            move.tags += ("shares_sold_too",)
        return move

    def _closing(
        self, lot: Lot, legs: dict[Paper, int], name: str | None, sub: str, rivals: tuple[tuple[str, Action], ...]
    ) -> Move | None:
        if name is None:
            return None
        wishes = [Wish(paper, -qty, closing=True) for paper, qty in legs.items() if qty]
        tags = ("after_leg_out",) if lot.broken else ()
        others = tuple(one for one in rivals if one[0] != name)
        return Move(self.account, lot.underlying, wishes, name, "CLOSE", sub, lot=lot, tags=tags, rivals=others)

    def _roll(self, lots: list[Lot], at: datetime) -> Move | None:
        ready = [one for one in lots if one.even() and not one.broken and self._old_legs(one)]
        for _ in range(_TRIES if ready else 0):
            lot = self._dice.choice(ready)
            move = self._rolling(lot, self._old_legs(lot), at)
            if move and self._idle(move.legs, at):
                return move
        return None

    @staticmethod
    def _old_legs(lot: Lot) -> list[Paper]:
        """The legs a roll replaces: all of a single, vertical or strangle, the call of a covered call, a near leg."""
        options = list(lot.options)
        if lot.name in ROLLED or (lot.name in _SINGLE_OPTIONS and len(options) == 1):
            return options
        return [min(options, key=lambda one: one.terms[1])] if lot.name in _NEAR_LEGS else []

    def _rolling(self, lot: Lot, old: list[Paper], at: datetime) -> Move | None:
        one, dice = self._market.underlyings[lot.underlying], self._dice
        today = at.astimezone(ZONES[one.market]).date()
        shift, out = dice.choice((-3, -2, -1, 1, 2, 3)), dice.random()
        shift = 0 if out < 0.35 else shift
        expiry = old[0].terms[1]
        later = expiry_near(one.market, expiry, dice.choice((7, 14, 28)))
        expiry = expiry if out > 0.8 else later
        if expiry is None or expiry <= today:
            return None
        new = {paper: Paper(one.name, paper.kind, paper.terms[0] + shift * one.step, expiry) for paper in old}
        opening = [Wish(new[paper], lot.legs[paper]) for paper in old]
        held = {paper: qty for paper, qty in lot.legs.items() if paper not in old}
        stock = {Paper(one.name, "stock"): lot.overlaid} if lot.overlaid else {}
        whole = held | stock | {wish.paper: wish.qty for wish in opening}
        result = name_of(whole, one.lot, self._market.spot(one.name, at))
        fresh = all(wish.paper not in lot.legs and wish.paper.terms[0] > 0 for wish in opening)
        if result is None or not fresh or not self._allowed(opening) or (len(old) > 1 and result != lot.name):
            return None
        closing = [Wish(paper, -lot.legs[paper], closing=True) for paper in old]
        sub = ROLLED.get(lot.name) or _direction(old[0], new[old[0]])
        tags = ("near_leg_roll",) if lot.name in _NEAR_LEGS else ()
        legs = [*closing, *opening]
        return Move(self.account, one.name, legs, "ROLL", "ROLL", sub, result, lot, lot.overlaid, tags)


def _direction(old: Paper, new: Paper) -> str:
    strike, expiry = new.terms[0] - old.terms[0], new.terms[1] - old.terms[1]
    up = "_UP" if strike > 0 else "_DOWN" if strike < 0 else ""
    return f"ROLL{up}{'_OUT' if expiry.days > 0 else '_IN' if expiry.days < 0 else ''}"
