"""Scenario to protobuf rows about whole accounts: account list, positions, funds.

The cash that funds tell is what the cash flow of `simulator_cash` sums to.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apex_pipeline.brokers.futu.simulator_messages import CURRENCIES, TRD_MARKETS, number64, wire_code
from apex_pipeline.brokers.futu.simulator_wire import protobuf
from apex_pipeline.brokers.scenario import Holding, Scenario, ScenarioAccount
from apex_pipeline.domain.models import Broker

USD_IN_HKD = Decimal("7.8")
"""Rate at which funds are told in one currency."""

_MARGIN, _NORMAL, _STOCK_AND_OPTION = 2, 1, 4


def futu_accounts(scenario: Scenario) -> tuple[ScenarioAccount, ...]:
    """The Futu accounts; those without details are real, active and trade both markets."""
    told = tuple(a for a in scenario.account_details if a.broker == Broker.FUTU)
    if told:
        return told
    names = scenario.accounts.get(Broker.FUTU, ())
    return tuple(ScenarioAccount(Broker.FUTU, name, "REAL", "ACTIVE", ("HK", "US")) for name in names)


def is_paper(account: ScenarioAccount) -> bool:
    """Whether it is a SIMULATE account."""
    return account.environment == "SIMULATE"


def account_row(account: ScenarioAccount, firm: int) -> Any:
    """The TrdAcc message of an account; paper accounts belong to no firm and have no card."""
    row = protobuf("Trd_Common_pb2").TrdAcc(
        trdEnv=0 if is_paper(account) else 1,
        accID=int(account.account_id),
        trdMarketAuthList=[TRD_MARKETS[market] for market in account.markets],
        accType=_MARGIN,
        accStatus=1 if account.status == "DISABLED" else 0,
    )
    if is_paper(account):
        row.simAccType = _STOCK_AND_OPTION
        return row
    row.securityFirm = firm
    row.cardNum = str(1_001_000_000_000_000 + number64("card", account.account_id) % 10**12)
    row.accRole = _NORMAL
    if len(account.markets) > 1:
        row.uniCardNum = str(1_001_200_000_000_000 + number64("universal", account.account_id) % 10**11)
    return row


def position_row(holding: Holding) -> Any:
    """The Position message of a holding; a short one has a negative quantity."""
    contract, qty = holding.contract, holding.qty
    gain = (holding.mark_price - holding.average_price) * qty * contract.multiplier
    row = protobuf("Trd_Common_pb2").Position(
        positionID=number64("position", holding.account_id, contract.market, wire_code(contract)),
        positionSide=1 if qty < 0 else 0,
        code=wire_code(contract),
        name=contract.name,
        qty=float(qty),
        canSellQty=float(qty),
        price=float(holding.mark_price),
        val=float(value_of(holding)),
        plVal=float(gain),
        costPrice=float(holding.average_price),
        secMarket=TRD_MARKETS[contract.market],
        unrealizedPL=float(gain),
        currency=CURRENCIES[contract.currency],
        trdMarket=TRD_MARKETS[contract.market],
        dilutedCostPrice=float(holding.average_price),
        averageCostPrice=float(holding.average_price),
        accID=int(holding.account_id),
    )
    cost = abs(holding.average_price * qty * contract.multiplier)
    if cost:
        row.plRatio = row.averagePlRatio = float(gain / cost)
    return row


def value_of(holding: Holding) -> Decimal:
    """Signed market value in the currency of the contract."""
    return holding.qty * holding.mark_price * holding.contract.multiplier


def funds_row(cash: Mapping[str, Decimal], holdings: list[Holding], currency: str) -> Any:
    """The Funds message of an account, totals told in `currency` (HKD or USD)."""
    values = {name: Decimal(0) for name in cash}
    for holding in holdings:
        values[holding.contract.currency] = values.get(holding.contract.currency, Decimal(0)) + value_of(holding)
    in_cash, in_market = _in_currency(cash, currency), _in_currency(values, currency)
    power = float(max(in_cash, Decimal(0)))
    row = protobuf("Trd_Common_pb2").Funds(
        power=power,
        totalAssets=float(in_cash + in_market),
        cash=float(in_cash),
        marketVal=float(in_market),
        frozenCash=0.0,
        debtCash=0.0,
        avlWithdrawalCash=power,
        currency=CURRENCIES[currency],
        netCashPower=power,
        securitiesAssets=float(in_cash + in_market),
    )
    for name, amount in sorted(cash.items()):
        free = float(max(amount, Decimal(0)))
        row.cashInfoList.add(currency=CURRENCIES[name], cash=float(amount), availableBalance=free, netCashPower=free)
        market = TRD_MARKETS["US" if name == "USD" else "HK"]
        row.marketInfoList.add(trdMarket=market, assets=float(amount + values[name]))
    return row


def _in_currency(amounts: Mapping[str, Decimal], currency: str) -> Decimal:
    in_hkd = sum((a * USD_IN_HKD if name == "USD" else a for name, a in amounts.items()), Decimal(0))
    return in_hkd / USD_IN_HKD if currency == "USD" else in_hkd
