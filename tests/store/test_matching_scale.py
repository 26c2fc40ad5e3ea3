"""Both engines on a million random trades; takes minutes."""

import pytest

from apex_pipeline.store.db import Database
from apex_pipeline.store.repositories.matching import match_lots
from bench.ledger import FIRST, LAST, agreement, fill


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_both_engines_give_the_same_lots_and_gains_of_a_million_trades(db: Database) -> None:
    fill(db, 1_000_000, tries=0)
    with db.transaction() as tx:
        match_lots(tx, FIRST, LAST)
    equal, compared = agreement(db)
    assert equal == compared
    assert compared > 1_500_000
