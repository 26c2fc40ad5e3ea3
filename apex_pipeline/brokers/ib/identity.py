"""What identifies a row of a statement, and the day it belongs to. Pure; sections are described in `layout`."""

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from hashlib import sha256

from apex_pipeline.brokers.ib import layout
from apex_pipeline.brokers.ib.times import BLANKS, date_of, instant_of
from apex_pipeline.errors import UnknownPayload


def text_of(attributes: Mapping[str, str], name: str) -> str | None:
    """The attribute's text without surrounding blanks; None where Flex writes no value."""
    value = attributes.get(name, "").strip()
    return None if value in BLANKS else value


def id_of(attributes: Mapping[str, str], name: str) -> str | None:
    """An identifier; Flex writes 0 for "none" as well."""
    value = text_of(attributes, name)
    return None if value is None or not value.strip("0") else value


def level_of(attributes: Mapping[str, str]) -> str:
    """The level of detail in capitals; empty where the row does not say."""
    return (text_of(attributes, "levelOfDetail") or "").upper()


def is_summary(section: str, tag: str, attributes: Mapping[str, str]) -> bool:
    """Whether the row sums up the days of its statement, or opens or ends them, and so belongs to that window."""
    if tag in layout.SUMMARY_TAGS or (section in layout.FRAMED and _is_balance(section, attributes)):
        return True
    return tag not in layout.CHARGE_TAGS and level_of(attributes) in layout.SUMMARY_LEVELS


def _is_balance(section: str, attributes: Mapping[str, str]) -> bool:
    """Whether the line is the first or last one of a statement: about nothing in particular, and moving nothing."""
    if id_of(attributes, layout.FRAMED[section]) is not None:
        return False
    if (text_of(attributes, "activityDescription") or "").lower() in layout.BALANCES:
        return True
    about = (text_of(attributes, name) for name in ("activityCode", "conid", "symbol"))
    moved = (text_of(attributes, name) for name in layout.LINE_AMOUNTS)
    return not any(about) and not any(text and text.strip("+-0.") for text in moved)


def own_key(section: str, attributes: Mapping[str, str], order: str) -> str | None:
    """What IB itself calls the row, with dates as ISO text; None where the row lacks what identifies it.

    UnknownPayload where a date in it cannot be read.
    """
    names = layout.IDENTITIES.get(section)
    required = layout.REQUIRED_IDS.get(section)
    if names is None or (required and id_of(attributes, required) is None):
        return None
    return ":".join(_part(name, attributes, order) for name in names)


def _part(name: str, attributes: Mapping[str, str], order: str) -> str:
    text = text_of(attributes, name) or ""
    if not text or not name.lower().endswith(("date", "datetime")):
        return text
    day = date_of(text, order)
    moment = instant_of(text, order) if name == "dateTime" else None
    told = moment or day
    return told.isoformat() if told else text


def execution_root(exec_id: str) -> str:
    """An execution id without its last part, which counts revisions: .02 replaces .01."""
    return exec_id.rpartition(".")[0] or exec_id


def window_subject(tag: str, attributes: Mapping[str, str]) -> str:
    """What a row that sums up the days of its statement is about: 16 hex digits, whatever its sums are."""
    about = [(name, text_of(attributes, name)) for name in layout.SUBJECTS]
    return sha256(json.dumps([tag, about]).encode()).hexdigest()[:16]


def content_hash(tag: str, attributes: Mapping[str, str], account: str) -> str:
    """16 hex digits of what identifies a row that has no id; later revaluations do not change it."""
    kept = {name: value.strip() for name, value in attributes.items() if name not in layout.REVALUED}
    kept = {name: value for name, value in kept.items() if value not in BLANKS}
    kept["accountId"] = kept.get("accountId", account)
    return sha256(json.dumps([tag, sorted(kept.items())]).encode()).hexdigest()[:16]


def day_of(attributes: Mapping[str, str], names: Iterable[str], order: str) -> date | None:
    """The first of these dates that the row has; UnknownPayload where it cannot be read."""
    for name in names:
        day = date_of(attributes.get(name), order)
        if day is not None:
            return day
    return None


def moment_of(text: str | None, order: str) -> datetime | None:
    """The instant, UTC; None if absent or unreadable."""
    try:
        return instant_of(text, order)
    except UnknownPayload:
        return None


def window_of(attributes: Mapping[str, str], order: str) -> tuple[date, date] | None:
    """First and last day of a statement; None where it does not say, or says nonsense."""
    try:
        first, last = date_of(attributes.get("fromDate"), order), date_of(attributes.get("toDate"), order)
    except UnknownPayload:
        return None
    return (first, last) if first and last and first <= last else None
