"""What a search leaves behind, and what is added to it later."""

from __future__ import annotations

from dataclasses import replace

from sample_exploration import make_exploration, make_point


def test_rows_of_retrained_designs() -> None:
    first, second = make_point("tm:k=2", 0.5, drop=1.25), make_point("tm:k=3", 0.4, drop=2.5)
    exploration = make_exploration((first, second))
    rows = [replace(point.emulated(87, 88, 100), retrained=2) for point in (first, second)]
    found = exploration.with_retrained(rows)
    assert found.retrained == tuple(rows)
    # Again for the same design: in its place.
    again = replace(rows[0], retrained=6)
    assert found.with_retrained([again]).retrained == (again, rows[1])
    # What a search goes on to, without a design that it no longer has.
    assert make_exploration((second,)).with_retrained(found.retrained).retrained == (rows[1],)
