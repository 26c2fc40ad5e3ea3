"""What tests of the TWS API share: a scenario whose busiest day is told, and a client that does not wait long."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache

from apex_pipeline.brokers.ib.identity import execution_root
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_client import Patience, TwsAnswers, TwsClient, TwsEndpoint
from apex_pipeline.brokers.ib.tws_messages import Row
from apex_pipeline.brokers.ib.tws_records import deliver
from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Record, RecordKind, WholeDelivery

CLIENT_ID = 17
QUICK = Patience(total=4, login=1, answer=0.4, again=0.4, quiet=0.3)
ENDPOINT = TwsEndpoint("127.0.0.1", 4001, CLIENT_ID)
ACCOUNT = "U8120456"
TOLD_AT = datetime(2026, 3, 10, 20, 30, tzinfo=UTC)


@cache
def scenario() -> Scenario:
    """Some 300 orders per broker in 400 days."""
    return generate(11, 300, 400, date(2026, 3, 9))


@cache
def trading_days() -> list[date]:
    """Days with executions at IB, busiest first."""
    days = (fill.trade_date for order in scenario().orders if order.broker is Broker.IB for fill in order.fills)
    return [day for day, _ in Counter(days).most_common()]


@cache
def hong_kong_day() -> date:
    """The busiest day with executions in Hong Kong."""
    orders = [order for order in scenario().orders if order.broker is Broker.IB and order.contract.market == "HK"]
    return Counter(fill.trade_date for order in orders for fill in order.fills).most_common(1)[0][0]


def client_of(gateway: GatewaySimulator, patience: Patience = QUICK) -> TwsClient:
    """A client that gives up soon."""
    return TwsClient(TwsEndpoint(gateway.host, gateway.port, CLIENT_ID), patience)


def told_by(gateway: GatewaySimulator) -> WholeDelivery:
    """What the gateway tells, as records."""
    client = client_of(gateway)
    return deliver(client.fetch(), client.endpoint)


def provisional(delivery: WholeDelivery) -> list[Record]:
    """Its executions and commission reports."""
    return [record for record in delivery.records if record.kind is RecordKind.PROVISIONAL]


def roots_of(records: Sequence[Record]) -> set[tuple[str, str]]:
    """(account, root) of these executions."""
    return {(record.account_id, execution_root(record.payload["execId"])) for record in records}


STOCK = {
    "conId": "265598", "symbol": "AAPL", "secType": "STK", "lastTradeDateOrContractMonth": "", "strike": "0.0",
    "right": "?", "multiplier": "", "exchange": "ISLAND", "currency": "USD", "localSymbol": "AAPL",
    "tradingClass": "NMS",
}  # fmt: skip

OPTION = {
    **STOCK, "conId": "700001", "secType": "OPT", "lastTradeDateOrContractMonth": "20260918", "strike": "132.5",
    "right": "C", "multiplier": "100", "exchange": "CBOE", "localSymbol": "AAPL  260918C00132500",
    "tradingClass": "AAPL",
}  # fmt: skip


def execution(contract: dict[str, str] | None = None, /, **changes: str) -> Row:
    """One execution as the gateway sends it; `changes` replace fields."""
    return {
        "execId": "0000e0d5.68a00001.01.01", "time": "20260310 09:31:05 US/Eastern", "acctNumber": ACCOUNT,
        "exchange": "ISLAND", "side": "BOT", "shares": "10", "price": "200.5", "permId": "1700000001",
        "clientId": "0", "liquidation": "0", "cumQty": "10", "avgPrice": "200.5", "orderRef": "", "evRule": "",
        "evMultiplier": "", "modelCode": "", "lastLiquidity": "2", "pendingPriceRevision": "0", "orderId": "0",
        **changes, "contract": contract or STOCK,
    }  # fmt: skip


def commission(**changes: str) -> Row:
    """One commission report as the gateway sends it."""
    return {
        "execId": "0000e0d5.68a00001.01.01", "commission": "1.0055", "currency": "USD",
        "realizedPNL": "1.7976931348623157E308", "yield": "1.7976931348623157E308", "yieldRedemptionDate": "",
        **changes,
    }  # fmt: skip


def answers(*executions: Row, **changes: object) -> TwsAnswers:
    """What a gateway told at TOLD_AT."""
    told: dict[str, object] = {
        "server_version": 178, "greeting": "20260310 16:30:00 EST", "current_time": "", "accounts": (ACCOUNT,),
        "executions": executions, "commissions": (), "positions": (), "summary": (), "asked_at": TOLD_AT,
        "received_at": TOLD_AT, **changes,
    }  # fmt: skip
    return TwsAnswers(**told)  # pyright: ignore[reportArgumentType] - the fields of a dataclass, named by a test


def records_of(*executions: Row, **changes: object) -> WholeDelivery:
    """The delivery of these answers."""
    return deliver(answers(*executions, **changes), ENDPOINT)
