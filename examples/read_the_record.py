"""Read the record by SQL and in pandas: fees by month, gains by underlying, what does not agree.

Money is Decimal in both; pandas keeps it as it is (object columns), so sums are exact to the cent.
"""

import pandas as pd

from apex_pipeline import settings
from apex_pipeline.live import Database

FEES = """
    SELECT date_trunc('month', charged_on)::date AS month, broker, currency, sum(amount) AS paid, count(*) AS fees
    FROM fees_norm GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
GAINS = "SELECT underlying, currency, closed_on, realized_pnl FROM realized_pnl WHERE realized_pnl IS NOT NULL"
BREAKS = (
    "SELECT severity, check_name, count(*) AS open FROM recon_breaks WHERE state = 'OPEN' GROUP BY 1, 2 ORDER BY 1, 2"
)


def main() -> None:
    with Database(settings.load(), read_only=True) as db:
        print("Fees by month (positive = paid)")
        for row in db.fetch(FEES):
            paid = f"{row['paid']:>14.2f} {row['currency']}"
            print(f"  {row['month']:%Y-%m} {row['broker']:<5} {paid} in {row['fees']} fees")

        gains = pd.DataFrame(db.fetch(GAINS), columns=["underlying", "currency", "closed_on", "realized_pnl"])
        by_underlying = gains.groupby(["currency", "underlying"])["realized_pnl"].agg(["sum", "count"])
        print("\nRealized by underlying, the best five")
        best = by_underlying.assign(order=by_underlying["sum"].astype(float)).sort_values("order", ascending=False)
        print(best.drop(columns="order").head(5).to_string())

        print("\nWhat does not agree")
        for row in db.fetch(BREAKS):
            print(f"  {row['severity']:<5} {row['check_name'].replace('_', ' ')}: {row['open']}")


if __name__ == "__main__":
    main()
