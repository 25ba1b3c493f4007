"""Texts of elements: what they say, and what is said of wrong ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.elements.form import CHOICES, ElementForm
from hdl.errors import InputError


@given(
    lanes=st.integers(1, 32),
    bits=st.integers(0, 64),
    **{name: st.sampled_from(values) for name, values in CHOICES.items()},
)
def test_texts_parse_back(lanes: int, bits: int, rows: str, **options: str) -> None:
    form = (
        ElementForm("dot", lanes, rows, bits=bits, **options)
        if lanes > 1
        else ElementForm(bits=bits, **options)
    )
    assert ElementForm.parse(str(form)) == form


def test_defaults_are_left_out() -> None:
    assert str(ElementForm.parse("mac:adder=ripple,gate=none")) == "mac"
    assert str(ElementForm.parse(" dot: gate=zero , lanes=08,rows=auto")) == "dot:lanes=8,gate=zero"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("doot:lanes=8", "no element is called 'doot'; did you mean 'dot'? there are mac, dot"),
        ("dot", "'dot': lanes is missing; write dot:lanes=2..32,[rows=auto|dots|products],"),
        ("dot:lanes=1", "a dot element of 1 lanes is outside 2..32; write for example dot:lanes=8"),
        ("dot:lanes=33", "a dot element of 33 lanes is outside 2..32;"),
        ("dot:lanes=-2", "'dot:lanes=-2': lanes=-2 is not a number; write dot:"),
        ("dot:lanes=2,lanes=3", "'dot:lanes=2,lanes=3': lanes comes twice; write dot:"),
        ("mac:lanes=2", "'mac:lanes=2': 'lanes=2' is not an option of an element; write mac:["),
        ("mac:gate", "'mac:gate': 'gate' is not an option of an element; write mac:["),
        ("mac:gate=one", "gate=one of an element is not none|zero; write mac:["),
        ("mac:bits=65", "a sum of 65 bits is outside 1..64; leave bits= away"),
        ("mac:pipeline=2", "pipeline=2 of an element is not 0|1; write mac:["),
    ],
)
def test_wrong_texts_are_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        ElementForm.parse(text)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
