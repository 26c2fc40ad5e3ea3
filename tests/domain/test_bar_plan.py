"""Who is asked for which bars: what is wanted, in which order, and never more of a quota than it takes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from apex_pipeline.domain.bar_plan import BarWish, Listed, Plan, Teller, Wanted, askable, plan, wanted_days
from apex_pipeline.domain.market import BarAsk, BarQuota, Timeframe
from apex_pipeline.domain.models import Broker

TODAY = date(2026, 3, 13)
DAYS = [TODAY - timedelta(days=n) for n in range(60)]
SESSIONS = sorted(day for day in DAYS if day.weekday() < 5)
WISH = BarWish(date(2026, 3, 12), TODAY, TODAY)


def listed(symbol: str = "US.X", **values: Any) -> Listed:
    codes = {Broker.FUTU: symbol, Broker.IB: symbol}
    usual: dict[str, Any] = {"codes": codes, "is_followed": True}
    return Listed(symbol, "US", **(usual | values))


def wanted(one: Listed, *days: date, timeframe: Timeframe = Timeframe.DAY, **values: Any) -> Wanted:
    return Wanted(one, timeframe, days or (TODAY,), **values)


def anything(_ask: BarAsk, _today: date) -> bool:
    return True


def teller(broker: Broker, quota: BarQuota | None = None, offers: Callable[[BarAsk, date], bool] = anything) -> Teller:
    return Teller(broker, offers, quota)


def futu(remaining: int, *asked: str) -> Teller:
    return teller(Broker.FUTU, BarQuota(remaining, frozenset(asked)))


IB = teller(Broker.IB)


def planned(some: list[Wanted], *tellers: Teller, wish: BarWish = WISH) -> Plan:
    return plan(some, tellers, wish, SESSIONS)


def test_days_are_wanted_of_what_is_followed_and_minutes_of_the_days_with_fills() -> None:
    fills = (date(2026, 2, 1), date(2026, 2, 20), date(2026, 3, 12))
    told = wanted_days(listed(fills=fills), WISH)
    assert told[Timeframe.MINUTE] == [date(2026, 2, 20), date(2026, 3, 12)], "of the last 30 days"
    assert (told[Timeframe.DAY][0], told[Timeframe.DAY][-1]) == (WISH.since, TODAY)
    assert wanted_days(listed(fills=fills[2:]), WISH)[Timeframe.DAY] == [date(2026, 3, 12), TODAY]
    assert wanted_days(listed(is_followed=False), WISH) == {}


def test_nothing_is_wanted_after_an_expiry() -> None:
    told = wanted_days(listed(expiry=date(2026, 3, 6), fills=(date(2026, 3, 5), date(2026, 3, 9))), WISH)
    assert told == {
        Timeframe.DAY: [date(2026, 3, 5), date(2026, 3, 6)], Timeframe.MINUTE: [date(2026, 3, 5)]
    }  # fmt: skip
    assert wanted_days(listed(expiry=date(2025, 3, 6)), WISH) == {}


def test_what_a_person_names_is_wanted_of_every_day() -> None:
    wish = BarWish(date(2026, 3, 10), TODAY, TODAY, daily=False, minutes_days=0, symbols=("US.X",),
                   timeframes=(Timeframe.HOUR,))  # fmt: skip
    assert wanted_days(listed(fills=(TODAY,)), wish) == {Timeframe.HOUR: [date(2026, 3, n) for n in (10, 11, 12, 13)]}
    assert wanted_days(listed("US.Y", fills=(TODAY,)), wish) == {}


def test_the_quota_is_not_spent_on_what_another_broker_tells() -> None:
    found = planned([wanted(listed())], futu(5), IB)
    assert list(found.asks) == [Broker.IB]
    assert list(planned([wanted(listed())], futu(5)).asks) == [Broker.FUTU], "unless there is no other"
    of_futu = listed(codes={Broker.FUTU: "US.X"})
    assert list(planned([wanted(of_futu)], futu(5), IB).asks) == [Broker.FUTU]


def test_what_was_asked_of_a_quota_before_costs_nothing() -> None:
    assert list(planned([wanted(listed())], futu(0, "US.X"), IB).asks) == [Broker.FUTU]


def test_one_series_is_told_by_one_broker_as_long_as_it_can() -> None:
    one = wanted(listed(), told_by=Broker.FUTU)
    assert list(planned([one], futu(5), IB).asks) == [Broker.FUTU]
    assert list(planned([one], futu(0), IB).asks) == [Broker.IB]
    assert list(planned([wanted(listed(), told_by=Broker.IB)], futu(5, "US.X"), IB).asks) == [Broker.IB]


def test_a_series_waits_for_who_told_it_while_that_broker_is_away_and_no_longer() -> None:
    away = replace(futu(5), is_away=True)
    some = [
        wanted(listed("US.A"), told_by=Broker.FUTU),
        wanted(listed("US.B"), told_by=Broker.IB),
        wanted(listed("US.C")),
    ]
    found = planned(some, away, IB)
    assert [one.listed.symbol for one in found.waiting] == ["US.A"]
    assert [ask.symbol for ask in found.asks[Broker.IB]] == ["US.B", "US.C"]
    assert list(planned(some[:1], IB).asks) == [Broker.IB], "a broker that is configured no more"
    refused = replace(some[0], refused_by=frozenset({Broker.FUTU}))
    assert list(planned([refused], away, IB).asks) == [Broker.IB], "one that had none would not be asked anyway"
    assert planned(some[:1], away).waiting == some[:1]


def test_a_quota_ends_where_it_is_missed_least() -> None:
    some = [wanted(listed(f"US.{n}", last_on=TODAY - timedelta(days=n))) for n in range(6)]
    found = planned([some[n] for n in (3, 0, 5, 1, 4, 2)], futu(3))
    assert [ask.symbol for ask in found.asks[Broker.FUTU]] == ["US.0", "US.1", "US.2"]
    assert sorted(one.listed.symbol for one in found.left) == ["US.3", "US.4", "US.5"]


def test_two_lengths_of_one_instrument_take_one_of_the_quota() -> None:
    one = listed()
    both = [wanted(one), wanted(one, timeframe=Timeframe.MINUTE)]
    found = planned(both, futu(1))
    assert [ask.timeframe for ask in found.asks[Broker.FUTU]] == [Timeframe.MINUTE, Timeframe.DAY]
    assert not found.left


def test_days_and_minutes_take_turns() -> None:
    some = [
        wanted(listed(f"US.{n}"), timeframe=length) for n in range(2) for length in (Timeframe.DAY, Timeframe.MINUTE)
    ]
    asks = planned(some, IB).asks[Broker.IB]
    assert [(ask.symbol, ask.timeframe.value) for ask in asks] == [
        ("US.0", "1m"), ("US.0", "1d"), ("US.1", "1m"), ("US.1", "1d")
    ]  # fmt: skip


def test_days_are_one_ask_and_minutes_are_asked_by_neighbouring_sessions() -> None:
    days = [date(2026, 3, n) for n in (4, 6, 9, 13)]
    (whole,) = planned([wanted(listed(), *days)], IB).asks[Broker.IB]
    assert (whole.from_date, whole.to_date) == (days[0], days[-1])
    parts = planned([wanted(listed(), *days, timeframe=Timeframe.MINUTE)], IB).asks[Broker.IB]
    assert [(ask.from_date.day, ask.to_date.day) for ask in parts] == [(13, 13), (6, 9), (4, 4)]


def test_many_sessions_are_many_asks_so_that_a_limit_that_is_reached_leaves_what_was_told() -> None:
    for timeframe, most in ((Timeframe.MINUTE, 5), (Timeframe.HOUR, 25), (Timeframe.DAY, 60)):
        asks = planned([wanted(listed(), *SESSIONS, timeframe=timeframe)], IB).asks[Broker.IB]
        parts = [[day for day in SESSIONS if ask.from_date <= day <= ask.to_date] for ask in asks]
        assert [day for part in reversed(parts) for day in part] == SESSIONS, "each once, newest first"
        assert {len(part) for part in parts[:-1]} <= {most}
        assert len(parts[-1]) <= most


def test_a_broker_that_had_nothing_is_not_asked_again_until_it_is_time() -> None:
    one = wanted(listed(), refused_by=frozenset({Broker.IB}))
    assert planned([one], IB).asks == {}
    assert not planned([one], IB).left
    assert list(planned([one], futu(1), IB).asks) == [Broker.FUTU]
    again = BarWish(WISH.first, TODAY, TODAY, again=True)
    assert list(planned([one], IB, wish=again).asks) == [Broker.IB]


def test_what_a_broker_cannot_have_is_asked_of_the_other_or_of_nobody() -> None:
    never = teller(Broker.IB, offers=lambda _ask, _today: False)
    assert list(planned([wanted(listed())], futu(1), never).asks) == [Broker.FUTU]
    assert planned([wanted(listed())], never) == Plan({}, [], [])
    assert askable([wanted(listed())], [never, futu(0)], WISH) == {Broker.FUTU}
    assert askable([], [IB], WISH) == set()


def test_bars_last_as_long_as_their_name_says() -> None:
    assert [int(timeframe.length.total_seconds()) for timeframe in Timeframe] == [60, 300, 900, 1800, 3600, 86_400]
