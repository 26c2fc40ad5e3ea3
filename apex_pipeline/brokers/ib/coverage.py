"""Which days a document covers: what its statements say of themselves, and how weekends between them count. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from apex_pipeline.brokers.ib.flex_client import Window
from apex_pipeline.brokers.ib.identity import moment_of
from apex_pipeline.brokers.ib.told import Told
from apex_pipeline.domain.records import ALL_MARKETS, Covered

DATA_TYPE = "ib_flex"
_SATURDAY = 5
_DAY = timedelta(days=1)


def lacks_executions(told: Told) -> bool:
    """True if the statement shows trades at another level than the one that is loaded."""
    return not told.executions and (bool(told.orders) or "TradeConfirms" in told.sections)


def has_trades(told: Told) -> bool:
    """Whether the statement has a place for trades: IB writes an empty section where there were none.

    Without one, a file may be of a query about something else, and the web service is told in a note.
    """
    return bool({"Trades", "Trade"} & told.sections.keys())


def accounts_of(statements: Sequence[Told]) -> list[str]:
    """The accounts that a document has statements of."""
    return sorted({told.statement.account_id for told in statements if told.statement.account_id})


def covered(statements: Sequence[Told], order: str, asked: Window | None) -> list[Covered]:
    """The days that the statements cover, for each account."""
    return [
        part
        for account in accounts_of(statements)
        for part in _of_account(account, [t for t in statements if t.statement.account_id == account], order, asked)
    ]


def gaps(asked: Window, accounts: Sequence[str], told: Sequence[Covered]) -> Iterable[str]:
    """One sentence for each account whose statements leave asked days out."""
    for account in accounts:
        days = {d for part in told if part.account_id == account for d in _span(part.from_date, part.to_date)}
        missing = {day for day in _span(asked.from_date, asked.to_date) if day not in days}
        if missing and not (days and all(day.weekday() >= _SATURDAY for day in missing)):
            runs = ", ".join(f"{first}..{last}" for first, last in _runs(missing))
            yield f"account {account}: asked for {asked}, but the answer does not cover {runs}"


def _of_account(account: str, statements: Sequence[Told], order: str, asked: Window | None) -> Iterable[Covered]:
    whole = [told for told in statements if not lacks_executions(told) and (asked or has_trades(told))]
    windows = [told.window for told in whole if told.window]
    days = {day for first, last in windows for day in _span(first, last)}
    counts: dict[date, int] = defaultdict(int)
    for told in statements:
        for (owner, day), count in told.records.items():
            counts[day] += count if owner == account else 0
    newest = max(((told.newest_day, told.newest) for told in statements), default=(date.min, ""))
    for first, last in _runs(_with_weekends(days, asked) if asked else days):
        inside = sum(count for day, count in counts.items() if first <= day <= last)
        moment: datetime | None = moment_of(newest[1], order) if first <= newest[0] <= last else None
        yield Covered(account, DATA_TYPE, ALL_MARKETS, first, last, inside, moment)


def _with_weekends(days: set[date], asked: Window) -> set[date]:
    """The asked days among `days`, and the weekends that only touch covered days or the edge of the window.

    Statements of business days leave weekends out, on which nothing can have traded.
    """
    inside = {day for day in _span(asked.from_date, asked.to_date) if day in days}
    if not inside:
        return inside
    for first, last in _runs({day for day in _span(asked.from_date, asked.to_date) if day not in inside}):
        before, after = first - _DAY, last + _DAY
        only_weekend = all(day.weekday() >= _SATURDAY for day in _span(first, last))
        if only_weekend and (before in inside or after in inside):
            inside.update(_span(first, last))
    return inside


def _span(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _runs(days: Iterable[date]) -> list[tuple[date, date]]:
    """Consecutive days as (first, last)."""
    runs: defaultdict[int, list[date]] = defaultdict(list)
    for position, day in enumerate(sorted(days)):
        runs[day.toordinal() - position].append(day)
    return [(run[0], run[-1]) for run in runs.values()]
