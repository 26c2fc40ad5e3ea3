"""The keys under which the rows of one document are kept: IB's own ids first, their content where there are none."""

from collections import Counter
from dataclasses import dataclass, field

from apex_pipeline.brokers.ib import layout
from apex_pipeline.brokers.ib.identity import content_hash, id_of, level_of, own_key
from apex_pipeline.domain.records import RecordKind
from apex_pipeline.errors import UnknownPayload

Attributes = dict[str, str]


@dataclass(slots=True)
class RowKeys:
    """Keys of one statement after the other; `without_id` counts facts of the whole document that IB gave no id."""

    order: str = ""
    without_id: int = 0
    _account: str = ""
    _seen: Counter[str] = field(default_factory=Counter[str])
    _booked: dict[tuple[str, str | None], int] = field(default_factory=dict["tuple[str, str | None]", int])

    def begin(self, account: str) -> None:
        """A statement of this account begins: equal rows are counted anew."""
        self._account = account
        self._seen.clear()
        self._booked.clear()

    def of_fact(self, section: str, tag: str, attributes: Attributes) -> str:
        """The key of a trade, order or booking that has no id."""
        self.without_id += 1
        return self.by_content(section, tag, attributes)

    def by_content(self, section: str, tag: str, attributes: Attributes) -> str:
        """What the row is, and its number among equal ones: real equal fills exist."""
        digest = content_hash(tag, attributes, self._account)
        return f"H{digest}-{self.number(f'{section}/{tag}/{digest}')}"

    def of_booking(self, section: str, tag: str, attributes: Attributes) -> str:
        """The key of a booking of cash. UnknownPayload for one that may be the sum of others, or another of an id."""
        key = id_of(attributes, "transactionID")
        if key:
            told = hash(frozenset(attributes.items()))
            if self._booked.setdefault((key, attributes.get("accountId")), told) != told:
                raise UnknownPayload("repeated_transactionID", f"the statement tells two different rows of {key}")
            return key
        if "transactionID" in attributes and not level_of(attributes):
            reason = "the booking may be a sum of others: add transactionID and levelOfDetail to the query"
            raise UnknownPayload("missing_transactionID", reason)
        return self.of_fact(section, tag, attributes)

    def of_row(self, section: str, tag: str, attributes: Attributes) -> str:
        """The key of a row of another section. UnknownPayload where a date in it cannot be read."""
        own = own_key(section, attributes, self.order)
        if own is None:
            return f"{section}/{tag}/{self.by_content(section, tag, attributes)}"
        if section in layout.SINGLE:
            return f"{section}/{own}"
        return f"{section}/{own}#{self.number(f'{section}/{own}')}"

    def of_reject(self, kind: RecordKind, section: str, attributes: Attributes) -> str | None:
        """The key that a readable version of the row would have, so that it settles the reject; None if unknown."""
        if kind is RecordKind.PROVISIONAL:
            own = id_of(attributes, "execID") or id_of(attributes, "tradeID")
            return f"confirm:{own}" if own else None
        if kind is not RecordKind.SECTIONS:
            return id_of(attributes, "ibOrderID" if kind is RecordKind.ORDERS else "transactionID")
        try:
            own = own_key(section, attributes, self.order)
        except UnknownPayload:
            return None
        return own and f"{section}/{own}{'' if section in layout.SINGLE else '#1'}"

    def number(self, identity: str) -> int:
        """Counts rows of one identity within a statement from 1."""
        self._seen[identity] += 1
        return self._seen[identity]
