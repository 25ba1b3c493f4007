"""Every mistake is one line and the right exit code; and runs that are gone on with."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hostile.runs import asked, valid_run

from dse.engine import Search, record_search

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
            r"resnet20 is profiled for 8x7, .*, 3x2 in sign_magnitude, and this multiplies 2x1 "
            r"bits; take one of those, or make a profile with dse profile --activation-bits 2 "
            r"--weight-bits 2$",
        ),
        (
            # Not under the operands of a narrower profile, whose codes it is not for.
            ("synth", "exact:width=7", "--network", "resnet20"),
            2,
            r"and this multiplies 7x7 bits; take one of those, or tie operand bits off as in "
            r"SPEC@6x5, or make a profile with dse profile --activation-bits 7 --weight-bits 8$",
        ),
        (
            ("show", "exact:width=8x1", "--network", "resnet20", "--encoding", "sign_magnitude"),
            2,
            r"and this multiplies 8x1 bits; take one of those, or make a profile with dse profile "
            r"--activation-bits 8 --weight-bits 2$",
        ),
        (
            ("predict", "drum:k=4", "--network", "absent/resnet20.py:make"),
            2,
            r"no profile of absent/resnet20.py:make in a folder of your own: 'resnet20' by itself "
            r"is another network, which ships; give the folder of `dse profile --out` with --zoo",
        ),
        (
            ("explore", "--network", "absent/resnet20.onnx"),
            2,
            r"no profile of absent/resnet20.onnx in a folder of your own",
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
            r"exact:width=2 multiplies 2x2 bits, and resnet20 is profiled for 8x7, 8x4,.* in "
            r"sign_magnitude; take one of those, or make a profile with dse profile "
            r"--activation-bits 2 --weight-bits 3$",
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
    complement = ["--encoding", "twos_complement"]
    forms: tuple[list[str], ...] = (
        ["--encoding", "twos_complement, sign_magnitude"],
        ["--swap"],
        [],
        complement,
        [*complement, "--no-swap"],
    )
    for form in forms:
        assert dse(*EXPLORE, *form, *arguments).status == 130
        assert dse("explore", "--resume", *arguments).status == 130
    assert asked[::2] == asked[1::2]
    formats = [(",".join(search.encodings), search.swap) for search in asked[::2]]
    assert formats == [
        ("twos_complement,sign_magnitude", True),
        ("sign_magnitude", True),
        ("sign_magnitude", False),
        ("twos_complement", True),
        ("twos_complement", False),
    ]


def test_the_version_is_that_of_the_package(dse) -> None:
    result = dse("--version")
    assert (result.status, result.err) == (0, "")
    assert re.fullmatch(r"dse \d+\.\d+\.\d+\n", result.out)


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
