"""Faults of what we stored of the loads themselves: raw records, what is covered, watermarks, quarantine."""

from dataclasses import replace
from random import Random
from typing import LiteralString

from psycopg2 import sql

from apex_pipeline.domain.models import Broker
from tests.faults.seeded_fault import Expected, stored
from tests.faults.seeded_stored import Row, Stored
from tests.faults.seeded_year import Place

IB, FUTU = Broker.IB, Broker.FUTU
PRICES: dict[Broker, LiteralString] = {IB: "tradePrice", FUTU: "price"}


def _table(it: Stored, kind: str) -> str:
    assert it.broker
    return f"{kind}_raw_{it.broker.lower()}"


def _record(it: Stored, dice: Random, kind: str, where: LiteralString = "true") -> Row:
    query = sql.SQL("SELECT * FROM {} WHERE {} ORDER BY account_id, record_key")
    return it.one(dice, query.format(sql.Identifier(_table(it, kind)), sql.SQL(where)))


def _raw_break(it: Stored, kind: str, row: Row, *, named: bool = True) -> Expected:
    name = f"{_table(it, kind)}/{row['account_id']}/{row['record_key']}"
    return Expected("A01", subject=_table(it, kind), account=row["account_id"], days=[row["business_date"]],
                    row=name if named else "", causes=("PIPELINE",))  # fmt: skip


def _change(it: Stored, kind: str, row: Row, change: LiteralString) -> None:
    text = sql.SQL("UPDATE {} SET {} WHERE account_id = %(0)s AND record_key = %(1)s")
    it.change(text.format(sql.Identifier(_table(it, kind)), sql.SQL(change)), row["account_id"], row["record_key"])


@stored("raw record changed")
def _raw_changed(it: Stored, dice: Random, place: Place) -> Expected:
    row = _record(it, dice, "trades")
    assert it.broker
    field = PRICES[it.broker]
    _change(it, "trades", row, "payload = payload || '{\"" + field + "\": 1}'")
    return _raw_break(it, "trades", row)


@stored("raw record gone")
def _raw_gone(it: Stored, dice: Random, place: Place) -> Expected:
    kind = dice.choice(("trades", "orders"))
    row = _record(it, dice, kind)
    text = sql.SQL("DELETE FROM {} WHERE account_id = %(0)s AND record_key = %(1)s")
    it.change(text.format(sql.Identifier(_table(it, kind))), row["account_id"], row["record_key"])
    return _raw_break(it, kind, row, named=False)


@stored("raw record that no load brought")
def _raw_new(it: Stored, dice: Random, place: Place) -> Expected:
    row = _record(it, dice, "cash")
    new = {**row, "record_key": f"{row['record_key']}7"}
    it.copy(_table(it, "cash"), new)
    return _raw_break(it, "cash", new)


@stored("raw snapshot changed")
def _snapshot_changed(it: Stored, dice: Random, place: Place) -> Expected:
    row = _record(it, dice, "positions")
    _change(it, "positions", row, "payload = payload || '{\"changed\": true}'")
    return _raw_break(it, "positions", row)


@stored("raw section changed", IB)
def _section_changed(it: Stored, dice: Random, place: Place) -> Expected:
    row = _record(it, dice, "sections", "payload ->> '_section' = 'ConversionRates'")
    _change(it, "sections", row, 'payload = payload || \'{"rate": "9"}\'')
    return _raw_break(it, "sections", row)


@stored("raw record on another day")
def _raw_day(it: Stored, dice: Random, place: Place) -> Expected:
    row = _record(it, dice, "orders")
    _change(it, "orders", row, "business_date = business_date - 40")
    return replace(_raw_break(it, "orders", row, named=False), several=True)


@stored("received bytes changed")
def _document(it: Stored, dice: Random, place: Place) -> Expected:
    """What a broker sent is no longer what its digest says."""
    row = it.one(
        dice,
        "SELECT d.document_id, o.load_id FROM raw_documents d JOIN raw_observations o USING (document_id) "
        "WHERE o.broker = %(broker)s ORDER BY 1",
    )
    it.change(
        "UPDATE raw_documents SET content = content || '\\x00'::bytea WHERE document_id = %(0)s", row["document_id"]
    )
    return Expected("A01", row=str(row["document_id"]), causes=("PIPELINE",))


