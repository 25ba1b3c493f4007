"""Small drawings say the same as the pictures: which partial products, which bits, which errors."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from hdl.circuits.dot_diagram import DotDiagram
from hdl.multipliers.elaboration import dots, product
from hdl.multipliers.families import FAMILIES
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import code_values
from hdl.tables.operand_window import window_of
from hdl.tables.product_table import ProductTable
from reports.figures.drawings import dots_drawing, error_map_drawing, operand_bits_drawing
from reports.figures.error_map import ErrorMap

SVG = "{http://www.w3.org/2000/svg}"


def table_of(text: str) -> ProductTable:
    spec = MultiplierSpec.parse(text)
    a, b = (code_values(width, signed=spec.signed) for width in spec.widths)
    return ProductTable(product(spec, a[:, None], b).astype(np.int32), spec.signed, text)


def diagram(text: str) -> DotDiagram:
    found = dots(MultiplierSpec.parse(text))
    assert found is not None
    return found


def places(drawing: str, kind: str) -> set[tuple[int, int]]:
    """(column counted from the left, row) of the dots of a class."""
    paths = [
        path.get("d", "")
        for path in ElementTree.fromstring(drawing).iter()
        if path.get("class") == kind
    ]
    return {(int(x), int(y)) for d in paths for x, y in re.findall(r"M(\d+) (\d+)h0", d)}


@pytest.mark.parametrize(
    "text",
    [
        "exact:width=4",
        "bam:h=1,v=4,width=6",
        "compressor:kind=momeni1,cols=6",
        "exact:kind=booth,signed=1",
        "mask:bits=d200,tree=array,width=4",
    ],
)
def test_dots_are_where_the_diagram_has_them(text: str) -> None:
    found = diagram(text)
    drawing = dots_drawing(found)
    rough = {dot for cell in found.cells for dot in cell.dots}
    drawn = {kind: places(drawing, kind) for kind in ("kept", "rough", "out")}
    expected = {"kept": set(found.kept) - rough, "rough": rough, "out": set(found.dropped)}
    for kind, members in expected.items():
        assert drawn[kind] == {(found.columns - 1 - dot.weight, dot.row) for dot in members}
    constants = places(drawing, "constant")
    assert {found.columns - 1 - x for x, _ in constants} == {
        weight for weight in range(found.columns) if found.constant >> weight & 1
    }
    assert drawing.count("h.3") == sum(dot.negative for dot in found.kept)


def test_every_family_with_a_diagram_is_drawn_within_its_frame() -> None:
    drawn = 0
    for family in FAMILIES:
        try:
            found = dots(MultiplierSpec.parse(family))
        except ValueError:
            continue  # it has parameters without a default
        if found is None:
            continue
        root = ElementTree.fromstring(dots_drawing(found))
        left, top, width, height = map(float, root.get("viewBox", "").split())
        for path in root.iter():
            for x, y in re.findall(r"M(\d+) (\d+)h0", path.get("d", "")):
                assert left < int(x) < left + width
                assert top < int(y) < top + height
        drawn += 1
    assert drawn


@pytest.mark.parametrize("text", ["drum:k=3,width=6", "mitchell:width=5", "exact:width=4x3"])
def test_squares_are_the_bits_that_reach_the_product(text: str) -> None:
    """As many squares of each tenth of products as the operands' windows have."""
    table = table_of(text)
    windows = [window_of(table, "a"), window_of(table, "b")]
    alike = np.array_equal(windows[0].influence, windows[1].influence, equal_nan=True)
    expected: Counter[str] = Counter()
    for window in windows[: 1 if alike else 2]:
        for share in window.influence[np.tril_indices(len(window.influence))]:
            tenths = 0 if share == 0 else max(1, min(int(10 * share), 10))
            expected[f"fill-opacity:{tenths / 10:g}"] += 1
    found: Counter[str] = Counter()
    for path in ElementTree.fromstring(operand_bits_drawing(table)):
        if path.get("class") == "seen":
            found[path.get("style", "")] += path.get("d", "").count("z")
    assert found == expected


@pytest.mark.parametrize(
    "text", ["tm:k=2,width=5", "drum:k=3,width=7x5", "tm:k=2,signed=1,width=4"]
)
def test_the_map_is_red_where_products_are_too_large_and_blue_where_too_small(text: str) -> None:
    table = table_of(text)
    picture, caption = error_map_drawing(table)
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA")).astype(int)
    order = [np.argsort(code_values(width, signed=table.signed)) for width in table.widths]
    errors = table.errors[np.ix_(*order)]
    block = len(errors) // pixels.shape[1]
    means = errors.reshape(pixels.shape[1], block, -1).mean(axis=1).T[::-1]
    red, blue, alpha = pixels[..., 0], pixels[..., 2], pixels[..., 3]
    seen = alpha > 0
    assert ((red > blue) == (means > 0))[seen].all()
    assert not alpha[means == 0].any()
    limit = ErrorMap.of(table, 64).limit
    assert (alpha[np.abs(means) >= limit] == 255).all()
    assert "full color from" in caption


def test_an_exact_multiplier_has_an_empty_map() -> None:
    picture, caption = error_map_drawing(table_of("exact:width=4"))
    assert not np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"))[..., 3].any()
    assert caption == "No product is wrong"


def test_a_drawing_is_small_and_the_same_every_time() -> None:
    table = table_of("drum:k=4")
    picture, _ = error_map_drawing(table)
    assert picture == error_map_drawing(table)[0]
    assert len(picture) < 6000
    assert len(dots_drawing(diagram("compressor:kind=momeni1,cols=8"))) < 3000
    assert len(operand_bits_drawing(table)) < 3000


def test_a_name_in_a_diagram_stays_text() -> None:
    hostile = DotDiagram(rows=("0",), columns=1, kept=(), note='"><script>alert(1)</script>')
    root = ElementTree.fromstring(dots_drawing(hostile))
    assert [element.tag for element in root.iter()] == ["svg"]
