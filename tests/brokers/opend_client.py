"""What tests of Futu's client share: the broker at a port, a whole load, and proof that nothing was left behind."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.domain.records import Ask, Delivery, Record, RecordKind

TODAY = date(2026, 11, 20)
ACCOUNT = 281756478396547854
STATES = (RecordKind.POSITIONS, RecordKind.BALANCES)


def broker(tmp_path: Path, port: int, **settings: Any) -> FutuBroker:
    return FutuBroker(FutuSettings(home=tmp_path / "futu", port=port, **settings), today=lambda: TODAY)


def no_limit(_budget: str) -> None:
    return None


def children() -> set[int]:
    """Process ids of this process's children; only Linux tells."""
    found = Path("/proc/self/task").glob("*/children")
    return {int(pid) for path in found for pid in path.read_text().split()}


def open_pipes_and_files() -> int:
    """What the parent side could leak; sockets belong to the gateway, which closes its own a little later."""
    links = _links("/proc/self/fd")
    return sum(link.startswith("pipe:") or "/futu/" in link for link in links)


def _links(folder: str) -> list[str]:
    found: list[str] = []
    for path in Path(folder).iterdir():
        # the descriptor that lists the folder is gone by now, and a gateway's thread may close one
        with suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return found


@contextmanager
def nothing_left_behind() -> Generator[None]:
    """Proves that its block ends every process, thread, pipe and file that it began."""
    threads, processes = set(threading.enumerate()), children()
    files = open_pipes_and_files()
    yield
    assert set(threading.enumerate()) <= threads
    assert children() == processes
    assert open_pipes_and_files() == files


def load(port: FutuBroker, days: int = 120, **ask_fields: Any) -> tuple[list[Delivery], list[Record]]:
    """Everything of these days with its fees; of the records, those of trading, which do not change with the hour."""
    ask = Ask(TODAY - timedelta(days=days - 1), TODAY, TODAY, **ask_fields)
    with port.connect(no_limit) as session:
        accounts = session.accounts()
        deliveries = [session.fetch(call) for call in port.plan(ask, accounts, [])]
        records = {(r.kind, r.account_id, r.key): r for delivery in deliveries for r in delivery.records}
        for account in accounts:
            orders = {
                record.key: record.business_date
                for (kind, owner, _), record in records.items()
                if kind == RecordKind.ORDERS and owner == account.account_id
            }
            deliveries += [session.fetch(call) for call in port.plan_fees(account, orders, ask)]
    records |= {(r.kind, r.account_id, r.key): r for delivery in deliveries for r in delivery.records}
    return deliveries, [record for record in records.values() if record.kind not in STATES]
