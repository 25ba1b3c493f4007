"""Runs of Yosys, and the processes behind them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hdl import yosys
from hdl.yosys import runs

__all__ = [
    "NOT_GATE",
    "SLOW",
    "alive",
    "children",
    "convert",
    "gone",
    "worker_folder",
    "worker_pid",
]

NOT_GATE = "module inv(input a, output y); assign y = ~a; endmodule\n"
#: A constant that takes Yosys half a minute of processor time to find.
SLOW = """
module slow(output [31:0] y);
  function [31:0] count(input [31:0] n);
    integer i;
    begin count = 0; for (i = 0; i < 3000000; i = i + 1) count = count + i; end
  endfunction
  localparam [31:0] C = count(1);
  assign y = C;
endmodule
"""


def convert(source: str = NOT_GATE, **arguments: float | str | bool) -> str:
    return yosys.run(
        ["read_verilog in.v", "write_rtlil out.il"],
        inputs={"in.v": source},
        outputs=["out.il"],
        **arguments,
    )["out.il"]  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        if Path("/proc").is_dir()
        else True
    )


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def worker_folder() -> Path:
    assert runs._worker is not None
    return runs._worker.folder


def worker_pid() -> int:
    assert runs._worker is not None
    return runs._worker.process.pid


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []
