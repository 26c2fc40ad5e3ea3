"""Opening a connection to PostgreSQL, and saying for people which server it is and why it failed.

Here: the settings of every connection, errors of the driver as one line without user and password.
Not here: statements and transactions, which are in `db`.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import psycopg2
import psycopg2.extras

from apex_pipeline.errors import ConfigError, StorageUnavailable

CONNECT_TIMEOUT_SECONDS = 10
PATIENT: Mapping[str, Any] = {"keepalives_idle": 30, "tcp_user_timeout": 60_000}
WATCHFUL: Mapping[str, Any] = {
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "tcp_user_timeout": 3_000,
}
"""Signs of life of a connection over the network, in seconds; the last in milliseconds."""
SESSION = "-c timezone=UTC -c lock_timeout=60s -c idle_in_transaction_session_timeout=10min"


def connect(
    url: str, statement_timeout: float | None = None, *, watchful: bool = False
) -> psycopg2.extensions.connection:
    """Return an open connection in UTC that reads jsonb numbers as Decimals.

    `statement_timeout`: seconds after which the server gives up a statement. `watchful`: the connection waits for the
    server, and notices within three seconds that it is gone.

    StorageUnavailable when the server cannot be reached, ConfigError when the URL is not one; neither shows a password.
    """
    try:
        connection = psycopg2.connect(
            url,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            application_name="apex",
            **(WATCHFUL if watchful else PATIENT),
            options=f"{SESSION} -c statement_timeout={round((statement_timeout or 0) * 1000)}",
        )
    except psycopg2.OperationalError as error:
        raise StorageUnavailable(f"cannot reach the database {where(url)}: {reason(error)}") from None
    except psycopg2.ProgrammingError:
        raise ConfigError("APEX_DATABASE_URL is not a valid PostgreSQL URL") from None
    psycopg2.extras.register_default_jsonb(connection, loads=_loads)
    return connection


def reason(error: Exception) -> str:
    """The line of a driver's error that says why; its class where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def where(url: str) -> str:
    """Host and database of a URL for people: without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname or 'local socket'}{f':{parts.port}' if parts.port else ''}{parts.path}"
