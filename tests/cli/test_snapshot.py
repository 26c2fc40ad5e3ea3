"""`apex snapshot` captures what the brokers hold now; `apex warm-start` says what an engine would be started from."""

from tests.cli.conftest import flex_environment
from tests.cli.flex import Flex
from tests.cli.program import Apex
from tests.cli.traded import BIG, OLD
from tests.store.rows import query, value

ONE = {"FUTU_ACC_IDS": str(BIG)}


def test_brokers_are_captured_and_a_warm_start_tells_the_same(with_futu: Apex) -> None:
    refused = with_futu("warm-start")
    assert refused.code == 1, refused.text
    migrated = with_futu("migrate")
    assert migrated.code == 0, migrated.text
    refused = with_futu("warm-start")
    assert (refused.code, refused.complaints) == (
        1, ["apex: a warm start would be refused: no account is known yet: run `apex snapshot`"],
    )  # fmt: skip
    ended = with_futu("snapshot", "--json", **ONE)
    assert ended.code == 0, ended.text
    told = ended.json()["futu"]
    assert [(one["account_id"], one["source"]) for one in told["positions"]] == [(str(BIG), "FUTU")]
    warm = with_futu("warm-start", "--json")
    assert warm.code == 0, warm.text
    held = {one["account_id"]: len(one["positions"]) for one in warm.json()["accounts"]}
    assert held == {one["account_id"]: one["position_count"] for one in told["positions"]}
    plain = with_futu("warm-start")
    assert plain.code == 0, plain.text
    assert f"FUTU {BIG}: " in plain.out
    assert "captured" in plain.out
    stale = with_futu("warm-start", "--max-age", "0", "--json")
    assert stale.code == 1
    assert "stale" in stale.json()["error"]
    assert stale.json()["accounts"] == []


def test_a_broker_that_is_away_is_one_line_and_the_other_is_captured(with_futu: Apex, flex: Flex) -> None:
    environment = {
        **flex_environment(flex),
        **ONE,
        "APEX_BROKERS": "futu,ib",
        "IB_TWS_HOST": "127.0.0.1",
        "IB_TWS_PORT": "1",
    }
    ended = with_futu("snapshot", **environment)
    assert ended.code == 1, ended.text
    assert len(ended.complaints) == 1
    assert ended.complaints[0].startswith("apex: ib: ")
    assert f"FUTU {BIG}: " in ended.out
    assert "Traceback" not in ended.text
    url = with_futu.environment["APEX_DATABASE_URL"]
    assert query(url, "SELECT DISTINCT broker FROM position_snapshots") == [("FUTU",)]
    ended = with_futu("snapshot", "--json", FUTU_PORT="1")
    assert ended.code == 1, ended.text
    assert ended.json()["futu"]["positions"] == []
    assert len(ended.json()["futu"]["errors"]) == 1
    assert value(url, "SELECT count(*) FROM position_snapshots") == 1


def test_balances_that_nobody_can_read_are_told_and_do_not_cost_the_positions(with_futu: Apex) -> None:
    ended = with_futu("snapshot", "--json")
    assert ended.code == 1, ended.text
    told = ended.json()["futu"]
    assert {one["account_id"] for one in told["positions"]} == {str(BIG), str(OLD)}
    assert [one["account_id"] for one in told["accounts"]] == [str(BIG)]
    assert told["errors"] == [
        f"not captured: balances of {OLD}: the funds do not say in which currency their totals are"
    ]


def test_credentials_are_asked_for_only_where_they_are_used(with_futu: Apex) -> None:
    ended = with_futu("snapshot", APEX_BROKERS="futu,ib", **ONE)
    assert ended.code == 0, ended.text
    assert "tells of today only through TWS" in ended.err
    ended = with_futu("snapshot", APEX_BROKERS="futu,ib", IB_TWS_HOST="127.0.0.1")
    assert ended.code == 2
    assert "IB_FLEX_TOKEN" in ended.complaints[0]
