"""A scheduler of dask.distributed and its workers as separate machines would be: processes with
folders of their own, which can be turned off.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["Machines", "turn_off"]

ROOT = Path(__file__).parents[2]


class Machines:
    """A scheduler, and workers as they are added; used as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._started = folder, 0
        self.workers: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        deadline = time.monotonic() + 120
        while not (file.exists() and file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.1)
        self.address: str = json.loads(file.read_text())["address"]

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *error: object) -> None:
        for machine in (*self.workers, self.scheduler):
            turn_off(machine)

    def add_worker(self, *options: str) -> None:
        self.workers.append(self._start("worker", self.address, "--nthreads", "1", *options))

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        place = self._folder / f"machine{self._started}-{command[0]}"
        place.mkdir()
        self._started += 1
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "helpers")))
        with (place / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command, "--no-dashboard"],
                cwd=place,
                env={**os.environ, "PYTHONPATH": paths, "TMPDIR": str(place)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def turn_off(machine: subprocess.Popen[bytes]) -> None:
    """Kills all processes of a machine at once."""
    if machine.poll() is None:
        os.killpg(machine.pid, signal.SIGKILL)
    machine.wait()
