"""The command line: what it prints, and that every mistake is one line and the right exit code."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hostile.runs import asked, valid_run
from PIL import Image
from safetensors.numpy import save_file

from cnn_eval.deployment import Deployment
from cnn_eval.prediction.profile import NetworkProfile
from dse.cli import main
from dse.engine import Search, record_search
from hdl.operands import Widths
from hdl.tables.product_table import ProductTable


class Result:
    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def dse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Runs a command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        monkeypatch.setattr("sys.argv", ["dse", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return Result(stop.value.code, captured.out, captured.err)

    return run


EXPLORE = ("explore", "--network", "resnet20")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("metrics", "drumm:k=4"),
            2,
            r"no multiplier family is called 'drumm'; did you mean 'drum'\?",
        ),
        (
            ("families", "drumm"),
            2,
            r"no multiplier family is called 'drumm'; there are exact, tm, bam",
        ),
        (("metrics", "bam:h=0,v=99"), 2, r"'bam:h=0,v=99': v=99 is not 0\.\.12 at width 8"),
        (("metrics", "bam:h=0"), 2, r"'bam:h=0': v is missing"),
        (("metrics", "tm:k=2,width=99"), 2, r"tm comes in widths 2\.\.16, not 99"),
        (("explore",), 2, r"no network; choose one with --network"),
        (
            ("explore", "--network", "resnet21"),
            3,
            r"no profile of network 'resnet21' for sign_magnitude: there is .*resnet20",
        ),
        (
            (*EXPLORE, "--budget", "area=0"),
            2,
            r"budget 'area=0': the limit must be a positive multiple",
        ),
        (
            (*EXPLORE, "--budget", "price"),
            2,
            r"unknown budget 'price'; use one of area, power, delay",
        ),
        ((*EXPLORE, "--objectives", "area"), 2, r"give two or more different ones"),
        (
            (*EXPLORE, "--encoding", "sign_magnitude,unsigned"),
            2,
            r"encodings sign_magnitude,unsigned: a search is among designs of one",
        ),
        (
            (*EXPLORE, "--encoding", "ones_complement"),
            2,
            r"unknown encoding 'ones_complement'; use one of twos_complement, sign_magnitude",
        ),
        ((*EXPLORE, "--families", "bam,drumm"), 2, r"unknown family 'drumm'"),
        ((*EXPLORE, "--liberty", "absent.lib"), 3, r"absent\.lib"),
        ((*EXPLORE, "--verify", "8", "--data", "absent.npz"), 3, r"no data at 'absent\.npz'"),
        ((*EXPLORE, "--verify", "8"), 2, r"--verify 8 needs images; give them with --data PATH"),
        ((*EXPLORE, "--evaluations", "0"), 2, r"'--evaluations'"),
        ((*EXPLORE, "--out", "file/below"), 3, r"cannot write to the output folder 'file/below'"),
        (("explore", "--resume"), 2, r"--resume needs the run's folder"),
        (("explore", "--resume", "--out", "absent"), 2, r"no run in 'absent'"),
        (("report", "absent"), 2, r"no run in 'absent'"),
        (("report", "absent", "other"), 2, r"no run in 'absent'"),
        (("synth", "file.v"), 2, r"'file\.v': name the module too, as in file\.v:top"),
        (
            ("synth", "exact", "--effort", "heroic"),
            2,
            r"unknown effort 'heroic'; use one of fast, best",
        ),
        (
            ("synth", "exact", "--delay-target", "0"),
            2,
            r"'--delay-target'.* greater than or equal to 1",
        ),
        ((*EXPLORE, "--delay-target", "nan"), 2, r"'--delay-target'"),
        (
            ("synth", "exact", "--operand-order", "stationary"),
            2,
            r"unknown operand order 'stationary'; use output-stationary",
        ),
        (("metrics", "absent.npy"), 3, r"absent\.npy"),
        (("metrics", "absent.v:top"), 3, r"absent\.v"),
        (
            ("train", "--network", "resnet20", "--data", "absent", "--test", "absent"),
            3,
            r"no data at 'absent'",
        ),
        (
            ("emulate", "exact", "--network", "resnet20", "--data", "absent"),
            3,
            r"no data at 'absent'",
        ),
        (("nonsense",), 2, r"No such command 'nonsense'"),
        ((*EXPLORE, "--zoo", "absent"), 3, r"no folder 'absent' to look for networks in"),
        ((*EXPLORE, "--max-drop", "-1"), 2, r"'--max-drop'"),
        (
            ("metrics", "exact:width=2x1", "--network", "resnet20"),
            2,
            r"multiplies operands of 2x1 bits, but the operand distribution",
        ),
        (
            ("predict", "tm:k=2,signed=1", "--network", "resnet20", "--encoding", "sign_magnitude"),
            2,
            r"this is a signed multiplier",
        ),
        (
            ("predict", "tm:k=2", "--network", "resnet20", "--encoding", "twos_complement"),
            2,
            r"this is an unsigned multiplier",
        ),
        (
            ("predict", "exact:width=2", "--network", "resnet20"),
            2,
            r"2x2 operands are too narrow; the network takes 8x7, 8x4",
        ),
    ],
)
def test_a_mistake_is_one_line(dse, arguments: tuple[str, ...], status: int, message: str) -> None:
    Path("file").write_text("not a folder")
    result = dse(*arguments)
    lines = [line for line in result.err.splitlines() if line.startswith("dse: ")]
    assert len(lines) == 1, result.err
    assert lines == result.err.splitlines()
    assert re.search(message, lines[0])
    assert result.status == status


UNITS = (
    "time_unit : 1ns; capacitive_load_unit (1, pf); voltage_unit : 1V; leakage_power_unit : 1nW;"
)


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (
            (
                f"library (l) {{ {UNITS} nom_voltage : 1.2; cell (nand2) {{ pin (A) {{ direction : "
                f"input; }} }} }}"
            ),
            2,
            r"area",
        ),
        ("library (l) { nom_voltage : 1.2; }", 2, r"time_unit is missing"),
        ("this is not Liberty", 2, r"cells\.lib"),
        ("", 2, r"cells\.lib"),
    ],
)
def test_a_liberty_that_cannot_be_used(dse, content: str, status: int, message: str) -> None:
    Path("cells.lib").write_text(content)
    result = dse(*EXPLORE, "--liberty", "cells.lib")
    assert result.err.count("\n") == 1
    assert re.search(message, result.err)
    assert result.status == status


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_folder_without_permission(dse) -> None:
    Path("locked").mkdir(mode=0o500)
    result = dse(*EXPLORE, "--out", "locked/run")
    assert result.status == 3
    assert "cannot write to the output folder" in result.err


def test_a_damaged_run_is_not_resumed(dse) -> None:
    search = {
        "network": "resnet20",
        "encodings": ["nonsense"],
        "budget": {"cost": "area", "limit": None},
    }
    Path("search.json").write_text(json.dumps({"search": search, "versions": {}}))
    result = dse("explore", "--resume", "--out", ".")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "Invalid enum value 'nonsense' - at `$.search.encodings[0]`" in result.err


def test_a_damaged_store_costs_no_run(dse) -> None:
    valid_run(Path("run"))
    asked()()
    Path("run/points.sqlite").write_bytes(b"no database" * 1000)
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    for arguments in (
        ["--resume"],
        ["--network", "resnet20", "--families", "tm", "--evaluations", "8"],
    ):
        result = dse("explore", *arguments, "--out", "run")
        assert (result.status, result.err.count("\n")) == (3, 1)
        assert "points.sqlite': file is not a database" in result.err
        assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before


def test_a_resumed_run_has_its_formats_and_orders(
    dse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Search] = []

    def explored(search: Search, store: Path, **named: object) -> None:
        store.parent.mkdir(exist_ok=True)
        record_search(search, store.parent)
        asked.append(search)
        raise KeyboardInterrupt

    monkeypatch.setattr("dse.engine.explore", explored)
    arguments = ["--out", str(tmp_path / "run")]
    for form in (["--encoding", "twos_complement, sign_magnitude"], ["--swap"], []):
        assert dse(*EXPLORE, *form, *arguments).status == 130
        assert dse("explore", "--resume", *arguments).status == 130
    assert asked[::2] == asked[1::2]
    formats = [(",".join(search.encodings), search.swap) for search in asked[::2]]
    assert formats == [
        ("twos_complement,sign_magnitude", True),
        ("sign_magnitude", True),
        ("sign_magnitude", False),
    ]


def test_images_of_other_classes_are_refused(dse) -> None:
    for name in ("a", "b"):
        Path("images", name).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(Path("images", name, "0.png"))
    result = dse("emulate", "tm:k=2", "--network", "resnet20", "--data", "images")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "the network tells 10 classes apart, and 'images' has 2" in result.err
    result = dse(*EXPLORE, "--verify", "8", "--data", "images", "--skip", "2")
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "the network tells 10 classes apart, and 'images' has 2" in result.err


@pytest.fixture
def own_network(dse) -> tuple[str, ...]:
    """A network of one's own and 600 random images of two classes, in the working folder."""
    Path("own.py").write_text(
        "from torch import nn\ndef make(channels=3):\n    layers = nn.Conv2d(channels, 4, 3), "
        "nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)\n    return "
        "nn.Sequential(*layers)\ndef gray(): return make(1)\n"
    )
    rng = np.random.default_rng(0)
    state = {
        "0.weight": rng.normal(size=(4, 3, 3, 3)),
        "0.bias": np.zeros(4),
        "4.weight": rng.normal(size=(2, 4)),
        "4.bias": np.zeros(2),
    }
    save_file({name: value.astype(np.float32) for name, value in state.items()}, "own.safetensors")
    save_file(
        {
            name: (value[:, :1] if name == "0.weight" else value).astype(np.float32).copy()
            for name, value in state.items()
        },
        "gray.st",
    )
    files = []
    for _ in range(600):
        jpeg = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(jpeg, "JPEG")
        files.append(np.frombuffer(jpeg.getvalue(), np.uint8))
    offset = np.cumsum([0, *map(len, files)])
    np.savez(
        "images.npz",
        jpeg=np.concatenate(files),
        offset=offset,
        label=np.arange(600) % 2,
        classes=np.array(["a", "b"]),
    )
    return "--network", "own.py:make", "--weights", "own.safetensors", "--data", "images.npz"


