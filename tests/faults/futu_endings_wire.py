"""How OpenD tells the made-up spring at an instant: orders, deals, fees, cash flow by clearing date, and positions."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from tests.cli import books
from tests.cli.book_wire import Style, login
from tests.cli.books import Book, Booking, Contract, Fill, Holding, Made
from tests.cli.opend import Login
from tests.faults.futu_endings import FIRST, Ended, Filled, Life, Placed, Told, average_costs, held_at, next_weekday

PRICE = Decimal("1.25")
"""The price of every position: what it is worth is no matter here."""

_NUMBER = 6_100_000_000_000_000_000
_CHINESE_TYPES = {"Trade": "交易", "Fees": "费用", "Others": "其他"}
_CHINESE_ENDS = {"ASS": "期权被指派", "EXE": "期权行权", "EXP": "期权到期"}


@dataclass(frozen=True)
class _Line:
    """A booking of the cash flow before it has a number."""

    day: date
    words: str
    remark: str
    amount: Decimal
    currency: str
    settles: date


def told_at(life: Life, at: datetime, style: Style) -> Login:
    """What OpenD knows at an instant."""
    orders = [one for one in life.orders if one.at <= at]
    book = Book(at, FIRST)
    book.orders = [_order(one, number) for number, one in enumerate(life.orders) if one in orders]
    told = {_id(one): settles for one, settles in bookings(life, style) if one.day < at.date()}
    book.bookings = [one for one, _ in bookings(life, style) if _id(one) in told]
    costs = average_costs(life.changes(), at)
    book.holdings = [
        _holding(7_900_000_000_000_000_000 + number, account, contract, qty, costs[account, contract.symbol])
        for number, (account, contract, qty) in enumerate(held_at(life.changes(), at))
    ]
    known = login(book, style)
    for account, rows in (known.flows or {}).items():
        for row in rows:
            row["settlementDate"] = str(told[account, row["clearingDate"], row["cashFlowID"]])
    return known


def _holding(number: int, account: int, contract: Contract, qty: Decimal, cost: Decimal) -> Holding:
    """A position with its average cost as Futu writes it, to three places."""
    cost, size = round(cost, 3), qty * contract.size
    return Holding(account, number, contract, qty, cost, PRICE, size * PRICE, size * (PRICE - cost))


def _id(booking: Booking) -> tuple[int, str, int]:
    return booking.account, str(booking.day), booking.number


def bookings(life: Life, style: Style) -> list[tuple[Booking, date]]:
    """The whole cash flow with its settlement dates, numbered by account and clearing date as it came."""
    lines: defaultdict[tuple[int, date], list[_Line]] = defaultdict(list)
    for order in sorted(life.orders, key=lambda one: one.at):
        for line in _of_order(order):
            lines[order.account, line.day].append(line)
    for end in life.ends:
        for line in _of_end(end, style):
            lines[end.account, line.day].append(line)
    return [
        (
            Booking(
                account, 16001 + number, day, line.currency, _type(line.words, style), line.remark, line.amount, ""
            ),
            line.settles,
        )
        for (account, day), some in lines.items()
        for number, line in enumerate(some)
    ]


def _of_order(order: Placed) -> Iterator[_Line]:
    currency = order.contract.currency
    for fill in order.fills:
        yield _Line(order.day, "Trade", "", -fill.qty * fill.price * fill.contract.size, currency, order.day)
    if order.fee:
        yield _Line(order.day, "Fees", "", -order.fee, currency, order.day)


def _of_end(end: Ended, style: Style) -> Iterator[_Line]:
    later = next_weekday(end.day)
    named_on = later if end.told in (Told.NEXT_DAY, Told.NEXT_DAY_UNDATED) else end.day
    paid_on = later if end.told is Told.MONEY_NEXT_DAY else named_on
    remark = _remark(end, style)
    money, currency = end.money if end.kind != "EXP" else Decimal(0), end.contract.currency
    if end.told is Told.NOTHING:
        return
    one_row = end.told is Told.ONE_ROW or end.kind == "EXP"
    settles = next_weekday(end.day) if end.contract.market == "US" else next_weekday(next_weekday(end.day))
    yield _Line(named_on, "Others", remark, money if one_row else Decimal(0), currency, settles if one_row else later)
    if not one_row:
        yield _Line(paid_on, "Others", "", money, currency, settles)


def _remark(end: Ended, style: Style) -> str:
    on = "" if end.told is Told.NEXT_DAY_UNDATED else f"{end.day:%Y%m%d}"
    if style.chinese and end.told is Told.ONE_ROW:
        return f"{_CHINESE_ENDS[end.kind]} {end.contract.code} {on}".strip()
    return f"Opt {end.kind}-{end.contract.right}-{end.contract.code}{'-' if on else ''}{on}"


def _type(words: str, style: Style) -> str:
    return _CHINESE_TYPES[words] if style.chinese else words


def _order(order: Placed, number: int) -> Made:
    """The order as the independent wire takes it, filled at once."""
    first = order.fills[0]
    kind = 1 if order.sized else 2
    fills = tuple(_fill(order, fill, number * 8 + place) for place, fill in enumerate(order.fills))
    qty, price = abs(first.qty), (first.price if order.sized else Decimal(0))
    fee = (order.fee, (("Commission", order.fee),) if order.fee else ())
    made = Made(
        order.account, _NUMBER + number, f"E{number:017d}", order.contract, _side(first), kind, books.FILLED,
        qty, price, qty * price * order.contract.size if order.sized else None, first.price, order.at, order.at, fills,
        fee,
    )  # fmt: skip
    return replace(made, side=books.BUY) if order.contract.legs else made


def _fill(order: Placed, fill: Filled, number: int) -> Fill:
    return Fill(9_400_000_000_000_000_000 + number, fill.contract, order.at, _side(fill), abs(fill.qty), fill.price)


def _side(fill: Filled) -> int:
    """Buy and sell: whether something was opened or closed is left to the program."""
    return books.BUY if fill.qty > 0 else books.SELL
