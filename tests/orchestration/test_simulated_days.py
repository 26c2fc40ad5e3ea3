"""Months of schedules in minutes, through Dagster's own scheduler: every trading day loaded once, none missed."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from apex_pipeline.domain import timetable
from apex_pipeline.domain.calendars import CALENDARS
from apex_pipeline.domain.models import Broker
from apex_pipeline.orchestration import schedules
from apex_pipeline.orchestration.schedules import AFTER_CLOSE, catch_up, ib_daily, weekly_reread
from apex_pipeline.settings import Settings
from apex_pipeline.store.repositories.timetable import TimetableRepository
from tests.orchestration.simulated_days import DATA_TYPES, Run, Simulation, add_trade, override, simulated, trading_days
from tests.store import coverage_book as book
from tests.store.deadlines import BEFORE, keep_days, late_at
from tests.store.rows import value

CLOSE = dict(zip(CALENDARS, AFTER_CLOSE, strict=True))
THURSDAY = datetime(2026, 3, 5, tzinfo=UTC)
DAY = timedelta(days=1)


def begin(simulation: Simulation, *markets: tuple[str, str]) -> None:
    """These brokers traded in these markets and told everything up to the day before."""
    for broker, market in markets:
        add_trade(simulation.db, broker, market)
    for broker in {broker for broker, _ in markets}:
        simulation.load(broker, simulation.now.date() - 30 * DAY, simulation.now.date() - DAY, simulation.now)


def only_futu(told: Settings) -> Settings:
    return replace(told, brokers=("futu",))


def at(simulation: Simulation, market: str) -> dict[str, str]:
    """When each session of a market was asked for (UTC)."""
    asked = [run for run in simulation.runs if (run.session or "").startswith(f"{market} ")]
    return {(run.session or "").split()[1]: f"{run.asked_at:%d %H:%M}" for run in asked}


def test_sessions_are_loaded_once_across_a_change_of_clocks_a_typhoon_and_a_half_day(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New York's clocks go forward on Sunday the 8th; Hong Kong is closed on the 10th and closes early on the 11th."""
    only = [CLOSE["US"], CLOSE["HK"], ib_daily]
    with simulated(server_url, tmp_path, THURSDAY, monkeypatch, only) as simulation:
        override(simulation.db, "XHKG", date(2026, 3, 10), "typhoon")
        override(simulation.db, "XHKG", date(2026, 3, 11), "typhoon in the afternoon", closes_at="12:00")
        begin(simulation, ("futu", "US"), ("futu", "HK"), ("ib", "US"))
        simulation.pass_until(datetime(2026, 3, 12, tzinfo=UTC))
        assert simulation.errors == []
        assert at(simulation, "US") == {
            "2026-03-05": "05 21:30", "2026-03-06": "06 21:30", "2026-03-09": "09 20:30", "2026-03-10": "10 20:30",
            "2026-03-11": "11 20:30",
        }  # fmt: skip
        assert at(simulation, "HK") == {
            "2026-03-05": "05 08:30", "2026-03-06": "06 08:30", "2026-03-09": "09 08:30", "2026-03-11": "11 04:30",
        }  # fmt: skip
        assert at(simulation, "statement") == {
            "2026-03-04": "05 11:30", "2026-03-05": "06 11:30", "2026-03-06": "07 11:30", "2026-03-09": "10 10:30",
            "2026-03-10": "11 10:30",
        }  # fmt: skip
        assert len(simulation.runs) == 5 + 4 + 5
        reasons = simulation.reasons("after_close_hk")
        assert reasons["2026-03-10 08:30"] == "XHKG is closed on 2026-03-10 (typhoon)"
        assert reasons["2026-03-08 08:30"] == "XHKG is closed on 2026-03-08 (Sunday)"
        assert reasons["2026-03-11 08:30"].startswith("XHKG closed at 12:00 on 2026-03-11")
        assert simulation.reasons("ib_daily")["2026-03-08 10:30"].startswith("there is no statement of 2026-03-07")
        (monday,) = [run for run in simulation.runs if run.session == "US 2026-03-09"]
        assert (monday.first, monday.last) == (date(2026, 3, 7), date(2026, 3, 10)), "the weekend is loaded with it"


