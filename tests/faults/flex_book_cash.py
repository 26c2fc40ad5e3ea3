"""Facts outside the Trades section: cash transactions, corporate actions, transfers; and the book made of all facts."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from random import Random

from tests.faults.flex_book import (
    ACCOUNTS,
    DAYS,
    NEW_YORK,
    Book,
    Booking,
    Event,
    business_day_after,
    yesterday,
)
from tests.faults.flex_book_contracts import HK_STOCKS, US_STOCKS, Contract
from tests.faults.flex_book_ledger import Ledger
from tests.faults.flex_book_trades import COMMON, TRADES

FIRST_ID = 4_600_000_000


def _booking(
    ledger: Ledger, words: str, kind: str, amount: Decimal, day: date, contract: Contract | None = None
) -> Booking:
    currency = contract.currency if contract else ledger.random.choice(("USD", "HKD"))
    told = f"{contract.symbol} CASH {words.upper()} {currency} {abs(amount)}" if contract else f"{words.upper()} & CO"
    at = datetime.combine(day, time(20, 20), NEW_YORK)
    made = Booking(
        ledger.account, words, kind, amount, currency, at, business_day_after(day), business_day_after(day, 2),
        told, contract,
    )  # fmt: skip
    ledger.bookings.append(made)
    return made


def _sum(ledger: Ledger, most: int) -> Decimal:
    return Decimal(ledger.random.randint(1, most * 100)) / 100


def dividend(ledger: Ledger) -> None:
    """A dividend with its tax, taken back and paid anew: the reversal has the same action and the opposite sign."""
    contract, day = ledger.random.choice((*US_STOCKS, *HK_STOCKS)), ledger.day()
    paid, action = _sum(ledger, 900), str(ledger.number() + 40_000)
    tax = -(paid * 3 / 10).quantize(Decimal("0.01"))
    made = [
        _booking(ledger, "Dividends", "DIVIDEND", paid, day, contract),
        _booking(ledger, "Withholding Tax", "TAX", tax, day, contract),
    ]
    if ledger.random.random() < 0.5:
        later = business_day_after(day, 3)
        made += [
            _booking(ledger, "Withholding Tax", "TAX", -tax, later, contract),
            _booking(ledger, "Withholding Tax", "TAX", (tax / 2).quantize(Decimal("0.01")), later, contract),
        ]
    for one in made:
        one.action_id, one.ex_date = action, day - timedelta(days=9)


def money_moved(ledger: Ledger) -> None:
    """Money comes and goes; two equal deposits on one day are two."""
    day, amount = ledger.day(), _sum(ledger, 50_000)
    for _ in range(ledger.random.randint(1, 2)):
        _booking(ledger, "Deposits/Withdrawals", "DEPOSIT", amount, day).currency = "USD"
    _booking(ledger, "Deposits/Withdrawals", "WITHDRAWAL", -_sum(ledger, 500), ledger.day())


def interest_and_fees(ledger: Ledger) -> None:
    _booking(ledger, "Broker Interest Received", "INTEREST", _sum(ledger, 20), ledger.day())
    _booking(ledger, "Broker Interest Paid", "INTEREST", -_sum(ledger, 20), ledger.day())
    _booking(ledger, "Other Fees", "FEE", -_sum(ledger, 10), ledger.day())
    _booking(ledger, "Payment In Lieu Of Dividends", "DIVIDEND", _sum(ledger, 90), ledger.day(), US_STOCKS[3])


def _event(ledger: Ledger, section: str, tag: str, day: date, contract: Contract | None, **told: str) -> None:
    at = datetime.combine(day, time(20, 25), NEW_YORK)
    ledger.events.append(Event(ledger.account, section, tag, contract, business_day_after(day), at, told))


def split(ledger: Ledger) -> None:
    """A reverse split is a pair of rows."""
    day, action = ledger.day(), str(ledger.number() + 50_000)
    for quantity in ("-250", "10"):
        _event(
            ledger, "CorporateActions", "CorporateAction", day, US_STOCKS[2], actionID=action, type="RS",
            quantity=quantity, amount="0", proceeds="0", value="0", actionDescription="F SPLIT 1 FOR 25",
        )  # fmt: skip


def transfer(ledger: Ledger) -> None:
    """Shares come from another broker."""
    _event(
        ledger, "Transfers", "Transfer", ledger.day(), US_STOCKS[1], type="ACATS", direction="IN", quantity="12",
        positionAmount="5847", positionAmountInBase="5847", cashTransfer="0", company="--",
    )  # fmt: skip


OTHERS = (dividend, money_moved, interest_and_fees, split, transfer)


def book(seed: int, facts: int = 0, last: date | None = None, days: int = DAYS) -> Book:
    """A history that ends on `last`: every kind of fact once in each account, and so many common ones beside them."""
    last = last or yesterday()
    first = last - timedelta(days=days - 1)
    random = Random(seed)
    ledgers = [Ledger(account, random, first, last) for account in ACCOUNTS]
    for ledger in ledgers:
        kinds: list[Callable[[Ledger], None]] = [*TRADES, *OTHERS]
        kinds += [random.choice(COMMON) for _ in range(facts // len(ledgers))]
        kinds += [random.choice(OTHERS) for _ in range(facts // 20)]
        for fact in kinds:
            fact(ledger)
        _number(ledger)
    return Book(
        first,
        last,
        [one for ledger in ledgers for one in ledger.entries],
        [one for ledger in ledgers for one in ledger.bookings],
        [one for ledger in ledgers for one in ledger.events],
    )


def _number(ledger: Ledger) -> None:
    """Deal the transactionIDs in the order of booking; both accounts have the same ones, which the key must bear."""
    ledger.entries.sort(key=lambda one: one.report_date)
    ledger.bookings.sort(key=lambda one: one.report_date)
    ledger.events.sort(key=lambda one: one.report_date)
    everything = list(chain(ledger.entries, ledger.bookings, ledger.events))
    # sorting is stable: what follows from an entry was made after it
    for number, one in enumerate(sorted(everything, key=lambda one: one.report_date)):
        one.transaction_id = str(FIRST_ID + number)
