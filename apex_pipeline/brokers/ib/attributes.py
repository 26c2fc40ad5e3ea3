"""Typed reading of one record's attributes: text, ids, exact numbers, dates and instants.

None is "no value"; what is there but cannot be read raises UnknownPayload, so that a row is quarantined
instead of becoming a wrong number.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Context, Decimal
from typing import Any

from apex_pipeline.brokers.ib.identity import id_of, text_of
from apex_pipeline.brokers.ib.times import UNDECIDED, date_of, instant_of
from apex_pipeline.brokers.ib.told import DATES_MARK
from apex_pipeline.domain.money import decimal_of
from apex_pipeline.domain.records import Record
from apex_pipeline.errors import UnknownPayload

EXACT = Context(prec=120)
"""Wide enough that no product or sum of accepted numbers is rounded."""

_LARGEST, _SMALLEST = 20, -20


@dataclass(frozen=True, slots=True)
class Attributes:
    """The payload of a record, read on demand."""

    record: Record

    @property
    def payload(self) -> dict[str, Any]:
        """The attributes as sent."""
        return self.record.payload

    def text(self, name: str) -> str | None:
        """The text, or None where Flex writes no value."""
        return text_of(self.payload, name)

    def id(self, name: str) -> str | None:
        """An identifier, or None; 0 is none."""
        return id_of(self.payload, name)

    def required(self, name: str) -> str:
        """The text; UnknownPayload `missing_<name>` if there is none."""
        value = self.text(name)
        if value is None:
            raise UnknownPayload(f"missing_{name}", f"the row has no {name}: add this field to the Flex query")
        return value

    def number(self, name: str) -> Decimal | None:
        """The exact number, or None; UnknownPayload `bad_number` for anything but a plain decimal."""
        value = self.text(name)
        if value is None:
            return None
        number = decimal_of(value)
        digits = number.as_tuple().exponent
        if number.adjusted() > _LARGEST or (isinstance(digits, int) and digits < _SMALLEST):
            raise UnknownPayload("bad_number", f"{name} {value[:40]!r} is beyond any price or quantity")
        return number

    def required_number(self, name: str) -> Decimal:
        """The exact number; UnknownPayload if there is none."""
        value = self.number(name)
        if value is None:
            raise UnknownPayload(f"missing_{name}", f"the row has no {name}: add this field to the Flex query")
        return value

    def date(self, name: str) -> date | None:
        """The date, or None."""
        return date_of(self.payload.get(name), self.payload.get(DATES_MARK, UNDECIDED))

    def instant(self, name: str) -> datetime | None:
        """The aware UTC instant, or None; a date alone is no instant."""
        return instant_of(self.payload.get(name), self.payload.get(DATES_MARK, UNDECIDED))

    def executed_at(self) -> datetime | None:
        """When the row happened: dateTime, or the tradeDate and tradeTime of older statements."""
        if self.text("dateTime"):
            return self.instant("dateTime")
        day, clock = self.text("tradeDate"), self.text("tradeTime")
        return instant_of(f"{day};{clock}", self.payload.get(DATES_MARK, UNDECIDED)) if day and clock else None

    def notes(self) -> frozenset[str]:
        """The codes of the row as a free set; IB adds codes and changes the separator."""
        return codes_of(self.text("notes") or "")


def codes_of(notes: str) -> frozenset[str]:
    """The codes in the text of `notes`, whatever separates them."""
    return frozenset(notes.replace(",", ";").replace(" ", ";").split(";")) - {""}
