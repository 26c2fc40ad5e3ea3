"""What one setting may be: every function reads the text of a variable, or raises ConfigError that names it."""

import re
from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apex_pipeline.errors import ConfigError

_BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
_OF_DATES, _OF_TIMES = frozenset("aAwdbBmyYjUWGuVxD"), frozenset("HIpMSfzZXTR")
_FORMS = {"a date": "%d.%m.%Y", "a time": "%H:%M", "an instant": "%d.%m.%Y %H:%M"}


def names_of(text: str | None) -> tuple[str, ...]:
    """The items of a list with commas."""
    return tuple(item.strip() for item in (text or "").split(",") if item.strip())


def brokers(values: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The brokers to load, in small letters."""
    names = tuple(one.lower() for one in names_of(values[name]))
    if not names or set(names) - {"futu", "ib"}:
        raise ConfigError(f"{name} is {values[name]!r}; it lists one or both of futu, ib")
    return names


def whole(values: Mapping[str, str], name: str, most: int = 10**9, least: int = 1) -> int:
    """A whole number within its bounds."""
    text = values[name]
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        limit = f" to {most}" if most < 10**9 else ""
        raise ConfigError(f"{name} is {text!r}; it must be a whole number from {least}{limit}")
    return int(text)


def one_of(values: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """One of the known words, in small letters."""
    text = values[name].lower()
    if text not in known:
        raise ConfigError(f"{name} is {values[name]!r}; it is one of {', '.join(known)}")
    return text


def boolean(values: Mapping[str, str], name: str) -> bool:
    """True or false."""
    found = _BOOLEANS.get(values[name].lower())
    if found is None:
        raise ConfigError(f"{name} is {values[name]!r}; it is true or false")
    return found


def seconds(values: Mapping[str, str], name: str) -> float:
    """A length of time in seconds, above 0."""
    try:
        found = float(values[name])
    except ValueError:
        found = -1.0
    if not 0 < found < 10**6:
        raise ConfigError(f"{name} is {values[name]!r}; it must be a number of seconds")
    return found


def interval(values: Mapping[str, str], name: str) -> str:
    """A length of time as PostgreSQL reads it."""
    text = " ".join(values[name].split())
    if not re.fullmatch(r"[1-9]\d{0,5} ?(hour|day|week|month|year)s?", text):
        raise ConfigError(f"{name} is {values[name]!r}; it must be a length of time such as '7 days' or '1 month'")
    return text


def day(values: Mapping[str, str], name: str) -> date:
    """A date."""
    try:
        return date.fromisoformat(values[name])
    except ValueError:
        raise ConfigError(f"{name} is {values[name]!r}; it must be a date like 2015-01-01") from None


def zone(values: Mapping[str, str], name: str) -> ZoneInfo:
    """A time zone by its name."""
    try:
        return ZoneInfo(values[name])
    except (ZoneInfoNotFoundError, ValueError):
        raise ConfigError(f"{name} is {values[name]!r}, which is no time zone name") from None


def form(values: Mapping[str, str], name: str, *, dates: bool, times: bool) -> str:
    """A form of `strftime` for people's eyes, of what a date and a time have."""
    text = values[name]
    known = (_OF_DATES if dates else frozenset[str]()) | (_OF_TIMES if times else frozenset[str]())
    known |= frozenset("c") if dates and times else frozenset()
    told = [one for one in re.findall(r"%-?(.?)", text, flags=re.DOTALL) if one != "%"]
    if not told or not known.issuperset(told) or not text.isprintable():
        kind = ("an instant" if dates else "a time") if times else "a date"
        raise ConfigError(f"{name} is {text!r}; it must be a strftime form of {kind} such as {_FORMS[kind]}")
    return text
