"""A whole flow: what `apex classify` reads, and the truth behind it.

The same arguments make the same flow, to the last digit. Each account trades on its own clock with its own
source of chance; all of them see the same prices.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from apex_pipeline.domain.flows.desk import Desk
from apex_pipeline.domain.flows.document import Placed, document
from apex_pipeline.domain.flows.holdings import PLAIN_STOCK, Lot
from apex_pipeline.domain.flows.levels import Habits, Level, habits_of
from apex_pipeline.domain.flows.market import CALL, UNDERLYINGS, Contract, Market, Session, seeded, sessions, stock_of
from apex_pipeline.domain.flows.plans import CLOSE, OPEN, SINGLES, Plan, single_type
from apex_pipeline.domain.flows.sending import Sent, send

EXPIRATION, ASSIGNMENT, EXERCISE = "EXPIRATION", "ASSIGNMENT", "EXERCISE"
_FIRST_DAY = date(2024, 1, 8)
_BETWEEN_DAYS = time(22)
"""UTC: after New York, before Hong Kong."""


@dataclass(frozen=True, slots=True)
class TruthGroup:
    """One idea and the filled orders that served it.

    `action` is OPEN, CLOSE or ROLL; `sub_type` says which kind of close or roll; `resulting_type` what is held
    afterwards of what was opened, rolled or closed in part. `tags` name the difficulties.
    """

    group: str
    orders: frozenset[str]
    type: str
    action: str
    sub_type: str | None
    resulting_type: str | None
    tags: frozenset[str]


@dataclass(frozen=True, slots=True)
class PositionEvent:
    """A position that changed without an order; `qty` is the signed change, `at` is UTC."""

    broker: str
    account: str
    kind: str
    contract: Contract
    qty: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow. `document` is the file of `apex classify` as a JSON writer takes it, `truth` in time order.

    `events` are expiries, and exercises where the habits have them: no file tells them.
    """

    level: Level
    seed: int
    habits: Habits
    document: dict[str, Any]
    truth: tuple[TruthGroup, ...]
    events: tuple[PositionEvent, ...]


@dataclass(slots=True)
class _Group:
    plan: Plan
    sent: Sent
    type: str
    tags: set[str]
    since: datetime | None


@dataclass(slots=True)
class _Account:
    """One account at work: its desk, the groups it has sent and what happened to it without an order."""

    broker: str
    number: str
    desk: Desk
    rng: Random
    opening: dict[Contract, int] = field(default_factory=dict[Contract, int])
    groups: list[_Group] = field(default_factory=list[_Group])
    events: list[PositionEvent] = field(default_factory=list[PositionEvent])


def generate(
    level: Level, seed: int, groups: int = 400, linkage: float | None = None, habits: Habits | None = None
) -> Flow:
    """A flow of that many groups of orders over all accounts, strangers included.

    `linkage` is the share of groups of several orders that carry a combo id; `habits` replace those of the
    level. With a cold start the groups before the cut are missing from the count.
    """
    chosen = habits or habits_of(level)
    if linkage is not None:
        chosen = replace(chosen, linkage=linkage)
    start = _FIRST_DAY + timedelta(days=seeded(seed, "start").randrange(0, 500))
    market = Market(seed, start)
    accounts = [_account(broker, number, seed, chosen, market) for broker, number in chosen.accounts]
    share, rest = divmod(groups, len(accounts))
    for index, account in enumerate(accounts):
        _trade(account, chosen, share + (index < rest), sessions(start))
    return _flow(level, seed, chosen, market, accounts)


def _account(broker: str, number: str, seed: int, habits: Habits, market: Market) -> _Account:
    rng = seeded(seed, broker, number)
    account = _Account(broker, number, Desk(rng, habits, market), rng)
    began = datetime.combine(market.start - timedelta(days=1), _BETWEEN_DAYS, UTC)
    stocks = [stock for listed in account.desk.favourites.values() for stock in listed]
    for stock in rng.sample(stocks, min(habits.opening_stock, len(stocks))):
        contract, qty = stock_of(stock), stock.lot * rng.randint(1, 12)
        account.opening[contract] = qty
        account.desk.holdings.enter(Lot(PLAIN_STOCK, stock.code, {contract: qty}, {contract: qty}, began))
    return account


