"""Statements with other sections than trades, and the rows that are made of them."""

from collections.abc import Sequence
from dataclasses import replace

from apex_pipeline.brokers.ib.delivery import FlexDelivery
from apex_pipeline.brokers.ib.statement_facts import add_sections
from apex_pipeline.domain.models import Instrument
from apex_pipeline.domain.records import Content, Normalized, Record
from tests.brokers.ib.statements import ACCOUNT, RECEIVED, document, statement

APPLE = {
    "assetCategory": "STK", "symbol": "AAPL", "description": "APPLE INC", "conid": "265598", "currency": "USD",
    "listingExchange": "NASDAQ", "multiplier": "1",
}  # fmt: skip
APPLE_CALL = {
    "assetCategory": "OPT", "symbol": "AAPL  260918C00132500", "description": "AAPL 18SEP26 132.5 C", "conid": "700001",
    "currency": "USD", "listingExchange": "CBOE", "multiplier": "100", "strike": "132.5", "expiry": "20260918",
    "putCall": "C", "underlyingSymbol": "AAPL",
}  # fmt: skip
CASH = {
    "accountId": ACCOUNT, "currency": "USD", "type": "Dividends", "amount": "12.50", "dateTime": "20260304;202000",
    "reportDate": "20260304", "settleDate": "20260305", "transactionID": "8001", "actionID": "77",
    "levelOfDetail": "DETAIL", "description": "AAPL CASH DIVIDEND", "assetCategory": "STK", "symbol": "AAPL",
    "conid": "265598", "listingExchange": "NASDAQ",
}  # fmt: skip
POSITION = {
    **APPLE, "accountId": ACCOUNT, "reportDate": "20260306", "position": "10", "markPrice": "210",
    "positionValue": "2100", "openPrice": "200.6", "costBasisPrice": "200.6", "costBasisMoney": "2006",
    "fifoPnlUnrealized": "94", "levelOfDetail": "SUMMARY", "side": "Long", "openDateTime": "",
    "originatingTransactionID": "",
}  # fmt: skip
LOT = {
    **POSITION, "levelOfDetail": "LOT", "openDateTime": "20260302;093105", "originatingTransactionID": "9001",
}  # fmt: skip


def records_in(body: str, section: str, **told: str) -> list[Record]:
    """The records of a statement with this section, without what it says about the query."""
    content = document(statement(body, section=section, **told))
    delivery = FlexDelivery(Content.of((content,)), {}, RECEIVED)
    return [record for record in delivery.records if record.payload.get("_section") != "_query"]


def records_of_sections(*parts: tuple[str, str], **told: str) -> list[Record]:
    """The records of a statement of several sections: their names and what stands in them."""
    (first, body), *others = parts
    inside = "".join(f"</{first}><{name}>{rows}</{name}><{first}>" for name, rows in others)
    return records_in(body + inside, first, **told)


def made_of(records: Sequence[Record], instruments: Sequence[Instrument] = ()) -> Normalized:
    """The rows of these records, beside instruments that trades told."""
    result = Normalized(instruments=list(instruments))
    add_sections(records, result)
    return result


def facts(body: str, section: str, **told: str) -> Normalized:
    """The rows of a statement with this section."""
    return made_of(records_in(body, section, **told))


def undated(records: Sequence[Record]) -> list[Record]:
    """The records as a statement tells them that does not say when it was written."""
    return [replace(record, generated_at=None) for record in records]
