"""Mail by SMTP: TLS from the first byte or by STARTTLS, never a login or a message in clear to another machine.

A message has the same Message-ID in every attempt, by which mailboxes know a second copy.
"""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import format_datetime, localtime
from threading import Event

from apex_pipeline.configuration.alerts import MailServer
from apex_pipeline.errors import NotTold
from apex_pipeline.notify.certificates import trusted
from apex_pipeline.notify.patience import within
from apex_pipeline.store.repositories.alerts import Message

SECONDS = 10.0
TOTAL_SECONDS = 25.0
OWN_NAME = "[127.0.0.1]"
"""What the client calls itself: the name of this machine is nobody's concern, and finding it may take seconds."""

_SAID_NO = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)
"""The server answered, so that nothing of the message was taken."""


class Mail:
    """Sends plain text to a few people."""

    name = "mail"
    most = 20_000

    def __init__(
        self, server: MailServer, sender: str, readers: Sequence[str], total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self._server = server
        self._sender = sender
        self._readers = tuple(readers)
        self._total_seconds = total_seconds

    def tell(self, message: Message) -> str | None:
        """Send it, once."""
        context = trusted()
        server, sending, abandoned = self._server, Event(), Event()
        client = _Encrypted(server.host, context) if server.tls_first else _Plain(server.host)

        def work() -> int:
            self._log_in(client, context)
            mail = self._mail(message)
            if abandoned.is_set():
                raise TimeoutError
            sending.set()
            return len(client.send_message(mail))

        def abandon() -> None:
            abandoned.set()
            _hang_up(client)

        try:
            refused = within(self._total_seconds, work, abandon)
        except (OSError, ValueError) as error:  # smtplib raises the first, and the other of what it cannot write
            is_certain = not sending.is_set() or isinstance(error, _SAID_NO)
            raise NotTold(f"the mail server {_reason(error)}", is_certain=is_certain) from None
        finally:
            with suppress(OSError):
                client.close()
        return f"refused for {refused} of {len(self._readers)} addresses" if refused else None

    def _log_in(self, client: smtplib.SMTP, context: ssl.SSLContext) -> None:
        server = self._server
        client.connect(server.host, server.port)
        client.ehlo()
        if not server.tls_first and (client.has_extn("starttls") or not server.is_here):
            if not client.has_extn("starttls"):
                raise NotTold("the mail server offers no STARTTLS: use smtps:// if it speaks that", is_certain=True)
            client.starttls(context=context)
            client.ehlo()
        if server.user and server.password:
            client.login(server.user, server.password)

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self._sender
        mail["To"] = ", ".join(self._readers)
        mail["Date"] = format_datetime(localtime())
        mail["Message-ID"] = f"<{message.message_uid}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.body)
        return mail


class _Plain(smtplib.SMTP):
    """Begins in clear; not connected yet."""

    def __init__(self, host: str) -> None:
        super().__init__(local_hostname=OWN_NAME, timeout=SECONDS)
        self._host = host  # whose certificate is asked for


class _Encrypted(smtplib.SMTP_SSL):
    """Encrypted from the first byte; not connected yet."""

    def __init__(self, host: str, context: ssl.SSLContext) -> None:
        super().__init__(local_hostname=OWN_NAME, timeout=SECONDS, context=context)
        self._host = host


def _hang_up(client: smtplib.SMTP) -> None:
    """End what another thread waits for; to close the client would wait for that thread."""
    if client.sock:
        with suppress(OSError):
            client.sock.shutdown(socket.SHUT_RDWR)


def _reason(error: OSError | ValueError) -> str:
    """What happened, without the words of the server, which may repeat a login."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return f"refuses the login ({error.smtp_code}): see APEX_ALERT_SMTP_URL and APEX_ALERT_SMTP_PASSWORD"
        case smtplib.SMTPRecipientsRefused():
            codes = sorted({code for code, _ in error.recipients.values()})
            return f"takes nothing for these addresses ({', '.join(map(str, codes))}): see APEX_ALERT_MAIL_TO"
        case smtplib.SMTPSenderRefused():
            return f"takes nothing from this address ({error.smtp_code}): see APEX_ALERT_MAIL_FROM"
        case smtplib.SMTPResponseException():
            return f"refuses the message ({error.smtp_code})"
        case ssl.SSLCertVerificationError():
            return "shows a certificate that cannot be trusted"
        case ValueError():
            return "cannot be told this: its name, its login or an address holds characters that SMTP has no form for"
        case _:
            return f"cannot be reached, or did not answer ({type(error).__name__})"
