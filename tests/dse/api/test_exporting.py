"""What a text means to `dse export`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sample_exploration import make_exploration, make_point

from dse.api.exporting import exported_designs
from dse.search.exploration import RunError
from hdl.errors import InputError
from hdl.multipliers.netlist import NetlistDesign


def test_a_spec_is_one_design() -> None:
    ((design, encoding),) = exported_designs("drum:k=4,width=8x5")
    assert (design.name, encoding) == ("drum:k=4,width=8x5", "")


def test_a_run_is_the_designs_on_its_front(tmp_path: Path) -> None:
    made = NetlistDesign(2, 2, False, "&0,2 &0,3 &1,2 &1,3 ^5,6 > 4 8 7 L")
    points = (
        make_point("exact", 1.0),
        make_point("drum:k=4,signed=1", 0.6, drop=0.5),
        replace(make_point(made.name, 0.3, drop=0.9), family="net"),
    )
    encodings = ("sign_magnitude", "twos_complement")
    replace(make_exploration(points), made=(made,), encodings=encodings).save(tmp_path)
    found = {design.name: encoding for design, encoding in exported_designs(str(tmp_path))}
    assert found == {
        "exact": "sign_magnitude",
        "drum:k=4,signed=1": "twos_complement",
        made.name: "sign_magnitude",
    }
    paths = [design.export(tmp_path / "out")[0] for design, _ in exported_designs(str(tmp_path))]
    assert [path.is_file() for path in paths] == [True] * 3


def test_a_folder_called_as_a_family_is_the_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("exact").mkdir()
    ((design, _),) = exported_designs("exact")
    assert design.name == "exact"
    Path("runs").mkdir()
    with pytest.raises(RunError, match=r"no run in 'runs': run\.json is missing"):
        exported_designs("runs")
    with pytest.raises(InputError, match="no multiplier family is called 'run'"):
        exported_designs("run")
