"""Which changes a step of a walk looks at."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dse.search.synthesis.price_ladder import most_worth


@given(
    arrays(np.float32, st.integers(1, 40), elements=st.sampled_from([-1, 0, 0.25, 0.5, 1])),
    st.integers(1, 45),
)
def test_those_of_the_largest_worth_and_of_equal_ones_the_first(
    saved: np.ndarray, most: int
) -> None:
    lost_pp = np.linspace(0, 0.5, len(saved)).round(1).astype(np.float32)
    worth = saved - np.float32(0.5) * lost_pp
    in_order = sorted(range(len(saved)), key=lambda place: (-worth[place], place))
    wanted = [place for place in in_order if worth[place] > 0][:most]
    assert most_worth(saved, lost_pp, 0.5, most).tolist() == wanted
