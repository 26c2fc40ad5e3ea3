"""An IB Gateway on the loopback interface that tells one day of a scenario to clients of the TWS API.

It answers what a client asks to learn the state of the accounts (executions, positions, summary, account values,
open and completed orders) and about bars, and ignores everything else: nothing can be ordered here.
"""

import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Event, Thread
from types import TracebackType
from typing import Self, final

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.simulator_tws_history import HistoryDesk
from apex_pipeline.brokers.ib.simulator_tws_rows import NEW_YORK, DayRows, combination_of, revision_of
from apex_pipeline.brokers.ib.simulator_tws_wire import NO_REQUEST, NotTheApi, Wire
from apex_pipeline.brokers.ib.tws_messages import Row
from apex_pipeline.brokers.scenario import Scenario

NEWEST_VERSION = 178
_HOST = "127.0.0.1"
_BEATS = 0.3
_PRICE_CORRECTION = "1.25"


@final
class GatewaySimulator:
    """Serves one day until `stop`; `with` starts and stops it, `serve_forever` stays in the foreground.

    `day`: the exchanges' trade date that is told; by default the scenario's last. `version`: the newest server
    version it speaks (157 to 178 for ib_async). `used_client_ids` get error 326.

    `faults` may be changed while it runs: `no_answer` (accepts and says nothing), `no_accounts` (a gateway nobody
    logged in to), `client_id_in_use` (326 for every id), `no_execution_end`, `no_filtered_executions` and
    `no_unfiltered_executions` (requests with, or without, an account filter are never answered), `no_positions`,
    `no_summary`, `late_commissions` (sent after `late_seconds`, never where that is None), `revised_execution` (the
    first execution comes again, corrected to the price 1.25 under the next revision), `combo_parent` (the first
    execution comes as the leg of a combination too, whose parent is told), `no_time_zone`, `utc_time`, `wrong_zone`
    (a zone that no program knows), `drop_connection` (in the middle of the executions), `slow` (0.3 s before each
    answer), `cut_off` (1100: no connection to IB), `other_account` (an execution of an account it does not manage),
    `malformed_execution` (fields are missing), `no_greeting_zone`, `no_commission_value` (unset). Those about bars are
    told at `HistoryDesk`.
    """

    def __init__(
        self,
        scenario: Scenario,
        port: int = 0,
        *,
        day: date | None = None,
        version: int = NEWEST_VERSION,
        faults: Iterable[str] = (),
        used_client_ids: Iterable[int] = (),
        late_seconds: float | None = None,
    ) -> None:
        self.faults = set(faults)
        self.late_seconds = late_seconds
        self.requests: list[list[str]] = []
        self.rows = DayRows(scenario, day or scenario.end)
        self.history = HistoryDesk(scenario, lambda: self.faults)
        self._version = version
        self._used = frozenset(used_client_ids)
        self._server = _Server((_HOST, port), _Handler)
        self._server.simulator = self
        self._serving, self._stopped = Event(), Event()

    @property
    def day(self) -> date:
        """The trade date that it tells."""
        return self.rows.day

    @property
    def host(self) -> str:
        """Where it listens."""
        return _HOST

    @property
    def port(self) -> int:
        """On which port it listens."""
        return self._server.server_address[1]

    def start(self) -> Self:
        """Serve in a thread of its own."""
        Thread(target=self.serve_forever, name="tws-simulator", daemon=True).start()
        _ = self._serving.wait()
        return self

    def stop(self) -> None:
        """Stop serving, also `serve_forever` in another thread, end connections and free the port."""
        self._stopped.set()
        if self._serving.is_set():
            self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until it is interrupted or stopped."""
        self._serving.set()
        try:
            self._server.serve_forever(0.01)  # how long `stop` may take
        finally:
            self._serving.clear()
            self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def converse(self, connection: socket.socket) -> None:
        """Serve one client until it leaves."""
        if "no_answer" in self.faults:
            _ = self._stopped.wait()
            return
        wire = Wire(connection)
        zone = "" if "no_greeting_zone" in self.faults else " US/Eastern"
        wire.greet(self._version, f"{datetime.now(NEW_YORK):%Y%m%d %H:%M:%S}{zone}")
        for fields in wire.requests():
            self.requests.append(fields)
            if "slow" in self.faults:
                _ = self._stopped.wait(_BEATS)
            if not self._answer(wire, fields):
                return

    def _answer(self, wire: Wire, fields: list[str]) -> bool:
        """Answer one request; False where the connection ends."""
        answers: dict[str, Callable[[Wire, list[str]], bool | None]] = {
            messages.START_API: self._log_in,
            messages.REQUEST_EXECUTIONS: self._executions,
            messages.REQUEST_POSITIONS: self._positions,
            messages.REQUEST_SUMMARY: self._summary,
            messages.REQUEST_ACCOUNT_UPDATES: self._account_updates,
            messages.REQUEST_UPDATES_MULTI: lambda wire, told: wire.send(messages.UPDATES_MULTI_END, "1", told[2]),
            messages.REQUEST_TIME: lambda wire, _: wire.send(messages.TIME, "1", str(int(time.time()))),
            messages.REQUEST_OPEN_ORDERS: lambda wire, _: wire.send(messages.OPEN_ORDERS_END, "1"),
            messages.REQUEST_CONTRACT: self.history.contract,
            messages.REQUEST_BARS: self.history.bars,
            messages.REQUEST_HEAD: self.history.oldest,
            messages.REQUEST_COMPLETED_ORDERS: lambda wire, _: wire.send(messages.COMPLETED_ORDERS_END),
        }
        answer = answers.get(fields[0])
        return answer is None or answer(wire, fields) is not False

    def _log_in(self, wire: Wire, fields: list[str]) -> bool:
        client_id = int(fields[2])
        if "client_id_in_use" in self.faults or client_id in self._used:
            wire.error(NO_REQUEST, 326, "Unable to connect as the client id is already in use. Retry with a unique id.")
            return False
        wire.error(NO_REQUEST, 2104, "Market data farm connection is OK:usfarm")
        if "cut_off" in self.faults:
            wire.error(NO_REQUEST, 1100, "Connectivity between IBKR and Trader Workstation has been lost.")
        if "no_accounts" not in self.faults:
            wire.send(messages.MANAGED_ACCOUNTS, "1", ",".join(self.rows.accounts))
        wire.send(messages.NEXT_VALID_ID, "1", "1")
        return True

    def _executions(self, wire: Wire, fields: list[str]) -> bool:
        request, account = fields[2], fields[4]
        if ("no_filtered_executions" if account else "no_unfiltered_executions") in self.faults:
            return True
        told = [row for row in self._told() if account in ("", row["acctNumber"])]
        for number, row in enumerate(told):
            if "drop_connection" in self.faults and number * 2 >= len(told):
                return False
            wire.execution(request, row)
        if "other_account" in self.faults and told:
            wire.execution(request, {**told[0], "acctNumber": "U9999999", "execId": "0000ffff.00000001.01.01"})
        if "malformed_execution" in self.faults:
            wire.send(messages.EXECUTION, request, "0", "265598", "AAPL")
        self._commissions(wire, {row["execId"] for row in told})
        if "no_execution_end" not in self.faults:
            wire.send(messages.EXECUTIONS_END, "1", request)
        return True

    def _told(self) -> list[Row]:
        form = "bare" if "no_time_zone" in self.faults else "utc" if "utc_time" in self.faults else "zone"
        rows = self.rows.executions(form)
        if "wrong_zone" in self.faults:
            rows = [{**row, "time": row["time"].replace("US/Eastern", "Mars/Olympus")} for row in rows]
        if "combo_parent" in self.faults and rows:
            rows.append(combination_of({**rows[0], "execId": rows[0]["execId"].replace(".01.01", ".02.01")}))
        if "revised_execution" in self.faults and rows:
            rows.append(revision_of(rows[0], _PRICE_CORRECTION))
        return rows

    def _commissions(self, wire: Wire, exec_ids: set[str]) -> None:
        reports = [row for row in self.rows.commissions() if row["execId"] in exec_ids]
        if "no_commission_value" in self.faults:
            reports = [{**row, "commission": row["realizedPNL"]} for row in reports]
        if "late_commissions" not in self.faults:
            for row in reports:
                wire.commission(row)
        elif self.late_seconds is not None:
            Thread(target=self._send_late, args=(wire, reports, self.late_seconds), daemon=True).start()

    def _send_late(self, wire: Wire, reports: list[Row], seconds: float) -> None:
        if not self._stopped.wait(seconds):
            with suppress(OSError):
                for row in reports:
                    wire.commission(row)

    def _positions(self, wire: Wire, _fields: list[str]) -> None:
        if "no_positions" in self.faults:
            return
        for row in self.rows.positions():
            wire.position(row)
        wire.send(messages.POSITIONS_END, "1")

    def _summary(self, wire: Wire, fields: list[str]) -> None:
        if "no_summary" in self.faults:
            return
        for row in self.rows.summary():
            wire.summary(fields[2], row)
        wire.send(messages.SUMMARY_END, "1", fields[2])

    def _account_updates(self, wire: Wire, fields: list[str]) -> None:
        wire.send(messages.ACCOUNT_DOWNLOAD_END, "1", fields[-1])


class _Server(ThreadingTCPServer):
    simulator: GatewaySimulator
    daemon_threads: bool = True
    allow_reuse_address: bool = True
    block_on_close: bool = False


class _Handler(BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        with suppress(NotTheApi, OSError):
            self.server.simulator.converse(self.request)
