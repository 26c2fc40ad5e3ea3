"""Tries each configured connection once and says what to mend."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from apex_pipeline.brokers.contract import BrokerPort
from apex_pipeline.brokers.registry import futu_port, ib_port
from apex_pipeline.cli.loading import today
from apex_pipeline.cli.opening import opened
from apex_pipeline.domain.records import ALL_MARKETS, Ask, Call, LoadScope, RecordKind
from apex_pipeline.errors import ApexError
from apex_pipeline.settings import Settings


@dataclass(frozen=True, slots=True)
class Finding:
    """One connection: whether it works, and what was seen or what to do."""

    name: str
    well: bool
    text: str

    def __str__(self) -> str:
        return f"{'ok  ' if self.well else 'FAIL'} {self.name}: {self.text}"

    def as_json(self) -> dict[str, str | bool]:
        """The finding for `--json`."""
        return {"name": self.name, "ok": self.well, "text": self.text}


def examine(configured: Settings) -> list[Finding]:
    """One finding per connection, database first."""
    findings = [_tried("database", lambda: _database(configured))]
    if "futu" in configured.brokers:
        findings.append(_tried("futu", lambda: _futu(futu_port(configured.futu, configured.home))))
    if "ib" in configured.brokers:
        findings.append(_tried("ib", lambda: _ib(ib_port(configured.ib, patient=False))))
        if configured.ib.tws_host:
            findings.append(_tried("tws", lambda: _tws(ib_port(configured.ib, patient=False))))
    return findings


def _tried(name: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(name, well=True, text=attempt())
    except ApexError as error:
        return Finding(name, well=False, text=str(error))


def _database(configured: Settings) -> str:
    with opened(configured, writing=False, migrated=False) as found:
        if found.is_empty:
            return "reachable, and empty: the first load prepares it"
        found.migrations.require_current()
        return f"reachable, migration {found.migrations.get_current_version()}"


def _no_limit(_budget: str) -> None:
    """A single request needs no shared budget."""


def _futu(port: BrokerPort) -> str:
    with port.connect(_no_limit) as session:
        accounts = session.accounts()
    return f"connected, {len(accounts)} accounts"


def _tws(port: BrokerPort) -> str:
    (call,) = port.plan_states(Ask(today(), today(), today(), scope=LoadScope.INTRADAY), ())
    with port.connect(_no_limit) as session:
        delivery = session.fetch(call)
    accounts = sorted({part.account_id for part in delivery.covered})
    fills = sum(1 for record in delivery.records if record.kind is RecordKind.PROVISIONAL)
    return f"answered, {fills} executions and commissions of today for {', '.join(accounts) or 'no account'}"


def _ib(port: BrokerPort) -> str:
    day = port.last_day(today()) - timedelta(days=1)
    with port.connect(_no_limit) as session:
        delivery = session.fetch(Call(port.data_types[0], None, ALL_MARKETS, day, day))
    return f"answered, {sum(1 for _ in delivery.records)} records of {day}"
