"""Servers that alerts are told to, and settings that lead there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from apex_pipeline import settings
from apex_pipeline.configuration.alerts import MailServer
from apex_pipeline.settings import AlertSettings, Settings
from tests.notify.servers import Hook, Mailbox, hooked, mailing

SENDER, READER, OTHER = "apex@example.com", "me@example.com", "you@example.com"


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook in clear on this machine."""
    with hooked() as server:
        yield server


@pytest.fixture
def box() -> Iterator[Mailbox]:
    """A mail server in clear on this machine."""
    with mailing() as server:
        yield server


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that the programs of this test trust, and no other."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return made


@pytest.fixture
def configured(tmp_path: Path, hook: Hook, box: Mailbox) -> Settings:
    """Settings that tell both channels."""
    alerts = AlertSettings(hook.url, MailServer("127.0.0.1", box.port, tls_first=False), SENDER, (READER,))
    return replace(settings.load({}, tmp_path / "none.yaml"), alerts=alerts)
