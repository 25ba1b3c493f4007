"""Tests of Yosys itself have it work."""

from __future__ import annotations

import pytest

from hdl import yosys


@pytest.fixture(autouse=True)
def nothing_is_made_twice() -> None:
    yosys.keep_results(None)
