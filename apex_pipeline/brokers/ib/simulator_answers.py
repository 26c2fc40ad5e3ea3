"""What the Flex simulator says: codes and their texts, answers in XML, and how a window is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
LONGEST_WINDOW = 365
_SATURDAY = 5
_WARNINGS = {1019, 1025}
_AGAIN = "Please try again shortly."
_MESSAGES = {
    1001: f"Statement could not be generated at this time. {_AGAIN}",
    1003: "Statement is not available.",
    1004: f"Statement is incomplete at this time. {_AGAIN}",
    1005: f"Settlement data is not ready at this time. {_AGAIN}",
    1006: f"FIFO P/L data is not ready at this time. {_AGAIN}",
    1007: f"MTM P/L data is not ready at this time. {_AGAIN}",
    1008: f"MTM and FIFO P/L data is not ready at this time. {_AGAIN}",
    1009: f"The server is under heavy load. Statement could not be generated at this time. {_AGAIN}",
    1010: "Legacy Flex Queries are no longer supported. Please convert over to Activity Flex.",
    1011: "Service account is inactive.",
    1012: "Token has expired.",
    1013: "IP restriction.",
    1014: "Query is invalid.",
    1015: "Token is invalid.",
    1016: "Account in invalid.",
    1017: "Reference code is invalid.",
    1018: f"Too many requests have been made from this token. {_AGAIN}",
    1019: f"Statement generation in progress. {_AGAIN}",
    1020: "Invalid request or unable to validate request.",
    1021: f"Statement could not be retrieved at this time. {_AGAIN}",
    1025: "Too many failed attempts.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer.

    `transfer` is how its body travels: whole, cut (half of what was promised), drop (not a byte, headers neither), drip
    (a byte at a time), endless, gzip, or broken gzip (a compressed body that breaks off).
    """

    body: bytes
    label: str
    status: int = 200
    media_type: str = "text/xml;charset=UTF-8"
    transfer: str = "whole"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class FlexError(Exception):
    """The service says no, with one of its codes; `message` replaces the text of the code."""

    def __init__(self, code: int, message: str | None = None) -> None:
        super().__init__(message or _MESSAGES.get(code, "Unknown error."))
        self.code: int = code


def default_window(period: str | None, published: date) -> tuple[date, date]:
    """The last `period` days up to the last published one, else the trap of version 3: one business day."""
    if period is not None:
        if not period.isascii() or not period.isdigit() or not 1 <= int(period) <= LONGEST_WINDOW:
            raise FlexError(1020)
        return published - timedelta(int(period) - 1), published
    while published.weekday() >= _SATURDAY:
        published -= timedelta(1)
    return published, published


def day_of(text: str | None) -> date:
    """A date parameter, yyyymmdd; FlexError 1020 when it is missing or malformed."""
    try:
        return datetime.strptime(text or "", "%Y%m%d").replace(tzinfo=NEW_YORK).date()
    except ValueError:
        raise FlexError(1020) from None


def accepted(reference: str, url: str) -> Answer:
    """The first step succeeded: the reference of the statement in the making."""
    inner = f"<ReferenceCode>{reference}</ReferenceCode>\n<Url>{url}</Url>"
    return Answer(response("Success", inner), "Success")


def refusal(error: FlexError) -> Answer:
    """Status Fail with the code, or Warn while the statement is being made and where the token is locked."""
    status = "Warn" if error.code in _WARNINGS else "Fail"
    inner = f"<ErrorCode>{error.code}</ErrorCode>\n<ErrorMessage>{error}</ErrorMessage>"
    return Answer(response(status, inner), str(error.code))


def response(status: str, inner: str) -> bytes:
    """A short answer; without a status where that is blank."""
    stamp = f"{datetime.now(NEW_YORK):%d %B, %Y %I:%M %p %Z}"
    told = [f"<Status>{status}</Status>"] if status else []
    lines = (f"<FlexStatementResponse timestamp='{stamp}'>", *told, inner)
    return "\n".join((*lines, "</FlexStatementResponse>", "")).encode()
