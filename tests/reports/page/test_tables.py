from __future__ import annotations

import csv
from dataclasses import fields, replace
from pathlib import Path

import pytest
from sample_exploration import make_exploration, make_point, realistic_exploration

from dse.evaluation.point import DesignPoint, NetworkDrop
from reports.figures.captions import saving
from reports.page.tables import COLUMNS, cell, write_front_csv


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_field_of_a_point_has_its_column() -> None:
    assert set(COLUMNS) | {"networks"} == {field.name for field in fields(DesignPoint)}
    assert list(COLUMNS)[:6] == ["spec", "family", "encoding", "width_a", "width_b", "area_um2"]
    assert list(COLUMNS)[-2:] == ["emulated_images", "retrained"]


def test_drops_of_several_networks_have_columns_of_their_own(tmp_path: Path) -> None:
    drops = (NetworkDrop("small", 87.0, 1.25, 0.5), NetworkDrop("large", 90.0, 0.5, 0.25))
    point = replace(make_point("tm:k=2", 0.5, drop=1.25), networks=drops).emulated_in(
        {"small": (86.5, 88.0), "large": (90.0, 90.25)}, 100
    )
    exploration = make_exploration((point,))
    exploration = replace(exploration, network="small", others=("large",))
    write_front_csv(exploration, tmp_path / "front.csv")
    rows = {row["spec"]: row for row in read(tmp_path / "front.csv")}
    row = rows["tm:k=2"]
    assert (row["emulated_top1_pct"], row["emulated_drop_pp"]) == ("86.50", "1.50")
    assert list(row.items())[-6:] == [
        ("predicted_drop_pp.small", "1.250"),
        ("spread_pp.small", "0.500"),
        ("emulated_drop_pp.small", "1.50"),
        ("predicted_drop_pp.large", "0.500"),
        ("spread_pp.large", "0.250"),
        ("emulated_drop_pp.large", "0.25"),
    ]


def test_designs_that_the_network_was_trained_on_for_come_last(tmp_path: Path) -> None:
    exploration = realistic_exploration(emulated=2)
    tuned = replace(exploration.front.points[1].emulated(86.5, 88.0, 100), retrained=3)
    exploration = replace(exploration, retrained=(tuned,))
    write_front_csv(exploration, tmp_path / "front.csv")
    *front, row = read(tmp_path / "front.csv")
    assert {one["retrained"] for one in front} == {"0"}
    assert (row["spec"], row["retrained"]) == (tuned.spec, "3")
    assert (row["emulated_drop_pp"], row["predicted_drop_pp"]) == (
        "1.50",
        cell(tuned, "predicted_drop_pp"),
    )


def test_the_csv_holds_the_front_in_order(tmp_path: Path) -> None:
    exploration = realistic_exploration(emulated=8)
    write_front_csv(exploration, tmp_path / "front.csv")
    rows = read(tmp_path / "front.csv")
    assert [row["spec"] for row in rows] == [point.spec for point in exploration.front.points]
    for row, point in zip(rows, exploration.front.points, strict=True):
        for column, shown in row.items():
            value = getattr(point, column)
            if value is None:
                assert shown == ""
            elif isinstance(value, float):
                assert float(shown) == pytest.approx(value, rel=5e-5, abs=6e-3)
            else:
                assert type(value)(shown) == value
    assert sum(row["emulated_images"] == "2000" for row in rows) >= 8


def test_awkward_specs_survive_the_csv(tmp_path: Path) -> None:
    spec = 'a "quoted", name\nof my own.v:top;=1+1'
    write_front_csv(make_exploration((make_point(spec, 0.5),)), tmp_path / "front.csv")
    assert [row["spec"] for row in read(tmp_path / "front.csv")] == [spec]


def test_an_empty_front_leaves_the_header(tmp_path: Path) -> None:
    write_front_csv(make_exploration(()), tmp_path / "front.csv")
    assert (tmp_path / "front.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_zero_has_no_sign() -> None:
    assert cell(make_point("drum:k=7", 1.0, drop=-0.0004), "predicted_drop_pp") == "0.000"
    assert cell(make_point("drum:k=7", 1.0, drop=-0.004), "predicted_drop_pp") == "-0.004"


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (0.63, "37 % less area"),
        (0.965, "3.5 % less area"),
        (1.0004, "the same area"),
        (1.2, "20 % more area"),
        (0.9004, "10 % less area"),
    ],
)
def test_savings_in_words(ratio: float, words: str) -> None:
    assert saving(ratio, "area") == words
