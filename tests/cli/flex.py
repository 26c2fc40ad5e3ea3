"""A second, minimal Flex Web Service with habits of its own; shares no code with the product or its simulator.

It answers 1019 twice before each statement, names itself in the answer's Url, writes one statement per
business day into one document, dates as yyyy-MM-dd and times as "yyyy-MM-dd;HH:mm:ss EST" (or EDT), and
adds sections and attributes that nobody announced. There are no Order rows.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def moment(day: date, clock: str) -> str:
    """A time of New York with the letters that were right on that day."""
    at = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=NEW_YORK)
    return f"{day};{clock} {at:%Z}"


@dataclass
class Flex:
    """Listens on a free port until closed. `rows`: account to the attributes of its Trade elements."""

    token: str
    query_id: str
    rows: dict[str, list[dict[str, str]]]
    skipped: set[date] = field(default_factory=set)
    """Business days that no statement tells about."""
    in_progress: int = 2
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _ordered: dict[str, tuple[date, date]] = field(default_factory=dict)
    _polls: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = owner.answer(self.path).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/xml;charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Flex":
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, target: str) -> str:
        """The body for one request."""
        parts = urlsplit(target)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        service = parts.path.rsplit("/", 1)[-1]
        self.asked.append((service, asked))
        if asked.get("t") != self.token:
            return _failure("Fail", 1015, "Token is invalid.")
        if service == "SendRequest":
            return self._order(asked)
        return self._deliver(asked["q"])

    def _order(self, asked: dict[str, str]) -> str:
        if asked.get("q") != self.query_id:
            return _failure("Fail", 1014, "Query is invalid.")
        reference = str(9_000_000 + len(self._ordered))
        days = [datetime.strptime(asked[name], "%Y%m%d").replace(tzinfo=NEW_YORK).date() for name in ("fd", "td")]
        self._ordered[reference] = (days[0], days[1])
        return (
            "<FlexStatementResponse timestamp='20 November, 2026 09:00 AM EST'><Status>Success</Status>"
            f"<ReferenceCode>{reference}</ReferenceCode><Url>{self.url}/GetStatement</Url></FlexStatementResponse>"
        )

    def _deliver(self, reference: str) -> str:
        polls = self._polls[reference] = self._polls.get(reference, 0) + 1
        if polls <= self.in_progress:
            return _failure("Warn", 1019, "Statement generation in progress. Please try again shortly.")
        first, last = self._ordered[reference]
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        told = [day for day in days if day.isoweekday() <= 5 and day not in self.skipped]
        statements = [self._statement(account, day) for account in self.rows for day in told]
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<FlexQueryResponse queryName="all of it" type="AF"><FlexStatements count="{len(statements)}">'
            + "\n".join(statements)
            + "</FlexStatements></FlexQueryResponse>"
        )

    def _statement(self, account: str, day: date) -> str:
        rows = [row for row in self.rows[account] if row.get("reportDate", row.get("tradeDate")) == str(day)]
        return (
            f'<FlexStatement accountId="{account}" fromDate="{day}" toDate="{day}" period="" '
            f'whenGenerated="{moment(day + timedelta(days=1), "05:10:11")}" mood="fine">'
            f'<AccountInformation accountId="{account}" currency="USD" favouriteColour="blue" />'
            f"<MarginalNotes><MarginalNote text={quoteattr('a < b & c')} /></MarginalNotes>"
            f"<Trades>{_elements(rows)}</Trades>"
            '<OpenPositions><OpenPosition levelOfDetail="SUMMARY" symbol="SPY" /></OpenPositions>'
            "</FlexStatement>"
        )


def _elements(rows: Sequence[dict[str, str]]) -> str:
    return "\n".join(f"<Trade {' '.join(f'{k}={quoteattr(v)}' for k, v in row.items())} />" for row in rows)


def _failure(status: str, code: int, message: str) -> str:
    return (
        f"<FlexStatementResponse timestamp='20 November, 2026 09:00 AM EST'><Status>{status}</Status>"
        f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{message}</ErrorMessage></FlexStatementResponse>"
    )
