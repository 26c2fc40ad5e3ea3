"""Interactive Brokers as the pipeline knows it: plan windows, fetch statements and today, normalize their records."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType

from apex_pipeline.brokers.contract import Acquire, BarSession, Session
from apex_pipeline.brokers.ib import plan as planning
from apex_pipeline.brokers.ib.coverage import DATA_TYPE
from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.flex_client import FlexClient, Window
from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.brokers.ib.settings import IbSettings, check_credentials, check_endpoint
from apex_pipeline.brokers.ib.times import NEW_YORK
from apex_pipeline.brokers.ib.transport import silent_loggers
from apex_pipeline.brokers.ib.tws_bar_windows import may_have
from apex_pipeline.brokers.ib.tws_bars import bar_session, utc_now
from apex_pipeline.brokers.ib.tws_client import TwsClient, TwsEndpoint
from apex_pipeline.brokers.ib.tws_records import DATA_TYPE as TWS_DATA_TYPE
from apex_pipeline.brokers.ib.tws_records import deliver as deliver_tws
from apex_pipeline.domain.market import BarAsk
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import (
    ALL_MARKETS,
    Account,
    Ask,
    Audit,
    Call,
    Delivery,
    Done,
    LoadScope,
    Normalized,
    Record,
    RecordKind,
    WholeDelivery,
)
from apex_pipeline.errors import BrokerRefused, ConfigError, UnknownPayload

TWS_SECONDS = Decimal(5)
"""Expected wall time of asking the gateway for today."""


def today_in_new_york() -> date:
    """The date where IB writes its statements."""
    return datetime.now(NEW_YORK).date()


class IbBroker:
    """Interactive Brokers: statements over Flex, today over TWS where it is configured.

    ConfigError if the endpoint would show the token to others.

    The token and the query id are needed, and checked, only to connect.
    """

    name: Broker = Broker.IB
    data_types: tuple[str, ...] = (DATA_TYPE, TWS_DATA_TYPE)
    covering_data_types: tuple[str, ...] = (DATA_TYPE,)
    optional_data_types: frozenset[str] = frozenset({TWS_DATA_TYPE})
    final_after_days: int = planning.FINAL_AFTER_DAYS
    fee_data_type: str | None = None
    cash_data_type: str | None = None
    history_kinds: Mapping[str, RecordKind] = MappingProxyType(dict[str, RecordKind]())
    audit_fields: tuple[str, ...] = ()
    reread_days: int = planning.FINAL_AFTER_DAYS

    def __init__(
        self,
        settings: IbSettings,
        sleep: Callable[[float], None] = time.sleep,
        today: Callable[[], date] = today_in_new_york,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        check_endpoint(settings)
        self.settings: IbSettings = settings
        self._sleep: Callable[[float], None] = sleep
        self._today: Callable[[], date] = today
        self._now: Callable[[], datetime] = now

    @property
    def budget(self) -> str:
        """The name of this token's request budget; allows `settings.requests_per_minute`."""
        return self.settings.budget

    def check(self) -> None:
        """Nothing, or ConfigError: everything that can be known before a connection."""
        check_credentials(self.settings)

    def connect(self, acquire: Acquire) -> AbstractContextManager[Session]:
        """A session; ConfigError if token or query id are missing."""
        self.check()
        return self._session(acquire)

    @contextmanager
    def _session(self, acquire: Acquire) -> Generator[Session]:
        client = FlexClient(self.settings, acquire, sleep=self._sleep)
        with silent_loggers(self.settings.secret):
            try:
                yield IbSession(FlexSession(client), self.settings.tws)
            finally:
                client.close()

    def connect_bars(self, acquire: Acquire) -> AbstractContextManager[BarSession]:
        """A session that tells bars; ConfigError without the TWS API, the only one that has them."""
        if self.settings.tws is None:
            raise ConfigError("IB_TWS_HOST is not set, and Interactive Brokers tells bars only over the TWS API")
        return bar_session(self.settings.tws, acquire, self._sleep, now=self._now)

    def offers(self, ask: BarAsk, today: date) -> bool:
        """Whether the TWS API is configured and can have such bars; see `tws_bar_windows.may_have`."""
        return self.settings.tws is not None and may_have(ask, today)

    def plan(self, ask: Ask, accounts: Sequence[Account], done: Sequence[Done]) -> list[Call]:  # noqa: ARG002
        """The fewest windows that cover `ask`, newest first, leaving out what is done; see `plan.plan`."""
        return planning.plan(replace(ask, today=min(ask.today, self._today())), done)

    def plan_states(self, ask: Ask, accounts: Sequence[Account]) -> list[Call]:  # noqa: ARG002
        """One conversation with the gateway about today in New York, where TWS is configured and today is asked for."""
        today = min(ask.today, self._today())
        reaches = ask.scope is LoadScope.INTRADAY or ask.to_date >= self.last_day(ask.today)
        if self.settings.tws is None or ask.scope is LoadScope.CASH or not reaches:
            return []
        return [Call(TWS_DATA_TYPE, None, ALL_MARKETS, today, today)]

    def audit(self, account: Account, records: Sequence[Record]) -> Audit:  # noqa: ARG002
        """Nothing: a statement tells its days whole, fees included."""
        return Audit()

    def plan_follow_up(self, account: Account, found: Audit, ask: Ask, done: Sequence[Done]) -> list[Call]:  # noqa: ARG002
        """Nothing: see `audit`."""
        return []

    def plan_fees(self, account: Account, orders: Mapping[str, date], ask: Ask) -> list[Call]:  # noqa: ARG002
        """Nothing: fees arrive with the trades."""
        return []

    def last_day(self, today: date) -> date:
        """Yesterday in New York, where statements are written, whatever the date is elsewhere."""
        return planning.last_day(min(today, self._today()))

    def seconds(self, calls: Sequence[Call], expected: Mapping[str, Decimal] | None = None) -> Decimal:  # noqa: ARG002
        """Predicted wall time of these calls under IB's limits."""
        statements = [call for call in calls if call.data_type != TWS_DATA_TYPE]
        today = TWS_SECONDS * (len(calls) - len(statements))
        return planning.seconds(statements, self.settings.seconds_per_call()) + today

    def normalize(self, records: Sequence[Record]) -> Normalized:
        """Rows of these records; see `normalize.normalize`."""
        return normalize(records)


