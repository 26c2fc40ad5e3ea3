"""The place of a database is read from whatever a caller has, and what cannot be meant is refused by its name."""

from typing import Any

import pytest

from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import PoolSettings
from apex_pipeline.store.place import place_of

URL = "postgresql://u@h/d"


@pytest.mark.parametrize(
    "pool",
    [
        {"pool": {"min_connections": 3, "max_connections": "30"}},
        {"min_connections": 3, "max_connections": 30},
        {"pool": {"max_connections": 30}, "min_connections": 3, "timescale": {"enabled": "auto"}},
    ],
)
def test_bounds_of_a_pool_are_read_beside_the_url_or_below_pool(pool: dict[str, Any]) -> None:
    assert place_of({"url": URL, **pool}).pool == PoolSettings(3, 30)
    assert place_of({"database": {"url": URL, **pool}}).pool == PoolSettings(3, 30)


def test_what_is_told_as_nothing_is_the_default() -> None:
    assert place_of({"url": URL, "pool": None, "min_connections": None}).pool == PoolSettings()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"pool": {"max_conections": 5}}, "database.pool has an unknown key 'max_conections'; .* 'max_connections'"),
        ({"min_connections": "few"}, "min_connections must be a whole number, not 'few'"),
        ({"pool": {"min_connections": 5, "max_connections": 2}}, "a pool of 5 to 2 connections cannot be"),
        ({"passwd": "x"}, "database has an unknown key 'passwd'; the nearest known one is 'password'"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _ = place_of({"url": URL, **told})
