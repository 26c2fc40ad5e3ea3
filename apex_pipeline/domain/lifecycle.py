"""How options end where a broker tells it in cash and positions only: assignments, exercises and expiries as trades.

Every row follows from what was observed: a booking of cash that names the option, or a later snapshot of positions
that no longer holds it. Where the observations do not decide, no row is made and the reason is told. The ids are
made of the observations, so the same observations make the same rows, in whatever order they come.

An option ends at price 0 and its shares move at the strike; an option settled in cash ends at the price that the
cash makes. Both legs of a delivery share a `link_id`. `executed_at` is the last second of the day in the exchange's
zone: no broker tells the instant, and an option ends after the session.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from apex_pipeline.domain.lifecycle_cash import Event, events_of, in_order
from apex_pipeline.domain.lifecycle_money import Paired, paired
from apex_pipeline.domain.lifecycle_terms import EXACT, Terms, Undecided, terms_of, zone_of
from apex_pipeline.domain.models import AssetClass, Broker, CashMovement, Instrument, Side, Trade, TradeKind
from apex_pipeline.domain.records import Reject

REJECT_KIND = "lifecycle"
_CASH, _POSITIONS = "cash", "positions"
_ZERO = Decimal(0)
_LAST_WEEKDAY = 5
_PRICE_PLACES = Decimal(1).scaleb(-12)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the broker said an account held at `as_of`: signed quantities by symbol; what is not in it is not held."""

    as_of: datetime
    qty: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Ended:
    """The trades that ended options, and the bookings that name an end which cannot be made out."""

    trades: list[Trade] = field(default_factory=list[Trade])
    rejects: list[Reject] = field(default_factory=list[Reject])


@dataclass(slots=True)
class _Account:
    """The option trades of one account with the rows made so far."""

    instruments: Mapping[str, Instrument]
    changes: defaultdict[str, list[tuple[date, Decimal]]] = field(default_factory=lambda: defaultdict(list))
    ends: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    samples: dict[str, Trade] = field(default_factory=dict[str, Trade])
    ended: Ended = field(default_factory=Ended)

    def take(self, trade: Trade) -> None:
        """Count a trade of an option."""
        self.samples.setdefault(trade.symbol, trade)
        self.changes[trade.symbol].append((trade.trade_date, _signed(trade)))

    def held(self, symbol: str, day: date) -> Decimal:
        """The signed position at the end of a day."""
        return sum((qty for on, qty in self.changes[symbol] if on <= day), _ZERO)

    def left(self, symbol: str, day: date) -> Decimal:
        """What may still expire. More deliveries than known trades opened leave nothing: older trades are missing."""
        held = self.held(symbol, day)
        return held if held * (held - self.ends[symbol]) > 0 else _ZERO

    def terms(self, symbol: str) -> Terms:
        """The contract; raises Undecided."""
        sample = self.samples.get(symbol)
        return terms_of(symbol, self.instruments, sample.multiplier if sample else None)

    def make(self, trade: Trade) -> None:
        """Keep a row under the broker's id of its instrument; those of options change the position."""
        named = replace(trade, instrument_id=self._instrument_id(trade))
        self.ended.trades.append(named)
        if named.asset_class is AssetClass.OPTION:
            self.take(named)
            self.ends[named.symbol] += _signed(named)

    def _instrument_id(self, trade: Trade) -> str | None:
        """The id that other trades of the instrument have. A stock's code is its symbol where nothing tells it."""
        sample, known = self.samples.get(trade.symbol), self.instruments.get(trade.symbol)
        own = known and (known.futu_code if trade.broker is Broker.FUTU else known.ib_conid)
        told = (sample and sample.instrument_id) or own
        return told or (trade.symbol if trade.broker is Broker.FUTU and trade.asset_class is AssetClass.STOCK else None)


def endings(
    trades: Iterable[Trade],
    movements: Iterable[CashMovement],
    snapshots: Sequence[Holdings],
    instruments: Mapping[str, Instrument],
    cash_told: Container[date],
) -> Ended:
    """How the options of one account ended.

    `trades`: all of its trades; rows made here before are left out. `cash_told`: the days whose bookings of cash
    are known: an option that is gone has expired only if no booking can still say that it was assigned.
    """
    account = _Account(instruments)
    for trade in sorted(trades, key=lambda one: (one.trade_date, one.trade_uid)):
        made_here = trade.source in (f"{trade.broker.lower()}_{_CASH}", f"{trade.broker.lower()}_{_POSITIONS}")
        if trade.effective and trade.asset_class is AssetClass.OPTION and not made_here:
            account.take(trade)
    movements = list(movements)
    unclear = _end_by_cash(account, _dated(account, events_of(movements)), movements)
    _end_by_positions(account, snapshots, cash_told, unclear)
    return account.ended


