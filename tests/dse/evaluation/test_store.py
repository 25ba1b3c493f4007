from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dse.evaluation.store import PointStore, StoreError


def test_results_are_kept_by_context(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    with PointStore(path, "one") as store:
        store.put("drum:k=4", {"area_um2": 1.5})
    with PointStore(path, "two") as store:
        assert store.get(["drum:k=4"]) == {}
        store.put("drum:k=4", {"area_um2": 2.5})
        assert len(store) == 1
    with PointStore(path, "one") as store:
        assert store.get(["drum:k=4", "mitchell"]) == {"drum:k=4": {"area_um2": 1.5}}


def test_two_writers_share_a_store(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    with PointStore(path, "c") as first, PointStore(path, "c") as second:
        for index in range(20):
            (first if index % 2 else second).put(f"spec{index}", {"index": index})
        assert len(first) == len(second) == 20


@pytest.mark.slow
def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    writer = (
        "import sys; from pathlib import Path; from dse.evaluation.store import PointStore\nfor "
        "index in range(15):\n    with PointStore(Path(sys.argv[1]), 'c') as store:\n        "
        "store.put(f'own{sys.argv[2]}_{index}', {'index': index})\n        "
        "store.put(f'common{index}', {'index': index})\n"
    )
    command = [sys.executable, "-c", writer, str(path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    processes = [
        subprocess.Popen(
            [*command, str(number)], stderr=subprocess.PIPE, text=True, env=environment
        )
        for number in range(3)
    ]
    assert [process.communicate()[1] for process in processes] == ["", "", ""]
    names = [
        f"{kind}{index}" for kind in ("common", "own0_", "own1_", "own2_") for index in range(15)
    ]
    with PointStore(path, "c") as store:
        assert store.get(names) == {
            name: {"index": index} for name, index in zip(names, [*range(15)] * 4, strict=True)
        }


@pytest.mark.parametrize("damage", ["{not json", "[1, 2]", '{"x": 3}', "00000000 {}", None])
def test_a_damaged_row_reads_as_absent(tmp_path: Path, damage: str | None) -> None:
    path = tmp_path / "points.sqlite"
    with PointStore(path, "c") as store:
        store.put("good", {"x": 1})
        store.put("bad", {"x": 2})
    database = sqlite3.connect(path)
    database.execute(
        "UPDATE known SET result = ? WHERE item = 'bad'",
        (damage if damage is not None else b"\x00\xff",),
    )
    database.commit()
    database.close()
    with PointStore(path, "c") as store:
        assert store.get(["good", "bad"]) == {"good": {"x": 1}}
        store.put("bad", {"x": 3})
        assert store.get(["bad"]) == {"bad": {"x": 3}}


def test_a_changed_digit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    with PointStore(path, "c") as store:
        store.put("spec", {"area_um2": 1234.5})
    content = path.read_bytes()
    assert content.count(b"1234.5") == 1
    path.write_bytes(content.replace(b"1234.5", b"1734.5"))
    with PointStore(path, "c") as store:
        assert store.get(["spec"]) == {}


@pytest.mark.slow
def test_results_survive_a_killed_writer(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    writer = (
        "import sys; from pathlib import Path; from dse.evaluation.store import PointStore\n"
        "store = PointStore(Path(sys.argv[1]), 'c')\n"
        "for index in range(10**6):\n"
        "    store.put(f'spec{index}', {'index': index})\n"
        "    print(index, flush=True)\n"
    )
    repository = str(Path(__file__).parents[3])
    environment = os.environ | {"PYTHONPATH": repository}
    process = subprocess.Popen(
        [sys.executable, "-c", writer, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    acknowledged = -1
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged >= 50:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    specs = [f"spec{index}" for index in range(acknowledged + 1)]
    with PointStore(path, "c") as store:
        assert list(store.get(specs)) == specs


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "points.sqlite"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match=r"point store '.*points\.sqlite': file is not a database"):
        PointStore(path, "c")


@pytest.mark.slow
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with PointStore(tmp_path / "points.sqlite", "c") as store:
        store._database.execute("PRAGMA max_page_count = 4")
        with pytest.raises(StoreError, match="database or disk is full; free space"):
            store.put("spec", {"x": "y" * 100_000})
