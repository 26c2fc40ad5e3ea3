"""The shapes that cross the seam between a broker and the pipeline: what is asked, and what comes back.

They hold no rule of any broker, so that the store can keep them without knowing one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from apex_pipeline.domain.models import (
    BrokerBalance,
    BrokerPosition,
    CashMovement,
    Drift,
    Fee,
    FeeAllocation,
    Instrument,
    Order,
    Trade,
)

ALL_MARKETS = "ALL"


class RecordKind(StrEnum):
    """Kinds of records that have a raw table of their own: `<kind>_raw_<broker>`.

    A record of POSITIONS or BALANCES is a whole snapshot of an account, so that what is gone is gone.
    """

    ORDERS = "orders"
    TRADES = "trades"
    FEES = "fees"
    POSITIONS = "positions"
    BALANCES = "balances"
    CASH = "cash"


class LoadScope(StrEnum):
    """What an extraction is about."""

    HISTORY = "history"
    """The trading history of the asked days, and today's state where they reach today."""
    INTRADAY = "intraday"
    """Today's orders, trades, positions and balances only."""
    CASH = "cash"
    """Bookings of cash, which some brokers tell day by day only."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of what the broker sent.

    `key` is the broker's own id, unique per account and kind. `order_id` links records of one order.
    `business_date` is the exchange date that decides the partition. `payload` is JSON-ready; numbers
    that may be money are kept as the text the broker sent or as Decimal, never as binary floats.
    `generated_at`: when the broker wrote this version (None: as received); a newer one wins over an older
    one whatever the order of arrival.
    """

    kind: RecordKind
    account_id: str
    key: str
    business_date: date
    payload: dict[str, Any]
    order_id: str | None = None
    generated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that cannot be read; kept in `quarantine` with its reason."""

    kind: str
    account_id: str | None
    key: str | None
    business_date: date | None
    reason_code: str
    reason: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Document:
    """One answer of the broker, byte for byte, with the request that asked for it (secrets left out)."""

    interface: str
    request: Mapping[str, Any]
    content: bytes
    media_type: str
    received_at: datetime
    generated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Covered:
    """Days of which the broker has now told everything it knows, inclusive; `records` counts what came."""

    account_id: str
    data_type: str
    market: str
    from_date: date
    to_date: date
    records: int
    last_record_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one call: what one transaction stores.

    `notes` are sentences for the person who asked, e.g. what the broker left out.
    """

    documents: Sequence[Document]
    records: Sequence[Record]
    rejects: Sequence[Reject]
    covered: Sequence[Covered]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """An account the login can read. `markets` are the broker's own market names."""

    account_id: str
    markets: tuple[str, ...] = ()
    environment: str = "REAL"
    status: str = "ACTIVE"
    has_trades: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person or a schedule wants: these days (inclusive) of these accounts and market.

    `again`: days before them that were told before they were final, to be asked again on this occasion.
    """

    from_date: date
    to_date: date
    today: date
    account_id: str | None = None
    market: str = ALL_MARKETS
    force: bool = False
    scope: LoadScope = LoadScope.HISTORY
    again: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class Call:
    """One planned request. `days` it will cover when it succeeds; `ids` for calls that ask by id.

    `data_type` is the name used in `sync_state` and `loads`; `account_id` None means that the answer
    tells the accounts.
    """

    data_type: str
    account_id: str | None
    market: str
    from_date: date
    to_date: date
    ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        days = f"{self.from_date}..{self.to_date}"
        return f"{self.data_type} {self.account_id or 'all accounts'} {f'{len(self.ids)} orders' if self.ids else days}"


@dataclass(frozen=True, slots=True)
class Done:
    """A finished load of the past, as the planner sees it: it need not be asked for again."""

    data_type: str
    account_id: str
    market: str
    from_date: date
    to_date: date


@dataclass(frozen=True, slots=True)
class Relative:
    """The trades of an account whose payload says `value` in `field`, wherever and whenever they are."""

    account_id: str
    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What the stored records of one account say about their own completeness.

    `unpaid`: filled orders without a settled fee, with their date, newest first.
    `orphans`: dates of trades whose order was never told.
    `open`: dates of orders that were still live when they were told last.
    `incomplete`: dates of which less is stored than the broker itself says there is, by data type.
    """

    unpaid: Mapping[str, date] = field(default_factory=dict[str, date])
    orphans: frozenset[date] = frozenset()
    open: frozenset[date] = frozenset()
    incomplete: Mapping[str, frozenset[date]] = field(default_factory=dict[str, "frozenset[date]"])


@dataclass(frozen=True, slots=True)
class Normalized:
    """Rows made of records; `rejects` are the records that no rule could read.

    `relatives`: trades that change these rows where they exist. Rows are final when every relative was among
    the records.
    """

    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    fees: list[Fee] = field(default_factory=list)
    fee_allocations: list[FeeAllocation] = field(default_factory=list)
    instruments: list[Instrument] = field(default_factory=list)
    cash_movements: list[CashMovement] = field(default_factory=list)
    positions: list[BrokerPosition] = field(default_factory=list)
    balances: list[BrokerBalance] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    relatives: set[Relative] = field(default_factory=set[Relative])
