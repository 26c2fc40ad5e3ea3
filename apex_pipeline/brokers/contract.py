"""What the pipeline needs of a broker.

A broker is three things: a planner (which calls cover these days), a session (make one call, return
what came back byte for byte and record by record) and a normalizer (records to rows). The planner and
the normalizer are pure; only a session touches the network.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from decimal import Decimal
from typing import Protocol

from apex_pipeline.domain.market import BarAnswer, BarAsk, BarQuota
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Account, Ask, Audit, Call, Delivery, Done, Normalized, Record, RecordKind
from apex_pipeline.domain.snapshots import AccountFigures


class Session(Protocol):
    """An open connection to a broker. Errors: BrokerUnavailable, BrokerRefused."""

    def accounts(self) -> Sequence[Account]:
        """The accounts to load, in a stable order; empty when only the answers tell them."""
        ...

    def fetch(self, call: Call) -> Delivery:
        """Make one call and return all of it; raises rather than return a part that looks whole."""
        ...


Acquire = Callable[[str], object]
"""Blocks until the named budget (broker, interface, account) allows one more request."""


class Limit(Protocol):
    """An `Acquire` that may be told how long to block: raises LimitReached where that is too short."""

    def __call__(self, budget: str, /, most_seconds: float | None = None) -> object:
        """Block until the budget allows one more request."""
        ...


class BrokerPort(Protocol):
    """A broker as the pipeline knows it."""

    name: Broker
    data_types: tuple[str, ...]
    covering_data_types: tuple[str, ...]
    """Data types that must all cover a day before it counts as loaded."""
    optional_data_types: frozenset[str]
    """Data types that only add to the others: where one of these calls fails, a history still counts as loaded."""
    final_after_days: int
    """Days after which the broker no longer changes a business date: a load made later need not be repeated."""
    fee_data_type: str | None
    """The data type of `plan_fees` calls, or None where fees arrive with the trades."""
    cash_data_type: str | None
    """The data type that tells bookings of cash, where only they and positions tell how options ended."""
    history_kinds: Mapping[str, RecordKind]
    """Data types that tell all records of some days, and their kind: an empty answer where rows are stored is wrong."""
    audit_fields: tuple[str, ...]
    """The fields of a payload that `audit` reads."""
    reread_days: int
    """A load that reaches to the newest day also asks so many days before it again, if they were told before."""

    def connect(self, acquire: Acquire) -> AbstractContextManager[Session]:
        """Open a session; every request first takes from its budget through `acquire`."""
        ...

    def plan(self, ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:
        """The fewest calls that cover `ask`, newest days first, leaving out what is `done`."""
        ...

    def plan_states(self, ask: Ask, accounts: Sequence[Account]) -> list[Call]:
        """Calls for the state of the accounts as it is now, where the ask reaches to today."""
        ...

    def audit(self, account: Account, records: Sequence[Record]) -> Audit:
        """What these records of one account, reduced to `audit_fields`, say about their own completeness."""
        ...

    def plan_follow_up(self, account: Account, found: Audit, ask: Ask, done: Sequence[Done]) -> list[Call]:
        """Calls for what the audit misses, each worth making once; empty where nothing can be mended."""
        ...

    def plan_fees(self, account: Account, orders: Mapping[str, date], ask: Ask) -> list[Call]:
        """Calls that fetch the fees of these orders; empty where fees arrive with the trades."""
        ...

    def last_day(self, today: date) -> date:
        """The newest day that the broker can already tell something final about."""
        ...

    def seconds(self, calls: Sequence[Call], expected: Mapping[str, Decimal] | None = None) -> Decimal:
        """Predicted wall time of these calls; `expected`: records per day of an account, by data type, where known."""
        ...

    def normalize(self, records: Sequence[Record]) -> Normalized:
        """Rows of these records; all records of one order must be given together."""
        ...

    def figures(self, record: Record) -> AccountFigures:
        """What a record of balances as they are now says of the whole account. UnknownPayload."""
        ...


class BarSession(Protocol):
    """An open connection to a broker that tells bars. Errors: BrokerUnavailable, BrokerRefused (of all instruments).

    Of BrokerUnavailable those that leave other asks: BrokerSilent, LimitReached, QuotaReached.
    """

    def quota(self) -> BarQuota | None:
        """How many instruments may still be asked for; None where the broker counts no instruments."""
        ...

    def bars(self, ask: BarAsk) -> BarAnswer:
        """All bars of the ask, in as many requests as it takes; raises rather than return a part that looks whole."""
        ...


class BarSource(Protocol):
    """A broker as a teller of bars: prices as traded where it has them, each bar named by when it begins."""

    name: Broker

    def connect_bars(self, acquire: Acquire) -> AbstractContextManager[BarSession]:
        """Open a session; every request first takes from its budget through `acquire`."""
        ...

    def offers(self, ask: BarAsk, today: date) -> bool:
        """Whether the broker can have such bars at all, by its documented limits of length and age."""
        ...
