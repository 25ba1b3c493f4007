from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_page import (
    FRONT,
    TIMEOUT_MS,
    Open,
    exploration,
    second_exploration,
)

from hdl.export import verilog
from hdl.multipliers import MultiplierSpec
from reports.page.html_report import write_report
from reports.page.page_data import ShownRun


@pytest.fixture(scope="module")
def coarse_pictures() -> Iterator[None]:
    """PNG at a low resolution, where their pixels are not looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.figures.rendering._PNG_DPI", 20)
        yield


@pytest.fixture(scope="module")
def no_drawings() -> Iterator[None]:
    """Pages whose designs are not drawn, for tests that look at nothing of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.page.html_report.drawings", lambda runs, designs: [])
        yield


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves the plots out where only the words count."""
    monkeypatch.setattr("reports.page.html_report._write_figures", lambda exploration, folder: [])


@pytest.fixture
def only_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures and drawings."""
    monkeypatch.setattr("reports.page.html_report._write_figures", lambda exploration, folder: [])
    monkeypatch.setattr("reports.page.html_report.drawings", lambda runs, designs: [])


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    # Long enough for a machine that does a lot besides; who waits goes on at once.
    sync_api.expect.set_options(timeout=TIMEOUT_MS)
    programs = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    if (program := next(filter(None, programs), None)) is None:
        pytest.skip("no browser: install chromium, e.g. apt-get install chromium")
    # Chromium's sandbox does not work for root, whom tests in containers run as.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=arguments)
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
