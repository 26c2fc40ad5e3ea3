"""Opens what a verb needs: settings, the database (embedded or given), migrations, Dagster's home."""

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from apex_pipeline import settings
from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import PROJECT_DIR, Settings, sibling_database
from apex_pipeline.store.connection import where
from apex_pipeline.store.create import ensure_database
from apex_pipeline.store.db import Database
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.migrate import MigrationRunner

MIGRATIONS = PROJECT_DIR / "migrations"
EMBEDDED_DATABASE = "apex"


@dataclass(frozen=True, slots=True)
class Opened:
    """An open business database and the settings with its URL filled in."""

    settings: Settings
    db: Database
    dagster_url: str
    is_own_server: bool

    @property
    def told_url(self) -> str:
        """Where the database is, for a person's eyes: without the password of a server that is not ours."""
        return where(self.db.url) if self.is_own_server else self.db.url

    @property
    def migrations(self) -> MigrationRunner:
        """The runner of this project's migrations."""
        return MigrationRunner(self.db, MIGRATIONS)

    @property
    def is_empty(self) -> bool:
        """Whether no migration was ever applied, so that there is no table to ask."""
        return self.migrations.get_current_version() == 0


@contextmanager
def opened(configured: Settings, *, writing: bool, migrated: bool = True) -> Generator[Opened]:
    """The database of these settings; a writing verb first creates it.

    The embedded PostgreSQL runs for as long as somebody uses it. `migrated`: whether the verb needs the
    current schema, for which a writing one applies what is pending.
    """
    with ExitStack() as stack:
        url = configured.database_url or stack.enter_context(_embedded(configured))
        complete = replace(configured, database_url=url)
        settings.export(complete)
        if writing or not configured.database_url:
            ensure_database(url)
        db = stack.enter_context(Database(url))
        db.connect()
        dagster_url = configured.dagster_database_url or sibling_database(url)
        found = Opened(complete, db, dagster_url, is_own_server=bool(configured.database_url))
        if migrated and writing:
            found.migrations.run()
        elif migrated:
            found.migrations.require_current()
        yield found


def with_dagster(found: Opened) -> None:
    """Make Dagster's home and storage ready for this process and its children."""
    from apex_pipeline.orchestration.home import prepare

    ensure_database(found.dagster_url)
    prepare(found.settings.home, found.dagster_url, found.settings.execution.executor)


def require_brokers(configured: Settings, brokers: Sequence[str] | None = None) -> None:
    """Raise ConfigError, before any connection, for credentials that are missing."""
    missing = [
        name
        for name, value in (("IB_FLEX_TOKEN", configured.ib.token), ("IB_FLEX_QUERY_ID", configured.ib.query_id))
        if "ib" in (brokers or configured.brokers) and not (value or "").strip()
    ]
    if missing:
        raise ConfigError(f"{' and '.join(missing)} must be set (or leave IB out: APEX_BROKERS=futu)")


@contextmanager
def _embedded(configured: Settings) -> Generator[str]:
    with EmbeddedServer(configured.home) as server:
        yield server.url(EMBEDDED_DATABASE)
