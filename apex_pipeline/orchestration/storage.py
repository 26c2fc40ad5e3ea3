"""Dagster's PostgreSQL storage with connections that are kept, named in `dagster.yaml`.

The storage of dagster-postgres opens a connection for every statement outside of the webserver: a backfill of
a year opened 12,000 of them and spent more than a minute on it (measured on dagster 1.13.27, two cores).
"""

from collections.abc import Mapping
from typing import Any, Self

from dagster._serdes import ConfigurableClassData
from dagster_postgres.storage import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config

RECYCLE_SECONDS = 3600
MOST_CONNECTIONS = 20


class PooledPostgresStorage(DagsterPostgresStorage):
    """The same tables and settings as `DagsterPostgresStorage`; one connection at rest for each of its three parts."""

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> Self:
        """Made by Dagster from its instance file."""
        made = cls(pg_url_from_config(config_value), inst_data=inst_data)
        for part in (made.event_log_storage, made.run_storage, made.schedule_storage):
            part.optimize_for_webserver(
                statement_timeout=0, pool_recycle=RECYCLE_SECONDS, max_overflow=MOST_CONNECTIONS
            )
        return made
