"""`apex move`: from where the data is now to another PostgreSQL server, and the line to set afterwards."""

import re
from urllib.parse import urlsplit

from apex_pipeline.cli.console import line, progress, say
from apex_pipeline.cli.opening import EMBEDDED_DATABASE
from apex_pipeline.errors import ConfigError
from apex_pipeline.settings import Settings, sibling_database
from apex_pipeline.store.connection import where
from apex_pipeline.store.create import ensure_database
from apex_pipeline.store.db import database_name
from apex_pipeline.store.embedded import EmbeddedServer
from apex_pipeline.store.moving import Moved, is_there
from apex_pipeline.store.moving import move as move_databases

PLACEHOLDER = "PASSWORD"


def move(configured: Settings, url: str) -> None:
    """Copy the database and Dagster's beside it to the server of `url`, and say what to set."""
    if not url.startswith(("postgresql://", "postgres://")):
        raise ConfigError("that is not an address of PostgreSQL: postgresql://user@host:5432/apex is one")
    database_name(url)
    if configured.database_url:
        _move(configured, configured.database_url, url)
        return
    with EmbeddedServer(configured.home) as server:
        _move(configured, server.url(EMBEDDED_DATABASE), url)


def _move(configured: Settings, source: str, target: str) -> None:
    beside = configured.dagster_database_url or sibling_database(source)
    pairs = {source: target} if beside == source else {source: target, beside: sibling_database(target)}
    if not is_there(source):
        raise ConfigError(f"{where(source)} does not exist: there is nothing to move (APEX_DATABASE_URL, APEX_HOME)")
    present = [(old, new) for old, new in pairs.items() if old == source or is_there(old)]
    for _, new in present:
        ensure_database(new)
    with progress() as observe:
        moved = move_databases(present, observe)
    for each in moved:
        line(_told(each))
    say(f"the database {where(source)} stays as it is, and is used again wherever the following is not set:")
    shown = _without_password(target)
    line(f"APEX_DATABASE_URL={shown}")
    if beside == source:
        line(f"APEX_DAGSTER_DATABASE_URL={shown}")
    elif configured.dagster_database_url:
        say("and take APEX_DAGSTER_DATABASE_URL away: Dagster's database is beside the new one now")
    if shown != target:
        say(f"(with the password in the place of {PLACEHOLDER})")


def _told(moved: Moved) -> str:
    done = "were there already, equal" if moved.was_there else "copied, equal on both sides"
    return f"{moved.name}: {moved.tables} tables, {moved.rows:,} rows {done}"


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    query = re.sub(r"(?<=password=)[^&]*", PLACEHOLDER, parts.query)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return parts._replace(netloc=f"{name}{colon and f':{PLACEHOLDER}'}{at}{host}", query=query).geturl()
