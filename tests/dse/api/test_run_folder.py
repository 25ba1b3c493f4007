"""Which search a folder holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from small_run import small_search, write_run

from dse.api.run_folder import left, own_folder, search_in
from dse.engine.request import SEARCH_FILE, record_search
from dse.search import RUN_FILE, Exploration


def test_each_search_has_a_folder_of_its_own(tmp_path: Path) -> None:
    wanted, search = tmp_path / "resnet20-area-seed1", small_search()
    assert own_folder(wanted, search) == wanted
    wanted.mkdir()
    record_search(search, wanted)
    assert search_in(wanted) == search
    other = replace(search, max_drop_pp=0.5)
    second = tmp_path / "resnet20-area-seed1-2"
    assert [own_folder(wanted, one) for one in (search, other)] == [wanted, second]
    second.mkdir()
    (second / SEARCH_FILE).write_text("of another version")
    assert search_in(second) is None
    assert own_folder(wanted, other) == tmp_path / "resnet20-area-seed1-3"


def test_what_is_left_of_a_run(tmp_path: Path) -> None:
    notes: list[str] = []
    assert left(tmp_path, notes) is None
    run = write_run(tmp_path / "run", ["exact:tree=serial,width=3x2"])
    assert left(run, notes) == Exploration.load(run)
    assert notes == []
    (run / RUN_FILE).write_text("{}")
    assert left(run, notes) is None
    assert len(notes) == 1
    assert notes[0].endswith("; what it verified is left out")
