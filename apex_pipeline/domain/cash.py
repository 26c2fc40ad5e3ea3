"""What a ledger of cash must know beside its rows: which fees belong to no order. Pure."""

FEES_OF_NO_ORDER = (
    r"custody|custodian|subscription|market data|quotes?\y|\yadr\y|safe.?keeping|inactivity|"
    r"存管|托管|託管|保管|订阅|訂閱|行情|代收|转仓|轉倉"
)
"""Words, as a regular expression of PostgreSQL, of fees that are charged for something else than an order.

A broker that books cash beside its trades books the fees of orders once more: such a booking is left out of the
ledger unless its words are among these.
"""
