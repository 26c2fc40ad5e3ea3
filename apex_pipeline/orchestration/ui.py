"""Serves Dagster's page behind the guard: `python -m apex_pipeline.orchestration.ui --port 3000`.

On the loopback interface people may do everything there; where others reach it (another interface, a proxy with a
name of its own) they may only look. At the start the guard is attacked through its own port, and nothing is served
if an attack is not refused.
"""

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

import httpx
import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.applications import Starlette

from apex_pipeline.loopback import NAMES, own_hosts, own_origins
from apex_pipeline.orchestration.ui_docs import docs_route
from apex_pipeline.orchestration.ui_guard import GRAPHQL, Door, Guard
from apex_pipeline.orchestration.ui_token import token_of

HOST = "127.0.0.1"
STATEMENT_MILLISECONDS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW = 15_000, 3_600, 20
"""What `dagster-webserver` gives its storage."""
ATTACK_SECONDS = 30
MUTATION = "mutation { setNuxSeen }"
"""An attack that would do no harm."""


def door_of(folder: Path, port: int, host: str = HOST, names: Iterable[str] = ()) -> Door:
    """What opens the page on this port; `names` are those under which a proxy serves it, by https.

    Cookies hold for all ports of a machine: each has its own.
    """
    hosts = own_hosts(port, {*NAMES, _bracketed(host)})
    origins = own_origins(hosts) | {f"https://{name}" for name in names}
    return Door(hosts | frozenset(names), origins, token_of(folder), f"apex_ui_{port}")


def serve(folder: Path, host: str, port: int, names: Sequence[str]) -> bool:
    """Serve until SIGINT or SIGTERM, read-only where others reach it; returns whether the guard held."""
    reaches_out = bool(names) or not ip_address(host).is_loopback
    with DagsterInstance.get() as instance:
        instance.optimize_for_webserver(STATEMENT_MILLISECONDS, POOL_RECYCLE_SECONDS, POOL_OVERFLOW)
        target = WorkspaceFileTarget([str(folder / "workspace.yaml")])
        with WorkspaceProcessContext(instance, target, read_only=reaches_out) as context:
            guard = Guard(_pages(context), door_of(folder, port, host, names))
            server = uvicorn.Server(uvicorn.Config(guard, host, port, log_level="warning", server_header=False))
            test = SelfTest(guard, server, host, port)
            test.start()
            server.run()
    return test.holds


def _pages(context: WorkspaceProcessContext) -> Starlette:
    """Dagster's pages and, at addresses that it leaves free, ours."""
    application = create_app_from_workspace_process_context(context)
    application.router.routes.insert(0, docs_route())
    return application


def place_of(host: str, port: int) -> str:
    """Where a server that listens there is reached from this machine."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # looked up, not listened on
    return f"http://{_bracketed(reached)}:{port}"


def _bracketed(host: str) -> str:
    """A host as addresses have it: colons of IPv6 would be taken for that of the port."""
    return f"[{host}]" if ":" in host else host


class SelfTest(threading.Thread):
    """Attacks the guard of a server that starts, then opens it, or ends the server if an attack was not refused."""

    def __init__(self, guard: Guard, server: uvicorn.Server, host: str, port: int) -> None:
        super().__init__(name="attacks the guard", daemon=True)
        self.holds = False
        self._guard = guard
        self._server = server
        self._place = place_of(host, port)

    def run(self) -> None:
        try:
            found = self._found()
        except httpx.HTTPError as error:
            found = f"the guard of the page could not be tried ({error})"
        if found:
            sys.stderr.write(f"{found}: nothing is served\n")
            self._server.should_exit = True
        else:
            self.holds = self._guard.is_open = True

    def _found(self) -> str:
        """What is wrong with the guard; nothing if it holds."""
        if not self._wait():
            return f"the page did not start within {ATTACK_SECONDS} s"
        passed = [name for name, answer in self._attacks() if answer.headers.get("x-apex-refused") != name]
        return f"the guard of the page does not hold ({', '.join(passed)})" if passed else ""

    def _wait(self) -> bool:
        deadline = time.monotonic() + ATTACK_SECONDS
        while not self._server.started and time.monotonic() < deadline:
            time.sleep(0.02)
        return self._server.started

    def _attacks(self) -> list[tuple[str, httpx.Response]]:
        """What the worst of other pages, and a program of another user of this machine, would send."""
        with httpx.Client(base_url=self._place, timeout=ATTACK_SECONDS, trust_env=False) as client:
            own = {"content-type": "application/json", "origin": self._place}
            asked = {"query": MUTATION}
            return [
                ("host", client.get(GRAPHQL, params=asked, headers={"host": "rebound.example"})),
                ("origin", client.post(GRAPHQL, json=asked, headers={"origin": "https://other.example"})),
                ("site", client.get(GRAPHQL, params=asked, headers={"sec-fetch-site": "cross-site"})),
                ("media-type", client.post(GRAPHQL, content=MUTATION, headers={"content-type": "text/plain"})),
                ("token", client.post(GRAPHQL, json=asked, headers=own)),
            ]


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return probe.connect_ex((host, port)) != 0


def main() -> int:
    """Read the arguments and serve; 1 if the guard did not hold or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m apex_pipeline.orchestration.ui", description=__doc__)
    parser.add_argument("--host", default=HOST, help="the address to listen on; beyond loopback people may only look")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--name", action="append", default=[], help="a name under which a proxy serves it by https")
    told = parser.parse_args()
    if not _free(told.host, told.port):
        parser.error(f"port {told.port} is in use")
    return 0 if serve(Path(os.environ["DAGSTER_HOME"]), told.host, told.port, told.name) else 1


if __name__ == "__main__":
    sys.exit(main())
