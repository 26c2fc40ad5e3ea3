"""Movements for the tests of lots: one function per kind, everything that does not matter filled in."""

from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from apex_pipeline.domain.ledger import Action, Lot, LotMove, MovementKind, Place, PositionMovement, RealizedPnl
from apex_pipeline.domain.lots import Matched, OpenLot
from apex_pipeline.domain.models import AssetClass, Broker

DAY = date(2024, 3, 1)
STOCK, OTHER, OPTION = "265598", "4815", "700100"
_ASSETS = {OPTION: AssetClass.OPTION}


def dec(text: str | int | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def num(text: str | int) -> Decimal:
    return Decimal(text)


def on(day: int) -> date:
    return DAY + timedelta(days=day)


def at(day: int, minute: int) -> datetime:
    return datetime.combine(on(day), time(14, 0), UTC) + timedelta(minutes=minute)


def movement(
    uid: str,
    qty: str | int,
    price: str | int | None,
    *,
    day: int = 0,
    minute: int = 0,
    fees: str | int | None = 0,
    instrument: str = STOCK,
    multiplier: str | int | None = 1,
    kind: MovementKind = MovementKind.TRADE,
    place: Place = Place.TRADE,
    effect: str | None = None,
    link: str | None = None,
    action: Action | None = None,
    money: str | int | None = None,
    broker_cost: str | int | None = None,
    currency: str | None = "USD",
    symbol: str | None = None,
) -> PositionMovement:
    """A movement on day `day` at minute `minute` of the session."""
    return PositionMovement(
        movement_uid=uid,
        broker=Broker.IB,
        account_id="U1",
        instrument_id=instrument,
        symbol=symbol or f"US.{instrument}",
        underlying=f"US.{STOCK}",
        asset_class=_ASSETS.get(instrument, AssetClass.STOCK),
        business_date=on(day),
        moved_at=at(day, minute),
        ordered_at=at(day, minute),
        place=place,
        sequence=None,
        kind=kind,
        action=action,
        qty=num(qty),
        price=dec(price),
        multiplier=dec(multiplier),
        fees=dec(fees),
        money=dec(money),
        currency=currency,
        position_effect=effect,
        link_id=link,
        broker_cost=dec(broker_cost),
    )


def option(
    uid: str,
    qty: int,
    price: str | int,
    *,
    day: int = 0,
    minute: int = 0,
    fees: str | int = 0,
    effect: str | None = None,
) -> PositionMovement:
    """A trade of the option, 100 shares each."""
    return movement(
        uid, qty, price, day=day, minute=minute, fees=fees, instrument=OPTION, multiplier=100, effect=effect
    )


def ended(
    uid: str, qty: int, kind: MovementKind, *, day: int = 1, link: str | None = "L", broker_cost: str | None = None
) -> PositionMovement:
    """The option's own row of its end, at price 0."""
    return movement(
        uid, qty, 0, day=day, minute=400, instrument=OPTION, multiplier=100, kind=kind, place=Place.OPTION_END,
        effect="CLOSE", link=link, broker_cost=broker_cost,
    )  # fmt: skip


def delivered(
    uid: str, qty: int, strike: str | int, kind: MovementKind, *, day: int = 1, fees: str | int = 0, link: str = "L"
) -> PositionMovement:
    """The shares that the end of an option moves at the strike."""
    return movement(uid, qty, strike, day=day, minute=400, fees=fees, kind=kind, place=Place.DELIVERY, link=link)


def corporate(
    uid: str,
    qty: str | int,
    action: Action,
    *,
    day: int = 1,
    instrument: str = STOCK,
    money: str | int | None = 0,
    link: str | None = "A",
    symbol: str | None = None,
) -> PositionMovement:
    """A row of a corporate action, at the start of the day."""
    return movement(
        uid, qty, None, day=day, minute=-800, instrument=instrument, multiplier=None, action=action, money=money,
        kind=MovementKind.CORPORATE_ACTION, place=Place.CORPORATE_ACTION, link=link, symbol=symbol,
    )  # fmt: skip


def transfer(uid: str, qty: str | int, *, day: int = 1, effect: str | None = None) -> PositionMovement:
    return movement(
        uid, qty, None, day=day, minute=-800, kind=MovementKind.TRANSFER, place=Place.TRANSFER, effect=effect
    )


def opening(
    uid: str,
    qty: str | int,
    price: str | int | None,
    *,
    day: int = -5,
    fees: str | int | None = 0,
    source: str = "PERSON",
) -> PositionMovement:
    return movement(uid, qty, price, day=day, fees=fees, kind=MovementKind.OPENING, place=Place.OPENING, effect=source)


def lot_of(matched: Matched, uid: str) -> Lot:
    """The one lot of this uid."""
    [lot] = [lot for lot in matched.lots if lot.lot_uid == uid]
    return lot


def closed(matched: Matched, uid: str) -> RealizedPnl:
    """The one piece of this uid."""
    [piece] = [piece for piece in matched.realized if piece.realized_uid == uid]
    return piece


def move_of(matched: Matched, uid: str) -> LotMove:
    """The one move of this uid."""
    [move] = [move for move in matched.moves if move.move_uid == uid]
    return move


def still_open(matched: Matched) -> list[OpenLot]:
    """The state from which matching goes on."""
    return [OpenLot(lot, abs(lot.qty) - abs(lot.remaining_qty)) for lot in matched.lots if lot.remaining_qty]


def texts(row: object) -> dict[str, str]:
    """Every column as it would be written: 1.0 and 1 differ."""
    return {field.name: str(getattr(row, field.name)) for field in fields(row)}  # type: ignore[arg-type]
