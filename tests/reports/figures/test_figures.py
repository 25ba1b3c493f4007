from __future__ import annotations

import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from sample_exploration import (
    CHANCE_PCT,
    EXACT_TOP1_PCT,
    make_exploration,
    make_point,
    realistic_exploration,
)

from dse.search.exploration import Exploration
from dse.search.front import ParetoFront
from hdl.multipliers.families import FAMILIES
from reports.figures.convergence import convergence_figure
from reports.figures.front import area_power_figure, drop_figure, front_figures, staircase
from reports.figures.rendering import inline_svg, svg, write_figure
from reports.figures.style import (
    CLASSES,
    DARK,
    drop_class,
    elided,
    family_marks,
    new_figure,
    ratio_scale,
)
from reports.figures.verification import verification_figure

HOSTILE = "<script>alert(1)</script>$x_{$--> \u202e\U0001f600.v:top"


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))


def fits(figure: Figure) -> bool:
    """Whether all that is drawn lies on the page."""
    svg(figure)
    box, (width_in, height_in) = figure.get_tightbbox(), figure.get_size_inches()
    return bool(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width_in and box.y1 <= height_in)


def test_the_front_plots_say_what_they_show() -> None:
    exploration = realistic_exploration(emulated=8)
    assert exploration.pick is not None
    figures = front_figures(exploration)
    assert list(figures) == ["front_area_drop", "front_power_drop", "front_area_power"]
    for name, figure in figures.items():
        said = texts(figure)
        for part in (
            "300 designs",
            exploration.pick.spec,
            "exact",
            "resnet20",
            "sign_magnitude",
            "sg13g2_compact",
            "84.36 % top-1",
            "µm²",
        ):
            assert part in said, (name, part)
    assert "percentage points, asinh scale" in texts(figures["front_area_drop"])
    assert "413 fJ per operation" in texts(figures["front_power_drop"])
    assert {point.family for point in exploration.front.points} <= set(
        texts(figures["front_area_drop"]).split("\n")
    )
    assert "Emulated drop" in texts(figures["front_area_drop"])


def test_exact_multipliers_of_all_widths_have_a_line() -> None:
    widths = {
        "exact": (1.0, 0.0),
        "exact:width=6x5": (0.5, 0.2),
        "exact:width=5x5": (0.6, 0.3),
        "exact:width=4x3": (0.2, 1.0),
    }
    exact = [
        make_point(spec, area, area, drop, er_pct=0.0) for spec, (area, drop) in widths.items()
    ]
    exploration = make_exploration((*exact, make_point("tm:k=2", 0.3, 0.3, 0.5)), baseline=exact[0])
    for cost in ("area", "power"):
        figure = drop_figure(exploration, cost)
        (line,) = (
            line for line in figure.axes[0].get_lines() if line.get_drawstyle() == "steps-pre"
        )
        assert sorted(zip(*line.get_data(), strict=True))[:3] == [
            (0.0, 1.0),
            (0.2, 0.5),
            (1.0, 0.2),
        ]  # 5x5 is beaten by 6x5
        assert "Exact, of all widths" in texts(figure)
        assert "exact, fewer bits" in texts(figure)
        assert fits(figure)
    figure = area_power_figure(exploration)
    (line,) = (
        one
        for one in figure.axes[0].get_lines()
        if one.get_marker() == "o" and len(one.get_xdata()) > 1
    )
    assert list(zip(*line.get_data(), strict=True)) == [(0.2, 0.2), (0.5, 0.5), (1.0, 1.0)]
    assert "Exact, of all widths" in texts(figure)
    alone = make_exploration(tuple(exact[:1]), baseline=exact[0])
    for figure in (drop_figure(alone, "area"), area_power_figure(alone)):
        assert "Exact, of all widths" not in texts(figure)


def test_delay_is_drawn_when_it_is_an_objective() -> None:
    exploration = realistic_exploration(objectives=("area", "delay", "accuracy"))
    assert "2,104 ps" in texts(front_figures(exploration)["front_delay_drop"])


def test_limits_are_marked() -> None:
    exploration = realistic_exploration(budget="area=0.6", max_drop_pp=2.5)
    assert "drop ≤ 2.5" in texts(drop_figure(exploration, "area"))
    assert "area ≤ 0.6" in texts(drop_figure(exploration, "area"))
    assert "≤ 0.6" not in texts(drop_figure(exploration, "power"))


