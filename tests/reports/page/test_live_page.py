"""The report in a real browser: what is pointed at, selected, limited, filtered and laid over."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_page import (
    FRONT,
    Open,
    centre,
    chart_box,
    mark,
    number_of,
    second_exploration,
    shown_rows,
)
from sample_exploration import (
    realistic_exploration,
)

from dse.search.data_sizing import recommended
from reports.page.html_report import write_report

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
)
expect = sync_api.expect
pytestmark = pytest.mark.usefixtures("coarse_pictures")


@pytest.mark.slow
def test_what_is_pointed_at_says_what_it_is(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    tip = page.locator("#tip")
    expect(tip).to_be_hidden()
    mark(page, number_of("tm:k=2,width=4")).hover()
    expect(tip).to_contain_text("tm:k=2,width=4")
    expect(tip).to_contain_text(
        "area \N{MULTIPLICATION SIGN}0.300, power \N{MULTIPLICATION SIGN}0.150"
    )
    expect(tip).to_contain_text("predicted drop 3.00 ± 0.58 points")
    chart = page.locator("#chart-1 svg")
    box = chart_box(page)
    x, y = map(float, chart.locator(".other").get_attribute("d")[1:].split("h")[0].split())
    page.mouse.move(box["x"] + x, box["y"] + y)
    expect(tip).to_contain_text("mitchell:width=4")
    expect(tip).to_contain_text("not on the front")
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()


def test_a_click_selects_a_design_everywhere(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    spec = "drum:k=3,width=4"
    number = number_of(spec)
    mark(page, number).click()
    expect(page.locator("#selected h3")).to_have_text(spec)
    expect(page.locator(f"#design-{number}")).to_have_attribute("aria-current", "true")
    expect(page.locator("#designs [aria-current]")).to_have_count(1)
    for chart in (1, 2):
        expect(mark(page, number, chart)).to_have_attribute("aria-selected", "true")
        expect(page.locator(f"#chart-{chart} [aria-selected=true]")).to_have_count(1)
    expect(page.locator(f"figure a.selected[href='#design-{number}']")).to_have_count(3)
    expect(page.locator("#chip-selected")).to_contain_text(spec)
    expect(page.locator("#chip-selected")).to_contain_text("area 30 % less, energy 40 % less")
    expect(page.locator("#selected svg[role=img], #selected .drawing svg").first).to_be_visible()
    expect(page.locator("#selected .drawing img")).to_be_visible()
    page.get_by_text("Show the Verilog").click()
    text = (folder / "verilog" / "drum 3.v").read_text()
    expect(page.locator("#selected pre")).to_have_text(text, use_inner_text=False)
    assert page.locator("#selected pre").text_content() == text
    href = page.locator("#selected a[href*=verilog]").get_attribute("href")
    assert href == "verilog/drum%203.v"


def test_rows_pictures_and_drawings_select_too(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    heading = page.locator("#selected h3")
    page.locator("#designs tbody tr td:nth-child(3)").first.click()
    expect(heading).to_have_text(FRONT[0][0])
    page.get_by_text("Area against power", exact=True).click()
    number = number_of("bam:h=1,v=4,width=4")
    page.locator(f"#figure-front_area_power a[href='#design-{number}']").click(force=True)
    expect(heading).to_have_text("bam:h=1,v=4,width=4")
    page.locator("#drawn + details summary").click()
    page.locator(f"#drawing-{number_of('tm:k=1,width=4')} .pair").click()
    expect(heading).to_have_text("tm:k=1,width=4")
    chart_box(page)
    x, y = centre(page.locator("#chart-1 .baseline").bounding_box())
    page.mouse.click(x, y)
    expect(heading).to_have_text("exact:width=4")
    assert open_page(folder / "report.html").locator("#selected h3").text_content() == FRONT[4][0]


def test_the_limit_moves_the_pick_as_the_search_would(
    open_page: Open, only_words: None, tmp_path: Path
) -> None:
    """At every stop of the slider, for budgets with and without a limit."""
    for budget in ("area", "power=0.45"):
        run = realistic_exploration(150, budget=budget)
        page = open_page(write_report(run, tmp_path / budget))
        found = page.evaluate(
            """() => {
                const slider = document.getElementById("limit"), found = [];
                for (let stop = 0; stop <= Number(slider.max); stop++) {
                    slider.value = stop;
                    slider.dispatchEvent(new Event("input"));
                    const rows = [...document.querySelectorAll("#designs tr.pick td.spec")];
                    found.push([slider.getAttribute("aria-valuetext"),
                        rows.map(row => row.textContent),
                        document.querySelector("#picks li").textContent]);
                }
                return found;
            }"""
        )
        picked = set()
        for words, rows, line in found:
            limit = float(words.split()[0])
            pick = recommended(run.front.points, run.budget, limit).point
            assert rows == ([] if pick is None else [pick.spec]), limit
            assert line.startswith("no design" if pick is None else pick.spec)
            picked.add(pick and pick.spec)
        assert len(found) > 50
        assert len(picked) > 2


def test_the_selection_follows_the_pick_of_the_slider(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    slider = page.locator("#limit")
    expect(page.locator("#limit-shown")).to_have_text("1 point")
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#limit-shown")).to_have_text("1.4 points")
    expect(page.locator("#picks")).to_contain_text("bam:h=0,v=3,width=4")
    expect(page.locator("#selected h3")).to_have_text("bam:h=0,v=3,width=4")
    expect(page.locator("#designs tr.pick td.spec")).to_have_text("bam:h=0,v=3,width=4")
    expect(page.locator("#chart-1 .mark.pick")).to_have_attribute(
        "data-number", str(number_of("bam:h=0,v=3,width=4"))
    )


def test_a_brush_filters_plots_and_table(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    everything = set(range(len(FRONT)))
    assert shown_rows(page) == everything
    box = chart_box(page)
    left, top = box["x"] + box["width"] * 0.3, box["y"] + 20
    right, bottom = box["x"] + box["width"] * 0.75, box["y"] + box["height"] - 60
    inside = {
        number
        for number in everything
        for x, y in [centre(mark(page, number).bounding_box())]
        if left <= x <= right and top <= y <= bottom
    }
    assert 0 < len(inside) < len(everything)
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2)
    page.mouse.move(right, bottom)
    page.mouse.up()
    assert shown_rows(page) == inside
    expect(page.locator("#chart-2 .mark:not(.faded)")).to_have_count(len(inside))
    expect(page.locator("#shown")).to_have_text(f"{len(inside)} of 7 designs of the front shown")
    page.locator("#filter").fill("tm:")
    assert shown_rows(page) == {n for n in inside if FRONT[n][0].startswith("tm:")}
    page.locator("#filter").fill("")
    page.get_by_role("button", name="Show all again").click()
    assert shown_rows(page) == everything


def test_axes_and_levels_switch(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    chart = page.locator("#chart-2")
    chart.locator("select[data-axis=x]").select_option("energy_fj")
    chart.locator("select[data-axis=y]").select_option("predicted_top1_pct")
    expect(chart.locator("svg")).to_have_attribute(
        "aria-label", "Predicted top-1, % against Energy, fJ"
    )
    marks = chart.locator("[data-number]").evaluate_all("a => a.map(m => Number(m.dataset.number))")
    assert marks == sorted(range(len(FRONT)), key=lambda number: FRONT[number][2])
    assert {"area_um2", "delay_ratio", "delay_ps"} <= set(
        chart.locator("select[data-axis=x] option").evaluate_all("a => a.map(o => o.value)")
    )
    page.locator("#level").select_option("element")
    expect(page.locator("#chart-1 .mark")).to_have_count(2)  # the pick and the exact multiplier
    expect(page.locator("#chart-1 .note")).to_contain_text("5 designs of the front have no such")
    page.locator("#level").select_option("multiplier")
    expect(page.locator("#chart-1 .mark")).to_have_count(len(FRONT))


def test_by_keyboard(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html")
    page.locator("#chart-1 select[data-axis=x]").focus()
    page.keyboard.press("Tab")
    focused = "document.activeElement.dataset.number ?? document.activeElement.id"
    assert page.evaluate(focused) == str(number_of("tm:k=1,width=4"))
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == str(number_of("bam:h=0,v=3,width=4"))
    assert page.evaluate("getComputedStyle(document.activeElement).strokeWidth") == "4px"
    expect(page.locator("#tip")).to_contain_text("bam:h=0,v=3,width=4")
    page.keyboard.press("Enter")
    expect(page.locator("#selected h3")).to_have_text("bam:h=0,v=3,width=4")
    assert page.evaluate(focused) == str(number_of("bam:h=0,v=3,width=4"))
    page.locator("#designs tr[tabindex='0']").focus()
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "design-2"
    page.keyboard.press("Enter")
    expect(page.locator("#selected h3")).to_have_text(FRONT[2][0])
    unnamed = page.locator(
        ":is(button, select, input, [role=listbox], [role=option]):not([aria-label], label *, th *)"
    ).evaluate_all("all => all.filter(one => !one.textContent.trim()).map(one => one.outerHTML)")
    assert unnamed == []


def test_two_runs_lie_over_each_other(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "compared.html")
    second = second_exploration()
    assert page.locator("#compared tbody th").all_text_contents() == ["first run", "second run"]
    total = len(FRONT) + len(second.front.points)
    expect(page.locator("#chart-1 .mark")).to_have_count(total)
    expect(page.locator("#chart-1 .mark.run-1")).to_have_count(len(second.front.points))
    expect(page.locator("#designs tbody tr")).to_have_count(total)
    mark(page, len(FRONT)).hover()
    expect(page.locator("#tip")).to_contain_text("second run")
    expect(page.locator("#picks li")).to_have_count(2)
    within = recommended(second.front.points, second.budget, 1.0).point
    expect(page.locator("#picks li").nth(1)).to_contain_text(f"second run: {within.spec}")
    page.locator("#designs tbody tr").last.locator("td").nth(3).click()
    expect(page.locator("#selected")).to_contain_text("second run")
