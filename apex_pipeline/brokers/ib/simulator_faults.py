"""What can go wrong at a Flex Web Service, as switches that a test or a person sets while it runs.

A switch is a word of a set: the name of a fault, then where and how often it strikes: `NAME[_send|_get][_once]`.
Without a step it strikes at the first request that it can spoil; without `_once` it stays until it is taken out.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from apex_pipeline.brokers.ib.simulator_answers import Answer, FlexError, response

SEND, GET = "SendRequest", "GetStatement"
DOCUMENTED = (1001, *range(1003, 1022), 1025)
"""Every code that IB documents, and 1025, which users report."""

TRANSPORT = (
    "http_429", "http_500", "http_503", "html_page", "drop_connection", "redirect", "empty_body", "missing_status",
    "wrong_root", "echo_token", "drop_in_body", "cut_body", "truncated_body", "slow_drip", "endless_body", "gzip",
    "broken_gzip",
)  # fmt: skip
"""Faults on the way; where several are set, the first of this order strikes first."""
_ORDER = {name: place for place, name in enumerate(TRANSPORT)}
CONTENT = frozenset({
    "malformed_row", "one_day_only", "shrunk_window", "wrong_count", "stuck_1019", "no_data_1003", "reference_lost",
    "foreign_url",
})  # fmt: skip
FOREIGN_URL = "https://flex.example.net/AccountManagement/FlexWebService/GetStatement"
"""Where `foreign_url` and `redirect` send a client; nothing of ours is there."""

_SWITCH = re.compile(r"(?P<name>.+?)(?P<step>_send|_get)?(?P<once>_once)?")
_CODE = re.compile(r"error_(?P<code>\d{4})(?P<hint>_try_again)?")
_SECOND_STEP_CODES = {1004, 1017, 1019, 1021}
_MAINTENANCE = b"<!DOCTYPE html><html><body><h1>System maintenance</h1></body></html>"
_UNAVAILABLE = b"<html><body>Service unavailable</body></html>"
_INSTEAD = {
    "http_429": Answer(_UNAVAILABLE, "429", 429, "text/html"),
    "http_500": Answer(_UNAVAILABLE, "500", 500, "text/html"),
    "http_503": Answer(_UNAVAILABLE, "503", 503, "text/html"),
    "html_page": Answer(_MAINTENANCE, "html", media_type="text/html"),
    "empty_body": Answer(b"", "empty"),
    "drop_connection": Answer(b"", "dropped", transfer="drop"),
    "missing_status": Answer(response("", "<ReferenceCode>7310000000</ReferenceCode>"), "no status"),
    "wrong_root": Answer(b'<FlexReport version="4"><Body /></FlexReport>', "wrong root"),
}
_BODY_ONLY = frozenset({"cut_body", "truncated_body", "drop_in_body"})


@dataclass(frozen=True, slots=True)
class Switch:
    """A fault as it was set: `word` is its text, `step` the call it strikes or blank."""

    word: str
    name: str
    step: str
    once: bool

    @property
    def code(self) -> int | None:
        """The error code of an `error_…` switch."""
        found = _CODE.fullmatch(self.name)
        return int(found["code"]) if found else None

    def strikes(self, call: str) -> bool:
        """Whether it is meant for this call."""
        if self.step:
            return self.step == call
        if self.code is not None:
            return (self.code in _SECOND_STEP_CODES) == (call == GET)
        return call == GET or self.name not in _BODY_ONLY


def switch_of(word: str) -> Switch:
    """The switch that a word means. ValueError names the word that is none."""
    found = _SWITCH.fullmatch(word)
    name = found["name"] if found else ""
    if found is None or not (name in TRANSPORT or name in CONTENT or _CODE.fullmatch(name)):
        raise ValueError(f"{word!r} is no fault of the Flex simulator: see simulator_faults")
    step = {"_send": SEND, "_get": GET}.get(found["step"] or "", "")
    return Switch(word, name, step, once=bool(found["once"]))


def switches(words: Iterable[str], call: str) -> list[Switch]:
    """Those that strike this call, those on the way first."""
    found = [switch for switch in map(switch_of, sorted(words)) if switch.strikes(call)]
    return sorted(found, key=lambda switch: _ORDER.get(switch.name, len(_ORDER)))


def error_of(switch: Switch) -> FlexError | None:
    """The refusal of an `error_…` switch; a code that nobody knows says "try again" only where it was asked for."""
    if switch.code is None:
        return None
    hinted = switch.name.endswith("_try_again")
    return FlexError(switch.code, "Something is new. Please try again shortly." if hinted else None)


def before_answer(switch: Switch, token: str) -> Answer | None:
    """An answer given instead of the real one; None if the fault only spoils it."""
    if switch.name == "redirect":
        return Answer(b"", "302", 302, "text/html", headers={"Location": f"{FOREIGN_URL}?t={token}"})
    if switch.name == "echo_token":
        text = f"Invalid request: t={token} was not understood."
        return Answer(response("Fail", f"<ErrorCode>1020</ErrorCode><ErrorMessage>{text}</ErrorMessage>"), "1020")
    return _INSTEAD.get(switch.name)


def spoiled(switch: Switch, answer: Answer) -> Answer:
    """The real answer as the fault leaves it."""
    match switch.name:
        case "cut_body" | "drop_in_body":
            return replace(answer, transfer="cut")
        case "truncated_body":
            return replace(answer, body=answer.body[: len(answer.body) // 2])
        case "slow_drip":
            return replace(answer, transfer="drip")
        case "endless_body":
            return replace(answer, transfer="endless")
        case "gzip":
            return replace(answer, transfer="gzip")
        case "broken_gzip":
            return replace(answer, transfer="broken gzip")
        case _:
            return answer
