"""The table of seeded faults: how many of each kind were found, and whether anything else was told.

`python -m tests.faults.seeded_table` plants every kind at every place on a server of its own, two at a time, and writes
the table between two lines of docs/reconciliation.md. With numbers of places behind it, at those only.
"""

import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby
from pathlib import Path

from apex_pipeline.settings import PROJECT_DIR
from apex_pipeline.store.embedded import EmbeddedServer
from tests.conftest import migrated_template
from tests.faults.seeded_all import FAULTS
from tests.faults.seeded_fault import Fault, Verdict
from tests.faults.seeded_flex import NoPlaceError
from tests.faults.seeded_run import Bench
from tests.faults.seeded_year import SEEDS, place

BEGIN, END = "<!-- seeded faults: begin -->", "<!-- seeded faults: end -->"
PAGE = PROJECT_DIR / "docs" / "reconciliation.md"
WORKERS = 2
_HEAD = (
    "| what is wrong | broker | where | found | others | check | for example |",
    "|---|---|---|---|---|---|---|",
)


def table(faults: Sequence[Fault], verdicts: Iterable[Verdict]) -> str:
    """The table as Markdown. Found: exactly the right break, of so many places. Others: breaks that should not be."""
    own = {name: list(some) for name, some in groupby(sorted(verdicts, key=_by_fault), key=lambda one: one.fault)}
    kinds = [one for one in faults if one.is_fault and str(one) in own]
    lines = [_line(one, own[str(one)]) for one in kinds]
    found = [one for kind in kinds for one in own[str(kind)]]
    exact, others = sum(one.exact for one in found), sum(len(one.others) for one in found)
    right = sum(one.found and not one.wrong for one in found)
    told = right + others
    summary = (
        f"{len({one.kind for one in kinds})} kinds of fault, {len(kinds)} with the broker counted, at {len(found)} "
        f"places: {exact} found exactly. Recall {_percent(right, len(found))}, precision {_percent(right, told)}."
    )
    return "\n".join((summary, "", *_HEAD, *lines))


def between(page: str, told: str) -> str:
    """The page with this between its two lines; ValueError where it has none."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"the page needs one line {BEGIN} and one line {END}")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}"


def verdicts_of(bench: Bench, faults: Sequence[Fault], places: Sequence[int], workers: int = WORKERS) -> list[Verdict]:
    """Plant every kind at every place that has room for it."""
    with ProcessPoolExecutor(workers) as pool:
        some = [pool.submit(_at_places, bench, number, places) for number in range(len(faults))]
        return [verdict for future in some for verdict in future.result()]


def _at_places(bench: Bench, number: int, places: Sequence[int]) -> list[Verdict]:
    """What becomes of one kind, by its number: faults hold functions, which no process sends to another."""
    found: list[Verdict] = []
    for one in places:
        try:
            found.append(bench.verdict(FAULTS[number], place(one)))
        except NoPlaceError:
            continue
    return found


def _line(fault: Fault, found: Sequence[Verdict]) -> str:
    exact = sum(one.exact for one in found)
    others = sum(len(one.others) for one in found)
    checks = ", ".join(sorted({one.check for one in found if one.check}))
    example = next((one.example for one in found if one.example), "").strip("[]").replace("|", "\\|")
    told = f"{exact}/{len(found)} | {others or ''} | {checks} | {example}"
    return f"| {fault.kind} | {fault.broker or ''} | {fault.where} | {told} |"


def _by_fault(verdict: Verdict) -> str:
    return verdict.fault


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "of nothing"


def main(arguments: Sequence[str]) -> None:
    """Plant all of it and write the page."""
    places = [int(one) for one in arguments] or list(range(len(SEEDS)))
    with tempfile.TemporaryDirectory(prefix="apex-faults-") as home, EmbeddedServer(Path(home) / "pg") as server:
        url = server.url("postgres")
        bench = Bench(url, migrated_template(url), Path(home) / "futu")
        told = table(FAULTS, verdicts_of(bench, FAULTS, places))
    PAGE.write_text(between(PAGE.read_text("utf-8"), told), "utf-8")
    sys.stdout.write(f"{told}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
