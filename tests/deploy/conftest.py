"""The products of the tests of orchestration, for tests that spread them over workers."""

from tests.orchestration.conftest import place, scenario

__all__ = ["place", "scenario"]
