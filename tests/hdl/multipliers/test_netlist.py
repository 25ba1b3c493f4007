"""Multipliers given gate by gate: against Yosys, Icarus and ABC; text that is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdl.cells import CellLibrary
from hdl.cost import counterexample, map_design
from hdl.multipliers import NetlistDesign, NetlistDesignError, NetlistGate
from hdl.operands import Widths
from hdl.tables import ProductTable

#: An exact 2x2 multiplier, bit 3 of whose product is missing.
TWO_BY_TWO = "&0,2 &1,2 &0,3 ^5,6 &1,3 > 4 7 8 L"


@st.composite
def designs(draw: st.DrawFn) -> NetlistDesign:
    widths = Widths(draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    gates = []
    for position in range(draw(st.integers(0, 30))):
        nets = st.integers(0, widths.product + position - 1)
        kind = draw(st.sampled_from(["&", "~&", "|", "~|", "^", "~^", "~"]))
        inputs = (draw(nets),) if kind == "~" else (draw(nets), draw(nets))
        gates.append(NetlistGate(kind, inputs))
    last = st.integers(0, widths.product + len(gates) - 1)
    product = [draw(st.one_of(st.sampled_from("LH"), last)) for _ in range(widths.product)]
    return NetlistDesign.of(widths, draw(st.booleans()), gates, product)


def evaluated(design: NetlistDesign, a: int, b: int) -> int:
    """The product's value of two codes, gate by gate from the text."""
    gates, _, product = design.netlist.partition(">")
    values = [a >> bit & 1 for bit in range(design.width_a)]
    values += [b >> bit & 1 for bit in range(design.width_b)]
    for gate in gates.split():
        kind = gate.rstrip("0123456789,")
        inputs = [values[int(net)] for net in gate.removeprefix(kind).split(",")]
        found = {
            "&": lambda x: x[0] & x[1],
            "|": lambda x: x[0] | x[1],
            "^": lambda x: x[0] ^ x[1],
            "": lambda x: x[0],
        }[kind.removeprefix("~")](inputs)
        values.append(found ^ kind.startswith("~"))
    constants = {"L": 0, "H": 1}
    bits = [constants[bit] if bit in constants else values[int(bit)] for bit in product.split()]
    code = sum(bit << place for place, bit in enumerate(bits))
    return code - (design.signed * bits[-1] << len(bits))


@given(designs())
def test_products_follow_the_text(design: NetlistDesign) -> None:
    a, b = np.arange(1 << design.width_a), np.arange(1 << design.width_b)
    expected = [[evaluated(design, int(x), int(y)) for y in b] for x in a]
    np.testing.assert_array_equal(design.table().products, expected)
    np.testing.assert_array_equal(design.multiply(a[:, None], b), expected)


@pytest.mark.parametrize("signed", [False, True])
def test_yosys_reads_its_rtlil_as_it_is_meant(signed: bool) -> None:
    design = NetlistDesign(2, 2, signed, TWO_BY_TWO)
    np.testing.assert_array_equal(ProductTable.of(design).products, design.table().products)


def test_what_it_multiplies() -> None:
    expected = np.outer(range(4), range(4))
    expected[3, 3] = 5  # 9 needs the carries that are missing
    products = NetlistDesign(2, 2, False, TWO_BY_TWO).table().products
    np.testing.assert_array_equal(products, expected)


def test_it_is_called_by_what_it_is() -> None:
    design = NetlistDesign(2, 2, False, TWO_BY_TWO)
    assert design.name == str(design) == NetlistDesign(2, 2, False, TWO_BY_TWO).name
    others = {
        NetlistDesign(2, 2, True, TWO_BY_TWO).name,
        NetlistDesign(2, 2, False, TWO_BY_TWO.replace("^", "|")).name,
        NetlistDesign(3, 1, False, TWO_BY_TWO).name,
    }
    assert len({design.name, *others}) == 4
    assert design.identifier == f"mul2u_net_{design.name.removeprefix('net:')}"
    assert design.family == "net"


def test_mapping_keeps_the_function() -> None:
    design = NetlistDesign(2, 2, False, TWO_BY_TWO)
    library = CellLibrary.load()
    mapped = map_design(design, library)
    assert counterexample(design.rtlil(), mapped.netlist) is None


@pytest.mark.parametrize(
    ("netlist", "message"),
    [
        ("&0,4 > 4 4 4 4", r"gate 0 of a netlist is '&0,4'; a gate is like '~&0,8'"),
        ("&0,1,2 > 4 4 4 4", "gate 0 of a netlist is '&0,1,2'"),
        ("&0,1; > 4 4 4 4", "gate 0"),
        ("&0 > 4 4 4 4", "gate 0"),
        ("~0,1 > 4 4 4 4", "gate 0"),
        ("&0,1 4 4 4 4", "'>' and 4 bits are expected"),
        ("&0,1 > 4 4 4", "with 3 product bits"),
        ("&0,1 > 4 4 4 5", "product bit '5' of a netlist is no net of it"),
        ("&0,1 > 4 4 4 ²", "product bit '²'"),
        ("&0,1 > 4 4 4 X", "give a net, or L or H"),
    ],
)
def test_text_that_is_no_netlist(netlist: str, message: str) -> None:
    with pytest.raises(NetlistDesignError, match=message) as caught:
        NetlistDesign(2, 2, False, netlist)
    assert "\n" not in str(caught.value)


def test_operands_have_bounds() -> None:
    with pytest.raises(NetlistDesignError, match="operands of 17x2 bits; 1 to 16 are possible"):
        NetlistDesign(17, 2, False, "> " + "L " * 19)
