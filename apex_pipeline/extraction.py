"""One extraction of one broker: plan, fetch, store call by call, then ask once for what the records say is missing.

A call that was stored stays stored, so an interrupted extraction is continued by the next one. Nothing
counts as covered that the stored records themselves contradict.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import zip_longest

from apex_pipeline.brokers.contract import BrokerPort, Session
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS, Account, Ask, Audit, Call, Delivery, Done, LoadScope
from apex_pipeline.errors import BrokerError, BrokerUnavailable, ConfigError
from apex_pipeline.store.repositories.loads import Loaded, LoadRepository

LOOKBACK_DAYS = 90
"""How far back a load of the newest days mends: fees that were pending, and days that were missed."""

ORDER_LIFE_DAYS = 91
"""An order can be filled so many days after it was made: what is checked about trades needs orders so much older."""

MENDING_ROUNDS = 2

FRIDAY = 5

Observe = Callable[[str, int, int], None]
"""Told of progress: what is being done, steps finished, steps known so far."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one extraction brought, in records, and what stayed uncovered."""

    broker: Broker
    calls: int = 0
    records: int = 0
    new_versions: int = 0
    unchanged: int = 0
    superseded: int = 0
    quarantined: int = 0
    notes: tuple[str, ...] = ()
    missing_days: tuple[date, ...] = ()
    predicted_seconds: Decimal = Decimal(0)
    failures: tuple[str, ...] = ()
    """What could not be asked, although the days count as loaded without it."""


@dataclass(slots=True)
class Extraction:
    """An extraction under way: whom it asks, what it is about, what came.

    `resettable`: paper accounts, whose history a person may empty. `predicted_seconds`: the sum of what was
    predicted for the calls when they were planned.
    """

    loads: LoadRepository
    broker: BrokerPort
    ask: Ask
    observe: Observe
    run_id: int = 0
    loaded: list[Loaded] = field(default_factory=list)
    resettable: frozenset[str] = frozenset()
    predicted_seconds: Decimal = Decimal(0)
    failures: list[str] = field(default_factory=list[str])

    def run(self, session: Session, done: Sequence[Done]) -> list[Account]:
        """Load everything the ask is about; returns the accounts. Raises BrokerError at the first refusal.

        History comes first and the state of today last: what is final must not wait for what is not.
        """
        accounts = wanted(session.accounts(), self.ask)
        self.resettable = frozenset(account.account_id for account in accounts if not account.has_trades)
        self.load(session, self.broker.plan(self.ask, accounts, done))
        if self.ask.scope is not LoadScope.CASH:
            audits = self.mend(session, accounts, done)
            self.load(session, self.fee_calls(audits))
        self.load(session, self.broker.plan_states(self.ask, accounts))
        return accounts

    def load(self, session: Session, calls: Sequence[Call]) -> None:
        """Make the calls and store each answer as it comes."""
        self.predicted_seconds += self.broker.seconds(calls, self.loads.density())
        for number, call in enumerate(calls):
            self.observe(str(call), number, len(calls))
            started_at = datetime.now(UTC)
            try:
                delivery = self.fetched(session, call)
            except BrokerError as error:
                self.loads.store_failure(self.run_id, call, error, started_at)
                if not self.can_do_without(call):
                    raise
                self.failures.append(str(error))
                continue
            self.loaded.append(self.loads.store(self.run_id, call, delivery, started_at))

    def can_do_without(self, call: Call) -> bool:
        """Whether a history counts as loaded without this call; who asks about today only, asks for nothing else."""
        return call.data_type in self.broker.optional_data_types and self.ask.scope is LoadScope.HISTORY

    def fetched(self, session: Session, call: Call) -> Delivery:
        """The answer to one call; one that tells nothing of days that held rows before must say so twice to be heard,
        and even then it is an error: a broker does not lose its history."""
        delivery = session.fetch(call)
        if self.tells_nothing_of_stored_rows(call, delivery):
            delivery = session.fetch(call)
            if self.tells_nothing_of_stored_rows(call, delivery):
                raise BrokerUnavailable(f"{call} was answered empty, but its days held rows before: try again later")
        return delivery

    def tells_nothing_of_stored_rows(self, call: Call, delivery: Delivery) -> bool:
        """Whether an answer without any record covers days that hold stored ones."""
        kind = self.broker.history_kinds.get(call.data_type)
        empty = bool(delivery.covered) and not any(part.records for part in delivery.covered)
        if kind is None or not empty or call.account_id in (None, *self.resettable) or call.market != ALL_MARKETS:
            return False
        return self.loads.holds(kind, str(call.account_id), call.from_date, call.to_date)

    def mend(self, session: Session, accounts: Sequence[Account], done: Sequence[Done]) -> list[tuple[Account, Audit]]:
        """Ask once for what the stored records say is missing; what stays missing becomes a gap.

        In two rounds, because an order that the first one finds may have deals that nobody asked for.
        """
        audits, asked = self.audits(accounts), set[Call]()
        for _ in range(MENDING_ROUNDS):
            planned = [call for one, found in audits for call in self.broker.plan_follow_up(one, found, self.ask, done)]
            calls = [call for call in planned if call not in asked]
            if not calls:
                break
            asked.update(calls)
            self.load(session, calls)
            audits = self.audits(accounts)
        for account, found in audits:
            self.loads.replace_gaps(account.account_id, self.ask.from_date, self.ask.to_date, found.incomplete)
        return audits

    def audits(self, accounts: Sequence[Account]) -> list[tuple[Account, Audit]]:
        """The audit of each account over the asked days and those whose fees may still be pending."""
        fields = self.broker.audit_fields
        if not fields:
            return []
        oldest = min(self.ask.from_date, self.ask.today - timedelta(days=LOOKBACK_DAYS))
        days = oldest - timedelta(days=ORDER_LIFE_DAYS), self.ask.today + timedelta(days=1)
        found = [
            (account, self.broker.audit(account, self.loads.outlines(account.account_id, *days, fields)))
            for account in accounts
        ]
        # before these days the orders of a deal may lie outside of what was read
        since = oldest - timedelta(days=1)
        return [(one, replace(told, orphans=frozenset(d for d in told.orphans if d >= since))) for one, told in found]

    def fee_calls(self, audits: Sequence[tuple[Account, Audit]]) -> list[Call]:
        """Fees of every filled order that has none yet, over all windows: asking per window would cost more calls.

        Accounts take turns, because each has a limit of its own.
        """
        each = [self.broker.plan_fees(account, found.unpaid, self.ask) for account, found in audits]
        return [call for turn in zip_longest(*each) for call in turn if call is not None]

    def told(self, missing: Sequence[date]) -> Ingested:
        """What came, in numbers."""
        return Ingested(
            self.broker.name,
            len(self.loaded),
            sum(load.records for load in self.loaded),
            sum(load.new_versions for load in self.loaded),
            sum(load.unchanged for load in self.loaded),
            sum(load.superseded for load in self.loaded),
            sum(load.quarantined for load in self.loaded),
            tuple(dict.fromkeys(note for load in self.loaded for note in load.notes)),
            tuple(missing),
            self.predicted_seconds,
            tuple(dict.fromkeys(self.failures)),
        )


