"""Drawings are well-formed, show gaps as gaps, and their tables say the same."""

import re
from base64 import b64decode
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from xml.etree.ElementTree import fromstring

import pytest

from apex_pipeline.domain.models import Broker
from apex_pipeline.reports.contents import read_report
from apex_pipeline.reports.drawings import Series, bar_chart, calendar, column_chart, line_chart
from apex_pipeline.reports.figures import LOOKS, combined, coverage_figures, missing_days, step_of
from apex_pipeline.reports.glances import (
    NOTHING_YET,
    breaks_glance,
    coverage_glance,
    equity_glance,
    fees_glance,
    gains_glance,
    strategies_glance,
)
from apex_pipeline.reports.scales import grouped, marks, number, scale, short
from apex_pipeline.store.db import Database
from tests.reports import book

MONDAY = date(2026, 3, 2)
DAYS = [MONDAY + timedelta(n) for n in range(5)]
GLANCES: dict[str, Callable[[Database], str]] = {
    "equity": equity_glance, "gains": gains_glance, "strategies": strategies_glance, "fees": fees_glance,
    "futu": partial(coverage_glance, broker=Broker.FUTU), "ib": partial(coverage_glance, broker=Broker.IB),
    "breaks": breaks_glance,
}  # fmt: skip


def amounts(*texts: str | None) -> list[Decimal | None]:
    return [None if text is None else Decimal(text) for text in texts]


def lines_of(svg: str) -> list[str]:
    return [one.attrib["points"] for one in fromstring(svg).iter("polyline")]


def test_a_day_that_is_not_known_is_a_gap_and_one_alone_is_a_dot() -> None:
    svg = line_chart(DAYS, [Series("A", amounts("1", "2", None, "4", None))], "said")
    first, dot = lines_of(svg)
    assert len(first.split()) == 2
    assert len(set(dot.split())) == 1
    assert "dot" in svg
    whole = line_chart(DAYS, [Series("A", amounts("1", "2", "0", "4", "5"))], "said")
    assert len(lines_of(whole)) == 1, "control: zero is a value and breaks no line"


def test_nothing_known_at_all_is_an_empty_drawing() -> None:
    assert lines_of(line_chart(DAYS, [Series("A", amounts(None, None, None, None, None))], "said")) == []
    assert lines_of(line_chart(DAYS[:1], [Series("A", amounts("5"))], "said")) != [], "one day is a dot"


def test_names_are_text_in_every_kind_of_drawing() -> None:
    hostile = book.QUOTED + book.HOSTILE
    for svg in (
        line_chart(DAYS, [Series(hostile, amounts("1", "2", "3", "4", "5"))], hostile),
        column_chart(["2026-03"], [Series(hostile, amounts("1"))], hostile, hostile),
        bar_chart([(hostile, Decimal(1)), ("b", Decimal(-1))], hostile, hostile),
        calendar(MONDAY, "CM.", LOOKS, hostile),
    ):
        root = fromstring(svg)
        assert root.attrib["aria-label"] == hostile
        assert {one.tag for one in root.iter()} <= {"svg", "polyline", "path", "rect", "line", "text", "title"}


def test_what_is_negative_hangs_below_zero() -> None:
    svg = fromstring(column_chart(["a", "b"], [Series("", amounts("100", "-50"))], "USD", "said"))
    up, down = svg.iter("rect")
    assert float(up.attrib["y"]) + float(up.attrib["height"]) == pytest.approx(float(down.attrib["y"]))
    assert ("gain" in up.attrib["class"], "loss" in down.attrib["class"]) == (True, True)
    assert [title.text for title in svg.iter("title")] == ["a: 100 USD", "b: -50 USD"]


def test_ticks_are_round_and_reach_around_the_amounts() -> None:
    axis = scale([Decimal("-3.2"), Decimal("97.1")], 200)
    assert (axis.low, axis.high) == (Decimal(-50), Decimal(100))
    assert axis.at(axis.high) == 0
    assert axis.at(axis.low) == 200
    assert scale([], 200).low < scale([], 200).high
    flat = scale([Decimal(5), Decimal(5)], 200, with_zero=False)
    assert flat.low < 5 < flat.high


@pytest.mark.parametrize(
    ("value", "told"),
    [("1250000", "1.25M"), ("-250000", "-250k"), ("0", "0"), ("0.05", "0.05"), ("12", "12"), ("1e13", "10T")],
)
def test_amounts_of_an_axis_are_short(value: str, told: str) -> None:
    assert short(Decimal(value)) == told


def test_a_coordinate_never_has_an_exponent() -> None:
    assert [number(Decimal(text)) for text in ("1E-9", "1E+3", "-0.00001", "12.50")] == ["0", "1000", "0", "12.5"]
    assert grouped("-1234567.890123") == "-1,234,567.890123"


