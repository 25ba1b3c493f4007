"""The tools that exported designs are for, run on every design of a folder.

    python -m bench.exports RUN_OR_FOLDER ... [--workers 2]

The folders of runs, or those that `dse export -o` wrote to, are copied, and nothing is written
into them. Each design has its test bench run by Icarus Verilog, and FuseSoC's targets `lint`
(Verilator, -Wall; a warning fails) and `sim` (Icarus Verilog), and its cocotb test. A test bench
has to say PASS. Prints a Markdown table, a tool in each row, and what failed with the end of the
tool's output. Fails if something did. It needs the extra `dev`, Icarus Verilog and Verilator.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TIME_LIMIT_S = 300
PASSED = re.compile(r"^PASS \d+ (pairs|sums)\b", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What a tool made of a design."""

    passed: bool
    output: str
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", metavar="RUN_OR_FOLDER")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        designs = copied(options.folders, Path(temporary) / "designs")
        if not designs:
            sys.exit(f"{options.folders[0]} has no exported designs; give what dse export wrote to")
        with ThreadPoolExecutor(options.workers) as threads:
            outcomes = {tool: list(threads.map(TOOLS[tool], designs)) for tool in TOOLS}
    print(f"| {len(designs)} designs | passed | seconds a design |\n|---|---:|---:|")
    for tool, found in outcomes.items():
        mean_s = sum(outcome.seconds for outcome in found) / len(found)
        print(f"| {tool} | {sum(outcome.passed for outcome in found)} | {mean_s:.1f} |")
    failed = [
        f"\n{tool}, {design.name}:\n{outcome.output[-2000:]}"
        for tool, found in outcomes.items()
        for design, outcome in zip(designs, found, strict=True)
        if not outcome.passed
    ]
    print(*failed, sep="\n")
    sys.exit(bool(failed))


def copied(folders: Sequence[Path], target: Path) -> list[Path]:
    """Copies of the designs in folders of runs or of `dse export`, one folder each."""
    designs = (
        design
        for folder in folders
        for design in sorted((folder / "verilog" if run(folder) else folder).iterdir())
        if (design / f"{design.name}.core").is_file()
    )
    return [Path(shutil.copytree(design, target / design.name)) for design in designs]


def run(folder: Path) -> bool:
    return (folder / "verilog").is_dir()


def icarus(design: Path) -> Outcome:
    sources = sorted(file.name for file in design.glob("*.v"))
    compiled = ran(design, "iverilog", "-g2001", "-o", "bench", *sources)
    return benched(ran(design, "vvp", "-n", "bench")) if compiled.passed else compiled


def lint(design: Path) -> Outcome:
    outcome = fusesoc(design, "lint")
    warned = "Warning-" in outcome.output
    return Outcome(outcome.passed and not warned, outcome.output, outcome.seconds)


def sim(design: Path) -> Outcome:
    return benched(fusesoc(design, "sim"))


def cocotb(design: Path) -> Outcome:
    outcome = ran(design, sys.executable, f"test_{design.name}.py")
    passed = outcome.passed and "TESTS=1 PASS=1 FAIL=0" in outcome.output
    return Outcome(passed, outcome.output, outcome.seconds)


TOOLS: dict[str, Callable[[Path], Outcome]] = {
    "test bench in Icarus Verilog": icarus,
    "`fusesoc run --target lint` (Verilator, -Wall)": lint,
    "`fusesoc run --target sim` (Icarus Verilog)": sim,
    "cocotb with Icarus Verilog": cocotb,
}


def fusesoc(design: Path, target: str) -> Outcome:
    roots = ("--cores-root", str(design))
    return ran(
        design, sys.executable, "-m", "fusesoc.main", *roots, "run", "--target", target, design.name
    )


def benched(outcome: Outcome) -> Outcome:
    passed = outcome.passed and bool(PASSED.search(outcome.output))
    return Outcome(passed, outcome.output, outcome.seconds)


def ran(folder: Path, *command: str) -> Outcome:
    started = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome(False, f"not done after {TIME_LIMIT_S} s", TIME_LIMIT_S)
    except FileNotFoundError:
        return Outcome(False, f"{command[0]} is not installed", 0.0)
    return Outcome(done.returncode == 0, done.stdout, time.perf_counter() - started)


if __name__ == "__main__":
    main()
