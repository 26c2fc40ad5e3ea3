"""One day of a scenario as a gateway would tell it: executions, commissions, positions, account values.

Execution ids are those of the statements, so that the statement of the day confirms them.
"""

from collections import defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import final
from zoneinfo import ZoneInfo

from apex_pipeline.brokers.ib.statement_ledger import Ledger, Move, moves_of
from apex_pipeline.brokers.ib.statement_rows import number, symbol_of
from apex_pipeline.brokers.ib.tws_messages import Row
from apex_pipeline.brokers.scenario import Contract, Fill, Scenario, ScenarioOrder
from apex_pipeline.domain.models import AssetClass, Broker, Side

NEW_YORK = ZoneInfo("America/New_York")
OPENING_CASH = Decimal(1_000_000)
UNSET = "1.7976931348623157E308"
FIRST_PERM_ID = 1_700_000_000
_HK_RATE = Decimal("0.12795")


def time_text(at: datetime, form: str) -> str:
    """The time of an execution: `zone`, `bare` (without one, in New York) or `utc`."""
    if form == "utc":
        return f"{at.astimezone(UTC):%Y%m%d-%H:%M:%S}"
    local = at.astimezone(NEW_YORK)
    return f"{local:%Y%m%d  %H:%M:%S}" if form == "bare" else f"{local:%Y%m%d %H:%M:%S} US/Eastern"


@final
class DayRows:
    """The rows of one day; positions and cash are those at its end."""

    def __init__(self, scenario: Scenario, day: date) -> None:
        self.accounts = scenario.accounts[Broker.IB]
        self.day = day
        moves = [move for move in moves_of(scenario) if move.source.trade_date <= day]
        self._today = [move for move in moves if move.source.trade_date == day and isinstance(move.source, Fill)]
        self._ledger = Ledger()
        self._cash: defaultdict[tuple[str, str], Decimal] = defaultdict(lambda: OPENING_CASH)
        for move in moves:
            _ = self._ledger.book(move)
            net = move.proceeds + move.commission + move.taxes
            self._cash[(move.account_id, move.source.contract.currency)] += net

    def executions(self, form: str = "zone") -> list[Row]:
        """One row per fill of the day, oldest first."""
        rows: list[Row] = []
        filled: defaultdict[tuple[str, int], Decimal] = defaultdict(Decimal)
        for move in self._today:
            order = (move.account_id, move.order.number if move.order else 0)
            filled[order] += move.source.qty
            rows.append(_execution(move, filled[order], form))
        return rows

    def commissions(self) -> list[Row]:
        """One report per fill of the day; positive is paid."""
        return [
            {
                "execId": move.exec_id, "commission": number(-move.commission), "realizedPNL": UNSET, "yield": UNSET,
                "currency": move.source.contract.currency, "yieldRedemptionDate": "",
            }
            for move in self._today
        ]  # fmt: skip

    def positions(self) -> list[Row]:
        """What each account holds; the average cost is that of a share or of a whole contract."""
        return [
            {
                "account": account, "contract": contract_words(held.contract, held.contract.exchange),
                "position": number(held.qty), "avgCost": repr(float(held.basis / held.qty)),
            }
            for (account, _), held in self._ledger.positions.items()
            if held.qty
        ]  # fmt: skip

    def summary(self) -> list[Row]:
        """Totals in US dollars and cash by currency, positions at cost."""
        return [row for account in self.accounts for row in self._values(account)]

    def _values(self, account: str) -> list[Row]:
        cash = {currency: self._cash[(account, currency)] for currency in ("USD", "HKD")}
        held = {"USD": Decimal(0), "HKD": Decimal(0)}
        for (owner, _), position in self._ledger.positions.items():
            if owner == account:
                held[position.contract.currency] += position.basis
        total_cash, total_held = _in_dollars(cash), _in_dollars(held)
        told = [
            ("AccountType", "INDIVIDUAL", ""), ("NetLiquidation", _money(total_cash + total_held), "USD"),
            ("TotalCashValue", _money(total_cash), "USD"), ("CashBalance", _money(total_cash), "BASE"),
            ("TotalCashBalance", _money(total_cash), "BASE"), ("StockMarketValue", _money(total_held), "BASE"),
            ("OptionMarketValue", "0.00", "BASE"),
        ]  # fmt: skip
        for currency, amount in cash.items():
            told += [("CashBalance", _money(amount), currency), ("TotalCashBalance", _money(amount), currency)]
        return [{"account": account, "tag": tag, "value": value, "currency": unit} for tag, value, unit in told]


def combination_of(row: Row) -> Row:
    """The execution of a whole combination that this one is a leg of: leg number 01."""
    session, sequence, _, revision = row["execId"].split(".")
    parent = dict.fromkeys(row["contract"], "") | {
        "conId": "28812380", "symbol": row["contract"]["symbol"], "secType": "BAG", "currency": "USD",
        "localSymbol": row["contract"]["symbol"], "exchange": "SMART", "strike": "0.0",
    }  # fmt: skip
    return {**row, "execId": f"{session}.{sequence}.01.{revision}", "contract": parent, "price": "1.5"}


def revision_of(row: Row, price: str) -> Row:
    """The same execution corrected: the last part of its id counts up."""
    stem, _, last = row["execId"].rpartition(".")
    return {**row, "execId": f"{stem}.{int(last) + 1:02d}", "price": price}


def _execution(move: Move, filled: Decimal, form: str) -> Row:
    fill, order = move.source, move.order
    assert order is not None
    return {
        "orderId": "0", "contract": contract_words(fill.contract, "SEHK" if fill.contract.market == "HK" else "ISLAND"),
        "execId": move.exec_id, "time": time_text(fill.at, form), "acctNumber": move.account_id,
        "exchange": "SEHK" if fill.contract.market == "HK" else "ISLAND",
        "side": "BOT" if fill.side == Side.BUY else "SLD", "shares": number(fill.qty), "price": number(fill.price),
        "permId": str(_perm_id(order)), "clientId": "0", "liquidation": "0", "cumQty": number(filled),
        "avgPrice": number(fill.price), "orderRef": "", "evRule": "", "evMultiplier": "", "modelCode": "",
        "lastLiquidity": "2", "pendingPriceRevision": "0",
    }  # fmt: skip


def _perm_id(order: ScenarioOrder) -> int:
    """The legs of a combination share one, unlike their ibOrderIDs."""
    return FIRST_PERM_ID + (order.number if order.combo is None else 100_000_000 + order.combo)


def contract_words(contract: Contract, exchange: str) -> dict[str, str]:
    """A contract as the API describes it."""
    optional = contract.asset_class == AssetClass.OPTION
    return {
        "conId": str(contract.conid), "secType": "OPT" if optional else "STK",
        "symbol": contract.code.lstrip("0") if contract.market == "HK" else contract.code,
        "lastTradeDateOrContractMonth": f"{contract.expiry:%Y%m%d}" if contract.expiry else "",
        "strike": number(contract.strike) if contract.strike else "0.0",
        "right": contract.right.value if contract.right else "?",
        "multiplier": number(contract.multiplier) if optional else "", "exchange": exchange,
        "currency": contract.currency, "localSymbol": symbol_of(contract),
        "tradingClass": contract.root if optional else ("NMS" if contract.market == "US" else contract.code),
    }  # fmt: skip


def _in_dollars(amounts: dict[str, Decimal]) -> Decimal:
    return amounts["USD"] + amounts["HKD"] * _HK_RATE


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"
