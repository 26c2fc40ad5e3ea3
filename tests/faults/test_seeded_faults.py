"""A fault that is planted in a clean year opens exactly the right break, and what is no fault opens none."""

from collections import Counter
from pathlib import Path

import pytest

from apex_pipeline.domain.checks import CHECKS
from apex_pipeline.domain.models import Broker
from tests.faults import seeded_table
from tests.faults.seeded_all import FAULTS
from tests.faults.seeded_fault import Expected, Fault, Verdict, Where, judged
from tests.faults.seeded_flex import NoPlaceError
from tests.faults.seeded_run import Bench
from tests.faults.seeded_year import SEEDS, place

QUICK = {
    (Broker.IB, "realized gain off"), (Broker.IB, "amount of a booking off"), (Broker.IB, "lot missing"),
    (Broker.IB, "price told otherwise later"), (Broker.IB, "raw record changed"), (Broker.IB, "stored fill gone"),
}  # fmt: skip
"""One of each part of the pipeline; all of them are planted among the slow tests."""


@pytest.fixture(scope="session")
def bench(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """The server of this run, with the clean years as they are asked for."""
    return Bench(server_url, template, tmp_path_factory.mktemp("seeded"))


@pytest.mark.parametrize("fault", [one for one in FAULTS if (one.broker, one.kind) in QUICK], ids=str)
def test_a_fault_opens_exactly_its_break(bench: Bench, fault: Fault) -> None:
    verdict = bench.verdict(fault, place(0))
    assert verdict.exact, str(verdict)


def test_a_clean_year_opens_none(bench: Bench) -> None:
    assert bench.clean(place(0)) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(SEEDS)))
@pytest.mark.parametrize("where", [Where.STORED, Where.BOOKS])
def test_no_clean_year_opens_any(bench: Bench, number: int, where: Where) -> None:
    assert bench.clean(place(number), where) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_every_fault_opens_exactly_its_break_at_every_place(bench: Bench, fault: Fault) -> None:
    verdicts = [verdict for number in range(len(SEEDS)) if (verdict := _planted(bench, fault, number))]
    assert verdicts
    assert [str(one) for one in verdicts if not one.exact] == []


def _planted(bench: Bench, fault: Fault, number: int) -> Verdict | None:
    try:
        return bench.verdict(fault, place(number))
    except NoPlaceError:
        return None


def test_there_are_sixty_kinds_for_each_broker_and_no_kind_twice() -> None:
    counted = Counter((one.kind, one.broker, one.where) for one in FAULTS)
    assert max(counted.values()) == 1
    kinds = Counter(broker for _, broker in {(one.kind, one.broker) for one in FAULTS if one.is_fault})
    assert min(kinds[broker] for broker in Broker) >= 60


def test_the_quick_ones_are_kinds_that_there_are() -> None:
    assert {(one.broker, one.kind) for one in FAULTS} >= QUICK


def a_break(check_id: str, state: str = "OPEN", **told: object) -> dict[str, object]:
    name = next(str(check.name) for check in CHECKS.values() if check.check_id == check_id)
    row = {"break_uid": f"B_{check_id}", "check_name": name, "account_id": "U1", "subject": "S", "business_date": None}
    return {
        **row,
        "state": state,
        "cause": None,
        "expected": 1,
        "actual": 2,
        "delta": 1,
        "follows": [],
        "evidence": {},
        **told,
    }


def verdict(expected: Expected, *found: dict[str, object]) -> Verdict:
    return judged(FAULTS[0], place(0), expected, list(found))


def test_a_break_that_follows_from_the_right_one_is_no_other_and_one_that_follows_from_nothing_is() -> None:
    right, after = a_break("B01"), a_break("C02", "EXPLAINED", follows=["B_B01"])
    last = a_break("D05", "EXPLAINED", follows=["B_C02"])
    assert verdict(Expected("B01"), right, after, last).exact
    assert not verdict(Expected("B01"), right, a_break("C02")).exact
    assert not verdict(Expected("B01"), right, a_break("C02", "EXPLAINED", follows=["B_D05"]), a_break("D05")).exact


def test_a_break_of_another_check_day_account_cause_amount_or_row_is_not_the_right_one() -> None:
    told = a_break("B01", cause="MISSING_B", evidence={"rows": ["FUTU_1_77"]})
    assert verdict(Expected("B01", subject="S", account="U1", causes=("MISSING_B",), row="FUTU_1_77"), told).exact
    wrong = (
        Expected("B02"), Expected("B01", subject="T"), Expected("B01", account="U2"), Expected("B01", causes=(None,)),
        Expected("B01", row="FUTU_1_78"), Expected("B01", days=[place(0).first]), Expected("B01", state="EXPLAINED"),
    )  # fmt: skip
    assert [expected for expected in wrong if verdict(expected, told).exact] == []


def test_the_table_counts_what_was_found_and_what_should_not_be(tmp_path: Path) -> None:
    fault = next(one for one in FAULTS if one.is_fault)
    right = Verdict(str(fault), 0, found=True, example="[OPEN B01 | x]", check="B01", opened=1)
    told = seeded_table.table([fault], [right, Verdict(str(fault), 1, found=False, others=("x",), opened=1)])
    assert f"| {fault.kind} | {fault.broker} | {fault.where} | 1/2 | 1 | B01 | OPEN B01 \\| x |" in told
    assert "Recall 50.0 %, precision 50.0 %" in told
    page = f"a\n{seeded_table.BEGIN}\nold\n{seeded_table.END}\nb\n"
    assert seeded_table.between(page, "new") == f"a\n{seeded_table.BEGIN}\nnew\n{seeded_table.END}\nb\n"
    with pytest.raises(ValueError, match="one line"):
        seeded_table.between("nothing", "new")
