"""`apex serve`: what is known last, over HTTP on this machine."""

from apex_pipeline.cli.console import line, say
from apex_pipeline.cli.opening import MIGRATIONS, opened
from apex_pipeline.serving.server import serve as serve_http
from apex_pipeline.settings import Settings


def serve(configured: Settings, port: int) -> None:
    """Serve until Ctrl-C; the embedded PostgreSQL runs as long."""
    with opened(configured, writing=False) as found:
        found.db.close()
        serve_http(found.settings, MIGRATIONS, port, _tell)
    say("stopped; the data stays")


def _tell(address: str) -> None:
    line(address)
    say("read only, for this machine; Ctrl-C ends it")
