"""What the page's script is told."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_exploration import (
    in_elements,
    make_exploration,
    make_point,
    realistic_exploration,
    with_accelerator_figures,
)

from dse.evaluation.point import NetworkDrop
from dse.search.data_sizing import recommended
from reports.page import page_data as module
from reports.page.page_data import ShownRun, numbered_designs, page_data


def told(*runs: ShownRun, folder: Path = Path()) -> dict[str, Any]:
    return json.loads(page_data(runs, numbered_designs(runs), folder))


def test_fronts_come_first_and_every_design_once() -> None:
    runs = [ShownRun(name, realistic_exploration(80), {}) for name in ("one", "two")]
    designs = numbered_designs(runs)
    size = len(runs[0].exploration.front.points)
    assert [(one.run, one.on_front) for one in designs[: 2 * size]] == (
        [(0, True)] * size + [(1, True)] * size
    )
    assert not any(one.on_front for one in designs[2 * size :])
    assert len({(one.run, one.point.spec) for one in designs}) == len(designs) == 2 * 80
    data = told(*runs)
    assert data["fields"]["spec"] == [one.point.spec for one in designs]
    assert data["fields"]["predicted_drop_pp"] == [one.point.predicted_drop_pp for one in designs]


@settings(max_examples=30, deadline=None)
@given(limit=st.floats(0, 80), cost=st.sampled_from(["area", "power=0.5", "delay=0.9"]))
def test_the_first_preferred_within_a_drop_is_what_the_search_recommends(
    limit: float, cost: str
) -> None:
    """What may be picked is not on the front alone: drops that were emulated are others."""
    run = realistic_exploration(100, budget=cost)
    emulated = [point.emulated(80.0, 81.0, 1000) for point in run.front.points[::2]]
    run = run.with_points(emulated)
    data = told(ShownRun("", run, {}))
    predicted, measured = (data["fields"][f"{how}_drop_pp"] for how in ("predicted", "emulated"))
    drops = [p if e is None else e for p, e in zip(predicted, measured, strict=True)]
    found = next((n for n in data["runs"][0]["preferred"] if drops[n] <= limit), None)
    expected = recommended(run.comparable, run.budget, limit).point
    assert (None if found is None else data["fields"]["spec"][found]) == (
        None if expected is None else expected.spec
    )


def test_the_slider_stops_at_the_limits_of_the_runs() -> None:
    runs = [
        ShownRun("", make_exploration((make_point("tm:k=1", 0.5),), max_drop_pp=drop), {})
        for drop in (0.333, 61.5)
    ]
    limits = told(*runs)["limits"]
    assert limits == sorted(set(limits))
    assert {0.0, 0.333, 1.0, 61.0, 61.5} <= set(limits)
    assert limits[-1] == 61.5


def test_levels_are_those_that_the_run_has_costs_of() -> None:
    run = realistic_exploration(60)
    assert [level["name"] for level in told(ShownRun("", run, {}))["levels"]] == ["multiplier"]
    data = told(ShownRun("", with_accelerator_figures(run), {}))
    assert [level["name"] for level in data["levels"]] == ["multiplier", "element", "array"]
    own, exact = data["runs"][0]["pick"], data["runs"][0]["baseline"]
    element = data["levels"][1]["costs"]
    assert element["area_um2"][str(own)] == pytest.approx(run.pick.area_um2 + 3600)
    assert element["area_ratio"][str(exact)] == 1
    assert element["delay_ratio"][str(own)] == pytest.approx(5200 / 4600)


def test_in_a_search_of_elements_every_design_has_the_costs_of_its_multiplier() -> None:
    run = in_elements(realistic_exploration(60))
    designs = numbered_designs([ShownRun("", run, {})])
    data = told(ShownRun("", run, {}))
    assert [level["name"] for level in data["levels"]] == ["element", "multiplier"]
    assert data["fields"]["spec"] == [one.point.name for one in designs]
    assert len(set(data["fields"]["spec"])) == 2 * 60 + 1
    assert data["fields"]["area_um2"][0] == pytest.approx(designs[0].point.area_um2)
    alone = {point.spec: point for point in run.screened}
    costs = data["levels"][1]["costs"]
    for number, one in enumerate(designs):
        assert costs["area_ratio"][str(number)] == alone[one.point.spec].area_ratio
        assert costs["energy_fj"][str(number)] == alone[one.point.spec].energy_fj


def test_axes_without_figures_are_left_out() -> None:
    def fields(emulated: int) -> set[str]:
        run = realistic_exploration(60, emulated=emulated)
        return {axis["field"] for axis in told(ShownRun("", run, {}))["axes"]}

    assert fields(4) - fields(0) == {"emulated_drop_pp"}


def test_no_name_ends_the_element_that_the_data_is_in() -> None:
    name = "</script><!--<script>&\u2028"
    run = make_exploration((make_point(name, 0.5),), network=name)
    text = page_data(shown := [ShownRun(name, run, {})], numbered_designs(shown), Path())
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["runs"][0]["name"] == name


def test_verilog_is_packed_as_far_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = (
        make_point("tm:k=1", 0.7),
        make_point("tm:k=2", 0.5, 1.1),
        make_point("tm:k=3", 0.4, 1.2),
    )
    (tmp_path / "a b.v").write_text("module one;")
    (tmp_path / "two.v").write_text("module two;")
    shown = ShownRun(
        "", make_exploration(points), {"tm:k=1": "a b.v", "tm:k=2": "two.v", "tm:k=3": "absent.v"}
    )
    data = told(shown, folder=tmp_path)
    number = {spec: str(index) for index, spec in enumerate(data["fields"]["spec"])}
    packed = data["verilog"][number["tm:k=1"]]
    assert packed["href"] == "a%20b.v"
    assert gzip.decompress(base64.b64decode(packed["packed"])) == b"module one;"
    assert "packed" not in data["verilog"][number["tm:k=3"]]
    monkeypatch.setattr(module, "_MOST_VERILOG_BYTES", len(packed["packed"]))
    entries = told(shown, folder=tmp_path)["verilog"].values()
    assert sum("packed" in entry for entry in entries) == 1


def test_of_a_long_search_the_cheapest_designs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_OFF_THE_FRONT", 10)
    run = realistic_exploration(100)
    designs = numbered_designs([ShownRun("", run, {})])
    assert len(designs) == len(run.front.points) + 10
    assert run.baseline.spec in {one.point.spec for one in designs}


def test_the_drops_of_several_networks_are_axes() -> None:
    points = tuple(
        make_point(
            f"tm:k={k}",
            1 - k / 10,
            drop=k / 2,
            networks=tuple(
                NetworkDrop(name, 80.0, factor * k, 0.4)
                for name, factor in (("a", 0.5), ("b", 0.1))
            ),
        )
        for k in (1, 2, 3)
    )
    run = make_exploration(points, baseline=points[0], network="a", others=("b",))
    other = make_exploration((make_point("drum:k=4", 0.5),))
    data = told(ShownRun("", run, {}), ShownRun("", other, {}))
    (field,) = [a["field"] for a in data["axes"] if a["title"] == "Predicted drop of b, points"]
    found = dict(zip(data["fields"]["spec"], data["fields"][field], strict=True))
    assert [found[point.spec] for point in points] == pytest.approx([0.1, 0.2, 0.3])
    assert found["drum:k=4"] is None
    assert "Drop of a" in [heading["name"] for heading in data["headings"]]
