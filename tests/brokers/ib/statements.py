"""Flex documents written attribute by attribute, so that a test shows only what it is about."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from xml.sax.saxutils import quoteattr

from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.flex_client import Window
from apex_pipeline.brokers.ib.normalize import normalize
from apex_pipeline.domain.records import Content, Delivery, Normalized, Record, WholeDelivery

ACCOUNT = "U1000001"
RECEIVED = datetime(2026, 3, 10, 12, tzinfo=UTC)

STOCK = {
    "accountId": ACCOUNT, "currency": "USD", "assetCategory": "STK", "symbol": "AAPL", "description": "APPLE INC",
    "conid": "265598", "listingExchange": "NASDAQ", "multiplier": "1", "tradeID": "71001", "reportDate": "20260302",
    "dateTime": "20260302;093105", "tradeDate": "20260302", "settleDateTarget": "20260303",
    "transactionType": "ExchTrade", "exchange": "ISLAND", "quantity": "10", "tradePrice": "200.5", "taxes": "0",
    "ibCommission": "-1.0055", "ibCommissionCurrency": "USD", "openCloseIndicator": "O", "notes": "P",
    "origTradeID": "", "origTransactionID": "0", "transactionID": "9001", "buySell": "BUY", "ibOrderID": "5001",
    "ibExecID": "0000aa01.65e2b001.01.01", "orderTime": "20260302;093100", "levelOfDetail": "EXECUTION",
    "orderType": "LMT", "orderReference": "swing", "positionActionID": "",
}  # fmt: skip

OPTION = {
    **STOCK, "assetCategory": "OPT", "symbol": "AAPL  260918C00132500", "conid": "700001", "listingExchange": "CBOE",
    "multiplier": "100", "strike": "132.5", "expiry": "20260918", "putCall": "C", "underlyingSymbol": "AAPL",
    "quantity": "2", "tradePrice": "4.35", "transactionID": "9100", "tradeID": "71100", "ibOrderID": "5100",
    "ibExecID": "0000aa01.65e2b100.01.01",
}  # fmt: skip


def row(base: dict[str, str] = STOCK, /, *, tag: str = "Trade", without: Iterable[str] = (), **changes: str) -> str:
    """One element; `changes` replace attributes of `base`, `without` drops some."""
    attributes = {**base, **changes}
    for name in without:
        _ = attributes.pop(name, None)
    return f"<{tag} {' '.join(f'{name}={quoteattr(value)}' for name, value in attributes.items())} />"


def statement(body: str = "", *, section: str = "Trades", **attributes: str) -> str:
    """One FlexStatement of the first week of March 2026 with this section."""
    told = {
        "accountId": ACCOUNT,
        "fromDate": "20260302",
        "toDate": "20260306",
        "period": "",
        "whenGenerated": "20260309;050000",
        **attributes,
    }
    names = " ".join(f"{name}={quoteattr(value)}" for name, value in told.items() if value != "absent")
    return f"<FlexStatement {names}><{section}>{body}</{section}></FlexStatement>"


def document(*statements: str, count: int | None = None) -> bytes:
    """A whole answer."""
    declared = len(statements) if count is None else count
    inner = f'<FlexStatements count="{declared}">{"".join(statements)}</FlexStatements>'
    return f'<FlexQueryResponse queryName="all" type="AF">{inner}</FlexQueryResponse>'.encode()


def of_rows(*rows: str) -> bytes:
    """A document with one statement that holds these rows in Trades."""
    return document(statement("".join(rows)))


def delivered(content: bytes, asked: Window | None = None, received: datetime = RECEIVED) -> WholeDelivery:
    """The delivery of a document, read to its end."""
    return whole(FlexDelivery(Content.of((content,)), {}, received, asked))


def whole(delivery: Delivery) -> WholeDelivery:
    """The delivery at hand, as if it were small; without what it says about the query itself."""
    told = [record for record in delivery.records if record.payload.get("_section") != "_query"]
    return WholeDelivery(delivery.documents, told, delivery.rejects, delivery.covered, delivery.notes)


def records_of(*rows: str) -> list[Record]:
    """The records of these rows."""
    return list(delivered(of_rows(*rows)).records)


def normalized(*rows: str) -> Normalized:
    """The rows made of these elements."""
    return normalize(records_of(*rows))


def week() -> Window:
    """The days of `statement`."""
    return Window(date(2026, 3, 2), date(2026, 3, 6))
