"""What a simulated OpenD answers to each request about accounts, from their list to the cash flow.

A request goes in as a message and a message comes out; sockets and frames are in `simulator`, the handshake and
the login in `simulator_login`.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, final

from apex_pipeline.brokers.futu.simulator_accounts import (
    account_row,
    funds_row,
    futu_accounts,
    position_row,
)
from apex_pipeline.brokers.futu.simulator_bars import BarDesk, QuoteRules
from apex_pipeline.brokers.futu.simulator_cash import CashBook
from apex_pipeline.brokers.futu.simulator_faults import Fault, FaultPlan
from apex_pipeline.brokers.futu.simulator_login import Login, Peer
from apex_pipeline.brokers.futu.simulator_messages import CURRENCIES, fee_row, pending_fee_row
from apex_pipeline.brokers.futu.simulator_rows import (
    Ledger,
    Row,
    RowIndex,
    matching,
    parse_window,
)
from apex_pipeline.brokers.futu.simulator_rules import (
    CACHED,
    MAX_FEE_IDS,
    MAX_SPAN_DAYS,
    Language,
    RateLimits,
    RefusalError,
    action,
    text,
)
from apex_pipeline.brokers.futu.simulator_wire import (
    ACC_LIST,
    CASH_FLOW,
    FEES,
    FILLS,
    FUNDS,
    GLOBAL_STATE,
    HISTORY_FILLS,
    HISTORY_KL,
    HISTORY_ORDERS,
    INIT_CONNECT,
    KEEP_ALIVE,
    KL_QUOTA,
    MODULES,
    ORDERS,
    POSITIONS,
    SUB_ACC_PUSH,
    new_response,
)
from apex_pipeline.brokers.scenario import Scenario, ScenarioOrder
from apex_pipeline.domain.models import Broker

_SECURITIES = 1
_PAPER = {FILLS: "paper_fills", HISTORY_FILLS: "paper_fills", FEES: "paper_fees", CASH_FLOW: "paper_flow"}
_FIRM = 1


@dataclass(frozen=True, slots=True)
class Settings:
    """How the gateway behaves.

    `server_zone`: the zone in which begin and end of a request are read, or `row` for each row's market.
    `firms`: security firm numbers by account id (1, Futu Securities Hong Kong, where absent). `today`: the day
    of the today lists. `row_cap`: history answers hold so many of their newest rows and do not say so.
    `one_row_endings`: see `CashBook`. `time_scale`, `count_refused`, `limits`: see `RateLimits`. `quote_markets`: those
    whose K-lines the login may see, of `kl_quota` instruments.
    """

    time_scale: float
    server_zone: str
    language: Language
    today: date
    count_refused: bool = False
    firms: Mapping[str, int] = field(default_factory=dict[str, int])
    limits: Mapping[int, int] = field(default_factory=dict[int, int])
    row_cap: int | None = None
    one_row_endings: bool = False
    quote_markets: frozenset[str] = frozenset({"HK", "US"})
    kl_quota: int = 100


@final
class Gateway:
    """A logged-in OpenD. `answer` is its whole surface; it raises nothing for what a client may send."""

    def __init__(self, scenario: Scenario, settings: Settings, faults: FaultPlan) -> None:
        self._settings = settings
        self._faults = faults
        self._limits = RateLimits(settings.time_scale, count_refused=settings.count_refused, limits=settings.limits)
        self.violations: list[tuple[int, int]] = []
        """(protocol id, account) of every request that was refused for coming too often."""
        login = Login(faults, settings.language)
        rules = QuoteRules(settings.language, settings.quote_markets, settings.kl_quota)
        bars = BarDesk(scenario, rules, self._take, faults.spoil)
        by_account: defaultdict[str, list[ScenarioOrder]] = defaultdict(list)
        for order in scenario.orders:
            if order.broker == Broker.FUTU:
                by_account[order.account_id].append(order)
        accounts = futu_accounts(scenario)
        self._ledgers = {int(a.account_id): Ledger(a, scenario, by_account[a.account_id]) for a in accounts}
        self._books = {
            int(a.account_id): CashBook(scenario, a, settings.language, one_row_endings=settings.one_row_endings)
            for a in accounts
        }
        self._general: dict[int, Callable[[Any, Any, Peer], None]] = {
            INIT_CONNECT: login.init_connect,
            GLOBAL_STATE: login.global_state,
            KEEP_ALIVE: login.keep_alive,
            ACC_LIST: self._account_list,
            SUB_ACC_PUSH: self._subscribe,
            HISTORY_KL: bars.history,
            KL_QUOTA: bars.quota,
        }
        self._by_account: dict[int, Callable[[Any, Any, Ledger], None]] = {
            FUNDS: self._funds,
            POSITIONS: self._positions,
            ORDERS: self._today_orders,
            FILLS: self._today_fills,
            HISTORY_ORDERS: self._history_orders,
            HISTORY_FILLS: self._history_fills,
            FEES: self._fees,
            CASH_FLOW: self._cash_flow,
        }

    def answer(self, proto_id: int, request: Any, peer: Peer) -> Any:
        """The response to a request; `request` is None for a protocol that is not spoken."""
        response = new_response(proto_id)
        response.retType = 0
        try:
            self._fill(proto_id, request, response, peer)
        except RefusalError as refusal:
            return self.refusal(proto_id, str(refusal))
        return response

    def refusal(self, proto_id: int, message: str) -> Any:
        """A response that says no."""
        response = new_response(proto_id)
        response.retType = -1
        response.retMsg = message
        response.errCode = 0
        return response

    def _fill(self, proto_id: int, request: Any, response: Any, peer: Peer) -> None:
        if proto_id not in MODULES:
            raise RefusalError(self._text("protocol"))
        if proto_id != INIT_CONNECT and not peer.conn_id:
            raise RefusalError(self._text("init_first"))
        response.s2c.SetInParent()
        if proto_id in self._general:
            self._general[proto_id](request.c2s, response.s2c, peer)
            return
        ledger = self._ledger(request.c2s.header)
        self._admit(proto_id, request.c2s, ledger)
        response.s2c.header.CopyFrom(request.c2s.header)
        if self._faults.strikes(Fault.OTHER_ACCOUNT, proto_id):
            response.s2c.header.accID += 1
        self._by_account[proto_id](request.c2s, response.s2c, ledger)

    def _text(self, key: str, **values: object) -> str:
        return text(key, self._settings.language, **values)

    def _ledger(self, header: Any) -> Ledger:
        ledger = self._ledgers.get(header.accID)
        if ledger is None:
            raise RefusalError(self._text("account", account=header.accID))
        row = account_row(ledger.account, _FIRM)
        if header.trdEnv != row.trdEnv:
            raise RefusalError(self._text("environment"))
        if header.trdMarket not in row.trdMarketAuthList:
            raise RefusalError(self._text("market"))
        return ledger

    def _admit(self, proto_id: int, c2s: Any, ledger: Ledger) -> None:
        if ledger.paper and proto_id in _PAPER:
            raise RefusalError(self._text(_PAPER[proto_id]))
        if proto_id in CACHED and not c2s.refreshCache:
            self._time_out(proto_id)
        else:
            self._take(proto_id, c2s.header.accID)

    def _time_out(self, proto_id: int) -> None:
        if self._faults.strikes(Fault.SERVER_TIMEOUT, proto_id):
            raise RefusalError(self._text("timeout"))

    def _take(self, proto_id: int, account: int = 0) -> None:
        """Count one request against its limit; without an account, against that of the login."""
        self._time_out(proto_id)
        struck = self._faults.strikes(Fault.RATE_LIMIT_ONCE, proto_id)
        allowed = struck or self._limits.take(proto_id, account)
        if not allowed:
            self.violations.append((proto_id, account))
        if struck or not allowed:
            name = action(proto_id, self._settings.language)
            raise RefusalError(self._text("rate", action=name, limit=self._limits.limits[proto_id]))

    def _account_list(self, c2s: Any, s2c: Any, _: Peer) -> None:
        """Every account here trades securities; universal ones are told only to clients that ask for them."""
        if c2s.trdCategory not in (0, _SECURITIES):
            return
        for ledger in self._ledgers.values():
            account = ledger.account
            if len(account.markets) == 1 or ledger.paper or c2s.needGeneralSecAccount:
                s2c.accList.append(account_row(account, self._settings.firms.get(account.account_id, _FIRM)))

    def _subscribe(self, c2s: Any, s2c: Any, _: Peer) -> None:
        """Accepts and pushes nothing: the past of a scenario does not change."""

    def _funds(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        names = {number: name for name, number in CURRENCIES.items() if name in ("HKD", "USD")}
        if c2s.currency not in names:
            raise RefusalError(self._text("currency"))
        s2c.funds.CopyFrom(funds_row(self._books[c2s.header.accID].cash, ledger.holdings, names[c2s.currency]))

    def _positions(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        s2c.positionList.extend(row for row in map(position_row, ledger.holdings) if _position_wanted(row, c2s))
        self._faults.spoil(POSITIONS, s2c.positionList)

    def _today_orders(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        rows = matching(ledger.orders.of_today(self._settings.today), c2s.filterConditions, c2s.filterStatusList)
        begin, end = c2s.filterConditions.beginTime, c2s.filterConditions.endTime
        if begin or end:
            window = parse_window(begin or "1970-01-01 00:00:00", end or "2999-12-31 23:59:59", self._text("time"))
            inside = {row.number for row in ledger.orders.within(window, self._settings.server_zone)}
            rows = [row for row in rows if row.number in inside]
        self._put(ORDERS, s2c.orderList, rows)

    def _today_fills(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        rows = matching(ledger.fills.of_today(self._settings.today), c2s.filterConditions)
        self._put(FILLS, s2c.orderFillList, rows)

    def _history_orders(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        rows = self._between(HISTORY_ORDERS, c2s.filterConditions, ledger.orders)
        self._put(HISTORY_ORDERS, s2c.orderList, matching(rows, c2s.filterConditions, c2s.filterStatusList))

    def _history_fills(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        rows = self._between(HISTORY_FILLS, c2s.filterConditions, ledger.fills)
        self._put(HISTORY_FILLS, s2c.orderFillList, matching(rows, c2s.filterConditions))

    def _between(self, proto_id: int, conditions: Any, index: RowIndex) -> list[Row]:
        window = parse_window(conditions.beginTime, conditions.endTime, self._text("time"))
        if window.days > MAX_SPAN_DAYS:
            name = action(proto_id, self._settings.language)
            raise RefusalError(self._text("span", action=name, limit=MAX_SPAN_DAYS))
        return index.within(window, self._settings.server_zone)[: self._settings.row_cap]

    def _fees(self, c2s: Any, s2c: Any, ledger: Ledger) -> None:
        """Orders that the account does not have are left out without a word."""
        if len(c2s.orderIdExList) > MAX_FEE_IDS:
            raise RefusalError(self._text("batch", limit=MAX_FEE_IDS))
        pending = self._faults.strikes(Fault.PENDING_FEES, FEES)
        for name in c2s.orderIdExList:
            order = ledger.by_order_id.get(name)
            if order is not None:
                row = pending_fee_row(order) if pending else fee_row(order, self._settings.language)
                s2c.orderFeeList.append(row)
        self._faults.spoil(FEES, s2c.orderFeeList)

    def _cash_flow(self, c2s: Any, s2c: Any, _: Ledger) -> None:
        try:
            day = datetime.strptime(c2s.clearingDate, "%Y-%m-%d").replace(tzinfo=UTC).date()
        except ValueError as error:
            raise RefusalError(self._text("time")) from error
        rows = self._books[c2s.header.accID].rows(day)
        wanted = c2s.cashFlowDirection
        s2c.flowSummaryInfoList.extend(r for r in rows if wanted in (0, r.cashFlowDirection))
        self._faults.spoil(CASH_FLOW, s2c.flowSummaryInfoList)

    def _put(self, proto_id: int, field_: Any, rows: Sequence[Row]) -> None:
        field_.extend(row.message for row in rows)
        self._faults.spoil(proto_id, field_)


def _position_wanted(row: Any, c2s: Any) -> bool:
    conditions = c2s.filterConditions
    return (
        (not conditions.codeList or row.code in conditions.codeList)
        and (not conditions.idList or row.positionID in conditions.idList)
        and conditions.filterMarket in (0, row.trdMarket)
        and (not c2s.HasField("filterPLRatioMin") or row.plRatio >= c2s.filterPLRatioMin)
        and (not c2s.HasField("filterPLRatioMax") or row.plRatio <= c2s.filterPLRatioMax)
    )
