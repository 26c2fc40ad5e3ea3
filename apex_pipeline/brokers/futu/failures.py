"""How a request to OpenD can fail, and which failure a text of OpenD means.

OpenD sends no codes to a Python client: its texts, Chinese or English, are all there is to tell what passes from what
stays.
"""

import re

from apex_pipeline.errors import BrokerRefused, BrokerSilent, BrokerUnavailable

_RATE_LIMIT = re.compile(r"频率太高|频率过高|frequen|too many requests", re.IGNORECASE)
_SERVER_TIMEOUT = re.compile(r"NN_ProtoRet_TimeOut", re.IGNORECASE)
_INTERRUPTED = re.compile(r"网络中断|network (?:is )?(?:interrupt|disconnect)", re.IGNORECASE)
_LOGIN_LOST = re.compile(
    r"未登录|尚未登录|没有登录|请先登录|重新登录|登录(?:已|状态)?(?:失效|过期)|(?:not|n't) (?:yet )?log(?:ged)?[ -]?in"
    r"|login (?:has )?(?:lost|expired|failed)|log in (?:first|again)|kicked out",
    re.IGNORECASE,
)
_QUOTA = re.compile(r"额度|quota", re.IGNORECASE)
_UNKNOWN_INTERFACE = re.compile(r"未知的协议|unknown protocol", re.IGNORECASE)
_NOT_OFFERED = re.compile(
    r"模拟交易|模拟账户|simulated trade|paper trading|没有权限|无权限|权限不足|no permission|permission denied"
    r"|not authori[sz]ed|no authority|no right to",
    re.IGNORECASE,
)


class AnswerTimedOut(BrokerSilent):
    """No answer in time: a smaller window may be answered."""


class ConnectionLost(BrokerUnavailable):
    """The connection or the answer broke: a fresh connection may work at once."""


class RateLimited(BrokerUnavailable):
    """Too many requests: the same request works after a full window."""


class LoginLost(BrokerUnavailable):
    """OpenD runs and has no login; it may get it back by itself, else a person must log in."""


class UnknownInterface(BrokerRefused):
    """This OpenD is older than the interface."""


class NotOffered(BrokerRefused):
    """OpenD does not offer this interface for this account, e.g. deals of a paper account."""


def is_quota_reached(refused: BrokerRefused) -> bool:
    """Whether a refusal of bars is not about the instrument but about how many there were."""
    return _QUOTA.search(str(refused)) is not None


def login_lost(text: str) -> LoginLost:
    """The error that says how a lost login is mended."""
    return LoginLost(f"OpenD has lost its login ({text}): log in to OpenD again")


def server_error(text: str) -> BrokerUnavailable | BrokerRefused:
    """The error that OpenD means by this text; BrokerRefused where it means none that passes."""
    line = " ".join(text.split())
    if _RATE_LIMIT.search(line):
        return RateLimited(line)
    if _SERVER_TIMEOUT.search(line):
        return AnswerTimedOut(line)
    if _INTERRUPTED.search(line):
        return BrokerUnavailable(f"OpenD has lost its connection to Futu: {line}")
    if _LOGIN_LOST.search(line):
        return login_lost(line)
    if _UNKNOWN_INTERFACE.search(line):
        return UnknownInterface(f"{line} (update OpenD)")
    if _NOT_OFFERED.search(line):
        return NotOffered(line)
    return BrokerRefused(line)
