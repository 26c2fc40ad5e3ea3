"""An option order flow with known truth, made to judge the classifier by: accounts, clock, file and command line.

It was written from the description of the levels and from the file format alone, knows neither the project's own
generator nor its classifier, and nothing may be calibrated on it.

    python -m tests.faults.strategy_flow --level L2 --seed 7 --groups 400 --linkage 0.6 --out FILE
    python -m tests.faults.strategy_flow --score FILE PREDICTIONS

Choices: two Futu accounts and one of IB, all in New York and Hong Kong; each trades in its own time, one group after
the other, only in open sessions with half an hour left, and stays with an underlying in half of its decisions. The
first mover of a time may get company on the same account and underlying: a second strategy that starts within the
level's spread, a single order within five seconds. Half of the books begin with shares. With `--cold N` the first N
groups are left out of the file and only their net positions are told (`--blind`: not even these).
"""

import argparse
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import final

from tests.faults.strategy_flow_book import Book, Lot
from tests.faults.strategy_flow_file import ACCOUNTS, Flow, file_of
from tests.faults.strategy_flow_market import FIRST_DAY, ZONES, Market, Paper, has_room, next_open
from tests.faults.strategy_flow_orders import LEVELS, Desk, Level, Move, Sent
from tests.faults.strategy_flow_score import report, score
from tests.faults.strategy_flow_shapes import name_of
from tests.faults.strategy_flow_trader import Trader

ROOM = timedelta(minutes=30)
REST = timedelta(minutes=5)  # nobody acts on a position in its first five minutes


