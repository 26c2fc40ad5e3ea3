"""Lots and what closing them gained, from movements in order: the meaning of matching, in exact decimals.

FIFO unless the account says otherwise. The first lots of the other side are closed, and what a movement has left opens
a lot; where the broker says that it closes, nothing is opened and units without a lot have a row of their own. A
transfer of more than is held stops the ledger of its instrument.
Premium of options that were exercised or assigned is carried into the shares; corporate actions follow
`domain.lot_actions`, and where no rule covers one, the lots of its instruments stay as they are from there on.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext
from types import MappingProxyType

from apex_pipeline.domain.ledger import (
    LedgerStop,
    Lot,
    LotMethod,
    LotMove,
    LotSelection,
    MovementKind,
    Place,
    PositionMovement,
    RealizedPnl,
    order_of,
)
from apex_pipeline.domain.lot_actions import Convert, Event, PayOut, Stop, converted, effect_of, events_of, left
from apex_pipeline.domain.lot_book import Book, OpenUnits, Piece
from apex_pipeline.domain.lot_closings import Carry, Closing
from apex_pipeline.domain.lot_exchanges import recognized
from apex_pipeline.domain.lot_openings import opened, reopened
from apex_pipeline.domain.lot_shares import EXACT, ZERO

_DELIVERED = frozenset({MovementKind.EXERCISE, MovementKind.ASSIGNMENT})
_NOTHING: Mapping[str, Sequence[LotSelection]] = MappingProxyType({})
_TOO_SMALL = Stop("LOT_TOO_SMALL", "a lot would become less than the smallest part of a unit")


@dataclass(frozen=True, slots=True)
class OpenLot:
    """A lot at a restart; `taken`: how many of its units (positive) had left before."""

    lot: Lot
    taken: Decimal


@dataclass(slots=True)
class Matched:
    """What follows from the movements; lots that were held come out again as they stand now."""

    lots: list[Lot] = field(default_factory=list[Lot])
    realized: list[RealizedPnl] = field(default_factory=list[RealizedPnl])
    moves: list[LotMove] = field(default_factory=list[LotMove])
    stops: list[LedgerStop] = field(default_factory=list[LedgerStop])


def always_fifo(_day: date) -> LotMethod:
    """The method of accounts that have not said another."""
    return LotMethod.FIFO


def match(
    movements: Iterable[PositionMovement],
    *,
    held: Iterable[OpenLot] = (),
    stopped: Collection[str] = (),
    method: Callable[[date], LotMethod] = always_fifo,
    selections: Mapping[str, Sequence[LotSelection]] = _NOTHING,
) -> Matched:
    """Match the movements of one account, of one instrument or of several that are linked, given in any order.

    `held` and `stopped` are the open lots and the stopped instruments where the movements begin: to match all, or a
    first part up to the end of a day and then the rest, is the same (not with AVERAGE, which needs all movements).
    `method` tells the method of a day, `selections` the lots that were chosen for a closing, by its uid. The columns in
    base currency are left None. Numbers are exact, without trailing zeros and exponents.
    """
    with localcontext(EXACT):
        run = _Run(method, selections, set(stopped))
        for one in sorted((reopened(one.lot, one.taken) for one in held), key=lambda lot: lot.order):
            run.book(one.instrument_id).add(one)
        rows = run.prepare(list(movements))
        for row in rows:
            run.apply(row)
        return run.finish()


class _Run:
    """The state of one matching."""

    def __init__(
        self,
        method: Callable[[date], LotMethod],
        selections: Mapping[str, Sequence[LotSelection]],
        stopped: set[str],
    ) -> None:
        self._method = method
        self._selections = selections
        self._stopped = stopped
        self._books: dict[str, Book] = {}
        self._events: dict[str, Event] = {}
        self._carries: dict[tuple[str, date], Carry] = {}
        self._out = Matched()

    def book(self, instrument_id: str) -> Book:
        """The open lots of an instrument."""
        book = self._books.get(instrument_id)
        if book is None:
            book = self._books[instrument_id] = Book()
        return book

    def prepare(self, movements: list[PositionMovement]) -> list[PositionMovement]:
        """The movements in order; shares come after the options that deliver them, whose premium they carry."""
        ends: dict[tuple[str, date], datetime] = {}
        for row in movements:
            if row.link_id is not None and row.place == Place.OPTION_END and row.kind in _DELIVERED:
                key = row.link_id, row.business_date
                ends[key] = max(row.ordered_at, ends.get(key, row.ordered_at))
        if ends:
            for row in filter(_is_delivery, movements):
                key = row.link_id or "", row.business_date
                if key in ends:
                    self._carries.setdefault(key, Carry()).whole += abs(row.qty)
        rows = sorted(movements, key=lambda row: _order(row, ends)) if ends else sorted(movements, key=order_of)
        self._events = events_of(rows)
        return rows

    def apply(self, row: PositionMovement) -> None:
        """Let one movement happen."""
        if row.kind is MovementKind.CORPORATE_ACTION:
            event = self._events[row.movement_uid]
            if row is event.rows[-1]:
                self._act(event)
            return
        carry = self._carries.get((row.link_id, row.business_date)) if row.link_id is not None else None
        if row.instrument_id in self._stopped:
            if carry is not None:
                carry.pass_by(row)
            return
        if not row.qty:
            return
        if row.kind is MovementKind.TRANSFER:
            self._transfer(row)
        else:
            self._trade(row, carry)

    def _trade(self, row: PositionMovement, carry: Carry | None) -> None:
        book, units = self.book(row.instrument_id), abs(row.qty)
        coming, bring_to = (ZERO if carry is None else None), None
        if carry is not None and row.place == Place.OPTION_END:
            coming, bring_to = ZERO, carry
        elif carry is not None:
            coming = carry.take(units)
        only_closes = row.position_effect == "CLOSE" or row.place == Place.OPTION_END
        if only_closes or (book.lots and book.lots[0].is_long == (row.qty < 0)):
            units = self._close(row, book, coming, bring_to, only_closes=only_closes)
        if units:
            book.add(opened(row, units, coming, self._method(row.business_date)))

    def _close(
        self, row: PositionMovement, book: Book, coming: Decimal | None, bring_to: Carry | None, *, only_closes: bool
    ) -> Decimal:
        """Close lots; returns how many units are left to open."""
        method, units = self._method(row.business_date), abs(row.qty)
        pieces: list[tuple[OpenUnits, Piece]] = []
        if book.lots and book.lots[0].is_long == (row.qty < 0):
            pieces = self._take(book, row, min(units, book.units), method)
            units -= sum((piece.qty for _, piece in pieces), ZERO)
        lacking = units if only_closes else ZERO
        self._out.realized += Closing(row, method, coming, bring_to).of(pieces, lacking)
        return units - lacking

    def _take(
        self, book: Book, row: PositionMovement, units: Decimal, method: LotMethod
    ) -> list[tuple[OpenUnits, Piece]]:
        chosen: dict[str, Decimal] = {}
        if method is LotMethod.SPECIFIC:
            for one in self._selections.get(row.movement_uid, ()):
                chosen[one.open_trade_uid] = chosen.get(one.open_trade_uid, ZERO) + one.qty
        pieces = book.take(units, row, method, chosen)
        self._out.lots.extend(lot.row() for lot, _ in pieces if lot.closed_on is not None)
        return pieces

    def _transfer(self, row: PositionMovement) -> None:
        """What leaves the account takes its cost along; what comes in has a basis that nobody told."""
        book, units = self.book(row.instrument_id), abs(row.qty)
        held = self._held(row.instrument_id)
        if row.position_effect == "CLOSE" and (held * row.qty >= 0 or units > book.units):
            reason = f"{row.qty} of {row.instrument_id} leave by a transfer, of which {held} are held"
            self._stop_one(row, row.instrument_id, Stop("TRANSFERRED_IS_NOT_HELD", reason))
            return
        if book.lots and book.lots[0].is_long == (row.qty < 0):
            for lot, piece in self._take(book, row, min(units, book.units), self._method(row.business_date)):
                self._out.moves.append(left(lot, row, piece.qty, piece.cost))
                units -= piece.qty
        if units:
            book.add(opened(row, units, None, self._method(row.business_date)))

    def _act(self, event: Event) -> None:
        effect = effect_of(event, self._held, self._multiplier, self._stopped)
        if isinstance(effect, Convert):
            effect = self._convert(effect)
        elif isinstance(effect, PayOut):
            self._close(effect.row, self.book(effect.row.instrument_id), ZERO, None, only_closes=True)
        if isinstance(effect, Stop):
            self._stop(event, effect)

    def _held(self, instrument_id: str) -> Decimal:
        book = self.book(instrument_id)
        return book.units if book.lots and book.lots[0].is_long else -book.units

    def _multiplier(self, instrument_id: str) -> Decimal | None:
        lots = self.book(instrument_id).lots
        return lots[0].multiplier if lots else None

    def _convert(self, effect: Convert) -> Stop | None:
        book, row = self.book(effect.source), effect.row
        book.unmix()
        method = self._method(row.business_date)
        made = converted(book.lots, effect, method)
        if made is None:
            return _TOO_SMALL
        self._out.realized += recognized(book.lots, effect, method)
        for lot in book.lots:
            lot.taken, lot.closed_at, lot.closed_on = lot.whole, row.moved_at, row.business_date
            self._out.lots.append(lot.row())
        self._books[effect.source] = Book()
        target = self.book(row.instrument_id)
        for move, lot in made:
            self._out.moves.append(move)
            target.add(lot)
        return None

    def _stop(self, event: Event, stop: Stop) -> None:
        for instrument, delta in sorted(event.deltas().items()):
            if instrument not in self._stopped:
                self._stop_one(event.row_of(instrument, delta), instrument, stop)

    def _stop_one(self, row: PositionMovement, instrument: str, stop: Stop) -> None:
        self._stopped.add(instrument)
        self._out.stops.append(
            LedgerStop(
                stop_uid=row.movement_uid,
                broker=row.broker,
                account_id=row.account_id,
                instrument_id=instrument,
                symbol=row.symbol,
                business_date=row.business_date,
                reason_code=stop.code,
                reason=stop.reason,
            )
        )

    def finish(self) -> Matched:
        """The rows, with the lots that are still open at the end."""
        for book in self._books.values():
            book.unmix()
            self._out.lots.extend(lot.row() for lot in book.lots)
        return self._out


def _is_delivery(row: PositionMovement) -> bool:
    return row.link_id is not None and row.place == Place.DELIVERY and row.kind in _DELIVERED


def _order(
    row: PositionMovement, ends: Mapping[tuple[str, date], datetime]
) -> tuple[date, datetime, int, Decimal, str]:
    order = order_of(row)
    if _is_delivery(row):
        end = ends.get((row.link_id or "", row.business_date))
        if end is not None and end > row.ordered_at:
            return order[0], end, *order[2:]
    return order
