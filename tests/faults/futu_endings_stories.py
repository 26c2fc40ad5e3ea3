"""What happened to the two accounts in that spring: each story an option's whole life, with an end of its own kind.

`clear` is what a reader of OpenD can know; `unknowable` is what nobody can, with the marks that it must leave.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tests.cli.book_contracts import option, stock
from tests.cli.books import HK_ONLY, UNIVERSAL
from tests.faults.futu_endings import Life, Told, us_option

MARCH_20, MARCH_30, APRIL_17 = date(2026, 3, 20), date(2026, 3, 30), date(2026, 4, 17)
"""Expiries: US monthly, Hong Kong monthly (a Monday), US monthly."""

HK, US = HK_ONLY, UNIVERSAL


def clear() -> Life:
    """Everything of which OpenD tells enough."""
    life = Life()
    for story in (worthless, assigned, exercised, parts, early, late, indexes, hong_kong, spreads, shorts, equal):
        story(life)
    return life


def worthless(life: Life) -> None:
    """Long and short options of several lots that are just gone; one that was closed before; one that is booked."""
    call, put = us_option("AAPL", MARCH_20, "C", "260"), us_option("SPY", MARCH_20, "P", "522")
    life.trade(US, call, date(2026, 3, 3), 3, "1.55", "2.97")
    life.trade(US, call, date(2026, 3, 5), 2, "1.1", "1.98")
    life.trade(US, call, date(2026, 3, 10), -1, "2.4", "1.07")
    life.trade(US, put, date(2026, 3, 4), -2, "3.05", "2.11")
    life.trade(US, put, date(2026, 3, 6), -3, "2.95", "3.3")
    flat = us_option("MSFT", MARCH_20, "C", "500")
    life.trade(US, flat, date(2026, 3, 4), 2, "4.1")
    life.trade(US, flat, date(2026, 3, 18), -2, "0.35")
    booked = us_option("IBM", MARCH_20, "C", "300")
    life.trade(US, booked, date(2026, 3, 9), 4, "0.9")
    life.end(US, booked, MARCH_20, 4, "EXP")


def assigned(life: Life) -> None:
    """A put that brings shares, sold later; a covered call that takes shares away."""
    put, shares = us_option("KO", APRIL_17, "P", "70"), stock("US", "KO")
    life.trade(US, put, date(2026, 3, 11), -2, "1.85", "2.02")
    life.end(US, put, APRIL_17, 2)
    life.trade(US, shares, date(2026, 4, 21), -150, "68.4", "1.99")
    covered, held = us_option("F", MARCH_20, "C", "12"), stock("US", "F")
    life.trade(US, held, date(2026, 3, 3), 250, "11.3", "2.5")
    life.trade(US, held, date(2026, 3, 4), 150, "11.45", "1.5")
    life.trade(US, covered, date(2026, 3, 5), -3, "0.41", "2.98")
    life.end(US, covered, MARCH_20, 3, told=Told.ONE_ROW)
    life.trade(US, held, date(2026, 3, 25), -100, "12.6")


def exercised(life: Life) -> None:
    """A long call that brings shares and a long put that gives them away."""
    call, put = us_option("NVDA", MARCH_20, "C", "120"), us_option("T", APRIL_17, "P", "25.5")
    life.trade(US, call, date(2026, 3, 12), 2, "7.2", "2.1")
    life.end(US, call, MARCH_20, 2, "EXE")
    life.trade(US, stock("US", "NVDA"), date(2026, 4, 8), -200, "131.02", "2.31")
    life.trade(US, stock("US", "T"), date(2026, 3, 16), 100, "26.1")
    life.trade(US, put, date(2026, 3, 17), 1, "0.5")
    life.end(US, put, APRIL_17, 1, "EXE", Told.ONE_ROW)


def parts(life: Life) -> None:
    """Two of five are assigned, the others expire on the same day, unsaid or booked."""
    put, call = us_option("PEP", MARCH_20, "P", "150"), us_option("WMT", MARCH_20, "C", "95")
    life.trade(US, put, date(2026, 3, 5), -5, "2.05", "5.05")
    life.end(US, put, MARCH_20, 2)
    life.trade(US, stock("US", "WMT"), date(2026, 3, 3), 200, "93.11")
    life.trade(US, call, date(2026, 3, 6), -5, "1.3", "5.05")
    life.end(US, call, MARCH_20, 2)
    life.end(US, call, MARCH_20, 3, "EXP")


def early(life: Life) -> None:
    """Assigned before the expiry, twice, and the rest bought back; and a rest that expires."""
    put, call = us_option("XOM", APRIL_17, "P", "118"), us_option("CVX", APRIL_17, "C", "160")
    life.trade(US, put, date(2026, 3, 6), -6, "3.3", "6.06")
    life.end(US, put, date(2026, 3, 12), 1)
    life.end(US, put, date(2026, 3, 18), 2)
    life.trade(US, put, date(2026, 3, 24), -1, "3.1")
    life.trade(US, put, date(2026, 4, 14), 4, "0.2", "4.04")
    life.trade(US, stock("US", "CVX"), date(2026, 3, 9), 300, "152.5", "3.01")
    life.trade(US, call, date(2026, 3, 10), -3, "2.2", "3.03")
    life.end(US, call, date(2026, 3, 31), 1)


def late(life: Life) -> None:
    """Told on the next business day, wholly or in part."""
    for root, strike, told in (
        ("BAC", "45", Told.NEXT_DAY),
        ("C", "72.5", Told.NEXT_DAY_UNDATED),
        ("WFC", "77", Told.MONEY_NEXT_DAY),
    ):
        put = us_option(root, MARCH_20, "P", strike)
        life.trade(US, put, date(2026, 3, 11), -3, "1.15", "3.3")
        life.end(US, put, MARCH_20, 3, told=told)
        life.trade(US, stock("US", root), date(2026, 4, 1), -300, "44.44", "3.11")


def indexes(life: Life) -> None:
    """Settled in cash: a long call that paid, a short put that cost, and one that was worth nothing."""
    call = us_option("SPXW", MARCH_20, "C", "6500", "US..SPX")
    put = us_option("XSP", APRIL_17, "P", "650", "US..XSP")
    nothing = us_option("SPXW", MARCH_20, "P", "6200", "US..SPX")
    life.trade(US, call, date(2026, 3, 16), 2, "38.5", "3.12")
    life.end(US, call, MARCH_20, 2, "EXE", cash="9422.02")
    life.trade(US, put, date(2026, 3, 16), -3, "4.5", "3.3")
    life.end(US, put, APRIL_17, 3, "ASS", Told.ONE_ROW, cash="-1533.33")
    life.trade(US, nothing, date(2026, 3, 16), 1, "12.5")


def hong_kong(life: Life) -> None:
    """Contracts of 100 to 1000 shares, in both accounts; one class whose orders never tell their size."""
    for account in (HK, US):
        put = option("HK", "MIU", MARCH_30, "P", Decimal("42.5"))
        life.trade(account, put, date(2026, 3, 4), -8 if account == HK else -3, "1.12", "88.5")
        life.end(account, put, MARCH_30, 8 if account == HK else 2, told=Told.TWO_ROWS)
    life.trade(HK, stock("HK", "01810"), date(2026, 4, 9), -5000, "44.1", "301.77")
    call = option("HK", "ALB", MARCH_30, "C", Decimal(120))
    life.trade(HK, stock("HK", "09988"), date(2026, 3, 5), 1500, "117.3", "200.02")
    life.trade(HK, call, date(2026, 3, 6), -3, "2.5", "60")
    life.end(HK, call, MARCH_30, 2, told=Told.ONE_ROW)
    tencent, sized = (option("HK", "TCH", MARCH_30, "C", Decimal(strike)) for strike in ("500", "520"))
    life.trade(HK, tencent, date(2026, 3, 6), 4, "11.2", "70.5", sized=False)
    life.trade(HK, sized, date(2026, 3, 9), 1, "7.7", "20")
    life.end(HK, tencent, MARCH_30, 4, "EXE")
    bank = option("HK", "HKB", MARCH_30, "P", Decimal("97.25"))
    life.trade(US, bank, date(2026, 3, 10), -6, "1.05", "70")


def spreads(life: Life) -> None:
    """Legs of one order of which one is assigned and the other expires or is exercised on the same day."""
    short, long = us_option("QCOM", MARCH_20, "P", "165"), us_option("QCOM", MARCH_20, "P", "155")
    life.spread(US, date(2026, 3, 10), [(short, -2, "4.2"), (long, 2, "1.9")], (4, "SPREAD"))
    life.end(US, short, MARCH_20, 2)
    sold, bought = us_option("AMD", MARCH_20, "C", "110"), us_option("AMD", MARCH_20, "C", "115")
    life.spread(US, date(2026, 3, 11), [(bought, 3, "2.2"), (sold, -3, "4.4")], (4, "SPREAD"))
    life.end(US, bought, MARCH_20, 3, "EXE")
    life.end(US, sold, MARCH_20, 3)


def shorts(life: Life) -> None:
    """Shares that were not there: an assigned call and an exercised put leave a short position, covered later."""
    call, put = us_option("INTC", MARCH_20, "C", "24"), us_option("GM", MARCH_20, "P", "52")
    life.trade(US, call, date(2026, 3, 12), -4, "0.66", "4.04")
    life.end(US, call, MARCH_20, 4)
    life.trade(US, stock("US", "INTC"), date(2026, 4, 2), 250, "23.1", "1.5")
    life.trade(US, put, date(2026, 3, 12), 1, "1.9")
    life.trade(US, stock("US", "GM"), date(2026, 3, 13), 30, "50.5")
    life.end(US, put, MARCH_20, 1, "EXE")
    life.trade(US, stock("US", "GM"), date(2026, 4, 2), 70, "49.2")


def equal(life: Life) -> None:
    """Two strikes whose money is the same, so that it does not matter which is whose; two bookings of one option."""
    high, low = us_option("HD", MARCH_20, "P", "400"), us_option("HD", MARCH_20, "P", "200")
    life.trade(US, high, date(2026, 3, 11), -1, "9.5")
    life.trade(US, low, date(2026, 3, 11), -2, "2.5", "2.02")
    life.end(US, high, MARCH_20, 1)
    life.end(US, low, MARCH_20, 2)
    twice = us_option("LOW", MARCH_20, "P", "230")
    life.trade(US, twice, date(2026, 3, 11), -5, "3.5", "5")
    life.end(US, twice, MARCH_20, 1)
    life.end(US, twice, MARCH_20, 3)


def one_day_after_the_other() -> Life:
    """Two assignments of one stock on two days, and a snapshot between them that shows only the first."""
    life = Life()
    put = us_option("XOM", APRIL_17, "P", "118")
    life.trade(US, put, date(2026, 3, 6), -6, "3.3", "6.06")
    life.end(US, put, date(2026, 3, 12), 1)
    life.end(US, put, date(2026, 3, 13), 2)
    return life


@dataclass(frozen=True)
class Marks:
    """What must be marked at the end. `breaks`: check and subject; `reasons`: symbol and code of what is in quarantine.

    `unknown`: the symbols whose books cannot be right.
    """

    breaks: frozenset[tuple[str, str]]
    reasons: tuple[tuple[str, str], ...]
    unknown: frozenset[str]


def unknowable(life: Life) -> Marks:
    """Adds what OpenD tells too little of."""
    ambiguous, indexes_too = _ambiguous(life), _two_indexes(life)
    unnamed, silent, split = _unknown_class(life), _untold(life), _split(life)
    options = [*ambiguous, *indexes_too, unnamed]
    shares = ["US.DIS", "HK.00874", "US.MRK", *split]
    return Marks(
        frozenset(("no_option_outlives_its_expiry", one) for one in options)
        | {("positions_equal_the_brokers", one) for one in (*options, *shares)},
        tuple(sorted([*((one, "ambiguous_cash") for one in options[:-1]), (unnamed, "unknown_underlying")])),
        frozenset({*options, *shares, silent}),
    )


def _ambiguous(life: Life) -> list[str]:
    """20000 and 10000 may be two of the one and two of the other, or one and four."""
    high, low = us_option("DIS", MARCH_20, "P", "100"), us_option("DIS", MARCH_20, "P", "50")
    life.trade(US, high, date(2026, 3, 11), -2, "4.5")
    life.trade(US, low, date(2026, 3, 11), -4, "0.5", "4.04")
    life.end(US, high, MARCH_20, 2)
    life.end(US, low, MARCH_20, 2)
    return [high.symbol, low.symbol]


def _two_indexes(life: Life) -> list[str]:
    """Two rows of money, each of which may be that of the one or the other."""
    options = [us_option("NDX", APRIL_17, "C", strike, "US..NDX") for strike in ("24000", "24500")]
    for option_, cash in zip(options, ("61200.5", "11200.5"), strict=True):
        life.trade(US, option_, date(2026, 3, 11), 1, "88")
        life.end(US, option_, APRIL_17, 1, "EXE", cash=cash)
    return [one.symbol for one in options]


def _unknown_class(life: Life) -> str:
    """The published assignment: of which stock the class JXC is, nobody says."""
    put = option("HK", "JXC", MARCH_30, "P", Decimal(13))
    life.trade(HK, put, date(2026, 3, 11), -8, "0.25", "88")
    life.end(HK, put, MARCH_30, 8)
    return put.symbol


def _untold(life: Life) -> str:
    """The cash flow leaves an assignment out, which then looks like an expiry; its shares are marked."""
    put = us_option("MRK", MARCH_20, "P", "90")
    life.trade(US, put, date(2026, 3, 11), -1, "1.5")
    life.end(US, put, MARCH_20, 1, told=Told.NOTHING)
    return put.symbol


def _split(life: Life) -> list[str]:
    """A split and a bonus in shares, which only positions show; some are sold afterwards."""
    split, bonus = stock("US", "NFLX"), stock("HK", "00005")
    life.trade(US, split, date(2026, 3, 11), 100, "1100.5")
    life.split(US, split, date(2026, 4, 13), "10")
    life.trade(US, split, date(2026, 4, 20), -40, "115")
    life.trade(HK, bonus, date(2026, 3, 11), 400, "99.5", "70")
    life.split(HK, bonus, date(2026, 4, 13), "1.1")
    return [split.symbol, bonus.symbol]
