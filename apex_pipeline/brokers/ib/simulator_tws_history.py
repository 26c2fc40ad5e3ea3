"""The history desk of a simulated gateway: contracts by conid, their bars, and errors in the real wording.

It keeps IB's documented limits of length, and its rules of pace where the fault `paced` is set.
"""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import final
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib import tws_messages as messages
from apex_pipeline.brokers.ib.simulator_tws_bars import PathBar, PricePath
from apex_pipeline.brokers.ib.simulator_tws_rows import contract_words
from apex_pipeline.brokers.ib.simulator_tws_wire import Wire
from apex_pipeline.brokers.ib.statement_rows import number
from apex_pipeline.brokers.ib.tws_messages import Row
from apex_pipeline.brokers.scenario import Contract, Scenario
from apex_pipeline.brokers.scenario_days import ZONES

_MINUTES = {
    "1 min": 1, "2 mins": 2, "3 mins": 3, "5 mins": 5, "10 mins": 10, "15 mins": 15, "20 mins": 20, "30 mins": 30,
    "1 hour": 60, "1 day": None,
}  # fmt: skip
_DAYS = {"S": 1 / 86_400, "D": 1, "W": 7, "M": 30, "Y": 365}
_SMALLEST = ((1, 1), (2, 2), (7, 3), (30, 30))
"""Days of a request up to which bars of so many minutes are allowed; longer ones allow daily bars only."""

_SERVICE = "Historical Market Data Service error message:"
_END = re.compile(r"(?P<day>\d{8})(?P<gap>[ -])(?P<clock>\d{2}:\d{2}:\d{2})(?: (?P<zone>\S+))?", re.ASCII)
_ZONE_IDS = {"US": "US/Eastern", "HK": "Asia/Hong_Kong"}
_FIELDS = ("exchange", "end", "size", "duration", "what", "formatDate")
_PLACES = (9, 15, 16, 17, 19, 20)
"""Where these fields stand in request 20."""


