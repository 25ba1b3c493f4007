"""`dse synth` and `dse export` with --mac and --array."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cnn_eval import zoo
from cnn_eval.prediction.workload import dot_products, macs_per_image
from hdl.elements.mac import MacSpec
from hdl.multipliers.spec import MultiplierSpec
from hdl.operands import OperandEncoding


def test_an_array_under_a_networks_operands(dse) -> None:
    status, out, _ = dse(
        "synth", "tm:k=3,width=8x7", "--array", "4x2", "--network", "resnet20", "--json"
    )
    assert status == 0
    values = json.loads(out)
    assert (
        list(values["savings"]) == list(values["inference"]) == ["multiplier", "element", "array"]
    )
    areas = [values["savings"][level]["area_um2_saving_pct"] for level in values["savings"]]
    assert areas == sorted(areas, reverse=True)
    assert areas[-1] > 0
    macs = values["inference"]["array"]["macs"]
    assert values["inference"]["array"]["energy_nj"] == pytest.approx(
        1e-6 * macs * values["energy_fj"]
    )
    assert values["inference"]["element"]["energy_nj"] == pytest.approx(
        1e-6 * macs * values["element_energy_fj"]
    )


@pytest.mark.parametrize("unit", [("--mac",), ("--element", "mac")])
def test_operand_bits_that_the_network_leaves_unused_are_tied_off(
    dse, unit: tuple[str, ...]
) -> None:
    status, out, _ = dse("synth", "tm:k=2", *unit, "--network", "resnet20", "--json")
    assert status == 0
    wide = json.loads(out)
    narrow = json.loads(dse("synth", "tm:k=2@8x7", *unit, "--network", "resnet20", "--json").out)
    assert wide == narrow
    assert "of tm:k=2@8x7" in dse("synth", "tm:k=2", *unit, "--network", "resnet20").out


def test_export_writes_elements_and_arrays(dse) -> None:
    assert dse("export", "tm:k=2", "--mac", "--accumulator-bits", "20", "-o", "one")[0] == 0
    name = "mac20_mul8u_tm_k2"
    files = {f"{name}{end}" for end in (".v", "_tb.v", ".sdc", ".hex", ".core")}
    files |= {f"test_{name}.py", "mul8u_tm_k2.v", "config.json", "config.mk"}
    assert {path.name for path in Path("one", name).iterdir()} == files
    assert dse("export", "tm:k=2", "--mac", "--pipeline", "-o", "pipelined")[0] == 0
    assert Path("pipelined/mac24p_mul8u_tm_k2/mac24p_mul8u_tm_k2.v").exists()
    assert dse("export", "tm:k=2", "--array", "2x2", "--encoding", "unsigned", "-o", "many")[0] == 0
    sources = Path("many/array2x2_mac_sum24u_mul8u_tm_k2").glob("*.v")
    assert sorted(path.stem for path in sources) == [
        "array2x2_mac_sum24u_mul8u_tm_k2",
        "array2x2_mac_sum24u_mul8u_tm_k2_tb",
        "chained_mac_sum24u_mul8u_tm_k2",
        "mul8u_tm_k2",
    ]


@pytest.fixture
def own_verilog(dse) -> str:
    Path("mul.v").write_text(
        "module small(input [3:0] x, input [3:0] y, output [7:0] z); assign z = x[3:1] * y; "
        "endmodule"
    )
    return "mul.v:small"


def test_ones_own_verilog_takes_the_multipliers_place(dse, own_verilog: str) -> None:
    status, out, err = dse("synth", own_verilog, "--array", "2x2", "--json")
    assert (status, err) == (0, "")
    values = json.loads(out)
    assert values["elements"] == 4
    assert (
        values["savings"]["multiplier"]["area_um2_saving_pct"]
        > values["savings"]["array"]["area_um2_saving_pct"]
        > 0
    )
    assert dse("export", own_verilog, "--mac", "-o", "one")[0] == 0
    (folder,) = Path("one").iterdir()
    assert folder.name.startswith("mac16_mul4u_small_")
    (multiplier,) = folder.glob("mul4u_small_*.v")
    assert f"module {multiplier.stem}(a, b, p);" in multiplier.read_text()


def test_a_table_has_no_element(dse) -> None:
    np.save("table.npy", np.outer(np.arange(16), np.arange(16)))
    status, _, err = dse("synth", "table.npy", "--mac")
    assert (status, err) == (
        2,
        "dse: table.npy is a table, which has no circuit; give a spec or Verilog (mul.v:top)\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("synth", "exact", "--array", "8"),
            "array '8' is not ROWSxCOLUMNS; write for example 8x8",
        ),
        (
            ("synth", "exact", "--array", "0x8"),
            "an array of 0 x 8 elements is outside 1 x 1 .. 64 x 64; give ROWSxCOLUMNS",
        ),
        (
            ("synth", "exact", "--mac", "--accumulator-bits", "8"),
            "exact: an accumulator of 8 bits is outside 16..40",
        ),
        (
            ("synth", "exact", "--mac", "--delay-target", "900"),
            "--delay-target is of the bare multiplier",
        ),
        (
            ("synth", "exact:width=16", "--mac"),
            "exact:width=16: what is around a multiplier is costed for operands of up to 24 bits",
        ),
        (
            ("synth", "exact:width=2", "--mac", "--network", "resnet20"),
            "exact:width=2 multiplies operands of 2 bits; resnet20 has operands of 8x7, 8x4, ",
        ),
        (
            ("synth", "exact", "--pipeline"),
            "--pipeline is of the multiply-accumulate element; give --mac or --array, too",
        ),
        (("export", "exact", "--mac", "--prove", "-o", "out"), "--prove is of the bare multiplier"),
    ],
)
def test_mistakes_are_one_line(dse, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = dse(*arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "encoding", [OperandEncoding.SIGN_MAGNITUDE, OperandEncoding.TWOS_COMPLEMENT]
)
def test_dot_products_are_those_of_the_profile(encoding: OperandEncoding) -> None:
    """Without the signs they are the operands of the bare multiplier; with them, half of
    ResNet-20's weights are negative.
    """
    profile = zoo.load_profile("resnet20", encoding, corrected=False)
    work = dot_products(profile)
    spec = MacSpec.make(MultiplierSpec.make("exact", width=profile.widths, signed=encoding.signed))
    bare, own = profile.operand_distribution(), work.of_multiplier(spec)
    for name in ("weights", "a", "b"):
        assert getattr(own, name) == pytest.approx(getattr(bare, name), abs=1e-12)
    assert work.operands.widths == spec.operand_widths
    top = 1 << spec.operand_widths.b - 1
    assert (work.operands.b[:, top:].sum(axis=1) > 0.3).all()
    # 1 x 1 shortcuts of 16 channels, 3 x 3 kernels of 64; the count of all by hand from the layers'
    # shapes.
    assert (work.terms.min(), work.terms.max()) == (16, 576)
    convolutions = (
        (27 * 16 + 6 * 144 * 16) * 32**2
        + (144 + 5 * 288 + 16) * 32 * 16**2
        + (288 + 5 * 576 + 32) * 64 * 8**2
    )
    assert macs_per_image(profile) == convolutions + 64 * 10
