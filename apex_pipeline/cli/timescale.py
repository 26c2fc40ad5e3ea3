"""`apex timescale enable`: bars and snapshots as hypertables, and what is told of them."""

from apex_pipeline.cli.console import line
from apex_pipeline.cli.opening import opened
from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import Settings
from apex_pipeline.store.timescale import HYPERTABLES, Step, Timescale, TimescaleState, Wish

OFF = "database.timescale.enabled is false: set it to auto or true, then try again; nothing was changed"
_STATES = {
    "ABSENT": "this server has none; everything works without it",
    "AVAILABLE": "can be installed: run `apex timescale enable`",
    "INSTALLED": "is installed and not used: run `apex timescale enable`",
    "PARTLY": "keeps some of the tables: run `apex timescale enable` to finish",
    "ENABLED": "keeps all of the tables",
}


def tell(configured: Settings) -> None:
    """Show what is there; changes nothing."""
    with opened(configured, writing=False, migrated=False) as found:
        _tell_state(Timescale(found.db).state())


def enable(configured: Settings) -> None:
    """Bring the tables to what the settings say; ConfigError, with nothing changed, where that cannot be."""
    if configured.timescale.enabled == "false":
        raise ConfigError(OFF)
    with opened(configured, writing=True, migrated=False) as found:
        extension = Timescale(found.db)
        extension.install()
        found.migrations.run()
        extension.enable(wish_of(found.settings), _tell_step)
        _tell_state(extension.state())


def wish_of(configured: Settings) -> Wish:
    """How the settings want tables to be kept; snapshots as bars, unless they have a word of their own."""
    told, snapshots = configured.timescale, configured.snapshots
    own = snapshots.compression_after_days
    return Wish(
        chunk_interval=told.chunk_interval,
        compression_after=told.compression_after,
        snapshot_compression_after=f"{own} days" if own else told.compression_after,
        snapshot_retention_days=snapshots.retention_days,
    )


def _tell_step(step: Step) -> None:
    line(f"{step.table}: {step.what}: {step.hindrance or ('done now' if step.done else 'is so already')}")


def _tell_state(state: TimescaleState) -> None:
    version = state.installed or state.available
    line(f"TimescaleDB{f' {version}' if version else ''}: {_STATES[state.word]}")
    for row in state.tables:
        compressed = f"compressed after {row['compress_after']}" if row["compress_after"] else "not compressed"
        kept = f"dropped after {row['drop_after']}" if row["drop_after"] else "kept for ever"
        line(f"{row['table_name']}: {row['chunks']} chunks of {row['chunk_interval']}, {compressed}, {kept}")
    used = {row["table_name"] for row in state.tables}
    for one in HYPERTABLES:
        if state.tables and one.table.name not in used:
            line(f"{one.table.name}: a plain table")
