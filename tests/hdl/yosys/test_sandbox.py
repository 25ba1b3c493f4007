"""What a run of Yosys may read, write, start and take."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from yosys_worker import convert, worker_folder

from hdl import yosys
from hdl.yosys import sandbox
from hdl.yosys.runs import YosysError

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
