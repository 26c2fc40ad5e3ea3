"""Facts of the Trades section: each function books one of them, with everything that belongs to it."""

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from tests.faults.flex_book import NEW_YORK, Entry, business_day_after
from tests.faults.flex_book_contracts import HK_STOCKS, PAIRS, US_STOCKS, Contract, futures, option
from tests.faults.flex_book_ledger import Ledger

CENT = Decimal("0.01")


def fills(ledger: Ledger, contract: Contract, lot: int, at: datetime | None = None) -> list[Entry]:
    """One order in one to four fills."""
    at = at or ledger.moment(ledger.day())
    reference = ledger.random.choice(("", "", "plan 7 & <b>"))
    instruction = ledger.instruction(at, reference=reference)
    sign, count = ledger.random.choice((1, -1)), ledger.random.randint(1, 4)
    made: list[Entry] = []
    for number in range(count):
        signed = Decimal(sign * lot * ledger.random.randint(1, 5))
        entry = ledger.fill(contract, signed, at + timedelta(seconds=number // 2), instruction)
        entry.effect, entry.notes = (made[0] if made else entry).effect, ("P",) if count > 1 else ()
        made.append(entry)
    return made


def us_stock(ledger: Ledger) -> None:
    fills(ledger, ledger.random.choice(US_STOCKS), 10)


def hk_stock(ledger: Ledger) -> None:
    """Hong Kong trades in New York's night; stamp duty is a tax."""
    at = ledger.moment(ledger.day(), 0, 3)
    for entry in fills(ledger, ledger.random.choice(HK_STOCKS), 100, at):
        entry.taxes = -(abs(entry.signed) * entry.price / 1000).quantize(CENT)


def rebate(ledger: Ledger) -> None:
    """IB pays for an order that added liquidity."""
    for entry in fills(ledger, US_STOCKS[2], 100):
        entry.commission = Decimal(ledger.random.randint(1, 4000)) / 10_000


def foreign_commission(ledger: Ledger) -> None:
    for entry in fills(ledger, ledger.random.choice(US_STOCKS), 5):
        entry.commission_currency = "HKD"


def unknown_commission(ledger: Ledger) -> None:
    """A fill whose commission IB does not tell, and one that cost nothing."""
    fills(ledger, US_STOCKS[3], 1)[0].commission = None
    fills(ledger, US_STOCKS[3], 1)[0].commission = Decimal(0)


def fraction(ledger: Ledger) -> None:
    at = ledger.moment(ledger.day())
    entry = ledger.fill(US_STOCKS[0], Decimal(ledger.random.randint(1, 99_999_999)).scaleb(-8), at, None)
    entry.instruction = ledger.instruction(at)
    entry.transaction_type, entry.notes = ledger.random.choice((("ExchTrade", ("FP",)), ("FracShare", ("FP", "IA"))))


def equal_fills(ledger: Ledger) -> None:
    """Two real fills of one order in one second, different in nothing but their ids."""
    at = ledger.moment(ledger.day())
    one = ledger.fill(US_STOCKS[2], Decimal(100), at, ledger.instruction(at))
    other = replace(one, exec_id=f"{ledger.exec_stem()}.01.01", trade_id=ledger.trade_id())
    ledger.entries.append(other)


def conversion(ledger: Ledger) -> None:
    """Currencies; after 17:00 in New York the next business day has begun."""
    day, late = ledger.day(), ledger.random.random() < 0.5
    at = ledger.moment(day, 17, 22) if late else ledger.moment(day)
    entry = ledger.fill(ledger.random.choice(PAIRS), _amount(ledger), at, ledger.instruction(at))
    entry.trade_date = entry.report_date = business_day_after(day) if late else day
    entry.settle_date = business_day_after(entry.trade_date, 2)
    entry.commission_currency, entry.venue = "USD", "IDEALPRO"


def automatic_conversion(ledger: Ledger) -> None:
    at = ledger.moment(ledger.day(), 17, 17)
    entry = ledger.fill(ledger.random.choice(PAIRS), _amount(ledger), at, ledger.instruction(at, brokerage=False))
    entry.trade_date = entry.report_date = business_day_after(at.date())
    entry.exec_id, entry.notes = f"CUSTHSFX.{ledger.number():08x}.01.01", ("AFx",)
    entry.commission, entry.venue = Decimal(0), "IDEALFX"


def _amount(ledger: Ledger) -> Decimal:
    return Decimal(ledger.random.choice((1, -1)) * ledger.random.randint(1, 99_999_999)).scaleb(-4)


def future(ledger: Ledger) -> None:
    contract = ledger.random.choice(futures(ledger.days[-1]))
    for entry in fills(ledger, contract, 1, ledger.moment(ledger.day(), 1, 16)):
        entry.venue = contract.listing


def some_option(ledger: Ledger, day: date) -> Contract:
    """An option that lives longer than the day."""
    root, around = ledger.random.choice((("AAPL", 230), ("SPY", 610), ("F", 11), ("SPXW", 6000)))
    strike = Decimal(around) + Decimal(ledger.random.randint(-10, 10)) / 2
    price = Decimal(ledger.random.randint(5, 900)) / 100
    return option(root, _friday(day + timedelta(days=30)), ledger.random.choice("CP"), strike, price)


def single_option(ledger: Ledger) -> None:
    at = ledger.moment(ledger.day())
    fills(ledger, some_option(ledger, at.date()), 1, at)


def combination(ledger: Ledger) -> None:
    """A combination in one or two fills: each leg an order of its own, joined by the execution ids only."""
    at = ledger.moment(ledger.day())
    count, quantity = ledger.random.choice((2, 2, 4)), ledger.random.randint(1, 5)
    lead = some_option(ledger, at.date())
    assert lead.strike is not None
    assert lead.expiry is not None
    root = lead.name.split()[0].removeprefix("US.")
    strikes = [lead.strike + 5 * number for number in range(count)]
    legs = [option(root, lead.expiry, lead.right, strike, lead.price) for strike in strikes]
    orders = [ledger.instruction(at, brokerage=False) for _ in legs]
    for part in range(ledger.random.randint(1, 2)):
        stem, moment = ledger.exec_stem(), at + timedelta(minutes=part)
        for number, (leg, order) in enumerate(zip(legs, orders, strict=True)):
            entry = ledger.fill(leg, Decimal(quantity * (-1) ** number), moment, order)
            entry.exec_id, entry.link, entry.effect = f"{stem}.{number + 2:02d}.01", stem, "O"


def ending(ledger: Ledger) -> None:
    """An option is sold, then expires, is assigned or is exercised on a Friday, which Monday's statement tells."""
    kind = ledger.random.choice(("EXPIRATION", "ASSIGNMENT", "EXERCISE"))
    end_option(ledger, kind)


def expiration(ledger: Ledger) -> None:
    end_option(ledger, "EXPIRATION")


def assignment(ledger: Ledger) -> None:
    end_option(ledger, "ASSIGNMENT")


def exercise(ledger: Ledger) -> None:
    end_option(ledger, "EXERCISE")


def end_option(ledger: Ledger, kind: str) -> None:
    """Open an option, then end it with IB's own entries."""
    friday, bought = _friday(ledger.day()), kind == "EXERCISE"
    if friday > ledger.days[-1]:
        friday -= timedelta(days=7)
    stock = ledger.random.choice((US_STOCKS[0], US_STOCKS[3]))
    right, strike = ledger.random.choice("CP"), Decimal(ledger.random.randint(200, 650))
    contract = option(stock.symbol, friday, right, strike, Decimal("1.23"))
    quantity = Decimal(ledger.random.randint(1, 4) * (1 if bought else -1))
    at = ledger.moment(friday - timedelta(days=1))
    opening = ledger.fill(contract, quantity, at, ledger.instruction(at))
    opening.effect = "O"
    action = str(ledger.number() + 30_000) if kind != "EXPIRATION" else ""
    code = {"EXPIRATION": "Ep", "ASSIGNMENT": "A", "EXERCISE": "Ex"}[kind]
    closing = _book_entry(ledger, contract, -quantity, Decimal(0), friday, kind, (code, action))
    closing.effect = "C"
    if action:
        shares = quantity * 100 * (1 if right == "C" else -1)
        leg = _book_entry(ledger, stock, shares, strike, friday, kind, (code, action))
        leg.effect, leg.taxes = ledger.random.choice("OC"), Decimal(ledger.random.choice(("0", "-0.31")))


def _book_entry(
    ledger: Ledger, contract: Contract, signed: Decimal, price: Decimal, day: date, kind: str, told: tuple[str, str]
) -> Entry:
    at = datetime.combine(day, time(16, 20), NEW_YORK)
    code, action = told
    entry = Entry(
        ledger.account, contract, signed, price, at, day, business_day_after(day), business_day_after(day),
        trade_id=ledger.trade_id(), transaction_type="BookTrade", notes=(code,), action_id=action,
        commission=Decimal(0), commission_currency=contract.currency, venue="--", kind=kind, link=action or None,
        late=True,
    )  # fmt: skip
    ledger.entries.append(entry)
    return entry


def cancel(ledger: Ledger) -> None:
    """A fill that is taken back the next day, for good."""
    original = fills(ledger, ledger.random.choice(US_STOCKS), 10)[0]
    _taking_back(ledger, original, names_transaction=True)


def nameless_cancel(ledger: Ledger) -> None:
    """A cancel that is booked as a trade of its own day, under no order."""
    original = fills(ledger, ledger.random.choice(US_STOCKS), 10)[0]
    taking = _taking_back(ledger, original, names_transaction=True)
    taking.instruction, taking.trade_date = None, taking.report_date


def rebook(ledger: Ledger) -> None:
    """A fill that is taken back and booked anew at another price, under its old tradeID."""
    original = fills(ledger, ledger.random.choice(US_STOCKS), 10)[0]
    _taking_back(ledger, original, names_transaction=True)
    _booked_anew(ledger, original)


def old_rebook(ledger: Ledger) -> None:
    """The same in an old statement, which names the original by its tradeID only, which the new booking repeats."""
    original = fills(ledger, ledger.random.choice(PAIRS), 1000)[0]
    _taking_back(ledger, original, names_transaction=False)
    _booked_anew(ledger, original)


def rebook_under_one_execution(ledger: Ledger) -> None:
    """A new booking that keeps even the execution id."""
    original = fills(ledger, ledger.random.choice(US_STOCKS), 10)[0]
    _taking_back(ledger, original, names_transaction=True)
    _booked_anew(ledger, original).exec_id = original.exec_id


def correction(ledger: Ledger) -> None:
    """One row that takes an execution back and counts itself, with another quantity and price."""
    original = fills(ledger, ledger.random.choice(US_STOCKS), 10)[0]
    corrected = _booked_anew(ledger, original)
    corrected.transaction_type, corrected.original, corrected.trade_id = "TradeCorrect", original, ledger.trade_id()
    corrected.signed += 1 if corrected.signed > 0 else -1


def _taking_back(ledger: Ledger, original: Entry, *, names_transaction: bool) -> Entry:
    taking = replace(
        original, signed=-original.signed, report_date=business_day_after(original.report_date), exec_id="",
        trade_id="", transaction_type="TradeCancel", notes=("Ca",), commission=Decimal(0), taxes=Decimal(0),
        venue="--", original=original, names_transaction=names_transaction, kind="CANCEL", link=None, late=True,
    )  # fmt: skip
    ledger.entries.append(taking)
    return taking


def _booked_anew(ledger: Ledger, original: Entry) -> Entry:
    again = replace(
        original, price=ledger.price(original.contract), commission=Decimal(0), taxes=Decimal(0),
        report_date=business_day_after(original.report_date), exec_id=f"{original.exec_id[:-2]}02", late=True,
    )  # fmt: skip
    ledger.entries.append(again)
    return again


def _friday(day: date) -> date:
    """The first Friday from this day on."""
    return day + timedelta(days=(5 - day.isoweekday()) % 7)


TRADES = (
    us_stock, hk_stock, single_option, combination, future, conversion, automatic_conversion, fraction, equal_fills,
    rebate, foreign_commission, unknown_commission, expiration, assignment, exercise, cancel, nameless_cancel, rebook,
    old_rebook, rebook_under_one_execution, correction,
)  # fmt: skip
"""Every kind of fact."""

COMMON = (us_stock, us_stock, hk_stock, single_option, combination, future, conversion, fraction, ending)
"""What most of a history is made of."""
