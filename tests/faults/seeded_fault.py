"""What a fault is, which break must open for it, and how far the breaks that opened are from that.

Every fault is planted alone in a clean year. One break must be open afterwards: of the check that is the first to see
the fault, about the right row, day and account, with the right cause and amount, and with evidence that names the row.
Breaks of other checks may stand beside it only if they say that they follow from it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from random import Random
from typing import Any

from apex_pipeline.domain.checks import CHECKS
from apex_pipeline.domain.models import Broker
from tests.cli.sql import rows
from tests.faults.seeded_flex import Statements
from tests.faults.seeded_opend import Answers
from tests.faults.seeded_stored import Stored
from tests.faults.seeded_year import Loading, Place

ANY = "*"
"""Whatever cause."""

NAMES = {str(check.name): check.check_id for check in CHECKS.values()}
_BREAKS = "SELECT * FROM recon_breaks WHERE state <> 'CLOSED' ORDER BY check_name, business_date, subject"


class Where(StrEnum):
    """Who says or holds what is wrong."""

    STATEMENTS = "statements"
    STATEMENTS_AGAIN = "statements, told again"
    HISTORY = "orders, deals, fees and positions"
    HISTORY_AGAIN = "orders, deals, fees and positions, told again"
    CASH_FLOW = "cash flow"
    BOOKS = "statements of the made-up books"
    STORED = "what we stored"


@dataclass(frozen=True)
class Expected:
    """The one break that a fault must open. What is empty or None may be anything.

    `check`: its number; several where it depends on the row which one is the first to see the fault.
    `subject`: a part of the break's subject. `row`: what its evidence or subject names. `delta`: actual minus
    expected; its sign counts. `causes`: those that may be told; None stands for no cause. `state`: EXPLAINED where a
    rule accounts for it. `several`: the fault befalls several days or accounts, and each is a break of the same check
    and cause.
    """

    check: str
    subject: str = ""
    account: str | None = None
    days: Sequence[date] = ()
    causes: Sequence[str | None] = (ANY,)
    delta: Decimal | None = None
    row: str = ""
    state: str = "OPEN"
    several: bool = False


SILENCE = Expected("")
"""No break at all."""

PlantTold = Callable[[Statements, Random, Place], Expected]
PlantAnswers = Callable[[Answers, Random, Place], Expected]
PlantStored = Callable[[Stored, Random, Place], Expected]
PlantFree = Callable[[Loading, Random, Place], Expected]


@dataclass(frozen=True)
class Fault:
    """A kind of fault of one broker's data. Exactly one of the plants is there.

    What is no fault stands among them as a control: it must open nothing.
    """

    kind: str
    broker: Broker | None
    where: Where
    told: PlantTold | None = None
    answers: PlantAnswers | None = None
    stored: PlantStored | None = None
    free: PlantFree | None = None
    is_fault: bool = True

    def dice(self, place: Place) -> Random:
        """What chooses the row, the same in every run."""
        return Random(f"{self.kind} {self.broker} {self.where} {place.number}")

    def __str__(self) -> str:
        return f"{self.broker or 'nobody'}: {self.kind} ({self.where})"


FAULTS: list[Fault] = []
"""Every kind, in the order of the table."""


def statements(kind: str, *, again: bool = False) -> Callable[[PlantTold], PlantTold]:
    """A fault of what Interactive Brokers tells; `again`: of what it tells a second time."""

    def added(plant: PlantTold) -> PlantTold:
        where = Where.STATEMENTS_AGAIN if again else Where.STATEMENTS
        FAULTS.append(Fault(kind, Broker.IB, where, told=plant))
        return plant

    return added


def books(kind: str) -> Callable[[PlantTold], PlantTold]:
    """A fault of what Interactive Brokers tells in the made-up year."""

    def added(plant: PlantTold) -> PlantTold:
        FAULTS.append(Fault(kind, Broker.IB, Where.BOOKS, told=plant))
        return plant

    return added


def answers(kind: str, where: Where = Where.HISTORY) -> Callable[[PlantAnswers], PlantAnswers]:
    """A fault of what Futu tells."""

    def added(plant: PlantAnswers) -> PlantAnswers:
        FAULTS.append(Fault(kind, Broker.FUTU, where, answers=plant))
        return plant

    return added


def stored(kind: str, *brokers: Broker | None) -> Callable[[PlantStored], PlantStored]:
    """A fault of what we stored; both brokers' if none is named, None where it is no broker's."""

    def added(plant: PlantStored) -> PlantStored:
        FAULTS.extend(Fault(kind, broker, Where.STORED, stored=plant) for broker in brokers or tuple(Broker))
        return plant

    return added


def free(kind: str, broker: Broker, where: Where, *, is_fault: bool = True) -> Callable[[PlantFree], PlantFree]:
    """A fault that loads as it likes."""

    def added(plant: PlantFree) -> PlantFree:
        FAULTS.append(Fault(kind, broker, where, free=plant, is_fault=is_fault))
        return plant

    return added


@dataclass(frozen=True)
class Verdict:
    """What became of one fault: `found` if its break opened, `wrong` says what of it is not as it must be."""

    fault: str
    place: int
    found: bool
    wrong: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Breaks that are open besides, or explained by something else."""
    example: str = ""
    check: str = ""
    opened: int = field(default=0, kw_only=True)
    """Breaks that are open, the right one included."""

    @property
    def exact(self) -> bool:
        """Exactly the right break, and nothing else."""
        return self.found and not self.wrong and not self.others

    def __str__(self) -> str:
        told = [] if self.found else [f"no break of {self.check}"]
        return f"{self.fault} at place {self.place}: " + "; ".join((*told, *self.wrong, *self.others))