@pytest.mark.parametrize(
    "draw",
    [lambda e: drop_figure(e, "area"), area_power_figure, convergence_figure],
    ids=["drop", "power", "convergence"],
)
@pytest.mark.parametrize(
    "exploration",
    [
        make_exploration(()),
        make_exploration((make_point("exact:tree=dadda", 1.0),)),
        make_exploration((make_point("drum:k=4", 0.5, 0.6, 0.7),)),
        make_exploration(
            tuple(
                make_point(f"mitchell:w={i}", 0.5 + 0.3 * i, 0.6 + 0.4 * i, i - 3.0)
                for i in range(10)
            ),
            budget="power=0.9",
        ),
        make_exploration(
            (
                make_point(HOSTILE, 0.4, 0.4, 0.2),
                make_point("tm:k=6", 0.1, 0.1, EXACT_TOP1_PCT - CHANCE_PCT),
            )
        ),
    ],
    ids=["empty", "exact alone", "one", "dear", "hostile"],
)
def test_odd_searches_are_drawn_with_all_their_text_inside(
    draw: Callable[[Exploration], Figure], exploration: Exploration
) -> None:
    figure = draw(exploration)
    assert fits(figure)
    ElementTree.fromstring(svg(figure))


def test_designs_beyond_the_axes_are_counted_and_marked_at_the_edge() -> None:
    points = tuple(
        make_point(f"mitchell:w={i}", 0.5 + 0.3 * i, 0.6 + 0.4 * i, 3.0 - i) for i in range(10)
    )
    exploration = make_exploration(points, budget="power=0.9", max_drop_pp=5.0)
    figure = drop_figure(exploration, "area")
    assert "7 above 1.3,\n7 of them on the front" in texts(figure)
    assert {f'xlink:href="#design-{number}"' in svg(figure) for number in range(10)} == {True}
    assert "7 right of 1.3" in texts(area_power_figure(exploration))
    assert "8 above 1.3" in texts(area_power_figure(exploration))


def test_pick_and_budget_are_never_beyond_the_axes() -> None:
    dear = make_exploration(
        (make_point("drum:k=5", 0.5, 1.9, 0.2), make_point("drum:k=4", 0.9, 0.6, 4.0))
    )
    assert dear.pick is not None
    assert drop_figure(dear, "power").axes[0].get_ylim()[1] > dear.pick.power_ratio
    strict = drop_figure(
        make_exploration((make_point("drum:k=4", 0.5),), budget="area=0.2"), "area"
    )
    assert strict.axes[0].get_ylim()[0] < 0.2


def test_many_families_have_room_and_their_own_marks() -> None:
    families = [*FAMILIES, *(f"own{index}" for index in range(28))]
    points = tuple(
        make_point(f"{name}:k={i}", 1 - i / 50, 0.5 + i / 100, i / 2)
        for i, name in enumerate(families)
    )
    figure = drop_figure(make_exploration(points, objectives=("area", "accuracy")), "area")
    assert fits(figure)
    assert len(set(family_marks(families).values())) == len(families)


def test_marks_do_not_depend_on_company() -> None:
    alone = family_marks(["compressor"])["compressor"]
    assert family_marks(["bam", "compressor", "own", "exact"])["compressor"] == alone
    assert family_marks(["own", "another"])["own"] not in family_marks(FAMILIES).values()


def test_circuits_that_a_search_made_have_a_color_of_their_own() -> None:
    made = family_marks(["net"])["net"]
    others = family_marks([*FAMILIES, "imported", "table", "exact"])
    assert made.color not in {mark.color for mark in others.values()}
    assert family_marks(["net", *others])["net"] == made
    assert made.color in DARK
    assert family_marks(["own", "net"])["own"] == family_marks(["own"])["own"]


@pytest.mark.parametrize("cost", ["area", "power"])
def test_the_staircase_is_the_front_in_two_objectives(cost: str) -> None:
    points = realistic_exploration().points
    expected = ParetoFront.of(
        points, (cost, "accuracy"), worst_drop_pp=EXACT_TOP1_PCT - CHANCE_PCT
    ).points
    assert {point.spec for point in staircase(points, cost)} == {point.spec for point in expected}