class _Refusal(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


@final
class HistoryDesk:
    """Answers requests for contracts and bars.

    `refusals`: code and text with which a conid is refused. `faults` of the gateway: `no_contracts`, `no_bars` and
    `no_oldest` (such requests are never answered), `empty_contracts` (they end without a row),
    `drop_connection_at_bars`, `malformed_bars` (a field is missing), `pacing_violation` (the next request for bars gets
    one), `paced` (IB's rules of pace hold), `days_are_sessions` (a duration counts the days that have bars),
    `short_answers` (three sessions at most), `farm_lost` (162: the history farm is away).
    """

    def __init__(self, scenario: Scenario, faults: Callable[[], set[str]]) -> None:
        self.path = PricePath(scenario)
        self.refusals: dict[int, tuple[int, str]] = {}
        self._faults = faults
        self._asked: list[tuple[float, str, tuple[str, ...]]] = []

    def contract(self, wire: Wire, fields: list[str]) -> None:
        """Answer request 9."""
        found = self.path.contract(int(fields[3] or 0))
        if "no_contracts" in self._faults():
            return
        if "empty_contracts" in self._faults():
            wire.send(messages.CONTRACTS_END, "1", fields[2])
            return
        if found is None:
            wire.error(fields[2], 200, "No security definition has been found for the request")
        else:
            wire.details(fields[2], _details(found))

    def bars(self, wire: Wire, fields: list[str]) -> bool:
        """Answer request 20; False where the connection ends."""
        faults, request, conid = self._faults(), fields[1], int(fields[2] or 0)
        if "no_bars" in faults or "drop_connection_at_bars" in faults:
            return "no_bars" in faults
        told: Row = dict(zip(_FIELDS, (fields[n] for n in _PLACES), strict=True))
        try:
            self._pace(fields)
            contract = self._allowed(conid, told)
            end, begin = self._span(contract, told)
            rows = self._rows(contract, begin, end, told)
        except _Refusal as refusal:
            wire.error(request, refusal.code, refusal.text)
            return True
        if "malformed_bars" in faults:
            _ = rows[-1].pop("barCount")
            wire.send(messages.BARS, request, "", "", str(len(rows)), *(text for row in rows for text in row.values()))
            return True
        wire.bars(request, f"{begin:%Y%m%d-%H:%M:%S}", f"{end:%Y%m%d-%H:%M:%S}", rows)
        return True

    def oldest(self, wire: Wire, fields: list[str]) -> None:
        """Answer request 87."""
        contract = self.path.contract(int(fields[2] or 0))
        if "no_oldest" in self._faults():
            return
        if contract is None:
            wire.error(fields[1], 200, "No security definition has been found for the request")
        else:
            at = self.path.first_minute(contract)
            text = str(int(at.timestamp())) if fields[-1] == "2" else f"{at:%Y%m%d-%H:%M:%S}"
            wire.send(messages.HEAD, fields[1], text)

    def _pace(self, fields: list[str]) -> None:
        faults, now = self._faults(), time.monotonic()
        kind, whole = "|".join((fields[2], fields[9], fields[19])), tuple(fields[2:])
        recent = [(at, of, asked) for at, of, asked in self._asked if at > now - 600]
        self._asked = [*recent, (now, kind, whole)]
        too_fast = (
            any(asked == whole and at > now - 15 for at, _, asked in recent)
            or sum(of == kind and at > now - 2 for at, of, _ in recent) >= 5
            or len(recent) >= 60
        )
        if "pacing_violation" in faults or ("paced" in faults and too_fast):
            faults.discard("pacing_violation")
            raise _Refusal(162, f"{_SERVICE}Historical data request pacing violation")

    def _allowed(self, conid: int, told: Row) -> Contract:
        contract = self.path.contract(conid)
        if conid in self.refusals:
            raise _Refusal(*self.refusals[conid])
        if contract is None:
            raise _Refusal(200, "No security definition has been found for the request")
        if not told["exchange"]:
            raise _Refusal(321, "Error validating request.-'bJ' : cause - Please enter exchange")
        if "farm_lost" in self._faults():
            raise _Refusal(162, f"{_SERVICE}HMDS server disconnect occurred.  Attempting reconnection...")
        if told["what"] != "TRADES":
            raise _Refusal(162, f"{_SERVICE}No historical market data for {contract.code}@{told['exchange']}")
        return contract

    def _span(self, contract: Contract, told: Row) -> tuple[datetime, datetime]:
        """End and begin of what is asked, in UTC."""
        count, _, unit = told["duration"].partition(" ")
        if not count.isdigit() or unit not in _DAYS or told["size"] not in _MINUTES:
            raise _Refusal(321, "Error validating request.-'bJ' : cause - Historical data query end date/time or size")
        days, minutes = int(count) * _DAYS[unit], _MINUTES[told["size"]]
        if unit == "D" and days > 365:
            durations = "Historical data requests for durations longer than 365 days must be made in years."
            raise _Refusal(321, f"Error validating request.-'bJ' : cause - {durations}")
        smallest = next((least for most, least in _SMALLEST if days <= most), None)
        if minutes is not None and (smallest is None or minutes < smallest):
            raise _Refusal(162, f"{_SERVICE}invalid step: {minutes}")
        end = _end_of(told["end"], ZONES[contract.market])
        local = end.astimezone(ZONES[contract.market])
        begin = (local - timedelta(days)).astimezone(UTC)
        if "days_are_sessions" in self._faults() and unit == "D":
            begin = self.path.begin_of_sessions(contract, end, int(days))
        if "short_answers" in self._faults():
            begin = max(begin, self.path.begin_of_sessions(contract, end, 3))
        return end, begin

    def _rows(self, contract: Contract, begin: datetime, end: datetime, told: Row) -> list[Row]:
        bars = self.path.bars(contract, begin, end, _MINUTES[told["size"]])
        if not bars:
            what = f"{contract.code}@{told['exchange']} {told['what'].capitalize()}"
            raise _Refusal(162, f"{_SERVICE}HMDS query returned no data: {what}")
        return [_row(bar, told, contract) for bar in bars]


def _end_of(text: str, zone: ZoneInfo) -> datetime:
    """The end of a request: UTC with a hyphen, a named zone, or the exchange's; blank is now."""
    if not text:
        return datetime.now(UTC)
    match = _END.fullmatch(text)
    if match is None:
        raise _Refusal(10314, "End Date/Time: The date, time, or time-zone entered is invalid.")
    place = UTC if match["gap"] == "-" else ZoneInfo(match["zone"]) if match["zone"] else zone
    at = datetime.strptime(f"{match['day']} {match['clock']}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - the zone is next
    return at.replace(tzinfo=place).astimezone(UTC)


def _row(bar: PathBar, told: Row, contract: Contract) -> Row:
    local, traded = bar.at.astimezone(ZONES[contract.market]), bar.trading
    instant = str(int(bar.at.timestamp()))
    if told["formatDate"] != "2":
        instant = f"{local:%Y%m%d %H:%M:%S} {_ZONE_IDS[contract.market]}"
    return {
        "date": f"{local:%Y%m%d}" if told["size"] == "1 day" else instant,
        "open": number(traded.open), "high": number(traded.high), "low": number(traded.low),
        "close": number(traded.close), "volume": number(traded.volume),
        "average": number((traded.high + traded.low) / 2), "barCount": str(traded.volume // contract.lot),
    }  # fmt: skip


def _details(contract: Contract) -> Row:
    american = contract.market == "US"
    return {
        **contract_words(contract, "SMART" if american else "SEHK"), "marketName": contract.root, "minTick": "0.01",
        "mdSizeMultiplier": "100", "orderTypes": "LMT,MKT", "priceMagnifier": "1", "longName": contract.name,
        "underConId": str(contract.underlying_conid or 0), "primaryExchange": contract.exchange,
        "validExchanges": f"SMART,{contract.exchange}" if american else "SEHK",
        "timeZoneId": _ZONE_IDS[contract.market],
    }  # fmt: skip
