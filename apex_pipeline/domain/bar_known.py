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
from apex_pipeline.domain.bar_hours import SeriesHours, Session, date_of_bar, tick
from apex_pipeline.domain.market import AROUND_THE_CLOCK, Adjustment, Bar, BarAnswer, BarGap, GapReason
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
    if known.series.is_endless:
        # what is due around the clock is due on the days that are looked at, not on those between them
        each = (Span(*stretch, tick(now)) for one in known.sessions for stretch in one.parts)
        lost = [bar for span in each for bar in known.series.missing(known.sessions, span)]
    elif known.is_countable:
        lost = known.series.missing(known.sessions, Span(-_EVER, _EVER, tick(now)))
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

    A refusal, or a day without any bar though each is due or we traded ourselves: the broker has none to give. Else
    nobody traded. What a person said stands, and in the face of a refusal what a broker said of its own market; what
    was known before keeps its moment.
    """
    own = known.own() if known.sessions else []
    rows = [gap for gap in own if answer.refusal is not None and gap.reason is GapReason.NO_TRADE]
    standing = [gap for gap in known.told if gap not in own or gap in rows]
    told_days = {date_of_bar(at, known.series.hours) for at in known.series.opened}
    before = {(gap.from_at, gap.to_at, gap.reason, gap.source): gap for gap in own}
    for gap in lacking(replace(known, told=standing), now):
        if gap.is_explained:
            continue
        day = _day(gap, known)
        # that a stock was not traded for a whole session is rarer than a vendor without its bars
        is_untold = answer.refusal is not None or (day not in told_days and (day in fills or known.is_countable))
        reason = GapReason.VENDOR if is_untold else GapReason.NO_TRADE
        row = gap.said(reason, answer.refusal, broker.value, now)
        same = before.get((row.from_at, row.to_at, row.reason, row.source))
        rows.append(same if same and reason is GapReason.NO_TRADE else row)
    return rows


def is_asked_by_session(hours: SeriesHours) -> bool:
    """Whether each bar of a session is due, and sessions are asked for one by one: some of them by nobody."""
    return hours.calendar not in (None, AROUND_THE_CLOCK) and not hours.is_sparse and not hours.is_daily


def unasked(known: Known, now: datetime) -> list[BarGap]:
    """Sessions without any bar that nobody asked for, between those of a series that is loaded by session.

    Of each session that has bars one is enough.
    """
    if not is_asked_by_session(known.series.hours) or not known.series.opened:
        return []
    first, last = (date_of_bar(known.series.opened[n], known.series.hours) for n in (0, -1))
    empty = [one for one in known.sessions if first < one.on_date < last and not known.series.is_told(one)]
    return [
        gap.said(GapReason.NOT_ASKED, None, PIPELINE, now)
        for gap in lacking(replace(known, sessions=empty), now)
        if not gap.is_explained
    ]


def not_twice(bars: Iterable[Bar], known: Series) -> list[Bar]:
    """The bars to keep: one of a day that a series tells already under another instant would tell it twice."""
    if not known.hours.is_daily:
        return list(bars)
    told = {date_of_bar(at, known.hours): at for at in known.opened}
    return [bar for bar in bars if told.get(date_of_bar(at := tick(bar.opened_at), known.hours), at) == at]


def not_worse(bars: Iterable[Bar], as_traded: Collection[datetime]) -> list[Bar]:
    """The bars to keep: one that was adjusted does not replace one as it was traded."""
    return [bar for bar in bars if bar.adjustment is Adjustment.NONE or bar.opened_at not in as_traded]


def _whole(session: Session) -> MissingBar:
    begin, end = session.parts[0][0], session.parts[-1][1]
    return MissingBar(begin, end, (begin, end))


def _day(gap: FoundGap, known: Known) -> date:
    """The exchange's date of a gap."""
    return date_of_bar(tick(gap.from_at), known.series.hours)
