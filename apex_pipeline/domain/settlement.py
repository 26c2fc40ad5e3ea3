"""When a trade settles: so many settlement days after it, by market, asset class and date.

Only rules that are known stand here; for everything else the date is unknown and nobody guesses it.
Sources: 17 CFR 240.15c6-1 (US shares: T+3, T+2 from 2017-09-05, T+1 from 2024-05-28); OCC (premium of US options: the
next day; shares of an exercise follow the shares' cycle); CCASS and HKEX (shares T+2, option premium T+1); FCA (T+2
from 2014-10-06); JPX (T+2 from 2019-07-16); SGX (T+2 from 2018-12-10).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.domain.ledger import MarketDay
from apex_pipeline.domain.models import AssetClass

SHARES = (AssetClass.STOCK, AssetClass.WARRANT)
"""What trades and settles as shares do: stocks, exchange-traded funds, listed warrants."""
OPTIONS = (AssetClass.OPTION,)


@dataclass(frozen=True, slots=True)
class SettlementRule:
    """Trades from `first` to `last` (None: until today's rules change) settle `days` settlement days later."""

    market: str
    asset_classes: tuple[AssetClass, ...]
    days: int
    first: date | None = None
    last: date | None = None

    @property
    def name(self) -> str:
        """The rule in words, such as `US STOCK T+1`."""
        return f"{self.market} {self.asset_classes[0]} T+{self.days}"

    @property
    def calendar(self) -> str:
        """The calendar whose settlement days are counted."""
        return CALENDARS[self.market]


RULES = (
    SettlementRule("US", SHARES, 3, last=date(2017, 9, 4)),
    SettlementRule("US", SHARES, 2, date(2017, 9, 5), date(2024, 5, 27)),
    SettlementRule("US", SHARES, 1, date(2024, 5, 28)),
    SettlementRule("US", OPTIONS, 1),
    SettlementRule("HK", SHARES, 2),
    SettlementRule("HK", OPTIONS, 1),
    SettlementRule("UK", SHARES, 2, date(2014, 10, 6)),
    SettlementRule("JP", SHARES, 2, date(2019, 7, 16)),
    SettlementRule("SG", SHARES, 2, date(2018, 12, 10)),
)


def rule_of(market: str | None, asset_class: AssetClass, trade_date: date) -> SettlementRule | None:
    """The rule of a trade, None where none is known."""
    fitting = (rule for rule in RULES if rule.market == market and asset_class in rule.asset_classes)
    return next((rule for rule in fitting if (rule.first or date.min) <= trade_date <= (rule.last or date.max)), None)


def settlement_date(trade_date: date, days: int, calendar: Sequence[MarketDay]) -> date | None:
    """The settlement day that many after a trade date; None where the calendar does not tell all days up to it."""
    later = sorted(day.on_date for day in calendar if day.is_settlement_day and day.on_date > trade_date)
    known = any(day.on_date <= trade_date for day in calendar)
    return later[days - 1] if known and len(later) >= days else None
