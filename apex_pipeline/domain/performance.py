"""Returns, drawdowns and rates of success of one account, from its values and what was paid in and out. Pure.

Returns are fractions: 0.01 is 1 %. A drawdown is how far below the highest point so far an account stands, as a
positive fraction of that point. What is paid in or out on a day counts as there from the beginning of that day.
Results are rounded half up to 12 places and written without trailing zeros.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal
from enum import StrEnum

from apex_pipeline.domain.lot_shares import trimmed

WIDE = Context(prec=60, rounding=ROUND_HALF_UP)
"""Wide enough that only the last rounding of a result loses digits."""

PLACES = Decimal(1).scaleb(-12)
_ZERO, _ONE = Decimal(0), Decimal(1)


class ValueSource(StrEnum):
    """Who says what an account is worth: its broker, or the ledger (cash and positions at the broker's marks)."""

    BROKER = "BROKER"
    LEDGER = "LEDGER"


@dataclass(frozen=True, slots=True)
class Valuation:
    """What an account was worth at the end of a day, in one currency; None where it is not known.

    `net_flow`: paid in (positive) or out since the valuation before; None where an amount could not be converted.
    """

    on_date: date
    ledger_value: Decimal | None
    broker_value: Decimal | None
    net_flow: Decimal | None


@dataclass(frozen=True, slots=True)
class Growth:
    """The result of a day. All None where its value is not known; `daily_return` also where it has no meaning."""

    daily_return: Decimal | None
    cumulative_return: Decimal | None
    drawdown: Decimal | None


NOTHING_KNOWN = Growth(None, None, None)


def modified_dietz(before: Decimal, after: Decimal, flows: Iterable[tuple[Decimal, Decimal]]) -> Decimal | None:
    """The return between two values with payments in between, each (weight, amount); weight 1 is "from the start".

    None where the money at work is not positive. With one flow of weight 1 it is after / (before + flow) - 1.
    """
    told = list(flows)
    paid = sum((amount for _, amount in told), _ZERO)
    at_work = before + sum((WIDE.multiply(weight, amount) for weight, amount in told), _ZERO)
    if at_work <= 0:
        return None
    return WIDE.divide(after - before - paid, at_work)


def drawdowns(cumulative: Iterable[Decimal]) -> list[Decimal]:
    """How far below its highest point so far each of these cumulative returns stands; the start counts as a point."""
    peak = _ONE
    found: list[Decimal] = []
    for one in cumulative:
        peak = max(peak, 1 + one)
        found.append(rounded(WIDE.divide(peak - 1 - one, peak)))
    return found


def win_rate(won: int, closed: int) -> Decimal | None:
    """The share of closed round trips of known result that made money; None without any."""
    return rounded(WIDE.divide(Decimal(won), Decimal(closed))) if closed else None


def growth(values: Sequence[Valuation]) -> list[Growth]:
    """Daily and cumulative return and drawdown of every valuation, oldest first.

    A value is compared with the last one of the same source (of the ledger or of the broker, whichever is younger; the
    broker's where both are), because the two differ by what a broker accrues; only where there is none with the last
    one of all. Days in between without a value are bridged with weighted flows. The first value starts the series.
    """
    chain = _Chain(values)
    results = [chain.step(number) for number in range(len(values))]
    totals = [one.cumulative for one in results if one is not None]
    sunk = iter(drawdowns(totals))
    return [NOTHING_KNOWN if one is None else Growth(one.daily, one.cumulative, next(sunk)) for one in results]


def rounded(value: Decimal) -> Decimal:
    """To 12 places, without trailing zeros."""
    return trimmed(value.quantize(PLACES, context=WIDE))


@dataclass(frozen=True, slots=True)
class _Step:
    daily: Decimal | None
    cumulative: Decimal


class _Chain:
    """The series as it grows: an index of 1 at the first value, and where each source was last known."""

    def __init__(self, values: Sequence[Valuation]) -> None:
        self._values = values
        self._index: dict[int, Decimal] = {}
        self._last: dict[ValueSource, int] = {}

    def step(self, number: int) -> _Step | None:
        """The result of the valuation of this number; None where its value is not known."""
        today = _sources(self._values[number])
        if not today:
            return None
        newest = max(self._index, default=None)
        result = _Step(None, _ZERO) if newest is None else self._grown(number, today, newest)
        self._index[number] = 1 + result.cumulative
        self._last |= dict.fromkeys(today, number)
        return result

    def _grown(self, number: int, today: dict[ValueSource, Decimal], newest: int) -> _Step:
        start, before, after = self._compared(today, newest)
        gained = self._between(start, number, before, after)
        if gained is None:
            return _Step(None, rounded(self._index[newest] - 1))
        index = WIDE.multiply(self._index[start], 1 + gained)
        last = self._index[newest]
        daily = rounded(WIDE.divide(index, last) - 1) if last > 0 else None
        return _Step(daily, rounded(index - 1))

    def _compared(self, today: dict[ValueSource, Decimal], newest: int) -> tuple[int, Decimal, Decimal]:
        """Since which valuation, and the two values to compare."""
        known = [(self._last[source], source is ValueSource.BROKER, source) for source in today if source in self._last]
        if not known:
            before = _sources(self._values[newest])
            return newest, next(iter(before.values())), next(iter(today.values()))
        start, _, source = max(known)
        return start, _sources(self._values[start])[source], today[source]

    def _between(self, start: int, end: int, before: Decimal, after: Decimal) -> Decimal | None:
        days = end - start
        flows: list[tuple[Decimal, Decimal]] = []
        for number in range(start + 1, end + 1):
            flow = self._values[number].net_flow
            if flow is None:
                return None
            flows.append((WIDE.divide(Decimal(end - number + 1), Decimal(days)), flow))
        return modified_dietz(before, after, flows)


def _sources(value: Valuation) -> dict[ValueSource, Decimal]:
    """What is known of a day, the broker's first."""
    told = {ValueSource.BROKER: value.broker_value, ValueSource.LEDGER: value.ledger_value}
    return {source: amount for source, amount in told.items() if amount is not None}
