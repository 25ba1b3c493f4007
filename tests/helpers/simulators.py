"""The simulators and linters that exported designs are tried with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_icarus = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not installed"
)
needs_verilator = pytest.mark.skipif(
    shutil.which("verilator") is None, reason="Verilator is not installed"
)


def simulate(folder: Path, *files: Path, status: int = 0) -> str:
    """What Icarus Verilog prints, which ends with `status`; a complaint of the compiler or the
    simulator is a failure.
    """
    compiled = subprocess.run(
        ["iverilog", "-g2001", "-o", folder / "run", *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (compiled.returncode, compiled.stdout, compiled.stderr) == (0, "", "")
    run = subprocess.run(
        ["vvp", "-n", folder / "run"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (status, "")
    return run.stdout


def lint(*files: Path, options: tuple[str, ...] = ()) -> str:
    """What a strict Verilator has to say about designs."""
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", *options, *files],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert bool(done.returncode) == bool(done.stderr)
    return done.stdout + done.stderr
