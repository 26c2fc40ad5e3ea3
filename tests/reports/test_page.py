"""The page needs nothing but itself, can be used without eyes or mouse, and shows what is stored: no more, no less."""

import re
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from apex_pipeline.reports.anonymous import names_of
from apex_pipeline.reports.contents import read_report
from apex_pipeline.reports.markup import MOST_ROWS, spaced
from apex_pipeline.reports.reading import export_tables
from apex_pipeline.reports.rendering import page, page_of_tables, style_of_page, write_page
from apex_pipeline.reports.tables import ReportTable
from apex_pipeline.store.db import Database
from tests.reports import book
from tests.reports.parsed import Element, allowed, asked_for, hash_of, parsed
from tests.store.rows import query

SECTIONS = [
    "summary", "value", "gains", "fees", "breaks", "positions", "chains", "coverage", "quarantine", "unknown",
]  # fmt: skip


@pytest.fixture
def filled(db: Database) -> Database:
    book.filled(db)
    return db


def made(db: Database, **more: Any) -> Element:
    return parsed(page(read_report(db, ZoneInfo("Asia/Hong_Kong"), book.NOW, **more)))


def section(root: Element, name: str) -> Element:
    (found,) = (one for one in root.all("section") if one.attributes["id"] == name)
    return found


def open_breaks(root: Element) -> list[dict[str, str]]:
    return next(rows(one) for one in root.all("table") if one.one("caption").text == "Open breaks")


def table(root: Element, title: str) -> Element:
    (found,) = (one for one in root.all("table") if one.one("caption").text.startswith(title))
    return found


def rows(shown: Element) -> list[dict[str, str]]:
    heads = [head.text for head in shown.one("thead").all("th")]
    return [dict(zip(heads, (cell.text for cell in row.children), strict=True)) for row in shown.one("tbody").all("tr")]


def test_the_page_asks_nobody_for_anything(filled: Database) -> None:
    assert asked_for(made(filled)) == []


@pytest.mark.parametrize(
    "slip",
    [
        '<img src="https://example.org/x.png">', '<link rel="stylesheet" href="x.css">', '<p onclick="x()">a</p>',
        '<p style="color:red">a</p>', "<style>p { background: url(x.png) }</style>", "<script>eval('1')</script>",
        '<a href="https://example.org">a</a>',
    ],
)  # fmt: skip
def test_control_a_request_or_handler_would_be_noticed(slip: str) -> None:
    assert asked_for(parsed(f"<html><body>{slip}</body></html>")) != []


def test_its_policy_lets_nothing_run_but_its_own_style_and_script(filled: Database) -> None:
    root = made(filled)
    policy = allowed(root)
    assert policy["default-src"] == ["'none'"]
    assert policy["script-src"] == [hash_of(root.one("script").text)]
    assert policy["style-src"] == [hash_of(root.one("style").text)]
    assert policy["base-uri"] == policy["form-action"] == ["'none'"]
    assert not any("unsafe" in word for words in policy.values() for word in words)
    assert hash_of(root.one("script").text + " ") not in policy["script-src"], "control: another script is not allowed"


def test_words_of_a_broker_stay_words(filled: Database) -> None:
    root = made(filled)
    assert len(list(root.all("script"))) == 1
    assert not list(root.all("img"))
    assert [row["subject"] for row in open_breaks(root)] == [book.HOSTILE]
    assert {row["symbol"] for row in rows(table(root, "Open positions"))} == {book.QUOTED, "US.KO"}
    assert book.HOSTILE in section(root, "gains").text
    assert book.QUOTED in section(root, "quarantine").text