def test_emulate_several_multipliers_with_a_network_of_ones_own(
    dse, own_network: tuple[str, ...]
) -> None:
    exact = ProductTable.exact(8, False).products
    np.savez("many.npz", right=exact, nothing=np.zeros_like(exact))
    result = dse("emulate", "exact", "many.npz", *own_network, "--images", "40", "--json")
    rows = json.loads(result.out)
    assert [row["multiplier"] for row in rows] == [
        f"{name}@8x7" for name in ("exact", "right", "nothing")
    ]
    assert all(
        row["exact_top1"] == rows[0]["top1"] == rows[1]["top1"] and row["images"] == 40
        for row in rows
    )
    assert rows[2]["top1"] == 50.0  # biases alone decide, for every image alike
    spared = json.loads(
        dse(
            "emulate", "many.npz", *own_network, "--images", "40", "--json", "--exact-first-last"
        ).out
    )
    assert [row["top1"] for row in spared] == [
        rows[0]["top1"]
    ] * 2  # the network has no other layers
    lines = dse("emulate", "exact", "many.npz", *own_network, "--images", "40").out.splitlines()
    assert lines[0] == "own.py:make: emulated accuracy"
    assert lines[1].split()[:4] == ["multiplier", "top1", "float_top1", "exact_top1"]
    assert [line.split()[0] for line in lines[2:]] == ["exact@8x7", "right@8x7", "nothing@8x7"]


