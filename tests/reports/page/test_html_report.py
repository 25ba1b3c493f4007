"""The page of a report: what it says, and that it is whole."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from report_page import Page, verilog, words
from sample_exploration import (
    in_arrays,
    in_elements,
    make_exploration,
    make_point,
    realistic_exploration,
)

from dse.search.exploration import Exploration
from reports.page.html_report import write_report

pytestmark = pytest.mark.usefixtures("coarse_pictures", "no_drawings")

TIMES = "\N{MULTIPLICATION SIGN}"
HOSTILE = "</td><script>alert('x')</script><img src=x onerror=alert(1)>${{7*7}}.v:top"


@pytest.fixture(scope="module")
def written(
    coarse_pictures: None, no_drawings: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Exploration, Path]:
    exploration = replace(
        realistic_exploration(emulated=8),
        failures={"udm:blocks=3": "synthesis of udm took longer than 60 s"},
    )
    folder = tmp_path_factory.mktemp("run") / "new folder"
    assert write_report(exploration, folder, verilog=verilog(exploration)) == folder / "report.html"
    return exploration, folder


def test_every_file_is_there(written: tuple[Exploration, Path]) -> None:
    names = {path.name for path in written[1].iterdir()}
    pictures = (
        "front_area_drop",
        "front_power_drop",
        "front_area_power",
        "convergence",
        "verification",
    )
    assert names == {
        "front.csv",
        "report.html",
        *(f"{name}.{ending}" for name in pictures for ending in ("png", "svg")),
    }


def test_the_page_opens_with_the_answer(written: tuple[Exploration, Path]) -> None:
    exploration, folder = written
    pick = exploration.pick
    assert pick is not None
    text = words(Page.read(folder / "report.html").text)
    answer = text[text.index("Build this one") : text.index("Plots")]
    assert answer.startswith(f"Build this one: {pick.spec} ")
    assert f"{pick.predicted_drop_pp:.2f} ± {pick.spread_pp:.2f} points" in answer
    assert f"{pick.emulated_drop_pp:.2f} ± {pick.emulated_error_pp:.2f} points" in answer
    assert "2,000 images" in answer
    assert "less area" in answer


def test_the_page_holds_every_design_of_the_front(written: tuple[Exploration, Path]) -> None:
    exploration, folder = written
    page = Page.read(folder / "report.html")
    specs = [row[0].strip() for row in page.rows]
    with (folder / "front.csv").open(newline="", encoding="utf-8") as file:
        in_csv = [row["spec"] for row in csv.DictReader(file)]
    assert in_csv == [point.spec for point in exploration.front.points]
    assert set(in_csv) <= set(specs)
    assert {f"verilog/mul%20{number}.v" for number in range(len(in_csv))} <= set(page.links)


def test_the_page_needs_nothing_from_elsewhere(written: tuple[Exploration, Path]) -> None:
    exploration, folder = written
    page = Page.read(folder / "report.html")
    assert not any("//" in link or link.startswith(("data:", "javascript:")) for link in page.links)
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert page.tags.count("script") == 2, "the data and what shows it"
    assert "url(http" not in (folder / "report.html").read_text()
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    files = {link for link in page.links if not link.startswith(("#", "verilog/"))}
    assert all((folder / name).is_file() for name in files)
    assert {f"design-{number}" for number in range(len(exploration.front.points))} <= inside


def test_the_page_states_assumptions_versions_and_failures(
    written: tuple[Exploration, Path],
) -> None:
    page = Page.read(written[1] / "report.html")
    assert ["seed", "1"] in page.rows
    text = words(page.text)
    for part in (
        "exact:tree=dadda",
        "sign_magnitude",
        "cifar10-jpeg, 512 training images",
        "sg13g2_compact",
        "Yosys 0.64",
        "0.5.10",
    ):
        assert part in text
    assert ["udm:blocks=3", "synthesis of udm took longer than 60 s"] in page.rows
    assert "8 designs were emulated, of the front and of those that may be the pick" in text
    assert "Mean absolute deviation of predicted from emulated drop" in text


def test_the_same_search_gives_the_same_page(written: tuple[Exploration, Path]) -> None:
    exploration, folder = written
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_report(exploration, folder, verilog=verilog(exploration))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_an_unverified_search_says_how_to_verify_and_clears_old_pictures(tmp_path: Path) -> None:
    (tmp_path / "verification.png").write_bytes(b"from an earlier report")
    exploration = realistic_exploration(60)
    text = words(Page.read(write_report(exploration, tmp_path)).text)
    assert "not verified" in text
    assert "No accuracy in this report was verified." in text
    assert f"dse explore --resume --out {tmp_path} --verify 8 --data DATA" in text
    assert not (tmp_path / "verification.png").exists()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    points = (
        make_point(HOSTILE, 0.4, 0.4, 0.2).emulated(84.0, 84.5, 100),
        make_point("drum:k=6", 0.7, 0.7, 0.1),
    )
    exploration = make_exploration(
        points, network=HOSTILE, data=HOSTILE, encodings=(HOSTILE,), failures={HOSTILE: HOSTILE}
    )
    exploration = replace(
        exploration,
        settings={HOSTILE: [HOSTILE], "cell_library": HOSTILE},
        baseline=make_point(HOSTILE, 1.0),
    )
    page = Page.read(write_report(exploration, tmp_path, verilog={HOSTILE: "javascript:alert(1)"}))
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert page.text.count(HOSTILE) >= 8
    assert "49.v" not in page.text
    assert "javascript:alert(1)" not in page.links


def test_a_search_of_several_formats_names_them(tmp_path: Path) -> None:
    points = (
        make_point("drum:k=6", 0.7, 0.7, 0.1),
        make_point("exact:kind=booth,signed=1,swap=1", 0.8, 0.6, 0.05),
    )
    exploration = make_exploration(points, encodings=("sign_magnitude", "twos_complement"))
    exploration = replace(exploration, settings={**exploration.settings, "swap": True})
    text = words(Page.read(write_report(exploration, tmp_path)).text)
    assert "sign magnitude" in text
    assert "twos complement" in text
    assert "encoding sign_magnitude or twos_complement, profiled" in text
    assert "below the exact quantized network in the format that is the most accurate" in text
    assert "in designs with swap=1 the circuit of the family takes them the other way round" in text
    with (tmp_path / "front.csv").open(newline="", encoding="utf-8") as file:
        assert {row["spec"]: row["encoding"] for row in csv.DictReader(file)} == {
            point.spec: point.encoding for point in points
        }
    alone = words(Page.read(write_report(make_exploration(points[:1]), tmp_path)).text)
    assert "Number formats" not in alone
    assert "swap=1" not in alone


def test_a_search_of_elements_tells_both_levels(tmp_path: Path) -> None:
    run = in_elements(realistic_exploration(40))
    page = Page.read(write_report(run, tmp_path))
    pick = run.pick
    assert pick is not None
    text = words(page.text)
    assert f"Build this one: {pick.name} Against the exact multiplier in a mac" in text
    assert "40 designs evaluated, 81 elements made of them" in text
    assert "elements of mac, dot:lanes=8, dot:lanes=8,gate=zero" in text
    assert "Levels side by side" in text
    assert "Sums of 20 bits in the pick, 26 in the exact one" in text
    specs = [row[0].strip() for row in page.rows]
    assert {point.name for point in run.front.points} <= set(specs)
    figure = (tmp_path / "front_area_drop.svg").read_text()
    assert "Area of the element relative to exact" in figure


@pytest.mark.slow
def test_a_search_of_arrays_tells_all_levels_and_layers(tmp_path: Path) -> None:
    run = in_arrays(realistic_exploration(40))
    page = Page.read(write_report(run, tmp_path))
    pick = run.pick
    assert pick is not None
    text = words(page.text)
    assert f"Build this one: {pick.name} Against the exact multiplier in a mac, in an array" in text
    assert "in a 16 \u00d7 8 systolic array it takes" in text
    assert f"an image, 75 % utilized, and {0.5e-3 * pick.energy_fj:,.1f}" in text
    assert "in a systolic array of 16x8 elements" in text
    assert "The memories are left out." in text
    drawn = (tmp_path / "layers.svg").read_text()
    assert "layer1.0.conv2" in drawn
    with (tmp_path / "front.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    assert (row["array"], row["image_latency_us"], row["utilization_pct"]) == (
        "16x8",
        "1234.50",
        "75.0",
    )
    counted = replace(run, settings={**run.settings, "memory_pj_per_byte": 2.5})
    text = words(Page.read(write_report(counted, tmp_path)).text)
    assert "Every byte that the array reads or writes costs 2.5 pJ." in text
    write_report(in_elements(realistic_exploration(40)), tmp_path)
    assert not (tmp_path / "layers.svg").exists()


def test_an_empty_front(tmp_path: Path) -> None:
    exploration = make_exploration((), history=(), failures={"drum:k=4": "Yosys is broken"})
    page = Page.read(write_report(exploration, tmp_path))
    assert "The front is empty" in page.text
    assert "Yosys is broken" in page.text
    assert page.tags.count("script") == 0


@pytest.mark.usefixtures("without_pictures")
def test_a_single_point(tmp_path: Path) -> None:
    text = words(
        Page.read(
            write_report(make_exploration((make_point("drum:k=4", 0.5, 0.6, 0.7),)), tmp_path)
        ).text
    )
    assert "Build this one: drum:k=4 Against" in text
    assert "50 % less area, 40 % less power, the same delay" in text
    assert "1 design evaluated, 1 on the front from 1 family" in text


@pytest.mark.usefixtures("without_pictures")
def test_without_a_pick_the_nearest_designs_are_named(tmp_path: Path) -> None:
    points = (
        make_point("drum:k=6", 0.8, 0.8, 0.2),
        make_point("tm:k=3", 0.4, 0.5, 3.0),
        make_point("tm:k=5", 0.3, 0.4, 30.0),
    )
    exploration = make_exploration(points, budget="area=0.5")
    assert exploration.pick is None
    text = words(Page.read(write_report(exploration, tmp_path)).text)
    assert (
        "No design of the front keeps the budget area=0.5 with a drop of at most 1 percentage "
        "point."
    ) in text
    assert "Least drop that keeps area=0.5: tm:k=3" in text
    assert "Least area with a drop within 1: drum:k=6" in text


@pytest.mark.usefixtures("without_pictures")
def test_emulation_has_the_last_word_on_the_pick(tmp_path: Path) -> None:
    points = (
        make_point("drum:k=4", 0.5, 0.5, 0.9).emulated(82.0, 84.5, 500),
        make_point("drum:k=6", 0.8, 0.8, 0.2).emulated(84.2, 84.5, 500),
    )
    text = words(Page.read(write_report(make_exploration(points), tmp_path)).text)
    assert "Build this one: drum:k=6" in text
    assert "whose drop, predicted or emulated, stays within 1 percentage point" in text


@pytest.mark.usefixtures("without_pictures")
def test_an_interrupted_search_says_so(tmp_path: Path) -> None:
    text = words(
        Page.read(
            write_report(replace(realistic_exploration(60), interrupted=True), tmp_path / "a b")
        ).text
    )
    assert "This search was interrupted after 60 designs of 300" in text
    assert f"dse explore --resume --out '{tmp_path / 'a b'}'" in text


def test_a_long_front(tmp_path: Path) -> None:
    points = tuple(
        make_point(f"mask:bits=0x{n:016x}", 1 - n / 1000, 0.5 + n / 1000, n / 10)
        for n in range(500)
    )
    exploration = make_exploration(points)
    assert len(exploration.front.points) == 500
    page = Page.read(write_report(exploration, tmp_path))
    assert {point.spec for point in points} <= {row[0].strip() for row in page.rows}
