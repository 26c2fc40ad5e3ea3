"""What a gateway refuses and how it says so: rate limits, spans, batch sizes, paper accounts.

Texts that are known from real gateways are used word for word; for the others no public wording is known,
so they follow the known ones: the English rate limit, spans, batch sizes and foreign accounts.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

from apex_pipeline.brokers.futu.simulator_wire import (
    CASH_FLOW,
    FEES,
    FILLS,
    FUNDS,
    HISTORY_FILLS,
    HISTORY_KL,
    HISTORY_ORDERS,
    ORDERS,
    POSITIONS,
)

Language = Literal["en", "zh"]
WINDOW_SECONDS = 30.0
MAX_SPAN_DAYS = 90
MAX_FEE_IDS = 400
MAX_CONNECTIONS = 128
LIMITS = {
    HISTORY_ORDERS: 10,
    HISTORY_FILLS: 10,
    FEES: 10,
    CASH_FLOW: 10,
    ORDERS: 10,
    FILLS: 10,
    POSITIONS: 10,
    FUNDS: 10,
    HISTORY_KL: 60,
}
"""Requests per window, account and protocol. Today's orders and deals, positions and funds count only when they ask to
refresh the cache, K-lines only by their first pages and for the whole login; for the cash flow no limit is
documented."""
CACHED = {ORDERS, FILLS, POSITIONS, FUNDS}

_ACTIONS = {
    HISTORY_ORDERS: ("Get Historical Order List", "获取历史订单列表"),
    HISTORY_FILLS: ("Get Historical Deal List", "获取历史成交列表"),
    FEES: ("Get Order Fees", "获取订单费用"),
    CASH_FLOW: ("Get Cash Flow Summary", "获取账户现金流水"),
    ORDERS: ("Get Order List", "获取订单列表"),
    FILLS: ("Get Deal List", "获取成交列表"),
    POSITIONS: ("Get Positions", "获取持仓列表"),
    FUNDS: ("Get Account Funds", "获取账户资金"),
    HISTORY_KL: ("Get Historical Candlesticks", "获取历史K线"),
}
_TEXTS = {
    "rate": (
        "{action}: high frequency, request failed, at most {limit} times every 30 seconds.",
        "{action}频率太高，请求失败，每30秒最多{limit}次。",
    ),
    "span": (
        "{action}: the time span of a request cannot exceed {limit} days",
        "{action}接口，请求的时间跨度不能超过{limit}天",
    ),
    "batch": ("At most {limit} order IDs in a request", "每次最多请求{limit}个订单号"),
    "account": ("Nonexisting account {account}", "账户不存在 {account}"),
    "market": ("The account has no authority for this market", "账户没有该市场的交易权限"),
    "environment": ("The account does not belong to this trading environment", "账户与交易环境不匹配"),
    "time": ("Wrong time format", "时间格式错误"),
    "currency": ("Missing necessary parameter: currency", "缺少必要的参数: currency"),
    "paper_fills": ("Simulated trade does not support deal list", "模拟交易不支持成交数据"),
    "paper_fees": ("Simulated trade is not supported", "暂时不支持模拟交易"),
    "paper_flow": ("Paper trading does not support requesting cash flow data.", "模拟账户不支持查询现金流水"),
    "protocol": ("未知的协议ID", "未知的协议ID"),
    "init_first": ("InitConnect must be sent first", "请先初始化连接"),
    "init_refused": ("OpenD has not logged in", "OpenD 尚未登录"),
    "cipher": ("Only AES-CBC is supported", "仅支持 AES-CBC 加密"),
    "login_lost": ("The account is not logged in, please log in again", "账号未登录，请重新登录"),
    "timeout": ("NN_ProtoRet_TimeOut", "NN_ProtoRet_TimeOut"),
    "unknown_stock": ("Unknown stock. {code}", "未知股票 {code}"),
    "no_quotes_US": ("No right to get the quote for {code}", "无权限获取{code}的行情，请检查美国市场股票行情权限"),
    "no_quotes_HK": ("No right to get the quote for {code}", "无权限获取{code}的行情，请检查香港市场股票行情权限"),
    "kl_type": ("This candlestick type is not supported", "不支持该K线类型"),
    "kl_quota": (
        "Insufficient historical candlestick quota, request failed. All of it will be released after 30 days.",
        "历史K线额度不足，请求失败。额度会滚动释放，直至30天后全部释放。",
    ),
    "body": ("The packet cannot be read", "包内容非法"),
}


class RefusalError(Exception):
    """The gateway says no; the message is what the client reads."""


def text(key: str, language: Language, **values: object) -> str:
    """What a gateway of this language says in the situation `key`."""
    return _TEXTS[key][language == "zh"].format(**values)


def action(proto_id: int, language: Language) -> str:
    """The name of a request as it stands in messages."""
    return _ACTIONS[proto_id][language == "zh"]


class RateLimits:
    """Sliding windows of requests by protocol and account.

    `time_scale` shortens the 30 seconds: 30 makes it one. `count_refused`: whether a refused request also
    uses up the budget, which nobody knows of the real gateway. `limits` replace those of `LIMITS` by protocol.
    """

    def __init__(
        self, time_scale: float, *, count_refused: bool, limits: Mapping[int, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.limits = LIMITS | dict(limits or {})
        self._window = WINDOW_SECONDS / time_scale
        self._count_refused = count_refused
        self._clock = clock
        self._taken: dict[tuple[int, int], deque[float]] = {}

    def take(self, proto_id: int, account: int) -> bool:
        """Whether one more request is allowed now."""
        taken = self._taken.setdefault((proto_id, account), deque())
        now = self._clock()
        while taken and now - taken[0] >= self._window:
            taken.popleft()
        allowed = len(taken) < self.limits[proto_id]
        if allowed or self._count_refused:
            taken.append(now)
        return allowed
