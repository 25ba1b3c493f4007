"""The catalogue as a whole: any multiplier of any family, and the page that describes the
families.
"""

from __future__ import annotations

import csv
import doctest
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from family_checks import assert_gates_follow_the_rule, example, specs
from hypothesis import given, settings

from hdl.multipliers.elaboration import product, rtlil
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import Widths, code_values
from hdl.tables.product_table import ProductTable
from hdl.yosys.gate_netlist import gates

DOCS = Path(__file__).parents[4] / "docs"
INDEX, PAGES = DOCS / "families.md", sorted((DOCS / "families").glob("*.md"))


@settings(deadline=None, max_examples=40)
@given(specs())
@pytest.mark.slow
def test_gates_of_any_multiplier_follow_its_rule(spec: MultiplierSpec) -> None:
    if spec.widths.product <= 16:
        assert_gates_follow_the_rule(spec)
        return
    # Operands of every magnitude, so that every window and every shift occurs.
    rng = np.random.default_rng(4)
    highest = (1 << np.array(spec.widths)[:, None]) - 1
    corners_a, corners_b = np.concatenate(
        [highest * 0, highest * 0 + 1, highest >> 1, (highest >> 1) + 1, highest], axis=1
    )
    a, b = rng.integers(0, highest + 1, (2, 2000)) >> rng.integers(
        0, np.array(spec.widths)[:, None], (2, 2000)
    )
    a, b = np.concatenate([np.repeat(corners_a, 5), a]), np.concatenate([np.tile(corners_b, 5), b])
    values_a, values_b = (code_values(width, signed=spec.signed) for width in spec.widths)
    expected = product(spec, values_a[a], values_b[b]) & (1 << spec.widths.product) - 1
    np.testing.assert_array_equal(gates(rtlil(spec)).evaluate(a, b), expected, err_msg=str(spec))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("signed", [False, True])
def test_no_circuit_leaves_multiplication_to_yosys(family: str, signed: bool) -> None:
    assert "$mul" not in rtlil(example(family, signed=signed))


def test_one_circuit_does() -> None:
    assert "$mul" in rtlil(MultiplierSpec.make("exact", kind="behavioural"))


def _choices(family: str, name: str) -> tuple[str, ...]:
    parameter = FAMILIES[family].parameter(name)
    assert parameter is not None
    return parameter.choices


@pytest.mark.slow
@pytest.mark.parametrize(
    "family", [name for name, family in FAMILIES.items() if family.parameter("tree")]
)
def test_trees_add_the_same_bits(family: str) -> None:
    spec = example(family)
    values = dict(spec.parameters)
    first, *others = (
        ProductTable.of(MultiplierSpec.make(family, **{**values, "tree": tree})).products
        for tree in _choices(family, "tree")
    )
    for products in others:
        np.testing.assert_array_equal(products, first)


def test_every_golden_row_names_a_multiplier(shared: Path) -> None:
    with (shared / "reference" / "golden_metrics_mul8u.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            assert str(MultiplierSpec.parse(row["spec"])) == row["spec"]


def sections() -> dict[str, tuple[Path, str]]:
    """Family -> its page and its section there."""
    found: dict[str, tuple[Path, str]] = {}
    for page in PAGES:
        for section in page.read_text().split("\n## `")[1:]:
            name = section.partition("`")[0]
            assert name not in found, f"{name} is described twice"
            found[name] = page, section
    return found


@pytest.mark.parametrize("name", FAMILIES)
def test_a_page_describes_every_family(name: str) -> None:
    described = FAMILIES[name]
    page, section = sections()[name]
    text = " ".join(section.split())
    assert f"Source: {described.source}." in text
    rows = [
        line for line in section.splitlines() if line.startswith("| `") and line.count("|") == 5
    ]
    assert rows == [
        "| `{}` | {} | {} | {} |".format(
            parameter.name,
            parameter.doc,
            "text" if parameter.is_text else parameter.spelling(Widths.of(8)).replace("|", ", "),
            "required" if parameter.default is None else parameter.default,
        )
        for parameter in described.parameters
    ]
    assert ("Not symmetric in a and b." in text) != described.symmetric
    index = INDEX.read_text().splitlines()
    assert f"`{name}`" in next(
        line for line in index if line.startswith(f"| `{described.signed_form}` |")
    )
    assert any(
        line.startswith(f"| `{name}` | ") and line.endswith(f"(families/{page.name}) |")
        for line in index
    )


def test_the_pages_list_no_family_that_is_gone() -> None:
    assert sorted(sections()) == sorted(FAMILIES)
    assert f"knows {len(FAMILIES)} families" in INDEX.read_text()


@pytest.mark.parametrize("page", [INDEX, *PAGES], ids=lambda page: page.stem)
def test_links_of_the_pages_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


def script() -> ModuleType:
    found = importlib.util.spec_from_file_location(
        "make_family_figures", DOCS.parent / "scripts" / "make_family_figures.py"
    )
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_pages_show_what_the_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "hdl.tables.metrics.error_rank", lambda table: None
    )  # no page shows it, and it takes the most time
    found = script()
    for page in PAGES:
        for block in found.BLOCK.finditer(page.read_text()):
            texts = block["specs"].split()
            specs = [MultiplierSpec.parse(text) for text in texts]
            assert texts == [str(spec) for spec in specs], page.name
            assert f"(../images/families/{found.figure_name(specs[0])})" in block[0]
            rows = [line for line in block[0].splitlines() if line.startswith("| `")]
            if specs[0].family != "exact":
                named = [row.split("`")[1].replace("\\|", "|") for row in rows]
                assert named == texts, page.name
                assert rows[0] == found.metrics_row(specs[0]).rstrip()


def test_the_figures_of_the_pages_are_small_and_all_there_is() -> None:
    figures = sorted((DOCS / "images" / "families").iterdir())
    assert all(figure.stat().st_size < 60_000 for figure in figures)
    linked = {
        DOCS / "families" / link
        for page in PAGES
        for link in re.findall(r"\]\(([^)]+\.png)\)", page.read_text())
    }
    assert {figure.resolve() for figure in linked} == {figure.resolve() for figure in figures}


def test_examples_of_the_index() -> None:
    failed, tried = doctest.testfile(str(INDEX), module_relative=False, encoding="utf-8")
    assert not failed
    assert tried
