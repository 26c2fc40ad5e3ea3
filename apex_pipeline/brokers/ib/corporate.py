"""What a corporate action is: by its `type` alone, never by its text, which is for people."""

from apex_pipeline.brokers.ib.attributes import Attributes
from apex_pipeline.domain.ledger import Action

_ACTIONS = {
    "FS": Action.SPLIT,
    "RS": Action.SPLIT,
    "IC": Action.SYMBOL_CHANGE,
    "TC": Action.MERGER,
    "TO": Action.MERGER,
    "DW": Action.MERGER,
}
"""A tender is an exchange for shares that stand for the claim; a delisting without worth pays nothing for them."""

_MATURITY = "BM"


def action_of(row: Attributes) -> Action:
    """The kind of a row; UNKNOWN where no rule covers its type, or the query leaves the type out.

    A bond that matures is a merger for money where the row takes the bond and pays; UnknownPayload if a number in it
    cannot be read.
    """
    kind = (row.text("type") or "").upper()
    if kind == _MATURITY:
        return Action.MERGER if (row.number("quantity") or 0) < 0 and row.number("proceeds") else Action.UNKNOWN
    return _ACTIONS.get(kind, Action.UNKNOWN)
