"""What is known of an instrument of an account beside its lots, and what must have been there before. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from apex_pipeline.domain.lot_units import Conversion
from apex_pipeline.domain.models import AssetClass
from apex_pipeline.domain.told_lots import EXACT, rounded, total

LEAST = Decimal("0.00000001")
"""The smallest part of a unit; brokers keep 8 places."""

_ZERO = Decimal(0)

Span = tuple[date, date]


class ChangeKind(StrEnum):
    """What changed a position within the known history.

    SPLIT is every corporate action that leaves the cost as it is, a change of contract too. PERSON is an opening lot
    that a person signed. VOID is a trade that was taken back, or the row that did so: statements in between count it.
    """

    TRADE = "TRADE"
    SPLIT = "SPLIT"
    CORPORATE_ACTION = "CORPORATE_ACTION"
    TRANSFER = "TRANSFER"
    PERSON = "PERSON"
    VOID = "VOID"


@dataclass(frozen=True, slots=True)
class Change:
    """A known change of a position by the signed `qty`, on the day on which the broker's statement shows it.

    The rows of one corporate action share their `event`.
    """

    uid: str
    kind: ChangeKind
    on_date: date
    at: datetime
    qty: Decimal
    position_effect: str | None = None
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """What an instrument is called, and what it is."""

    symbol: str
    underlying: str | None
    asset_class: AssetClass
    currency: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one instrument of an account beside its lots.

    `snapshot_on`: the first day of which the broker told all positions, None if it never did; `snapshot_qty`: what it
    told of the instrument then. `covered`: days of which all trades are known; `first_day`: the first of them.
    """

    changes: Sequence[Change] = ()
    snapshot_on: date | None = None
    snapshot_qty: Decimal = _ZERO
    multiplier: Decimal | None = None
    covered: Sequence[Span] = ()
    first_day: date | None = None
    contract: Contract | None = None

    def of_kind(self, kind: ChangeKind) -> list[Change]:
        """The changes of one kind."""
        return [one for one in self.changes if one.kind is kind and one.qty]

    def effective(self) -> list[Change]:
        """The changes that were not taken back, in the order in which they happened."""
        return sorted(
            (one for one in self.changes if one.kind is not ChangeKind.VOID),
            key=lambda one: (one.on_date, one.at, one.uid),
        )

    def is_whole(self) -> bool:
        """Whether every day from the first known one up to the snapshot is known."""
        on, first = self.snapshot_on, self.first_day
        return (
            on is not None
            and first is not None
            and any(start == first and start <= on <= end for start, end in self.covered)
            and all(one.on_date >= first for one in self.changes if one.kind is not ChangeKind.PERSON)
        )

    def before(self) -> tuple[Decimal, Decimal] | None:
        """Units that were there before everything known, None if the broker told no positions.

        The second number leaves aside what was taken back: a statement told since does not count it either.
        """
        if self.snapshot_on is None:
            return None
        until = [one for one in self.changes if one.on_date <= self.snapshot_on]
        now = self.snapshot_qty - total(one.qty for one in until if one.kind is not ChangeKind.VOID)
        then = now - total(one.qty for one in until if one.kind is ChangeKind.VOID)
        return (_ZERO if abs(now) <= LEAST else then), now

    def room(self, sign: int, told: Collection[Decimal] = ()) -> Decimal:
        """Units of this direction that must have been there before the known history; `told` by lots may decide."""
        before = self.before()
        if before is not None:
            then, now = before
            return (now if now * sign in told else then) * sign
        held = lacking = _ZERO
        for change in self.effective():
            qty = change.qty * sign
            if qty < 0 and change.position_effect == "CLOSE":
                free = max(held, _ZERO)
                lacking += max(-qty - free, _ZERO)
                held -= min(-qty, free)
            else:
                held += qty
        return lacking

    def held_before(self, change: Change) -> Decimal | None:
        """The position just before a change; None if it is not known."""
        before = self.before()
        if before is None:
            return None
        return before[0] + total(
            one.qty for one in self.effective() if one.kind is ChangeKind.PERSON or one.at < change.at
        )

    def disproves(self, prior: Decimal) -> bool:
        """Whether a trade that the broker says opened would have closed units of before instead, up to the snapshot.

        Then what was there before is not what explains the snapshot: another trade is missing.
        """
        held = prior
        until = [one for one in self.effective() if self.snapshot_on is None or one.on_date <= self.snapshot_on]
        # Of one instant what closes comes first.
        for one in sorted(until, key=lambda one: (one.at, one.position_effect == "OPEN", one.uid)):
            if held * prior > 0 and one.position_effect == "OPEN" and one.qty * held < 0:
                return True
            held += one.qty
        return False

    def gone_of(self, prior: Decimal) -> Decimal:
        """How many of the units from before (signed) have left by the last known change: they are the first to go.

        In units from before. What a change of contract took away is followed no further.
        """
        held = whole = left = prior
        for one in self.effective():
            if one.kind is ChangeKind.PERSON:
                continue
            after = held + one.qty
            if one.kind is ChangeKind.SPLIT and after * held <= 0:
                break
            if one.kind is ChangeKind.SPLIT:
                whole, left = EXACT.divide(whole * after, held), EXACT.divide(left * after, held)
            elif one.qty * prior < 0:
                left -= min(abs(left), abs(one.qty)).copy_sign(prior)
            held = after
        return rounded(prior - EXACT.divide(prior * left, whole))

    def sold_of(self, transfer: Change) -> Decimal:
        """How many units of a transfer have certainly left, first in first out, by the last known change.

        0 where it is not known what was there before it, or where units changed since.
        """
        held = self.held_before(transfer)
        after = [one for one in self.effective() if (one.at, one.uid) > (transfer.at, transfer.uid)]
        if held is None or held * transfer.qty < 0 or any(one.kind is ChangeKind.SPLIT for one in after):
            return _ZERO
        gone = total(abs(one.qty) for one in after if one.qty * transfer.qty < 0)
        return max(gone - abs(held), _ZERO)


