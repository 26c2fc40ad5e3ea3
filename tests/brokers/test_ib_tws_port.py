"""The gateway is asked about today where it is configured, beside the statements and never in their place."""

import os
import re
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.brokers.registry import ib_port
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, LoadScope, RecordKind
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, ConfigError
from apex_pipeline.settings import environment_of, load
from tests.brokers.ib.gateways import CLIENT_ID, scenario, trading_days

TODAY, YESTERDAY = date(2026, 3, 10), date(2026, 3, 9)
NOBODY = "http://127.0.0.1:9"
TODAY_CALL = Call("ib_tws", None, ALL_MARKETS, TODAY, TODAY)


def broker(tws: TwsEndpoint | None, flex_url: str = NOBODY) -> IbBroker:
    settings = IbSettings(flex_url, "a-token", "4711", poll_seconds=0.001, patient=False, tws=tws)
    return IbBroker(settings, today=lambda: TODAY)


def endpoint(port: int = 9) -> TwsEndpoint:
    return TwsEndpoint("127.0.0.1", port, CLIENT_ID)


@pytest.mark.parametrize(
    ("ask", "calls"),
    [
        (Ask(date(2026, 3, 1), YESTERDAY, TODAY), [TODAY_CALL]),
        (Ask(date(2026, 3, 1), TODAY, TODAY), [TODAY_CALL]),
        (Ask(TODAY, TODAY, TODAY, scope=LoadScope.INTRADAY), [TODAY_CALL]),
        (Ask(date(2026, 3, 11), date(2026, 3, 11), date(2026, 3, 11), scope=LoadScope.INTRADAY), [TODAY_CALL]),
        (Ask(date(2026, 2, 1), date(2026, 2, 28), TODAY), []),
        (Ask(date(2026, 3, 1), YESTERDAY, TODAY, scope=LoadScope.CASH), []),
    ],
)
def test_today_is_asked_for_where_the_ask_reaches_to_it(ask: Ask, calls: list[Call]) -> None:
    assert broker(endpoint()).plan_states(ask, ()) == calls
    assert broker(None).plan_states(ask, ()) == []


def test_the_statements_are_planned_as_without_a_gateway() -> None:
    ask = Ask(date(2026, 3, 1), YESTERDAY, TODAY)
    assert broker(endpoint()).plan(ask, (), ()) == broker(None).plan(ask, (), ())
    assert broker(endpoint()).plan(Ask(TODAY, TODAY, TODAY, scope=LoadScope.INTRADAY), (), ()) == []


def test_the_gateway_adds_its_time_to_what_is_predicted() -> None:
    flex = Call("ib_flex", None, ALL_MARKETS, YESTERDAY, YESTERDAY)
    own = broker(endpoint())
    assert own.seconds([flex, TODAY_CALL]) == own.seconds([flex]) + 5


def test_the_gateway_only_adds_to_what_covers_a_day() -> None:
    own = broker(endpoint())
    assert own.optional_data_types == {"ib_tws"}
    assert own.covering_data_types == ("ib_flex",)
    assert set(own.data_types) == {"ib_flex", "ib_tws"}


def test_today_needs_no_statement_and_a_statement_needs_no_gateway() -> None:
    with (
        GatewaySimulator(scenario(), day=trading_days()[0]) as gateway,
        broker(endpoint(gateway.port)).connect(lambda _: None) as session,
    ):
        delivery = session.fetch(TODAY_CALL)
        with pytest.raises(BrokerUnavailable):
            session.fetch(Call("ib_flex", None, ALL_MARKETS, YESTERDAY, YESTERDAY))
    kinds = {record.kind for record in delivery.records}
    assert kinds == {RecordKind.PROVISIONAL, RecordKind.POSITIONS, RecordKind.BALANCES}
    assert list(session.accounts()) == []


