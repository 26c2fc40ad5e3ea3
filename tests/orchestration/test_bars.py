"""Bars are loaded by the run that loads everything else, and fail alone."""

from datetime import timedelta

import pytest

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.errors import ConfigError
from apex_pipeline.orchestration.bars import BarsConfig
from apex_pipeline.orchestration.resources import Progress
from apex_pipeline.orchestration.running import run_range
from tests.orchestration.conftest import LAST, Place
from tests.store.rows import query

DAYS = LAST - timedelta(days=4), LAST
QUICK = {"minutes_days": 3, "most_seconds": 60}


def test_a_run_loads_bars_and_its_checks_look_at_them(place: Place) -> None:
    (outcome,) = run_range(*DAYS, ("futu",), {}, Progress(), bars=QUICK)
    assert outcome.succeeded
    assert not outcome.failed_checks
    told = outcome.metadata["ohlcv"]
    assert told["new_bars"] > 0
    assert "failures" not in told
    assert dict(query(place.db.url, "SELECT timeframe, count(*) > 0 FROM ohlcv GROUP BY 1")) == {"1d": True, "1m": True}
    assert place.materialized("ohlcv") == {(DAYS[0] + timedelta(days=n)).isoformat() for n in range(5)}
    for check in (CheckName.EVERY_BAR_IS_IN_A_SESSION, CheckName.NO_BAR_IS_MISSING):
        assert set(place.check_status(check).values()) == {"SUCCEEDED"}


def test_a_broker_that_is_offline_fails_no_step_but_is_told(place: Place) -> None:
    run_range(*DAYS, ("futu",), {}, Progress(), bars={"daily": False, "minutes_days": 0})
    place.futu.stop()
    (outcome,) = run_range(*DAYS, ("ib",), {}, Progress(), bars=QUICK)
    assert outcome.succeeded
    assert outcome.errors == {}
    assert len(outcome.metadata["ohlcv"]["failures"]) == 1
    assert query(place.db.url, "SELECT count(*) FROM ohlcv") == [(0,)]


def test_a_length_that_no_broker_is_asked_for_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="there are no bars of 7m: timeframes are 1m, 5m"):
        BarsConfig(timeframes=["7m"]).wish(*DAYS)
