"""What can happen to the account of the made-up year, in the words of its statements.

Quantities are signed: positive is bought or received. Commissions and taxes are signed as IB writes them: negative is
paid. All instants are New York's.
"""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

ZERO = Decimal(0)


@dataclass(frozen=True)
class Paper:
    """One contract. `point`: the money per unit of quantity and of price; a bond's is a hundredth."""

    conid: int
    category: str
    symbol: str
    currency: str
    multiplier: Decimal = Decimal(1)
    exchange: str = "NASDAQ"
    strike: Decimal | None = None
    expiry: date | None = None
    right: str = ""
    underlying: "Paper | None" = None

    @property
    def point(self) -> Decimal:
        return Decimal("0.01") if self.category == "BOND" else self.multiplier


@dataclass(eq=False)
class Piece:
    """What a row closed of one lot; `qty` and `cost` signed like the lot."""

    qty: Fraction
    cost: Fraction
    pnl: Fraction
    opened_at: datetime
    open_price: Decimal
    opened_by: int | None


@dataclass(eq=False)
class Lot:
    """What is open; `cost` signed like `qty`. `opened_by`: the transactionID of the trade, None after a transfer."""

    paper: Paper
    qty: Fraction
    cost: Fraction
    opened_at: datetime
    open_price: Decimal
    opened_by: int | None


@dataclass(eq=False)
class Deal:
    """One row of Trades at the level EXECUTION. `kind`: EXCH, BOOK or CANCEL.

    `cost`, `pnl`, `effect` and `pieces` are filled by the ledger: IB's own figures for the row.
    """

    paper: Paper
    at: datetime
    trade_date: date
    report_date: date
    settle_date: date
    qty: Decimal
    price: Decimal
    commission: Decimal = ZERO
    commission_currency: str = ""
    taxes: Decimal = ZERO
    kind: str = "EXCH"
    notes: tuple[str, ...] = ()
    original: "Deal | None" = None
    rebook_of: "Deal | None" = None
    names_transaction: bool = True
    delivers: "Deal | None" = None
    action_id: str = ""
    order: int = 0
    transaction_id: int = 0
    trade_id: int = 0
    exec_id: str = ""
    cost: Fraction = Fraction(0)
    pnl: Fraction = Fraction(0)
    effect: str = ""
    pieces: list[Piece] = field(default_factory=list[Piece])
    opened: Fraction = Fraction(0)

    @property
    def proceeds(self) -> Decimal:
        return -self.qty * self.price * self.paper.point

    @property
    def net(self) -> Decimal:
        """Proceeds with the charges that are told in the contract's own currency."""
        same = self.commission_currency == self.paper.currency
        return self.proceeds + self.taxes + (self.commission if same else ZERO)


@dataclass(eq=False)
class Action:
    """A corporate action: `kind` as IB's `type`; the rows are (contract, its name in the row, quantity).

    SPLIT multiplies by `ratio`; a pair moves everything from the second row's contract into the first's.
    """

    kind: str
    at: datetime
    report_date: date
    rows: list[tuple[Paper, str, Decimal]]
    ratio: Fraction = Fraction(1)
    proceeds: Decimal = ZERO
    action_id: int = 0
    transaction_ids: list[int] = field(default_factory=list[int])
    pnl: Fraction = Fraction(0)
    pieces: list[Piece] = field(default_factory=list[Piece])


@dataclass(eq=False)
class Move:
    """Stock that came from, or went to, another broker. `lots` of what came: quantity, cost, opened at, price."""

    paper: Paper
    at: datetime
    report_date: date
    qty: Decimal
    lots: list[tuple[Decimal, Decimal, datetime, Decimal]]
    transaction_id: int = 0


@dataclass(eq=False)
class Booking:
    """A row of CashTransactions."""

    report_date: date
    settle_date: date
    currency: str
    amount: Decimal
    words: str
    part: str
    paper: Paper | None = None
    text: str = ""
    action_id: int = 0
    transaction_id: int = 0


@dataclass(eq=False)
class Accrual:
    """A dividend that is owed from `report_date` on (code Po), or no longer (Re)."""

    report_date: date
    paper: Paper
    ex_date: date
    pay_date: date
    qty: Decimal
    gross: Decimal
    tax: Decimal
    code: str


Event = Deal | Action | Move
"""What changes positions."""
