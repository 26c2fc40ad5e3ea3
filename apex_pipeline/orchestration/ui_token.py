"""The token of Dagster's page: made once in Dagster's home, and what a person opens with it."""

import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from apex_pipeline.orchestration.ui_guard import TOKEN

TOKEN_FILE = "ui-token"  # noqa: S105  # the name of the file


def token_of(folder: Path) -> str:
    """The token of the page whose Dagster home this is: made once, readable for its owner only."""
    file = folder / TOKEN_FILE
    if not file.exists():
        # linked when it is whole: of several programs that start at once one makes it, and all read the same
        with NamedTemporaryFile("w", dir=folder, encoding="ascii") as made, suppress(FileExistsError):
            made.write(secrets.token_urlsafe(32))
            made.flush()
            file.hardlink_to(made.name)
    return file.read_text("ascii").strip()


def address_of(folder: Path, port: int) -> str:
    """The address that a person opens once; the browser is known from then on."""
    return f"http://127.0.0.1:{port}/?{TOKEN}={token_of(folder)}"