def _trade(account: _Account, habits: Habits, quota: int, days: Iterable[Session]) -> None:
    """Session after session until the quota is met."""
    rng = account.rng
    for session in days:
        if len(account.groups) >= quota:
            return
        _expire(account, habits, session)
        ideas = rng.randint(*habits.session_groups)
        if rng.random() >= (habits.hong_kong if session.market == "HK" else 0.9):
            continue
        at = session.opens_at + timedelta(seconds=rng.uniform(5, 1800))
        while ideas > 0 and len(account.groups) < quota and at < session.closes_at - timedelta(seconds=90):
            ended = _idea(account, habits, session, at, quota)
            low, high = habits.gap
            at = max(at, ended) + timedelta(seconds=low * (high / low) ** rng.random())
            ideas -= 1


def _idea(account: _Account, habits: Habits, session: Session, at: datetime, quota: int) -> datetime:
    """One decision with what overlaps it; returns when the legs that belong close together are sent."""
    rng, desk = account.rng, account.desk
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)
    first = _act(account, habits, session, at, desk.decide(session, at))
    if first is None:
        return at
    span = (first.sent.last_sent_at - at).total_seconds()
    span = span if "legging" not in first.tags else habits.spread[1] * habits.jitter
    ended = at + timedelta(seconds=span)
    stock = next(item for item in UNDERLYINGS if item.code == first.plan.underlying)
    if rng.random() < habits.overlap and len(account.groups) < quota:
        beside = at + timedelta(milliseconds=int(rng.uniform(0, max(span, 1.0)) * 1000))
        second = _act(account, habits, session, beside, desk.decide(session, beside, stock))
        if second is not None:
            first.tags.add("overlap")
            second.tags.add("overlap")
            ended = max(ended, second.sent.last_sent_at if "legging" not in second.tags else ended)
    if rng.random() < habits.strangers and len(account.groups) < quota:
        other = desk.favourite(session) if rng.random() < habits.strangers_elsewhere else stock
        beside = at + timedelta(milliseconds=rng.randrange(-4900, 4900))
        lone = _act(account, habits, session, beside, desk.stranger(other, session, beside))
        if lone is not None:
            first.tags.add("disturbed")
            lone.tags.add("stranger")
    return ended


def _act(account: _Account, habits: Habits, session: Session, at: datetime, plan: Plan | None) -> _Group | None:
    if plan is None:
        return None
    origins = [leg.origin.ready_at for leg in plan.legs if leg.origin is not None]
    sent = send(account.rng, habits, plan, at, session)
    name, left = _named(account.desk, plan, sent, at)
    tags = {*plan.tags, *sent.tags, session.market} | ({"multi_unit"} if _is_multi(plan) else set())
    group = _Group(plan, sent, name, tags, min(origins, default=None))
    filled = [leg.qty for leg in plan.legs] if plan.flip_type else sent.filled(len(plan.legs))
    account.desk.settle(plan, left, filled, sent.ends_at)
    account.groups.append(group)
    return group


