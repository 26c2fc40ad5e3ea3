"""The brokers there are, made from settings. A third one is one folder and its lines here."""

from pathlib import Path

from apex_pipeline import settings
from apex_pipeline.brokers.contract import BarSource, BrokerPort
from apex_pipeline.brokers.futu import bars
from apex_pipeline.brokers.futu.port import FutuBroker, FutuSettings
from apex_pipeline.brokers.ib.port import IbBroker
from apex_pipeline.brokers.ib.settings import IbSettings
from apex_pipeline.brokers.ib.tws_bar_pace import REQUESTS_PER_WINDOW
from apex_pipeline.brokers.ib.tws_client import TwsEndpoint

FLEX_WINDOW_SECONDS = 60.0


def futu_port(configured: settings.FutuSettings, home: Path) -> BrokerPort:
    """Futu as configured; raises ConfigError for settings that cannot be meant."""
    return _futu(configured, home)


def _futu(configured: settings.FutuSettings, home: Path) -> FutuBroker:
    return FutuBroker(
        FutuSettings(
            home=home / "futu",
            host=configured.host,
            port=configured.port,
            rsa_key_file=configured.rsa_key_file,
            security_firms=configured.security_firms,
            acc_ids=configured.acc_ids,
            requests_per_window=configured.requests_per_window,
            window_seconds=configured.window_seconds,
            batch_fee_size=configured.batch_fee_size,
        )
    )


def ib_port(configured: settings.IbSettings, *, patient: bool = True) -> BrokerPort:
    """Interactive Brokers as configured; raises ConfigError for settings that cannot be meant.

    `patient` False gives up on a dead connection at once, because a person waits.
    """
    return _ib(configured, patient=patient)


def _ib(configured: settings.IbSettings, *, patient: bool = True) -> IbBroker:
    return IbBroker(
        IbSettings(
            flex_url=configured.flex_url,
            token=configured.token or "",
            query_id=configured.query_id or "",
            poll_seconds=configured.poll_seconds,
            requests_per_minute=configured.requests_per_minute,
            patient=patient,
            tws=_tws_endpoint(configured),
        )
    )


def bar_source(broker: str, configured: settings.Settings) -> BarSource | None:
    """A broker as a teller of bars; None where it is not set up to tell any (IB without the TWS API)."""
    if broker == "futu":
        return _futu(configured.futu, configured.home)
    return None if configured.ib.tws_host is None else _ib(configured.ib)


def bar_requests(broker: str, configured: settings.Settings) -> tuple[int, float]:
    """So many requests for bars a broker allows in so many seconds, of all programs."""
    if broker == "futu":
        return bars.REQUESTS_PER_WINDOW, configured.futu.window_seconds
    return REQUESTS_PER_WINDOW, configured.ib.tws_window_seconds


def _tws_endpoint(configured: settings.IbSettings) -> TwsEndpoint | None:
    if configured.tws_host is None:
        return None
    return TwsEndpoint(configured.tws_host, configured.tws_port, configured.tws_client_id)


def normalizing_ports() -> tuple[BrokerPort, ...]:
    """Both brokers, to normalize what is stored: needs no connection and no credentials."""
    defaults = settings.load(environ={})
    return futu_port(defaults.futu, defaults.home), ib_port(defaults.ib)
