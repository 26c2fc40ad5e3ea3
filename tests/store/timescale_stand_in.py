"""A stand-in for TimescaleDB: an extension of plain SQL with the functions and views that we use, by their signatures.

It keeps what it was told and refuses what TimescaleDB refuses. What it cannot stand in for is ALTER TABLE … SET
(timescaledb.…), which a plain PostgreSQL refuses before any extension hears of it: `set_options` is replaced.
"""

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from apex_pipeline.store.transaction import Transaction
from tests.store.rows import query, value

VERSION = "2.17.2"

OBJECTS = """
CREATE SCHEMA timescaledb_information;
CREATE SCHEMA stand_in;
CREATE TABLE stand_in.calls (number int GENERATED ALWAYS AS IDENTITY, call text);
CREATE TABLE stand_in.hypertables (name text PRIMARY KEY, time_column text, step interval, compressed boolean);
CREATE TABLE stand_in.jobs (job_id int GENERATED ALWAYS AS IDENTITY, name text, proc_name text, config jsonb,
                            UNIQUE (name, proc_name));

CREATE VIEW timescaledb_information.hypertables AS
    SELECT 'public'::name AS hypertable_schema, name::name AS hypertable_name, 'postgres'::name AS owner,
           1::smallint AS num_dimensions, 0::bigint AS num_chunks, compressed AS compression_enabled
    FROM stand_in.hypertables;
CREATE VIEW timescaledb_information.dimensions AS
    SELECT 'public'::name AS hypertable_schema, name::name AS hypertable_name, 1::bigint AS dimension_number,
           time_column::name AS column_name, 'timestamptz'::regtype AS column_type, 'Time' AS dimension_type,
           step AS time_interval, NULL::bigint AS integer_interval
    FROM stand_in.hypertables;
CREATE VIEW timescaledb_information.jobs AS
    SELECT job_id, '_timescaledb_functions'::name AS proc_schema, proc_name::name AS proc_name, config,
           'public'::name AS hypertable_schema, name::name AS hypertable_name
    FROM stand_in.jobs;

CREATE TYPE stand_in.dimension_info AS (column_name name, step interval);
CREATE FUNCTION create_hypertable(
    relation regclass, dimension stand_in.dimension_info, create_default_indexes boolean DEFAULT true,
    if_not_exists boolean DEFAULT false, migrate_data boolean DEFAULT false
) RETURNS TABLE (hypertable_id integer, created boolean) LANGUAGE sql AS 'SELECT 1, true';
CREATE FUNCTION create_hypertable(
    relation regclass, time_column_name name, partitioning_column name DEFAULT NULL,
    number_partitions integer DEFAULT NULL, associated_schema_name name DEFAULT NULL,
    associated_table_prefix name DEFAULT NULL, chunk_time_interval anyelement DEFAULT NULL::bigint,
    create_default_indexes boolean DEFAULT true, if_not_exists boolean DEFAULT false,
    partitioning_func regproc DEFAULT NULL, migrate_data boolean DEFAULT false, chunk_target_size text DEFAULT NULL,
    chunk_sizing_func regproc DEFAULT NULL, time_partitioning_func regproc DEFAULT NULL
) RETURNS TABLE (hypertable_id integer, schema_name name, table_name name, created boolean) LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_index i WHERE i.indrelid = relation AND i.indisunique AND NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname = time_column_name AND a.attnum = ANY (i.indkey))) THEN
        RAISE EXCEPTION 'cannot create a unique index without the column "%" (used in partitioning)', time_column_name;
    END IF;
    IF NOT migrate_data AND (SELECT reltuples FROM pg_class c WHERE c.oid = relation) > 0 THEN
        RAISE EXCEPTION 'table "%" is not empty', relation;
    END IF;
    INSERT INTO stand_in.calls (call) VALUES (format('create_hypertable %s %s %s indexes %s', relation,
        time_column_name, chunk_time_interval, create_default_indexes));
    INSERT INTO stand_in.hypertables VALUES (relation::text, time_column_name, chunk_time_interval, false);
    RETURN QUERY SELECT 1, 'public'::name, relation::text::name, true;
END $$;
CREATE FUNCTION set_chunk_time_interval(
    hypertable regclass, chunk_time_interval anyelement, dimension_name name DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO stand_in.calls (call) VALUES (format('set_chunk_time_interval %s %s', $1, $2));
    UPDATE stand_in.hypertables SET step = $2 WHERE name = $1::text
$$;
CREATE FUNCTION stand_in.policy(hypertable regclass, proc text, key text, after interval) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('timescaledb.license', true) = 'apache' THEN
        RAISE EXCEPTION 'function "%" is not supported under the current "apache" license', proc;
    ELSIF proc = 'policy_compression' AND NOT (SELECT compressed FROM stand_in.hypertables h
                                               WHERE h.name = hypertable::text) THEN
        RAISE EXCEPTION 'compression not enabled on hypertable "%"', hypertable;
    END IF;
    INSERT INTO stand_in.calls (call) VALUES (format('add %s %s %s', proc, hypertable, after));
    INSERT INTO stand_in.jobs (name, proc_name, config) VALUES (hypertable, proc, jsonb_build_object(key, after));
    RETURN 1;
END $$;
CREATE FUNCTION stand_in.no_policy(hypertable regclass, proc text) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO stand_in.calls (call)
    SELECT format('remove %s %s', $2, $1) FROM stand_in.jobs WHERE name = $1::text AND proc_name = $2;
    DELETE FROM stand_in.jobs WHERE name = $1::text AND proc_name = $2;
    SELECT true
$$;
CREATE FUNCTION add_compression_policy(
    hypertable regclass, compress_after interval DEFAULT NULL, if_not_exists boolean DEFAULT false
) RETURNS integer LANGUAGE sql AS
$$ SELECT stand_in.policy($1, 'policy_compression', 'compress_after', $2) $$;
CREATE FUNCTION remove_compression_policy(hypertable regclass, if_exists boolean DEFAULT false) RETURNS boolean
LANGUAGE sql AS $$ SELECT stand_in.no_policy($1, 'policy_compression') $$;
CREATE FUNCTION add_retention_policy(
    relation regclass, drop_after interval DEFAULT NULL, if_not_exists boolean DEFAULT false
) RETURNS integer LANGUAGE sql AS $$ SELECT stand_in.policy($1, 'policy_retention', 'drop_after', $2) $$;
CREATE FUNCTION remove_retention_policy(relation regclass, if_exists boolean DEFAULT false) RETURNS void
LANGUAGE sql AS $$ SELECT stand_in.no_policy($1, 'policy_retention') $$;
"""


