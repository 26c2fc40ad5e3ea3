"""What one movement gains: the rows of the pieces that it closes, and the premium that shares carry on."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from apex_pipeline.domain.ledger import BasisSource, Direction, LotMethod, Place, PositionMovement, RealizedPnl
from apex_pipeline.domain.lot_book import OpenUnits, Piece
from apex_pipeline.domain.lot_shares import ZERO, quotient, share, trimmed, trimmed_or_none


@dataclass(slots=True)
class Carry:
    """P&L of ended options on its way into the shares that they delivered.

    `total` is None where it is not known; `whole` counts the shares of the link, `given` those that have theirs.
    """

    whole: Decimal = ZERO
    total: Decimal | None = ZERO
    given: Decimal = ZERO

    def bring(self, realized: Decimal | None) -> None:
        """Add what one piece of an option gained."""
        self.total = None if self.total is None or realized is None else self.total + realized

    def pass_by(self, row: PositionMovement) -> None:
        """Let a row of an instrument pass of which the lots are not known."""
        if row.place == Place.OPTION_END:
            self.bring(None)
        else:
            self.take(abs(row.qty))

    def take(self, units: Decimal) -> Decimal | None:
        """The part of the next `units` shares."""
        start = self.given
        self.given = start + units
        return None if self.total is None else share(self.total, start, self.given, self.whole)


@dataclass(slots=True)
class _Rest:
    """The basis of units that only the broker knows, shared out over them."""

    cost: Decimal
    whole: Decimal
    given: Decimal = ZERO

    def take(self, units: Decimal) -> Decimal:
        start = self.given
        self.given = start + units
        return share(self.cost, start, self.given, self.whole)


class Closing:
    """One closing movement and how many of its units are matched.

    `carry`: P&L that comes into it, None where it is not known. `bring_to`: where its own P&L goes, which then is 0.
    """

    __slots__ = ("_bring_to", "_carry", "_done", "_method", "_row", "_units")

    def __init__(
        self, row: PositionMovement, method: LotMethod, carry: Decimal | None = ZERO, bring_to: Carry | None = None
    ) -> None:
        self._row = row
        self._units = abs(row.qty)
        self._method = method
        self._carry = carry
        self._bring_to = bring_to
        self._done = ZERO

    def of(self, pieces: Sequence[tuple[OpenUnits, Piece]], lacking: Decimal) -> list[RealizedPnl]:
        """The rows of the pieces of lots, in their order, and of `lacking` units of which no lot is known."""
        rest = self._rest(pieces, lacking)
        rows: list[RealizedPnl] = []
        for lot, piece in pieces:
            if piece.cost is None and rest is not None:
                rows.append(self._at_told_cost(piece.qty, rest, lot))
            else:
                rows.append(self._closed(piece, lot, lot.multiplier, lot.basis_source))
        if lacking and rest is not None:
            rows.append(self._at_told_cost(lacking, rest, None))
        elif lacking:
            unknown = Piece(lacking, None, None, ZERO, None)
            rows.append(self._closed(unknown, None, self._row.multiplier, BasisSource.UNKNOWN))
        return rows

    def _rest(self, pieces: Sequence[tuple[OpenUnits, Piece]], lacking: Decimal) -> "_Rest | None":
        """What the basis that the broker states for the whole leaves for the units whose own is not known.

        None where it states none, or one that proves nothing.
        """
        row, told = self._row, self._row.broker_cost
        if told is None or not row.multiplier or (not told and row.position_effect is None):
            return None
        units, known = lacking, ZERO
        for _, piece in pieces:
            if piece.cost is None:
                units += piece.qty
            else:
                known += piece.cost
        # A basis of the whole says nothing of a part: what is left over opens a lot.
        covered = lacking + sum((piece.qty for _, piece in pieces), ZERO)
        return _Rest(told - known, units) if units and covered == self._units else None

    def _at_told_cost(self, units: Decimal, rest: "_Rest", lot: OpenUnits | None) -> RealizedPnl:
        row, cost = self._row, rest.take(units)
        multiplier = row.multiplier or ZERO
        size = units * multiplier if row.qty < 0 else -units * multiplier
        price = quotient(cost, size)
        piece = Piece(units, price, cost - size * price, ZERO, cost)
        return self._closed(piece, lot, row.multiplier, BasisSource.BROKER_CLOSE)

    def _closed(
        self, piece: Piece, lot: OpenUnits | None, multiplier: Decimal | None, source: BasisSource
    ) -> RealizedPnl:
        row, start = self._row, self._done
        end = self._done = start + piece.qty
        fees = None if row.fees is None else share(row.fees, start, end, self._units)
        carried, realized = self._gain(piece, multiplier, fees, start, end)
        return RealizedPnl(
            f"{row.movement_uid}:{'?' if lot is None else lot.lot_uid}",
            row.broker,
            row.account_id,
            row.instrument_id,
            row.symbol,
            row.underlying,
            row.asset_class,
            row.kind,
            Direction.LONG if row.qty < 0 else Direction.SHORT,
            None if lot is None else lot.lot_uid,
            None if lot is None else lot.open_trade_uid,
            row.movement_uid,
            trimmed(piece.qty),
            multiplier,
            piece.open_price,
            trimmed_or_none(row.price),
            trimmed_or_none(piece.open_fees),
            trimmed_or_none(fees),
            trimmed(carried),
            trimmed_or_none(piece.cost),
            trimmed_or_none(realized),
            row.currency or (None if lot is None else lot.currency),
            None,
            None,
            None,
            None if lot is None else lot.opened_at,
            row.moved_at,
            None if lot is None else lot.opened_on,
            row.business_date,
            self._method,
            BasisSource.UNKNOWN if realized is None else source,
        )

    def _gain(
        self, piece: Piece, multiplier: Decimal | None, fees: Decimal | None, start: Decimal, end: Decimal
    ) -> tuple[Decimal, Decimal | None]:
        """What is carried into or out of the piece, and what it gains with that; None where that is not known."""
        row, carried, coming = self._row, piece.carried, self._carry
        factor = multiplier if row.multiplier is None else row.multiplier
        realized = None
        if piece.cost is not None and row.price is not None and coming is not None and factor is not None:
            proceeds = piece.qty * row.price * factor
            realized = (proceeds if row.qty < 0 else -proceeds) - piece.cost
            if fees:
                realized -= fees
            if coming:
                coming = share(coming, start, end, self._units)
                carried += coming
                realized += coming
        if self._bring_to is not None:
            self._bring_to.bring(realized)
            if realized is not None:
                carried, realized = carried - realized, ZERO
        return carried, realized