@pytest.mark.slow
def test_svg_is_the_same_every_time(tmp_path: Path) -> None:
    exploration = realistic_exploration(emulated=8)
    draw: list[Callable[[Exploration], Figure]] = [
        lambda e: drop_figure(e, "area"),
        area_power_figure,
        verification_figure,
        convergence_figure,
    ]
    for number, each in enumerate(draw):
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_figure(each(exploration), tmp_path / folder, str(number))
        for ending in ("svg", "png"):
            assert (tmp_path / "one" / f"{number}.{ending}").read_bytes() == (
                tmp_path / "two" / f"{number}.{ending}"
            ).read_bytes()
        written = (tmp_path / "one" / f"{number}.svg").read_text()
        assert "<a " not in written
        assert "<metadata" not in written


def test_drawing_leaves_no_settings_behind_and_needs_none() -> None:
    exploration = realistic_exploration(40)
    expected = svg(area_power_figure(exploration))
    with matplotlib.rc_context(
        {"axes.facecolor": "#123456", "font.size": 30, "svg.hashsalt": None}
    ):
        assert svg(area_power_figure(exploration)) == expected
        assert matplotlib.rcParams["font.size"] == 30


def test_threads_draw_the_same() -> None:
    exploration = realistic_exploration(40)
    expected = svg(area_power_figure(exploration))
    drawn: list[str] = []
    threads = [
        threading.Thread(target=lambda: drawn.append(svg(area_power_figure(exploration))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drawn == [expected] * 3


def test_verification_states_its_deviation() -> None:
    points = tuple(
        make_point(f"drum:k={k}", 0.4 + 0.1 * k, 0.5 + 0.1 * k, 8.0 - k).emulated(
            80.0 + k, 89.0, 2000
        )
        for k in range(3, 6)
    )
    figure = verification_figure(make_exploration(points))
    assert "mean absolute deviation 1.00 points over 3 designs" in texts(figure)
    assert "2,000 images" in texts(figure)
    assert fits(figure)
    with pytest.raises(ValueError, match="no design was emulated"):
        verification_figure(make_exploration((make_point("drum:k=4", 0.5),)))


def test_inline_svg_follows_the_page_and_names_its_marks() -> None:
    exploration = make_exploration((make_point(HOSTILE, 0.4, 0.4, 0.2),))
    document = svg(area_power_figure(exploration))
    element = inline_svg(document, prefix="p", label='"areas" & more', tips={0: HOSTILE})
    assert element.startswith("<svg ")
    assert not any(color in element for color in DARK)
    assert "var(--figure-ffffff)" in element
    root = ElementTree.fromstring(element)
    assert root.get("aria-label") == '"areas" & more'
    assert {"width", "height", "id"} & set(root.keys()) == set()
    assert [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")] == [HOSTILE]
    ids = {each.get("id") for each in root.iter() if each.get("id")}
    targets = {
        each.get("{http://www.w3.org/1999/xlink}href", "#")[1:]
        for each in root.iter("{http://www.w3.org/2000/svg}use")
    }
    assert targets <= ids
    assert all(str(name).startswith("p-") for name in ids)


@given(st.text(), st.integers(min_value=4, max_value=60))
@settings(max_examples=60)
def test_elided_text_fits(text: str, limit: int) -> None:
    short = elided(text, limit)
    assert len(short) <= limit
    assert short.isprintable()
    if text.isascii() and text.isprintable() and len(text) <= limit:
        assert short == text


@given(st.floats(min_value=-5, max_value=100))
def test_a_drop_has_the_first_class_that_holds_it(drop: float) -> None:
    index = drop_class(drop)
    assert drop <= CLASSES[index][0]
    assert index == 0 or drop > CLASSES[index - 1][0]


@pytest.mark.parametrize(("low", "scale"), [(0.0, "asinh"), (0.09, "asinh"), (0.11, "linear")])
def test_small_costs_are_not_pressed_into_a_corner(low: float, scale: str) -> None:
    _, axes = new_figure()
    ratio_scale(axes, "y", low, 1.3)
    assert axes.get_yscale() == scale
    bottom, top = axes.get_ylim()
    assert bottom < low < top == 1.3
    assert all(low <= tick <= top for tick in axes.get_yticks()) or scale == "linear"
    upward = axes.transData.transform([(0, low), (0, 0.2), (0, 1.3)])[:, 1]
    share = (upward[1] - upward[0]) / (upward[2] - upward[0])
    assert share > 0.2 if scale == "asinh" else share < 0.1
