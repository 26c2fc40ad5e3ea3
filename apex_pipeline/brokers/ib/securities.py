"""Which instrument a row is about, and what all rows together tell of an instrument.

Trades name an instrument first; positions, SecuritiesInfo and the other sections add what is still unknown of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.brokers.ib.symbols import Named, instrument_of
from apex_pipeline.domain.models import Instrument
from apex_pipeline.errors import UnknownPayload

_NOWHERE = "XX"
_NAMES = [item.name for item in fields(Instrument)]


def named(row: Attributes) -> Named | None:
    """The instrument that a row names; None for a row about none. UnknownPayload where it cannot be read."""
    return instrument_of(row) if row.text("symbol") else None


def required(row: Attributes) -> Named:
    """The instrument that a row names; UnknownPayload `missing_symbol` if it names none."""
    return instrument_of(row)


def symbol_of(row: Attributes) -> str | None:
    """The canonical symbol of what a row of money is about; None where it does not say, or not well enough.

    The money stands whatever becomes of the name, so an unreadable contract is no reason to refuse the row.
    """
    if row.text("assetCategory") is None:
        return None
    try:
        found = named(row)
    except UnknownPayload:
        return None
    return found.instrument.symbol if found else None


def is_placed(row: Attributes, found: Named) -> bool:
    """Whether the row says enough for the market in front of the symbol: the currency, or an exchange we know.

    Trades always have a currency; a row without one must not give the same contract another name.
    """
    unplaced = (row.text("listingExchange"), row.text("exchange"), _NOWHERE)
    return row.text("currency") is not None or found.market not in unplaced


@dataclass(slots=True)
class Instruments:
    """Instruments by symbol; what was told first stands, and what comes later only fills in what is unknown."""

    by_symbol: dict[str, Instrument] = field(default_factory=dict[str, Instrument])

    def add(self, told: Instrument) -> None:
        """Take what a row tells of an instrument."""
        known = self.by_symbol.get(told.symbol)
        if known != told:
            self.by_symbol[told.symbol] = told if known is None else enriched(known, told)

    def add_all(self, told: Iterable[Instrument]) -> None:
        """Take what several rows tell."""
        for instrument in told:
            self.add(instrument)


def enriched(known: Instrument, told: Instrument) -> Instrument:
    """`known`, with what only `told` says; the same object where that is nothing."""
    if known.ib_conid and told.ib_conid and known.ib_conid != told.ib_conid:
        return known
    missing = {name: value for name in _NAMES if getattr(known, name) is None and (value := getattr(told, name))}
    return replace(known, **missing) if missing else known


def without_name(instrument: Instrument) -> Instrument:
    """The instrument of a row whose description is about an event, not about the instrument."""
    return replace(instrument, name=None)
