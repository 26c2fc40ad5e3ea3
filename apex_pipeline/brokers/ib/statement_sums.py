"""Rows with which a statement proves itself: cash report, change in net asset value, equity by day, gains by
instrument, prior positions, conversion rates. They close to the last digit over any window.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal

from apex_pipeline.brokers.ib.statement_books import AccountBooks, Mark
from apex_pipeline.brokers.ib.statement_format import number
from apex_pipeline.brokers.ib.statement_ledger import Entry, Position
from apex_pipeline.brokers.ib.statement_rates import BASE_CURRENCY, CURRENCIES, QUOTED, on_weekday, rate, weekdays
from apex_pipeline.brokers.ib.statement_rows import INSTRUMENT, contract_values, fx_rate
from apex_pipeline.brokers.scenario import Contract

_PARTS = (
    "clientFees", "commissions", "billableCommissions", "depositWithdrawals", "deposits", "withdrawals",
    "accountTransfers", "linkingAdjustments", "internalTransfers", "debitCardActivity", "billPay", "dividends",
    "insuredDepositInterest", "brokerInterest", "bondInterest", "cashSettlingMtm", "realizedVm", "realizedForexVm",
    "cfdCharges", "netTradesSales", "netTradesPurchases", "advisorFees", "feesReceivables", "paymentInLieu",
    "transactionTax", "taxReceivables", "withholdingTax", "withholding871m", "withholdingCollectedTax", "salesTax",
    "ipoSubscription", "otherFees", "other",
)  # fmt: skip
_UNDATED = ("linkingAdjustments", "other")
"""Parts that IB does not tell for the month and the year."""
_SEGMENTS = ("", "Sec", "Com")
_BALANCES: tuple[str, ...] = ("startingCash", "fxTranslationGainLoss", "endingCash", "endingSettledCash")
CASH_ATTRIBUTES = (
    "accountId", "acctAlias", "model", "currency", "levelOfDetail", "fromDate", "toDate",
    *(f"startingCash{s}" for s in _SEGMENTS),
    *(f"{part}{s}" for part in _PARTS for s in (_SEGMENTS if part in _UNDATED else (*_SEGMENTS, "MTD", "YTD"))),
    *(f"{name}{s}" for name in _BALANCES[1:] for s in _SEGMENTS),
)  # fmt: skip
_NAMED = "accountId acctAlias model currency"
NAV_ATTRIBUTES = (
    f"{_NAMED} fromDate toDate startingValue mtm realized changeInUnrealized costAdjustments "
    "transferredPnlAdjustments depositsWithdrawals internalCashTransfers assetTransfers debitCardActivity billPay "
    "dividends withholdingTax withholding871m withholdingTaxCollected changeInDividendAccruals interest "
    "changeInInterestAccruals advisorFees brokerFees changeInBrokerFeeAccruals clientFees otherFees otherIncome "
    "feesReceivables commissions commissionReceivables forexCommissions transactionTax taxReceivables salesTax "
    "softDollars netFxTrading fxTranslation linkingAdjustments other corporateActionProceeds endingValue twr"
).split()
_EQUITY = (
    "cash", "slbCashCollateral", "stock", "slbDirectSecuritiesBorrowed", "slbDirectSecuritiesLent", "options", "bonds",
    "notes", "funds", "dividendAccruals", "interestAccruals", "softDollars", "commodities", "crypto", "total",
)  # fmt: skip
EQUITY_ATTRIBUTES = (
    "accountId", "acctAlias", "model", "currency", "reportDate",
    *(f"{name}{end}" for name in _EQUITY for end in ("", "Long", "Short")),
)  # fmt: skip
GAIN_ATTRIBUTES = (
    f"accountId acctAlias model {INSTRUMENT} multiplier strike expiry putCall principalAdjustFactor reportDate costAdj "
    "realizedSTProfit realizedSTLoss realizedLTProfit realizedLTLoss totalRealizedPnl unrealizedProfit unrealizedLoss "
    "unrealizedSTProfit unrealizedSTLoss unrealizedLTProfit unrealizedLTLoss totalUnrealizedPnl totalFifoPnl "
    "totalRealizedCapitalGainsPnl totalRealizedFxPnl totalUnrealizedCapitalGainsPnl totalUnrealizedFxPnl "
    "totalCapitalGainsPnl totalFxPnl transferredPnl transferredCapitalGainsPnl transferredFxPnl code"
).split()
PRIOR_ATTRIBUTES = (
    f"accountId acctAlias model currency fxRateToBase {INSTRUMENT} multiplier strike expiry putCall "
    "principalAdjustFactor date price priorMtmPnl"
).split()
RATE_ATTRIBUTES = ("reportDate", "fromCurrency", "toCurrency", "rate")

_ZERO = Decimal(0)
_DAY = timedelta(1)
_DEPOSITS = ("deposits", "withdrawals")


def cash_rows(books: AccountBooks, first: date, last: date) -> Iterator[dict[str, str]]:
    """The cash report: everything in the base currency, then each currency in itself."""
    before = first - _DAY
    translated = books.cash_translation(first, last)
    starting, ending = books.cash_in_base(before), books.cash_in_base(last)
    settled = sum((books.settled(c, last) * rate(c, last) for c in CURRENCIES), _ZERO)
    named = {"accountId": books.account, "fromDate": f"{first:%Y%m%d}", "toDate": f"{last:%Y%m%d}"}
    balances = _balances(starting, translated, ending, settled)
    base = {"currency": "BASE_SUMMARY", "levelOfDetail": "BaseCurrency"}
    yield named | base | _segments(balances) | _cash_parts(books, first, last, None)
    for currency in sorted(CURRENCIES):
        held, settled = books.cash(currency, last), books.settled(currency, last)
        balances = _balances(books.cash(currency, before), _ZERO, held, settled)
        own = {"currency": currency, "levelOfDetail": "Currency"}
        yield named | own | _segments(balances) | _cash_parts(books, first, last, currency)


def _balances(*amounts: Decimal) -> dict[str, Decimal]:
    return dict(zip(_BALANCES, amounts, strict=True))


def _segments(sums: dict[str, Decimal]) -> dict[str, str]:
    """Each sum for the whole account and for its two segments; everything is in securities."""
    told = {f"{name}{s}": number(amount) for name, amount in sums.items() for s in ("", "Sec")}
    return told | {f"{name}Com": "0" for name in sums}


def _cash_parts(books: AccountBooks, first: date, last: date, currency: str | None) -> dict[str, str]:
    """What moved the cash: in the window, since the first of the month, since the first of the year."""
    told: dict[str, str] = {}
    for end, begin in (("", first), ("MTD", last.replace(day=1)), ("YTD", last.replace(month=1, day=1))):
        flows = books.flows(begin, last, currency)
        flows["depositWithdrawals"] = sum((flows.get(name, _ZERO) for name in _DEPOSITS), _ZERO)
        sums = {part: flows.get(part, _ZERO) for part in _PARTS}
        told |= {f"{part}{end}": number(amount) for part, amount in sums.items()} if end else _segments(sums)
    return told


def nav_values(books: AccountBooks, first: date, last: date) -> dict[str, str]:
    """The bridge of the net asset value: its parts sum from the starting to the ending value."""
    bridge = books.bridge(first, last)
    flow = bridge.flows.get
    sums = {
        "startingValue": bridge.starting, "mtm": bridge.mtm, "changeInDividendAccruals": bridge.accruals,
        "depositsWithdrawals": sum((flow(name, _ZERO) for name in _DEPOSITS), _ZERO),
        "internalCashTransfers": flow("internalTransfers", _ZERO), "withholdingTax": flow("withholdingTax", _ZERO),
        "dividends": flow("dividends", _ZERO) + flow("paymentInLieu", _ZERO), "interest": flow("brokerInterest", _ZERO),
        "otherFees": flow("otherFees", _ZERO), "commissions": flow("commissions", _ZERO),
        "transactionTax": flow("transactionTax", _ZERO), "netFxTrading": bridge.conversions,
        "fxTranslation": bridge.translation, "endingValue": bridge.ending, "twr": bridge.twr or _ZERO,
    }  # fmt: skip
    named = {
        "accountId": books.account, "acctAlias": "", "model": "", "currency": BASE_CURRENCY,
        "fromDate": f"{first:%Y%m%d}", "toDate": f"{last:%Y%m%d}",
    }  # fmt: skip
    return dict.fromkeys(NAV_ATTRIBUTES, "0") | named | {name: number(amount) for name, amount in sums.items()}


def equity_rows(books: AccountBooks, first: date, last: date) -> Iterator[dict[str, str]]:
    """Net asset value by weekday, in the base currency."""
    zeros = dict.fromkeys(EQUITY_ATTRIBUTES[5:], "0")
    for day in weekdays(first, last):
        named = {"accountId": books.account, "currency": BASE_CURRENCY, "reportDate": f"{day:%Y%m%d}"}
        yield zeros | named | {name: number(amount) for name, amount in _equity(books, day).items()}


def _equity(books: AccountBooks, day: date) -> dict[str, Decimal]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for currency in CURRENCIES:
        to_base, worth = rate(currency, day), books.worth(currency, day)
        cash, accruals = books.cash(currency, day), books.accruals(currency, day)
        values = {
            "cash": (max(cash, _ZERO), min(cash, _ZERO)), "stock": (worth.stock_long, worth.stock_short),
            "options": (worth.option_long, worth.option_short),
            "dividendAccruals": (max(accruals, _ZERO), min(accruals, _ZERO)),
        }  # fmt: skip
        for name, (long, short) in values.items():
            for kind in (name, "total"):
                sums[f"{kind}Long"] += long * to_base
                sums[f"{kind}Short"] += short * to_base
                sums[kind] += (long + short) * to_base
    return sums


def gain_rows(
    account: str, entries: Sequence[Entry], positions: Iterable[Position], last: date, mark: Mark
) -> Iterator[dict[str, str]]:
    """Realized and unrealized gains by instrument in the base currency, and their sums in a row of no instrument."""
    sums: defaultdict[int, list[Decimal]] = defaultdict(lambda: [_ZERO] * 4)
    contracts: dict[int, Contract] = {}
    for entry in entries:
        contract = entry.move.source.contract
        gain = entry.realized * rate(contract.currency, entry.move.report_date)
        if entry.closed:
            contracts[contract.conid] = contract
            sums[contract.conid][gain < 0] += gain
    for position in positions:
        contract, to_base = position.contract, rate(position.contract.currency, last)
        contracts[contract.conid] = contract
        price = mark(contract, last) * contract.multiplier
        for lot in position.lots:
            gain = (lot.qty * price - lot.basis) * to_base
            sums[contract.conid][2 + (gain < 0)] += gain
    named = {"accountId": account, "reportDate": f"{last:%Y%m%d}"}
    for conid, contract in contracts.items():
        yield contract_values(contract) | named | _gains(sums[conid])
    yield named | _gains([sum(column, _ZERO) for column in zip(*sums.values(), strict=True)] or [_ZERO] * 4)


def _gains(sums: Sequence[Decimal]) -> dict[str, str]:
    profit, loss, up, down = sums
    told = {
        "realizedSTProfit": profit, "realizedSTLoss": loss, "totalRealizedPnl": profit + loss, "unrealizedProfit": up,
        "unrealizedLoss": down, "unrealizedSTProfit": up, "unrealizedSTLoss": down, "totalUnrealizedPnl": up + down,
        "totalFifoPnl": profit + loss + up + down,
    }  # fmt: skip
    return dict.fromkeys(GAIN_ATTRIBUTES[GAIN_ATTRIBUTES.index("costAdj") : -1], "0") | {
        name: number(amount) for name, amount in told.items()
    }


def prior_rows(
    account: str, positions: Iterable[tuple[Contract, Decimal]], first: date, mark: Mark
) -> Iterator[dict[str, str]]:
    """What was held on the day before the window, with its price then and that day's gain."""
    day = on_weekday(first - _DAY)
    for contract, qty in positions:
        price, before = mark(contract, day), mark(contract, on_weekday(day - _DAY))
        gain = qty * contract.multiplier * (price - before)
        yield {
            **contract_values(contract), "accountId": account, "fxRateToBase": fx_rate(contract, day),
            "date": f"{day:%Y%m%d}", "price": number(price), "priorMtmPnl": number(gain),
        }  # fmt: skip


def rate_rows(first: date, last: date) -> Iterator[dict[str, str]]:
    """The rates to the base currency by weekday."""
    for day in weekdays(first, last):
        for currency in QUOTED:
            told = number(rate(currency, day))
            yield {"reportDate": f"{day:%Y%m%d}", "fromCurrency": currency, "toCurrency": BASE_CURRENCY, "rate": told}