@dataclass(frozen=True, slots=True)
class IbSession:
    """Statements from the Flex Web Service, today from the gateway; each is contacted only when it is asked."""

    flex: "FlexSession"
    tws: TwsEndpoint | None

    def accounts(self) -> Sequence[Account]:
        """None: each answer says which account it belongs to."""
        return ()

    def fetch(self, call: Call) -> Delivery:
        """The answer to one call; errors as those of the service that is asked."""
        if call.data_type != TWS_DATA_TYPE:
            return self.flex.fetch(call)
        if self.tws is None:
            raise ConfigError("IB_TWS_HOST is not set, so nobody can be asked about today")
        return deliver_tws(TwsClient(self.tws).fetch(), self.tws)


@dataclass(frozen=True, slots=True)
class FlexSession:
    """An open conversation with the Flex Web Service."""

    client: FlexClient

    def accounts(self) -> Sequence[Account]:
        """None: each statement says which account it belongs to."""
        return ()

    def fetch(self, call: Call) -> Delivery:
        """The statements of one window, all accounts of the query. BrokerUnavailable, BrokerRefused.

        Where IB says that there is no statement, the delivery is empty, covers nothing and says so.
        """
        window = Window(call.from_date, call.to_date)
        content = self.client.statement(window)
        if content is None:
            return _nothing(window)
        settings = self.client.settings
        request = {
            "service": "GetStatement",
            "version": "3",
            "query_id": settings.query_id.strip(),
            "fd": f"{window.from_date:%Y%m%d}",
            "td": f"{window.to_date:%Y%m%d}",
        }

        def refused(error: UnknownPayload) -> BrokerRefused:
            what = f"the statement of {window} cannot be read: {error}"
            return BrokerRefused(f"{what}; check IB_FLEX_URL and IB_FLEX_QUERY_ID")

        received_at = datetime.now(UTC)
        return FlexDelivery(content, request, received_at, window, stamp=lambda _: received_at, refused=refused)


def _nothing(window: Window) -> Delivery:
    note = (
        f"Interactive Brokers has no statement for {window} (1003): either nothing happened on these days "
        "or they are not published yet; they stay open and are asked for again"
    )
    return WholeDelivery((), (), (), (), (note,))
