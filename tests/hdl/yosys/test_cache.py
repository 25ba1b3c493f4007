"""The cache of Yosys results: what is kept, and that no fault of its file reaches anyone."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hdl import yosys
from hdl.yosys import runs
from hdl.yosys.cache import YosysCache, run_key

COMMANDS = ["read_verilog in.v", "write_rtlil out.il"]
INPUTS = {"in.v": "module inv(input a, output y); assign y = ~a; endmodule\n"}


def convert() -> str:
    return yosys.run(COMMANDS, inputs=INPUTS, outputs=["out.il"])["out.il"]


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yosys.keep_results(tmp_path / "yosys.sqlite")
    yield tmp_path / "yosys.sqlite"
    yosys.keep_results(None)


def test_a_known_run_is_not_repeated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = convert()
    with monkeypatch.context() as patched:
        patched.setattr(runs, "_run", None)
        assert convert() == first
    yosys.keep_results(None)
    assert convert() == first
    assert len(sqlite3.connect(path).execute("SELECT key FROM runs").fetchall()) == 1


def test_a_run_that_failed_is_not_kept(path: Path) -> None:
    for _ in range(2):
        with pytest.raises(yosys.YosysError, match="No such command"):
            yosys.run(["frobnicate"])
    assert (
        not path.exists() or sqlite3.connect(path).execute("SELECT key FROM runs").fetchall() == []
    )


def test_the_key_covers_whatever_a_result_depends_on() -> None:
    runs = [
        ("0.70", COMMANDS, INPUTS, ["out.il"]),
        ("0.71", COMMANDS, INPUTS, ["out.il"]),
        ("0.70", ["opt", *COMMANDS], INPUTS, ["out.il"]),
        ("0.70", COMMANDS, {"in.v": INPUTS["in.v"] + " "}, ["out.il"]),
        ("0.70", COMMANDS, {"other.v": INPUTS["in.v"]}, ["out.il"]),
        ("0.70", COMMANDS, {**INPUTS, "cells.lib": "library (l) {}"}, ["out.il"]),
        ("0.70", COMMANDS, INPUTS, ["out.il", "in.v"]),
        ("0.70", [" ".join(COMMANDS)], INPUTS, ["out.il"]),
    ]
    assert len({run_key(*run) for run in runs}) == len(runs)
    two = {"a": "1", "b": "2"}
    assert run_key("", [], two, []) == run_key("", [], dict(reversed(two.items())), [])


@pytest.mark.parametrize("place", [0, 1, 2, -5, -1])
def test_a_damaged_row_is_made_anew(path: Path, place: int) -> None:
    first = convert()
    database = sqlite3.connect(path, isolation_level=None)
    ((packed,),) = database.execute("SELECT outputs FROM runs").fetchall()
    damaged = bytearray(packed)
    damaged[place] ^= 4
    for content in (bytes(damaged), packed[: len(packed) // 2], b"", "text", 7):
        database.execute("UPDATE runs SET outputs = ?", (content,))
        assert convert() == first
        assert database.execute("SELECT outputs FROM runs").fetchall() == [(packed,)]
    database.close()


def test_a_file_that_is_no_database_and_a_folder_that_is_not_there(
    path: Path, tmp_path: Path
) -> None:
    path.write_bytes(b"this is not a database" * 100)
    assert "cell $not" in convert()
    yosys.keep_results(tmp_path / "absent" / "yosys.sqlite")
    assert "cell $not" in convert()


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    cache = YosysCache(tmp_path / "yosys.sqlite")
    cache.put("small", {"out.il": "text"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        cache.put("large", {"out.il": os.urandom(200_000).hex()})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cache.get("large") is None
    assert cache.get("small") == {"out.il": "text"}


@pytest.mark.slow
def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    path = tmp_path / "yosys.sqlite"
    script = (
        "import sys; from pathlib import Path; from hdl.yosys.cache import YosysCache\ncache = "
        "YosysCache(Path(sys.argv[1]))\nfor index in range(30):\n    cache.put(f'common{index}', "
        "{'out': 'x' * index})\n    cache.put(f'own{sys.argv[2]}_{index}', {'out': 'x' * index})\n "
        "   assert cache.get(f'common{index}') == {'out': 'x' * index}\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", script, str(path)]
    processes = [
        subprocess.Popen(
            [*command, str(number)], stderr=subprocess.PIPE, text=True, env=environment
        )
        for number in range(3)
    ]
    assert [process.communicate()[1] for process in processes] == ["", "", ""]
    cache = YosysCache(path)
    assert all(
        cache.get(f"{kind}{index}") == {"out": "x" * index}
        for kind in ("own0_", "own1_", "own2_")
        for index in range(30)
    )
