"""What the database knows last, for those who only read: snapshots, positions, worth, round trips, fills.

Answers never depend on a broker. StorageError for whatever keeps the database from answering. Rows that go out as they
are stored are told as JSON that the server wrote: it writes numbers as they are, and ten times as fast.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, LiteralString

from apex_pipeline.domain.last_known import AccountKnown, LastDay, Worth, is_held, told_position
from apex_pipeline.domain.valuation import RATE_DAYS, Rate, Rates, Trips
from apex_pipeline.store.db import Database
from apex_pipeline.store.scopes import whatever_told_as_storage
from apex_pipeline.store.transaction import Row

BOOK, LEDGER, SNAPSHOT = "BOOK", "LEDGER", "SNAPSHOT"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows are asked for; None means all."""

    account: str | None = None
    broker: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows are asked for: `limit` of them after the first `offset`, none from before `since`."""

    limit: int
    offset: int = 0
    since: datetime | None = None


class LastKnown:
    """Questions of those who only read."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def clock(self) -> datetime:
        """The instant that ages are measured from."""
        return self._fetch("now")[0]["now"]

    def snapshots(self, scope: Scope) -> dict[str, list[Row]]:
        """The newest snapshots by kind (of positions and of worth by account, of risk by scope); `row` is JSON."""
        asked = {"account": scope.account, "broker": scope.broker}
        return {
            "positions": self._fetch("serving_position_snapshots", **asked),
            "accounts": self._fetch("serving_account_snapshots", **asked),
            "risk": self._fetch("serving_risk_snapshots"),
        }

    def known(self, scope: Scope) -> list[AccountKnown]:
        """What is known of each account."""
        asked = {"account": scope.account, "broker": scope.broker}
        held = {(row["broker"], row["account_id"]): row for row in self._fetch("serving_held", **asked)}
        trips = _trips(self._fetch("serving_trips"))
        return [
            _known(row, held.get((row["broker"], row["account_id"])), trips.get(row["account_id"]))
            for row in self._fetch("serving_worth", **asked)
        ]

    def rates(self, currencies: Iterable[str], since: date) -> Rates:
        """Rates of these currencies from some days before `since` on."""
        told = self._fetch(
            "performance_rates", currencies=sorted(currencies), first_day=since - timedelta(RATE_DAYS + 1)
        )
        return Rates(Rate(row["account_id"], row["on_date"], row["source"], row["target"], row["rate"]) for row in told)

    def positions(self, scope: Scope, page: Page) -> tuple[list[Row], list[Row], bool]:
        """What is held, by account and symbol; who says so of each account and when; whether there is more."""
        asked = {"account": scope.account, "broker": scope.broker}
        sources = self._fetch("serving_held", **asked)
        every = [
            (source, row)
            for source, held in self._held(sources, asked)
            for row in held
            if scope.symbol in (None, row.get("symbol"))
        ]
        end = page.offset + page.limit
        rows = [
            {
                **{name: source[name] for name in ("broker", "account_id")},
                **told_position(row),
                **{name: source[name] for name in ("as_of", "age_seconds", "source")},
            }
            for source, row in every[page.offset : end]
        ]
        told = ("broker", "account_id", "as_of", "age_seconds", "source", "positions")
        return rows, [{name: source[name] for name in told} for source in sources], len(every) > end

    def trades(self, scope: Scope, page: Page) -> list[str]:
        """Round trips as JSON, the newest first."""
        return [row["row"] for row in self._fetch("serving_trades", **_paged(scope, page))]

    def fills(self, scope: Scope, page: Page) -> list[str]:
        """Executions as JSON, the newest first; `effective` is false for those that were taken back."""
        return [row["row"] for row in self._fetch("serving_fills", **_paged(scope, page))]

    def told(self, scope: Scope) -> Row:
        """Until when the brokers have told their trades: `as_of` and `age_seconds` of the one told longest ago."""
        return self._fetch("serving_told", account=scope.account, broker=scope.broker)[0]

    def _held(self, sources: list[Row], asked: Mapping[str, Any]) -> Iterable[tuple[Row, list[Row]]]:
        """The rows of each account, of the source that knows it last."""
        of_kind: dict[str, list[Row]] = {kind: [] for kind in (BOOK, LEDGER, SNAPSHOT)}
        for source in sources:
            of_kind[source["kind"]].append(source)
        found: dict[tuple[str, str], list[Row]] = {}
        if of_kind[SNAPSHOT]:
            for row in self._fetch("serving_held_in_snapshots", **asked):
                found[SNAPSHOT, f"{row['broker']} {row['account_id']}"] = sorted(
                    filter(is_held, row["positions"]), key=_symbol
                )
        accounts = [source["account_id"] for source in of_kind[LEDGER]]
        if accounts:
            dates = [source["on_date"] for source in of_kind[LEDGER]]
            for row in self._fetch("serving_held_in_ledger", accounts=accounts, dates=dates):
                found.setdefault((LEDGER, row["account_id"]), []).append(row)
        accounts = [source["account_id"] for source in of_kind[BOOK]]
        if accounts:
            for row in self._fetch("serving_held_in_book", accounts=accounts):
                found.setdefault((BOOK, row["account_id"]), []).append(row)
        for source in sources:
            named = f"{source['broker']} {source['account_id']}" if source["kind"] == SNAPSHOT else source["account_id"]
            yield source, found.get((source["kind"], named), [])

    def _fetch(self, name: LiteralString, **params: Any) -> list[Row]:
        with whatever_told_as_storage():
            return self._db.fetch(name, **params)


def _symbol(told: Mapping[str, Any]) -> str:
    return str(told.get("symbol") or "")


def _paged(scope: Scope, page: Page) -> dict[str, Any]:
    return {
        "account": scope.account,
        "broker": scope.broker,
        "symbol": scope.symbol,
        "since": page.since,
        "most": page.limit,
        "first": page.offset,
    }


def _trips(rows: Iterable[Row]) -> dict[str, Trips]:
    """By account, the ledger's where it has any."""
    found: dict[str, Trips] = {}
    for row in sorted(rows, key=lambda row: row["is_ledger"]):
        found[row["account_id"]] = Trips(row["won"], row["known"], row["every"])
    return found


def _known(row: Row, held: Row | None, trips: Trips | None) -> AccountKnown:
    shot = Worth(row["shot_at"], SNAPSHOT, row["shot_currency"], row["shot_value"], row["shot_cash"])
    newest = Worth(row["day_at"], row["day_source"], row["day_currency"], row["day_value"], row["day_cash"])
    day = LastDay(
        row["business_date"],
        row["day_currency"],
        row["day_value"],
        row["currency_before"],
        row["value_before"],
        row["net_flow"],
    )
    is_shot, is_in_ledger = row["shot_at"] is not None, row["business_date"] is not None
    return AccountKnown(
        broker=row["broker"],
        account_id=row["account_id"],
        worths=(shot,) * is_shot + (newest,) * is_in_ledger,
        day=day if is_in_ledger else None,
        positions=held["positions"] if held else None,
        positions_as_of=held["as_of"] if held else None,
        trips=trips or (Trips() if is_in_ledger else None),
    )
