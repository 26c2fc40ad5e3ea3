"""The front of this folder: `FutuBroker` fulfils `contract.BrokerPort` and `contract.BarSource`."""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from apex_pipeline.brokers.contract import Acquire, BarSession, Session
from apex_pipeline.brokers.futu import audit, bars, pace, plan, vocabulary
from apex_pipeline.brokers.futu.bar_session import FutuBarSession
from apex_pipeline.brokers.futu.client import Client, Endpoint
from apex_pipeline.brokers.futu.market_time import HONG_KONG, NEW_YORK
from apex_pipeline.brokers.futu.normalize import normalize
from apex_pipeline.brokers.futu.session import FutuSession, Scope
from apex_pipeline.domain.market import BarAsk
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Account, Ask, Audit, Call, Done, LoadScope, Normalized, Record, RecordKind
from apex_pipeline.errors import ConfigError

MOST_FEES_PER_CALL = 400


@dataclass(frozen=True, slots=True)
class FutuSettings:
    """How to reach OpenD and within which limits. `home` is a writable folder for the files of Futu's SDK."""

    home: Path
    host: str = "127.0.0.1"
    port: int = 11111
    rsa_key_file: str | None = None
    security_firms: tuple[str, ...] = ()
    acc_ids: tuple[str, ...] = ()
    requests_per_window: int = 10
    window_seconds: float = 30
    batch_fee_size: int = MOST_FEES_PER_CALL


def today_in_hong_kong() -> date:
    """The newest date that a history request asks for."""
    return datetime.now(HONG_KONG).date()


class FutuBroker:
    """Futu / moomoo, read through OpenD."""

    name: Broker = Broker.FUTU
    data_types: tuple[str, ...] = plan.DATA_TYPES
    covering_data_types: tuple[str, ...] = (plan.ORDERS, plan.DEALS)
    optional_data_types: frozenset[str] = frozenset()
    final_after_days: int = plan.FINAL_AFTER_DAYS
    fee_data_type: str | None = plan.FEES
    cash_data_type: str | None = plan.CASH
    history_kinds: Mapping[str, RecordKind] = MappingProxyType(
        {plan.ORDERS: RecordKind.ORDERS, plan.DEALS: RecordKind.TRADES}
    )
    audit_fields: tuple[str, ...] = audit.FIELDS
    reread_days: int = plan.REREAD_DAYS

    def __init__(self, settings: FutuSettings, today: Callable[[], date] = today_in_hong_kong) -> None:
        """Raises ConfigError for settings that cannot be meant; contacts nobody."""
        _check(settings)
        self._settings = settings
        self._today = today

    @contextmanager
    def connect(self, acquire: Acquire) -> Generator[Session]:
        """Open a session; raises BrokerUnavailable within 15 s where OpenD does not answer."""
        settings = self._settings
        scope = Scope(settings.acc_ids, settings.security_firms)
        with _connected(settings) as client:
            yield FutuSession(client, acquire, scope, settings.window_seconds, self._today)

    @contextmanager
    def connect_bars(self, acquire: Acquire) -> Generator[BarSession]:
        """Open a session for bars; raises as `connect`. It asks for no accounts."""
        with _connected(self._settings, for_accounts=False) as client:
            yield FutuBarSession(client, acquire, self._settings.window_seconds)

    def offers(self, ask: BarAsk, today: date) -> bool:
        """Whether Futu documents such bars: minutes and hours of the last 8 years, days of the last 20."""
        return bars.offers(ask, today)

    def plan(self, ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:
        """The calls that cover `ask`, newest days first; cash flow only of days that are over everywhere."""
        if ask.scope is LoadScope.CASH:
            over = min(self._today(), datetime.now(NEW_YORK).date()) - timedelta(days=1)
            ask = replace(ask, to_date=min(ask.to_date, over))
        return plan.calls(ask, accounts, done)

    def plan_states(self, ask: Ask, accounts: Sequence[Account]) -> list[Call]:
        """Positions and funds, where the load reaches to today."""
        return plan.states(ask, accounts)

    def audit(self, account: Account, records: Sequence[Record]) -> Audit:
        """What these records of an account miss."""
        return audit.audit(records, has_trades=account.has_trades)

    def plan_follow_up(self, account: Account, found: Audit, ask: Ask, done: Sequence[Done]) -> list[Call]:
        """Calls for what the audit misses."""
        return plan.follow_up(account, found, ask, done)

    def plan_fees(self, account: Account, orders: Mapping[str, date], ask: Ask) -> list[Call]:
        """Batches of fee ids; none for paper accounts."""
        return plan.fee_calls(account, orders, ask, self._settings.batch_fee_size)

    def last_day(self, today: date) -> date:
        """Futu tells about today as it happens."""
        return today

    def seconds(self, calls: Sequence[Call], expected: Mapping[str, Decimal] | None = None) -> Decimal:
        """Predicted wall time under the limit per interface and account.

        `expected`: records per day of an account by data type, where they can be told.
        """
        window = Decimal(str(self._settings.window_seconds))
        return pace.seconds(calls, self._settings.requests_per_window, window, expected)

    def normalize(self, records: Sequence[Record]) -> Normalized:
        """Rows of these records; all records of one order must be given together."""
        return normalize(records)


@contextmanager
def _connected(settings: FutuSettings, *, for_accounts: bool = True) -> Generator[Client]:
    if settings.rsa_key_file and not Path(settings.rsa_key_file).is_file():
        raise ConfigError(f"FUTU_RSA_KEY_FILE is {settings.rsa_key_file!r}, which is not a file")
    endpoint = Endpoint(settings.host, settings.port, settings.rsa_key_file, settings.home.absolute())
    client = Client(endpoint, for_accounts=for_accounts)
    try:
        client.connect()
        yield client
    finally:
        client.close()


def _check(settings: FutuSettings) -> None:
    unknown = [name for name in settings.security_firms if name not in vocabulary.SECURITY_FIRMS]
    if unknown:
        known = ", ".join(vocabulary.SECURITY_FIRMS)
        raise ConfigError(f"FUTU_SECURITY_FIRMS names {', '.join(unknown)}; use {known}")
    bad = [acc_id for acc_id in settings.acc_ids if not re.fullmatch(r"[0-9]+", acc_id)]
    if bad:
        raise ConfigError(f"FUTU_ACC_IDS holds {', '.join(bad)}; account ids are whole numbers")
    if not 1 <= settings.batch_fee_size <= MOST_FEES_PER_CALL:
        raise ConfigError(f"FUTU_BATCH_FEE_SIZE is {settings.batch_fee_size}; use 1 to {MOST_FEES_PER_CALL}")
