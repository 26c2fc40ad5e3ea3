"""Simulators in the foreground."""

from enum import StrEnum
from typing import TYPE_CHECKING

from apex_pipeline.cli.console import line, say
from apex_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from apex_pipeline.brokers.scenario import Scenario

TOKEN, QUERY = "demo-token", "1"  # accepted by the simulator only
FUTU_PORT, FLEX_PORT, TWS_PORT = 11111, 8080, 4001


class Service(StrEnum):
    FUTU = "futu"
    FLEX = "flex"
    TWS = "tws"


def simulate(service: Service, port: int | None, seed: int, orders: int, days: int) -> None:
    """Serve one broker's side of the seeded scenario until Ctrl-C; limits are the documented ones.

    The first line on stdout holds the settings that lead another `apex` here. Port 0 is any free one.
    """
    from apex_pipeline.brokers.futu.simulator import OpenDSimulator
    from apex_pipeline.brokers.ib.simulator import FlexSimulator
    from apex_pipeline.brokers.scenario_generator import generate
    from apex_pipeline.cli.loading import newest_whole_day

    scenario = generate(seed, orders, days, newest_whole_day())
    if service is Service.FUTU:
        with OpenDSimulator(scenario, port=FUTU_PORT if port is None else port) as futu:
            line(f"FUTU_HOST={futu.host} FUTU_PORT={futu.port}")
            say("serving until Ctrl-C")
            futu.serve_forever()
    elif service is Service.TWS:
        _simulate_tws(scenario, TWS_PORT if port is None else port)
    else:
        number = FLEX_PORT if port is None else port
        try:
            flex = FlexSimulator(scenario, TOKEN, QUERY, port=number)
        except OSError as error:
            raise ConfigError(f"cannot listen on port {number} ({error.strerror}): choose another --port") from error
        line(f"IB_FLEX_URL={flex.url} IB_FLEX_TOKEN={TOKEN} IB_FLEX_QUERY_ID={QUERY}")
        say("serving until Ctrl-C")
        flex.serve_forever()


def _simulate_tws(scenario: "Scenario", port: int) -> None:
    """Serve a gateway that tells the newest day on which the scenario has executions at IB."""
    from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
    from apex_pipeline.domain.models import Broker

    traded = (fill.trade_date for order in scenario.orders if order.broker is Broker.IB for fill in order.fills)
    try:
        gateway = GatewaySimulator(scenario, port, day=max(traded, default=scenario.end))
    except OSError as error:
        raise ConfigError(f"cannot listen on port {port} ({error.strerror}): choose another --port") from error
    line(f"IB_TWS_HOST={gateway.host} IB_TWS_PORT={gateway.port} IB_TWS_CLIENT_ID=17")
    say(f"telling {gateway.day} until Ctrl-C")
    gateway.serve_forever()
