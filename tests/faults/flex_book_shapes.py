"""Other shapes of one statement document, each of which tells the same facts: functions that change the tree."""

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from itertools import groupby
from random import Random

from tests.faults.flex_book import Book
from tests.faults.flex_book_rows import order_uid
from tests.faults.flex_book_statements import Node, plain

Shape = Callable[[Node, Book], None]
"""Changes a document in place; the book is the whole one, of which the document may tell a part."""

_RANDOM = 7


def statements(root: Node) -> list[Node]:
    """The statements of a document."""
    return root.under("FlexStatement")


def unchanged(_root: Node, _book: Book) -> None:
    """As IB writes it."""


def all_levels(root: Node, book: Book) -> None:
    """Rows of every level among the executions, and the cash of each action once more as a summary."""
    ordered = _ordered(book)
    for section in root.under("Trades"):
        trades = section.under("Trade")
        section.inside = [row for one in _by_symbol(trades) for row in _levels_of(one, ordered)]
        section.inside += [Node("AssetSummary", _summary(trades[0], "ASSET_SUMMARY"))] if trades else []
    for section in root.under("CashTransactions"):
        summaries = [{**one.told, "transactionID": "", "levelOfDetail": "SUMMARY"} for one in section.inside]
        section.inside += [Node("CashTransaction", told) for told in summaries]


def _ordered(book: Book) -> dict[str, Decimal]:
    """What was filled of each order for good, by order_uid."""
    found: dict[str, Decimal] = {}
    for one in book.entries:
        uid = order_uid(one)
        if uid is not None and book.is_effective(one):
            found[uid] = found.get(uid, Decimal(0)) + one.signed
    return found


def _by_symbol(trades: list[Node]) -> list[list[Node]]:
    named = sorted(trades, key=lambda one: one.told["symbol"])
    return [list(some) for _, some in groupby(named, key=lambda one: one.told["symbol"])]


def _levels_of(trades: list[Node], ordered: dict[str, Decimal]) -> list[Node]:
    rows = [Node("SymbolSummary", _summary(trades[0], "SYMBOL_SUMMARY"))]
    orders = {f"IB_{one.told['accountId']}_{one.told['ibOrderID']}": one for one in trades if one.told["orderTime"]}
    for uid, one in orders.items():
        if ordered.get(uid):
            told = {**_summary(one, "ORDER"), "ibOrderID": one.told["ibOrderID"], "orderType": one.told["orderType"]}
            rows.append(Node("Order", {**told, "quantity": plain(ordered[uid])}))
    for one in trades:
        rows.append(one)
        if "C" in one.told["openCloseIndicator"]:
            lot = {**one.told, "quantity": one.told["quantity"].lstrip("-"), "ibExecID": "", "ibCommission": ""}
            rows += [
                Node(tag, {**lot, "levelOfDetail": level, "transactionID": trades[0].told["transactionID"]})
                for tag, level in (("Lot", "CLOSED_LOT"), ("WashSale", "WASH_SALE"))
            ]
    return rows


def _summary(trade: Node, level: str) -> dict[str, str]:
    blank = ("tradeID", "ibOrderID", "transactionID", "ibExecID", "brokerageOrderID", "origTransactionID", "notes")
    return {**trade.told, **dict.fromkeys(blank, ""), "levelOfDetail": level, "dateTime": "MULTI", "orderTime": "MULTI"}


def unknown_attributes(root: Node, _book: Book) -> None:
    """Attributes that nobody announced, on every element."""
    for node in _all(root):
        node.told |= {"favouriteColour": "blue & <green>", "ibNovelty2031": ""}


def unknown_sections(root: Node, _book: Book) -> None:
    """Sections that nobody announced: empty, with rows, nested, and with rows that look like trades."""
    for one in statements(root):
        trade = next(iter(one.under("Trade")), Node("Trade"))
        copy = Node("Trade", {**trade.told, "transactionID": "1", "ibExecID": "x", "quantity": "77"})
        account = one.told["accountId"]
        one.inside.insert(0, Node("MoonPhases"))
        one.inside.insert(2, Node("MoonPhases2", {"when": "now"}, [Node("MoonPhase", {"accountId": account})]))
        nested = Node("Deep", {}, [Node("Deeper", {"a": "1"}, [Node("Deepest", {"b": "2"})]), Node("Deeper")])
        one.inside += [nested, Node("FancyTrades", {}, [copy]), Node("Deeper", {"lonely": "yes"})]


def other_sections(root: Node, _book: Book) -> None:
    """Known sections that hold no trade: rates of currencies nobody knows, positions, statements of funds."""
    for one in statements(root):
        account, day = one.told["accountId"], one.told["toDate"]
        rates = [
            Node("ConversionRate", {"reportDate": day, "fromCurrency": code, "toCurrency": "USD", "rate": "0.5"})
            for code in ("EUR", "QQQ", "XTS", "USDT", "VES2")
        ]
        line = {"accountId": account, "currency": "USD", "reportDate": day, "activityCode": "ZZZ", "amount": "1"}
        ending = {"accountId": account, "date": day, "transactionType": "Sleepwalk", "tradeID": "9", "quantity": "1"}
        options = [Node("OptionEAE", {**row.told, **ending}) for row in one.under("Trade") if row.told["putCall"]]
        one.inside[1:1] = [
            Node("ConversionRates", {}, rates),
            Node("StmtFunds", {}, [Node("StatementOfFundsLine", line)]),
            Node("TransactionTaxes"),
            Node("UnbundledCommissionDetails", {}, [Node("UnbundledCommissionDetail", {"tradeID": "5"})]),
            Node("OptionEAE", {}, options[:1]),
        ]


