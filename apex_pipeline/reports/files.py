"""Files with account numbers in them: whole or not there, and for nobody else on the machine."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp


def private_folder(folder: Path) -> Path:
    """The folder, for nobody else where it was not there yet."""
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A file beside `path`, readable by its owner only, that takes its place when the block ends well."""
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
