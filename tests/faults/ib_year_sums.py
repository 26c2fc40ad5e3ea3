"""The sums of the made-up year in IB's words: cash report, statement of funds, value of the account, gains."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import final

from tests.faults.ib_year_books import CURRENCIES, Line
from tests.faults.ib_year_days import DAY, open_days
from tests.faults.ib_year_events import ZERO, Action, Booking, Deal, Move, Paper
from tests.faults.ib_year_market import BASE
from tests.faults.ib_year_rows import ACCOUNT, Row, RowTeller, number


@final
class Teller(RowTeller):
    """Tells one window of days whole."""

    def sections(self) -> list[tuple[str, list[Row]]]:
        return [
            ("EquitySummaryInBase", list(self.equity())),
            ("CashReport", list(self.cash())),
            ("Trades", list(self.trades())),
            ("OpenPositions", list(self.positions())),
            ("FIFOPerformanceSummaryInBase", list(self.gains())),
            ("StmtFunds", list(self.funds())),
            ("CashTransactions", list(self.bookings())),
            ("CorporateActions", list(self.actions())),
            ("Transfers", list(self.moves())),
            ("OptionEAE", list(self.ends()) if self.shape.events else []),
            ("ChangeInDividendAccruals", list(self.accruals())),
            ("ConversionRates", list(self.rates())),
            ("SecuritiesInfo", list(self.securities())),
            ("TransactionTaxes", []),
            ("UnbundledCommissionDetails", []),
        ]

    def cash(self) -> Iterator[Row]:
        books, before, market = self.books, self.first - DAY, self.books.market
        lines = books.between(self.first, self.last)
        ends = {"fromDate": self.day(self.first), "toDate": self.day(self.last)}
        base = defaultdict[str, Decimal](Decimal)
        rows: list[Row] = []
        shown = max(open_days(before - 10 * DAY, before))
        for currency in CURRENCIES:
            sums = defaultdict[str, Decimal](Decimal)
            sums["startingCash"] = books.cash(currency, before)
            base["startingCash"] += sums["startingCash"] * market.rate(currency, shown)
            for line in (one for one in lines if one.currency == currency):
                for part, amount in line.parts:
                    sums[part] += amount
                    base[part] += amount * market.rate(currency, line.day)
            sums["endingCash"], sums["endingSettledCash"] = (
                books.cash(currency, self.last), books.settled(currency, self.last))  # fmt: skip
            for name in ("endingCash", "endingSettledCash"):
                base[name] += sums[name] * market.rate(currency, self.marked)
            rows.append(self._report(currency, "Currency", sums, ends))
        moved = sum((base[name] for name in _CASH), ZERO)
        base["fxTranslationGainLoss"] = base["endingCash"] - base["startingCash"] - moved
        yield self._report("BASE_SUMMARY", "BaseCurrency", base, ends)
        yield from rows

    def _report(self, currency: str, level: str, sums: Mapping[str, Decimal], ends: Mapping[str, str]) -> Row:
        told = {name: number(sums.get(name, ZERO)) for name in ("startingCash", *_CASH, *_CASH_ENDS)}
        both = sums.get("deposits", ZERO) + sums.get("withdrawals", ZERO)
        return "CashReportCurrency", {
            "accountId": ACCOUNT, "acctAlias": "", "model": "", "currency": currency, "levelOfDetail": level, **ends,
            **told, "depositWithdrawals": number(both),
        }  # fmt: skip

    def funds(self) -> Iterator[Row]:
        for currency in CURRENCIES:
            balance = self.books.cash(currency, self.first - DAY)
            yield self._balance(currency, "Starting Balance", self.first, balance)
            for line in self.books.between(self.first, self.last, currency):
                balance += line.amount
                yield "StatementOfFundsLine", self._line(line, balance)
            yield self._balance(currency, "Ending Balance", self.last, balance)

    def _balance(self, currency: str, text: str, day: date, balance: Decimal) -> Row:
        return "StatementOfFundsLine", {
            "accountId": ACCOUNT, "currency": currency, **self.contract(None), "reportDate": self.day(day),
            "date": self.day(day), "settleDate": "", "activityCode": "", "activityDescription": text, "tradeID": "",
            "amount": "", "balance": number(balance), "levelOfDetail": "Currency", "transactionID": "",
        }  # fmt: skip

    def _line(self, line: Line, balance: Decimal) -> dict[str, str]:
        source = line.source
        trade = str(source.trade_id or "") if isinstance(source, Deal) else ""
        numbered = str(source.transaction_id) if isinstance(source, (Deal, Booking)) else ""
        if line.number and self.shape.numbered_settlements:
            numbered = str(line.number)
        if isinstance(source, Action):
            numbered = str(source.transaction_ids[0])
        return {
            **self.contract(line.paper, on=line.day), "accountId": ACCOUNT, "currency": line.currency,
            "fxRateToBase": number(self.books.market.rate(line.currency, line.day)),
            "reportDate": self.day(line.day),
            "date": self.day(source.trade_date if isinstance(source, Deal) else line.day),
            "settleDate": self.day(line.settles), "activityCode": line.code, "activityDescription": line.text,
            "tradeID": trade, "amount": number(line.amount), "balance": number(balance),
            "debit" if line.amount < 0 else "credit": number(line.amount), "levelOfDetail": "Currency",
            "transactionID": numbered,
        }  # fmt: skip

    def gains(self) -> Iterator[Row]:
        """Realized gains by contract in the base currency, each at the rate of its day; then their sum."""
        sums = defaultdict[Paper | None, Fraction](Fraction)
        for one in self.books.life.events:
            if isinstance(one, Move) or not self.within(one.report_date):
                continue
            paper = one.paper if isinstance(one, Deal) else one.rows[0][0]
            gained = self.books.figures(one).pnl
            if isinstance(one, Deal) and one.rebook_of is not None and one.paper.category != "CASH":
                gained = Fraction(self.trade(one)["fifoPnlRealized"])
            in_base = gained * Fraction(self.books.market.rate(paper.currency, one.report_date))
            sums[paper] += in_base
            sums[None] += in_base
        held = self.unrealized()
        for paper in held:
            _ = sums[paper]
        for paper, gained in sorted(sums.items(), key=lambda item: (item[0] is None, item[0].conid if item[0] else 0)):
            if paper is not None and paper.category == "CASH":
                continue
            told = self.contract(paper) if paper else {**self.contract(None), "description": "Total (All Assets)"}
            _ = told.pop("currency", None)
            yield "FIFOPerformanceSummaryUnderlying", {
                **told, "accountId": ACCOUNT, "reportDate": self.day(self.last), "costAdj": "0",
                "realizedSTProfit": number(max(gained, Fraction(0))),
                "realizedSTLoss": number(min(gained, Fraction(0))), "realizedLTProfit": "0", "realizedLTLoss": "0",
                "totalRealizedPnl": number(gained), "totalUnrealizedPnl": number(held.get(paper, Fraction(0))),
            }  # fmt: skip

    def unrealized(self) -> dict[Paper | None, Fraction]:
        """What is open has gained by the last day, in the base currency."""
        found = defaultdict[Paper | None, Fraction](Fraction)
        for lot in self.books.lots(self.last):
            value = lot.qty * Fraction(self.books.market.close(lot.paper, self.marked) * lot.paper.point)
            gained = (value - lot.cost) * Fraction(self.books.market.rate(lot.paper.currency, self.marked))
            found[lot.paper] += gained
            found[None] += gained
        return found

    def equity(self) -> Iterator[Row]:
        for day in open_days(self.first, self.last):
            sums = defaultdict[str, Decimal](Decimal)
            for currency, (cash, _, owed) in self.books.balances[day].items():
                rate = self.books.market.rate(currency, day)
                sums["cash"] += cash * rate
                sums["dividendAccruals"] += owed * rate
            for paper, qty in self.books.positions(day).items():
                kind = {"OPT": "options", "STK": "stock", "BOND": "bonds"}.get(paper.category)
                if kind is not None:
                    rate = self.books.market.rate(paper.currency, day)
                    sums[kind] += self.books.worth(paper, qty, day) * rate
            yield "EquitySummaryByReportDateInBase", {
                "accountId": ACCOUNT, "currency": BASE, "reportDate": self.day(day),
                **{name: number(sums[name]) for name in ("cash", "stock", "options", "bonds", "dividendAccruals")},
                "total": number(self.books.net(day)),
            }  # fmt: skip

    def nav(self) -> dict[str, str]:
        bridge = self.books.bridge(self.first, self.last)
        return {
            "accountId": ACCOUNT, "acctAlias": "", "model": "", "currency": BASE, "fromDate": self.day(self.first),
            "toDate": self.day(self.last), "startingValue": number(bridge.starting),
            **{name: number(bridge.parts.get(name, ZERO)) for name in _NAV},
            "endingValue": number(bridge.ending), "twr": "",
        }  # fmt: skip


_CASH = (
    "commissions", "deposits", "withdrawals", "dividends", "brokerInterest", "bondInterest", "cashSettlingMtm",
    "netTradesSales", "netTradesPurchases", "paymentInLieu", "transactionTax", "withholdingTax", "otherFees", "other",
)  # fmt: skip
_CASH_ENDS = ("fxTranslationGainLoss", "endingCash", "endingSettledCash")
_NAV = (
    "mtm", "realized", "changeInUnrealized", "depositsWithdrawals", "assetTransfers", "dividends", "withholdingTax",
    "changeInDividendAccruals", "interest", "commissions", "otherFees", "transactionTax", "netFxTrading",
    "fxTranslation", "corporateActionProceeds", "other",
)  # fmt: skip
