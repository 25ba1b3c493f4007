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
import os
import re
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from .cache import YosysCache, run_key
from .worker_process import FROM_OUTSIDE, WorkerProcess, YosysError, YosysMissingError

__all__ = ["YosysError", "YosysMissingError", "keep_results", "run", "run_abc", "version"]

#: How often a run is begun that something else ends.
ATTEMPTS = 8

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: One command of Yosys: nothing that ends it, runs another program or hides the rest. Scripts of
#: ABC have their own separators.
_COMMAND = re.compile(r"[a-z_][^;!#`\"\\\x00-\x1f]*( -script \+[^!`\"\\\x00-\x1f]*)?")


_lock = threading.RLock()
_worker: WorkerProcess | None = None
_cache: YosysCache | None = None


def keep_results(path: Path | None) -> None:
    """From now on this process looks results of `run` up in a file (`hdl.yosys.cache`) and keeps
    new ones there; None ends that.
    """
    global _cache
    _cache = None if path is None else YosysCache(path)


def _current_worker() -> WorkerProcess:
    global _worker
    if _worker is not None and not _worker.usable():
        _stop_worker()
    for attempt in range(ATTEMPTS):
        if _worker is None:
            try:
                _worker = WorkerProcess()
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
        worker.process.returncode = 0
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
        if ended_by not in FROM_OUTSIDE:
            raise YosysError(f"{what}: {_reason(said, status)}")
    raise YosysError(
        f"{what}: the Yosys process was killed from outside {ATTEMPTS} times (short of memory?); "
        "run it again"
    )


_TIME_IS_UP = (signal.SIGPROF, signal.SIGXCPU)


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
