"""Orders of Futu for an engine that asks OpenD itself: rows of the SDK become records of the pipeline."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from apex_pipeline.brokers.futu.sdk_rows import newer, order_record
from apex_pipeline.store.repositories.broker_rows import FutuOrderRows, record_of_row
from apex_pipeline.store.tables import RawRow


class FutuOrderRepository(FutuOrderRows):
    """Orders of Futu: typed rows to read; what `from_futu_order` makes is appended (`insert`, `upsert`, `upsert_many`).

    An order that is stored already keeps what only OpenD itself tells of it (its epochs and its number).
    """

    @staticmethod
    def from_futu_order(row: Mapping[str, Any], account: str, market: str | None = None) -> RawRow:
        """A row of `order_list_query` or `history_order_list_query` as a record that can be appended.

        `row`: a mapping or a pandas Series. `market` (US, HK, …): where the row does not name its own. The table of the
        SDK lacks epochs, so that instants are read from the wall clock of the market. Raises UnknownPayload.
        """
        return record_of_row(order_record({name: row[name] for name in row.keys()}, account, market), datetime.now(UTC))  # noqa: SIM118

    def _completed(self, record: RawRow) -> RawRow:
        stored = self._raw.find_by_id(record.account_id, record.record_key)
        return record if stored is None else replace(record, payload=newer(stored.payload, record.payload))
