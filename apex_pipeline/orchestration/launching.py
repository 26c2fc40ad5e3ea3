"""Starts runs at a code server, as Dagster does, and writes down on which machine that is, and since which start of it.

The address of a code server is mostly 127.0.0.1: without its machine nobody could tell whose interface is meant.
"""

import hashlib
import socket
from pathlib import Path

from dagster._core.launcher import LaunchRunContext
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher

MACHINE_TAG = "apex/machine"
"""The machine on which a code server runs a run, and the start of that machine."""

_ID, _BOOT = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id")


class ApexRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher; its runs know their machine."""

    def launch_run(self, context: LaunchRunContext) -> None:
        """Have the code server start the run."""
        self._instance.add_run_tags(context.dagster_run.run_id, {MACHINE_TAG: "/".join(this_machine())})
        super().launch_run(context)


def this_machine() -> tuple[str, str]:
    """What tells this machine from others, and its present start from earlier ones; no name that a person gave."""
    name = hashlib.sha256(f"{socket.gethostname()} {_text(_ID)}".encode()).hexdigest()[:16]
    return name, _text(_BOOT)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # not on every system
        return ""
