"""Planting a fault in a copy of a clean year, running the pipeline, and judging the breaks."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from apex_pipeline.store.db import Database
from tests.conftest import clone
from tests.faults.seeded_books import load_books, told_books
from tests.faults.seeded_fault import Expected, Fault, Verdict, Where, breaks, judged
from tests.faults.seeded_flex import Statements
from tests.faults.seeded_opend import Answers
from tests.faults.seeded_stored import Stored
from tests.faults.seeded_year import Lacks, Loading, Place, prepared

LACKS = {
    Where.STATEMENTS: Lacks.STATEMENTS,
    Where.HISTORY: Lacks.HISTORY,
    Where.CASH_FLOW: Lacks.CASH_FLOW,
}
"""What is told last, with the fault in it; everything was told before for the others."""


@dataclass(frozen=True)
class Bench:
    """Where faults are planted: a server with the clean years, and a folder for what brokers keep at home."""

    server_url: str
    template: str
    home: Path

    def verdict(self, fault: Fault, place: Place) -> Verdict:
        """Plant a fault at a place; NoPlaceError where it cannot be."""
        name = self._prepared(place, fault.where)
        with contextmanager(clone)(self.server_url, name) as url, Database(url) as db:
            expected = self._planted(fault, place, db)
            return judged(fault, place, expected, breaks(url))

    def clean(self, place: Place, where: Where = Where.STORED) -> list[str]:
        """The breaks of a clean year, of which there must be none."""
        with contextmanager(clone)(self.server_url, self._prepared(place, where)) as url, Database(url) as db:
            if where is Where.BOOKS:
                assert load_books(db, self.home / "books", told_books(place.number)) == []
            return [
                f"{row['check_name']} {row['business_date']} {row['subject']} {row['evidence']}" for row in breaks(url)
            ]

    def _prepared(self, place: Place, where: Where) -> str:
        if where is Where.BOOKS:
            return self.template
        return prepared(self.server_url, self.template, place, self.home, LACKS.get(where, Lacks.NOTHING))

    def _planted(self, fault: Fault, place: Place, db: Database) -> Expected:
        if fault.where is Where.BOOKS:
            plant, told = _Planting(fault, place), told_books(place.number)
            plant(told)
            load_books(db, self.home / "books", told)
            return plant.expected[0]
        loading = Loading(place, db, self.home)
        if fault.stored:
            expected = fault.stored(Stored(db.url, fault.broker), fault.dice(place), place)
            if place.number == 0:
                for day in expected.days[:1]:
                    loading.reconcile(day, day)
        elif fault.free:
            expected = fault.free(loading, fault.dice(place), place)
            loading.derive()
        elif fault.told:
            plant = _Planting(fault, place)
            loading.statements(place.first, place.last, daily=True, plant=plant)
            expected = plant.expected[0]
            loading.derive()
        else:
            expected = self._answered(fault, place, loading)
            loading.derive()
        loading.reconcile()
        return expected

    def _answered(self, fault: Fault, place: Place, loading: Loading) -> Expected:
        assert fault.answers
        told = Answers()
        expected = fault.answers(told, fault.dice(place), place)
        if fault.where is Where.CASH_FLOW:
            loading.cash_flow(place.cash_days[0], place.cash_days[-1], told)
        else:
            loading.history(told, again=fault.where is Where.HISTORY_AGAIN)
        planted = told.dropped | told.changed.keys() | told.added.keys() | told.moved.keys()
        assert planted <= told.seen, f"{fault} was never told: {planted - told.seen}"
        return expected


@dataclass
class _Planting:
    """Plants a fault in the first answer and remembers which break must open."""

    fault: Fault
    place: Place
    expected: list[Expected] = field(default_factory=list[Expected])

    def __call__(self, told: Statements) -> None:
        assert self.fault.told
        self.expected.append(self.fault.told(told, self.fault.dice(self.place), self.place))
