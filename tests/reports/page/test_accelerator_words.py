"""What the page says of a chip's savings and of operands."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_page import Page, words
from sample_exploration import (
    make_exploration,
    make_point,
    with_accelerator_figures,
)

from dse.evaluation.savings import EXACT_TREE, MITCHELL, OperandEnergy
from reports.page.accelerator_words import operand_verdict
from reports.page.html_report import write_report

pytestmark = pytest.mark.usefixtures("coarse_pictures", "no_drawings")

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.mark.usefixtures("without_pictures")
def test_the_page_tells_what_a_chip_saves_and_what_operands_do(tmp_path: Path) -> None:
    """Area: 2,318.4 um2 by itself, 3,600 more around it, 260,000 and 64 multipliers in the array;
    40 million operations an image.
    """
    pick = make_point("drum:k=6", 0.5, 1.5, 0.5)
    exploration = with_accelerator_figures(
        make_exploration((make_point("exact", 1.0), pick), pick=pick)
    )
    write_report(exploration, tmp_path)
    page = Page.read(tmp_path / "report.html")
    rows = {words(row[0]): row[1:] for row in page.rows if row}
    fifteen, fifty = "\N{MINUS SIGN}15 %", "\N{MINUS SIGN}50 %"
    assert rows["Multiplierby itself"] == [
        "2,318",
        "1,159",
        "50 %",
        "413",
        "619",
        fifty,
        "16.5",
        "24.8",
    ]
    assert rows["Elementwith accumulator and registers"][:3] == ["5,918", "4,759", "20 %"]
    assert rows[f"Array8 {TIMES} 8 elements, systolic"] == [
        "408,378",
        "334,189",
        "18 %",
        "3,313",
        "3,819",
        fifteen,
        "132.5",
        "152.8",
    ]
    assert rows["drum:k=6 pick"] == ["1,200", "619", f"{TIMES} 0.52", "300"]
    text = words(page.text)
    assert (
        "By itself the pick takes 50 % less area and 50 % more energy than the exact multiplier; "
        "in the multiply-accumulate element"
    ) in text
    assert f"in an 8 {TIMES} 8 systolic array it takes 18 % less area and 15 % more energy." in text
    assert (
        "less energy than the exact Dadda tree (1,300 against 1,500 fJ), under the operands of "
        "resnet20 more energy (940 against 413"
    ) in text
    assert "the order flips, the ratio goes from 0.87 to 2.28." in text


@pytest.mark.usefixtures("without_pictures")
def test_a_page_of_a_search_without_these_figures_leaves_the_sections_out(tmp_path: Path) -> None:
    write_report(make_exploration((make_point("exact", 1.0),)), tmp_path)
    assert not {"chip", "operands"} & set(Page.read(tmp_path / "report.html").ids)


@pytest.mark.parametrize(
    ("uniform", "of_network", "end"),
    [
        (
            (80, 100),
            (90, 100),
            "less energy (90 against 100 fJ): the order stays, the ratio goes from 0.80 to 0.90.",
        ),
        (
            (120, 100),
            (50, 100),
            "less energy (50 against 100 fJ): the order flips, the ratio goes from 1.20 to 0.50.",
        ),
        (
            (101, 100),
            (50, 100),
            (
                "less energy (50 against 100 fJ): the order is not clear in both cases, the ratio "
                "goes from 1.01 to 0.50."
            ),
        ),
    ],
)
def test_the_sentence_on_operands_follows_the_figures(
    uniform: tuple[float, float], of_network: tuple[float, float], end: str
) -> None:
    energies = [
        OperandEnergy(role, (role,), before, after, 1.0)
        for role, before, after in zip((MITCHELL, EXACT_TREE), uniform, of_network, strict=True)
    ]
    assert operand_verdict(energies, "resnet8").endswith(f"under the operands of resnet8 {end}")
    assert operand_verdict(energies[:1], "resnet8") == ""
