"""The shapes that cross the seam between a broker and the pipeline: what is asked, and what comes back.

They hold no rule of any broker, so that the store can keep them without knowing one.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol

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
from apex_pipeline.domain.statements import StatementFacts

ALL_MARKETS = "ALL"
CHUNK = 65_536
"""Bytes that are read, unpacked or parsed at once."""

_PACKED_CHUNK = 4096
"""Statements pack to a twentieth, so that this is about one chunk unpacked."""


class RecordKind(StrEnum):
    """Kinds of records that have a raw table of their own: `<kind>_raw_<broker>`.

    A record of POSITIONS or BALANCES is a whole snapshot of an account, so that what is gone is gone.
    SECTIONS are the rows of a statement that have no other table. PROVISIONAL is what a faster interface told
    before the statement that decides.
    """

    ORDERS = "orders"
    TRADES = "trades"
    FEES = "fees"
    POSITIONS = "positions"
    BALANCES = "balances"
    CASH = "cash"
    SECTIONS = "sections"
    PROVISIONAL = "provisional"


class LoadScope(StrEnum):
    """What an extraction is about."""

    HISTORY = "history"
    """The trading history of the asked days, and today's state where they reach today."""
    INTRADAY = "intraday"
    """Today's orders, trades, positions and balances only."""
    CASH = "cash"
    """Bookings of cash, which some brokers tell day by day only."""


@dataclass(slots=True)
class Record:
    """One row of what the broker sent.

    `key` is the broker's own id, unique per account and kind. `order_id` links records of one order.
    `business_date` is the exchange date that decides the partition. `payload` is JSON-ready; numbers
    that may be money are kept as the text the broker sent or as Decimal, never as binary floats.
    `generated_at`: when the broker wrote this version (None: as received); a newer one wins over an older
    one whatever the order of arrival.

    Never changed once made; not frozen, because a statement of 100,000 rows makes twice as many of them and a
    frozen one takes five times as long.
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
class Content:
    """Exact bytes, kept compressed: a statement is twenty times as large as what has to stay in memory.

    `packed` is in zlib's format; `sha256` and `size` are of the bytes as they were.
    """

    packed: bytes = field(repr=False)
    sha256: str
    size: int

    @staticmethod
    def of(chunks: Iterable[bytes]) -> "Content":
        """The content of these chunks, which are read once."""
        packer, digest, size, packed = zlib.compressobj(), hashlib.sha256(), 0, list[bytes]()
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            packed.append(packer.compress(chunk))
        return Content(b"".join((*packed, packer.flush())), digest.hexdigest(), size)

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they were, piece by piece; as often as one likes."""
        unpacker = zlib.decompressobj()
        for start in range(0, len(self.packed), _PACKED_CHUNK):
            yield unpacker.decompress(self.packed[start : start + _PACKED_CHUNK])

    def whole(self) -> bytes:
        """All bytes at once; for what is small."""
        return zlib.decompress(self.packed)


@dataclass(frozen=True, slots=True)
class Document:
    """One answer of the broker, byte for byte, with the request that asked for it (secrets left out)."""

    interface: str
    request: Mapping[str, Any]
    content: Content
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


class Delivery(Protocol):
    """The result of one call: what one transaction stores.

    Everything but the documents is known only after `records` were read once to their end, so that a statement
    of any size needs no memory of its size.
    """

    @property
    def documents(self) -> Sequence[Document]: ...

    @property
    def records(self) -> Iterable[Record]: ...

    @property
    def rejects(self) -> Sequence[Reject]: ...

    @property
    def covered(self) -> Sequence[Covered]: ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for the person who asked, e.g. what the broker left out."""
        ...


@dataclass(frozen=True, slots=True)
class WholeDelivery:
    """A delivery that is small enough to be at hand whole."""

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
    """The records of an account whose payload says `value` in `field`, wherever and whenever they are."""

    account_id: str
    field: str
    value: str
    kind: RecordKind = RecordKind.TRADES


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

    `statements`: what a broker says of an account in its statements, mostly for checking our own numbers.
    `relatives`: records that change these rows where they exist. Rows are final when every relative was among
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
    statements: StatementFacts = field(default_factory=StatementFacts)
    rejects: list[Reject] = field(default_factory=list)
    relatives: set[Relative] = field(default_factory=set[Relative])
