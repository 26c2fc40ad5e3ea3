"""Creates a database that is missing, where the role may."""

import psycopg2
from psycopg2 import sql

from apex_pipeline.errors import StorageError
from apex_pipeline.settings import sibling_database
from apex_pipeline.store.connection import where
from apex_pipeline.store.db import Database, database_name

MAINTENANCE_DATABASE = "postgres"


def ensure_database(url: str) -> None:
    """Create the database of this URL unless it exists; raises StorageError saying what to do when refused."""
    name = database_name(url)
    with Database(sibling_database(url, MAINTENANCE_DATABASE)) as server:
        try:
            if server.fetchval("databases_named", name=name):
                return
        except StorageError:
            with Database(url) as itself:  # no maintenance database to look from: it may still exist
                itself.connect()
            return
        _create(server, name, url)


def _create(server: Database, name: str, url: str) -> None:
    try:
        with server.autocommit() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except (psycopg2.errors.DuplicateDatabase, psycopg2.errors.UniqueViolation):
        return  # another process made it at the same moment
    except psycopg2.errors.InsufficientPrivilege:
        raise StorageError(
            f"database {name!r} does not exist at {where(url)} and this role may not create it: "
            f"ask for `CREATE DATABASE {name}`"
        ) from None