def test_emulate_narrow_and_wide_multipliers(dse, own_network: tuple[str, ...]) -> None:
    result = dse("emulate", "exact:width=4x3", "exact", *own_network, "--images", "40", "--json")
    assert result.status == 0, result.err
    narrow, wide = json.loads(result.out)
    assert narrow["exact_narrow_top1"] == narrow["top1"]
    assert wide["top1"] == wide["exact_narrow_top1"] == wide["exact_top1"] == narrow["exact_top1"]
    assert [narrow["multiplier"], wide["multiplier"]] == ["exact:width=4x3", "exact@8x7"]


def test_correct_writes_a_bundle_that_reads_back(dse, own_network: tuple[str, ...]) -> None:
    result = dse("correct", "tm:k=2", *own_network, "-o", "bundle")
    assert result.status == 0, result.err
    assert "bundle: own with tm:k=2@8x7, 2 layers, 6 operations" in result.out
    bundle = Deployment.load(Path("bundle"))
    assert (bundle.network, [layer.name for layer in bundle.layers], bundle.tables[0].widths) == (
        "own",
        ["0", "4"],
        Widths(8, 7),
    )
    assert [operation.kind for operation in bundle.operations] == [
        "input",
        "multiply",
        "relu",
        "global_average",
        "flatten",
        "multiply",
    ]
    assert set(bundle.correction.gains) == {"0", "4"}


