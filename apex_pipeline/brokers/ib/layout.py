"""Where the rows of each section of a statement are kept, and what identifies a row. Data only.

A row with an id of IB's own is kept once, however many statements tell it. What sums up the days of a statement is
kept per statement window. A whole-section snapshot is one record, so that what is gone is gone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apex_pipeline.domain.records import RecordKind


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A section that is kept as one record: of the days of its statement, or of a day that its rows name."""

    kind: RecordKind
    day: str | None = None
    section: str | None = None
    """Where its rows stand, if they are a part of a section only."""


UNNUMBERED = "StmtFunds/unnumbered"
"""Lines of the statement of funds without an id; no section can be named so."""

SNAPSHOTS: Mapping[str, Snapshot] = {
    "OpenPositions": Snapshot(RecordKind.POSITIONS, day="reportDate"),
    "Lot": Snapshot(RecordKind.SECTIONS, day="tradeDate", section="Trades"),
    "CashReport": Snapshot(RecordKind.BALANCES),
    "ChangeInNAV": Snapshot(RecordKind.SECTIONS),
    "FIFOPerformanceSummaryInBase": Snapshot(RecordKind.SECTIONS),
    "MTMPerformanceSummaryInBase": Snapshot(RecordKind.SECTIONS),
    "MTDYTDPerformanceSummary": Snapshot(RecordKind.SECTIONS),
    UNNUMBERED: Snapshot(RecordKind.SECTIONS, day="reportDate", section="StmtFunds"),
}

IDENTITIES: Mapping[str, tuple[str, ...]] = {
    "CorporateActions": ("transactionID", "levelOfDetail"),
    "Transfers": ("transactionID", "levelOfDetail"),
    "TradeTransfers": ("transactionID", "levelOfDetail"),
    "StmtFunds": ("levelOfDetail", "currency", "transactionID", "activityCode"),
    "OptionEAE": ("date", "conid", "transactionType", "tradeID"),
    "UnbundledCommissionDetails": ("tradeID", "dateTime"),
    "TransactionTaxes": ("tradeId", "date", "taxDescription"),
    "TransactionFees": ("tradeId", "date", "taxDescription"),
    "ConversionRates": ("reportDate", "fromCurrency", "toCurrency"),
    "SecuritiesInfo": ("conid",),
    "EquitySummaryInBase": ("reportDate", "currency", "model"),
    "PriorPeriodPositions": ("date", "conid", "model"),
    "ChangeInDividendAccruals": ("date", "conid", "exDate", "payDate", "code", "actionID"),
}
"""Attributes that together identify a row of a section, where one row of a statement has them."""

REQUIRED_IDS: Mapping[str, str] = {
    "CorporateActions": "transactionID",
    "Transfers": "transactionID",
    "TradeTransfers": "transactionID",
    "StmtFunds": "transactionID",
    "UnbundledCommissionDetails": "tradeID",
    "TransactionTaxes": "tradeId",
    "TransactionFees": "tradeId",
    "SecuritiesInfo": "conid",
}
"""Without this attribute the others identify nothing, and the row is kept by its content."""

SINGLE = frozenset({"CorporateActions", "Transfers", "TradeTransfers", "ConversionRates", "SecuritiesInfo",
                    "EquitySummaryInBase", "PriorPeriodPositions"})  # fmt: skip
"""Sections where a statement that repeats an identity repeats the row."""

DAYS = ("reportDate", "date", "tradeDate", "dateTime")
"""Attributes that say to which day a row belongs, the first that is there."""

CASH_DAYS = ("reportDate", "dateTime", "settleDate")

SUMMARY_LEVELS = frozenset(
    {"SUMMARY", "SYMBOL_SUMMARY", "ASSET_SUMMARY", "BASE_SUMMARY", "BASESUMMARY", "BASECURRENCY"}
)
"""Levels of rows that sum up the days of their statement, or whose running balance begins with it."""

SUMMARY_TAGS = frozenset({"SymbolSummary", "AssetSummary"})

FRAMED: Mapping[str, str] = {"StmtFunds": "transactionID"}
"""Sections whose first and last lines are balances of the statement's days; those have no such id."""

LINE = "StatementOfFundsLine"
"""The element of a line of a framed section."""

BALANCES = frozenset({"starting balance", "ending balance"})

LINE_AMOUNTS = ("amount", "debit", "credit")
LINE_NUMBERS = frozenset({"tradeQuantity", "tradePrice"})
LINE_CONTENT = (
    "levelOfDetail", "currency", "model", "activityCode", "activityDescription", "date", "settleDate", "tradeID",
    "orderID", "actionID", "buySell", *sorted(LINE_NUMBERS),
)  # fmt: skip
"""What tells lines without an id apart, beside contract, amount and day. Not the balance: it depends on other lines."""

MASTERS = frozenset({"SecuritiesInfo"})
"""Sections that describe and belong to no day."""

CHARGE_TAGS = frozenset({"TransactionTax", "TransactionTaxDetail", "TransactionFee", "TransactionFeeDetail"})
"""Rows that say SUMMARY of one trade, not of the days."""

SUBJECTS = (
    "accountId", "model", "levelOfDetail", "currency", "assetCategory", "conid", "symbol", "type", "activityCode",
    "activityDescription", "description", "transactionID", "tradeID", "actionID", "date", "dateTime", "settleDate",
    "reportDate",
)  # fmt: skip
"""Attributes that say what a summing row is about."""

REVALUED = frozenset({
    "acctAlias", "model", "fxRateToBase", "closePrice", "mtmPnl", "fifoPnlRealized", "fxPnl", "cost", "reportDate",
    "capitalGainsPnl", "whenRealized", "whenReopened", "changeInPrice", "changeInQuantity", "balance",
})  # fmt: skip
"""Attributes that a later statement may show differently for the same row: they identify nothing."""
