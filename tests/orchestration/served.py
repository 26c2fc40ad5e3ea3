"""Starts the whole product as a person meets it: databases, simulators, Dagster's programs and its page."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from apex_pipeline.brokers.scenario import Scenario
from apex_pipeline.orchestration.processes import HOST, free_port, serving
from apex_pipeline.orchestration.ui_token import address_of
from apex_pipeline.settings import Settings
from tests.orchestration.conftest import Place, made_place
from tests.orchestration.graphql import Ui

ANSWER_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A product with its code server, webserver and daemon running."""

    place: Place
    ui: Ui
    port: int


@contextmanager
def served_place(
    server_url: str, scenario: Scenario, home: Path, change: Callable[[Settings], Settings] = lambda told: told
) -> Generator[Served]:
    """Start everything on free ports and stop it afterwards; `change` sees the settings before they are in force."""
    port = free_port()
    with (
        made_place(server_url, scenario, home, change) as place,
        serving(place.folder, port),
        entered(place, port) as client,
    ):
        yield Served(place, Ui(client), port)


@contextmanager
def entered(place: Place, port: int) -> Generator[httpx.Client]:
    """A browser in which a person has opened the printed address."""
    own = f"http://{HOST}:{port}"
    with httpx.Client(base_url=own, headers={"origin": own}, timeout=ANSWER_SECONDS, follow_redirects=True) as client:
        assert client.get(address_of(place.folder, port)).is_success
        yield client
