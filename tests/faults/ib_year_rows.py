"""Single facts of the made-up year in IB's words: trades, lots, positions, bookings, actions, ends of options."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from tests.faults.ib_year_books import Books, decimal
from tests.faults.ib_year_days import COMPACT, DAY, Dates, at, days, open_days
from tests.faults.ib_year_events import ZERO, Action, Deal, Lot, Move, Paper
from tests.faults.ib_year_market import BASE

ACCOUNT = "U7654321"
Row = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Shape:
    """What a person's query delivers."""

    dates: Dates = COMPACT
    lots: bool = True
    closed_lots: bool = True
    effects: bool = True
    events: bool = True
    unsigned_lots: bool = False
    numbered_settlements: bool = True


def number(value: Decimal | Fraction | int) -> str:
    told = f"{decimal(value) if isinstance(value, Fraction) else Decimal(value):f}"
    return told.rstrip("0").rstrip(".") if "." in told else told


class RowTeller:
    """Tells the single facts of one window of days."""

    def __init__(self, books: Books, shape: Shape, first: date, last: date) -> None:
        self.books, self.shape, self.first, self.last = books, shape, first, last
        self.day, self.moment = shape.dates.date, shape.dates.moment
        opened = open_days(first - 10 * DAY, last)
        self.marked = opened[-1]

    def within(self, day: date) -> bool:
        return self.first <= day <= self.last

    def contract(self, paper: Paper | None, name: str = "", on: date | None = None) -> dict[str, str]:
        if paper is None:
            return {"assetCategory": "", "symbol": "", "description": "", "conid": "", "listingExchange": "",
                    "underlyingSymbol": "", "multiplier": "", "strike": "", "expiry": "", "putCall": ""}  # fmt: skip
        told = {
            "accountId": ACCOUNT, "acctAlias": "", "model": "", "currency": paper.currency,
            "fxRateToBase": number(self.books.market.rate(paper.currency, on or self.marked)),
            "assetCategory": paper.category, "symbol": name or paper.symbol, "description": f"{paper.symbol} PLC",
            "conid": str(paper.conid), "listingExchange": paper.exchange, "multiplier": number(paper.multiplier),
            "underlyingConid": "", "underlyingSymbol": "", "strike": "", "expiry": self.day(paper.expiry),
            "putCall": paper.right,
        }  # fmt: skip
        if paper.underlying is not None and paper.strike is not None:
            told |= {"underlyingConid": str(paper.underlying.conid), "underlyingSymbol": paper.underlying.symbol,
                     "strike": number(paper.strike)}  # fmt: skip
        return told

    def trades(self) -> Iterator[Row]:
        deals = [one for one in self.books.life.events if isinstance(one, Deal) and self.within(one.report_date)]
        for deal in deals:
            yield "Trade", self.trade(deal)
            figures = self.books.figures(deal)
            void = deal.kind == "CANCEL" or id(deal) not in self.books.end.rows
            if self.shape.closed_lots and not void:
                for piece in figures.pieces:
                    unsigned = self.shape.unsigned_lots
                    cost = abs(piece.cost) if unsigned else piece.cost
                    yield "Lot", {
                        **self.contract(deal.paper, on=deal.report_date), "reportDate": self.day(deal.report_date),
                        "dateTime": self.moment(deal.at), "tradeDate": self.day(deal.trade_date),
                        "exchange": "IBFRSH", "quantity": number(abs(piece.qty)),
                        "tradePrice": number(piece.open_price), "openCloseIndicator": "C", "notes": "ST",
                        "cost": number(cost), "fifoPnlRealized": number(piece.pnl), "fxPnl": "0",
                        "transactionID": str(piece.opened_by or ""), "buySell": "BUY" if deal.qty > 0 else "SELL",
                        "openDateTime": self.moment(piece.opened_at),
                        "holdingPeriodDateTime": self.moment(piece.opened_at), "levelOfDetail": "CLOSED_LOT",
                    }  # fmt: skip

    def trade(self, deal: Deal) -> dict[str, str]:
        figures, paper, origin = self.books.figures(deal), deal.paper, deal.original
        if deal.rebook_of is not None and figures.pieces:
            figures = type(figures)(figures.cost, Fraction(deal.net) + figures.cost, figures.effect, figures.pieces)
        money = ZERO if paper.category == "CASH" else deal.net
        if paper.category == "FUT":
            money = self.books.mtm(deal) + deal.commission
        side = "BUY" if (deal.qty > 0) != (origin is not None) else "SELL"
        kinds = {"EXCH": "ExchTrade", "BOOK": "BookTrade", "CANCEL": "TradeCancel"}
        told = {
            **self.contract(paper, on=deal.report_date), "tradeID": str(deal.trade_id or ""),
            "reportDate": self.day(deal.report_date), "dateTime": self.moment(deal.at),
            "tradeDate": self.day(deal.trade_date), "settleDateTarget": self.day(deal.settle_date),
            "transactionType": kinds[deal.kind], "exchange": "--" if deal.kind != "EXCH" else "ISLAND",
            "quantity": number(deal.qty), "tradePrice": number(deal.price), "tradeMoney": number(-deal.proceeds),
            "proceeds": number(deal.proceeds), "taxes": number(deal.taxes), "ibCommission": number(deal.commission),
            "ibCommissionCurrency": deal.commission_currency, "netCash": number(money),
            "closePrice": "0" if paper.category == "CASH" else number(self.books.market.close(paper, deal.report_date)),
            "openCloseIndicator": figures.effect if self.shape.effects else "", "notes": ";".join(deal.notes),
            "cost": number(figures.cost), "fifoPnlRealized": number(figures.pnl), "fxPnl": "0",
            "mtmPnl": number(self.books.mtm(deal)), **self.origin(deal),
            "buySell": f"{side} (Ca.)" if origin else side,
            "transactionID": str(deal.transaction_id), "ibOrderID": str(deal.order if deal.kind != "BOOK"
                                                                        else deal.transaction_id),
            "ibExecID": deal.exec_id, "orderTime": self.moment(deal.at) if deal.kind == "EXCH" else "",
            "openDateTime": "", "levelOfDetail": "EXECUTION", "orderType": "LMT" if deal.kind == "EXCH" else "",
            "isAPIOrder": "N", "accruedInt": "0", "orderReference": "",
        }  # fmt: skip
        return told | {"positionActionID": deal.action_id}

    def origin(self, deal: Deal) -> dict[str, str]:
        origin = deal.original
        if origin is None:
            return {"origTradePrice": "0", "origTradeDate": "", "origTradeID": "", "origOrderID": "0",
                    "origTransactionID": "0"}  # fmt: skip
        told = {"origTradePrice": number(origin.price), "origTradeDate": self.day(origin.trade_date),
                "origTradeID": str(origin.trade_id), "origOrderID": str(origin.order)}  # fmt: skip
        return told | ({"origTransactionID": str(origin.transaction_id)} if deal.names_transaction else {})

    def positions(self) -> Iterator[Row]:
        by_paper = defaultdict[Paper, list[Lot]](list)
        for lot in self.books.lots(self.last):
            by_paper[lot.paper].append(lot)
        for paper, lots in by_paper.items():
            qty, cost = sum((x.qty for x in lots), Fraction(0)), sum((x.cost for x in lots), Fraction(0))
            if not qty:
                continue
            yield "OpenPosition", self.position(paper, qty, cost, None)
            for lot in lots if self.shape.lots else []:
                yield "OpenPosition", self.position(paper, lot.qty, lot.cost, lot)

    def position(self, paper: Paper, qty: Fraction, cost: Fraction, lot: Lot | None) -> dict[str, str]:
        mark = self.books.market.close(paper, self.marked)
        value = decimal(qty) * mark * paper.point
        unit = cost / (qty * Fraction(paper.point))
        return {
            **self.contract(paper), "reportDate": self.day(self.last), "position": number(qty),
            "markPrice": number(mark), "positionValue": number(value),
            "openPrice": number(lot.open_price) if lot else number(unit), "costBasisPrice": number(unit),
            "costBasisMoney": number(cost), "percentOfNAV": "",
            "fifoPnlUnrealized": number(Fraction(value) - cost), "side": "Long" if qty > 0 else "Short",
            "levelOfDetail": "LOT" if lot else "SUMMARY", "openDateTime": self.moment(lot.opened_at) if lot else "",
            "holdingPeriodDateTime": self.moment(lot.opened_at) if lot else "", "code": "",
            "originatingOrderID": "", "originatingTransactionID": str(lot.opened_by or "") if lot else "",
        }  # fmt: skip

    def bookings(self) -> Iterator[Row]:
        for one in self.books.life.bookings:
            if not self.within(one.report_date):
                continue
            yield "CashTransaction", {
                **self.contract(one.paper, on=one.report_date), "accountId": ACCOUNT, "currency": one.currency,
                "fxRateToBase": number(self.books.market.rate(one.currency, one.report_date)),
                "description": one.text, "dateTime": self.moment(at(one.report_date, 20, 20)),
                "settleDate": self.day(one.settle_date), "amount": number(one.amount), "type": one.words,
                "tradeID": "", "code": "", "transactionID": str(one.transaction_id),
                "reportDate": self.day(one.report_date), "actionID": str(one.action_id or ""),
                "levelOfDetail": "DETAIL",
            }  # fmt: skip

    def actions(self) -> Iterator[Row]:
        for one in self.books.life.events:
            if not isinstance(one, Action) or not self.within(one.report_date):
                continue
            figures = self.books.figures(one)
            for (paper, name, qty), own in zip(one.rows, one.transaction_ids, strict=True):
                value = qty * self.books.market.close(paper, one.report_date)
                yield "CorporateAction", {
                    **self.contract(paper, name, one.report_date), "reportDate": self.day(one.report_date),
                    "dateTime": self.moment(one.at), "actionDescription": f"{name} {one.kind}",
                    "amount": number(-one.proceeds), "proceeds": number(one.proceeds), "value": number(value),
                    "quantity": number(qty), "fifoPnlRealized": number(figures.pnl),
                    "mtmPnl": "0", "code": "", "type": one.kind, "transactionID": str(own),
                    "actionID": str(one.action_id), "levelOfDetail": "DETAIL",
                }  # fmt: skip

    def moves(self) -> Iterator[Row]:
        for one in self.books.life.events:
            if isinstance(one, Move) and self.within(one.report_date):
                worth = self.books.worth(one.paper, Fraction(one.qty), one.report_date)
                yield "Transfer", {
                    **self.contract(one.paper, on=one.report_date), "reportDate": self.day(one.report_date),
                    "date": self.day(one.report_date), "dateTime": self.moment(one.at), "settleDate": "",
                    "type": "ACATS", "direction": "IN" if one.qty > 0 else "OUT", "company": "--", "account": "",
                    "quantity": number(one.qty), "transferPrice": "0", "positionAmount": number(worth),
                    "pnlAmount": "0", "cashTransfer": "0", "code": "", "transactionID": str(one.transaction_id),
                    "levelOfDetail": "TRANSFER",
                }  # fmt: skip

    def ends(self) -> Iterator[Row]:
        words = {"Ep": "Expiration", "A": "Assignment", "Ex": "Exercise"}
        for one in self.books.life.events:
            if not isinstance(one, Deal) or one.kind != "BOOK" or not self.within(one.report_date):
                continue
            figures = self.books.figures(one)
            stock = one.paper.category == "STK"
            yield "OptionEAE", {
                **self.contract(one.paper, on=one.report_date), "date": self.day(one.trade_date),
                "transactionType": ("Buy" if one.qty > 0 else "Sell") if stock else words[one.notes[0]],
                "quantity": number(one.qty), "tradePrice": number(one.price), "markPrice": "0",
                "proceeds": number(one.proceeds), "commisionsAndTax": "0", "costBasis": number(figures.cost),
                "realizedPnl": number(figures.pnl), "fxPnl": "0", "mtmPnl": "0", "tradeID": str(one.trade_id),
                "positionActionID": one.action_id,
            }  # fmt: skip

    def accruals(self) -> Iterator[Row]:
        for one in self.books.life.accruals:
            if self.within(one.report_date):
                yield "ChangeInDividendAccrual", {
                    **self.contract(one.paper, on=one.report_date), "reportDate": self.day(one.report_date),
                    "date": self.day(one.report_date), "exDate": self.day(one.ex_date),
                    "payDate": self.day(one.pay_date), "quantity": number(one.qty), "tax": number(one.tax),
                    "fee": "0", "grossRate": "0.3107", "grossAmount": number(one.gross),
                    "netAmount": number(one.gross - one.tax), "code": one.code, "levelOfDetail": "DETAIL",
                }  # fmt: skip

    def securities(self) -> Iterator[Row]:
        """The terms of all contracts that were traded or held."""
        traded = {id(one.paper): one.paper for one in self.books.life.events
                  if isinstance(one, Deal) and self.within(one.report_date)}  # fmt: skip
        for paper in traded.values():
            told = self.contract(paper)
            for name in ("accountId", "acctAlias", "model", "fxRateToBase"):
                _ = told.pop(name)
            yield "SecurityInfo", told

    def rates(self) -> Iterator[Row]:
        for day in days(self.first, self.last):
            if day.isoweekday() <= 5:
                for currency in ("EUR", "HKD"):
                    yield "ConversionRate", {
                        "reportDate": self.day(day), "fromCurrency": currency, "toCurrency": BASE,
                        "rate": number(self.books.market.rate(currency, day)),
                    }  # fmt: skip