@pytest.mark.slow
def test_profile_of_a_network_of_ones_own(dse, own_network: tuple[str, ...]) -> None:
    result = dse("profile", *own_network, "--out", "mine")
    assert result.status == 0, result.err
    assert "own.sign_magnitude.8x7.profile.npz: float" in result.out
    profile = NetworkProfile.load(Path("mine", "own.sign_magnitude.3x2.profile.npz"))
    assert (profile.widths, profile.corrected) == ((3, 2), True)
    assert (profile.network, [layer.name for layer in profile.layers], profile.chance_pct) == (
        "own",
        ["0", "4"],
        50.0,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("--network", "own.py:make"),
            2,
            r"'own\.py:make' needs weights; give them with --weights FILE\.safetensors",
        ),
        (
            ("--network", "resnet20", "--weights", "own.safetensors"),
            2,
            r"--weights goes with a network of your own",
        ),
        (
            ("--network", "own.py:other", "--weights", "own.safetensors"),
            2,
            r"'own\.py' has no function or class 'other'",
        ),
        (("--network", "own.py:make", "--weights", "absent"), 3, r"no weights at 'absent'"),
        (
            ("--network", "own.py:make", "--weights", "gray.st"),
            2,
            r"'gray\.st' does not fit 'own\.py:make'",
        ),
        (
            ("--network", "own.py:gray", "--weights", "gray.st"),
            2,
            r"network 'own' does not take images of 3x8x8",
        ),
    ],
)
def test_a_network_of_ones_own_that_cannot_be_used(
    dse, own_network: tuple[str, ...], arguments: tuple[str, ...], status: int, message: str
) -> None:
    result = dse("emulate", "exact", *arguments, "--data", "images.npz")
    assert (result.status, result.err.count("\n")) == (status, 1), result.err
    assert re.search(message, result.err)


def test_multipliers_that_do_not_fit_are_refused(dse, own_network: tuple[str, ...]) -> None:
    result = dse("emulate", "exact", "exact:signed=1", *own_network)
    assert (result.status, result.err.count("\n")) == (2, 1)
    assert "signed and unsigned multipliers need different encodings" in result.err


def test_metrics_as_json(dse) -> None:
    values = json.loads(dse("metrics", "bam:h=0,v=6", "--json").out)
    assert values["er_pct"] == 93.75
    assert values["me"] == -80.25
    keys = {
        "er_pct",
        "me",
        "med",
        "nmed_pct",
        "mred_pct",
        "mred_all_pct",
        "wce",
        "wcre_pct",
        "std",
        "zero_error",
        "rank",
    }
    assert keys <= set(values)