def test_control_a_schedule_in_a_zone_without_summer_time_misses_the_sessions_of_winter(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(schedules.ZONES, "XNYS", "Etc/GMT+4")  # pyright: ignore[reportArgumentType]
    wrong = schedules._after_close("US")  # pyright: ignore[reportPrivateUsage]
    monkeypatch.undo()
    with simulated(server_url, tmp_path, THURSDAY, monkeypatch, [wrong]) as simulation:
        begin(simulation, ("futu", "US"))
        simulation.pass_until(datetime(2026, 3, 11, tzinfo=UTC))
        assert simulation.errors == []
        assert simulation.sessions("US") == ["2026-03-09", "2026-03-10"], "Thursday and Friday are missed"


def test_what_ticks_missed_while_the_machine_was_off_is_found_in_the_table_of_loads(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated(server_url, tmp_path, THURSDAY, monkeypatch, [CLOSE["US"], ib_daily, catch_up]) as simulation:
        simulation.asleep = [(datetime(2026, 3, 5, 12, tzinfo=UTC), datetime(2026, 3, 10, 9, tzinfo=UTC))]
        begin(simulation, ("futu", "US"), ("ib", "US"))
        simulation.pass_until(datetime(2026, 3, 10, 20, tzinfo=UTC))
        assert simulation.errors == []
        caught = [(run.broker, run.first, run.last) for run in simulation.runs if not run.session]
        days = date(2026, 3, 5), date(2026, 3, 10)
        assert sorted(caught) == [("futu", *days), ("ib", *days)]
        assert simulation.sessions("statement") == ["2026-03-04", "2026-03-09"], "the others came by catching up"
        assert simulation.reasons("catch_up")["2026-03-10 12:45"] == (
            "futu: every session is loaded; ib: every session is loaded"
        )


def test_a_catch_up_that_fails_is_tried_three_times_a_day(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated(server_url, tmp_path, THURSDAY, monkeypatch, [catch_up], only_futu) as simulation:
        begin(simulation, ("futu", "US"))
        simulation.length = lambda _: None
        simulation.pass_until(datetime(2026, 3, 6, 16, tzinfo=UTC))
        # the session of the fifth is due at 21:30 and late at 23:30; Hong Kong's day ends at 16:00
        assert [f"{run.asked_at:%d %H:%M}" for run in simulation.runs if run.broker == "futu"] == [
            "06 00:45", "06 02:45", "06 04:45",
        ]  # fmt: skip
        assert "tried 3 times today without success" in simulation.reasons("catch_up")["2026-03-06 06:45"]


def test_an_empty_database_is_filled_over_the_whole_look_back_once(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(told: Settings) -> Settings:
        return replace(told, lookback_days=30)

    with simulated(server_url, tmp_path, THURSDAY, monkeypatch, [catch_up], change) as simulation:
        simulation.pass_until(THURSDAY + timedelta(hours=6))
        days = date(2026, 2, 4), date(2026, 3, 5)
        assert [(run.broker, run.first, run.last) for run in simulation.runs] == [("ib", *days), ("futu", *days)]


def test_a_load_that_takes_longer_than_a_day_keeps_the_next_tick_from_starting_another(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with simulated(server_url, tmp_path, THURSDAY, monkeypatch, [CLOSE["US"], weekly_reread]) as simulation:
        begin(simulation, ("futu", "US"))
        simulation.length = lambda run: timedelta(hours=60) if run.session == "US 2026-03-05" else timedelta(minutes=1)
        simulation.pass_until(datetime(2026, 3, 10, tzinfo=UTC))
        assert simulation.sessions("US") == ["2026-03-05", "2026-03-09"]
        assert simulation.reasons("after_close_us")["2026-03-06 21:30"].startswith("the load before is still going on")
        reread = [run for run in simulation.runs if run.session is None]
        assert [(run.broker, run.first, run.last) for run in reread] == [("ib", date(2025, 12, 9), date(2026, 3, 8))], (
            "Futu's is under way"
        )


def test_no_deadline_is_missed_over_weekends_and_holidays_and_all_are_when_nothing_runs(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New York rests on Monday the 16th, Hong Kong from the 17th to the 19th."""
    only = [CLOSE["US"], CLOSE["HK"], ib_daily, weekly_reread]
    with simulated(server_url, tmp_path, datetime(2026, 2, 13, tzinfo=UTC), monkeypatch, only) as simulation:
        keep_days(simulation.db, date(2026, 1, 1), date(2026, 4, 30), "XNYS", "XHKG")
        begin(simulation, ("futu", "US"), ("futu", "HK"), ("ib", "US"))
        book.received(simulation.db, _newest_load(simulation), book.WEB)
        before: list[datetime] = []
        for moment in simulation.pass_by(12 * 24, timedelta(hours=2)):
            assert late_at(simulation.db, moment) == [], moment
            before += [moment] if late_at(simulation.db, moment, BEFORE) else []
        assert simulation.errors == []
        assert {f"{moment:%m-%d}" for moment in before} >= {"02-18", "02-24"}, (
            "control: hours of weekdays were late on the night after every Monday"
        )
        accounts = {account for account, _ in late_at(simulation.db, simulation.now + timedelta(hours=29))}
        assert accounts == {"F1", "F2", "U1"}, "control: a day and five hours without any load"


def _newest_load(simulation: Simulation) -> int:
    return value(simulation.db.url, "SELECT max(load_id) FROM loads WHERE broker = 'IB'")


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_year_loads_every_trading_day_once_through_changes_of_clocks_typhoons_failures_and_outages(
    server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs take minutes to hours, some fail, the machine is off now and then; at the end nothing is missing."""
    first, last = date(2026, 1, 1), date(2026, 12, 31)
    dice = Random(9)
    only = [CLOSE["US"], CLOSE["HK"], CLOSE["UK"], CLOSE["DE"], ib_daily, catch_up, weekly_reread]

    def length(run: Run) -> timedelta | None:
        if dice.random() < 0.03:
            return None
        return timedelta(hours=30) if dice.random() < 0.005 else timedelta(minutes=dice.randint(1, 90))

    with simulated(server_url, tmp_path, datetime(2026, 1, 1, tzinfo=UTC), monkeypatch, only) as simulation:
        typhoons = [date(2026, 7, 21), date(2026, 9, 8), date(2026, 9, 9)]
        for day in typhoons:
            override(simulation.db, "XHKG", day, "typhoon")
        override(simulation.db, "XHKG", date(2026, 8, 19), "typhoon", closes_at="14:00")
        simulation.length = length
        off = [datetime(2026, month, 10, 3, tzinfo=UTC) for month in (2, 5, 8, 11)]
        simulation.asleep = [(since, since + timedelta(hours=dice.randint(10, 100))) for since in off]
        begin(simulation, ("futu", "US"), ("futu", "HK"), ("ib", "US"), ("ib", "UK"))
        simulation.pass_until(datetime(2027, 1, 3, tzinfo=UTC))
        assert simulation.errors == []
        due = {"US": list(trading_days("XNYS", first, last)), "HK": list(trading_days("XHKG", first, last, typhoons))}
        for market, days in due.items():
            asked = Counter(simulation.sessions(market))
            assert not asked - Counter(days), "no tick on a day without a session, and none twice"
            missed = [day for day in days if day not in asked]
            assert 0 < len(missed) < 25, "control: outages make ticks be missed"
        assert simulation.sessions("DE") == []
        for broker, by_statement in (("futu", False), ("ib", True)):
            assert _missing(simulation, broker, first, by_statement=by_statement) == []
        woken = {f"{until:%d %H:%M}" for _, until in simulation.asleep}
        asked_at = {name: set(at(simulation, name).values()) for name in ("US", "HK", "statement")}
        assert woken & set().union(*asked_at.values()), "control: a machine that wakes up is late"
        clocks = {name: {when[3:] for when in instants - woken} for name, instants in asked_at.items()}
        assert clocks == {"US": {"20:30", "21:30", "18:30"}, "HK": {"08:30", "04:30"}, "statement": {"10:30", "11:30"}}


def _missing(simulation: Simulation, broker: str, first: date, *, by_statement: bool) -> list[date]:
    """Sessions that the table of loads lacks in the end; each is told by its own calendar."""
    repository, today = TimetableRepository(simulation.db), simulation.now.date()
    markets = [repository.calendar(one, first, today) for one in repository.markets_of(Broker.named(broker))]
    told = repository.told(Broker.named(broker), DATA_TYPES[broker], first, today)
    return timetable.missing_sessions(markets, told, simulation.now, by_statement=by_statement)