@final
class Studio:
    """Lets the accounts trade until there are enough groups."""

    def __init__(self, level: Level, seed: int, linkage: float) -> None:
        self._dice = Random(f"{seed}:{level.name}:studio")
        self.market, self.book = Market(seed), Book()
        self._desk = Desk(Random(f"{seed}:{level.name}:desk"), self.market, level, linkage)
        self._level = level
        self._traders = {
            account: Trader(account, Random(f"{seed}:{level.name}:{account}"), self.market, self.book)
            for account in ACCOUNTS
        }
        start = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
        self._clock = {account: start + timedelta(minutes=7 * place) for place, account in enumerate(ACCOUNTS)}
        self._last: dict[str, str] = {}
        self._left = dict.fromkeys(ACCOUNTS, 0)
        self.shares = self._first_shares()

    def _first_shares(self) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for account in ACCOUNTS:
            for one in self.market.underlyings.values():
                if self._dice.random() < 0.5:
                    found[account, one.name] = one.lot * self._dice.randint(1, 8)
                    self.book.trade(account, Paper(one.name, "stock"), found[account, one.name])
        return found

    def play(self, groups: int) -> list[Sent]:
        """The first `groups` groups of all accounts together."""
        made: list[Sent] = []
        while len(made) < groups:
            account = min(self._clock, key=lambda one: self._clock[one])
            made += self._turn(account)
        return sorted(made, key=lambda one: one.started)[:groups]

    def _turn(self, account: str) -> list[Sent]:
        at = self._clock[account]
        names = [one.name for one in self.market.underlyings.values() if has_room(one.market, at, ROOM)]
        if not names or self._left[account] <= 0:
            self._clock[account] = next_open(("US", "HK"), at) + timedelta(seconds=self._dice.uniform(10, 5400))
            self._left[account] = self._dice.randint(5, 14)
            return []
        self._expire(account, at)
        stay = [one for one in names if one == self._last.get(account)]
        chosen = stay if stay and self._dice.random() < 0.5 else names
        first = self._act(account, chosen, at, set())
        made = [first] if first else []
        if first:
            self._left[account] -= 1
            self._last[account] = first.move.underlying
            made += self._company(account, first)
        end = max((one.ended for one in made), default=at)
        self._clock[account] = end + self._desk.gap()
        return made

    def _company(self, account: str, first: Sent) -> list[Sent]:
        """A second strategy within the spread of the first, a single within five seconds of one of its orders."""
        dice, level, made, name = self._dice, self._level, list[Sent](), first.move.underlying
        lots = {id(first.move.lot)}
        if dice.random() < level.overlap:
            begun = first.started + timedelta(milliseconds=dice.randint(0, round(1000 * level.spread)))
            second = self._act(account, [name], begun, lots)
            if second:
                first.tags.add("overlap")
                second.tags.add("overlap")
                made.append(second)
        if dice.random() < level.noise:
            near = dice.choice(first.orders).sent + timedelta(milliseconds=dice.randint(-5000, 5000))
            move = self._traders[account].single(name, near, lots | {id(one.move.lot) for one in made})
            if move:
                single = self._carry_out(move, near)
                single.tags.add("noise")
                first.tags.add("near_noise")
                made.append(single)
        return made

    def _act(self, account: str, names: list[str], at: datetime, busy: set[int]) -> Sent | None:
        move = self._traders[account].decide(names, at, busy)
        return self._carry_out(move, at) if move else None

    def _carry_out(self, move: Move, at: datetime) -> Sent:
        sent = self._desk.send(move, at)
        last = max(when for order in sent.orders for when, _, _ in order.fills)
        self._traders[move.account].note((order.wish.paper for order in sent.orders), last)
        self._keep(sent, last)
        return sent

    def _keep(self, sent: Sent, last: datetime) -> None:
        """Brings the fills into the book."""
        move, filled = sent.move, dict[Paper, int]()
        for order in sent.orders:
            signed = order.filled if order.wish.qty > 0 else -order.filled
            filled[order.wish.paper] = filled.get(order.wish.paper, 0) + signed
            self.book.trade(move.account, order.wish.paper, signed)
        if move.lot is None:
            if move.action == "OPEN" and any(paper.kind != "stock" for paper in filled):
                wanted = {wish.paper: wish.qty for wish in move.legs}
                lot = Lot(move.account, move.underlying, move.type, filled, last + REST, move.overlaid, ratios=wanted)
                lot.aliases = tuple(name for name, _ in move.rivals)
                self.book.lots.append(lot)
            return
        self._after(sent, move.lot, filled, last)

    def _after(self, sent: Sent, lot: Lot, filled: dict[Paper, int], last: datetime) -> None:
        """What closing or rolling leaves of a lot."""
        move, one = sent.move, self.market.underlyings[lot.underlying]
        short = any(order.filled < order.qty and order.wish.closing for order in sent.orders)
        held = sum(abs(qty) for qty in lot.options.values())
        beneath = Paper(one.name, "stock")  # shares under an overwrite are no leg of its lot
        self.book.change(lot, {paper: qty for paper, qty in filled.items() if paper in lot.legs or paper != beneath})
        lot.since, lot.settled = last + REST, not short
        if move.action == "ROLL":
            lot.name = move.resulting or lot.name
            lot.ratios |= {wish.paper: wish.qty for wish in move.legs if not wish.closing}
            return
        if move.sub_type == "LEG_OUT":
            shares = {beneath: lot.overlaid} if lot.overlaid else {}
            lot.before, lot.broken = lot.before or lot.name, True
            lot.name = name_of(lot.legs | shares, one.lot) or lot.before
        elif lot.overlaid:
            left = sum(abs(qty) for qty in lot.options.values())
            lot.overlaid = lot.overlaid // one.lot * left // held * one.lot

    def _expire(self, account: str, at: datetime) -> None:
        for one in self.market.underlyings.values():
            today = at.astimezone(ZONES[one.market]).date()
            self.book.expire(account, one.name, today)


def make(level: str, seed: int, groups: int, linkage: float) -> Flow:
    """A flow of `groups` groups: equal arguments give an equal flow."""
    studio = Studio(LEVELS[level], seed, linkage)
    return Flow(studio.market, studio.play(groups), studio.shares)


def main(arguments: list[str]) -> int:
    """The command line: makes a file, or scores predictions."""
    parser = argparse.ArgumentParser(description="An option order flow with known truth.")
    parser.add_argument("--level", choices=sorted(LEVELS), default="L2")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--groups", type=int, default=400)
    parser.add_argument("--linkage", type=float, default=0.0)
    parser.add_argument("--cold", type=int, default=0)
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--score", nargs=2, type=Path, metavar=("FILE", "PREDICTIONS"))
    parser.add_argument("--mistakes", type=int, default=0, help="how many kinds of mistakes to list")
    options = parser.parse_args(arguments)
    if options.score:
        told, said = (json.loads(path.read_text()) for path in options.score)
        sys.stdout.write(report(score(told, said["predictions"]), options.mistakes) + "\n")
        return 0
    made = file_of(
        make(options.level, options.seed, options.groups, options.linkage), options.cold, blind=options.blind
    )
    text = json.dumps(made, indent=1)
    if options.out:
        options.out.write_text(text)
    else:
        sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