def test_sections_are_landmarks_that_can_be_reached_without_a_mouse(filled: Database) -> None:
    root = made(filled)
    assert root.one("html").attributes["lang"] == "en"
    ids = [one.attributes["id"] for one in root.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    assert [one.attributes["id"] for one in root.all("section")] == SECTIONS
    assert all(one.attributes["aria-labelledby"] in ids for one in root.all("section"))
    links = [one.attributes["href"][1:] for one in root.all("a")]
    assert links == ["content", *SECTIONS], "the link that skips to the content, then the sections"
    assert root.one("main").attributes["id"] == "content"
    assert root.one("nav").attributes["aria-label"]
    assert len(list(root.all("h1"))) == len(list(root.all("footer"))) == 1
    titles = {one.attributes["id"]: one.text for one in root.all() if "id" in one.attributes}
    names = [titles[one.attributes["aria-labelledby"]] for one in root.all("section")]
    names += [one.attributes["aria-label"] for one in root.all("div") if one.attributes.get("role") == "region"]
    assert len(names) == len(set(names)), "places of one name cannot be told apart"


def test_a_table_has_a_caption_and_its_heads_say_what_they_are_of(filled: Database) -> None:
    tables = list(made(filled).all("table"))
    assert len(tables) > 15
    for one in tables:
        assert one.one("caption").text.strip()
        assert all(head.attributes["scope"] == "col" for head in one.one("thead").all("th"))
        assert all(head.attributes["scope"] == "row" for head in one.one("tbody").all("th"))
        around = one.above("div")
        assert around is not None
        assert (around.attributes["tabindex"], around.attributes["role"]) == ("0", "region")
        assert around.attributes["aria-label"]


def test_a_drawing_says_what_it_shows_and_its_numbers_stand_in_a_table_behind_it(filled: Database) -> None:
    root = made(filled)
    drawings = [one for one in root.all("svg") if "plot" in one.attributes.get("class", "")]
    assert len(drawings) >= 10
    for drawing in drawings:
        assert drawing.attributes["role"] == "img"
        assert len(drawing.attributes["aria-label"]) > 20
        figure = drawing.above("figure")
        assert figure is not None
        assert list(figure.one("details").all("table")) or "none" in figure.one("details").text
    loose = [one for one in root.all("svg") if one.attributes.get("aria-hidden") != "true" and one.above("svg") is None]
    assert loose == drawings, "every other picture is decoration, and hidden from readers"


def test_numbers_are_exact_text_and_what_is_not_known_says_so(filled: Database) -> None:
    root = made(filled)
    held = {row["symbol"]: row for row in rows(table(root, "Open positions"))}
    assert held["US.KO"]["market value"] == str(book.LONG)
    assert held[book.QUOTED]["market value"] == "unknown"
    told = rows(table(root, "Value and drawdown by day, USD"))
    assert [row[f"IB {book.IB}"] for row in told] == [
        "1000000.25", "unknown", "1000100", "999000.123456789", str(book.LONG),
    ]  # fmt: skip
    (month,) = rows(table(root, "Realized P&L by month, USD"))
    assert (month["realized pnl"], month["closings"], month["basis unknown"]) == ("1034.0678", "3", "1")


def test_the_summary_tells_an_unknown_value_as_unknown(filled: Database) -> None:
    tiles = {one.children[0].text: one for one in section(made(filled), "summary").all("li")}
    assert tiles["Value, HKD"].children[1].text == "unknown"
    assert tiles["Value, USD"].children[1].text == "12,345,678,901,234,567,890.12"
    assert tiles["Open breaks"].attributes["class"] == "bad"
    assert tiles["Realized P&L, USD"].children[2].text == "3 closings, 1 of them unknown"


def test_what_the_numbers_do_not_know_is_listed_with_what_follows(filled: Database) -> None:
    told = {row["what"]: row for row in rows(table(made(filled), "What the numbers do not know"))}
    assert told["closings whose basis is not known"]["rows"] == "1"
    assert told["open positions without a price of the newest day"]["rows"] == "1"
    assert told["days of accounts whose value is not known"]["rows"] == "2"
    assert all(row["so"] for row in told.values())


def test_a_break_names_the_commands_that_tell_more(filled: Database) -> None:
    (row,) = open_breaks(made(filled))
    assert "apex breaks --explain B_1" in row["what to do"]
    assert "apex why B_1" in row["what to do"]


def test_a_long_table_is_cut_on_the_page_and_whole_in_the_exports(db: Database) -> None:
    query(
        db.url,
        "INSERT INTO quarantine (quarantine_uid, stage, broker, kind, reason_code, reason, payload, first_seen_at) "
        "SELECT 'Q' || n, 'ingest', 'IB', 'trades', 'x', 'y', '{}', now() FROM generate_series(1, 1200) AS n",
    )
    shown = table(made(db), "Quarantine")
    assert len(rows(shown)) == MOST_ROWS
    assert "the first 1000 of 1200" in shown.one("caption").text
    (whole,) = (one for one in export_tables(db) if one.name == "quarantine")
    assert len(whole.rows) == 1200


def test_an_empty_database_has_a_page_that_says_what_to_do(db: Database, tmp_path: Path) -> None:
    text = write_page(read_report(db, UTC), tmp_path / "new").read_text("utf-8")
    root = parsed(text)
    assert asked_for(root) == []
    assert "apex backfill" in section(root, "summary").text
    assert [one.attributes["id"] for one in root.all("section")] == SECTIONS


def test_without_numbers_of_accounts_none_is_left_anywhere(filled: Database) -> None:
    plain = page(read_report(filled, UTC, book.NOW))
    assert book.IB in plain
    assert book.FUTU in plain, "control: they are there otherwise"
    named = page(read_report(filled, UTC, book.NOW, names_of(filled)))
    assert book.IB not in named
    assert book.FUTU not in named
    tables = export_tables(filled, UTC, names_of(filled))
    assert not any(book.IB in str(row) or book.FUTU in str(row) for one in tables for row in one.rows)


def test_an_account_that_is_flat_holds_nothing(db: Database) -> None:
    book.covered(db, "IB", book.IB, "ib_flex", book.day(0), book.day(6))
    book.position(db, book.IB, book.day(3), "US.KO")
    held = db.fetch("report_positions")
    assert held == [], "the position stood on Thursday, and on Friday no more"
    book.position(db, book.IB, book.day(4), "US.KO")
    assert len(db.fetch("report_positions")) == 1, "control: on a Friday before a weekend it is held"


def test_gains_by_strategy_sum_to_the_ledger(filled: Database) -> None:
    by_strategy = sum(row["realized_pnl"] for row in filled.fetch("report_gains_by_strategy"))
    assert by_strategy == Decimal("1234.5678") - Decimal("200.5") + 77


@pytest.mark.parametrize(
    ("number", "spans"), [("0", 0), ("1234", 0), ("-12345.678", 1), ("12345678.9", 2), ("1e5", 0), ("", 0)]
)
def test_thousands_stand_apart_and_the_digits_stay(number: str, spans: int) -> None:
    marked = parsed(f"<p>{spaced(number)}</p>")
    assert (marked.text, len(list(marked.all("span")))) == (number, spans)


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


WORDS = [
    ("ink", "paper"), ("ink", "card"), ("muted", "paper"), ("muted", "card"), ("accent", "paper"),
    ("accent-ink", "accent"), ("bad", "bad-paper"), ("warn", "warn-paper"), ("muted", "bad-paper"),
    ("muted", "warn-paper"), ("paper", "ink"),
]  # fmt: skip
MARKS = [*(f"s{n}" for n in range(8)), "gain", "loss", "bad", "edge"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_and_marks_can_be_told_from_what_is_behind_them(theme: str) -> None:
    start = r":root\[data-theme=dark\]" if theme == "dark" else ":root "
    text = re.search(start + r".*?}", style_of_page(), re.DOTALL)
    assert text is not None
    colours: dict[str, str] = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", text[0]))
    assert {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in WORDS if _weak(colours, pair, 4.5)} == {}
    assert [mark for mark in MARKS if _weak(colours, (mark, "paper"), 3)] == []
    assert _weak(colours, ("line", "paper"), 3), "control: lines of a grid are faint on purpose"


def _weak(colours: dict[str, str], pair: tuple[str, str], least: float) -> bool:
    return contrast(colours[pair[0]], colours[pair[1]]) < least


def test_a_page_of_any_tables_is_the_same_kind_of_page() -> None:
    root = parsed(page_of_tables([ReportTable("t", "Some & more", [{"a": Decimal("1.50"), "b": None}])]))
    assert rows(table(root, "Some & more")) == [{"a": "1.5", "b": ""}]
    assert asked_for(root) == []
