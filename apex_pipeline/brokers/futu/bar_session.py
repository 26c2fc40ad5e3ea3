"""One open session with OpenD that asks for bars.

A request that gets no answer, or whose connection breaks, begins anew once, from its first page on: nobody says that
the key of a page outlives the connection that told it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from apex_pipeline.brokers.contract import Acquire
from apex_pipeline.brokers.futu import bars
from apex_pipeline.brokers.futu.client import Client
from apex_pipeline.brokers.futu.failures import AnswerTimedOut, ConnectionLost, UnknownInterface, is_quota_reached
from apex_pipeline.brokers.futu.patience import Patience
from apex_pipeline.domain.market import BarAnswer, BarAsk, BarQuota
from apex_pipeline.errors import BrokerRefused, BrokerUnavailable, QuotaReached, UnknownPayload

Told = TypeVar("Told")

HISTORY, QUOTA = "Qot_RequestHistoryKL", "Qot_RequestHistoryKLQuota"


@dataclass(slots=True)
class FutuBarSession:
    """A session for bars; see `contract.BarSession`."""

    client: Client
    acquire: Acquire
    window_seconds: float

    def quota(self) -> BarQuota:
        """How many more instruments may be asked for, and the codes of those that were, in Futu's current days."""
        return _twice(self._quota)

    def bars(self, ask: BarAsk) -> BarAnswer:
        """All bars of the ask; a refusal where Futu has none to give of this instrument, in OpenD's own words."""
        if refusal := bars.refusal(ask):
            return BarAnswer((), refusal)
        return _twice(lambda: self._bars(ask))

    def _quota(self) -> BarQuota:
        answer = self._patience().answer(QUOTA, f"futu:{QUOTA}", {"bGetDetail": True})
        try:
            return bars.quota(answer.beside, answer.rows)
        except UnknownPayload as error:
            raise BrokerUnavailable(f"OpenD's answer about the quota of bars cannot be read: {error}") from error

    def _bars(self, ask: BarAsk) -> BarAnswer:
        self.client.connect()  # a connection that is refused is refused to all instruments
        try:
            return BarAnswer(bars.read(self._rows(ask), ask))
        except UnknownInterface:
            raise
        except BrokerRefused as refused:
            if is_quota_reached(refused):
                raise QuotaReached(f"OpenD refused {ask}: {refused}") from refused
            return BarAnswer((), f"OpenD refused {ask}: {refused}")
        except UnknownPayload as error:
            return BarAnswer((), f"OpenD's answer to {ask} cannot be read: {error}")

    def _rows(self, ask: BarAsk) -> list[dict[str, Any]]:
        """The rows of all pages. Only the first counts against the limit (documented), so only it takes a budget."""
        rows: list[dict[str, Any]] = []
        page_key = ""
        while True:
            budget = "" if page_key else f"futu:{HISTORY}"
            answer = self._patience().answer(HISTORY, budget, bars.question(ask, page_key))
            if not bars.is_answered(ask, answer.beside):
                self.client.close()
                raise ConnectionLost(f"OpenD answered {ask} with the bars of another instrument")
            rows += answer.rows
            following = answer.beside.get("nextReqKey", "")
            if not following:
                return rows
            if following == page_key or not answer.rows:
                raise BrokerUnavailable(f"OpenD says of {ask} that more follows and does not go on")
            page_key = following

    def _patience(self) -> Patience:
        return Patience(self.client, self.acquire, self.window_seconds)


def _twice(make: Callable[[], Told]) -> Told:
    try:
        return make()
    except (AnswerTimedOut, ConnectionLost):
        return make()