def _dated(account: _Account, events: Sequence[Event]) -> list[Event]:
    """The events, none after the expiry of its option: a booking may come days later and name no day."""
    dated: list[Event] = []
    for event in events:
        try:
            dated.append(replace(event, day=min(event.day, account.terms(event.symbol).expiry)))
        except Undecided:
            dated.append(event)
    return in_order(dated)


def _end_by_cash(account: _Account, events: Sequence[Event], movements: Sequence[CashMovement]) -> set[str]:
    """Deliveries first: what a booking of expiry closes is what they leave. Returns the options of unclear ends."""
    pairs = paired(events, movements, account.terms, account.held)
    unclear: set[str] = set()
    for event in events:
        try:
            _end_one(account, event, pairs, unclear)
        except Undecided as undecided:
            unclear.add(event.symbol)
            account.ended.rejects.append(_reject(event, undecided))
    return unclear


def _end_one(account: _Account, event: Event, pairs: Paired, unclear: Container[str]) -> None:
    terms, money = account.terms(event.symbol), pairs.money.get(event.key, event.movement)
    if event.key in pairs.unclear:
        raise Undecided("ambiguous_cash", f"which money is that of the {event.kind} of {event.symbol} is not decided")
    if event.kind is TradeKind.EXPIRATION:
        if event.symbol in unclear:
            raise Undecided("unclear_rest", f"how much of {event.symbol} was left to expire is not known")
        _expire_by_cash(account, event, terms)
    elif terms.cash_settled:
        _settle_in_cash(account, event, terms, money)
    else:
        _deliver(account, event, terms, money)


def _expire_by_cash(account: _Account, event: Event, terms: Terms) -> None:
    held = account.left(terms.symbol, event.day)
    if not held and any(trade.symbol == terms.symbol for trade in account.ended.trades):
        return  # it was delivered whole
    if not held:
        raise Undecided("nothing_held", f"{terms.symbol} expired, but the known trades leave no position in it")
    side = Side.SELL if held > 0 else Side.BUY
    account.make(_row(event, terms, side=side, qty=abs(held), money=event.movement))


def _settle_in_cash(account: _Account, event: Event, terms: Terms, money: CashMovement) -> None:
    held = account.held(terms.symbol, event.day)
    if not money.amount or terms.multiplier is None:
        raise Undecided("no_cash", f"no booking tells what {terms.symbol} was settled for")
    if (money.amount > 0) != event.was_long:
        raise Undecided("contradicting_cash", f"{event.kind} of {terms.symbol} cannot move {money.amount}")
    if not held or (held > 0) != event.was_long:
        raise Undecided("nothing_held", f"{terms.symbol} was settled, but the known trades leave no such position")
    price = EXACT.divide(abs(money.amount), abs(held) * terms.multiplier).quantize(_PRICE_PLACES, context=EXACT)
    row = _row(event, terms, side=event.closing_side, qty=abs(held), money=money)
    account.make(replace(row, price=price, amount=abs(money.amount)))


def _deliver(account: _Account, event: Event, terms: Terms, money: CashMovement) -> None:
    """The option at 0 and the shares at the strike, both in the quantity that the cash paid for."""
    size, underlying = terms.deliverable()
    if not money.amount:
        raise Undecided("no_cash", f"no booking tells the money of the {event.kind} of {terms.symbol}")
    contracts = terms.contracts_for(money.amount, event.kind)
    option = _row(event, terms, side=event.closing_side, qty=contracts, money=money)
    account.make(option)
    account.make(
        Trade(
            trade_uid=f"{option.trade_uid}_S",
            order_uid=None,
            broker=option.broker,
            account_id=option.account_id,
            broker_trade_id=f"{option.broker_trade_id}_S",
            exec_id=None,
            market=terms.market,
            symbol=underlying,
            underlying=underlying,
            asset_class=AssetClass.STOCK,
            kind=event.kind,
            effective=True,
            side=Side.BUY if money.amount < 0 else Side.SELL,
            qty=contracts * size,
            price=terms.strike,
            multiplier=Decimal(1),
            amount=abs(money.amount),
            currency=option.currency,
            executed_at=option.executed_at,
            trade_date=option.trade_date,
            settle_date=option.settle_date,
            position_effect=None,
            link_id=option.link_id,
            source=option.source,
            report_date=None,
            instrument_id=None,
        )
    )


