"""What can be made to go wrong at a simulated gateway, where, how often, and how often it did.

Only the bookkeeping of faults belongs here; the code that is broken by a fault stands where the unbroken
code stands.
"""

from collections import Counter
from enum import StrEnum
from typing import Any

from apex_pipeline.brokers.futu.simulator_wire import (
    CASH_FLOW,
    FEES,
    FILLS,
    FUNDS,
    HISTORY_FILLS,
    HISTORY_KL,
    HISTORY_ORDERS,
    INIT_CONNECT,
    ORDERS,
    POSITIONS,
)


class Fault(StrEnum):
    """REFUSE_INIT and MUTE befall a connection, all others an answer of a protocol in `protocols`.

    MUTE accepts and never answers; NO_ANSWER leaves single requests unanswered; LATE_ANSWER answers after
    `late_seconds`. CUT_BODY halves the body under a valid digest. OTHER_SERIAL and OTHER_ACCOUNT answer something
    that was not asked. SERVER_TIMEOUT says that Futu's servers did not answer the gateway. LOGIN_LOST pushes a
    notice that the login was kicked out and refuses. LOST_ROW loses the row in the middle; LOST_ROWS and
    DUPLICATE_ROWS lose or repeat the first and then every tenth row. UNKNOWN_ENUM gives the first row a side and a
    status that no client knows, UNKNOWN_FIELD each row a field that none knows. NO_TIMESTAMPS leaves out the
    instants, NO_OPTIONALS all that a row need not have. PENDING_FEES sends orders without amounts.
    """

    REFUSE_INIT = "refuse_init"
    MUTE = "mute"
    DROP_BETWEEN_FRAMES = "drop_between_frames"
    DROP_INSIDE_FRAME = "drop_inside_frame"
    WRONG_SHA1 = "wrong_sha1"
    CUT_BODY = "cut_body"
    NO_ANSWER = "no_answer"
    SLOW_BYTES = "slow_bytes"
    RATE_LIMIT_ONCE = "rate_limit_once"
    EMPTY_LIST_ONCE = "empty_list_once"
    LOST_ROW = "lost_row"
    LOST_ROWS = "lost_rows"
    DUPLICATE_ROWS = "duplicate_rows"
    PENDING_FEES = "pending_fees"
    UNKNOWN_ENUM = "unknown_enum"
    UNKNOWN_FIELD = "unknown_field"
    NO_TIMESTAMPS = "no_timestamps"
    NO_OPTIONALS = "no_optionals"
    LATE_ANSWER = "late_answer"
    OTHER_SERIAL = "other_serial"
    OTHER_ACCOUNT = "other_account"
    SERVER_TIMEOUT = "server_timeout"
    LOGIN_LOST = "login_lost"


DATA_PROTOCOLS = frozenset(
    {FUNDS, POSITIONS, ORDERS, FILLS, HISTORY_ORDERS, HISTORY_FILLS, FEES, CASH_FLOW, HISTORY_KL}
)
_STATUS_FIELDS = {ORDERS: "orderStatus", HISTORY_ORDERS: "orderStatus", FILLS: "status", HISTORY_FILLS: "status"}
_EVERY, _UNKNOWN_NUMBER = 10, 99
UNKNOWN_FIELD_NUMBER = 4000
_UNKNOWN_FIELD = b"\x80\xfa\x01\x07"  # field 4000 with the number 7
_TIMESTAMPS = ("createTimestamp", "updateTimestamp", "timestamp")
_ONCE = {Fault.RATE_LIMIT_ONCE, Fault.EMPTY_LIST_ONCE}
_OF_CONNECTIONS = {Fault.REFUSE_INIT, Fault.MUTE}


class FaultPlan:
    """The switches. They may be set from any thread while the gateway runs.

    `active`: names of the faults that are on. `times`: how often a fault still strikes before it switches
    itself off; without an entry for ever, the two `_once` faults once. `protocols`: the protocol ids that
    are hit. `hits`: how often each fault struck. `late_seconds`: how late a LATE_ANSWER is.
    `lost_fills`: deals that no answer tells, whoever asks for them how often.
    """

    def __init__(self) -> None:
        self.active: set[str] = set()
        self.times: dict[str, int] = {}
        self.protocols: set[int] = set(DATA_PROTOCOLS)
        self.hits: Counter[str] = Counter()
        self.late_seconds = 13.0
        self.lost_fills: set[int] = set()

    def strikes(self, fault: Fault, proto_id: int = INIT_CONNECT) -> bool:
        """Whether the fault strikes here and now; a strike is counted."""
        if fault not in self.active or not (fault in _OF_CONNECTIONS or proto_id in self.protocols):
            return False
        self.hits[fault.value] += 1
        left = self.times.get(fault, 1 if fault in _ONCE else None)
        if left is not None:
            self._use_up(fault, left - 1)
        return True

    def spoil(self, proto_id: int, rows: Any) -> None:
        """Apply the faults of lists to the rows of an answer."""
        if self.lost_fills and proto_id in {FILLS, HISTORY_FILLS}:
            kept = [row for row in rows if row.fillID not in self.lost_fills]
            del rows[:]
            rows.extend(kept)
        if rows and self.strikes(Fault.EMPTY_LIST_ONCE, proto_id):
            del rows[:]
        if rows and self.strikes(Fault.LOST_ROW, proto_id):
            del rows[len(rows) // 2]
        if rows and self.strikes(Fault.LOST_ROWS, proto_id):
            kept = [row for n, row in enumerate(rows) if n % _EVERY]
            del rows[:]
            rows.extend(kept)
        if rows and self.strikes(Fault.DUPLICATE_ROWS, proto_id):
            rows.extend([row for n, row in enumerate(rows) if n % _EVERY == 0])
        if rows and proto_id in _STATUS_FIELDS and self.strikes(Fault.UNKNOWN_ENUM, proto_id):
            rows[0].trdSide = _UNKNOWN_NUMBER
            setattr(rows[0], _STATUS_FIELDS[proto_id], _UNKNOWN_NUMBER)
        for fault, strip in _STRIPPED.items():
            if rows and self.strikes(fault, proto_id):
                for row in rows:
                    strip(row)

    def _use_up(self, fault: Fault, left: int) -> None:
        if left > 0:
            self.times[fault] = left
        else:
            self.active.discard(fault)
            self.times.pop(fault, None)


def _add_unknown(row: Any) -> None:
    row.MergeFromString(_UNKNOWN_FIELD)


def _drop_timestamps(row: Any) -> None:
    for name in _TIMESTAMPS:
        if name in row.DESCRIPTOR.fields_by_name:
            row.ClearField(name)


def _drop_optionals(row: Any) -> None:
    for field in row.DESCRIPTOR.fields:
        if not field.is_required:
            row.ClearField(field.name)


_STRIPPED = {
    Fault.UNKNOWN_FIELD: _add_unknown,
    Fault.NO_TIMESTAMPS: _drop_timestamps,
    Fault.NO_OPTIONALS: _drop_optionals,
}
