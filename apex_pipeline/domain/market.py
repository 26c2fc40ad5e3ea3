"""What a live engine stands on: exchanges, bars and their gaps, signals, snapshots of positions and of accounts.

* A bar begins at `opened_at` and lasts `timeframe` (1m, 5m, 1h, 1d). Its prices are in the currency of its symbol, as
  traded unless `adjustment` says what they were changed for afterwards.
* Clock times of an exchange are its own wall clock; everything that ends in `_at` is an instant.
* A snapshot says what was held at `watermark_at`: every movement up to it and none after it. `watermark_count` is how
  many movements of the ledger it was made of, None where a broker or an engine told it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from apex_pipeline.domain.fingerprints import fingerprint_of
from apex_pipeline.domain.models import Broker, Side

AROUND_THE_CLOCK = "24/7"
"""The calendar of an exchange that never closes."""


class BarSession(StrEnum):
    """Which hours a bar is of. EXTENDED: before the opening or after the close."""

    REGULAR = "REGULAR"
    EXTENDED = "EXTENDED"


class Adjustment(StrEnum):
    """What the prices of a bar were changed for after they were traded; ALL: splits and dividends."""

    NONE = "NONE"
    SPLITS = "SPLITS"
    ALL = "ALL"


class GapReason(StrEnum):
    """Why there are no bars. VENDOR: traded, but whoever tells bars has none. NOT_ASKED: nobody wanted these."""

    HALT = "HALT"
    HOLIDAY = "HOLIDAY"
    HALF_DAY = "HALF_DAY"
    NO_TRADE = "NO_TRADE"
    VENDOR = "VENDOR"
    NOT_ASKED = "NOT_ASKED"


class SignalStatus(StrEnum):
    """What became of a signal."""

    PENDING = "PENDING"
    EXECUTED = "EXECUTED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class ExchangeInfo:
    """An exchange by the prefix of its symbols, or by its own name.

    `calendar`: of `market_days`, AROUND_THE_CLOCK, or None where its hours are not known here. `lot_size`: None where
    each instrument has its own. `auction_minutes`: how long after the close its auction may still print. Extended
    hours that begin not before they end begin on the evening before.
    """

    exchange: str
    timezone: str
    calendar: str | None
    currency: str | None
    lot_size: Decimal | None
    break_begins: time | None
    break_ends: time | None
    auction_minutes: int
    extended_begins: time | None
    extended_ends: time | None


@dataclass(frozen=True, slots=True)
class Bar:
    """Prices and volume of one stretch of time, as `source` told them; `volume` None where it did not.

    `opened_at` of a daily bar: the opening of its session, or midnight of its day, of the exchange or in UTC.
    `exchange` None: the one that the symbol begins with.
    """

    symbol: str
    timeframe: str
    opened_at: datetime
    exchange: str | None
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal | None
    session: BarSession
    adjustment: Adjustment
    source: str


class Timeframe(StrEnum):
    """Lengths of bars that brokers are asked for."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def length(self) -> timedelta:
        """How long a bar lasts, a day's around the clock."""
        return int(self[:-1]) * _UNITS[self[-1]]


_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@dataclass(frozen=True, slots=True)
class BarAsk:
    """Bars of one instrument to ask a broker for, of days of its exchange, both included.

    `code`: the broker's own name of the instrument, Futu's code or IB's conid. `exchange`: as in `exchange_info`.
    """

    symbol: str
    code: str
    exchange: str
    timeframe: Timeframe
    from_date: date
    to_date: date

    def __str__(self) -> str:
        return f"{self.timeframe} bars of {self.symbol} {self.from_date}..{self.to_date}"


@dataclass(frozen=True, slots=True)
class BarAnswer:
    """All bars that a broker has of an ask, oldest first; `refusal`: why it has none to give (no permission).

    A bar that is not there without a refusal means that nothing was traded, or, of a whole session, that it has none.
    """

    bars: Sequence[Bar]
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class BarQuota:
    """How many more instruments a broker tells bars of in its current period, beside those `asked` in it (codes)."""

    remaining: int
    asked: frozenset[str]


@dataclass(frozen=True, slots=True)
class BarGap:
    """A stretch without bars, from `from_at` up to and without `to_at`, and why."""

    symbol: str
    timeframe: str
    from_at: datetime
    to_at: datetime
    reason: GapReason
    note: str | None
    source: str
    found_at: datetime


@dataclass(frozen=True, slots=True)
class TradeSignal:
    """What an engine wants to be done.

    `signal_uid` follows from source, key and content, so that the same signal told again is the same row and a signal
    told otherwise under the same key is a second one. `signal_key`: the engine's own, equal in every run over the same
    data.
    """

    signal_uid: str
    source: str
    signal_key: str | None
    symbol: str
    side: Side | None
    strength: Decimal | None
    payload: Mapping[str, Any]
    status: SignalStatus
    created_at: datetime
    executed_at: datetime | None


def signal_uid_of(
    source: str,
    signal_key: str | None,
    symbol: str,
    side: Side | str | None = None,
    *,
    strength: Decimal | None = None,
    payload: Mapping[str, Any] | None = None,
    created_at: datetime | None = None,
) -> str:
    """The uid of a signal: equal for the same signal, whatever the order of keys and the form of numbers.

    `created_at` counts only for a signal without a key: two of them that say the same are two signals.
    """
    of_no_key = created_at if signal_key is None else None
    return "SIG_" + fingerprint_of(source, signal_key, symbol, side, strength, payload or {}, of_no_key)


class ReadByName:
    """A row whose columns can be read as those of a mapping too: `row["currency"]`."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        """The value of a column; KeyError for what is none."""
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None


@dataclass(frozen=True, slots=True)
class PositionSnapshot(ReadByName):
    """All positions of an account at `captured_at`; `source`: who told them.

    `positions`: {symbol, instrument_id, qty, avg_cost, mark_price, market_value, unrealized_pnl, currency,
    asset_class}; qty is signed. `watermark_at` None: everything up to `captured_at`.
    """

    broker: Broker
    account_id: str
    captured_at: datetime
    position_count: int
    positions: Sequence[Mapping[str, Any]]
    source: str
    watermark_at: datetime | None
    watermark_count: int | None


@dataclass(frozen=True, slots=True)
class AccountSnapshot(ReadByName):
    """What an account was worth at `captured_at`, in `currency`; `payload` keeps all that was told."""

    broker: Broker
    account_id: str
    captured_at: datetime
    net_liquidation: Decimal | None
    total_cash_value: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal | None
    margin_used: Decimal | None
    currency: str | None
    payload: Mapping[str, Any]
