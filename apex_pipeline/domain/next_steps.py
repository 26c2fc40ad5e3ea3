"""What a person who looks at one break does next, by its state, its cause and its check.

The steps are words only: nothing here, and nothing that they name, makes a row up.
"""

from apex_pipeline.domain.checks import CheckName
from apex_pipeline.domain.reconciliation import TIMING, Break, BreakState

MEANINGS = {
    "MISSING_A": "only the side called actual has it",
    "MISSING_B": "all or a part of it is missing on the side called actual",
    "DUPLICATE": "it is there more often than it should be",
    "FEE_PENDING": "the fee is so young that it may still come",
    TIMING: "time alone should mend it",
    "PIPELINE": "changed or lost on this side, not by the broker",
    "REFERENCE_DATA": "a calendar or another table of reference says otherwise",
    "SCHEMA_DRIFT": "the broker uses a word that no rule knows",
    "CORP_ACTION": "a corporate action is told otherwise, or not at all",
    "OPENING_BALANCE": "it was held before the first day that is loaded",
}
"""Causes in words; a cause without an entry says enough by its name."""

WAITING = frozenset({"FEE_PENDING", TIMING})
MENDED_HERE = CheckName.STORED_ROWS_ARE_WHAT_THEIR_RECORDS_MAKE
KEPT_AS_TOLD = CheckName.RAW_RECORDS_ARE_KEPT_AS_RECEIVED


def meaning(row: Break) -> str:
    """The cause of a break in words, as they follow its name."""
    told = MEANINGS.get(row.cause or "")
    return f" ({told})" if told else ""


def next_step(row: Break, *, unread: bool = False) -> str:
    """What to do about a break. `unread`: records of its account and day stand in quarantine."""
    if row.state is not BreakState.OPEN:
        return _settled(row)
    if row.cause in WAITING:
        return "wait: every load asks again, and the break closes by itself once both sides agree"
    if row.check_name == MENDED_HERE:
        return "`apex reconcile --mend`: the stages write again what was changed beside them"
    if row.cause == "PIPELINE" and row.check_name != KEPT_AS_TOLD:
        return "report it with what stands above: this is a mistake of the program, not of a broker"
    return f"{_asking(row, unread=unread)}; if it stays, tell the broker, or sign it off: {_signing(row)}"


def _settled(row: Break) -> str:
    match row.state:
        case BreakState.CLOSED:
            return "nothing: both sides agree again"
        case BreakState.ACCEPTED:
            return f"nothing until {row.accepted_until}: it is signed off"
        case _ if row.follows:
            return f"mend what it follows from: `apex breaks --explain {row.follows[0]}`"
        case _:
            return "nothing: all of the difference is accounted for"


def _asking(row: Break, *, unread: bool) -> str:
    """The command that asks the broker again, where a broker and a day are known."""
    why = "look at the record in quarantine, which could not be read, and " if unread else ""
    if row.broker is None or row.business_date is None:
        return f"{why}look at both sides"
    account = f" --account {row.account_id}" if row.account_id else ""
    day = f"--from-date {row.business_date} --to-date {row.business_date}"
    return f"{why}ask {row.broker} again: `apex backfill --broker {row.broker.lower()}{account} {day} --force`"


def _signing(row: Break) -> str:
    return f"`apex breaks --accept {row.break_uid} --reason TEXT`"
