"""A real ib_async connection against a gateway: everything comes, nothing is waited for without end, nothing is said
that was not told."""

import asyncio
import logging
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC
from threading import Thread
from typing import Any

import pytest

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.provisional import provisional_rows
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.tws_client import Patience, TwsClient, TwsEndpoint
from apex_pipeline.domain.records import RecordKind
from apex_pipeline.errors import BrokerError, BrokerRefused, BrokerUnavailable
from tests.brokers.ib.gateways import CLIENT_ID, QUICK, client_of, provisional, scenario, told_by, trading_days

READ_ONLY = {
    messages.START_API, messages.REQUEST_EXECUTIONS, messages.REQUEST_POSITIONS, messages.REQUEST_SUMMARY,
    messages.REQUEST_TIME, "63", "64",
}  # fmt: skip


@pytest.fixture
def gateway() -> Iterator[GatewaySimulator]:
    with GatewaySimulator(scenario(), day=trading_days()[0]) as running:
        yield running


@pytest.mark.parametrize("version", [157, 165, 177, 178])
def test_every_server_version_tells_the_same(gateway: GatewaySimulator, version: int) -> None:
    with GatewaySimulator(scenario(), day=trading_days()[0], version=version) as older:
        told = client_of(older).fetch()
    assert told.server_version == version
    assert told.accounts == gateway.rows.accounts
    assert len(told.executions) == len(gateway.rows.executions()) > 10
    assert len(told.commissions) == len(told.executions)
    assert told.positions is not None
    assert len(told.positions) == len(gateway.rows.positions())
    assert told.summary is not None
    assert len(told.summary) == len(gateway.rows.summary())
    assert told.unreadable == ()


def test_what_is_told_is_kept_as_the_text_that_was_sent(gateway: GatewaySimulator) -> None:
    told = {row["execId"]: row for row in client_of(gateway).fetch().executions}
    assert told == {row["execId"]: row for row in gateway.rows.executions()}


def test_nothing_is_asked_that_could_order_or_change_anything(gateway: GatewaySimulator) -> None:
    client_of(gateway).fetch()
    time.sleep(0.05)
    assert {fields[0] for fields in gateway.requests} <= READ_ONLY


def test_asking_twice_tells_the_same_executions(gateway: GatewaySimulator) -> None:
    assert provisional(told_by(gateway)) == provisional(told_by(gateway))


def test_a_loop_that_runs_already_is_not_disturbed(gateway: GatewaySimulator) -> None:
    async def caller() -> int:
        own = asyncio.get_running_loop()
        told = client_of(gateway).fetch()
        assert asyncio.get_running_loop() is own
        await asyncio.sleep(0)
        return len(told.executions)

    assert asyncio.run(caller()) > 10


def test_nothing_is_logged_even_where_it_fails(gateway: GatewaySimulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client_of(gateway).fetch()
    gateway.faults = {"client_id_in_use"}
    with pytest.raises(BrokerRefused):
        client_of(gateway).fetch()
    assert [record for record in caplog.records if record.name != "asyncio"] == []


FAILS = [
    ("no_answer", BrokerUnavailable, "did not answer as a gateway does within 1 s"),
    ("no_accounts", BrokerUnavailable, "told no accounts within 1 s"),
    ("client_id_in_use", BrokerRefused, "client id 17 is in use"),
    ("no_execution_end", BrokerUnavailable, "never ended its answer, so nothing of it was loaded"),
    ("drop_connection", BrokerUnavailable, "ended the connection"),
    ("cut_off", BrokerUnavailable, "lost its connection to Interactive Brokers"),
]


@pytest.mark.parametrize(("fault", "kind", "words"), FAILS)
def test_a_gateway_that_fails_is_told_in_one_line_in_time(
    gateway: GatewaySimulator, fault: str, kind: type[BrokerError], words: str
) -> None:
    gateway.faults = {fault}
    begun = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        client_of(gateway).fetch()
    assert time.monotonic() - begun < QUICK.total + 1
    assert "\n" not in str(caught.value)
    gateway.faults = set()
    assert len(client_of(gateway).fetch().executions) > 10


def test_another_client_id_is_let_in(gateway: GatewaySimulator) -> None:
    with GatewaySimulator(scenario(), day=trading_days()[0], used_client_ids=[CLIENT_ID]) as busy:
        with pytest.raises(BrokerRefused, match="set IB_TWS_CLIENT_ID to another number"):
            client_of(busy).fetch()
        assert TwsClient(TwsEndpoint(busy.host, busy.port, 18), QUICK).fetch().accounts == gateway.rows.accounts


def test_nobody_listening_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=rf"nobody listens for the TWS API at 127.0.0.1:{port} \(Connection"):
        TwsClient(TwsEndpoint("127.0.0.1", port, CLIENT_ID), QUICK).fetch()
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "did not answer as a gateway does"),
        (b"\0\0\0\x06abc\0d\0", "does not speak the TWS API"),
        (b"\0\0\0\x08" + b"100\0now\0", "version must be"),
        (b"\0\0\0\x08" + b"178\0now\0" + b"\0\0\0\x02x\0", "does not speak the TWS API"),
    ],
)
def test_something_else_on_the_port_is_told_apart(says: bytes, words: str) -> None:
    with _speaking(says) as port, pytest.raises(BrokerUnavailable, match=words):
        TwsClient(TwsEndpoint("127.0.0.1", port, CLIENT_ID), Patience(total=2, login=0.3)).fetch()


