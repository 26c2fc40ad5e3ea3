"""The words of Futu's cash flow, Chinese and English, and the kinds of movements they mean. Pure.

Only `Others`, `Fund Redemption` and the assignment of an option are known from published rows; the other words are
those of Futu's documents and statements. What no rule knows is OTHER and told as drift.
"""

import re
from dataclasses import dataclass

from apex_pipeline.domain.models import CashKind


@dataclass(frozen=True, slots=True)
class Meaning:
    """The kind of a movement; `unknown` is the word that no rule knows, None where all are known."""

    kind: CashKind
    unknown: str | None = None


_EVENTS = (
    (CashKind.ASSIGNMENT, r"\b(ass|asg|assgn|asn|assign\w*)\b|指派|被行[使权權]"),
    (CashKind.EXERCISE, r"\b(exe|exr|exc|exer|exec|ex|exercis\w*)\b|行[使权權]"),
    (CashKind.EXPIRATION, r"\b(exp|expr|expi|expir\w*|lapse\w*)\b|到期|[过過]期|失效|作[废廢]"),
)
"""Events of options. The order matters: 被行权 (was assigned) holds 行权 (exercise)."""

_KINDS = (
    (CashKind.FX, r"currency (exchange|conversion)|\bfx\b|exchange of currenc|换汇|兑换|外汇|貨幣兌換|兌換|換匯"),
    (CashKind.FUND, r"\bfund (redemption|subscription|purchase)|money market|基金|余额宝|現金[寶宝]|现金[寶宝]"),
    (CashKind.TAX, r"\btax|withholding|预扣|預扣|税|稅"),
    (CashKind.DIVIDEND, r"dividend|distribution|股息|分红|派息|分紅|红利|紅利"),
    (CashKind.INTEREST, r"interest|利息|融资息|融資息"),
    (
        CashKind.CORPORATE_ACTION,
        r"corporate action|merger|spin.?off|rights issue|公司行动|公司行動|供股|合并|合併|拆股|私有化|\bipo\b|新股",
    ),
    (
        CashKind.FEE,
        r"\bfees?\b|commission|charge|subscription|手续费|手續費|费用|費用|佣金|服务费|服務費|平台费|存管费|订阅",
    ),
    (CashKind.WITHDRAWAL, r"withdraw|出金|提取|提款|取款|转出|轉出"),
    (CashKind.DEPOSIT, r"deposit|入金|存入|存款|转入|轉入"),
    (CashKind.TRANSFER, r"transfer|internal|调拨|調撥|转账|轉賬|划转|劃轉|互转"),
    (CashKind.TRADE, r"\b(trade|trading|buy|sell|bought|sold|settlement)\b|交易|买入|卖出|買入|賣出|证券|交收|结算"),
)

_NOT_SAYING = frozenset({"", "n/a", "other", "others", "其他", "其它", "未知"})
"""Types that leave it to the remark."""

_BESIDE_EVENTS = frozenset({CashKind.FEE, CashKind.TAX, CashKind.INTEREST, CashKind.DIVIDEND})
"""What is booked because of an event but is not the event."""

_TRANSFER_WORDS = re.compile(r"\binternal|资产划转|划转|劃轉|调拨|調撥|互转", re.IGNORECASE)
_EVENT_WORDS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _EVENTS]
_KIND_WORDS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _KINDS]
_LONGEST_WORD = 60


def kind_of(flow_type: str, remark: str, *, about_option: bool) -> Meaning:
    """What a cash flow is, by its type, else by its remark; `about_option`: the remark names an option."""
    words = " ".join(flow_type.split())
    if about_option:
        event = _first(_EVENT_WORDS, words) or (_kind(words) not in _BESIDE_EVENTS and _first(_EVENT_WORDS, remark))
        if event:
            return Meaning(event)
    if words.casefold() not in _NOT_SAYING:
        kind = _kind(words)
        return Meaning(kind) if kind else Meaning(_kind(remark) or CashKind.OTHER, words[:_LONGEST_WORD])
    kind = _kind(remark)
    return Meaning(kind) if kind else Meaning(CashKind.OTHER, _form(remark) or None)


def _kind(text: str) -> CashKind | None:
    return CashKind.TRANSFER if _TRANSFER_WORDS.search(text) else _first(_KIND_WORDS, text)


def _first(words: list[tuple[CashKind, re.Pattern[str]]], text: str) -> CashKind | None:
    return next((kind for kind, pattern in words if pattern.search(text)), None)


def _form(remark: str) -> str:
    """A remark with its codes, names and numbers left out, so that equal unknown remarks are told as one."""
    plain = re.sub(r"#.*", "", " ".join(remark.split()))
    return re.sub(r"[A-Z]*\d[\w.,-]*", "…", plain)[:_LONGEST_WORD].strip()
