"""The door to Yosys: results, errors, limits, and runs that something else ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time

import pytest
from yosys_worker import NOT_GATE, SLOW, children, convert, worker_pid

from hdl import yosys
from hdl.yosys import runs
from hdl.yosys.runs import YosysError

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


def test_a_crash_is_named() -> None:
    recursion = (
        "function integer f(input integer n); f = f(n + 1); endfunction localparam X = f(0);"
    )
    with pytest.raises(YosysError, match=r"^crash: "):
        convert(f"module m(output [31:0] y); {recursion} assign y = X; endmodule", subject="crash")
    assert "cell $not" in convert()


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


def test_abc_answers_and_its_failures_are_errors() -> None:
    blif = ".model m\n.inputs a\n.outputs y\n.names a y\n0 1\n.end\n"
    assert "nd =" in yosys.run_abc(["read_blif in.blif", "print_stats"], inputs={"in.blif": blif})
    with pytest.raises(YosysError, match=r"^slow: ABC took longer than the limit of 0\.3 s"):
        yosys.run_abc(
            ["gen -N 64 -m m.blif", "read_blif m.blif", "strash", "if -K 6", "cec -T 100 m.blif"],
            time_limit_s=0.3,
            subject="slow",
        )


def test_version_is_short_and_stable() -> None:
    assert yosys.version() == yosys.version()
    assert yosys.version()[0].isdigit()
    assert "\n" not in yosys.version()