def breaks(url: str) -> list[dict[str, Any]]:
    """Every break that is not closed."""
    return rows(url, _BREAKS)


def judged(fault: Fault, place: Place, expected: Expected, found: Sequence[dict[str, Any]]) -> Verdict:
    """What the breaks that were found say about a fault."""
    if expected is SILENCE:
        told = tuple(_told(row) for row in found)
        return Verdict(str(fault), place.number, found=True, others=told, opened=len(found))
    candidates = sorted(
        (row for row in found if _is_primary(row, expected)), key=lambda row: len(_wrong(row, expected))
    )
    primary = candidates[0] if candidates else None
    roots = [row for row in found if row is primary or (expected.several and _is_alike(row, primary))]
    others = tuple(_told(row) for row in found if row not in roots and not _follows(row, roots, found))
    opened = sum(row["state"] == expected.state for row in found)
    if primary is None:
        wanted = f"{expected.check} {expected.subject}"
        return Verdict(str(fault), place.number, found=False, others=others, check=wanted, opened=opened)
    wrong = tuple(_wrong(primary, expected))
    return Verdict(
        str(fault), place.number, found=True, wrong=wrong, others=others, example=_told(primary),
        check=NAMES[primary["check_name"]], opened=opened,
    )  # fmt: skip


def _is_primary(row: dict[str, Any], expected: Expected) -> bool:
    return NAMES[row["check_name"]] in expected.check.split() and row["state"] == expected.state


def _is_alike(row: dict[str, Any], primary: dict[str, Any] | None) -> bool:
    same = ("check_name", "state", "cause")
    return primary is not None and all(row[name] == primary[name] for name in same)


def _wrong(row: dict[str, Any], expected: Expected) -> list[str]:
    """What of a break is not as it must be."""
    told = f"{row['subject']} {json.dumps(row['evidence'], default=str)}"
    tests = (
        (expected.subject in row["subject"], f"its subject is {row['subject']}, not of {expected.subject}"),
        (expected.row in told, f"its evidence does not name {expected.row}: {told}"),
        (expected.account in (None, row["account_id"]), f"its account is {row['account_id']}, not {expected.account}"),
        (not expected.days or row["business_date"] in expected.days,
         f"its day is {row['business_date']}, not {', '.join(map(str, expected.days))}"),
        (ANY in expected.causes or row["cause"] in expected.causes,
         f"its cause is {row['cause']}, not {expected.causes}"),
        (expected.delta in (None, row["delta"]), f"it is off by {row['delta']}, not {expected.delta}"),
    )  # fmt: skip
    return [wrong for is_right, wrong in tests if not is_right]


def _follows(row: dict[str, Any], roots: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> bool:
    """Whether a break says that it follows from the right one, at once or through others that do."""
    if row["state"] != "EXPLAINED":
        return False
    by_uid = {other["break_uid"]: other for other in found}
    waiting, seen = [row], set[str]()
    while waiting:
        one = waiting.pop()
        if one in roots:
            return True
        new = [uid for uid in one["follows"] if uid in by_uid and uid not in seen]
        seen.update(new)
        waiting += [by_uid[uid] for uid in new]
    return False


def _told(row: dict[str, Any]) -> str:
    """A break on one line."""
    about = f"{row['state']} {NAMES[row['check_name']]} {row['business_date']} {row['subject']}"
    return f"[{about}: {row['expected']} <> {row['actual']} {row['cause']}]"