def test_a_gateway_that_closes_at_once_points_to_its_trusted_addresses() -> None:
    with _speaking(b"") as port, pytest.raises(BrokerUnavailable, match="Trusted IPs"):
        TwsClient(TwsEndpoint("127.0.0.1", port, CLIENT_ID), QUICK).fetch()


@pytest.mark.parametrize("fault", ["no_filtered_executions", "no_unfiltered_executions"])
def test_a_gateway_that_answers_only_one_kind_of_request_still_tells_all(gateway: GatewaySimulator, fault: str) -> None:
    gateway.faults = {fault}
    assert len(client_of(gateway).fetch().executions) == len(gateway.rows.executions())


def test_a_slow_gateway_tells_all(gateway: GatewaySimulator) -> None:
    gateway.faults = {"slow"}
    told = client_of(gateway, Patience()).fetch()
    assert (len(told.executions), told.positions is None, told.summary is None) == (
        len(gateway.rows.executions()), False, False,
    )  # fmt: skip


def test_commissions_that_never_come_stay_unknown_and_are_counted(gateway: GatewaySimulator) -> None:
    gateway.faults = {"late_commissions"}
    delivery = told_by(gateway)
    rows = provisional_rows(provisional(delivery), ())
    assert rows.fees == []
    assert len(rows.trades) == len(gateway.rows.executions())
    assert any(f"{len(rows.trades)} executions have no commission report yet" in note for note in delivery.notes)
    gateway.faults = set()
    assert len(provisional_rows(provisional(told_by(gateway)), ()).fees) == len(rows.trades)


def test_commissions_that_come_a_little_later_are_waited_for(gateway: GatewaySimulator) -> None:
    gateway.faults, gateway.late_seconds = {"late_commissions"}, 0.15
    delivery = told_by(gateway)
    assert len(provisional_rows(provisional(delivery), ()).fees) == len(gateway.rows.executions())
    assert delivery.notes == []


def test_an_unset_commission_is_unknown_and_not_a_number(gateway: GatewaySimulator) -> None:
    gateway.faults = {"no_commission_value"}
    rows = provisional_rows(provisional(told_by(gateway)), ())
    assert (rows.fees, rows.rejects) == ([], [])


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("no_positions", RecordKind.POSITIONS, "did not tell its positions to the end"),
        ("no_summary", RecordKind.BALANCES, "did not tell its account summary to the end"),
    ],
)
def test_a_state_that_is_not_told_is_unknown_and_not_empty(
    gateway: GatewaySimulator, fault: str, kind: RecordKind, words: str
) -> None:
    assert kind in {record.kind for record in told_by(gateway).records}
    gateway.faults = {fault}
    delivery = told_by(gateway)
    assert kind not in {record.kind for record in delivery.records}
    assert any(words in note for note in delivery.notes)
    assert len(provisional(delivery)) == 2 * len(gateway.rows.executions())


def test_a_corrected_execution_replaces_the_earlier_one(gateway: GatewaySimulator) -> None:
    gateway.faults = {"revised_execution"}
    records = provisional(told_by(gateway))
    first = gateway.rows.executions()[0]
    rows = provisional_rows(records, ())
    assert len(rows.trades) == len(gateway.rows.executions())
    (corrected,) = [trade for trade in rows.trades if str(trade.exec_id).endswith(".02")]
    assert str(corrected.price) == "1.25" != first["price"]
    assert f"IB_{first['acctNumber']}_{first['execId']}" not in {trade.trade_uid for trade in rows.trades}
    assert len({record.key for record in records if "/" not in record.key}) == len(rows.trades) + 1


