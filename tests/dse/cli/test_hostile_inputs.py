"""Every input of the corpus is refused in one line, soon, within bounds of memory, and without a
trace elsewhere.
"""

from __future__ import annotations

import functools
import resource
from pathlib import Path

import pytest
from hostile import CASES
from hostile.cases import NETWORK, Case

from dse.cli import main
from hdl import yosys
from hdl.multipliers import verilog_import

#: Processor time: on a busy machine everything takes longer.
TIME_LIMIT_S = 20.0
#: What one run of Yosys may take here, in place of the 20 s over Verilog and 60 s over the
#: gates behind it that the product allows.
YOSYS_LIMIT_S = 1.0
MEMORY_LIMIT_BYTES = 256 << 20


def processor_s() -> float:
    """What this process has used, with its children that have ended."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


def peak_bytes() -> int:
    """The most memory that this process had. What Yosys may have is a limit of its process
    (`tests/hdl/yosys/test_sandbox.py`).
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(scope="module")
def warm() -> None:
    """What commands load by themselves is loaded: the rest is the input's."""
    from cnn_eval.datasets import load_dataset
    from cnn_eval.zoo import load_model
    from hdl.cells import CellLibrary
    from hdl.multipliers import MultiplierSpec
    from hdl.tables import ProductTable

    load_dataset("digits")
    load_model(NETWORK)
    CellLibrary.load()
    ProductTable.of(MultiplierSpec.parse("exact"))


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 150


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.slow else [])
        for case in CASES
    ],
)
@pytest.mark.slow
def test_it_is_refused(
    case: Case,
    warm: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    work, outside = tmp_path / "work", tmp_path / "outside"
    work.mkdir()
    outside.mkdir()
    (outside / "database").write_bytes(b"")
    monkeypatch.chdir(work)
    case.make()
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    monkeypatch.setattr("sys.argv", ["dse", *case.command])
    monkeypatch.setattr(verilog_import, "TIME_LIMIT_S", YOSYS_LIMIT_S)
    hurried = functools.partial(yosys.run, time_limit_s=YOSYS_LIMIT_S)
    monkeypatch.setattr("hdl.yosys.gate_netlist.run", hurried)
    begun, peak = processor_s(), peak_bytes()
    with pytest.raises(SystemExit) as stop:
        main()
    took = processor_s() - begun
    out, err = capfd.readouterr()
    assert stop.value.code in (2, 3), (out, err)
    lines = [
        line
        for line in err.splitlines()
        if not line.startswith(("search ", "verify ", "profile ", "emulate "))
    ]
    assert len(lines) == 1, err
    assert lines[0].startswith("dse: ")
    assert lines[0].isprintable()
    assert len(lines[0]) < 2000
    assert took < TIME_LIMIT_S
    assert peak_bytes() - peak < MEMORY_LIMIT_BYTES
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "work"]
