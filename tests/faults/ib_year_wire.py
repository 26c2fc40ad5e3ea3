"""The made-up year as Flex statements."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from xml.sax.saxutils import quoteattr

from tests.faults.ib_year_books import Books
from tests.faults.ib_year_days import DAY, at
from tests.faults.ib_year_market import BASE
from tests.faults.ib_year_rows import ACCOUNT, Row, Shape
from tests.faults.ib_year_sums import Teller

Change = Callable[[list[Row]], list[Row]]


def document(books: Books, shape: Shape, windows: Iterable[tuple[date, date]], change: Change | None = None) -> str:
    """One file with a statement for each window."""
    statements = [text for first, last in windows for text in _statement(books, shape, first, last, change)]
    count = sum(line.startswith("<FlexStatement ") for line in statements)
    head = ['<?xml version="1.0" encoding="UTF-8"?>', '<FlexQueryResponse queryName="year" type="AF">',
            f'<FlexStatements count="{count}">']  # fmt: skip
    return "\n".join([*head, *statements, "</FlexStatements>", "</FlexQueryResponse>", ""])


def _statement(books: Books, shape: Shape, first: date, last: date, change: Change | None) -> Iterator[str]:
    teller = Teller(books, shape, first, last)
    told = {
        "accountId": ACCOUNT, "fromDate": shape.dates.date(first), "toDate": shape.dates.date(last), "period": "",
        "whenGenerated": shape.dates.moment(at(last + DAY, 23, 55)),
    }  # fmt: skip
    yield f"<FlexStatement{_attributes(told)}>"
    yield f'<AccountInformation accountId="{ACCOUNT}" currency="{BASE}" name="N N" accountType="Individual" />'
    yield f"<ChangeInNAV{_attributes(teller.nav())} />"
    for section, rows in teller.sections():
        kept = change(rows) if change else rows
        if not kept:
            yield f"<{section} />"
            continue
        yield f"<{section}>"
        yield from (f"<{tag}{_attributes(values)} />" for tag, values in kept)
        yield f"</{section}>"
    yield "</FlexStatement>"


def _attributes(told: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in told.items())
