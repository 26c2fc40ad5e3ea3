"""A book as Flex statements: a tree of elements in IB's words, and its text.

Variations change the tree (`flex_book_shapes`), the dates (`Dates`) or the text (`text_of`).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from xml.sax.saxutils import quoteattr

from tests.faults.flex_book import ACCOUNTS, NEW_YORK, Book, Booking, Entry, Event, is_business_day
from tests.faults.flex_book_contracts import Contract


@dataclass
class Node:
    """One element."""

    tag: str
    told: dict[str, str] = field(default_factory=dict[str, str])
    inside: "list[Node]" = field(default_factory=list["Node"])

    def under(self, tag: str) -> "list[Node]":
        """All elements of a name, at any depth."""
        found = [self] if self.tag == tag else []
        return found + [one for node in self.inside for one in node.under(tag)]


@dataclass(frozen=True)
class Dates:
    """How an account writes dates and times, in the letters of strftime; `zone` follows a time."""

    day: str = "%Y%m%d"
    clock: str = "%H%M%S"
    between: str = ";"
    zone: str = ""

    def date(self, day: date | None) -> str:
        return day.strftime(self.day) if day else ""

    def moment(self, at: datetime | None) -> str:
        if at is None:
            return ""
        local = at.astimezone(NEW_YORK)
        return self.date(local.date()) + self.between + local.strftime(self.clock + self.zone)


COMPACT = Dates()
FORMATS = {
    "compact": COMPACT,
    "iso": Dates("%Y-%m-%d", "%H:%M:%S"),
    "blank": Dates(between=" "),
    "iso_blank": Dates("%Y-%m-%d", "%H:%M:%S", " "),
    "comma": Dates("%Y-%m-%d", "%H:%M:%S", ", "),
    "t": Dates("%Y-%m-%d", "%H:%M:%S", "T"),
    "letters": Dates(zone=" %Z"),
    "iso_letters": Dates("%Y-%m-%d", "%H:%M:%S", zone=" %Z"),
    "named": Dates(zone=" US/Eastern"),
    "offset": Dates("%Y-%m-%d", "%H:%M:%S", "T", "%z"),
    "month_first": Dates("%m/%d/%Y", "%H:%M:%S"),
    "day_first": Dates("%d/%m/%Y", "%H:%M:%S"),
    "short_year": Dates("%m/%d/%y", "%H:%M:%S"),
    "month_name": Dates("%d-%b-%y", "%H:%M:%S"),
}
"""Every form that Flex can be set to, or was seen in."""


def document(
    book: Book, dates: Dates = COMPACT, accounts: Sequence[str] = ACCOUNTS, written: datetime | None = None
) -> Node:
    """One statement per account over all days of the book."""
    return _response([statement(book, account, dates, written) for account in accounts])


def daily_document(
    book: Book, dates: Dates = COMPACT, accounts: Sequence[str] = ACCOUNTS, written: datetime | None = None
) -> Node:
    """One statement per account and business day."""
    days = [day for day in book.days() if is_business_day(day)]
    parts = {day: book.part(day, day) for day in days}
    return _response([statement(parts[day], account, dates, written) for account in accounts for day in days])


def parted_document(book: Book, spans: Sequence[tuple[date, date]], dates: Dates = COMPACT) -> Node:
    """One statement per account and span; spans may overlap."""
    return _response([statement(book.part(*span), account, dates) for span in spans for account in ACCOUNTS])


def together(*documents: Node) -> Node:
    """The statements of several documents in one."""
    return _response([one for root in documents for one in root.under("FlexStatement")])


def _response(statements: list[Node]) -> Node:
    inside = Node("FlexStatements", {"count": str(len(statements))}, statements)
    return Node("FlexQueryResponse", {"queryName": "everything", "type": "AF"}, [inside])


def statement(book: Book, account: str, dates: Dates, written: datetime | None = None) -> Node:
    """What IB tells of one account; written on the morning after the last day if not said otherwise."""
    written = written or datetime.combine(book.last + timedelta(days=1), time(5, 10), NEW_YORK).astimezone(UTC)
    told = {
        "accountId": account, "fromDate": dates.date(book.first), "toDate": dates.date(book.last), "period": "",
        "whenGenerated": dates.moment(written),
    }  # fmt: skip
    entries = [_trade(one, dates) for one in book.entries if one.account == account]
    bookings = [_booking(one, dates) for one in book.bookings if one.account == account]
    events = [one for one in book.events if one.account == account]
    return Node("FlexStatement", told, [
        Node("AccountInformation", {"accountId": account, "currency": "USD", "accountType": "Individual"}),
        Node("Trades", {}, entries),
        Node("CashTransactions", {}, bookings),
        *(
            Node(name, {}, [_event(one, dates) for one in events if one.section == name])
            for name in ("CorporateActions", "Transfers")
        ),
    ])  # fmt: skip


def plain(number: Decimal | None) -> str:
    """A number as IB writes it."""
    return "" if number is None else f"{number:f}"


def _contract(contract: Contract | None, dates: Dates) -> dict[str, str]:
    if contract is None:
        return {"assetCategory": "", "symbol": "", "conid": "", "description": ""}
    return {
        "currency": contract.currency, "fxRateToBase": "1", "assetCategory": contract.category,
        "symbol": contract.symbol, "description": contract.description, "conid": contract.conid,
        "listingExchange": contract.listing, "underlyingConid": "", "underlyingSymbol": contract.ib_underlying,
        "multiplier": plain(contract.multiplier), "strike": plain(contract.strike),
        "expiry": dates.date(contract.expiry), "putCall": contract.right,
    }  # fmt: skip


def _trade(one: Entry, dates: Dates) -> Node:
    instruction, cancel = one.instruction, one.kind == "CANCEL"
    side = "BUY" if (one.signed > 0) != cancel else "SELL"
    proceeds = -one.signed * one.price * one.contract.multiplier
    told = {
        "accountId": one.account, "acctAlias": "", "model": "", **_contract(one.contract, dates),
        "tradeID": one.trade_id, "reportDate": dates.date(one.report_date), "dateTime": dates.moment(one.at),
        "tradeDate": dates.date(one.trade_date), "settleDateTarget": dates.date(one.settle_date),
        "transactionType": one.transaction_type, "exchange": one.venue, "quantity": plain(one.signed),
        "tradePrice": plain(one.price), "tradeMoney": plain(-proceeds), "proceeds": plain(proceeds),
        "taxes": plain(one.taxes), "ibCommission": plain(one.commission),
        "ibCommissionCurrency": one.commission_currency, "netCash": _net_cash(one, proceeds), "closePrice": "0",
        "openCloseIndicator": one.effect, "notes": ";".join(one.notes), "cost": "0", "fifoPnlRealized": "0",
        "mtmPnl": "0", **_origin(one, dates), "buySell": f"{side} (Ca.)" if cancel else side,
        "ibOrderID": one.order_id, "transactionID": one.transaction_id, "ibExecID": one.exec_id,
        "brokerageOrderID": instruction.brokerage_id if instruction and not cancel else "",
        "orderReference": instruction.reference if instruction and not cancel else "",
        "extExecID": "N/A", "orderTime": dates.moment(instruction.placed) if instruction and not cancel else "",
        "openDateTime": "", "levelOfDetail": "EXECUTION", "changeInPrice": "0", "changeInQuantity": "0",
        "orderType": instruction.kind if instruction and not cancel else "", "isAPIOrder": "N", "accruedInt": "0",
        "positionActionID": one.action_id,
    }  # fmt: skip
    return Node("Trade", told)


def _net_cash(one: Entry, proceeds: Decimal) -> str:
    if one.contract.category == "CASH":
        return "0"
    paid = (one.commission or Decimal(0)) + one.taxes
    return plain(paid if one.contract.category == "FUT" else proceeds + paid)


def _origin(one: Entry, dates: Dates) -> dict[str, str]:
    """What a row takes back; statements of old lack the attribute of the transaction altogether."""
    original = one.original
    if original is None:
        return {"origTradePrice": "0", "origTradeDate": "", "origTradeID": "", "origOrderID": "0",
                "origTransactionID": "0"}  # fmt: skip
    told = {
        "origTradePrice": plain(original.price), "origTradeDate": dates.date(original.trade_date),
        "origTradeID": original.trade_id, "origOrderID": original.order_id,
    }  # fmt: skip
    return {**told, "origTransactionID": original.transaction_id} if one.names_transaction else told


def _booking(one: Booking, dates: Dates) -> Node:
    return Node("CashTransaction", {
        "accountId": one.account, **_contract(one.contract, dates), "currency": one.currency, "fxRateToBase": "1",
        "description": one.description, "dateTime": dates.moment(one.at), "settleDate": dates.date(one.settle_date),
        "amount": plain(one.amount), "type": one.words, "tradeID": "", "code": "",
        "transactionID": one.transaction_id, "reportDate": dates.date(one.report_date), "clientReference": "",
        "actionID": one.action_id, "exDate": dates.date(one.ex_date), "levelOfDetail": "DETAIL",
    })  # fmt: skip


def _event(one: Event, dates: Dates) -> Node:
    when = "date" if one.section == "Transfers" else "reportDate"
    return Node(one.tag, {
        "accountId": one.account, **_contract(one.contract, dates), **one.told, when: dates.date(one.report_date),
        "dateTime": dates.moment(one.at), "transactionID": one.transaction_id,
    })  # fmt: skip


Write = Callable[[Node], str]


def text_of(root: Node) -> str:
    """The document as IB writes it: one element a line."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(_lines(root)) + "\n"