@pytest.mark.parametrize(("days", "step"), [(0, "day"), (420, "day"), (421, "week"), (2_100, "week"), (2_101, "month")])
def test_a_longer_history_is_told_in_longer_steps(days: int, step: str) -> None:
    assert step_of(days) == step


def test_an_axis_of_days_has_few_words() -> None:
    for length in (0, 1, 30, 69, 70, 365, 4_000, 20_000):
        assert 1 <= len(marks(MONDAY, MONDAY + timedelta(length))) <= 8


def series(states: str, data_type: str = "ib_flex", first: date = MONDAY) -> dict[str, object]:
    return {
        "broker": "IB", "account_id": "U1", "data_type": data_type, "market": "ALL", "first_day": first,
        "last_day": first + timedelta(len(states) - 1), "states": states,
    }  # fmt: skip


def test_missing_days_are_ranges_that_weekends_do_not_cut() -> None:
    found = missing_days([series("CCCMM..MCCMCC..")])
    assert [(str(row["from_date"]), str(row["to_date"]), row["trading_days"]) for row in found] == [
        ("2026-03-05", "2026-03-09", 3),
        ("2026-03-12", "2026-03-12", 1),
    ]
    assert "--from-date 2026-03-05 --to-date 2026-03-09" in found[0]["what_to_do"]
    assert missing_days([series("CCCCC..")]) == [], "control"


def test_a_day_is_loaded_when_every_kind_of_data_covers_it() -> None:
    rows = [series("CCCM.", "futu_orders"), series("CMGM.", "futu_deals")]
    assert combined(MONDAY, rows) == "CPPM."
    later = [series("CCC", "futu_orders"), series("CC", "futu_cash", MONDAY + timedelta(1))]
    assert combined(MONDAY, later) == "CCC", "a kind that begins later is not missing before"


def test_a_calendar_draws_every_day_once() -> None:
    for length in (1, 7, 366, 378, 379, 1_000):
        svg = fromstring(calendar(MONDAY + timedelta(3), "C" * length, LOOKS, "said"))
        assert sum(path.attrib["d"].count("M") for path in svg.iter("path")) == length


def test_coverage_comes_from_what_was_loaded(db: Database) -> None:
    book.covered(db, "IB", "U1", "ib_flex", MONDAY, MONDAY + timedelta(1))
    book.covered(db, "IB", "U1", "ib_flex", MONDAY + timedelta(3), MONDAY + timedelta(8))
    (row,) = db.fetch("report_calendar")
    assert row["states"] == "CCMCC..CC"
    (figure,) = coverage_figures([row])
    assert "6 of 7 trading days in full, 0 partly, 1 missing" in figure.note
    assert [one["from_date"] for one in figure.table.rows] == [MONDAY + timedelta(2)]


def pictures(text: str) -> list[str]:
    return [b64decode(data).decode() for data in re.findall(r"\(data:image/svg\+xml;base64,([^)]*)\)", text)]


def test_a_glance_carries_its_pictures_in_itself(db: Database) -> None:
    book.filled(db)
    for name, glance in GLANCES.items():
        drawn = pictures(glance(db))
        assert bool(drawn) == (name != "breaks"), name
        for svg in drawn:
            root = fromstring(svg)
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
            assert book.HOSTILE not in svg
    assert "apex why B" in breaks_glance(db)


def test_an_empty_database_has_glances_too(db: Database) -> None:
    for name, glance in GLANCES.items():
        text = glance(db)
        assert pictures(text) == []
        assert (NOTHING_YET in text) == (name != "breaks")


def test_a_currency_of_which_no_gain_is_known_is_drawn_without_bars(db: Database) -> None:
    """A share that came by a transfer and was sold: its basis is not known."""
    book.gain(db, "G1", book.day(1), None, currency="JPY", symbol="JP.7203", underlying="JP.7203")
    for name, glance in GLANCES.items():
        assert glance(db), name
    (section,) = [one for one in read_report(db).sections if one.name == "gains"]
    assert "1 closings have no known basis" in " ".join(figure.note for figure in section.figures)


def test_a_calendar_at_a_glance_is_of_one_broker_and_of_its_newest_year(db: Database) -> None:
    book.covered(db, "IB", book.IB, "ib_flex", date(2016, 1, 1), date(2026, 3, 2))
    book.covered(db, "FUTU", book.FUTU, "futu_orders", book.day(0), book.day(11))
    (drawn,) = pictures(coverage_glance(db, Broker.IB))
    assert book.FUTU not in drawn
    assert 54 * 7 - 2 <= drawn.count("h9v12h-9z") <= 54 * 7
