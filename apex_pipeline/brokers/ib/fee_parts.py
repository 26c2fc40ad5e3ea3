"""What a commission and the taxes of a trade are made of: UnbundledCommissionDetails and TransactionTaxes.

Both name their trade by tradeID, which a rebook repeats; the parts then belong to the row that was charged. IB tells
parts with the sign of the whole: negative is paid.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce

from apex_pipeline.brokers.ib.attributes import EXACT, Attributes
from apex_pipeline.brokers.ib.rows import Row, section_of
from apex_pipeline.brokers.ib.told import FROM, TAG, TO
from apex_pipeline.domain.models import FeeType
from apex_pipeline.domain.records import Record, RecordKind, Relative
from apex_pipeline.errors import UnknownPayload

CHARGES: Mapping[str, FeeType] = {
    "brokerExecutionCharge": FeeType.COMMISSION,
    "brokerClearingCharge": FeeType.CLEARING,
    "thirdPartyExecutionCharge": FeeType.EXCHANGE,
    "thirdPartyClearingCharge": FeeType.CLEARING,
    "thirdPartyRegulatoryCharge": FeeType.REGULATORY,
    "other": FeeType.OTHER,
}
"""The attributes that add up to the commission. Those that begin with `reg` are parts of the regulatory charge."""

COMMISSIONS = "UnbundledCommissionDetails"
TAXES = frozenset({"TransactionTaxes", "TransactionFees"})
_DETAIL = "TransactionTaxDetail"
_NEVER = datetime.min.replace(tzinfo=UTC)

Spot = tuple[str, str]
"""Account and tradeID."""


@dataclass(frozen=True, slots=True)
class Part:
    """One charge under IB's name of it, with IB's sign: negative is paid."""

    fee_type: FeeType
    name: str
    charged: Decimal


@dataclass(slots=True)
class FeeParts:
    """The rows that break charges down, and the fee records that they belong to."""

    charges: dict[Spot, list[Record]] = field(default_factory=dict[Spot, list[Record]])
    taxes: dict[Spot, list[Record]] = field(default_factory=dict[Spot, list[Record]])
    charged: dict[Spot, str] = field(default_factory=dict[Spot, str])
    taxed: dict[Spot, str] = field(default_factory=dict[Spot, str])

    def commission_of(self, record: Record, currency: str | None) -> list[Part]:
        """The parts of the commission of a fee record, those that are not 0; empty where they are not known."""
        spot = spot_of(record)
        if spot is None or self.charged.get(spot) != record.key:
            return []
        rows = [Attributes(one) for one in self.charges.get(spot, [])]
        if any(row.text("currency") not in (currency, None) for row in rows):
            return []
        return list(_charges(rows))

    def taxes_of(self, record: Record, currency: str | None) -> list[Part]:
        """The taxes of a fee record one by one, those that are not 0; empty where they are not known."""
        spot = spot_of(record)
        if spot is None or self.taxed.get(spot) != record.key:
            return []
        told = [Attributes(one) for one in _once(self.taxes.get(spot, []))]
        if any(row.text("currency") not in (currency, None) for row in told):
            return []
        return sorted(_taxes(told), key=lambda part: (part.name, part.charged))


def parts_of(records: Iterable[Record]) -> FeeParts:
    """The breakdowns among these records, and the fee records among them that they belong to."""
    parts = FeeParts()
    told = [one for one in records if one.kind in (RecordKind.FEES, RecordKind.SECTIONS)]
    ordered = sorted(told, key=lambda one: (one.account_id, len(one.key), one.key))
    for record in ordered:
        if record.kind is not RecordKind.SECTIONS or not _is_readable(record):
            continue
        spot = spot_of(record)
        if spot is not None:
            into = parts.charges if section_of(record) == COMMISSIONS else parts.taxes
            into.setdefault(spot, []).append(record)
    if not parts.charges and not parts.taxes:
        return parts
    for record in ordered:
        spot = spot_of(record) if record.kind is RecordKind.FEES else None
        if spot is not None:
            _claim(record, spot, "ibCommission", parts.charges, parts.charged)
            _claim(record, spot, "taxes", parts.taxes, parts.taxed)
    return parts


def check_part(row: Row) -> None:
    """Nothing, or UnknownPayload: the numbers of a breakdown must be readable, else its trade keeps its fee whole."""
    if row.section == COMMISSIONS:
        for name in CHARGES:
            _ = row.told.number(name)
    else:
        _ = row.told.required_number("taxAmount")


def section_relatives(records: Iterable[Record]) -> Iterator[Relative]:
    """The breakdowns that change these fees, and the trades that these breakdowns are about."""
    for record in records:
        spot = spot_of(record)
        if spot is None:
            continue
        if record.kind is RecordKind.FEES:
            for name in ("tradeID", "tradeId"):
                yield Relative(*_asked(spot, name), RecordKind.SECTIONS)
        elif record.kind is RecordKind.SECTIONS:
            yield Relative(*_asked(spot, "tradeID"))


def spot_of(record: Record) -> Spot | None:
    """Account and tradeID of a fee, or of a row that breaks one down; None for every other record."""
    if record.kind not in (RecordKind.FEES, RecordKind.SECTIONS):
        return None
    about = COMMISSIONS if record.kind is RecordKind.FEES else section_of(record)
    if about != COMMISSIONS and about not in TAXES:
        return None
    trade_id = Attributes(record).id("tradeID" if about == COMMISSIONS else "tradeId")
    return (record.account_id, trade_id) if trade_id else None


def _asked(spot: Spot, name: str) -> tuple[str, str, str]:
    return spot[0], name, spot[1]


def _is_readable(record: Record) -> bool:
    if section_of(record) != COMMISSIONS and section_of(record) not in TAXES:
        return False
    try:
        check_part(Row(Attributes(record)))
    except UnknownPayload:
        return False
    return True


def _claim(
    record: Record, spot: Spot, name: str, known: Mapping[Spot, Sequence[Record]], claimed: dict[Spot, str]
) -> None:
    """Give the parts of a trade to its charged row; of several to the oldest."""
    if spot not in known or spot in claimed:
        return
    try:
        whole = Attributes(record).number(name)
    except UnknownPayload:
        return
    if whole:
        claimed[spot] = record.key


def _once(rows: Sequence[Record]) -> Sequence[Record]:
    """The rows that tell the taxes of a trade once: its details before their sum, and those of one statement.

    A row of level SUMMARY is kept once for every window that tells it; the newest of them is taken.
    """
    named = [one for one in rows if one.payload.get(TAG) == _DETAIL]
    details = named or [one for one in rows if Attributes(one).text("levelOfDetail") == "DETAIL"] or rows
    windows = {_window(one) for one in details}
    newest = max(windows, default=None)
    return [one for one in details if _window(one) == newest]


def _window(record: Record) -> tuple[datetime, str, str]:
    """When and for which days a row was told; the same for all rows that belong to no window."""
    first, last = record.payload.get(FROM), record.payload.get(TO)
    return (record.generated_at or _NEVER, first, last) if first and last else (_NEVER, "", "")


def _charges(rows: Sequence[Attributes]) -> Iterator[Part]:
    for name, fee_type in CHARGES.items():
        told = [number for row in rows if (number := row.number(name)) is not None]
        total = reduce(EXACT.add, told, Decimal(0))
        if total:
            yield Part(fee_type, name, total)


def _taxes(rows: Sequence[Attributes]) -> Iterator[Part]:
    for row in rows:
        charged, name = row.required_number("taxAmount"), row.text("taxDescription") or "taxes"
        if charged:
            yield Part(FeeType.STAMP_DUTY if "stamp" in name.lower() else FeeType.TAX, name, charged)
