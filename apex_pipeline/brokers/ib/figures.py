"""A statement's own sums: every number of a row under IB's names, exact, for comparing with our own numbers."""

from decimal import Decimal

from apex_pipeline.brokers.ib import section_words
from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.rows import Row
from apex_pipeline.brokers.ib.securities import is_placed, named
from apex_pipeline.brokers.ib.trades import SOURCE
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.money import decimal_of
from apex_pipeline.domain.statements import BrokerFigures
from apex_pipeline.errors import UnknownPayload

FIGURE_SECTIONS = frozenset({
    "CashReport", "ChangeInNAV", "ChangeInPositionValues", "EquitySummaryInBase", "FIFOPerformanceSummaryInBase",
    "InterestAccruals", "MTDYTDPerformanceSummary", "MTMPerformanceSummaryInBase", "NetStockPositionSummary",
    "OpenDividendAccruals", "PriorPeriodPositions",
})  # fmt: skip
FIGURE_TAGS = frozenset({"SymbolSummary", "AssetSummary", "WashSale"})
"""Rows of Trades that sum up or adjust others."""


def figures_of(row: Row) -> BrokerFigures:
    """The numbers of a row; UnknownPayload where one that must be a number is none."""
    told, record = row.told, row.record
    first, last = row.days
    return BrokerFigures(
        figures_uid=_uid(row),
        broker=Broker.IB,
        account_id=record.account_id,
        business_date=record.business_date,
        section=row.section,
        subject=subject_of(told, row.section),
        from_date=first,
        to_date=last,
        currency=told.text("currency"),
        figures=numbers_of(told, row.tag),
        source=SOURCE,
    )


def numbers_of(row: Attributes, tag: str) -> dict[str, Decimal]:
    """Every number of the row by its name; ids, dates and texts that look like numbers are none.

    An attribute that the catalogue knows as a number must be one; a new one is taken if it reads as a number.
    """
    catalogue = section_words.ATTRIBUTES.get(tag, frozenset())
    found: dict[str, Decimal] = {}
    for name in row.payload:
        if name[0] == "_" or name in section_words.TEXTS or name.endswith(section_words.TEXT_ENDINGS):
            continue
        text = row.text(name)
        if text is None or (name not in catalogue and not _reads_as_number(text)):
            continue
        number = row.number(name)
        if number is not None:
            found[name] = number
    return found


def subject_of(row: Attributes, section: str) -> str:
    """What the row is about: a symbol, a currency, an asset category, a kind of booking, or nothing but the account.

    IB's own symbol where the row does not say enough for ours.
    """
    if section == "CashTransactions":
        return row.text("type") or ""
    found = named(row)
    if found is not None:
        return found.instrument.symbol if is_placed(row, found) else row.required("symbol")
    if section == "EquitySummaryInBase":
        return ""
    return row.text("assetCategory") or row.text("currency") or ""


def _reads_as_number(text: str) -> bool:
    try:
        _ = decimal_of(text)
    except UnknownPayload:
        return False
    return True


def _uid(row: Row) -> str:
    """Of a snapshot's row by what it is about, so that the order of the rows does not matter."""
    if row.number is None:
        return row.uid
    told = row.told
    about = [told.text(name) for name in ("symbol", "assetCategory", "currency", "description")]
    own = [told.id("conid")] if told.id("conid") else about
    place = "/".join(part for part in (*own, told.text("model")) if part)
    section = "" if row.record.key.startswith(row.section) else f"{row.section}/"
    return f"IB_{row.record.account_id}_{section}{row.record.key}/{place}"
