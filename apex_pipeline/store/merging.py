"""The statements of the guarded merge, composed from the registry of tables: the only SQL that is not a file.

Rows stand in the temporary table `staged`. What is equal is not written; what is written says whether it is new.
"""

from collections.abc import Iterable
from functools import cache

from psycopg2 import sql

from apex_pipeline.store.tables import Table


def _merged_value(table: Table, column: str) -> sql.SQL:
    if column in table.keep_first:
        return sql.SQL("{t}.{c}")
    return sql.SQL("COALESCE(EXCLUDED.{c}, {t}.{c})" if column in table.keep_known else "EXCLUDED.{c}")


@cache
def keep_older_statement(table: Table) -> sql.Composed:
    """Records that differ from a version the broker wrote later go straight to the history."""
    return sql.SQL(
        "INSERT INTO raw_versions (table_name, account_id, record_key, business_date, payload, fetched_at, "
        "generated_at, load_id, superseded_at) "
        "SELECT {literal}, s.account_id, s.record_key, s.business_date, s.payload, s.fetched_at, s.generated_at, "
        "s.load_id, s.fetched_at FROM staged s JOIN {name} t USING (account_id, record_key) "
        "WHERE s.generated_at < t.generated_at AND s.payload IS DISTINCT FROM t.payload AND NOT EXISTS ("
        "SELECT FROM raw_versions v WHERE v.table_name = {literal} AND v.account_id = s.account_id "
        "AND v.record_key = s.record_key AND v.payload = s.payload AND v.generated_at = s.generated_at)"
    ).format(name=sql.Identifier(table.name), literal=sql.Literal(table.name))


@cache
def merge_raw_statement(table: Table) -> sql.Composed:
    """The guarded merge of raw records; an equal record with a later date of writing only moves that date.

    That move matters: without it a statement written between the two would win over the later one.
    """
    return sql.SQL(
        "WITH merged AS ("
        "INSERT INTO {name} AS t (account_id, record_key, order_id, business_date, payload, fetched_at, generated_at, "
        "load_id) SELECT account_id, record_key, order_id, business_date, payload, fetched_at, generated_at, load_id "
        "FROM staged ORDER BY account_id, record_key "
        "ON CONFLICT (account_id, record_key) DO UPDATE SET order_id = EXCLUDED.order_id, "
        "business_date = EXCLUDED.business_date, payload = EXCLUDED.payload, generated_at = EXCLUDED.generated_at, "
        "fetched_at = CASE WHEN t.payload = EXCLUDED.payload THEN t.fetched_at ELSE EXCLUDED.fetched_at END, "
        "load_id = CASE WHEN t.payload = EXCLUDED.payload THEN t.load_id ELSE EXCLUDED.load_id END "
        "WHERE (t.payload <> EXCLUDED.payload AND (EXCLUDED.generated_at < t.generated_at) IS NOT TRUE) "
        "OR EXCLUDED.generated_at > t.generated_at "
        "RETURNING account_id, business_date, load_id), "
        "dirtied AS (INSERT INTO dirty_days (stage, broker, account_id, business_date) "
        "SELECT DISTINCT 'normalize', %(broker)s, account_id, business_date FROM merged "
        "WHERE load_id = %(load_id)s ON CONFLICT DO NOTHING) "
        "SELECT count(*) AS changed FROM merged WHERE load_id = %(load_id)s"
    ).format(name=sql.Identifier(table.name))


@cache
def merge_statement(table: Table) -> sql.Composed:
    """INSERT … ON CONFLICT DO UPDATE … WHERE a column differs, returning how many were new and how many not."""
    name = sql.Identifier(table.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    others = [column for column in table.columns if column not in table.key]
    values = {column: _merged_value(table, column).format(c=sql.Identifier(column), t=name) for column in others}
    assign = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(column), value) for column, value in values.items()
    )
    told = [column for column in others if column not in table.quiet]
    current = sql.SQL(", ").join(sql.SQL("{}.{}").format(name, sql.Identifier(column)) for column in told)
    new = sql.SQL(", ").join(values[column] for column in told)
    return _counted(
        sql.SQL(
            "INSERT INTO {name} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM staged ORDER BY {key} "
            "ON CONFLICT ({key}) DO UPDATE SET {assign} WHERE ({current}) IS DISTINCT FROM ({new}) "
            "RETURNING (xmax = 0) AS inserted"
        ).format(name=name, columns=columns, key=key, assign=assign, current=current, new=new)
    )