def test_synth_as_json(dse) -> None:
    values = json.loads(dse("synth", "tm:k=4", "--json").out)
    assert {
        "area_um2",
        "delay_ps",
        "energy_fj",
        "leakage_nw",
        "cell_library",
        "yosys_version",
    } <= set(values)
    assert 0 < values["area_um2"] < json.loads(dse("synth", "exact", "--json").out)["area_um2"]


def test_synth_for_speed_shows_its_critical_path(dse) -> None:
    options = (
        "exact:width=4",
        "--delay-target",
        "500",
        "--effort",
        "best",
        "--operand-order",
        "weight-stationary=16",
        "--path",
    )
    values = json.loads(dse("synth", *options, "--json").out)
    path = values["critical_path"]
    assert values["delay_ps"] == path[-1]["arrival_ps"] == max(step["arrival_ps"] for step in path)
    assert values["delay_ps"] < json.loads(dse("synth", "exact:width=4", "--json").out)["delay_ps"]
    assert "weight-stationary=16" in values["assumptions"]
    lines = dse("synth", *options).out.partition("critical path\n")[2].splitlines()
    assert lines[0].split() == ["cell", "pin", "net", "edge", "arrival_ps", "slew_ps", "load_ff"]
    assert [line.split()[-4:-2] for line in lines[1:]] == [
        [step["edge"], f"{step['arrival_ps']:.1f}"] for step in path
    ]


def test_a_table_comes_back_as_a_multiplier(dse) -> None:
    assert dse("table", "tm:k=2", "-o", "table.npy").status == 0
    assert np.array_equal(np.load("table.npy"), ProductTable.load(Path("table.npy")).products)
    assert json.loads(dse("metrics", "table.npy", "--json").out)["me"] == -380.25
    result = dse("synth", "table.npy")
    assert result.status == 2
    assert "is a table, which has no circuit" in result.err


def test_verilog_of_ones_own(dse) -> None:
    Path("mine.v").write_text(
        "module top(input [3:0] x, input [3:0] y, output [7:0] z); assign z = x * y; endmodule\n"
    )
    assert json.loads(dse("metrics", "mine.v:top", "--json").out)["wce"] == 0
    assert json.loads(dse("synth", "mine.v:top", "--json").out)["area_um2"] > 0


def test_metrics_of_wide_operands_come_with_intervals(dse) -> None:
    found = json.loads(dse("metrics", "drum:k=6,width=16", "--samples", "50000", "--json").out)
    low, high = found["confidence"]["mred_pct"]
    assert low < found["mred_pct"] < high
    assert found["samples"] == 50000
    shown = dse("metrics", "drum:k=6,width=16", "--samples", "50000").out
    assert re.search(r"mred_pct +1\.\d+  \(95 %: 1\.\d+ to 1\.\d+\)", shown)
    refused = dse("metrics", "drum:k=6,width=16", "--network", "resnet20")
    assert (refused.status, refused.err.count("\n")) == (2, 1)
    assert "multiplies operands of 16 bits" in refused.err


def test_export_proves_the_mapped_netlist(dse) -> None:
    result = dse("export", "bam:h=0,v=4,width=6", "-o", "out", "--prove")
    assert result.status == 0
    assert re.search(
        r"^proven: the mapped netlist \(\d+ cells of sg13g2_compact, recipe [a-z-]+\) computes",
        result.out,
        re.MULTILINE,
    )


def test_the_version_is_that_of_the_package(dse) -> None:
    result = dse("--version")
    assert (result.status, result.err) == (0, "")
    assert re.fullmatch(r"dse \d+\.\d+\.\d+\n", result.out)


def test_export_writes_a_project(dse) -> None:
    result = dse("export", "tm:k=2", "-o", "verilog")
    paths = [Path(line) for line in result.out.splitlines()]
    assert {path.parent for path in paths} == {Path("verilog/mul8u_tm_k2")}
    assert [path.suffix for path in paths[:3]] == [".v", ".v", ".sdc"]
    assert {path.name for path in paths} >= {"config.json", "config.mk", "mul8u_tm_k2.core"}
    assert all(path.is_file() for path in paths)


