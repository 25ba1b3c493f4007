"""`dse synth`, `dse export` and `dse show` with --element."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_an_element_under_a_networks_operands(dse) -> None:
    status, out, err = dse(
        "synth",
        "tm:k=1,width=5x3",
        "--element",
        "dot:lanes=2,gate=zero",
        "--network",
        "resnet20",
        "--clock",
        "9000",
        "--json",
    )
    assert (status, err) == (0, "")
    values = json.loads(out)
    # The longest dot product of ResNet-20 has 576 terms; the largest product is 30 * 6.
    assert values["sum_bits"] == 18
    assert values["safe_terms"] == 131071 // 180
    assert values["clock_ps"] == 9000 > values["period_ps"]
    assert values["savings"]["element"]["area_um2_saving_pct"] > 0
    assert values["inference"]["element"]["energy_nj"] == pytest.approx(
        1e-6 * values["inference"]["element"]["macs"] * values["energy_fj"]
    )


def test_a_network_in_an_array_of_elements(dse) -> None:
    arguments = (
        *("synth", "tm:k=1,width=5x3", "--network", "resnet20"),
        *("--element", "dot:lanes=2,stationary=weight", "--array", "3x4"),
    )
    status, out, err = dse(*arguments, "--memory-energy", "2", "--json")
    assert (status, err) == (0, "")
    values = json.loads(out)
    assert (values["rows"], values["columns"], values["macs"]) == (3, 4, 40_813_184)
    assert len(values["layers"]) == 22
    assert sum(layer["macs"] for layer in values["layers"]) == values["macs"]
    assert sum(layer["cycles"] for layer in values["layers"]) == values["cycles"]
    assert all(layer["memory_nj"] > 0 for layer in values["layers"])
    assert values["image_energy_nj"] == pytest.approx(values["inference"]["array"]["energy_nj"])
    assert list(values["savings"]) == ["multiplier", "element", "array"]
    assert values["latency_us"] == pytest.approx(1e-6 * values["cycles"] * values["clock_ps"])
    status, out, _ = dse(*arguments)
    assert status == 0
    assert "\n  layer3.2.conv2 " in out


def test_export_writes_an_array_of_elements(dse) -> None:
    form = "dot:lanes=2,gate=zero"
    assert dse("export", "exact:width=3", "--element", form, "--array", "2x3", "-o", "out")[0] == 0
    (folder,) = Path("out").iterdir()
    assert folder.name.startswith("array2x3_dot_lanes2_gatezero_sum")
    assert (folder / f"{folder.name}_tb.v").exists()


def test_export_writes_an_element_as_wide_as_the_network_needs(dse) -> None:
    arguments = ("export", "exact:width=5x3", "--element", "dot:lanes=4", "-o", "one")
    assert dse(*arguments, "--network", "resnet20")[0] == 0
    name = "dot_lanes4_sum18_mul5x3u_exact"
    written = {path.name for path in Path("one", name).iterdir()}
    assert written >= {f"{name}{end}" for end in (".sdc", ".v", "_tb.v", ".core")}
    assert dse("export", "exact:width=4", "--element", "mac:bits=9", "-o", "two")[0] == 0
    assert Path("two/mac_sum9_mul4u_exact/mac_sum9_mul4u_exact.v").exists()


def test_show_draws_the_columns(dse) -> None:
    status, out, _ = dse("show", "exact:width=4", "--element", "dot:lanes=3", "-o", "pictures")
    assert status == 0
    assert "pictures/element.png, .svg" in out
    assert Path("pictures/element.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("synth", "exact", "--element", "dot"), "'dot': lanes is missing; write dot:lanes=2..32,"),
        (("synth", "exact", "--element", "dots:lanes=3"), "did you mean 'dot'?"),
        (
            ("synth", "exact", "--element", "mac", "--mac"),
            "--mac is another unit than --element; give one of them",
        ),
        (
            ("synth", "exact", "--element", "mac", "--array", "2x2"),
            "array '2x2' of mac: its cycles are those of a network's layers; name one with ",
        ),
        (
            (
                "synth",
                "exact:width=5x3",
                "--element",
                "mac",
                "--array",
                "2",
                "--network",
                "resnet20",
            ),
            "array '2' is not ROWSxCOLUMNS; write for example 8x8",
        ),
        (
            ("export", "exact", "--element", "mac", "--array", "2x99", "-o", "out"),
            "an array of 2 x 99 elements is outside 1 x 1 .. 64 x 64; give ROWSxCOLUMNS",
        ),
        (
            ("synth", "exact", "--element", "mac", "--memory-energy", "2"),
            "--memory-energy is of an array of elements; give --element and --array, too",
        ),
        (
            ("synth", "exact", "--element", "mac", "--pipeline"),
            "--pipeline is of the multiply-accumulate element; give --mac or --array, too, or "
            "--element with bits=20 and pipeline=1",
        ),
        (("synth", "exact", "--clock", "900"), "--clock is of --element; give that, too"),
        (("synth", "exact", "--element", "mac", "--path"), "--path is of the bare multiplier"),
        (
            ("synth", "exact:width=16", "--element", "dot:lanes=2"),
            "exact:width=16: what is around a multiplier is costed for operands of up to 24 bits",
        ),
        (
            ("synth", "exact:width=2", "--element", "mac", "--clock", "50"),
            "a clock of 50 ps is faster than its least period; give --clock ",
        ),
        (
            ("synth", "exact:width=2", "--element", "mac", "--network", "resnet20"),
            "exact:width=2 multiplies operands of 2 bits; resnet20 has operands of 8x7, 8x4, ",
        ),
        (
            ("export", "exact", "--network", "resnet20", "-o", "out"),
            "--network is whose dot products the sum of --element holds; give that, too",
        ),
        (
            ("show", "exact", "--element", "mac"),
            "--element is drawn with -o; give a folder, too",
        ),
    ],
)
def test_mistakes_are_one_line(dse, arguments: tuple[str, ...], message: str) -> None:
    status, _, err = dse(*arguments)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1