@cache
def merge_from_statement(table: Table, source: str) -> sql.Composed:
    """The guarded merge of a temporary table with every row once; equal rows do not even reach the index.

    For tables of which every column follows from the row told: none is kept from before.
    """
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    others = [column for column in table.columns if column not in table.key]

    def listed(prefix: str, columns: Iterable[str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL(prefix + "{}").format(sql.Identifier(column)) for column in columns)

    return _counted(
        sql.SQL(
            "INSERT INTO {name} ({columns}) SELECT {told} FROM {source} s LEFT JOIN {name} t USING ({key}) "
            "WHERE t.{first} IS NULL OR ({current}) IS DISTINCT FROM ({new}) "
            "ON CONFLICT ({key}) DO UPDATE SET ({others}) = ROW ({excluded}) RETURNING (xmax = 0) AS inserted"
        ).format(
            name=sql.Identifier(table.name),
            columns=listed("", table.columns),
            told=listed("s.", table.columns),
            source=sql.Identifier(source),
            key=key,
            first=sql.Identifier(table.key[0]),
            current=listed("t.", others),
            new=listed("s.", others),
            others=listed("", others),
            excluded=listed("EXCLUDED.", others),
        )
    )


def _counted(merge: sql.Composed) -> sql.Composed:
    """The rows are counted by the server, so that the memory of the client does not grow with them."""
    return sql.SQL(
        "WITH merged AS ({}) SELECT count(*) FILTER (WHERE inserted) AS inserted, "
        "count(*) FILTER (WHERE NOT inserted) AS updated FROM merged"
    ).format(merge)


@cache
def removal_statement(table: Table, *, all_rows: bool) -> sql.Composed:
    """Removal of the rows of some account-days that are not staged, or of all of them."""
    same = sql.SQL(" AND ").join(sql.SQL("s.{0} = t.{0}").format(sql.Identifier(key)) for key in table.key)
    kept = sql.SQL("") if all_rows else sql.SQL(" AND NOT EXISTS (SELECT FROM staged s WHERE {})").format(same)
    return sql.SQL(
        "DELETE FROM {name} t USING unnest(%(accounts)s::text[], %(dates)s::date[]) AS day (account_id, on_date) "
        "WHERE t.broker = %(broker)s AND t.account_id = day.account_id AND t.business_date = day.on_date{kept}"
    ).format(name=sql.Identifier(table.name), kept=kept)


@cache
def change_statement(table: Table, do: str, columns: tuple[str, ...], key: tuple[str, ...]) -> sql.Composed:
    """Insert, update or delete the row that %(row)s and %(key)s tell as JSON; ValueError for unknown columns."""
    unknown = {*columns, *key} - set(table.columns)
    if unknown or (do != "insert" and not key) or do not in ("insert", "update", "delete"):
        raise ValueError(
            f"cannot {do} a row of {table.name} by {sorted(key)} with {sorted(unknown) or 'these'} columns"
        )
    name, told = sql.Identifier(table.name), sql.SQL("jsonb_populate_record(NULL::{}, %(row)s::jsonb)")
    row = told.format(name)
    names = sql.SQL(", ").join(map(sql.Identifier, dict.fromkeys((*key, *columns))))
    if do == "insert":
        return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS r ON CONFLICT DO NOTHING").format(
            name, names, names, row
        )
    same = sql.SQL(" AND ").join(
        sql.SQL("t.{0} IS NOT DISTINCT FROM r.{0}").format(sql.Identifier(column)) for column in key
    )
    if do == "delete":
        return sql.SQL("DELETE FROM {} AS t USING {} AS r WHERE {}").format(name, row, same)
    values = sql.SQL(", ").join(sql.SQL("{0} = r.{0}").format(sql.Identifier(column)) for column in columns)
    return sql.SQL("UPDATE {} AS t SET {} FROM {} AS r WHERE {}").format(name, values, row, same)