def _end_by_positions(
    account: _Account, snapshots: Sequence[Holdings], cash_told: Container[date], unclear: Container[str]
) -> None:
    """Expiries that nothing but the position's absence tells, also of what an assignment has left."""
    for symbol in sorted(account.samples):
        if symbol in unclear:
            continue  # how much of it has ended otherwise is not known
        try:
            terms = account.terms(symbol)
        except Undecided:
            continue  # without terms there is no day on which it could have ended
        held = account.left(symbol, terms.expiry)
        if held and _last_weekday(terms.expiry) in cash_told and _gone(terms, snapshots):
            account.make(_expired(account.samples[symbol], terms, held))


def _gone(terms: Terms, snapshots: Sequence[Holdings]) -> bool:
    """Whether a snapshot of a later exchange date does not hold the contract."""
    zone = zone_of(terms.market)
    later = [one for one in snapshots if one.as_of.astimezone(zone).date() > terms.expiry]
    return any(not one.qty.get(terms.symbol) for one in later)


def _signed(trade: Trade) -> Decimal:
    return trade.qty if trade.side is Side.BUY else -trade.qty


def _last_weekday(day: date) -> date:
    return day - timedelta(days=max(0, day.isoweekday() - _LAST_WEEKDAY))


def _expired(sample: Trade, terms: Terms, held: Decimal) -> Trade:
    kind, side = TradeKind.EXPIRATION, Side.SELL if held > 0 else Side.BUY
    own = f"L{kind} {terms.symbol}"
    return _option_row(
        sample, terms, own, kind=kind, side=side, qty=abs(held), day=terms.expiry, learnt_from=_POSITIONS
    )


def _row(event: Event, terms: Terms, *, side: Side, qty: Decimal, money: CashMovement) -> Trade:
    own = f"L{event.key}"
    row = _option_row(event.movement, terms, own, kind=event.kind, side=side, qty=qty, day=event.day, learnt_from=_CASH)
    return replace(row, settle_date=money.settle_date, link_id=own)


def _option_row(
    owner: Trade | CashMovement,
    terms: Terms,
    own: str,
    *,
    kind: TradeKind,
    side: Side,
    qty: Decimal,
    day: date,
    learnt_from: str,
) -> Trade:
    """The end of an option at price 0."""
    return Trade(
        trade_uid=f"{owner.broker}_{owner.account_id}_{own}",
        order_uid=None,
        broker=owner.broker,
        account_id=owner.account_id,
        broker_trade_id=own,
        exec_id=None,
        market=terms.market,
        symbol=terms.symbol,
        underlying=terms.underlying,
        asset_class=AssetClass.OPTION,
        kind=kind,
        effective=True,
        side=side,
        qty=qty,
        price=_ZERO,
        multiplier=terms.multiplier,
        amount=None if terms.multiplier is None else _ZERO,
        currency=terms.currency or owner.currency,
        executed_at=_end_of(day, terms.market),
        trade_date=day,
        settle_date=None,
        position_effect="CLOSE",
        link_id=None,
        source=f"{owner.broker.lower()}_{learnt_from}",
        report_date=None,
        instrument_id=None,
    )


def _end_of(day: date, market: str) -> datetime:
    return datetime.combine(day, time(23, 59, 59), zone_of(market)).astimezone(UTC)


def _reject(event: Event, undecided: Undecided) -> Reject:
    movement = event.movement
    return Reject(
        kind=REJECT_KIND,
        account_id=movement.account_id,
        key=event.key,
        business_date=movement.booked_on,
        reason_code=undecided.reason_code,
        reason=str(undecided),
        payload={
            "cash_uid": movement.cash_uid,
            "symbol": movement.symbol,
            "event_date": event.day.isoformat(),
            "amount": str(movement.amount),
            "currency": movement.currency,
            "description": movement.description,
        },
    )
