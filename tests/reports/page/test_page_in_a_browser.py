"""The report in a real browser as a whole: hostile names, a phone, paper, no scripts, its size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from live_page import (
    FRONT,
    Open,
    mark,
    number_of,
)
from sample_exploration import (
    make_exploration,
    make_point,
)

from hdl.export import verilog
from hdl.multipliers import MultiplierSpec
from reports.page import design_drawings
from reports.page.html_report import write_report
from reports.page.page_data import NumberedDesign, ShownRun

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
)
expect = sync_api.expect
pytestmark = pytest.mark.usefixtures("coarse_pictures")

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2>'\"`${1}\u2028"
)


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
