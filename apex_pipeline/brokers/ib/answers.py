"""Short answers of the Flex Web Service: how they read, and what each error code asks the client to do."""

from dataclasses import dataclass
from enum import Enum, auto

from apex_pipeline.brokers.ib.flex import texts_of
from apex_pipeline.domain.records import Content
from apex_pipeline.errors import UnknownPayload

MAX_ANSWER_BYTES = 65_536


class Advice(Enum):
    """What to do about an error code."""

    RETRY = auto()
    POLL = auto()
    SLOW_DOWN = auto()
    RESTART = auto()
    LATER = auto()
    NOT_AVAILABLE = auto()
    CREDENTIAL = auto()
    CONFIGURATION = auto()
    STOP = auto()


_ADVICE = {
    1001: Advice.RETRY,
    1003: Advice.NOT_AVAILABLE,
    1004: Advice.RETRY,
    1005: Advice.LATER,
    1006: Advice.LATER,
    1007: Advice.LATER,
    1008: Advice.LATER,
    1009: Advice.RETRY,
    1010: Advice.CONFIGURATION,
    1011: Advice.CREDENTIAL,
    1012: Advice.CREDENTIAL,
    1013: Advice.CREDENTIAL,
    1014: Advice.CONFIGURATION,
    1015: Advice.CREDENTIAL,
    1016: Advice.CONFIGURATION,
    1017: Advice.RESTART,
    1018: Advice.SLOW_DOWN,
    1019: Advice.POLL,
    1020: Advice.CONFIGURATION,
    1021: Advice.RETRY,
    1025: Advice.CREDENTIAL,
}

_REMEDIES = {
    1011: "activate the Flex Web Service in Client Portal and set IB_FLEX_TOKEN to the token shown there",
    1013: "allow this machine's address for the token of IB_FLEX_TOKEN in Client Portal under Flex Web Service",
    1025: "after repeated failures the token is locked: wait an hour, then make a new one and set IB_FLEX_TOKEN",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A FlexStatementResponse. `code` is None on success and where IB gave none."""

    status: str
    code: int | None
    message: str
    reference: str
    url: str

    @property
    def success(self) -> bool:
        """True if a statement was ordered under `reference`."""
        return self.status.lower() == "success" and bool(self.reference) and self.code is None

    @property
    def says_nothing(self) -> bool:
        """True where it is neither a success nor a refusal; not even IB would know what to do about it."""
        return not self.success and self.code is None and not self.message

    @property
    def advice(self) -> Advice:
        """What to do about this failure; unknown codes follow the words of their text."""
        known = _ADVICE.get(self.code or 0)
        if known is not None:
            return known
        text = self.message.lower()
        if "in progress" in text:
            return Advice.POLL
        return Advice.RETRY if "try again" in text or "shortly" in text else Advice.STOP


def remedy_of(code: int | None) -> str:
    """What a person must do about a refused token."""
    return _REMEDIES.get(code or 0, "make a new one in Client Portal and set IB_FLEX_TOKEN")


def answer_of(content: Content) -> Answer | None:
    """The short answer in these bytes; None if they are something else."""
    if content.size > MAX_ANSWER_BYTES:
        return None
    try:
        root, told = texts_of(content.whole())
    except UnknownPayload:
        return None
    if root != "FlexStatementResponse":
        return None
    told = {tag.lower(): " ".join(text.split()) for tag, text in told.items()}
    code = told.get("errorcode") or told.get("code") or ""
    return Answer(
        status=told.get("status", ""),
        code=int(code) if code.isascii() and code.isdigit() else None,
        message=told.get("errormessage") or told.get("message") or "",
        reference=told.get("referencecode", ""),
        url=told.get("url", ""),
    )
