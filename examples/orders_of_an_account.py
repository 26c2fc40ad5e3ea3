"""Orders of an account by the repositories: typed rows with their fills and fees, and the record behind one of them.

Takes the account as its argument; without one, the first account of Futu that has orders.
"""

import sys

from apex_pipeline import settings
from apex_pipeline.live import Database, FutuDealRepository, FutuFeeRepository, FutuOrderRepository, Store


def main() -> int:
    with Database(settings.load(), read_only=True) as db:
        store, orders, deals, fees = Store(db), FutuOrderRepository(db), FutuDealRepository(db), FutuFeeRepository(db)
        told = [one for one in store.get_data_boundaries() if one.broker == "FUTU" and one.data_type == "orders"]
        account = sys.argv[1] if len(sys.argv) > 1 else next((one.account_id for one in told), None)
        if account is None:
            print("nothing of Futu is loaded yet: run `apex backfill`", file=sys.stderr)
            return 1
        print(f"Account {account}: {orders.count(account_id=account)} orders")
        for order in orders.find_filled_orders(account, limit=5):
            paid = sum(fee.amount for fee in fees.find_by_order_id(order.broker_order_id))
            print(
                f"  {order.trade_date} {order.side} {order.filled_qty} {order.symbol} at {order.avg_price}, fees {paid}"
            )
            for deal in deals.find_by_order_id(order.broker_order_id):
                print(f"    {deal.executed_at:%Y-%m-%d %H:%M:%S} {deal.qty} at {deal.price}")
        for currency, paid in fees.get_total_fees(account).items():
            print(f"Fees in all: {paid} {currency}")
        newest = orders.find_by_account(account, limit=1)
        if newest:
            payload = store.query_raw_payload("futu", "orders", newest[0].broker_order_id)
            print(f"As Futu told order {newest[0].broker_order_id}: {payload}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
