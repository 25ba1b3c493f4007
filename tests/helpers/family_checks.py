"""What tests of multiplier families share: example specs, gates against the arithmetic rule,
metrics against golden figures.
"""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from hdl.multipliers.elaboration import product
from hdl.multipliers.families import FAMILIES, Family
from hdl.multipliers.spec import MultiplierSpec
from hdl.multipliers.terms_list import Term, exact_terms, terms_text
from hdl.operands import Width, Widths, code_values
from hdl.tables.metrics import error_metrics
from hdl.tables.product_table import ProductTable

WIDTHS_AND_SIGNS = [(width, signed) for width in (4, 6, 8) for signed in (False, True)]


def example(family: str, *, width: Width = 8, signed: bool = False) -> MultiplierSpec:
    """A multiplier of the family with everything at its default; required integers in the middle,
    required choices the first.
    """
    values: dict[str, int | str] = {}
    widths = Widths.of(width)
    for parameter in FAMILIES[family].parameters:
        if parameter.default is not None:
            continue
        if parameter.bounds:
            values[parameter.name] = sum(parameter.bounds(widths)) // 2
        elif parameter.choices:
            values[parameter.name] = parameter.choices[0]
        elif family == "terms":
            # the lowest column dropped, an or, one term in another column, and one twice
            _, *terms = exact_terms(widths)
            joined = [term for term in terms if term.sign(widths, signed=signed) > 0][:2]
            moved = Term(terms[-2].column + 1, terms[-2].products)
            either = Term(joined[0].column, joined[0].products + joined[1].products)
            terms = [term for term in terms if term not in joined]
            terms = [either, *terms[:-2], moved, terms[-1], terms[0]]
            values[parameter.name] = terms_text(terms)
        else:
            assert (family, parameter.name) == ("mask", "bits")
            cells = widths.a * widths.b
            values[parameter.name] = f"{(1 << cells) - 1 << widths.a & (1 << cells) - 1:x}"
    return MultiplierSpec.nearest(family, width=width, signed=signed, **values)


def widths_of(family: Family) -> list[Widths]:
    """All operand widths that the family comes in."""
    return [
        widths
        for widths in itertools.starmap(Widths, itertools.product(family.widths, repeat=2))
        if family.fits(widths)
    ]


@st.composite
def term_lists(
    draw: st.DrawFn, widths: Widths, *, signed: bool, most: int = 40
) -> tuple[Term, ...]:
    """Any list of terms that these operands allow, in any order."""

    def of_sign(sign: int) -> st.SearchStrategy[Term] | None:
        products = [
            (i, j)
            for i in range(widths.a)
            for j in range(widths.b)
            if Term(i + j, ((i, j),)).sign(widths, signed=signed) == sign
        ]
        joined = st.lists(st.sampled_from(products), min_size=1, max_size=4).map(tuple)
        places = st.integers(0, widths.product - 1)
        in_place = joined.map(lambda found: Term(sum(min(found)), found))
        return in_place | st.builds(Term, places, joined) if products else None

    terms = st.one_of([found for found in map(of_sign, (1, -1)) if found is not None])
    return tuple(draw(st.lists(terms, max_size=most)))


@st.composite
def specs(draw: st.DrawFn, width: Width | None = None) -> MultiplierSpec:
    """Any multiplier, its operands of the same width or not; of given widths, any unsigned one."""
    family = FAMILIES[
        draw(
            st.sampled_from(
                sorted(
                    name
                    for name in FAMILIES
                    if width is None or FAMILIES[name].fits(Widths.of(width))
                )
            )
        )
    ]
    widths = Widths.of(width) if width else draw(st.sampled_from(widths_of(family)))
    signed = width is None and draw(st.booleans())
    values: dict[str, int | str] = {}
    for parameter in family.parameters:
        if parameter.choices:
            values[parameter.name] = draw(st.sampled_from(parameter.choices))
        elif parameter.bounds:
            values[parameter.name] = draw(st.integers(*parameter.bounds(widths)))
        elif family.name == "recursive":
            halves = zip(widths, ("hl".index(letter) for letter in parameter.name), strict=True)
            values[parameter.name] = draw(
                specs(Widths(*((width + 1 - low) // 2 for width, low in halves)))
            ).part_text()
        elif family.name == "terms":
            values[parameter.name] = terms_text(draw(term_lists(widths, signed=signed)))
        else:
            assert (family.name, parameter.name) == ("mask", "bits")
            values[parameter.name] = f"{draw(st.integers(0, (1 << widths.a * widths.b) - 1)):x}"
    return MultiplierSpec.nearest(family.name, width=widths, signed=signed, **values)


def assert_gates_follow_the_rule(spec: MultiplierSpec) -> None:
    """Every operand pair: the product of the gates is that of the family's arithmetic."""
    a, b = (code_values(width, signed=spec.signed) for width in spec.widths)
    np.testing.assert_array_equal(
        ProductTable.of(spec).products, product(spec, a[:, None], b), err_msg=str(spec)
    )


def assert_golden_rows(shared: Path, *families: str) -> None:
    """Every row of these families in the golden figures of 8x8 unsigned multipliers, to the last
    printed digit.
    """
    with (shared / "reference" / "golden_metrics_mul8u.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["spec"].partition(":")[0] in families]
    assert {row["spec"].partition(":")[0] for row in rows} == set(families)
    for row in rows:
        metrics = error_metrics(ProductTable.of(MultiplierSpec.parse(row["spec"])))
        measured = {
            "ER_pct": metrics.er_pct,
            "ME": metrics.me,
            "MED": metrics.med,
            "NMED_pct": metrics.nmed_pct,
            "MRED_nz_pct": metrics.mred_pct,
            "MRED_all_pct": metrics.mred_all_pct,
            "WCE": metrics.wce,
            "WCRE_pct": metrics.wcre_pct,
            "STD": metrics.std,
        }
        printed = {
            key: f"{value:.{len(row[key].partition('.')[2])}f}" for key, value in measured.items()
        }
        assert printed == {key: row[key] for key in measured}, row["spec"]


def sampled_relative_errors(spec: MultiplierSpec, pairs: int = 1 << 18) -> NDArray[np.float64]:
    """Signed relative errors in percent of the rule over random pairs of nonzero unsigned
    operands.
    """
    rng = np.random.default_rng(0)
    a, b = rng.integers(1, 1 << np.array(spec.widths)[:, None], (2, pairs))
    relative: NDArray[np.float64] = 100 * (product(spec, a, b) / (a * b) - 1)
    return relative
