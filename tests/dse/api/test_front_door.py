"""The front door: what `import dse` offers, and that the page about it tells the truth."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dse
from hdl.errors import InputError, MissingError
from hdl.tables import ProductTable

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_the_page_tells_the_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_folder: Callable[[Path], Path]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_folder(tmp_path / "runs" / "first")
    failed, tried = doctest.testfile(
        str(ROOT / "docs" / "from-python.md"), module_relative=False, encoding="utf-8"
    )
    assert not failed
    assert tried
    assert (tmp_path / "runs" / "first" / "report.html").exists()


def test_the_page_names_all_functions() -> None:
    page = (ROOT / "docs" / "from-python.md").read_text()
    functions = [name for name in dse.__all__ if name.islower()]
    assert [name for name in functions if f"`{name}(" not in page] == []


@pytest.mark.slow
def test_a_script_needs_no_main_guard(tmp_path: Path, run_folder: Callable[[Path], Path]) -> None:
    run_folder(tmp_path / "run")
    script = tmp_path / "search.py"
    script.write_text(
        "import sys\nimport dse\nprint('once')\n"
        "run = dse.explore('resnet20', families=['exact'], activation_bits=4, weight_bits=4, "
        "evaluations=2, out='run', workers=1)\n"
        "print(len(run.points), run.pick.multiplier)\n"
        "print({'torch', 'scipy.stats'} & sys.modules.keys())\n"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    first, pick, loaded = done.stdout.splitlines()
    assert first == "once"
    assert " exact" in pick
    assert loaded == "set()", "slow to load, and of use to none but emulations"
    assert (tmp_path / "run" / "run.json").exists()


def test_importing_loads_nothing_heavy() -> None:
    script = (
        "import sys, dse; print(sorted({'torch', 'numpy', 'amaranth', 'pymoo', 'typer'} & "
        "set(sys.modules)), dse.explore.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "[] explore"
    with pytest.raises(AttributeError, match="module 'dse' has no attribute 'nonsense'"):
        dse.nonsense  # type: ignore[attr-defined]  # noqa: B018


def test_own_verilog_and_tables_are_multipliers(tmp_path: Path) -> None:
    source = tmp_path / "mul.v"
    source.write_text("module top(input [3:0] x, y, output [7:0] z); assign z = x * y; endmodule\n")
    own = dse.multiplier(f"{source}:top")
    assert (own.metrics().wce, own.table().width_a) == (0, 4)
    assert "module mul4u_top_" in own.verilog()
    written = own.export(tmp_path / "out")
    assert [path.suffix for path in written[:3]] == [".v", ".v", ".sdc"]
    assert all(path.parent == tmp_path / "out" / own.design.identifier for path in written)
    exact = ProductTable.exact(8)
    np.save(tmp_path / "table.npy", exact.products)
    table = dse.multiplier(str(tmp_path / "table.npy"))
    assert (table.table().products == exact.products).all()
    with pytest.raises(
        InputError, match=r"table\.npy is a table, which has no circuit; give a spec or Verilog"
    ):
        table.cost()


def test_mistakes_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no profile of network 'absent'"):
        dse.predict("drum:k=4", network="absent")
    with pytest.raises(
        InputError,
        match="this is an unsigned multiplier, and the encoding twos_complement needs a signed one",
    ):
        dse.predict("drum:k=4", network="resnet20", encoding="twos_complement")
    with pytest.raises(InputError, match=r"no run in .*; start one with dse explore"):
        dse.load_run(tmp_path)
    with pytest.raises(InputError, match=r"no run in .*; start one with dse explore"):
        dse.resume(tmp_path)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(MissingError, match="cannot write to the output folder"):
        dse.explore("resnet20", out=tmp_path / "file" / "below")


def test_emulation_measures_what_it_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in range(10):
        (tmp_path / "images" / str(label)).mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(
            tmp_path / "images" / str(label) / "0.png"
        )
    found = dse.emulate(
        "exact", network="resnet20", data=tmp_path / "images", images=8, corrected=False
    )
    assert (found.multiplier, found.images, found.encoding, found.drop_pp) == (
        "exact@8x7",
        8,
        "sign_magnitude",
        0.0,
    )