def askable(ask: Ask, broker: BrokerPort, loads: LoadRepository) -> Ask:
    """The ask without days the broker cannot tell yet.

    One that reaches to the newest day also asks again what was told lately and may have changed, and what
    was missed between earlier loads: a machine that was off for a week leaves no hole.
    """
    if ask.scope is LoadScope.INTRADAY:
        return replace(ask, to_date=min(ask.to_date, ask.today))
    ask = replace(ask, to_date=min(ask.to_date, broker.last_day(ask.today)))
    kinds = _covering(broker, ask.scope)
    if not kinds or not broker.last_day(ask.today) == ask.to_date >= ask.from_date:
        return ask
    first, last = ask.to_date - timedelta(days=LOOKBACK_DAYS), ask.from_date - timedelta(days=1)
    parts = loads.covered_days(kinds, first, last) if first <= last else []
    told = {day for part in parts for day in days_of(part.from_date, part.to_date)}
    changing = broker.reread_days if ask.scope is LoadScope.HISTORY else -1
    may_have_changed = {day for day in told if (ask.to_date - day).days <= changing}
    missed = {day for day in days_of(min(told), last) if day not in told} if told else set[date]()
    return replace(ask, again=frozenset(may_have_changed | missed))


def _covering(broker: BrokerPort, scope: LoadScope) -> Sequence[str]:
    """The data types that tell whether the days of a scope were loaded; none where a load never looks back."""
    if scope is LoadScope.HISTORY:
        return broker.covering_data_types
    return (broker.cash_data_type,) if scope is LoadScope.CASH and broker.cash_data_type else ()


def done_before(ask: Ask, broker: BrokerPort, loads: LoadRepository) -> list[Done]:
    """What need not be asked again; a booking of cash never changes once its day is over."""
    if ask.force:
        return []
    reach = replace(ask, from_date=min({ask.from_date, *ask.again}) - timedelta(days=ORDER_LIFE_DAYS))
    return loads.done(reach, 0 if ask.scope is LoadScope.CASH else broker.final_after_days)


def wanted(accounts: Sequence[Account], ask: Ask) -> list[Account]:
    """The accounts that the ask is about; raises ConfigError for one that the login does not have."""
    found = [account for account in accounts if ask.account_id in (None, account.account_id)]
    if accounts and not found:
        known = ", ".join(account.account_id for account in accounts)
        raise ConfigError(f"account {ask.account_id} is not among the accounts of this login: {known}")
    return found


def missing_days(loads: LoadRepository, broker: BrokerPort, accounts: Sequence[Account], ask: Ask) -> list[date]:
    """Asked weekdays that some account was not covered for; all of them when no account was."""
    if ask.scope is not LoadScope.HISTORY:
        return []
    rows = loads.covered_days(broker.covering_data_types, ask.from_date, ask.to_date)
    told = accounts or [Account(account_id) for account_id in sorted({row.account_id for row in rows})]
    asked = days_of(ask.from_date, ask.to_date)
    missing = set[date]() if told else set(asked)
    for account in told:
        for data_type in broker.covering_data_types if account.has_trades else broker.covering_data_types[:1]:
            ranges = [r for r in rows if (r.account_id, r.data_type) == (account.account_id, data_type)]
            missing |= {day for day in asked if not any(r.from_date <= day <= r.to_date for r in ranges)}
    return sorted(day for day in missing if day.isoweekday() <= FRIDAY)


def days_of(from_date: date, to_date: date) -> list[date]:
    """The days between these, both included."""
    return [from_date + timedelta(days=n) for n in range((to_date - from_date).days + 1)]
