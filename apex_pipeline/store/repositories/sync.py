"""How far each kind of data was loaded, and whether it is time to load again."""

from datetime import datetime, timedelta
from typing import Any

from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.records import ALL_MARKETS
from apex_pipeline.errors import StorageError
from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.generic import Finder
from apex_pipeline.store.tables import SYNC_STATE, SyncState

COMPLETE = "COMPLETE"


class SyncStateRepository(Finder[SyncState]):
    """Watermarks. Loads move those of what they load, in the transaction of their data.

    A market without a watermark of its own has that of all markets.
    """

    def __init__(self, db: Database) -> None:
        super().__init__(db, SYNC_STATE, SyncState)

    def get_state(
        self, broker: Broker | str, account_id: str, data_type: str, market: str = ALL_MARKETS
    ) -> SyncState | None:
        """The watermark of some data, or None if it was never loaded."""
        markets = list(dict.fromkeys((market, ALL_MARKETS)))
        found = {state.market: state for state in self._states(broker, account_id, data_type, markets)}
        return next((found[name] for name in markets if name in found), None)

    def get_last_record_time(
        self, broker: Broker | str, account_id: str, data_type: str, market: str = ALL_MARKETS
    ) -> datetime | None:
        """The instant of the newest record, or None if there is none or its data have no such instant."""
        state = self.get_state(broker, account_id, data_type, market)
        return state.last_record_at if state else None

    def needs_sync(
        self,
        broker: Broker | str,
        account_id: str,
        data_type: str,
        market: str = ALL_MARKETS,
        max_age_hours: float = 24.0,
    ) -> bool:
        """Whether some data were never loaded, not to their end, or longer ago than that."""
        state = self.get_state(broker, account_id, data_type, market)
        if state is None or state.status != COMPLETE:
            return True
        now: datetime = self._db.fetchval("now")
        return now - state.last_sync_at > timedelta(hours=max_age_hours)

    def update_sync_complete(  # noqa: PLR0917 - what a watermark says, in its own order
        self,
        broker: Broker | str,
        account_id: str,
        data_type: str,
        market: str = ALL_MARKETS,
        last_record_at: datetime | None = None,
        records: int = 0,
    ) -> SyncState:
        """Say that some data were loaded now, up to `last_record_at`; never moves a watermark back.

        For data that an engine loads itself. Of data that this program loads, only a load can move the watermark: the
        call returns it as it is, and raises StorageError where it would run ahead of what is stored.
        """
        told: dict[str, Any] = {
            "broker": Broker.named(broker),
            "account_id": str(account_id),
            "data_type": data_type,
            "market": market,
        }
        if last_record_at is not None and last_record_at.tzinfo is None:
            raise ValueError("last_record_at needs a zone: tell datetime.now(UTC), for example")
        with self._db.transaction() as tx:
            if not tx.fetchval("sync_is_loaded", **told):
                tx.execute("sync_state_move", last_record_at=last_record_at, records=records, **told)
            state = self.get_state(broker, account_id, data_type, market)
            reached = state.last_record_at if state else None
            if state is None or (last_record_at is not None and (reached is None or reached < last_record_at)):
                raise StorageError(
                    f"{data_type} of {account_id} are stored up to {reached or 'nowhere'}, not up to {last_record_at}: "
                    "load them (apex backfill), which moves the watermark with its data"
                )
        return state

    def _states(self, broker: str, account_id: str, data_type: str, markets: list[str]) -> list[SyncState]:
        of: dict[str, Any] = {"broker": Broker.named(broker), "account_id": str(account_id), "data_type": data_type}
        return self.find_where(None, None, market=markets, **of)