def create_objects(url: str) -> None:
    """Have the functions and views in a database, without the extension."""
    query(url, sql.SQL(OBJECTS))  # pyright: ignore[reportArgumentType]


@contextmanager
def on_offer(url: str, version: str = VERSION, script: str = OBJECTS) -> Generator[None]:
    """Offer the extension to the database at `url`; skips on servers that look for extensions in one folder only."""
    if int(value(url, "SELECT current_setting('server_version_num')")) < 180000:
        pytest.skip("extension_control_path is of PostgreSQL 18")
    with tempfile.TemporaryDirectory(prefix="apex_stand_in_") as name:
        folder = Path(name) / "extension"
        folder.mkdir()
        (folder / "timescaledb.control").write_text(f"default_version = '{version}'\nrelocatable = false\n")
        (folder / f"timescaledb--{version}.sql").write_text(script)
        Path(name).chmod(0o755)  # the server is another user
        _set(url, "extension_control_path", f"$system:{name}")
        if not value(url, "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"):
            pytest.skip("the server does not see the files of this machine")
        yield


def licensed(url: str, name: str) -> None:
    """Have the stand-in run under a licence: timescale or apache."""
    _set(url, "timescaledb.license", name)


def calls(url: str) -> list[str]:
    """What the stand-in was told, in order."""
    return [call for (call,) in query(url, "SELECT call FROM stand_in.calls ORDER BY number")]


def heard_options(tx: Transaction, table: str, options: Mapping[str, str]) -> None:
    """In the place of `Transaction.set_options`."""
    told: dict[str, Any] = {"call": f"set {table} {dict(options)}", "name": table}
    tx.execute("INSERT INTO stand_in.calls (call) VALUES (%(call)s)", call=told["call"])
    tx.execute("UPDATE stand_in.hypertables SET compressed = true WHERE name = %(name)s", name=table)


def _set(url: str, name: str, text: str) -> None:
    database = value(url, "SELECT current_database()")
    query(
        url,
        sql.SQL("ALTER DATABASE {} SET {} = {}").format(
            sql.Identifier(database), sql.Identifier(*name.split(".")), sql.Literal(text)
        ),
    )
