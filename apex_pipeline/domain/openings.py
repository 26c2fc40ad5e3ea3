"""Lots that were there before the first known trade, or that came by a transfer: named by the broker's own lot data.

Nothing is made up. A lot is one that no known trade opened; together the lots of an instrument are never more than
what the broker's first snapshot of positions leaves unexplained, and without a snapshot never more than what known
closings could not have closed otherwise. A lot that was told only after a split or a change of contract is scaled back
to what it was before.

What the first snapshot proves to have been there although no lot data names it is an opening without a basis
(BROKER_POSITION). Units of it that have left since come before all lots, for what is left in the end was not sold
first; those that are still there come after them. Only the first snapshot proves that, and only if every day up to it
is known: a trade that is missing before it cannot be told from a position that was there, unless the broker says of
another trade that it opened what then it would have closed; one that is missing after it stays a break. Pure.

Quantities are signed, costs carry the sign of their quantity. Days are those of New York, in which the broker counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from apex_pipeline.domain.ledger import BasisSource, OpeningBalance
from apex_pipeline.domain.lot_known import (
    LEAST,
    Change,
    ChangeKind,
    Contract,
    Known,
    conversions_of,
    is_of_source,
)
from apex_pipeline.domain.lot_shares import trimmed, trimmed_or_none
from apex_pipeline.domain.lot_units import Conversion, Conversions
from apex_pipeline.domain.models import AssetClass, Broker
from apex_pipeline.domain.statements import BrokerLot, ClosedLot
from apex_pipeline.domain.told_lots import (
    Identity,
    ToldLot,
    close,
    identity_of,
    instrument_of,
    opened_on,
    part_of,
    show,
    total,
    without_doubles,
)

_ZERO = Decimal(0)
_ROUNDING = Decimal("0.000001")
"""What scaling back may leave of a position through rounded units."""

Key = tuple[str, str]
"""An account and an instrument."""


def note_of(transfer_uid: str) -> str:
    """The note of an opening lot that came by a transfer, whose own movement it stands for."""
    return f"transfer {transfer_uid}"


def opening_lots(
    known: Mapping[Key, Known], lots: Iterable[BrokerLot], closed: Iterable[ClosedLot]
) -> list[OpeningBalance]:
    """The opening lots, sorted by uid. `known` is by (account, instrument); lots of others are left out.

    `lots` and `closed` hold only identities that no known trade opened; of the open lots any days, of which the first
    that shows an identity counts. `opened_on` of a lot that came by a transfer is the day of the transfer.
    """
    found = _collected(known, list(lots), list(closed))
    made = [
        row
        for key in known
        for row in _of_instrument(key, sorted(without_doubles(found[key].values()), key=lambda lot: lot.order), known)
    ]
    return sorted(made, key=lambda row: row.opening_uid)


def _collected(
    known: Mapping[Key, Known], lots: Sequence[BrokerLot], closed: Sequence[ClosedLot]
) -> defaultdict[Key, dict[Identity, ToldLot]]:
    """What is told of each lot, by the instrument as which it was there first."""
    accounts: defaultdict[str, dict[str, Known]] = defaultdict(dict)
    for (account, instrument), own in known.items():
        accounts[account][instrument] = own
    units = {account: Conversions(conversions_of(own)) for account, own in accounts.items()}
    named = {(lot.account_id, instrument_of(lot), lot.open_trade_id) for lot in (*lots, *closed) if lot.open_trade_id}

    def origin(lot: BrokerLot | ClosedLot) -> str:
        def is_meant(one: Conversion) -> bool:
            is_named = (lot.account_id, one.source, lot.open_trade_id) in named
            return is_named or is_of_source(accounts[lot.account_id][one.target])

        looked = units.get(lot.account_id, Conversions())
        return looked.origin(instrument_of(lot), opened_on(lot), lot.business_date, is_meant)

    found: defaultdict[Key, dict[Identity, ToldLot]] = defaultdict(dict)
    for lot in sorted(lots, key=lambda one: (one.business_date, one.lot_uid)):
        key = lot.account_id, origin(lot)
        show(found[key], lot, key[1], units.get(lot.account_id, Conversions()))
    for piece in sorted(closed, key=lambda one: (one.business_date, one.lot_uid)):
        key = piece.account_id, origin(piece)
        multiplier = known[key].multiplier if key in known else None
        close(found[key], piece, multiplier, key[1], units.get(piece.account_id, Conversions()))
    return found


def _of_instrument(key: Key, lots: Sequence[ToldLot], known: Mapping[Key, Known]) -> Iterable[OpeningBalance]:
    """Lots from before the known history first; what then remains may name the lots of transfers."""
    own = known[key]
    taken: list[ToldLot] = []
    for sign in (1, -1):
        named, untold = _prior(lots, own, sign)
        taken += [lot for lot, _ in named]
        yield from (row for _, row in named)
        prior = untold * sign + total(row.qty for _, row in named)
        if untold > LEAST and own.is_whole() and not own.disproves(prior):
            yield from _untold_prior(key, own, lots, named, untold * sign)
    left = [lot for lot in lots if not any(lot is one for one in taken)]
    for transfer in sorted(own.of_kind(ChangeKind.TRANSFER), key=lambda one: (one.at, one.uid)):
        mine = [lot for lot in left if lot.sign * transfer.qty > 0 and (lot.opened_on or date.min) <= transfer.on_date]
        rows = _transferred(key, mine, own, transfer)
        yield from rows
        if rows:
            left = [lot for lot in left if not any(lot is one for one in mine)]


def _prior(lots: Sequence[ToldLot], known: Known, sign: int) -> tuple[list[tuple[ToldLot, OpeningBalance]], Decimal]:
    """The lots before the known history, oldest first, up to what must have been there; and what they leave untold."""
    came = [one for one in known.of_kind(ChangeKind.TRANSFER) if one.qty * sign > 0]
    own = [lot for lot in lots if lot.sign == sign and _may_be_prior(lot, known)]
    # Those that were there before a transfer came are not of the transfer.
    own.sort(key=lambda lot: not all(lot.seen_before(one.on_date) for one in came))
    totals = [abs(total(_units(own, same_day=same_day))) for same_day in (False, True)]
    room = known.room(sign, totals)
    if room <= 0:
        return [], _ZERO
    same_day = totals[0] != room or totals[1] == room
    if came and totals[same_day] < room + total(abs(one.qty) for one in came):
        # Of one that may be of either nobody knows which.
        own = [lot for lot in own if all(lot.seen_before(one.on_date) for one in came)]
    made: list[tuple[ToldLot, OpeningBalance]] = []
    for lot in own:
        since = _since(lot)
        whole = abs(lot.qty(since, same_day=same_day) or _ZERO)
        part = min(whole, room)
        if lot.is_scaled(since) and abs(whole - room) <= _ROUNDING:
            part = whole = room
        if part > 0:
            room -= part
            cost = part_of(lot.cost(since, same_day=same_day), part, whole)
            made.append((lot, _row(lot, known, part * sign, cost, since)))
    # What a lot tells of a trade that is missing is no proof of what was there before.
    missing = [lot for lot in lots if lot.sign == sign and not _may_be_prior(lot, known)]
    return made, room - abs(total(_units(missing, same_day=same_day)))


def _untold_prior(
    key: Key, known: Known, lots: Sequence[ToldLot], named: Sequence[tuple[ToldLot, OpeningBalance]], untold: Decimal
) -> Iterable[OpeningBalance]:
    """The units that no lot names: first those that left without a piece that tells it, last those still there."""
    prior = untold + total(row.qty for _, row in named)
    first = min((row.opened_on for _, row in named), default=date.max)
    last = (known.first_day or date.max) - timedelta(days=1)
    gone = known.gone_of(prior) - total(lot.gone(_since(lot)) for lot, _ in named)
    gone = max(min(abs(gone), abs(untold)) if gone * untold > 0 else _ZERO, _ZERO).copy_sign(untold)
    if not named or abs(untold - gone) <= _ROUNDING:
        gone = untold
    if abs(gone) > _ROUNDING:
        yield from _untold(key, known, lots, gone, min(first - timedelta(days=1), last))
    else:
        gone = _ZERO
    if gone != untold:
        for row in _untold(key, known, lots, untold - gone, last):
            yield replace(row, opening_uid=f"REMAINDER_{row.opening_uid}")


def _since(lot: ToldLot) -> date:
    """The day from which on a lot of before the known history counts."""
    return lot.opened_on or date.min


def _units(lots: Iterable[ToldLot], *, same_day: bool) -> list[Decimal]:
    return [lot.qty(_since(lot), same_day=same_day) or _ZERO for lot in lots]


def _may_be_prior(lot: ToldLot, known: Known) -> bool:
    """A lot opened on a day whose trades are known is of a trade that is missing: that is a break, not an opening."""
    on = lot.opened_on
    if on is None:
        return True
    after = known.snapshot_on is not None and on > known.snapshot_on
    return not after and not any(first <= on <= last for first, last in known.covered)


def _transferred(key: Key, lots: Sequence[ToldLot], known: Known, transfer: Change) -> list[OpeningBalance]:
    """The lots of a transfer: those told, if they make it up, or if all that they leave of it had been sold before."""
    on, note = transfer.on_date, note_of(transfer.uid)
    for same_day in (True, False):
        told = [(lot, lot.qty(on, same_day=same_day)) for lot in lots]
        qtys = [qty for _, qty in told if qty is not None]
        rest = transfer.qty - total(qtys)
        if not qtys or len(qtys) < len(told) or rest * transfer.qty < 0 or abs(rest) > known.sold_of(transfer):
            continue
        rows = [_row(lot, known, qty, lot.cost(on, same_day=same_day), on) for lot, qty in told if qty is not None]
        rows = [replace(row, opened_on=on, note=note) for row in rows]
        if rest:
            rows += [replace(row, note=note, opening_uid=f"{row.opening_uid}_{transfer.uid}")
                     for row in _untold(key, known, lots, rest, on)]  # fmt: skip
        return rows
    return []


def _row(lot: ToldLot, known: Known, qty: Decimal, cost: Decimal | None, since: date) -> OpeningBalance:
    told = lot.sample
    account, instrument, trade_id, opened_at, price = identity_of(told, lot.origin)
    own = trade_id or "@".join("" if part is None else f"{part}" for part in (_stamp(opened_at), price))
    first = known.first_day or min((one.on_date for one in known.changes), default=told.business_date)
    contract = known.contract if instrument_of(told) != lot.origin else None
    contract = contract or Contract(told.symbol, told.underlying, told.asset_class, told.currency)
    open_price = lot.price(since)
    return OpeningBalance(
        opening_uid=f"LOT_{told.broker}_{account}_{instrument}_{own}",
        broker=Broker(told.broker),
        account_id=account,
        instrument_id=instrument,
        symbol=contract.symbol,
        underlying=contract.underlying,
        asset_class=AssetClass(contract.asset_class),
        qty=trimmed(qty),
        opened_at=told.opened_at,
        opened_on=lot.opened_on or first - timedelta(days=1),
        open_price=trimmed_or_none(open_price),
        cost_basis=trimmed_or_none(cost),
        multiplier=known.multiplier,
        currency=contract.currency,
        open_trade_id=told.open_trade_id,
        source=BasisSource.BROKER_LOT if lot.shown_on else BasisSource.BROKER_CLOSED_LOT,
        note=None,
    )


def _untold(key: Key, known: Known, lots: Sequence[ToldLot], qty: Decimal, on: date) -> list[OpeningBalance]:
    """Units that were there and of which nothing else is known."""
    contract = known.contract
    if contract is None and lots:
        told = lots[0].sample
        contract = Contract(told.symbol, told.underlying, told.asset_class, told.currency)
    if contract is None:
        return []
    account, instrument = key
    return [
        OpeningBalance(
            opening_uid=f"POSITION_{Broker.IB}_{account}_{instrument}",
            broker=Broker.IB,
            account_id=account,
            instrument_id=instrument,
            symbol=contract.symbol,
            underlying=contract.underlying,
            asset_class=AssetClass(contract.asset_class),
            qty=trimmed(qty),
            opened_at=None,
            opened_on=on,
            open_price=None,
            cost_basis=None,
            multiplier=known.multiplier,
            currency=contract.currency,
            open_trade_id=None,
            source=BasisSource.BROKER_POSITION,
            note=f"in the positions of {known.snapshot_on}, and named by no lot" if known.snapshot_on else None,
        )
    ]


def _stamp(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