def test_the_parent_of_a_combination_is_kept_raw_and_makes_no_row(gateway: GatewaySimulator) -> None:
    gateway.faults = {"combo_parent"}
    records = provisional(told_by(gateway))
    assert "BAG" in {record.payload["contract"]["secType"] for record in records if "contract" in record.payload}
    rows = provisional_rows(records, ())
    assert len(rows.trades) == len(gateway.rows.executions())
    assert "COMBO" not in {trade.asset_class for trade in rows.trades}


@pytest.mark.parametrize("fault", ["no_time_zone", "utc_time"])
def test_the_instant_does_not_depend_on_the_form_of_the_time(gateway: GatewaySimulator, fault: str) -> None:
    plain = _instants(gateway)
    gateway.faults = {fault}
    assert _instants(gateway) == plain
    gateway.faults = {fault, "no_greeting_zone"}
    assert _instants(gateway) == plain


def test_a_zone_that_nobody_knows_leaves_the_instant_unknown_and_keeps_the_trade(gateway: GatewaySimulator) -> None:
    gateway.faults = {"wrong_zone"}
    delivery = told_by(gateway)
    rows = provisional_rows(provisional(delivery), ())
    assert {trade.executed_at for trade in rows.trades} == {None}
    assert {trade.trade_date for trade in rows.trades} == {gateway.day}
    assert any("Mars/Olympus" in note for note in delivery.notes)


def test_what_is_told_of_a_foreign_account_is_left_out_and_said(gateway: GatewaySimulator) -> None:
    gateway.faults = {"other_account"}
    delivery = told_by(gateway)
    assert {record.account_id for record in delivery.records} <= set(gateway.rows.accounts)
    assert any("U9999999 is not of this login" in note for note in delivery.notes)


def test_a_message_without_its_fields_is_rejected_and_the_others_load(gateway: GatewaySimulator) -> None:
    gateway.faults = {"malformed_execution"}
    delivery = told_by(gateway)
    assert {reject.reason_code for reject in delivery.rejects} == {"unreadable_message"}
    assert len(provisional(delivery)) == 2 * len(gateway.rows.executions())


def test_ib_async_itself_reads_the_same_from_this_gateway(gateway: GatewaySimulator) -> None:
    read = asyncio.run(_read_by_ib_async(gateway))
    expected = {row["execId"]: row for row in gateway.rows.executions()}
    assert {fill.execution.execId for fill in read["fills"]} == expected.keys()
    for fill in read["fills"]:
        row = expected[fill.execution.execId]
        assert (repr(fill.execution.price), fill.contract.localSymbol) == (
            repr(float(row["price"])), row["contract"]["localSymbol"],
        )  # fmt: skip
        assert fill.execution.time.astimezone(UTC).isoformat() in {str(at) for at in _instants(gateway).values()}
    assert len(read["positions"]) == len(gateway.rows.positions())
    assert len(read["summary"]) == len(gateway.rows.summary())


def test_ib_async_alone_counts_a_corrected_execution_twice(gateway: GatewaySimulator) -> None:
    gateway.faults = {"revised_execution"}
    fills = asyncio.run(_read_by_ib_async(gateway))["fills"]
    assert len(fills) == len(provisional_rows(provisional(told_by(gateway)), ()).trades) + 1


def _instants(gateway: GatewaySimulator) -> dict[str, str | None]:
    records = provisional(told_by(gateway))
    return {record.key: record.payload["executedAt"] for record in records if "executedAt" in record.payload}


async def _read_by_ib_async(gateway: GatewaySimulator) -> dict[str, Any]:
    from ib_async import IB

    ib = IB()
    await ib.connectAsync(gateway.host, gateway.port, clientId=5, timeout=3, raiseSyncErrors=True)
    summary = await ib.accountSummaryAsync()
    read = {"fills": ib.fills(), "positions": ib.positions(), "summary": summary}
    ib.disconnect()
    return read


@contextmanager
def _speaking(says: bytes) -> Generator[int]:
    """The port of a server that answers anything with these bytes; without any, it closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                _ = connection.recv(100)
                if says:
                    connection.sendall(says)
                    _ = connection.recv(100)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
