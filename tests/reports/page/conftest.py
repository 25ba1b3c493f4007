from __future__ import annotations

from collections.abc import Iterator

import pytest


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
