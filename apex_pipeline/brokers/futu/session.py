"""One open session with OpenD: its accounts, and each planned call as one delivery.

Retries: a broken connection is replaced and the request repeated once; a rate limit waits out a full
window; a history window that gets no answer in time is cut down to one day. What is left raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from apex_pipeline.brokers.contract import Acquire
from apex_pipeline.brokers.futu import history, plan, questions, records, vocabulary, wire
from apex_pipeline.brokers.futu.client import Answer, Client
from apex_pipeline.brokers.futu.failures import (
    AnswerTimedOut,
    ConnectionLost,
    NotOffered,
    UnknownInterface,
)
from apex_pipeline.brokers.futu.patience import Patience
from apex_pipeline.brokers.futu.records import Reading
from apex_pipeline.domain.records import (
    ALL_MARKETS,
    Account,
    Call,
    Content,
    Covered,
    Delivery,
    Document,
    Record,
    RecordKind,
    WholeDelivery,
)
from apex_pipeline.errors import BrokerRefused


@dataclass(frozen=True, slots=True)
class Scope:
    """Which accounts of the login are wanted; empty tuples mean all REAL accounts of all firms."""

    acc_ids: tuple[str, ...] = ()
    security_firms: tuple[str, ...] = ()

    def wants(self, row: dict[str, Any]) -> bool:
        """Whether a TrdAcc row is to be loaded; a paper or IPO account only when it is named."""
        if self.acc_ids:
            return row["accID"] in self.acc_ids
        if row.get("trdEnv") != vocabulary.REAL or row.get("accRole") == vocabulary.IPO_ROLE:
            return False
        firm = row.get("securityFirm", 0)
        return not self.security_firms or firm in (0, *(vocabulary.SECURITY_FIRMS[n] for n in self.security_firms))


@dataclass(slots=True)
class FutuSession:
    """A session; see `contract.Session`. `today` bounds what is asked for."""

    client: Client
    acquire: Acquire
    scope: Scope
    window_seconds: float
    today: Callable[[], date]
    _extended_ids: dict[str, str] = field(default_factory=dict)
    _fee_batches: dict[tuple[Any, ...], dict[int, int]] = field(default_factory=dict)

    def accounts(self) -> Sequence[Account]:
        """The wanted accounts, DISABLED ones included; raises BrokerRefused where there is none to load."""
        self.client.connect()
        listed = {row["accID"]: row for row in reversed(self.client.accounts) if "accID" in row}
        missing = [acc_id for acc_id in self.scope.acc_ids if acc_id not in listed]
        if missing:
            raise BrokerRefused(
                f"FUTU_ACC_IDS names {', '.join(missing)}, which this login does not have;"
                f" it has {', '.join(sorted(listed)) or 'no account'}"
            )
        wanted = [_account(row) for row in listed.values() if self.scope.wants(row)]
        if not wanted:
            raise BrokerRefused(
                "this Futu login lists no REAL account to load: check the login of OpenD and FUTU_SECURITY_FIRMS,"
                " or name paper accounts in FUTU_ACC_IDS"
            )
        return sorted(wanted, key=lambda account: account.account_id)

    def fetch(self, call: Call) -> Delivery:
        """Make one call. What Futu does not offer for the account is a note without coverage, not an error."""
        row = self._row(call.account_id)
        try:
            return self._fetch(call, row)
        except BrokerRefused as refusal:
            reason = _why_not_offered(call, row, refusal)
            if reason is None:
                raise BrokerRefused(f"OpenD refused {call}: {refusal}") from refusal
            return WholeDelivery((), (), (), (), (f"{call} is not offered {reason}: {refusal}",))

    def _fetch(self, call: Call, row: dict[str, Any]) -> Delivery:
        match call.data_type:
            case plan.FEES:
                return self._fees(call, row)
            case plan.CASH:
                return self._cash(call, row)
            case plan.POSITIONS | plan.FUNDS:
                return self._state(call, row)
            case plan.TODAY_ORDERS | plan.TODAY_DEALS:
                return self._today(call, row)
            case _:
                return self._history(call, row)

    def _row(self, account_id: str | None) -> dict[str, Any]:
        self.client.connect()
        row = next((row for row in self.client.accounts if row.get("accID") == account_id), None)
        if row is None:
            raise BrokerRefused(f"this Futu login has no account {account_id}: check FUTU_ACC_IDS and OpenD's login")
        return row

    def _history(self, call: Call, row: dict[str, Any]) -> Delivery:
        def ask(first: date, last: date) -> tuple[Document, Reading]:
            begin, end = plan.requested_dates(first, last, self.today())
            document, answer = self._request(call, questions.history(row, call, begin, end))
            return document, self._read(call, answer)

        reading, documents = Reading(), list[Document]()
        for document, part in history.parts(history.AskDays(call, ask), call.from_date, call.to_date):
            documents.append(document)
            reading.merge(part)
        found = list(reading.records.values())
        inside = [record for record in found if call.from_date <= record.business_date <= call.to_date]
        covered = _covered(call, inside)
        return WholeDelivery(documents, found, reading.rejects, (covered,), reading.notes)

    def _today(self, call: Call, row: dict[str, Any]) -> Delivery:
        """Orders and deals of today tell nothing about a whole day, so they cover none."""
        document, answer = self._request_twice(call, questions.today(row, call))
        reading = self._read(call, answer)
        return WholeDelivery([document], list(reading.records.values()), reading.rejects, (), reading.notes)

    def _state(self, call: Call, row: dict[str, Any]) -> Delivery:
        document, answer = self._request_twice(call, questions.state(row, call))
        notes = _beside(call, answer)
        if call.data_type == plan.FUNDS and not answer.rows:
            return WholeDelivery([document], (), (), (), [*notes, f"{call}: OpenD told no funds"])
        account_id, day = call.account_id or "", self.today()
        kind = RecordKind.POSITIONS if call.data_type == plan.POSITIONS else RecordKind.BALANCES
        market = questions.header(row)["trdMarket"]
        record = records.snapshot(kind, account_id, answer.rows, day, answer.received_at, market=market)
        covered = Covered(account_id, call.data_type, ALL_MARKETS, day, day, 1, answer.received_at)
        return WholeDelivery([document], [record], (), (covered,), notes)

    def _cash(self, call: Call, row: dict[str, Any]) -> Delivery:
        if call.from_date != call.to_date:
            raise ValueError(f"{call}: Futu tells its cash flow for one clearing date at a time")
        document, answer = self._request_twice(call, questions.cash(row, call))
        reading = records.cash(call.account_id or "", answer.rows, call.from_date)
        found = list(reading.records.values())
        until = plan.next_weekday(call.from_date) - timedelta(days=1)  # nothing is cleared on a weekend
        covered = Covered(call.account_id or "", call.data_type, ALL_MARKETS, call.from_date, until, len(found))
        return WholeDelivery([document], found, (), (covered,), [*_beside(call, answer), *reading.notes])

    def _read(self, call: Call, answer: Answer) -> Reading:
        account_id = call.account_id or ""
        if call.data_type in (plan.DEALS, plan.TODAY_DEALS):
            reading = records.deals(account_id, answer.rows, self._extended_ids)
        else:
            reading = self._read_orders(account_id, answer)
        reading.notes += _beside(call, answer)
        return reading

    def _read_orders(self, account_id: str, answer: Answer) -> Reading:
        reading = records.orders(account_id, answer.rows)
        for key, record in reading.records.items():
            self._extended_ids[str(record.payload.get("orderID"))] = key
        return reading

    def _fees(self, call: Call, row: dict[str, Any]) -> Delivery:
        document, answer = self._request_twice(call, questions.fees(row, call))
        account_id = call.account_id or ""
        dates = dict(zip(call.ids, call.dates, strict=True)) if isinstance(call, plan.FeeCall) else {}
        reading = records.fees(account_id, answer.rows, dates, call.from_date)
        missing = [order_id for order_id in call.ids if order_id not in reading.records]
        notes = _beside(call, answer)
        if missing:
            notes.append(f"{len(missing)} of {len(call.ids)} asked fees were not returned for {account_id}")
        found = list(reading.records.values())
        return WholeDelivery([document], found, reading.rejects, self._covered_by_fees(call, len(found)), notes)

    def _covered_by_fees(self, call: Call, count: int) -> Sequence[Covered]:
        """The asked days, once the last missing batch of them has come."""
        if not isinstance(call, plan.FeeCall):
            return ()
        days = (call.account_id, call.market, call.from_date, call.to_date, call.batches)
        counts = self._fee_batches.setdefault(days, {})
        counts[call.batch] = count
        if len(counts) < call.batches:
            return ()
        total = sum(counts.values())
        return (Covered(call.account_id or "", call.data_type, call.market, call.from_date, call.to_date, total),)

    def _request_twice(self, call: Call, c2s: dict[str, Any]) -> tuple[Document, Answer]:
        """For requests that cannot be made smaller: once more where no answer came in time."""
        try:
            return self._request(call, c2s)
        except AnswerTimedOut:
            return self._request(call, c2s)

    def _request(self, call: Call, c2s: dict[str, Any]) -> tuple[Document, Answer]:
        interface = plan.INTERFACES[call.data_type]
        answer = self._answer(interface, plan.budget(call.data_type, call.account_id or ""), c2s)
        request = {"interface": interface, "protoID": wire.PROTOCOL_IDS[interface], "c2s": c2s}
        content = Content.of((answer.content,))
        return Document(interface, request, content, answer.media_type, answer.received_at), answer

    def _answer(self, interface: str, budget: str, c2s: dict[str, Any]) -> Answer:
        patient = Patience(self.client, self.acquire, self.window_seconds)
        try:
            return patient.answer(interface, budget, c2s)
        except ConnectionLost:
            return patient.answer(interface, budget, c2s)


def _why_not_offered(call: Call, row: dict[str, Any], refusal: BrokerRefused) -> str | None:
    """Whose absence of a service a refusal states; None where it is a failure."""
    if isinstance(refusal, NotOffered):
        return "by Futu"
    if call.data_type == plan.FEES and row.get("securityFirm") == vocabulary.FUTU_CANADA:
        return "by Moomoo Canada"
    if call.data_type in (plan.ORDERS, plan.DEALS, plan.FEES):
        return None
    if isinstance(refusal, UnknownInterface):
        return "by this version of OpenD"
    return "for a disabled account" if row.get("accStatus") == vocabulary.DISABLED_ACCOUNT else None


def _beside(call: Call, answer: Answer) -> list[str]:
    """A note of fields beside the rows that a newer OpenD sends; the document keeps them."""
    if not answer.unknown:
        return []
    fields = ", ".join(sorted(answer.unknown))
    return [f"{plan.INTERFACES[call.data_type]} answers with fields that this program does not know: {fields}"]


def _account(row: dict[str, Any]) -> Account:
    paper = row.get("trdEnv") == vocabulary.SIMULATE
    return Account(
        account_id=row["accID"],
        markets=tuple(vocabulary.TRD_MARKETS.get(n, str(n)) for n in row.get("trdMarketAuthList", ())),
        environment="SIMULATE" if paper else "REAL",
        status="DISABLED" if row.get("accStatus") == vocabulary.DISABLED_ACCOUNT else "ACTIVE",
        has_trades=not paper,
    )


def _covered(call: Call, inside: Sequence[Record]) -> Covered:
    return Covered(
        call.account_id or "",
        call.data_type,
        call.market,
        call.from_date,
        call.to_date,
        len(inside),
        records.newest_instant(inside),
    )
