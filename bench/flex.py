"""Reading a statement of 100,000 trades: our reader beside a bare XML loop and ibflex, each in a process of its own.

`python -m bench.flex READER PATH` is one of these processes: it prints its seconds and its peak of memory.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

from apex_pipeline.brokers.ib.statement_rows import TRADE_ATTRIBUTES

TRADES = 100_000
_CHUNK = 65_536
_SHARED = {
    "accountId": "U1234567", "currency": "USD", "fxRateToBase": "1", "assetCategory": "STK", "subCategory": "COMMON",
    "symbol": "AAPL", "description": "APPLE INC COMMON STOCK", "conid": "265598", "securityID": "US0378331005",
    "securityIDType": "ISIN", "cusip": "037833100", "isin": "US0378331005", "figi": "BBG000B9XRY4",
    "listingExchange": "NASDAQ", "issuerCountryCode": "US", "multiplier": "1", "transactionType": "ExchTrade",
    "exchange": "IBKRATS", "ibCommissionCurrency": "USD", "openCloseIndicator": "O", "buySell": "BUY",
    "orderType": "LMT", "isAPIOrder": "N", "levelOfDetail": "EXECUTION", "accruedInt": "0", "fineness": "0.0",
    "weight": "0.0", "origTradePrice": "0", "origOrderID": "0", "changeInPrice": "0", "changeInQuantity": "0",
    "exchOrderId": "N/A", "taxes": "0", "closePrice": "101.25", "cost": "1234.5678", "fifoPnlRealized": "0",
    "mtmPnl": "12.345",
}  # fmt: skip


def write_statement(path: Path, trades: int = TRADES) -> None:
    """A year of executions in one Activity statement, every row with the 84 attributes of a full query."""
    first = date(2025, 1, 2)
    with path.open("w", encoding="utf-8") as file:
        file.write('<FlexQueryResponse queryName="bench" type="AF"><FlexStatements count="1">')
        file.write('<FlexStatement accountId="U1234567" fromDate="20250101" toDate="20251231" period="" ')
        file.write('whenGenerated="20260101;060000"><Trades>\n')
        for number in range(trades):
            day = f"{first + timedelta(days=number * 360 // trades):%Y%m%d}"
            told = {**_SHARED, **_own(number, day)}
            pairs = " ".join(f'{name}="{told.get(name, "")}"' for name in TRADE_ATTRIBUTES)
            file.write(f"<Trade {pairs} />\n")
        file.write("</Trades></FlexStatement></FlexStatements></FlexQueryResponse>\n")


def _own(number: int, day: str) -> dict[str, str]:
    qty, cents = 1 + number % 97, 10_000 + number % 5_000
    clock = f"{9 + number % 7:02d}{number % 60:02d}{number * 7 % 60:02d}"
    return {
        "tradeID": str(9_000_000_000 + number), "transactionID": str(30_000_000_000 + number),
        "ibOrderID": str(4_100_000_000 + number // 3), "ibExecID": f"0000e0d5.{0x68A00000 + number:08x}.01.01",
        "tradeDate": day, "reportDate": day, "settleDateTarget": day, "dateTime": f"{day};{clock}",
        "orderTime": f"{day};{clock}", "quantity": str(qty), "tradePrice": f"{cents // 100}.{cents % 100:02d}",
        "tradeMoney": f"{qty * cents // 100}.{qty * cents % 100:02d}", "netCash": "-1234.5678",
        "proceeds": f"-{qty * cents // 100}.{qty * cents % 100:02d}", "ibCommission": f"-1.{number % 1000:03d}",
        "extExecID": f"{number * 7919:x}", "rtn": f"{number * 104_729:x}",
        "brokerageOrderID": f"002ce642.00014acc.{0x60000000 + number:08x}.0001",
    }  # fmt: skip


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def bare(path: Path) -> int:
    """A bare `xml.etree` loop that looks at nothing."""
    rows = 0
    for _, element in ElementTree.iterparse(path):
        rows += element.tag == "Trade"
        element.clear()
    return rows


def records(path: Path) -> int:
    """Our records, of trades and of their fees, straight from the file."""
    from apex_pipeline.brokers.ib.flex import FlexReader
    from apex_pipeline.brokers.ib.records import Collector

    rows, collector = 0, Collector()
    for _ in FlexReader(collector).read(_chunks(path)):
        rows += sum(1 for record in collector.ready if record.kind == "trades")
        collector.ready.clear()
    return rows


def delivery(path: Path) -> int:
    """The same as a load makes them: hashed and packed to be kept, then read from what is kept."""
    from apex_pipeline.brokers.ib.delivery import FlexDelivery
    from apex_pipeline.domain.records import Content

    told = FlexDelivery(Content.of(_chunks(path)), {}, datetime.now(UTC))
    return sum(1 for record in told.records if record.kind == "trades")


def ibflex(path: Path) -> int:
    """The parser of ibflex."""
    from ibflex import parser

    response = parser.parse(str(path))
    return sum(len(statement.Trades) for statement in response.FlexStatements)


READERS: dict[str, Callable[[Path], int]] = {
    "bare xml.etree iterparse": bare,
    "APEX: records": records,
    "APEX: hashed, packed and read as a load does": delivery,
    "ibflex 1.1": ibflex,
}


def table(folder: Path, repeats: int = 3) -> str:
    """The best of some runs of each reader as Markdown; ibflex runs once, for it takes long."""
    path = folder / "statement.xml"
    write_statement(path)
    size = f"{TRADES:,} trades, {path.stat().st_size / 1e6:.0f} MB"
    lines = [
        f"| {size} | seconds | trades/s | of the bare loop | MiB above start |",
        "|---|---:|---:|---:|---:|",
    ]
    bare_seconds = 0.0
    for name in READERS:
        runs = [_run(name, path) for _ in range(1 if name.startswith("ibflex") else repeats)]
        best = min(run["seconds"] for run in runs)
        bare_seconds = bare_seconds or best
        memory = max(run["mib"] for run in runs)
        lines.append(f"| {name} | {best:.2f} | {TRADES / best:,.0f} | {bare_seconds / best:.2f} | {memory:.0f} |")
    return "\n".join(lines)


def _run(name: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.flex", name, str(path)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Read once and tell; modules are imported before the baseline of memory is taken."""
    read, path = READERS[sys.argv[1]], Path(sys.argv[2])
    small = path.with_name("small.xml")
    if not small.exists():
        write_statement(small, 10)
    read(small)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    rows = read(path)
    seconds = time.perf_counter() - started
    if rows != TRADES:
        sys.exit(f"{sys.argv[1]} read {rows} of {TRADES} trades")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": seconds, "mib": grown}))


if __name__ == "__main__":
    main()