def test_a_gateway_that_refuses_is_told_and_an_unset_one_is_never_asked() -> None:
    with (
        GatewaySimulator(scenario(), faults={"client_id_in_use"}) as gateway,
        broker(endpoint(gateway.port)).connect(lambda _: None) as session,
        pytest.raises(BrokerRefused, match="IB_TWS_CLIENT_ID"),
    ):
        session.fetch(TODAY_CALL)
    with broker(None).connect(lambda _: None) as session, pytest.raises(ConfigError, match="IB_TWS_HOST is not set"):
        session.fetch(TODAY_CALL)


def test_the_settings_lead_to_the_gateway_and_unset_ones_to_none(tmp_path: Path) -> None:
    told = load({"IB_TWS_HOST": "gateway.lan", "IB_TWS_PORT": "7496", "IB_TWS_CLIENT_ID": "5"}, tmp_path / "none")
    port = ib_port(told.ib)
    assert isinstance(port, IbBroker)
    assert port.settings.tws == TwsEndpoint("gateway.lan", 7496, 5)
    assert load(environment_of(told), tmp_path / "none") == told
    unset = ib_port(load({"IB_TWS_PORT": "7496"}, tmp_path / "none").ib)
    assert isinstance(unset, IbBroker)
    assert unset.settings.tws is None


def test_the_file_names_the_gateway_too(tmp_path: Path) -> None:
    file = tmp_path / "apex.yaml"
    file.write_text("ib: {tws_host: 127.0.0.1, tws_port: 4002, tws_client_id: 9}\n")
    own = load({}, file).ib
    assert (own.tws_host, own.tws_port, own.tws_client_id) == ("127.0.0.1", 4002, 9)
    defaults = load({}, tmp_path / "none").ib
    assert (defaults.tws_host, defaults.tws_port, defaults.tws_client_id) == (None, 4001, 17)


@pytest.mark.parametrize(("name", "value"), [("IB_TWS_PORT", "70000"), ("IB_TWS_CLIENT_ID", "seventeen")])
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is '{value}'"):
        load({name: value}, tmp_path / "none")


_WITHOUT_GATEWAY = """
import sys
from apex_pipeline import settings
from apex_pipeline.brokers.registry import ib_port
port = ib_port(settings.load(environ={"IB_FLEX_TOKEN": "t", "IB_FLEX_QUERY_ID": "1"%s}).ib)
with port.connect(lambda _: None) as session:
    try:
        %s
    except Exception as error:
        print(type(error).__name__)
print("ib_async" in sys.modules)
"""


def test_ib_async_is_imported_only_where_a_gateway_is_asked(tmp_path: Path) -> None:
    ask = "import datetime; from apex_pipeline.domain.records import Call; d = datetime.date(2026, 3, 10)"
    fetch = f'{ask}; session.fetch(Call("ib_tws", None, "ALL", d, d))'
    assert _run(_WITHOUT_GATEWAY % ("", "pass"), tmp_path) == ["False"]
    assert _run(_WITHOUT_GATEWAY % ("", fetch), tmp_path) == ["ConfigError", "False"]
    gateway = ', "IB_TWS_HOST": "127.0.0.1", "IB_TWS_PORT": "9"'
    assert _run(_WITHOUT_GATEWAY % (gateway, fetch), tmp_path) == ["BrokerUnavailable", "True"]


def _run(program: str, folder: Path) -> list[str]:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_the_simulator_says_how_to_reach_it(tmp_path: Path) -> None:
    program = "from apex_pipeline.cli.app import main; main()"
    command = [sys.executable, "-c", program, "simulate", "tws", "--port", "0", "--orders", "60", "--days", "60"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        try:
            assert run.stdout is not None
            found = re.fullmatch(
                r"IB_TWS_HOST=127.0.0.1 IB_TWS_PORT=(\d+) IB_TWS_CLIENT_ID=17\n", run.stdout.readline()
            )
            assert found is not None
            with broker(endpoint(int(found[1]))).connect(lambda _: None) as session:
                records = session.fetch(TODAY_CALL).records
            assert RecordKind.PROVISIONAL in {record.kind for record in records}
        finally:
            os.kill(run.pid, signal.SIGINT)
            run.wait(10)
