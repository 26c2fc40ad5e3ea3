"""What the Flex simulator says: codes and their texts, answers in XML, and how a window is read."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
LONGEST_WINDOW = 365
_SATURDAY = 5
_IN_PROGRESS = 1019
_MESSAGES = {
    1001: "Statement could not be generated at this time. Please try again shortly.",
    1003: "Statement is not available.",
    1004: "Statement is incomplete at this time. Please try again shortly.",
    1005: "Settlement data is not ready at this time. Please try again shortly.",
    1006: "FIFO P/L data is not ready at this time. Please try again shortly.",
    1007: "MTM P/L data is not ready at this time. Please try again shortly.",
    1008: "MTM and FIFO P/L data is not ready at this time. Please try again shortly.",
    1009: "The server is under heavy load. Statement could not be generated at this time. Please try again shortly.",
    1012: "Token has expired.",
    1014: "Query is invalid.",
    1015: "Token is invalid.",
    1017: "Reference code is invalid.",
    1018: "Too many requests have been made from this token. Please try again shortly.",
    1019: "Statement generation in progress. Please try again shortly.",
    1020: "Invalid request or unable to validate request.",
    1021: "Statement could not be retrieved at this time. Please try again shortly.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `cut` sends only half of the promised body."""

    body: bytes
    label: str
    status: int = 200
    media_type: str = "text/xml;charset=UTF-8"
    cut: bool = False


class FlexError(Exception):
    """The service says no, with one of its codes."""

    def __init__(self, code: int) -> None:
        super().__init__(_MESSAGES.get(code, "Unknown error."))
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
    return Answer(_response("Success", inner), "Success")


def refusal(error: FlexError) -> Answer:
    """Status Fail with the code, or Warn while the statement is being made."""
    status = "Warn" if error.code == _IN_PROGRESS else "Fail"
    inner = f"<ErrorCode>{error.code}</ErrorCode>\n<ErrorMessage>{error}</ErrorMessage>"
    return Answer(_response(status, inner), str(error.code))


def _response(status: str, inner: str) -> bytes:
    stamp = f"{datetime.now(NEW_YORK):%d %B, %Y %I:%M %p %Z}"
    lines = (f"<FlexStatementResponse timestamp='{stamp}'>", f"<Status>{status}</Status>", inner)
    return "\n".join((*lines, "</FlexStatementResponse>", "")).encode()