def _is_multi(plan: Plan) -> bool:
    return all(abs(leg.qty) // (leg.contract.lot if leg.contract.strike is None else 1) > 1 for leg in plan.legs)


def _named(desk: Desk, plan: Plan, sent: Sent, at: datetime) -> tuple[str, str]:
    """The truth's type, and what the opened part is held as.

    A strategy of which one leg was rejected is held as the other leg alone; its order keeps the intended
    type only if the broker linked it.
    """
    held = plan.flip_type or plan.resulting_type or plan.type
    if "rejected" not in sent.tags:
        return plan.type, held
    ((leg, _),) = ((leg, qty) for leg, qty in zip(plan.legs, sent.filled(2), strict=True) if qty)
    single = single_type(desk.holdings, leg, at) or SINGLES[leg.contract.kind, leg.qty > 0]
    return (plan.type if "linked" in sent.tags else single), single


def _expire(account: _Account, habits: Habits, session: Session) -> None:
    """What expired before this session leaves the book; some of it becomes stock."""
    for lot, contract, qty in account.desk.holdings.expired(session.day):
        account.desk.holdings.reduce(lot, contract, -qty)
        at = datetime.combine(contract.expiry or session.day, _BETWEEN_DAYS, UTC)
        stock = next(item for item in UNDERLYINGS if item.code == contract.underlying)
        spot = account.desk.market.spot(stock, contract.expiry or session.day)
        depth = (spot - float(contract.strike or 0)) * (1 if contract.kind == CALL else -1)
        kind = EXPIRATION
        if habits.assigned and depth > 0 and account.rng.random() < habits.assigned:
            kind = EXERCISE if qty > 0 else ASSIGNMENT
            shares = qty * contract.lot * (1 if contract.kind == CALL else -1)
            account.desk.holdings.deliver(stock_of(stock), shares, at, lot)
            account.events.append(PositionEvent(account.broker, account.number, kind, stock_of(stock), shares, at))
        account.events.append(PositionEvent(account.broker, account.number, kind, contract, -qty, at))


def _flow(level: Level, seed: int, habits: Habits, market: Market, accounts: Sequence[_Account]) -> Flow:
    """Give orders their ids in time order, cut the cold start off, and write the document."""
    events = sorted((event for account in accounts for event in account.events), key=lambda event: event.at)
    known = sorted(((group, account) for account in accounts for group in account.groups), key=_start)
    cut = _cut([group for group, _ in known], habits.cold_start)
    before = [(group, account) for group, account in known if group.sent.starts_at < cut]
    after = [(group, account) for group, account in known if group.sent.starts_at >= cut]
    placed = _placed(after, seed)
    held = _held(accounts, before, [event for event in events if event.at < cut], habits)
    truth = tuple(_truths(after, {id(item.ticket): item.order_id for item in placed}, cut))
    content = document(placed, held, market, seed)
    return Flow(level, seed, habits, content, truth, tuple(event for event in events if event.at >= cut))


def _start(item: tuple[_Group, _Account]) -> tuple[datetime, str]:
    return item[0].sent.starts_at, item[1].number


def _cut(groups: Sequence[_Group], share: float) -> datetime:
    """The end of the day nearest to that share of the groups; no group crosses it."""
    if not share or not groups:
        return datetime.min.replace(tzinfo=UTC)
    day = groups[int(share * (len(groups) - 1))].sent.starts_at.date()
    return datetime.combine(day, _BETWEEN_DAYS, UTC)


def _placed(groups: Iterable[tuple[_Group, _Account]], seed: int) -> list[Placed]:
    """Orders in time with ids as brokers count them: upwards, with gaps, telling nothing of groups."""
    rng = seeded(seed, "ids")
    tickets = [(ticket, account, group) for group, account in groups for ticket in group.sent.tickets]
    tickets.sort(key=lambda item: (item[0].sent_at, item[1].number, item[0].contract[:3], str(item[0].contract[3:])))
    combos: dict[int, str] = {}
    number, placed = 10_000_000 + rng.randrange(1_000_000), list[Placed]()
    for ticket, account, group in tickets:
        number += rng.randint(1, 40)
        combo = None
        if "linked" in group.tags:
            combo = combos.setdefault(id(group), f"{'C' if account.broker == 'FUTU' else ''}{number}")
        placed.append(Placed(f"{account.broker[0]}{number}", account.broker, account.number, ticket, combo))
    return placed


def _held(
    accounts: Sequence[_Account],
    before: Iterable[tuple[_Group, _Account]],
    events: Iterable[PositionEvent],
    habits: Habits,
) -> dict[tuple[str, Contract], int]:
    """The positions that the document tells: those before the first order of all, or those at the cut."""
    totals: Counter[tuple[str, Contract]] = Counter()
    cold = bool(habits.cold_start)
    if (cold and not habits.cold_start_told) or not (cold or habits.opening_stock_told):
        return {}
    for account in accounts:
        if habits.opening_stock_told:
            totals.update({(account.number, contract): qty for contract, qty in account.opening.items()})
    for group, account in before:
        for ticket in group.sent.tickets:
            totals[account.number, ticket.contract] += ticket.filled
    for event in events:
        totals[event.account, event.contract] += event.qty
    return {key: qty for key, qty in totals.items() if qty}


def _is_untold(group: _Group, account: _Account) -> bool:
    """Whether it stands on stock that the account held before its first order and no file tells."""
    told = account.desk.habits.opening_stock_told
    held = any(contract.underlying == group.plan.underlying for contract in account.opening)
    return held and not told and ("overwrite" in group.tags or (group.type, group.plan.action) == (PLAIN_STOCK, CLOSE))


def _truths(groups: Iterable[tuple[_Group, _Account]], ids: dict[int, str], cut: datetime) -> Iterable[TruthGroup]:
    numbers: defaultdict[str, int] = defaultdict(int)
    for group, account in groups:
        plan, tags = group.plan, set(group.tags)
        if group.since is not None and group.since < cut:
            tags.add("cold")
        if _is_untold(group, account):
            tags.add("untold_stock")
        orders = frozenset(ids[id(ticket)] for ticket in group.sent.tickets if ticket.filled)
        numbers[account.broker] += 1
        name = f"{account.broker}-{numbers[account.broker]}"
        result = plan.resulting_type if group.type == plan.type or plan.action == CLOSE else group.type
        yield TruthGroup(name, orders, group.type, plan.action, plan.sub_type, result, frozenset(tags))
        if plan.flip_type is not None:
            yield TruthGroup(f"{name}b", orders, plan.flip_type, OPEN, None, plan.flip_type, frozenset(tags))
