"""The catalogue of checks: all that were promised, each with a sentence, a table and a reason to be skipped."""

import re

import pytest

from apex_pipeline.domain.checks import CHECKS, Check, CheckName

LAYERS = {"A": 9, "B": 14, "C": 10, "D": 16, "E": 7}
"""How many checks the published list has of each layer."""

OURS = {"A10", "A11", "A12", "S01", "S02", "S03"}


def test_every_check_of_the_published_list_is_there_and_every_name_is_described() -> None:
    published = {f"{layer}{number:02d}" for layer, count in LAYERS.items() for number in range(1, count + 1)}
    assert len(published) == 56
    ids = [check.check_id for check in CHECKS.values()]
    assert set(ids) == published | OURS
    assert len(ids) == len(set(ids)) == len(CheckName)
    assert set(CHECKS) == set(CheckName)


def test_checks_stand_in_the_order_of_their_numbers() -> None:
    ids = [check.check_id for check in CHECKS.values()]
    assert ids == sorted(ids)


@pytest.mark.parametrize("check", CHECKS.values(), ids=lambda check: check.check_id)
def test_a_check_is_one_sentence_and_says_why_it_may_be_skipped(check: Check) -> None:
    assert re.fullmatch(r"[A-Z][^.]*[.]", check.description.replace("Futu.", "Futu"))
    assert re.fullmatch(r"[a-z_0-9]+", check.name.value)
    assert check.skipped
    assert not check.skipped.endswith(".")
