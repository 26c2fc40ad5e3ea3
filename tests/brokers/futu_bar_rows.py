"""K-lines for tests: rows as OpenD tells them, asks for them, and a gateway that tells pages of them."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from apex_pipeline.domain.market import BarAnswer, BarAsk, Timeframe
from tests.brokers.opend_client import broker, no_limit
from tests.brokers.opend_scripted import HISTORY_KL, Reply, ScriptedGateway

DAY = date(2026, 11, 18)
Row = dict[str, Any]


def ask(code: str = "US.AAPL", timeframe: Timeframe = Timeframe.MINUTE, day: date = DAY, **fields: Any) -> BarAsk:
    """The bars of one day, or of other days by name."""
    days = {"from_date": day, "to_date": day, **fields}
    return BarAsk(symbol=code, code=code, exchange=code.partition(".")[0], timeframe=timeframe, **days)


def kline(time: str, **fields: Any) -> Row:
    """A K-line with every price, changed by name; None leaves a field out."""
    row = {"isBlank": False, "openPrice": 10.1, "highPrice": 10.4, "lowPrice": 10.05, "closePrice": 10.2, "volume": 7}
    told = {"time": time, **row, **fields}
    return {name: value for name, value in told.items() if value is not None}


def pages(*told: Sequence[Row]) -> Reply:
    """Answers with these pages, each found by the key that the one before tells."""

    def reply(request: Any, response: Any) -> None:
        number = int(request.c2s.nextReqKey or b"0")
        response.s2c.security.CopyFrom(request.c2s.security)
        for row in told[number]:
            response.s2c.klList.add(**row)
        if number + 1 < len(told):
            response.s2c.nextReqKey = str(number + 1).encode()

    return reply


def told_bars(tmp_path: Path, reply: Reply, wanted: BarAsk, json_protocols: set[int] | None = None) -> BarAnswer:
    """What a session makes of a gateway that answers so."""
    with (
        ScriptedGateway({HISTORY_KL: reply}, json_protocols) as gateway,
        broker(tmp_path, gateway.port, window_seconds=0.1).connect_bars(no_limit) as session,
    ):
        return session.bars(wanted)
