"""Multipliers by their text, and what every kind of them can be asked."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Fragment, Module
from numpy.typing import NDArray

from hdl.errors import InputError
from hdl.multipliers import (
    Multiplier,
    MultiplierSpec,
    SpecError,
    named_multiplier,
    parse_multiplier,
)
from hdl.operands import code_values
from hdl.tables import ProductTable, TableError
from hdl.yosys import gates

VERILOG = (
    "module half(input [4:0] x, input [3:0] y, output [8:0] z); assign z = x * y & ~9'd3; endmodule"
)


@pytest.fixture(
    params=[
        "bam:h=1,v=3,width=5x4",
        "exact:width=5x4,signed=1",
        "own.v:half",
        "t.npz",
        "t.npy",
        "drum:k=3@5x4",
        "own6.v:half@5x4",
    ]
)
def multiplier(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Multiplier:
    monkeypatch.chdir(tmp_path)
    Path("own.v").write_text(VERILOG)
    Path("own6.v").write_text(VERILOG.replace("4:0", "6:0").replace("8:0", "10:0"))
    for name in ("t.npz", "t.npy"):
        ProductTable.of(MultiplierSpec.parse("tm:k=1,width=5x4")).save(name)
    return parse_multiplier(request.param)


def products(multiplier: Multiplier) -> NDArray[np.int64]:
    a, b = np.arange(1 << multiplier.width_a)[:, None], np.arange(1 << multiplier.width_b)
    return multiplier.multiply(a, b)


def test_every_kind_answers_the_same_questions(multiplier: Multiplier) -> None:
    assert (multiplier.width_a, multiplier.width_b, multiplier.width_p, multiplier.widths) == (
        5,
        4,
        9,
        (5, 4),
    )
    assert str(multiplier) == multiplier.name
    assert re.fullmatch(r"mul[0-9x]+[su]_\w+", multiplier.identifier, re.ASCII)
    assert all("\n" not in line for line in multiplier.description)
    table = multiplier.table()
    assert (table.name, table.widths, table.signed) == (multiplier.name, (5, 4), multiplier.signed)
    np.testing.assert_array_equal(table.products, products(multiplier))
    component = multiplier.component()
    Fragment.get(component or Module(), None)  # Amaranth warns of components that nobody elaborates
    assert component is None or [len(getattr(component, port)) for port in "abp"] == [5, 4, 9]


def test_circuits_compute_the_products(multiplier: Multiplier) -> None:
    if multiplier.family == "table":
        with pytest.raises(
            TableError,
            match=(
                r"^(t\.npy|tm:k=1,width=5x4) is a table, which has no circuit; give a spec or "
                r"Verilog"
            ),
        ):
            multiplier.rtlil()
        return
    circuit = gates(multiplier.rtlil())
    assert multiplier.rtlil() == multiplier.rtlil()
    np.testing.assert_array_equal(circuit.evaluate_all(), products(multiplier) & 511)
    np.testing.assert_array_equal(
        gates(multiplier.rtlil(carry_chains=True)).evaluate_all(), circuit.evaluate_all()
    )


def test_own_verilog_says_which_circuit_it_is(tmp_path: Path) -> None:
    (tmp_path / "own.v").write_text(VERILOG)
    own = parse_multiplier(f"{tmp_path}/own.v:half", signed=True)
    assert (own.family, own.signed) == ("imported", True)
    assert re.fullmatch(r".*/own\.v:half#[0-9a-f]{8}", own.name)
    assert own.table().products[31, 15] == (31 * 15 & ~3) - 512
    (tmp_path / "own.v").unlink()
    assert named_multiplier(own.name, [own]) is own
    assert named_multiplier(f"{own.name}@4x3", [own]).name == f"{own.name}@4x3"


def test_names_read_no_files(tmp_path: Path) -> None:
    (tmp_path / "own.v").write_text(VERILOG)
    with pytest.raises(SpecError, match="no multiplier family is called"):
        named_multiplier(f"{tmp_path}/own.v:half")


@pytest.mark.parametrize(
    "text", ["exact", "bam:h=0,v=6,width=8x5", "drum:k=4@8x7", "exact:width=16@8x5"]
)
def test_names_read_back(text: str) -> None:
    assert parse_multiplier(text).name == text
    assert named_multiplier(text) == parse_multiplier(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drun:k=4", "no multiplier family is called 'drun'; did you mean 'drum'?"),
        ("mul.v", "'mul.v': name the module too, as in mul.v:top"),
        ("none.v:top", r"none\.v' cannot be read \(No such file"),
        ("none.npy", r"none\.npy' cannot be read \(No such file"),
        ("exact@9x8", "exact multiplies 8x8 operands; it cannot stand for 9x8, give at most 8x8"),
        ("exact@0", "exact multiplies 8x8 operands; it cannot stand for 0x0, give at most 8x8"),
        ("exact@8x", "no multiplier family is called 'exact@8x'"),
        ("@8x7", "no multiplier family is called '@8x7'"),
    ],
)
def test_refusals_are_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        parse_multiplier(text)
    assert "\n" not in str(refusal.value)


def test_no_spec_is_made_of_what_is_none() -> None:
    """The constructor checks, whoever calls it."""
    for made in (
        lambda: MultiplierSpec(
            "exact", 8, 8, False, (("kind", "x; endmodule\n"), ("tree", "dadda"))
        ),
        lambda: MultiplierSpec("exact", 8, 8, False, ()),
        lambda: MultiplierSpec("drum", 8, 8, False, (("tree", "dadda"), ("k", 4))),
        lambda: MultiplierSpec("exact", 8, 8, False, (("kind", "behavioural"), ("tree", "array"))),
    ):
        with pytest.raises(SpecError, match="are not its parameters at width 8; write"):
            made()
    with pytest.raises(SpecError, match=r"drum comes in widths 2\.\.16, not 17x8"):
        MultiplierSpec("drum", 17, 8, False, (("k", 4), ("tree", "dadda")))
    with pytest.raises(SpecError, match="no multiplier family is called 'none'"):
        MultiplierSpec("none", 8, 8, False, ())


def test_codes_of_negative_values() -> None:
    spec = MultiplierSpec.parse("exact:width=4x3,signed=1")
    values = np.multiply.outer(code_values(4, signed=True), code_values(3, signed=True))
    np.testing.assert_array_equal(products(spec), values)