def _lines(node: Node) -> Iterable[str]:
    told = "".join(f" {name}={quoteattr(value)}" for name, value in node.told.items())
    if not node.inside:
        yield f"<{node.tag}{told} />"
        return
    yield f"<{node.tag}{told}>"
    for one in node.inside:
        yield from _lines(one)
    yield f"</{node.tag}>"


def spaced_text_of(root: Node) -> str:
    """The same document with blanks, line breaks, comments and processing instructions wherever XML allows them."""
    head = "<?xml version='1.0'   encoding='UTF-8'?>\r\n<!-- a <Trade> that is none -->\n<?flex order?>\n"
    return head + "\r\n\t".join(_spaced(root)) + "\n<!-- end -->\n"


def _spaced(node: Node) -> Iterable[str]:
    told = "".join(f"\r\n      {name} = {_single(value)}" for name, value in node.told.items())
    yield f"<{node.tag}{told}\n>"
    for number, one in enumerate(node.inside):
        yield from _spaced(one)
        if number % 3 == 0:
            yield f"<!-- {one.tag} {number} --> <?note number='{number}'?>   stray words"
    yield f"</{node.tag}  >"


def _single(value: str) -> str:
    """A value between single quotes, its other characters as numbers."""
    escaped = value.replace("&", "&#38;").replace("<", "&#x3C;").replace("'", "&apos;")
    return f"'{escaped}'"
