"""The stories a made-up year is put together from; each has contracts of its own, so that it knows what it holds."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from tests.faults.ib_year_days import BIRTH, DAY, FIRST, LAST, at, next_open, open_days
from tests.faults.ib_year_events import ZERO, Accrual, Action, Deal, Move, Paper
from tests.faults.ib_year_life import Life
from tests.faults.ib_year_market import BASE, CENT

BEFORE = FIRST - DAY
FRIDAYS = [date(2024, 9, 20), date(2024, 11, 15), date(2024, 12, 20), date(2025, 1, 17), date(2025, 2, 21),
           date(2025, 3, 21), date(2025, 5, 16), date(2025, 6, 20)]  # fmt: skip
STILL_OPEN = date(2025, 9, 19)


def lived(seed: int, *, linked: bool = True, old_cancels: bool = False, doubtful: bool = False) -> Life:
    """A whole life, numbered."""
    life = Life(seed, linked=linked, old_cancels=old_cancels, doubtful=doubtful)
    for story in STORIES:
        story(life)
    return life.finish()


def wander(life: Life, paper: Paper, steps: int, sizes: tuple[Decimal, ...], first: date = BIRTH) -> None:
    """Trade at random: grow, shrink, close, go through zero; one order a day."""
    dice, held = life.dice, ZERO
    days = sorted({life.day(first, LAST, paper) for _ in range(steps)})
    for day in days:
        size = dice.choice(sizes)
        way = dice.choice(("grow", "shrink", "close", "flip", "grow"))
        if held == 0 or way == "grow":
            qty = size if (held > 0 or (held == 0 and dice.random() < 0.6)) else -size
        else:
            whole = {"close": -held, "flip": -held - size.copy_sign(held)}
            qty = whole.get(way, -min(size, abs(held)).copy_sign(held))
        if dice.random() < 0.35 and qty == qty.to_integral_value():
            made = life.fills(paper, day, qty)
        else:
            made = [life.trade(paper, day, qty)]
        if paper.currency == "HKD":
            for one in made:
                one.at = at(day - DAY, 22, one.at.minute, one.at.second)
        held += qty


def random_stocks(life: Life) -> None:
    sizes = tuple(map(Decimal, (10, 25, 40, 100, 170, 300)))
    for symbol in ("ALFA", "BRVO", "CHRL"):
        wander(life, life.paper(symbol), 26, sizes)
    wander(life, life.paper("DLTA"), 14, sizes, FIRST)
    wander(life, life.paper("FRAC", exchange="NYSE"), 18, tuple(map(Decimal, ("1.2345", "0.6282", "7", "12.00000001"))))
    wander(life, life.paper("700", "STK", "HKD", "SEHK"), 10, tuple(map(Decimal, (100, 300, 500))))
    if life.doubtful:
        wander(life, life.paper("939", "STK", "HKD", "SEHK"), 5, (Decimal(100),))
        for one in life.events:
            if isinstance(one, Deal) and one.paper.symbol == "939":
                one.commission_currency = BASE
    wander(life, life.paper("SAP", "STK", "EUR", "IBIS2"), 10, tuple(map(Decimal, (15, 20, 60))))
    wander(life, life.paper("ESU5", "FUT", exchange="CME"), 12, tuple(map(Decimal, (1, 2, 3))))


def prior_stocks(life: Life) -> None:
    """Long and short from before the year, closed in part within it, through several lots."""
    for symbol, way in (("PRLA", 1), ("PRSH", -1), ("PRUN", 1)):
        paper = life.paper(symbol, exchange="NYSE")
        for month in (2, 4, 6):
            day = life.day(date(2024, month, 1), date(2024, month, 25))
            _ = life.trade(paper, day, way * life.dice.choice((60, 100, 140)))
        if symbol == "PRUN":
            continue
        for month in (8, 10, 12):
            day = life.day(date(2024, month, 1), date(2024, month, 25))
            _ = life.trade(paper, day, -way * life.dice.choice((30, 55, 75)))
        _ = life.trade(paper, life.day(date(2025, 2, 1), date(2025, 2, 26)), way * 20)


def option_of(life: Life, stock: Paper, right: str, expiry: date, moneyness: str) -> Paper:
    """An option that ends in the money by the factor given: the strike is chosen with the price known."""
    strike = (life.market.close(stock, expiry) * Decimal(moneyness)).quantize(Decimal("0.5"))
    return life.option(stock, right, expiry, strike)


def traded_options(life: Life) -> None:
    """Options bought before the year and sold in it; written and bought back, through zero; one still open."""
    stock = life.paper("OPTN")
    long = option_of(life, stock, "C", FRIDAYS[3], "1.05")
    _ = life.trade(long, life.day(date(2024, 5, 1), BEFORE), 5)
    _ = life.trade(long, life.day(date(2024, 8, 1), date(2024, 8, 30)), -3)
    _ = life.trade(long, life.day(date(2024, 9, 3), date(2024, 9, 30)), -4)
    _ = life.trade(long, life.day(date(2024, 10, 3), date(2024, 10, 30)), 2)
    for expiry, first in ((STILL_OPEN, date(2025, 3, 3)), (STILL_OPEN, date(2024, 3, 4))):
        for qty in (-2, 6):
            paper = option_of(life, stock, "P" if qty < 0 else "C", expiry, "0.9")
            _ = life.trade(paper, life.day(first, far(first, 20)), qty)


def ended_options(life: Life) -> None:
    """Worthless ends, long and short, of lots from before and from within the year; one ends twice over two lots."""
    for number, (way, first) in enumerate(((3, date(2024, 5, 1)), (-2, date(2024, 5, 1)), (4, FIRST), (-1, FIRST))):
        stock = life.paper(f"EXP{number}")
        option = option_of(life, stock, "C", FRIDAYS[1], "1.2")
        _ = life.trade(option, life.day(first, far(first, 30)), way)
        _ = life.trade(option, life.day(date(2024, 9, 3), date(2024, 9, 30)), 2 * (1 if way > 0 else -1))
        life.expire(option, way + 2 * (1 if way > 0 else -1))


def delivered(
    life: Life,
    name: str,
    right: str,
    contracts: int,
    stock_held: int,
    expiry: date,
    *,
    prior: bool,
    split: bool = False,
) -> None:
    """An option that is assigned (sold) or exercised (bought) onto whatever stock is held."""
    stock = life.paper(name)
    note = "A" if contracts < 0 else "Ex"
    option = option_of(life, stock, right, expiry, "0.93" if right == "C" else "1.07")
    first, last = (date(2024, 5, 1), BEFORE) if prior else (expiry - timedelta(50), expiry - timedelta(20))
    if stock_held:
        _ = life.trade(stock, life.day(first, last), stock_held)
    if split:
        _ = life.trade(option, life.day(first, last), contracts - contracts // 3)
        _ = life.trade(option, life.day(far(last, 1), far(last, 15)), contracts // 3)
    else:
        _ = life.trade(option, life.day(first, last), contracts)
    day = expiry if life.dice.random() < 0.6 else life.day(expiry - timedelta(4), expiry - timedelta(1))
    life.deliver(option, day, contracts, note)
    after = stock_held + contracts * 100 * (1 if right == "C" else -1)
    if after:
        part = life.dice.choice((after, after // 2, -after if life.dice.random() < 0.5 else after))
        _ = life.trade(stock, life.day(next_open(expiry), far(expiry, 25)), -part)


def deliveries(life: Life) -> None:
    delivered(life, "DVAA", "P", -2, 0, FRIDAYS[0], prior=True)
    delivered(life, "DVAB", "P", -1, -100, FRIDAYS[1], prior=False)
    delivered(life, "DVAC", "P", -3, -150, FRIDAYS[2], prior=False, split=True)
    delivered(life, "DVCA", "C", -2, 200, FRIDAYS[3], prior=True)
    delivered(life, "DVCB", "C", -1, 60, FRIDAYS[4], prior=False)
    delivered(life, "DVCC", "C", -3, 0, FRIDAYS[5], prior=False, split=True)
    delivered(life, "DVXC", "C", 2, 0, FRIDAYS[2], prior=True)
    delivered(life, "DVXS", "C", 1, -130, FRIDAYS[6], prior=False)
    delivered(life, "DVXP", "P", 3, 300, FRIDAYS[1], prior=True, split=True)
    delivered(life, "DVXN", "P", 1, 40, FRIDAYS[6], prior=False)


def bond(life: Life) -> None:
    paper = life.paper("T 4 1/8 11/15/32", "BOND", exchange="BONDDESK")
    for first, qty in ((date(2024, 3, 1), 10000), (date(2024, 9, 1), 5000), (date(2025, 2, 1), -12000)):
        day = life.day(first, far(first, 25), paper)
        _ = life.trade(paper, day, qty)
        words = "Bond Interest Paid" if qty > 0 else "Bond Interest Received"
        _ = life.pay(day, BASE, Decimal(-qty) / 400, words, "bondInterest", paper)


def conversions(life: Life) -> None:
    """Money changed into other currencies; one is taken back and booked again at another price."""
    for first, base, quote, qty in (
        (date(2024, 1, 4), "EUR", "USD", 60_000), (date(2024, 1, 8), "USD", "HKD", -120_000),
        (date(2024, 1, 15), "EUR", "USD", 20_000), (date(2024, 8, 5), "EUR", "USD", -3_500),
        (date(2024, 11, 5), "USD", "HKD", 2_500), (date(2025, 2, 5), "EUR", "HKD", 1_000),
    ):  # fmt: skip
        pair = life.paper(f"{base}.{quote}", "CASH", quote, "IDEALFX")
        day = life.day(first, far(first, 30), pair)
        deal = life.trade(pair, day, Decimal(qty), exchanged(life, pair, day))
        if life.dice.random() < 0.5:
            deal.at = at(day - DAY, 17, 30 + deal.at.second // 2)
    pair = life.paper("EUR.USD")
    day = life.day(date(2024, 10, 20), date(2024, 12, 1), pair)
    first_try = life.trade(pair, day, Decimal("1143.283131"), exchanged(life, pair, day))
    taken_back(life, first_try, Decimal("1145.929445"), first_try.price + Decimal("0.00013"))


def exchanged(life: Life, pair: Paper, day: date) -> Decimal:
    base, quote = pair.symbol.split(".")
    return (life.market.rate(base, day) / life.market.rate(quote, day)).quantize(Decimal("0.00001"))


def taken_back(life: Life, deal: Deal, qty: Decimal | None = None, price: Decimal | None = None) -> None:
    """Cancel a trade on the next day, and book it again unless no quantity is given."""
    told = next_open(deal.report_date)
    life.events.append(Deal(
        deal.paper, deal.at, deal.trade_date, told, deal.settle_date, -deal.qty, deal.price, kind="CANCEL",
        commission_currency=deal.commission_currency, taxes=-deal.taxes, notes=("Ca",), original=deal,
        names_transaction=not life.old_cancels,
    ))  # fmt: skip
    if qty is not None and price is not None:
        life.events.append(Deal(
            deal.paper, deal.at, deal.trade_date, told, deal.settle_date, qty, price,
            commission_currency=deal.commission_currency, taxes=deal.taxes, rebook_of=deal, order=deal.order,
        ))  # fmt: skip


def cancels(life: Life) -> None:
    """An opening trade that is cancelled and rebooked, if it may be doubtful a closing one, one cancelled for good."""
    paper = life.paper("CNCL")
    _ = life.trade(paper, life.day(date(2024, 5, 1), BEFORE), 100)
    spoilt = life.trade(paper, life.day(date(2024, 8, 1), date(2024, 8, 25)), 50)
    taken_back(life, spoilt, Decimal(50), spoilt.price - CENT)
    sold = life.trade(paper, life.day(date(2024, 10, 1), date(2024, 10, 25)), -120)
    if life.doubtful:
        taken_back(life, sold, Decimal(-110), sold.price + CENT)
    gone = life.trade(paper, life.day(date(2024, 12, 1), date(2024, 12, 20)), 10)
    taken_back(life, gone)
    _ = life.trade(paper, life.day(date(2025, 2, 1), date(2025, 2, 20)), -15)


def company(life: Life) -> None:
    """What companies did: splits, a change of the CUSIP, a merger for cash."""
    for symbol, way in (("SPLT", 1), ("SPLS", -1)):
        paper, day = life.paper(symbol), life.day(date(2024, 10, 7), date(2024, 10, 25))
        _ = life.trade(paper, life.day(date(2024, 4, 1), BEFORE), way * 50)
        _ = life.trade(paper, life.day(date(2024, 8, 1), date(2024, 9, 25)), way * 30)
        life.market.split(paper, day, Decimal(3))
        act(life, "FS", day, [(paper, symbol, Decimal(way * 160))], ratio=Fraction(3))
        _ = life.trade(paper, life.day(date(2024, 11, 4), date(2024, 11, 25)), -way * 200)
        _ = life.trade(paper, life.day(date(2025, 1, 4), date(2025, 1, 25)), way * 11)
    for old, new, kind, ratio in (("RVRS", "RVRS", "RS", Fraction(1, 10)), ("OLDT", "NEWT", "IC", Fraction(1))):
        before, day = life.paper(old), life.day(date(2025, 1, 6), date(2025, 1, 25))
        _ = life.trade(before, life.day(date(2024, 4, 1), BEFORE), 700)
        _ = life.trade(before, life.day(date(2024, 11, 1), date(2024, 11, 25)), 200)
        _ = life.trade(before, life.day(date(2024, 12, 2), date(2024, 12, 20)), -100)
        after = life.papers[f"{new}#2"] = Paper(before.conid + 7, "STK", new, BASE)
        rows = [(after, new, Decimal(800) * ratio.numerator / ratio.denominator), (before, f"{old}.OLD", Decimal(-800))]
        act(life, kind, day, rows, ratio=ratio)
        _ = life.trade(after, life.day(date(2025, 3, 3), date(2025, 3, 25)), -65)
    merged, day = life.paper("MRGR"), life.day(date(2025, 3, 6), date(2025, 3, 25))
    _ = life.trade(merged, life.day(date(2024, 4, 1), BEFORE), 120)
    _ = life.trade(merged, life.day(date(2024, 9, 1), date(2024, 9, 25)), Decimal("80.5"))
    act(life, "TC", day, [(merged, "MRGR", Decimal("-200.5"))], proceeds=Decimal("200.5") * Decimal("31.75"))


def act(
    life: Life, kind: str, day: date, rows: list[tuple[Paper, str, Decimal]], *,
    ratio: Fraction = Fraction(1), proceeds: Decimal = ZERO,
) -> None:  # fmt: skip
    """A corporate action of the evening before `day`, told on it."""
    life.events.append(Action(kind, at(day - DAY, 20, 25), day, rows, ratio, proceeds, life.action_id()))


def spin_off(life: Life) -> None:
    """A company gives its holders shares of another; the statement says nothing of their cost."""
    parent, child = life.paper("SPNP"), life.paper("SPNC")
    _ = life.trade(parent, life.day(date(2024, 9, 1), date(2024, 9, 25)), 300)
    day = life.day(date(2025, 2, 6), date(2025, 2, 25))
    act(life, "SO", day, [(child, "SPNC", Decimal(60))])


def transfers(life: Life) -> None:
    """Stock that came from another broker, with lots of its own age, and stock that went."""
    paper, day = life.paper("TRIN"), life.day(date(2024, 9, 3), date(2024, 9, 25))
    came = [(Decimal(80), Decimal("1612.40"), at(date(2019, 5, 7), 10, 31, 5), Decimal("20.1425")),
            (Decimal(120), Decimal("3001.20"), at(date(2021, 3, 9), 14, 2, 9), Decimal("25.00"))]  # fmt: skip
    life.events.append(Move(paper, at(day, 9, 0), day, Decimal(200), came))
    _ = life.trade(paper, life.day(date(2024, 11, 4), date(2024, 11, 25)), -95)
    paper, day = life.paper("TROU"), life.day(date(2024, 12, 2), date(2024, 12, 19))
    _ = life.trade(paper, life.day(date(2024, 4, 1), BEFORE), 90)
    _ = life.trade(paper, life.day(date(2024, 9, 3), date(2024, 9, 25)), 60)
    life.events.append(Move(paper, at(day, 18, 0), day, Decimal(-110), []))
    _ = life.trade(paper, life.day(date(2025, 2, 4), date(2025, 2, 25)), -25)


def dividends(life: Life) -> None:
    """Dividends with tax, one taken back and booked again; payment in lieu on what is short; all of them accrued."""
    for symbol, words, part, way in (
        ("PRUN", "Dividends", "dividends", 1), ("PRSH", "Payment In Lieu Of Dividends", "paymentInLieu", -1),
    ):  # fmt: skip
        paper = life.papers[symbol]
        for number, ex in enumerate((date(2024, 9, 11), date(2024, 12, 11), date(2025, 3, 12), date(2025, 6, 25))):
            gross, paid, act_id = Decimal("31.07") * way, far(ex, 14), life.action_id()
            tax = -(gross * Decimal("0.15")).quantize(CENT) if way > 0 else ZERO
            life.accruals.append(Accrual(ex, paper, ex, paid, Decimal(100), gross, -tax, "Po"))
            if paid > LAST:
                continue
            paid = paid if paid in open_days(paid, paid) else next_open(paid)
            life.accruals.append(Accrual(paid, paper, ex, paid, Decimal(100), -gross, tax, "Re"))
            text = f"{symbol}(US0000000000) CASH DIVIDEND USD 0.3107 PER SHARE"
            _ = life.pay(paid, BASE, gross, words, part, paper, text, act_id)
            if tax:
                _ = life.pay(paid, BASE, tax, "Withholding Tax", "withholdingTax", paper, f"{text} - US TAX", act_id)
            if number == 1 and tax:
                back, again = next_open(far(paid, 40)), next_open(far(paid, 41))
                _ = life.pay(back, BASE, -tax, "Withholding Tax", "withholdingTax", paper, f"{text} - US TAX", act_id)
                _ = life.pay(
                    again, BASE, tax / 2, "Withholding Tax", "withholdingTax", paper, f"{text} - US TAX", act_id
                )


def money(life: Life) -> None:
    """Deposits, withdrawals, interest and fees, month by month."""
    _ = life.pay(BIRTH, BASE, Decimal(400_000), "Deposits/Withdrawals", "deposits", text="ELECTRONIC FUND TRANSFER")
    for number in range(1, 18):
        month = date(2024 + number // 12, number % 12 + 1, 4)
        day = month if month in open_days(month, month) else next_open(month)
        words = "Broker Interest Paid" if number % 2 else "Broker Interest Received"
        sign = -1 if number % 2 else 1
        _ = life.pay(day, BASE, sign * Decimal(f"{3 + number}.{number:02}"), words, "brokerInterest")
        _ = life.pay(day, BASE, Decimal("-4.50"), "Other Fees", "otherFees", text="US SECURITIES SNAPSHOT")
        if number % 5 == 0:
            _ = life.pay(day, BASE, Decimal(-1500), "Deposits/Withdrawals", "withdrawals", text="DISBURSEMENT")
        if number % 6 == 0:
            _ = life.pay(day, "EUR", Decimal("250.25"), "Deposits/Withdrawals", "deposits", text="CASH RECEIPTS")
            _ = life.pay(day, "HKD", Decimal("-12.40"), "Broker Interest Paid", "brokerInterest")


def far(day: date, count: int) -> date:
    return day + count * DAY


STORIES: tuple[Callable[[Life], None], ...] = (
    random_stocks, prior_stocks, traded_options, ended_options, deliveries, bond, conversions, cancels, company,
    spin_off, transfers, dividends, money,
)  # fmt: skip