def is_of_source(target: Known) -> bool:
    """Whether old lots of the contract that a change brought can only be those of the contract before it."""
    before = target.before()
    return before is not None and not before[0] and not target.of_kind(ChangeKind.TRANSFER)


def conversions_of(known: Mapping[str, Known]) -> Iterable[Conversion]:
    """The splits and changes of contract of one account, by what is known of its instruments."""
    events: defaultdict[str, dict[str, list[Change]]] = defaultdict(dict)
    for instrument, own in known.items():
        for change in own.of_kind(ChangeKind.SPLIT):
            events[change.event or change.uid].setdefault(instrument, []).append(change)
    for event in events.values():
        sums = {instrument: total(one.qty for one in rows) for instrument, rows in event.items()}
        deltas = {instrument: qty for instrument, qty in sums.items() if qty}
        firsts = {instrument: min(event[instrument], key=lambda one: (one.at, one.uid)) for instrument in deltas}
        held = {instrument: known[instrument].held_before(first) for instrument, first in firsts.items()}
        if len(deltas) == 1:
            [(instrument, delta)] = deltas.items()
            yield _split(instrument, firsts[instrument].on_date, held[instrument], delta)
        elif len(deltas) == 2:
            gone = [instrument for instrument, delta in deltas.items() if held[instrument] == -delta]
            [one, other] = deltas
            if len(gone) == 1 and deltas[one] * deltas[other] < 0:
                old, new = (one, other) if gone == [one] else (other, one)
                yield Conversion(old, new, firsts[old].on_date, abs(deltas[old]), abs(deltas[new]))


def _split(instrument: str, on_date: date, held: Decimal | None, delta: Decimal) -> Conversion:
    """A split of all that is held; of an unknown ratio where that does not go."""
    if not held or (held + delta) * held <= 0:
        return Conversion(instrument, instrument, on_date, Decimal(1), None)
    return Conversion(instrument, instrument, on_date, abs(held), abs(held + delta))
