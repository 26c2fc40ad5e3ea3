"""`apex classify`: a file in, its strategies out, without a database, at once; and one line for a bad file."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from apex_pipeline.domain.flows.generate import generate
from apex_pipeline.domain.flows.levels import Level
from apex_pipeline.domain.strategies.order_file import classify_file
from tests.cli.program import APEX, Apex, Ended, finished

ROW: Mapping[str, Any] = {
    "order_id": "1", "broker": "IB", "account": "U1", "market": "US", "underlying": "US.AAPL", "type": "call",
    "strike": 100, "expiry": "2026-08-21", "side": "BUY", "qty": 1, "filled_qty": 1, "avg_price": 3.5, "lot": 100,
    "order_time": "2026-07-13T14:00:00+00:00", "first_fill": "2026-07-13T14:00:01+00:00",
}  # fmt: skip
HEAVY = ("dagster", "pandas", "psycopg2", "sqlalchemy", "futu", "ib_async", "numpy", "pyarrow")


@pytest.fixture
def apex(tmp_path: Path) -> Apex:
    """The command with nothing: no database, no broker, a state folder that must not come into being."""
    return Apex(tmp_path, {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "APEX_HOME": str(tmp_path / "state")})


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    """About twenty orders."""
    path = tmp_path / "orders.json"
    path.write_text(json.dumps(generate(Level.L1, 911, groups=10).document))
    return path


def written(folder: Path, content: object) -> str:
    path = folder / "given.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def with_columns(**columns: object) -> dict[str, Any]:
    return {"orders": [{**ROW, **columns}]}


def piped(apex: Apex, text: str, *arguments: str) -> Ended:
    child = subprocess.run(
        [str(APEX), "classify", *arguments],
        input=text, cwd=apex.folder, env=apex.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Ended(child.returncode, child.stdout, child.stderr, 0.0)


def require_refusal(ended: Ended, *words: str) -> None:
    """Exit code 2, nothing on standard output and exactly one line that holds these words."""
    assert ended.code == 2, ended.text
    assert ended.out == ""
    assert len(ended.err.splitlines()) == len(ended.complaints) == 1, ended.text
    assert [word for word in words if word not in ended.complaints[0]] == [], ended.text


def test_the_answers_stand_on_standard_output_as_json(apex: Apex, flow: Path) -> None:
    ended = apex("classify", str(flow))
    assert ended.code == 0, ended.text
    assert ended.err == ""
    assert ended.json() == classify_file(json.loads(flow.read_text()))
    assert not apex.home.exists()


def test_out_writes_the_same_file_and_says_nothing(apex: Apex, flow: Path) -> None:
    shown = apex("classify", str(flow))
    ended = apex("classify", str(flow), "--out", "answers.json")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert (apex.folder / "answers.json").read_text() == shown.out


def test_standard_input_is_a_file_too(apex: Apex, flow: Path) -> None:
    assert piped(apex, flow.read_text(), "-").out == apex("classify", str(flow)).out
    require_refusal(piped(apex, "", "-"), "standard input")


def test_a_byte_order_mark_is_no_error(apex: Apex, flow: Path) -> None:
    flow.write_text(flow.read_text(), encoding="utf-8-sig")
    assert apex("classify", str(flow)).code == 0


def test_twenty_orders_take_less_than_a_few_seconds(apex: Apex, flow: Path) -> None:
    assert apex("classify", str(flow)).seconds < 5


def test_nothing_heavy_is_imported() -> None:
    program = (
        "import sys; import apex_pipeline.cli.app, apex_pipeline.cli.classifying; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    control = program.replace("import sys;", "import sys, sqlalchemy;")
    done = subprocess.run([sys.executable, "-c", control], capture_output=True, text=True, check=True)
    assert done.stdout.strip() != "[]"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "JSON"), ("{", "line 1"), ("[1, 2", "JSON"), ("[]", "object"), ("null", "object"), ('"text"', "object"),
        ("[" * 100_000, "JSON"), ("{}", "orders"), ({"orders": 5}, "orders"),
        ('{"orders": [{"qty": NaN}]}', "NaN"), (with_columns(order_time="2026-07-13T14:00:00"), "zone"),
        (with_columns(type="future"), "stock, call or put"), (with_columns(side="HOLD"), "HOLD"),
        (with_columns(expiry="soon"), "order 1"), ({"orders": [{"order_id": "7"}]}, "order 1 (7)"),
        ({"orders": [dict(ROW)], "positions_open": [{"account": "U1"}]}, "opening position 1"),
    ],
    ids=lambda value: str(value)[:30],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_one_line(apex: Apex, content: object, word: str) -> None:
    require_refusal(apex("classify", written(apex.folder, content)), word)


def test_a_name_that_is_no_file_is_one_line(apex: Apex) -> None:
    require_refusal(apex("classify", "nowhere.json"), "nowhere.json", "No such file")
    require_refusal(apex("classify", str(apex.folder)), "directory")


def test_a_file_of_other_bytes_is_one_line(apex: Apex) -> None:
    (apex.folder / "bytes.json").write_bytes(b"\x80\xff\x00{}")
    require_refusal(apex("classify", "bytes.json"), "UTF-8")


def test_a_place_that_cannot_be_written_is_known_before_anything_is_done(apex: Apex, flow: Path) -> None:
    require_refusal(apex("classify", str(flow), "--out", "nowhere/answers.json"), "nowhere")
    require_refusal(apex("classify", str(flow), "--out", str(apex.folder)), "--out")


def test_a_refused_file_leaves_what_stood_there(apex: Apex) -> None:
    (apex.folder / "answers.json").write_text("kept")
    require_refusal(apex("classify", written(apex.folder, "{"), "--out", "answers.json"))
    assert (apex.folder / "answers.json").read_text() == "kept"


def test_debug_shows_where_it_failed(apex: Apex) -> None:
    ended = finished(apex.start("classify", "nowhere.json", "--debug"))
    assert ended.code != 0
    assert "Traceback" in ended.err
