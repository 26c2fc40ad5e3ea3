"""Simulators in the foreground."""

from datetime import timedelta
from enum import StrEnum

from apex_pipeline.brokers.futu.simulator import OpenDSimulator
from apex_pipeline.brokers.ib.simulator import FlexSimulator
from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.cli.console import out, say
from apex_pipeline.cli.loading import today

TOKEN, QUERY = "demo-token", "1"  # accepted by the simulator only
FUTU_PORT, FLEX_PORT = 11111, 8080


class Service(StrEnum):
    FUTU = "futu"
    FLEX = "flex"


def simulate(service: Service, port: int, seed: int, orders: int, days: int) -> None:
    """Serve one broker's side of the seeded scenario until Ctrl-C; limits are the documented ones."""
    scenario = generate(seed, orders, days, today() - timedelta(days=1))
    if service is Service.FUTU:
        futu = OpenDSimulator(scenario, port=port or FUTU_PORT)
        say("set FUTU_PORT to this port")
        futu.serve_forever()
    else:
        with FlexSimulator(scenario, TOKEN, QUERY, port=port or FLEX_PORT) as flex:
            out.print(f"IB_FLEX_URL={flex.url} IB_FLEX_TOKEN={TOKEN} IB_FLEX_QUERY_ID={QUERY}", markup=False)
            flex.serve_forever()