def test_export_of_a_run_writes_its_front(dse) -> None:
    valid_run(Path("run"))
    result = dse("export", "run", "-o", "out", "--mac", "--accumulator-bits", "20")
    assert (result.status, result.err) == (0, "")
    names = [f"out/mac20_mul8u_{name}" for name in ("drum_k4", "drum_k6", "exact")]
    assert sorted(result.out.splitlines()) == names
    assert Path("out/mac20_mul8u_exact/mul8u_exact.v").is_file()
    nothing = dse("export", "out", "-o", "out")
    assert (nothing.status, nothing.err.count("\n")) == (2, 1)
    assert "no run in 'out': run.json is missing" in nothing.err


def test_predict_as_json(dse) -> None:
    values = json.loads(dse("predict", "exact", "--network", "resnet20", "--json").out)
    assert values["ame"] == values["predicted_drop"] == 0
    worse = json.loads(dse("predict", "tm:k=4", "--network", "resnet20", "--json").out)
    assert worse["predicted_drop"] > 2
    # Without correction it loses nearly everything.
    bare = json.loads(
        dse("predict", "tm:k=4", "--network", "resnet20", "--no-correction", "--json").out
    )
    assert bare["predicted_drop"] > 10 * worse["predicted_drop"]


def test_families_lists_every_parameter(dse) -> None:
    out = dse("families").out
    assert "bam: Broken-array multiplier" in out
    assert "k=1..6  (required)" in out
    assert "operands of 4 to 16 bits; signed by sign magnitude" in out
    one = dse("families", "drum").out
    assert one.splitlines()[0].startswith("drum: ")
    assert (
        one.splitlines()[-1]
        == "    source: Hashemi, Bahar, Reda, ICCAD 2015, doi 10.1109/ICCAD.2015.7372600"
    )
    assert one in out


def test_show_prints_metrics_and_cost(dse) -> None:
    out = dse("show", "tm:k=2", "--network", "resnet20").out
    assert "resnet20 on CIFAR-10 (JPEG)" in out
    assert "area_um2" in out


def test_gzipped_garbage_is_refused(dse) -> None:
    Path("cells.lib.gz").write_bytes(gzip.compress(b"garbage " * 1000))
    result = dse("synth", "exact", "--liberty", "cells.lib.gz")
    assert (result.status, result.err.count("\n")) == (2, 1)


def test_show_draws_pictures(dse) -> None:
    result = dse("show", "bam:h=0,v=3,width=4", "-o", "pictures/bam")
    names = ["dots", "error_map", "error_histogram"]
    assert result.out.splitlines()[-3:] == [f"pictures/bam/{name}.png, .svg" for name in names]
    assert "area_um2" in result.out
    for name in names:
        assert Path(f"pictures/bam/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in Path(f"pictures/bam/{name}.svg").read_text()
    np.save("table.npy", ProductTable.exact(4).products)
    assert (
        dse("show", "table.npy", "-o", "pictures").out.splitlines()[-3]
        == "pictures/operand_bits.png, .svg"
    )


def test_show_without_a_place_for_pictures(dse) -> None:
    Path("file").touch()
    np.save("table.npy", ProductTable.exact(2).products)
    result = dse("show", "table.npy", "-o", "file/below")
    assert (result.status, result.err.count("\n")) == (3, 1)
    assert "cannot write to the output folder 'file/below'" in result.err


def test_a_run_is_laid_over_another(dse, tmp_path: Path) -> None:
    for name in ("one", "two"):
        valid_run(tmp_path / name)
    os.symlink(tmp_path / "elsewhere.v", tmp_path / "two" / "verilog")
    result = dse("report", "one", "two")
    assert result.status == 0
    assert result.out.splitlines()[-1] == "report: one/compared.html"
    page = (tmp_path / "one" / "compared.html").read_text()
    assert 'id="compared"' in page
    assert not (tmp_path / "one" / "report.html").exists()
    assert {path.name for path in (tmp_path / "two").iterdir()} == {"run.json", "verilog"}
    result = dse("report", "one", "three")
    assert (result.status, "no run in 'three'" in result.err) == (2, True)
