"""The run config of bars, which a person may change in the UI."""

from datetime import date

import dagster as dg

from apex_pipeline.domain.bar_plan import MINUTES_DAYS, BarWish
from apex_pipeline.domain.market import Timeframe
from apex_pipeline.errors import ConfigError
from apex_pipeline.live.bars import MOST_SECONDS
from apex_pipeline.live.history import today


class BarsConfig(dg.Config):
    """Which bars to load for the days of the run; see `domain.bar_plan.BarWish`. `symbols` come in addition,
    with bars of `timeframes`, daily ones if none are told."""

    daily: bool = True
    minutes_days: int = MINUTES_DAYS
    symbols: list[str] | None = None
    timeframes: list[str] | None = None
    again: bool = False
    most_seconds: float = MOST_SECONDS

    def wish(self, first: date, last: date) -> BarWish:
        """The configured bars of these days; raises ConfigError for a length that no broker is asked for."""
        wanted = self.timeframes or [Timeframe.DAY.value]
        known = {timeframe.value: timeframe for timeframe in Timeframe}
        if unknown := [name for name in wanted if name not in known]:
            raise ConfigError(f"there are no bars of {', '.join(unknown)}: timeframes are {', '.join(known)}")
        return BarWish(
            first=first,
            last=min(last, today()),
            today=today(),
            daily=self.daily,
            minutes_days=self.minutes_days,
            symbols=tuple(self.symbols or ()),
            timeframes=tuple(known[name] for name in wanted),
            again=self.again,
        )
