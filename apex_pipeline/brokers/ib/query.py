"""The Flex query that tells everything: its sections and fields, each with what cannot be known without it.

A query is made by a person in IB's client portal, field by field, and what it leaves out is missing without a word.
Every statement shows what its query delivers; what is missing of the list here is told as a gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apex_pipeline.brokers.ib.rows import Row, rows_of
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import Record
from apex_pipeline.domain.statements import QueryGap

ACTIVITY = "AF"
"""The type of an Activity query; others deliver no sections of these."""


@dataclass(frozen=True, slots=True)
class Needed:
    """A section that the query must have.

    `section` is its name in the statement, `title` the one in the client portal, `options` what to tick there.
    `why` says what cannot be known without the section, `fields` what cannot be known without each of its fields.
    """

    section: str
    title: str
    options: str
    why: str
    fields: Mapping[str, str]


def _fields(*told: tuple[str, str]) -> dict[str, str]:
    """Names and what all of them are needed for; a later reason replaces an earlier one."""
    return {name: why for names, why in told for name in names.split()}


_CONTRACT = (
    ("assetCategory symbol conid", "which contract it is"),
    ("currency listingExchange", "which market's symbol it has, the same as in other rows"),
    ("multiplier", "what one contract is worth"),
    ("strike expiry putCall underlyingSymbol", "the terms and the underlying of options"),
)

NEEDED: Sequence[Needed] = (
    Needed(
        "AccountInformation", "Account Information", "", "the base currency, so that values of the account are money",
        _fields(("accountId", "whose account it is"), ("currency", "the base currency")),
    ),
    Needed(
        "Trades", "Trades", "Execution, Order, Closed Lots, Symbol Summary, Asset Class, Wash Sale",
        "trades, orders, commissions, and the lots that IB closed",
        _fields(
            ("accountId", "whose trade it is"),
            *_CONTRACT,
            ("transactionID", "which trade it is; without it rows are known by their content only"),
            ("ibExecID", "which fill it is at the exchange, and the legs of a combination"),
            ("ibOrderID", "which order a fill belongs to"),
            ("tradeID", "which breakdown of commissions and taxes belongs to it"),
            ("dateTime", "when it was executed"),
            ("tradeDate", "the day it counts for"),
            ("reportDate", "the day it was reported on, which for book entries can be a later one"),
            ("settleDateTarget", "when it settles"),
            ("transactionType notes", "whether it is a trade, an exercise, an assignment, an expiry or a cancel"),
            ("buySell quantity tradePrice", "what was done"),
            ("exchange", "where it was executed"),
            ("openCloseIndicator", "whether it opens or closes a position"),
            ("proceeds netCash", "what money it moved by IB's own account"),
            ("ibCommission ibCommissionCurrency", "what it cost"),
            ("taxes", "its taxes"),
            ("cost fifoPnlRealized", "IB's own basis and realized profit, to compare with ours"),
            ("origTransactionID origTradeID", "which trade a cancel takes back"),
            ("positionActionID", "which shares an assigned or exercised option moved"),
            ("openDateTime", "when a closed lot was opened"),
            ("orderTime orderType orderReference", "when and how the order was placed, and its own tag"),
            ("levelOfDetail", "whether a row is an execution or a sum of executions"),
            ("fxRateToBase description", "the day's rate to the base currency, and the name of the contract"),
        ),
    ),
    Needed(
        "CashTransactions", "Cash Transactions", "all types; Detail",
        "deposits, dividends, interest, withholding tax and other fees",
        _fields(
            ("transactionID", "which booking it is; without it equal bookings are known by their content only"),
            ("type amount currency", "what was booked"),
            ("reportDate dateTime settleDate", "when it was booked and when it settles"),
            ("assetCategory symbol conid listingExchange", "which contract it is about"),
            ("actionID", "which booking a reversal takes back"),
            ("levelOfDetail", "whether a row is a booking or a sum of bookings"),
            ("description", "IB's text"),
        ),
    ),
    Needed(
        "CashReport", "Cash Report", "all currencies, and Base Currency Summary",
        "the cash of each currency, and whether the bookings add up to it",
        _fields(
            ("currency levelOfDetail", "which currency it is"),
            ("startingCash endingCash", "the cash at both ends"),
            ("endingSettledCash", "the settled cash"),
            ("commissions dividends brokerInterest withholdingTax otherFees transactionTax", "what moved it"),
            ("netTradesSales netTradesPurchases deposits withdrawals", "what moved it"),
        ),
    ),
    Needed(
        "OpenPositions", "Open Positions", "Summary, Lot", "what is held, so that our positions can be proven",
        _fields(
            *_CONTRACT,
            ("reportDate", "the day of the position"),
            ("position markPrice positionValue", "what is held and what it is worth"),
            ("openPrice costBasisPrice costBasisMoney", "what it cost"),
            ("fifoPnlUnrealized", "IB's own unrealized profit"),
            ("levelOfDetail", "whether a row is a position or one of its lots"),
            ("openDateTime originatingTransactionID", "which trade opened a lot"),
        ),
    ),
    Needed(
        "StmtFunds", "Statement of Funds", "Currency Breakout", "every movement of cash in its order",
        _fields(
            ("currency levelOfDetail", "which balance a line belongs to"),
            ("amount balance", "the movement and the balance after it"),
            ("date reportDate settleDate", "when it happened and settles"),
            ("activityCode activityDescription", "what it was"),
            ("transactionID tradeID", "which booking or trade it is"),
        ),
    ),
    Needed(
        "CorporateActions", "Corporate Actions", "Detail", "splits, mergers and spin-offs, which change quantities",
        _fields(
            *_CONTRACT[:2],
            ("transactionID actionID", "which action it is, and which rows belong together"),
            ("type dateTime reportDate", "what happened and when"),
            ("quantity proceeds value", "what it changed"),
            ("fifoPnlRealized", "what shares cost that came for others"),
            ("actionDescription", "IB's text of the action"),
        ),
    ),
    Needed(
        "Transfers", "Transfers", "Transfer", "positions and cash that came or went without a trade",
        _fields(
            ("transactionID type direction", "which transfer it is and which way it went"),
            ("date", "when it happened"),
            ("symbol conid quantity positionAmount cashTransfer currency", "what was moved"),
        ),
    ),
    Needed(
        "OptionEAE", "Option Exercises, Assignments and Expirations", "", "how options ended, by IB's own account",
        _fields(
            *_CONTRACT,
            ("date transactionType quantity tradePrice tradeID", "what happened to which option, and its shares"),
            ("realizedPnl costBasis proceeds", "IB's own figures of it"),
        ),
    ),
    Needed(
        "UnbundledCommissionDetails", "Commission Details", "",
        "what a commission is made of (told in statements of one day only)",
        _fields(
            ("tradeID", "which trade it is about"),
            ("currency totalCommission brokerExecutionCharge brokerClearingCharge other", "the parts"),
            ("thirdPartyExecutionCharge thirdPartyClearingCharge thirdPartyRegulatoryCharge", "the parts"),
        ),
    ),
    Needed(
        "TransactionTaxes", "Transaction Taxes", "", "which taxes a trade bears",
        _fields(("tradeId", "which trade it is about"), ("currency date taxDescription taxAmount", "the taxes")),
    ),
    Needed(
        "ChangeInDividendAccruals", "Change in Dividend Accruals", "", "dividends that are owed but not yet paid",
        _fields(
            ("symbol conid currency listingExchange", "which contract it is"),
            ("date exDate payDate code", "when, and whether it is posted or taken back"),
            ("quantity grossRate grossAmount tax fee netAmount", "how much"),
        ),
    ),
    Needed(
        "EquitySummaryInBase", "Net Asset Value (NAV) in Base", "", "what the account was worth on each day",
        _fields(("reportDate", "of which day"), ("total cash stock options", "what it was worth")),
    ),
    Needed(
        "ChangeInNAV", "Change in NAV", "Realized & Unrealized", "what changed the worth of the account",
        _fields(
            ("startingValue endingValue", "the worth at both ends"),
            ("realized changeInUnrealized depositsWithdrawals dividends interest commissions", "what changed it"),
        ),
    ),
    Needed(
        "FIFOPerformanceSummaryInBase", "Realized and Unrealized Performance Summary in Base", "",
        "IB's own profit by contract, to prove ours",
        _fields(("assetCategory symbol conid", "which contract it is"),
                ("totalRealizedPnl totalUnrealizedPnl", "the profit")),
    ),
    Needed(
        "SecuritiesInfo", "Financial Instrument Information", "", "the terms of contracts that no trade tells",
        _fields(*_CONTRACT, ("description", "the name of the contract")),
    ),
    Needed(
        "ConversionRates", "General Configuration: Include Currency Rates", "Yes", "the day's rates between currencies",
        _fields(("reportDate fromCurrency toCurrency rate", "the rate")),
    ),
)  # fmt: skip


def gaps_of(record: Record) -> list[QueryGap]:
    """What the query behind a record of the section `_query` leaves out.

    A section without rows tells nothing about its fields. Nothing for queries that are no Activity queries.
    """
    row = next(rows_of(record))
    payload = row.record.payload
    if (payload.get("type") or ACTIVITY) != ACTIVITY:
        return []
    delivered: Mapping[str, Sequence[str]] = payload.get("sections") or {}
    return [gap for needed in NEEDED for gap in _gaps(row, needed, delivered.get(needed.section))]


def _gaps(row: Row, needed: Needed, names: Sequence[str] | None) -> Iterator[QueryGap]:
    if names is None:
        yield _gap(row, needed.section, "", needed.why)
    elif names:
        for name, why in needed.fields.items():
            if name not in names:
                yield _gap(row, needed.section, name, why)


def _gap(row: Row, section: str, name: str, why: str) -> QueryGap:
    record = row.record
    return QueryGap(
        gap_uid=f"{row.uid}/{record.business_date}/{section}/{name}".rstrip("/"),
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        query=str(record.payload.get("query") or ""),
        section=section,
        field=name,
        needed_for=why,
    )


def as_markdown() -> str:
    """The query as a table for people: what to tick, and what cannot be known without it."""
    lines = ["| section | in the statement | options | fields | without it unknown |", "|---|---|---|---|---|"]
    for one in NEEDED:
        names = ", ".join(f"`{name}`" for name in one.fields) or "all"
        lines.append(f"| {one.title} | `{one.section}` | {one.options or 'none'} | {names} | {one.why} |")
    return "\n".join(lines) + "\n"