def unknown_words(root: Node, _book: Book) -> None:
    """Values that nobody announced, where they say nothing that is kept."""
    for one in root.under("Trade"):
        notes = ";".join(filter(None, (one.told["notes"], "ZZ", "Q9")))
        venue = one.told["exchange"] if one.told["assetCategory"] == "FUT" else "MOONEX"
        one.told |= {
            "subCategory": "HOLOGRAM", "securityIDType": "SOULID", "isAPIOrder": "PERHAPS", "deliveryType": "DRONE",
            "notes": notes, "exchange": venue, "traderID": "-", "clearingFirmID": "??", "commodityType": "Cheese",
        }  # fmt: skip


def other_separators(root: Node, _book: Book) -> None:
    """Codes of notes joined by commas, as some statements have them."""
    for one in root.under("Trade"):
        one.told["notes"] = one.told["notes"].replace(";", ", ")


def without_blank_attributes(root: Node, _book: Book) -> None:
    """Rows that leave out what they do not say, each another set of attributes."""
    for one in [*root.under("Trade"), *root.under("CashTransaction")]:
        said = {name: value for name, value in one.told.items() if value}
        one.told = {name: value for name, value in said.items() if name != "taxes" or value != "0"}


def longer_numbers(root: Node, _book: Book) -> None:
    """The same numbers with zeros at their ends, and zero with a sign."""
    for one in root.under("Trade"):
        for name in ("quantity", "tradePrice", "ibCommission", "taxes", "strike", "multiplier", "proceeds"):
            told = one.told[name]
            one.told[name] = {"0": "-0.00", "": ""}.get(told, f"{told}{'000' if '.' in told else '.000'}")


def without_levels(root: Node, _book: Book) -> None:
    """Rows that do not say their level, as in old statements; and no multiplier where it goes without saying."""
    for one in [*root.under("Trade"), *root.under("CashTransaction")]:
        _ = one.told.pop("levelOfDetail")
        if one.told["assetCategory"] in {"STK", "CASH"}:
            one.told["multiplier"] = ""


def rows_without_account(root: Node, _book: Book) -> None:
    """Rows that leave it to their statement to name the account, and zeros for ids that there are not."""
    for one in [*root.under("Trade"), *root.under("CashTransaction")]:
        _ = one.told.pop("accountId")
        one.told |= {name: "0" for name in ("ibOrderID", "tradeID") if not one.told.get(name)}


def statements_of_others(root: Node, _book: Book) -> None:
    """Each account's rows below a statement of the other one: the row knows better whose it is."""
    names = {one.told["accountId"] for one in statements(root)}
    other = dict(zip(sorted(names), sorted(names, reverse=True), strict=True))
    for one in statements(root):
        one.told["accountId"] = other[one.told["accountId"]]


def shuffled_attributes(root: Node, _book: Book) -> None:
    """Attributes of every element in an order of its own."""
    random = Random(_RANDOM)
    for node in _all(root):
        items = list(node.told.items())
        random.shuffle(items)
        node.told = dict(items)


def shuffled_rows(root: Node, _book: Book) -> None:
    """Rows of every section, and the sections of every statement, in any order."""
    random = Random(_RANDOM)
    for one in statements(root):
        for section in one.inside:
            random.shuffle(section.inside)
        random.shuffle(one.inside)


def divided_sections(root: Node, _book: Book) -> None:
    """Each section twice in its statement, its rows divided among the two."""
    for one in statements(root):
        odd = [Node(section.tag, dict(section.told), section.inside[1::2]) for section in one.inside]
        for section in one.inside:
            section.inside = section.inside[::2]
        one.inside += reversed(odd)


def repeated_sections(root: Node, _book: Book) -> None:
    """Each section whole, twice in its statement."""
    for one in statements(root):
        one.inside = [*one.inside, *deepcopy(one.inside)]


def repeated_statements(root: Node, _book: Book) -> None:
    """Each statement twice in the document."""
    for one in root.under("FlexStatements"):
        one.inside = [*one.inside, *reversed(deepcopy(one.inside))]
        one.told["count"] = str(len(one.inside))


def wrong_count(root: Node, _book: Book) -> None:
    """A document that declares more statements than it holds."""
    root.under("FlexStatements")[0].told["count"] = "99"


def without_count(root: Node, _book: Book) -> None:
    """A document that does not say how many statements it holds, and statements without a period."""
    root.under("FlexStatements")[0].told.pop("count")
    for one in statements(root):
        one.told.pop("period")


def bare_statement_rows(root: Node, _book: Book) -> None:
    """Trade rows right below their statement, without a section around them."""
    for one in statements(root):
        one.inside = [
            row for section in one.inside for row in (section.inside if section.tag == "Trades" else [section])
        ]


def blanks_in_values(root: Node, _book: Book) -> None:
    """Values with blanks around them, and other ways to write that there is none."""
    for one in root.under("Trade"):
        for name in ("quantity", "transactionID", "ibOrderID", "tradeDate", "buySell", "notes", "currency"):
            one.told[name] = f" {one.told[name]}  "
        one.told |= {name: "--" for name in ("ibExecID", "orderReference", "positionActionID") if not one.told[name]}


def _all(node: Node) -> list[Node]:
    return [node, *(one for inner in node.inside for one in _all(inner))]


SHAPES: tuple[Shape, ...] = (
    all_levels, unknown_attributes, unknown_sections, other_sections, unknown_words, other_separators,
    without_blank_attributes,
    longer_numbers,
    without_levels,
    rows_without_account,
    statements_of_others,
    shuffled_attributes, shuffled_rows, divided_sections, repeated_sections, repeated_statements, wrong_count,
    without_count, bare_statement_rows, blanks_in_values,
)  # fmt: skip
"""Every shape that must load to the same rows."""