@stored("watermark ahead of its data")
def _watermark(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(
        dice,
        "SELECT * FROM sync_state WHERE broker = %(broker)s AND last_record_at IS NOT NULL "
        "ORDER BY account_id, data_type, market",
    )
    it.change(
        "UPDATE sync_state SET last_record_at = last_record_at + interval '30 days' "
        "WHERE (account_id, data_type, market) = (%(0)s, %(1)s, %(2)s)",
        row["account_id"], row["data_type"], row["market"],
    )  # fmt: skip
    return Expected("A12", account=row["account_id"], row=row["data_type"], causes=("PIPELINE",))


@stored("watermark of a load to come")
def _watermark_future(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, "SELECT * FROM sync_state WHERE broker = %(broker)s ORDER BY account_id, data_type, market")
    it.change(
        "UPDATE sync_state SET last_sync_at = now() + interval '3 days' "
        "WHERE (account_id, data_type, market) = (%(0)s, %(1)s, %(2)s)",
        row["account_id"], row["data_type"], row["market"],
    )  # fmt: skip
    return Expected("A12", account=row["account_id"], row=row["data_type"], causes=("PIPELINE",))


@stored("day covered that was not loaded")
def _claimed(it: Stored, dice: Random, place: Place) -> Expected:
    """The days before the account's first are claimed of a load that was not asked for them."""
    row = it.one(
        dice,
        "SELECT * FROM load_coverage WHERE broker = %(broker)s AND data_type IN ('ib_flex', 'futu_deals') "
        "AND from_date = (SELECT min(from_date) FROM load_coverage WHERE broker = %(broker)s "
        "AND data_type IN ('ib_flex', 'futu_deals')) ORDER BY account_id, load_id",
    )
    it.change(
        "UPDATE load_coverage SET from_date = from_date - 20 "
        "WHERE (load_id, account_id, data_type, from_date) = (%(0)s, %(1)s, %(2)s, %(3)s)",
        row["load_id"], row["account_id"], row["data_type"], row["from_date"],
    )  # fmt: skip
    return Expected("A12", account=row["account_id"], row=row["data_type"], causes=("PIPELINE",))


@stored("load that failed but covers")
def _failed(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(
        dice,
        "SELECT l.load_id, c.account_id FROM loads l JOIN load_coverage c USING (load_id) "
        "WHERE l.broker = %(broker)s AND c.account_id IS NOT NULL ORDER BY 1, 2",
    )
    it.change("UPDATE loads SET status = 'FAILED' WHERE load_id = %(0)s", row["load_id"])
    return Expected("A12", causes=("PIPELINE",), row=str(row["load_id"]), several=True)


@stored("covered day forgotten", FUTU)
def _forgotten(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(
        dice,
        "SELECT * FROM load_coverage c WHERE broker = 'FUTU' AND data_type = 'futu_cash' "
        "AND extract(isodow FROM from_date) < 5 AND from_date > %(0)s AND to_date < %(1)s AND to_date = from_date "
        "ORDER BY account_id, from_date",
        place.start, place.last,
    )  # fmt: skip
    it.change(
        "DELETE FROM load_coverage WHERE (load_id, account_id, data_type, from_date) = (%(0)s, %(1)s, %(2)s, %(3)s)",
        row["load_id"], row["account_id"], row["data_type"], row["from_date"],
    )  # fmt: skip
    return Expected("A03", account=row["account_id"], days=[row["from_date"]])


@stored("covered statement forgotten", IB)
def _forgotten_statement(it: Stored, dice: Random, place: Place) -> Expected:
    """The answer about the days that were told one by one is not known any more."""
    row = it.one(
        dice, "SELECT * FROM load_coverage WHERE broker = 'IB' AND from_date = %(0)s ORDER BY account_id", place.first
    )
    it.change(
        "DELETE FROM load_coverage WHERE (load_id, account_id, from_date) = (%(0)s, %(1)s, %(2)s)",
        row["load_id"], row["account_id"], row["from_date"],
    )  # fmt: skip
    return Expected("A02", account=row["account_id"], days=place.days(), several=True)


@stored("record lost from quarantine")
def _quarantine(it: Stored, dice: Random, place: Place) -> Expected:
    """A record that nobody could read made no row, and now nothing says so."""
    kinds: dict[Broker, LiteralString] = {
        IB: "SELECT trade_uid, account_id, trade_date, broker_trade_id FROM trades_norm WHERE broker = 'IB' ORDER BY 1",
        FUTU: "SELECT trade_uid, account_id, trade_date, broker_trade_id FROM trades_norm WHERE broker = 'FUTU' "
        "AND source = 'futu_deals' ORDER BY 1",
    }
    assert it.broker
    row = it.one(dice, kinds[it.broker])
    it.change("DELETE FROM trades_norm WHERE trade_uid = %(0)s", row["trade_uid"])
    return Expected("A09 A11", account=row["account_id"], days=[row["trade_date"]], row=row["trade_uid"])


@stored("data that grew old")
def _old(it: Stored, dice: Random, place: Place) -> Expected:
    """Nothing was loaded for two weeks."""
    it.change(
        "UPDATE loads SET started_at = started_at - interval '14 days', finished_at = finished_at - interval '14 days' "
        "WHERE broker = %(broker)s"
    )
    it.change("UPDATE sync_state SET last_sync_at = last_sync_at - interval '14 days' WHERE broker = %(broker)s")
    it.change("UPDATE load_coverage SET covered_at = covered_at - interval '14 days' WHERE broker = %(broker)s")
    it.change("UPDATE raw_observations SET received_at = received_at - interval '14 days' WHERE broker = %(broker)s")
    return Expected("A08", causes=("PIPELINE",), several=True)


@stored("gap that is known", FUTU)
def _gap(it: Stored, dice: Random, place: Place) -> Expected:
    row = it.one(dice, "SELECT DISTINCT account_id, trade_date FROM trades_norm WHERE broker = 'FUTU' ORDER BY 1, 2")
    it.change(
        "INSERT INTO load_gaps VALUES ('FUTU', %(0)s, 'futu_deals', %(1)s, now())", row["account_id"], row["trade_date"]
    )
    return Expected("A10", account=row["account_id"], days=[row["trade_date"]])
