"""Emulated accuracies of a design point."""

from __future__ import annotations

import pytest
from design_points import make_point


@pytest.mark.parametrize(("lost", "images"), [(14, 2000), (2, 1000), (7, 1000), (9, 1000)])
def test_a_design_that_loses_as_much_as_is_allowed_keeps_the_limit(lost: int, images: int) -> None:
    """Percentages of images do not subtract to the last bit."""
    limit_pp = 100 * lost / images
    for right in range(8 * images // 10, 9 * images // 10):
        top1_pct, exact_pct = 100 * (right - lost) / images, 100 * right / images
        point = make_point("tm:k=1", 0.5).emulated(top1_pct, exact_pct, images)
        assert point.emulated_drop_pp is not None
        assert point.emulated_drop_pp <= limit_pp
        assert point.emulated_drop_pp == pytest.approx(limit_pp)
