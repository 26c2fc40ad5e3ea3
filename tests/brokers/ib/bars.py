"""What tests of bars share: asks, a session that waits for nothing, and a desk for currencies and a future."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.contract import BarSession
from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.simulator_tws import GatewaySimulator
from apex_pipeline.brokers.ib.simulator_tws_wire import Wire
from apex_pipeline.brokers.ib.tws_bars import BarPatience, bar_session
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint
from apex_pipeline.domain.market import BarAsk, Timeframe
from tests.brokers.ib.gateways import CLIENT_ID

NEW_YORK, HONG_KONG = ZoneInfo("America/New_York"), ZoneInfo("Asia/Hong_Kong")
NOW = datetime(2026, 3, 10, 6, tzinfo=UTC)
APPLE, TENCENT, EURO, BUND = "265598", "152112941", "12087792", "639104105"
PATIENCE = BarPatience(login=1, contract=0.5, bars=30)
DAY, MINUTE = timedelta(1), timedelta(minutes=1)


def ask(first: date, last: date, timeframe: Timeframe = Timeframe.MINUTE, code: str = APPLE) -> BarAsk:
    """Bars of a conid."""
    symbol, exchange = {
        APPLE: ("US.AAPL", "US"), TENCENT: ("HK.00700", "HK"), EURO: ("FX.EUR.USD", "FX"), BUND: ("DE.FGBL", "EUREX"),
    }.get(code, (f"US.{code}", "US"))  # fmt: skip
    return BarAsk(symbol, code, exchange, timeframe, first, last)


@contextmanager
def told_by(
    gateway: GatewaySimulator,
    *,
    sleep: Callable[[float], None] = lambda _: None,
    acquire: Callable[[str], object] = lambda _: None,
    now: datetime = NOW,
    patience: BarPatience = PATIENCE,
) -> Generator[BarSession]:
    """A session with a gateway; without a `sleep` it keeps no pace."""
    endpoint = TwsEndpoint(gateway.host, gateway.port, CLIENT_ID)
    with bar_session(endpoint, acquire, sleep, patience, lambda: now) as session:
        yield session


def requests_of(gateway: GatewaySimulator, kind: str = messages.REQUEST_BARS) -> list[list[str]]:
    """What the gateway was asked for."""
    return [fields for fields in gateway.requests if fields[0] == kind]


class EveningDesk:
    """Answers for EUR.USD, from 17:15 to 17:00 in New York, and for a future that has expired.

    `sessions`: a day of a duration is a session, also the one that is running; else it is 24 hours.
    """

    def __init__(self, *, sessions: bool) -> None:
        self._sessions = sessions
        self.asked: list[str] = []

    def contract(self, wire: Wire, fields: list[str]) -> None:
        """Answer request 9."""
        if fields[3] == BUND and fields[15] != "1":
            wire.error(fields[2], 200, "No security definition has been found for the request")
        elif fields[3] == BUND:
            words = {"symbol": "GBL", "secType": "FUT", "lastTradeDateOrContractMonth": "20260306 12:30 MET"}
            wire.details(fields[2], {**words, "conId": BUND, "exchange": "EUREX", "validExchanges": "EUREX"})
        else:
            words = {"symbol": "EUR", "secType": "CASH", "currency": "USD", "localSymbol": "EUR.USD", "right": "?"}
            wire.details(fields[2], {**words, "conId": EURO, "exchange": "IDEALPRO", "validExchanges": "IDEALPRO"})

    def bars(self, wire: Wire, fields: list[str]) -> None:
        """Answer request 20."""
        self.asked.append("|".join((fields[9], fields[14], fields[19])))
        end = datetime.strptime(fields[15], "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC)
        begin = end - int(fields[17].split()[0]) * DAY
        if self._sessions:
            begin = max((at for at, _ in sessions_of_currencies() if at < end), default=begin)
        told = [at for at in minutes_of_currencies() if begin <= at < end]
        rows = [{**_PRICES, "date": str(int(at.timestamp()))} for at in told]
        wire.bars(fields[1], "", "", rows)

    def oldest(self, wire: Wire, fields: list[str]) -> None:
        """Never answer request 87."""


_PRICES = {
    "open": "1.08405", "high": "1.084055", "low": "1.08", "close": "1.0805", "volume": "-1.0", "average": "-1",
    "barCount": "-1",
}  # fmt: skip


def sessions_of_currencies() -> Sequence[tuple[datetime, datetime]]:
    """Begin and end of the sessions around 9 March 2026: from 17:15 of the evening before, Sunday to Friday."""
    days = [date(2026, 3, 2) + n * DAY for n in range(12)]
    return [
        (datetime.combine(day - DAY, time(17, 15), NEW_YORK), datetime.combine(day, time(17), NEW_YORK))
        for day in days
        if day.weekday() < 5
    ]


def minutes_of_currencies() -> Sequence[datetime]:
    """The minutes of these sessions, every fifth of them."""
    told: list[datetime] = []
    for begin, end in sessions_of_currencies():
        first, last = begin.astimezone(UTC), end.astimezone(UTC)
        told += [first + 5 * n * MINUTE for n in range((last - first) // (5 * MINUTE))]
    return told
