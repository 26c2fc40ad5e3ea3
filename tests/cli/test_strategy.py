"""`apex strategy` as an outsider runs it: what is said is pinned at once, what cannot be meant is refused in a line."""

import json
from pathlib import Path

import pytest

from apex_pipeline.domain.strategies.order_file import classify_file
from apex_pipeline.store.db import Database
from tests.cli.program import Apex
from tests.cli.sql import rows
from tests.store.strategy_book import KO, PEP, Book, classified, option

NAMED = "SELECT strategy_type, action, method FROM order_strategy_map WHERE order_uid = %s"


@pytest.fixture
def spread(database_url: str) -> list[str]:
    """Two orders that read as a vertical, a combination that is one order, and stock."""
    with Database(database_url) as db:
        book = Book(db)
        uids = [book.order(1, option("C", 60), 1), book.order(2, option("C", 65), -1, 3)]
        book.order(3, PEP, 100, 900)
        book.order(4, KO, 100, 5000)
        classified(db)
    return uids


def test_what_a_person_says_is_pinned_at_once_and_taken_back(apex: Apex, database_url: str, spread: list[str]) -> None:
    read = rows(database_url, NAMED, (spread[0],))
    said = apex("strategy", "set", *spread, "--type", "bull call spread", "--action", "open", "--by", "ann")
    assert said.code == 0, said.text
    uid = said.out.partition(":")[0]
    assert rows(database_url, NAMED, (spread[0],)) == [
        {"strategy_type": "BULL_CALL_SPREAD", "action": "OPEN", "method": "manual"}
    ]
    assert uid in apex("strategy", "list", "--corrections").out
    assert "ann" in apex("strategy", "list", "--corrections").out
    gone = apex("strategy", "unset", uid)
    assert gone.code == 0, gone.text
    assert rows(database_url, NAMED, (spread[0],)) == read
    assert [row["method"] for row in read] == ["partition"]


def test_the_lists_tell_what_is_open_and_what_is_worth_a_look(apex: Apex, spread: list[str]) -> None:
    held = apex("strategy", "list")
    assert held.code == 0, held.text
    assert "BULL_CALL_SPREAD" in held.out
    assert f"-1 {option('C', 65)}" in held.out
    review = apex("strategy", "list", "--review")
    assert review.code == 0, review.text
    assert "nobody corrected" in apex("strategy", "list", "--corrections").out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("IB_U1_1", "--type", "IRON_CONDR", "--action", "OPEN"), "did you mean IRON_CONDOR"),
        (("IB_U1_1", "--type", "IRON_CONDOR", "--action", "BEGIN"), "choose one of OPEN, CLOSE, ROLL, ADJUST"),
        (("IB_U1_1", "IB_U1_9", "--type", "LONG_CALL", "--action", "OPEN"), "no order is called IB_U1_9"),
        (
            ("IB_U1_1", "IB_U1_3", "--type", "CUSTOM_MULTI_LEG", "--action", "OPEN"),
            "several underlyings (US.KO, US.PEP)",
        ),
    ],
)
@pytest.mark.usefixtures("spread")
def test_what_cannot_be_meant_is_refused(apex: Apex, arguments: tuple[str, ...], complaint: str) -> None:
    ended = apex("strategy", "set", *arguments)
    assert ended.code == 2, ended.text
    assert len(ended.complaints) == 1
    assert complaint in ended.complaints[0]


@pytest.mark.usefixtures("spread")
def test_what_was_never_said_cannot_be_taken_back(apex: Apex) -> None:
    ended = apex("strategy", "unset", "IB_U1_1")
    assert ended.code == 2, ended.text
    assert "no correction in force" in ended.complaints[0]


def test_labels_are_a_file_that_can_be_classified_beside_its_truth(apex: Apex, spread: list[str]) -> None:
    assert apex("strategy", "set", *spread, "--type", "BULL_CALL_SPREAD", "--action", "OPEN").code == 0
    ended = apex("strategy", "labels", "--out", "labels.json")
    assert ended.code == 0, ended.text
    content = json.loads((Path(apex.folder) / "labels.json").read_text("utf-8"))
    (truth,) = content["truth"]
    assert (truth["orders"], truth["type"], truth["action"]) == (spread, "BULL_CALL_SPREAD", "OPEN")
    assert [row["order_id"] for row in content["orders"]] == [*spread, "IB_U1_4"], "what is beside them too"
    told = classify_file(content)["predictions"]
    assert [told[uid]["type"] for uid in spread] == ["BULL_CALL_SPREAD"] * 2
    assert json.loads(apex("strategy", "labels").out) == content
    refused = apex("strategy", "labels", "--out", "nowhere/labels.json")
    assert refused.code == 2, refused.text
    assert "cannot be written" in refused.complaints[0]
