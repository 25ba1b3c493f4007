"""The catalogue as a whole: any multiplier of any family, and the page that describes the families."""

from __future__ import annotations

import csv
import doctest
from pathlib import Path

import numpy as np
import pytest
from family_checks import assert_gates_follow_the_rule, example, specs
from hypothesis import given, settings

from hdl.component import product, rtlil
from hdl.families import FAMILIES
from hdl.netlist import gates
from hdl.operands import code_values
from hdl.spec import MultiplierSpec
from hdl.table import ProductTable

PAGE = Path(__file__).parents[1] / "docs" / "families.md"


@settings(deadline=None, max_examples=40)
@given(specs())
def test_gates_of_any_multiplier_follow_its_rule(spec: MultiplierSpec) -> None:
    if spec.width <= 8:
        assert_gates_follow_the_rule(spec)
        return
    highest = (1 << spec.width) - 1
    corners = np.array([0, 1, highest >> 1, (highest >> 1) + 1, highest])
    # Operands of every magnitude, so that every window and every shift occurs.
    rng = np.random.default_rng(4)
    a, b = rng.integers(0, highest + 1, (2, 2000)) >> rng.integers(0, spec.width, (2, 2000))
    a, b = np.concatenate([np.repeat(corners, 5), a]), np.concatenate([np.tile(corners, 5), b])
    values = code_values(spec.width, signed=spec.signed)
    expected = product(spec, values[a], values[b]) & (1 << 2 * spec.width) - 1
    np.testing.assert_array_equal(gates(rtlil(spec)).evaluate(a, b), expected, err_msg=str(spec))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("signed", [False, True])
def test_no_circuit_leaves_multiplication_to_yosys(family: str, signed: bool) -> None:
    assert "$mul" not in rtlil(example(family, signed=signed))


def test_one_circuit_does() -> None:
    assert "$mul" in rtlil(MultiplierSpec.make("exact", kind="behavioural"))


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.parameter("tree")])
def test_trees_add_the_same_bits(family: str) -> None:
    spec = example(family)
    values = dict(spec.parameters)
    first, *others = (
        ProductTable.of(MultiplierSpec.make(family, **{**values, "tree": tree})).products for tree in ("dadda", "array", "wallace")
    )
    for products in others:
        np.testing.assert_array_equal(products, first)


def test_every_golden_row_names_a_multiplier(shared: Path) -> None:
    with (shared / "reference" / "golden_metrics_mul8u.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            assert str(MultiplierSpec.parse(row["spec"])) == row["spec"]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_page_describes_every_family(name: str) -> None:
    page = PAGE.read_text()
    described = FAMILIES[name]
    _, heading, section = page.partition(f"\n### `{described.name}`: ")
    assert heading, f"{described.name} has no section"
    section = section.partition("\n#")[0]
    text = " ".join(section.split())
    assert f"Source: {described.source}." in text
    rows = [line for line in section.splitlines() if line.startswith("| `") and line.count("|") == 5]
    assert rows == [
        "| `{}` | {} | {} | {} |".format(
            parameter.name,
            parameter.doc,
            "text" if parameter.text else parameter.spelling(8).replace("|", ", "),
            "required" if parameter.default is None else parameter.default,
        )
        for parameter in described.parameters
    ]
    assert ("Not symmetric in a and b." in text) != described.symmetric
    assert f"`{described.name}`" in next(line for line in page.splitlines() if line.startswith(f"| `{described.signed_form}` |"))


def test_the_page_lists_no_family_that_is_gone() -> None:
    listed = [line.split("`")[1] for line in PAGE.read_text().splitlines() if line.startswith("### `")]
    assert sorted(listed) == sorted(FAMILIES)


def test_examples_of_the_page() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert not failed
    assert tried
