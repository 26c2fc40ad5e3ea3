"""What is known of a series of bars: the days to ask for, and why an answer lacks bars. Pure.

A day is known if none of its bars is missing, or somebody said why; what a broker had none of to give may be asked of
another one, and of the same one after a while. Where nothing tells when bars are due (options trade seldom, futures at
hours of their own) any bar makes a day known.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from apex_pipeline.domain.bar_gaps import FoundGap, MissingBar, Series, Span, found_gaps
from apex_pipeline.domain.bar_hours import Session, date_of_bar, tick
from apex_pipeline.domain.market import Adjustment, Bar, BarAnswer, BarGap, GapReason
from apex_pipeline.domain.models import Broker

PIPELINE = "PIPELINE"
"""The source of gaps that nobody was asked about."""

_BROKERS = frozenset(broker.value for broker in Broker)
_EVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Known:
    """What is stored around some sessions that are over: bars, and what was said of those that are not there."""

    symbol: str
    timeframe: str
    series: Series
    sessions: Sequence[Session]
    told: Sequence[BarGap]

    @property
    def is_countable(self) -> bool:
        """Whether each bar of a session is due."""
        return self.series.hours.calendar is not None and not self.series.hours.is_sparse

    def own(self) -> list[BarGap]:
        """What loads, and not people, said of these sessions."""
        first, last = self.sessions[0].parts[0][0], self.sessions[-1].parts[-1][1]
        return [
            gap for gap in self.told
            if (gap.source in _BROKERS or gap.reason is GapReason.NOT_ASKED)
            and tick(gap.to_at) > first and tick(gap.from_at) < last
        ]  # fmt: skip


def lacking(known: Known, now: datetime) -> list[FoundGap]:
    """Missing bars of these sessions with what was said of them; where none is due, sessions without any bar."""
    if not known.sessions:
        return []
    first, last = known.sessions[0].parts[0][0], known.sessions[-1].parts[-1][1]
    if known.is_countable:
        span = Span(first, last, tick(now)) if known.series.is_endless else Span(-_EVER, _EVER, tick(now))
        lost = known.series.missing(known.sessions, span)
    else:
        lost = [_whole(one) for one in known.sessions if not known.series.is_told(one)]
    parts = [part for one in known.sessions for part in one.parts]
    return found_gaps(known.symbol, known.timeframe, lost, known.told, parts)


def open_days(known: Known, now: datetime, since: datetime) -> dict[date, frozenset[Broker]]:
    """Days to ask for, and the brokers that had nothing to give of them after `since`."""
    told = [gap for gap in known.told if gap.reason is not GapReason.NOT_ASKED]
    days: defaultdict[date, frozenset[Broker]] = defaultdict(frozenset)
    for gap in lacking(replace(known, told=told), now):
        if gap.source is None:
            days[_day(gap, known)] |= set[Broker]()
        elif gap.reason is GapReason.VENDOR and gap.source in _BROKERS:
            is_fresh = gap.found_at is not None and gap.found_at > since
            days[_day(gap, known)] |= {Broker(gap.source)} if is_fresh else set[Broker]()
    return dict(days)


def explained(known: Known, answer: BarAnswer, broker: Broker, fills: Collection[date], now: datetime) -> list[BarGap]:
    """Why bars of these sessions are not there, as the broker's answer tells it; `known` holds its bars already.

    A refusal, or a day without any bar on which we traded ourselves: the broker has none to give. Else nobody traded.
    What a person said stands; what was known before keeps its moment.
    """
    own = known.own() if known.sessions else []
    people = [gap for gap in known.told if gap not in own]
    told_days = {date_of_bar(at, known.series.hours) for at in known.series.opened}
    before = {(gap.from_at, gap.to_at, gap.reason, gap.source): gap for gap in own}
    rows: list[BarGap] = []
    for gap in lacking(replace(known, told=people), now):
        if gap.is_explained:
            continue
        day = _day(gap, known)
        is_untold = answer.refusal is not None or (day in fills and day not in told_days)
        reason = GapReason.VENDOR if is_untold else GapReason.NO_TRADE
        row = BarGap(known.symbol, known.timeframe, gap.from_at, gap.to_at, reason, answer.refusal, broker.value, now)
        same = before.get((row.from_at, row.to_at, row.reason, row.source))
        rows.append(same if same and reason is GapReason.NO_TRADE else row)
    return rows


def unasked(known: Known, now: datetime) -> list[BarGap]:
    """Sessions without any bar that nobody asked for, between those of a series that is loaded by day."""
    if not known.is_countable or known.series.hours.is_daily or known.series.is_endless:
        return []
    opened = {date_of_bar(at, known.series.hours) for at in known.series.opened}
    inside = [one for one in known.sessions if opened and min(opened) < one.on_date < max(opened)]
    return [
        BarGap(known.symbol, known.timeframe, gap.from_at, gap.to_at, GapReason.NOT_ASKED, None, PIPELINE, now)
        for gap in lacking(replace(known, sessions=inside), now)
        if not gap.is_explained and _day(gap, known) not in opened
    ]


def not_worse(bars: Iterable[Bar], as_traded: Collection[datetime]) -> list[Bar]:
    """The bars to keep: one that was adjusted does not replace one as it was traded."""
    return [bar for bar in bars if bar.adjustment is Adjustment.NONE or bar.opened_at not in as_traded]


def _whole(session: Session) -> MissingBar:
    begin, end = session.parts[0][0], session.parts[-1][1]
    return MissingBar(begin, end, (begin, end))


def _day(gap: FoundGap, known: Known) -> date:
    """The exchange's date of a gap."""
    return date_of_bar(tick(gap.from_at), known.series.hours)
