"""What the gateway means when it answers a request for bars with an error. Pure.

One code, 162, stands for nearly everything, so its text decides; the part that matters is English in every language of
TWS.
"""

from enum import Enum
from typing import TYPE_CHECKING

from apex_pipeline.brokers.ib.tws_login import is_notice
from apex_pipeline.domain.market import BarAsk

if TYPE_CHECKING:
    from apex_pipeline.brokers.ib.tws_gateway import Complaint

UNKNOWN_CONTRACT = 200

_HISTORY = 162
_HISTORY_NOTICE = 165
_OTHER_SESSION = 10197
_PASSING = frozenset({100, 322, 366, 502, 503, 504, 1100, 1300, _OTHER_SESSION})
"""Too many messages, a duplicate or a lost request, no connection, a login elsewhere: not about the instrument."""

_NO_DATA = "returned no data"
_PACING = "pacing violation"
_PASSING_WORDS = (
    "different ip address", "connection attempt failed", "disconnect", "not connected", "cancel", "timed out",
    "timeout",
)  # fmt: skip
_PERMISSIONS = frozenset({354, 420, 10089, 10090, 10091, 10167, 10168, 10186})


class Refused(Exception):
    """IB has no bars of this instrument to give; its text says why."""


class Meaning(Enum):
    """EMPTY: nothing was traded. PACED: asked too fast. PASSING: later it may work. REFUSED: not this instrument."""

    EMPTY = "EMPTY"
    PACED = "PACED"
    PASSING = "PASSING"
    REFUSED = "REFUSED"


def is_final(complaint: "Complaint") -> bool:
    """Whether a message ends its request."""
    return not is_notice(complaint) and complaint.code != _HISTORY_NOTICE


def meaning_of(complaint: "Complaint") -> Meaning:
    """What an error says about its request."""
    text = complaint.text.lower()
    if complaint.code in _PASSING:
        return Meaning.PASSING
    if _PACING in text:
        return Meaning.PACED
    if complaint.code != _HISTORY:
        return Meaning.REFUSED
    if _NO_DATA in text:
        return Meaning.EMPTY
    return Meaning.PASSING if any(words in text for words in _PASSING_WORDS) else Meaning.REFUSED


def refusal(ask: BarAsk, complaint: "Complaint") -> str:
    """Why there are no bars of an instrument, in one line."""
    said = f"{complaint.code}: {complaint.text[:200].rstrip('. ')}"
    told = f"Interactive Brokers tells no bars of {ask.symbol} (conid {ask.code}; {said})"
    if complaint.code == UNKNOWN_CONTRACT:
        return f"{told}: the contract has expired or was never listed"
    if complaint.code in _PERMISSIONS or "permission" in complaint.text.lower():
        return f"{told}: subscribe to the market data of its exchange in Client Portal"
    return told


def remedy(complaint: "Complaint") -> str:
    """What to do where the gateway cannot tell now."""
    if complaint.code == _OTHER_SESSION:
        return "end the other session of this user that takes its market data"
    return "try again later"
