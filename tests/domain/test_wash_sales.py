"""The window and the words of the wash-sale report; what is flagged is proved with the store."""

from datetime import date

from apex_pipeline.domain.instruments import US_INDEX_CLASSES, option_underlying, stock_symbol
from apex_pipeline.domain.wash_sales import INDEX_PREFIX, NOTE, WINDOW


def test_the_window_is_sixty_one_days_with_the_day_itself() -> None:
    assert (date(2026, 3, 31) + WINDOW) - (date(2026, 3, 31) - WINDOW) == 2 * WINDOW
    assert 2 * WINDOW.days + 1 == 61
    assert "not tax advice" in NOTE


def test_options_on_indexes_are_told_by_their_underlying_and_shares_are_not() -> None:
    assert all((option_underlying("US", root) or "").startswith(INDEX_PREFIX) for root in US_INDEX_CLASSES)
    assert not stock_symbol("US", "SPY").startswith(INDEX_PREFIX)
