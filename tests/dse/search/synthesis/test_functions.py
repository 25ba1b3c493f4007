"""Truth tables: against evaluation minterm by minterm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dse.search.synthesis.functions import (
    depends_on,
    factored,
    full,
    joined,
    permuted,
    restricted,
    variable,
)


def counted(least: int = 1) -> st.SearchStrategy[tuple[int, int]]:
    """A function, and of how many inputs it is."""
    return st.integers(least, 5).flatmap(
        lambda count: st.tuples(st.integers(0, full(count)), st.just(count))
    )


def value(function: int, inputs: list[int]) -> int:
    return function >> sum(bit << place for place, bit in enumerate(inputs)) & 1


def assignments(count: int) -> list[list[int]]:
    return [[m >> place & 1 for place in range(count)] for m in range(1 << count)]


@given(counted(), st.data())
def test_restriction_and_its_inverse(subject: tuple[int, int], data: st.DataObject) -> None:
    function, count = subject
    index = data.draw(st.integers(0, count - 1))
    parts = [restricted(function, count, index, fixed) for fixed in (0, 1)]
    for inputs in assignments(count):
        rest = inputs[:index] + inputs[index + 1 :]
        assert value(function, inputs) == value(parts[inputs[index]], rest)
    assert joined(*parts, count, index) == function
    assert depends_on(function, count, index) == (parts[0] != parts[1])


@given(counted(), st.data())
def test_permutation(subject: tuple[int, int], data: st.DataObject) -> None:
    function, count = subject
    order = tuple(data.draw(st.permutations(range(count))))
    changed = permuted(function, count, order)
    for inputs in assignments(count):
        assert value(function, inputs) == value(changed, [inputs[old] for old in order])


@given(counted())
def test_two_input_gates_make_the_same_function(subject: tuple[int, int]) -> None:
    function, count = subject
    if function in (0, full(count)):
        return
    steps, result = factored(function, count)
    for inputs in assignments(count):
        values = list(inputs)
        for kind, operands in steps:
            found = [values[operand] for operand in operands]
            gate = kind.removeprefix("~")
            plain = {"&": min, "|": max, "^": lambda x: x[0] ^ x[1], "": lambda x: x[0]}[gate](
                found
            )
            values.append(plain ^ kind.startswith("~"))
        assert values[result] == value(function, inputs)


def test_a_cell_of_a_library_takes_its_own_gates() -> None:
    and_and_nor = full(4) ^ ((variable(0, 4) & variable(1, 4)) | (variable(2, 4) & variable(3, 4)))
    steps, _ = factored(and_and_nor, 4)
    assert [kind for kind, _ in steps] == ["&", "&", "~|"]
