"""The report in a real browser: what is pointed at, selected, limited, filtered and laid over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sample_exploration import (
    make_exploration,
    make_point,
    realistic_exploration,
    with_accelerator_figures,
)

from dse.search.data_sizing import recommended
from dse.search.exploration import Exploration
from hdl.export import verilog
from hdl.multipliers import MultiplierSpec
from reports.page import design_drawings
from reports.page.html_report import write_report
from reports.page.page_data import NumberedDesign, ShownRun

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
)
expect = sync_api.expect
# Long enough for a machine that does a lot besides; who waits goes on at once.
TIMEOUT_MS = 60_000
expect.set_options(timeout=TIMEOUT_MS)

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.skipif(
        BROWSER is None, reason="no browser: install chromium, e.g. apt-get install chromium"
    ),
    pytest.mark.usefixtures("coarse_pictures"),
]

#: Designs of a front, small enough to be drawn at once: spec, area, power, drop.
FRONT = (
    ("mask:bits=d200,tree=array,width=4", 0.10, 0.05, 40.0),
    ("bam:h=1,v=4,width=4", 0.22, 0.30, 6.0),
    ("tm:k=2,width=4", 0.30, 0.15, 3.0),
    ("bam:h=0,v=3,width=4", 0.45, 0.50, 1.4),
    ("tm:k=1,width=4", 0.55, 0.35, 0.9),
    ("drum:k=3,width=4", 0.70, 0.60, 0.3),
    ("exact:width=4", 1.00, 1.00, 0.0),
)
OFF = ("mitchell:width=4", 0.80, 0.90, 2.0)
HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>'\"`${1}\u2028"
)

Open = Callable[..., Any]


def exploration() -> Exploration:
    points = tuple(make_point(*values, width_a=4, width_b=4) for values in (*FRONT, OFF))
    return with_accelerator_figures(make_exploration(points, baseline=points[len(FRONT) - 1]))


def second_exploration() -> Exploration:
    points = tuple(
        make_point(spec, 0.9 * area, 0.8 * power, drop + 0.05, width_a=4, width_b=4)
        for spec, area, power, drop in FRONT[2:]
    )
    return make_exploration(points, baseline=points[-1], network="vgg11", max_drop_pp=2.0)


@pytest.fixture(scope="module")
def folder(coarse_pictures: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with its report, another run laid over it, and the Verilog of one design."""
    folder = tmp_path_factory.mktemp("runs") / "first run"
    (folder / "verilog").mkdir(parents=True)
    spec = FRONT[5][0]
    (folder / "verilog" / "drum 3.v").write_text(verilog(MultiplierSpec.parse(spec)))
    files = {spec: "verilog/drum 3.v"}
    write_report(exploration(), folder, verilog=files)
    second = ShownRun("second run", second_exploration(), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.page.html_report.drawings", lambda runs, designs: [])
        patch.setattr("reports.page.html_report._write_figures", lambda exploration, folder: [])
        write_report(exploration(), folder, verilog=files, beside=second)
    return folder


@pytest.fixture
def only_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures and drawings."""
    monkeypatch.setattr("reports.page.html_report._write_figures", lambda exploration, folder: [])
    monkeypatch.setattr("reports.page.html_report.drawings", lambda runs, designs: [])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # Chromium's sandbox does not work for root, whom tests in containers run as.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=BROWSER, args=arguments)
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens a file. Afterwards: no page asked for anything but itself, no script failed or was
    kept from running.
    """
    asked: list[str] = []
    said: list[str] = []
    contexts = []

    def opened(path: Path, **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            page.locator("#chart-2 [data-number]").first.wait_for(state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:///", "data:image/png;"))] == []
    assert all(url.partition("#")[0].endswith(".html") for url in asked if url[:5] == "file:")


def mark(page: Any, number: int, chart: int = 1) -> Any:
    return page.locator(f"#chart-{chart} [data-number='{number}']")


def number_of(spec: str) -> int:
    """The number of a design of `exploration` on its page: its place on the front."""
    return [values[0] for values in FRONT].index(spec)


def chart_box(page: Any) -> dict[str, float]:
    """Where the first plot is, after it was brought into view."""
    chart = page.locator("#chart-1 svg")
    chart.scroll_into_view_if_needed()
    return chart.bounding_box()


def centre(box: dict[str, float]) -> tuple[float, float]:
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def shown_rows(page: Any) -> set[int]:
    rows = page.locator("#designs tbody tr:not([hidden])")
    return {
        int(name.removeprefix("design-")) for name in rows.evaluate_all("a => a.map(r => r.id)")
    }


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


def test_hostile_names_run_nothing(open_page: Open, only_words: None, tmp_path: Path) -> None:
    points = (
        make_point(HOSTILE, 0.4, 0.4, 0.2, family=HOSTILE),
        make_point("drum:k=6", 0.7, 0.7, 0.1),
    )
    run = replace(
        make_exploration(points, network=HOSTILE, data=HOSTILE, failures={HOSTILE: HOSTILE}),
        settings={HOSTILE: HOSTILE},
    )
    beside = ShownRun(HOSTILE, run, {HOSTILE: "javascript:window.hacked=3"})
    path = write_report(
        run, tmp_path, verilog={HOSTILE: "javascript:window.hacked=4"}, beside=beside
    )
    page = open_page(path)
    mark(page, 0).hover(force=True)
    expect(page.locator("#tip strong")).to_have_text(HOSTILE)
    mark(page, 0).click(force=True)
    assert page.locator("#selected h3").text_content() == HOSTILE
    page.locator("#filter").fill("<script>")
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 0
    links = page.locator("a").evaluate_all("all => all.map(a => a.protocol)")
    assert set(links) <= {"file:", ":", ""}


def test_no_other_script_would_run(open_page: Open, folder: Path) -> None:
    """The page's policy is the second wall: what got into it would neither run nor load."""
    page = open_page(folder / "report.html")
    policy = page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_on_a_phone(open_page: Open, folder: Path) -> None:
    for name in ("report.html", "compared.html"):
        page = open_page(
            folder / name, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        mark(page, number_of("tm:k=2,width=4")).tap()
        expect(page.locator("#selected h3")).to_have_text("tm:k=2,width=4")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_without_scripts_everything_is_there(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html", java_script_enabled=False)
    expect(page.locator("#explorer")).to_be_hidden()
    expect(page.locator("#filter")).to_be_hidden()
    assert page.locator("#designs tbody tr:visible").count() == len(FRONT)
    assert page.locator("figure svg:visible").count() == 4
    assert page.locator("#drawings .drawing svg:visible").count() == len(FRONT)
    assert page.locator("#drawings img:visible").count() == len(FRONT)


def test_printed_and_in_the_dark(open_page: Open, folder: Path) -> None:
    page = open_page(folder / "report.html", color_scheme="dark")
    color = "getComputedStyle(document.documentElement).backgroundColor"
    last = f"document.querySelector('#chart-1 [data-number=\"{len(FRONT) - 1}\"]')"
    ink = f"getComputedStyle({last}).fill"
    dark, dark_ink = page.evaluate(color), page.evaluate(ink)
    page.emulate_media(color_scheme="light")
    assert (page.evaluate(color), dark) == ("rgb(255, 255, 255)", "rgb(20, 24, 29)")
    assert page.evaluate(ink) != dark_ink
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate(color) == "rgb(255, 255, 255)"
    expect(page.locator("#explorer")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("figure svg:visible").count() == 4
    assert page.locator("#drawings .drawing:visible").count() == 1
    page.evaluate("dispatchEvent(new Event('afterprint'))")


@pytest.mark.usefixtures("coarse_pictures")
@pytest.mark.slow
def test_a_hundred_designs_take_less_than_three_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = MultiplierSpec.parse("compressor:kind=momeni1,cols=8")
    point = make_point(str(spec), 0.5)
    small = make_exploration((point,))
    (drawn,) = design_drawings.drawings([ShownRun("", small, {})], [NumberedDesign(point, 0, True)])
    monkeypatch.setattr(
        design_drawings, "_drawing", lambda number, design, run: replace(drawn, number=number)
    )
    points = tuple(
        make_point(f"mask:bits=0x{n:016x}", 1 - n / 200, 0.5 + n / 300, n / 5) for n in range(100)
    ) + tuple(make_point(f"bam:v={n}", 1.1, 1.2 + n / 1000, 60.0) for n in range(380))
    run = make_exploration(points)
    assert len(run.front.points) == 100
    (tmp_path / "one.v").write_text(verilog(spec))
    files = dict.fromkeys((point.spec for point in run.front.points), "one.v")
    page = write_report(run, tmp_path, verilog=files).read_text()
    assert len(page.encode()) < 3_000_000
    assert page.count('class="drawing') == 100
    assert page.count('"packed"') == 100
