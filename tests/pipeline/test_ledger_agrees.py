"""The whole scenario through the ledger: every position, lot and gain equals what both brokers say."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, LiteralString

from apex_pipeline.brokers.scenario_generator import generate
from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.models import Broker
from apex_pipeline.domain.reconciliation import Finding
from apex_pipeline.store.repositories.breaks import BreakRepository
from apex_pipeline.store.repositories.matching import MatchRepository
from apex_pipeline.store.repositories.openings import rewrite_openings
from apex_pipeline.store.transaction import Merged
from tests.pipeline.conftest import Stage, World, business_rows
from tests.store.rows import query, value

PROOFS = (
    CheckName.POSITIONS_EQUAL_THE_BROKERS,
    CheckName.OPEN_LOTS_EQUAL_THE_BROKERS,
    CheckName.NO_OPTION_OUTLIVES_ITS_EXPIRY,
    CheckName.EVERY_DELIVERY_HAS_BOTH_LEGS,
    CheckName.EVERY_MOVEMENT_HAS_A_RULE,
    CheckName.REALIZED_PNL_EQUALS_THE_BROKERS,
    CheckName.NAV_BRIDGE_CLOSES,
    CheckName.SETTLEMENT_DATES_EQUAL_THE_BROKERS,
)
LEDGER = ("opening_balances", "position_movements", "lots", "lot_moves", "realized_pnl", "ledger_stops")
DAMAGES: tuple[tuple[CheckName, LiteralString], ...] = (
    (PROOFS[0], "UPDATE broker_positions SET qty = qty + 1 WHERE broker = 'FUTU'"),
    (PROOFS[0], "DELETE FROM broker_positions WHERE broker = 'IB'"),
    (PROOFS[1], "UPDATE lots SET cost_basis = cost_basis + 0.02 WHERE remaining_qty <> 0 AND broker = 'IB'"),
    (PROOFS[2], "DELETE FROM position_movements WHERE kind = 'EXPIRATION' AND broker = 'IB'"),
    (PROOFS[2], "DELETE FROM position_movements WHERE kind = 'EXPIRATION' AND broker = 'FUTU'"),
    (PROOFS[3], "UPDATE position_movements SET qty = qty + 1 WHERE place = 5"),
    (PROOFS[5], "UPDATE realized_pnl SET realized_pnl = realized_pnl + 0.02 WHERE broker = 'IB'"),
    (PROOFS[5], "DELETE FROM realized_pnl"),
    (PROOFS[7], "UPDATE settlement_tracking SET settlement_date = settlement_date + 1 WHERE broker = 'IB'"),
    (PROOFS[7], "UPDATE settlement_tracking SET broker_settlement_date = trade_date WHERE broker = 'FUTU'"),
    (PROOFS[6], "UPDATE broker_figures SET figures = figures || '{\"mtm\": 1}' WHERE section = 'ChangeInNAV'"),
)


@dataclass(frozen=True)
class Proof:
    compared: int
    found: list[Finding]


def ledger(world: World, first: date) -> Merged:
    """Opening lots, then matching; returns what became of the opening lots."""
    accounts = [account for (account,) in query(world.db.url, "SELECT DISTINCT account_id FROM trades_norm ORDER BY 1")]
    with world.db.transaction() as tx:
        openings = rewrite_openings(tx, accounts)
    MatchRepository(world.db).match(first, world.today)
    return openings


def proofs(world: World) -> dict[CheckName, Proof]:
    """What each check compares and finds over all days."""
    checks, first, last = BreakRepository(world.db), date(2015, 1, 1), world.today
    return {
        check: Proof(sum(checks.subjects(check, first, last).values()), checks.findings(check, first, last))
        for check in PROOFS
    }


def found_by(world: World) -> dict[CheckName, list[tuple[Any, ...]]]:
    """The findings of the checks that have any."""
    return {
        check: [(one.broker, one.subject, one.business_date, one.expected, one.actual) for one in proof.found]
        for check, proof in proofs(world).items()
        if proof.found
    }


def test_everything_agrees_and_every_damage_is_noticed(loaded: World) -> None:
    assert ledger(loaded, loaded.scenario.start) == Merged(0, 0, 0)
    assert found_by(loaded) == {}
    assert all(proof.compared for proof in proofs(loaded).values())
    assert value(loaded.db.url, "SELECT count(*) FROM realized_pnl WHERE basis_source <> 'TRADES'") == 0
    for check, damage in DAMAGES:
        before = proofs(loaded)[check].found
        query(loaded.db.url, damage)
        after = proofs(loaded)[check].found
        assert after, damage
        assert after != before, damage


def test_a_statement_for_every_day_agrees_on_every_day(stage: Stage, empty_clone: str) -> None:
    world = stage.world(generate(seed=5, orders=60, days=30, end=date(2026, 3, 20)), empty_clone)
    days = [world.scenario.start + timedelta(days=number) for number in range(31)]
    for day in (day for day in days if day.weekday() < 5 and day <= world.scenario.end):
        world.load(world.ask(day, day), only=world.ib)
    world.derive()
    ledger(world, world.scenario.start)
    assert found_by(world) == {}
    told = proofs(world)
    days_told = value(world.db.url, "SELECT count(DISTINCT business_date) FROM positions_raw_ib")
    assert days_told > 15
    assert told[CheckName.POSITIONS_EQUAL_THE_BROKERS].compared > 100 < told[PROOFS[1]].compared


def test_what_was_held_before_the_known_history_is_named_by_lot_data_and_stays_in_the_proof(world: World) -> None:
    first = world.scenario.start + timedelta(days=200)
    world.load(world.ask(first))
    world.derive(first)
    ledger(world, first)
    findings = found_by(world)
    assert {broker for found in findings.values() for broker, *_ in found} <= {Broker.FUTU}, "only IB tells lots"
    opened = query(world.db.url, "SELECT source, count(*), max(opened_on) < %s FROM opening_balances GROUP BY 1", first)
    assert {(source, before) for source, _, before in opened} == {("BROKER_LOT", True), ("BROKER_CLOSED_LOT", True)}
    proven = value(world.db.url, "SELECT count(*) FROM realized_pnl WHERE basis_source LIKE 'BROKER%LOT'")
    assert proven > 0
    assert proofs(world)[CheckName.REALIZED_PNL_EQUALS_THE_BROKERS].compared > 10
    written = query(world.db.url, "SELECT ctid::text, xmin::text FROM opening_balances ORDER BY 1")
    assert ledger(world, first) == Merged(0, 0, 0)
    assert query(world.db.url, "SELECT ctid::text, xmin::text FROM opening_balances ORDER BY 1") == written


def test_once_the_trades_are_known_their_opening_lots_are_gone(world: World, stage: Stage, empty_clone: str) -> None:
    first = world.scenario.start + timedelta(days=200)
    world.load(world.ask(first), only=world.ib)
    world.derive(first)
    ledger(world, first)
    assert value(world.db.url, "SELECT count(*) FROM opening_balances") > 0
    world.load(only=world.ib)
    world.derive()
    ledger(world, world.scenario.start)
    assert value(world.db.url, "SELECT count(*) FROM opening_balances") == 0
    assert found_by(world) == {}
    whole = stage.world(world.scenario, empty_clone)
    whole.load(only=whole.ib)
    whole.derive()
    ledger(whole, whole.scenario.start)
    assert business_rows(world.db.url, LEDGER) == business_rows(whole.db.url, LEDGER)
