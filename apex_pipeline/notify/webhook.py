"""An incoming webhook: {"text": …} by POST, as Slack, Mattermost and Discord (address ending with /slack) read it.

The address is the secret: it is followed nowhere else, and no message of an error holds it.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from apex_pipeline.errors import NotTold
from apex_pipeline.notify.certificates import trusted
from apex_pipeline.notify.patience import within
from apex_pipeline.store.repositories.alerts import Message

SECONDS = 10.0
TOTAL_SECONDS = 15.0
LONGEST_WAIT = 3600.0
TOO_MANY = 429


class Webhook:
    """Posts messages to one address."""

    name = "webhook"
    most = 1800
    """Discord refuses more than 2,000 characters, title included."""

    def __init__(self, url: str, total_seconds: float = TOTAL_SECONDS) -> None:
        self._url = url
        self._total_seconds = total_seconds

    def tell(self, message: Message) -> str | None:
        """Post it, once."""
        with httpx.Client(verify=trusted(), timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
            try:
                answer = within(self._total_seconds, lambda: self._status(client, message), client.close)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
                raise NotTold(f"the webhook cannot be reached ({type(error).__name__})", is_certain=True) from None
            except (httpx.HTTPError, TimeoutError) as error:
                raise NotTold(f"the webhook did not answer ({type(error).__name__})", is_certain=False) from None
            except (httpx.InvalidURL, ValueError) as error:
                told = f"the address of the webhook cannot be used ({type(error).__name__}): see APEX_ALERT_WEBHOOK_URL"
                raise NotTold(told, is_certain=True) from None
        _require_taken(*answer)
        return None

    def _status(self, client: httpx.Client, message: Message) -> tuple[int, str]:
        """The status and Retry-After of the answer; its body is nobody's concern."""
        told = {"text": f"{message.title}\n\n{message.body}"}
        headers = {"User-Agent": "apex-pipeline", "Idempotency-Key": message.message_uid}
        with client.stream("POST", self._url, json=told, headers=headers) as answer:
            return answer.status_code, answer.headers.get("retry-after", "")


def _require_taken(status: int, retry_after: str) -> None:
    if 200 <= status < 300:
        return
    what = "a redirect, which is never followed" if 300 <= status < 400 else "not a success"
    wait = _seconds(retry_after) if status == TOO_MANY else 0.0
    raise NotTold(f"the webhook answered HTTP {status}, {what}", is_certain=status < 500, wait_seconds=wait)


def _seconds(retry_after: str) -> float:
    """What a server that is asked too often wants to be given, within an hour."""
    if retry_after.strip().isdigit():
        return min(LONGEST_WAIT, float(retry_after))
    try:
        at = parsedate_to_datetime(retry_after)
    except (TypeError, ValueError):
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, min(LONGEST_WAIT, (at - datetime.now(UTC)).total_seconds()))
