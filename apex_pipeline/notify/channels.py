"""The channels that are configured, and what they have in common."""

from typing import Protocol

from apex_pipeline.notify.mail import Mail
from apex_pipeline.notify.webhook import Webhook
from apex_pipeline.settings import AlertSettings
from apex_pipeline.store.repositories.alerts import Message


class Channel(Protocol):
    """A way to tell people. `most`: characters of a body."""

    name: str
    most: int

    def tell(self, message: Message) -> str | None:
        """Send it; returns a remark if not everybody got it. Raises NotTold."""
        ...


def channels_of(configured: AlertSettings) -> list[Channel]:
    """The configured channels; none is the default."""
    found: list[Channel] = []
    if configured.webhook_url:
        found.append(Webhook(configured.webhook_url))
    if configured.mail_server and configured.mail_from:
        found.append(Mail(configured.mail_server, configured.mail_from, configured.mail_to))
    return found
