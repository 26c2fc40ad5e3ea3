"""What the documents name exists: pages and headings, commands and options, variables, messages, tables."""

import re
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup

from apex_pipeline.cli.app import app
from apex_pipeline.configuration.names import FILE_KEYS
from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.db import Database
from tests.docs.pages import PAGES, SPAN, anchors, commands, links, messages, prose, templates, text_of, variables

DOCS = PROJECT_DIR / "docs"
TROUBLES = DOCS / "troubleshooting.md"
ROOT = typer.main.get_command(app)
HELP = {"-h", "--help"}
WITHOUT_SETTING = ("apex_pipeline", "tests", "deploy", "bench", "examples")
"""Folders whose files may name a variable that is no setting of the program."""


def named(page: Path) -> str:
    return str(page.relative_to(PROJECT_DIR))


def dead_links(page: Path, text: str) -> list[str]:
    """Links to files that are not there, or to headings that the file does not have."""
    dead: list[str] = []
    for link in links(text):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_page = target.suffix == ".md" and target.exists()
        if not target.exists() or (
            anchor and is_page and anchor not in anchors(text if target == page else text_of(target))
        ):
            dead.append(link)
    return dead


def unknown_in(command: str) -> list[str]:
    """The verb, sub-verb or options of a command line that there are not."""
    words = command.split()
    verb, unknown = ROOT, []
    while words and isinstance(verb, TyperGroup) and re.fullmatch(r"[a-z][a-z-]*", words[0]):
        name = words.pop(0)
        found = verb.commands.get(name)
        if found is None:
            return [name]
        verb = found
    known = {option for one in verb.params for option in (*one.opts, *one.secondary_opts)} | HELP
    if verb is not ROOT:
        unknown = [option for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", " ".join(words)) if option not in known]
    return unknown


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page, text_of(page)) == []


def test_a_dead_link_is_noticed() -> None:
    page = DOCS / "database.md"
    text = "# A page\n[a](nowhere.md) [b](database.md#no-such) [c](#a-page) [d](https://x.example)"
    assert dead_links(page, text) == ["nowhere.md", "database.md#no-such"]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_line_exists(page: Path) -> None:
    assert [(line, unknown) for line in commands(text_of(page)) if (unknown := unknown_in(line))] == []


def test_a_command_or_option_that_there_is_not_is_noticed() -> None:
    lines = commands(
        "`apex backfil --days 3`\n```sh\nX=1 .venv/bin/apex strategy set --typ A  # --no\napex up\n```\n`apex_dagster`"
    )
    assert [unknown_in(line) for line in lines] == [["backfil"], ["--typ"], []]


def absent_files(text: str) -> list[str]:
    """Files in code spans that are in no folder from which pages name them; `<name>` and `NNN_…` stand for any."""
    named = [
        span
        for span in SPAN.findall(prose(text))
        if re.fullmatch(r"(?!\w+:)[\w./<>-]+/[\w.<>-]+\.(py|sql|toml|md)", span)
    ]
    return [
        path
        for path in named
        if not any(_some(folder, path) for folder in (PROJECT_DIR, PROJECT_DIR / "apex_pipeline"))
    ]


def _some(folder: Path, path: str) -> bool:
    return any(folder.glob(re.sub(r"<\w+>|NNN_\w+", "*", path)))


def test_every_file_that_contributing_names_exists() -> None:
    text = text_of(PROJECT_DIR / "CONTRIBUTING.md")
    assert "`brokers/registry.py`" in text
    assert absent_files(text) == []


def test_a_file_that_there_is_not_is_noticed() -> None:
    text = "`brokers/nowhere.py`, `store/sql/check_<name>.sql`, `migrations/NNN_what.sql`, `store/tables.py`"
    assert absent_files(text) == ["brokers/nowhere.py"]


def known_variables() -> set[str]:
    found = set(FILE_KEYS.values())
    for folder in WITHOUT_SETTING:
        for path in (PROJECT_DIR / folder).rglob("*"):
            if path.suffix in {".py", ".sh", ".yaml", ".yml", ".service", ".env"} or path.name == "Makefile":
                found |= {name for name, _ in variables(path.read_text("utf-8"))}
    return found - {"APEX_NO_SUCH"}


KNOWN_VARIABLES = known_variables()


def unknown_variables(text: str) -> set[str]:
    return {
        name
        for name, is_beginning in variables(text)
        if name not in KNOWN_VARIABLES
        and not (is_beginning and any(known.startswith(name) for known in KNOWN_VARIABLES))
    }


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_variable_exists(page: Path) -> None:
    assert unknown_variables(text_of(page)) == set()


def test_a_variable_that_there_is_not_is_noticed() -> None:
    text = "`APEX_NO_SUCH=1`, `APEX_HOME`, `APEX_SNAPSHOTS_…`, a row IB_U8120456_C1"
    assert unknown_variables(text) == {"APEX_NO_SUCH"}


def test_every_setting_is_in_the_readme() -> None:
    told = variables(text_of(PROJECT_DIR / "README.md"))
    whole, beginnings = {name for name, more in told if not more}, {name for name, more in told if more}
    row = re.compile(r"^\| `(APEX_DATABASE_|APEX_DISPLAY_)\w+`.*`…_", re.MULTILINE)
    beginnings |= set(row.findall(text_of(PROJECT_DIR / "README.md")))
    missing = {name for name in FILE_KEYS.values() if name not in whole and not name.startswith(tuple(beginnings))}
    assert missing == set()


TEMPLATES = templates(PROJECT_DIR / "apex_pipeline")


def test_every_quoted_message_is_one_of_the_code() -> None:
    quoted = messages(text_of(TROUBLES))
    assert len(quoted) > 40
    assert [told for told in quoted if told not in TEMPLATES] == []


def test_a_message_that_nobody_prints_is_noticed() -> None:
    assert messages("```message\nit went wrong\n```") == ["it went wrong"]
    assert "it went wrong" not in TEMPLATES
    assert "cannot reach the database" not in TEMPLATES  # a part of one is none


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_keeps_a_place_for_something(page: Path) -> None:
    assert re.findall(r"^[A-Z]{4,}$|TODO|FIXME|XXX", prose(text_of(page)), re.MULTILINE) == []


def test_every_page_is_listed() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(text_of(DOCS / "README.md"))}
    pages = {page for page in PAGES if page.parent in (DOCS, DOCS / "brokers") and page.name != "README.md"}
    assert {named(page) for page in pages - listed} == set()


def test_every_table_has_its_place_in_the_architecture(db: Database) -> None:
    told = text_of(DOCS / "architecture.md")
    rows = db.fetch("moving_relations")
    names = {row["name"] for row in rows if row["kind"] in "rv"}
    plain = {
        re.sub(r"(_raw_)\w+$|^(futu_raw_|ib_raw_)\w+$|^(latest_)\w+(_snapshots)$", r"\1\2\3…\4", name) for name in names
    }
    special = {"orders_raw_…", "trades_raw_…", "fees_raw_…", "cash_raw_…", "positions_raw_…", "balances_raw_…"}
    assert len(names) > 100
    assert special <= plain
    known = plain - {"sections_raw_…", "provisional_raw_…"} | {"sections_raw_ib", "provisional_raw_ib"}
    assert {name for name in known if f"`{name}`" not in told} == set()
