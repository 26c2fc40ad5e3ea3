"""What the accounts hold: strategy lots as the trader thinks of them, and the shares beneath them.

A lot keeps the name it was opened under (or rolled into) and its legs in signed contracts and shares. Shares are one
pool per account and underlying: what no lot binds is free. Choices: an expiry takes a leg away without delivering
shares, because the file cannot tell of one; what is left then is never touched again, since its name is a matter of
taste.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from math import gcd
from typing import final

from tests.faults.strategy_flow_market import Paper


@dataclass(eq=False)
class Lot:
    """One strategy held: legs in signed contracts and shares, `overlaid` shares it binds beneath it.

    `since` is when it may be acted on, `settled` False if nothing should be done with it any more, `broken` True once
    a leg was taken out.
    """

    account: str
    underlying: str
    name: str
    legs: dict[Paper, int]
    since: datetime
    overlaid: int = 0
    settled: bool = True
    broken: bool = False
    before: str = ""  # the name before a leg was taken out
    aliases: tuple[str, ...] = ()  # names another author might have opened it under
    ratios: dict[Paper, int] = field(default_factory=dict[Paper, int])

    @property
    def options(self) -> dict[Paper, int]:
        """The option legs."""
        return {paper: qty for paper, qty in self.legs.items() if paper.kind != "stock"}

    def units(self, lot: int) -> int:
        """How many whole units are held; 1 if an incomplete fill broke the ratio."""
        parts = [abs(qty) // (lot if paper.kind == "stock" else 1) for paper, qty in self.legs.items()]
        return gcd(*parts)

    def even(self) -> bool:
        """Whether the legs are still held in the ratio they were meant in."""
        return len({Fraction(qty, self.ratios[paper]) for paper, qty in self.legs.items()}) <= 1


@final
class Book:
    """All lots and shares of all accounts."""

    def __init__(self) -> None:
        self.lots: list[Lot] = []
        self._shares: Counter[tuple[str, str]] = Counter()
        self._papers: Counter[tuple[str, Paper]] = Counter()

    def trade(self, account: str, paper: Paper, qty: int) -> None:
        """Counts signed contracts or shares in or out."""
        if paper.kind == "stock":
            self._shares[account, paper.underlying] += qty
        self._papers[account, paper] += qty

    def net(self, account: str, paper: Paper) -> int:
        """What the account holds of one contract, all lots together."""
        return self._papers[account, paper]

    def free_shares(self, account: str, underlying: str) -> int:
        """Shares that no lot binds; negative if sold short on their own."""
        bound = sum(
            lot.overlaid + sum(qty for paper, qty in lot.legs.items() if paper.kind == "stock")
            for lot in self.lots
            if (lot.account, lot.underlying) == (account, underlying)
        )
        return self._shares[account, underlying] - bound

    def shares(self, account: str, underlying: str) -> int:
        """All shares, bound and free."""
        return self._shares[account, underlying]

    def live(self, account: str, at: datetime) -> Iterator[Lot]:
        """The lots of an account that may be acted on."""
        return (lot for lot in self.lots if lot.account == account and lot.settled and lot.since <= at)

    def change(self, lot: Lot, filled: dict[Paper, int]) -> None:
        """Applies fills to a lot and drops it when it is empty or only free shares are left of it."""
        for paper, qty in filled.items():
            lot.legs[paper] = lot.legs.get(paper, 0) + qty
        lot.legs = {paper: qty for paper, qty in lot.legs.items() if qty}
        if not lot.options and lot in self.lots:
            self.lots.remove(lot)

    def expire(self, account: str, underlying: str, today: date) -> None:
        """Takes away the contracts that expired before today."""
        for lot in [one for one in self.lots if (one.account, one.underlying) == (account, underlying)]:
            gone = [paper for paper in lot.options if paper.terms[1] < today]
            for paper in gone:
                self._papers[account, paper] -= lot.legs.pop(paper)
            if gone:
                lot.settled = False
                if not lot.options:
                    self.lots.remove(lot)
