"""No option is ignored without a word."""

from __future__ import annotations

import pytest
import typer.main

from dse.cli import app, main
from dse.cli.applicable import _RULES

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
UNIT = "is of the multiply-accumulate element"
BARE = "is of the bare multiplier"
RECORDED = "is recorded with the run that --resume goes on with"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "synth exact --target ice40 --pipeline",
            "--pipeline is of cell libraries, and --target counts FPGA cells",
        ),
        ("synth exact --target ice40 --effort best", "--effort is of cell libraries"),
        ("synth exact --target ice40 --network resnet20", "--network is of cell libraries"),
        ("synth exact --target ice40 --array 8x8", "--array is of cell libraries"),
        ("synth exact --pipeline", f"--pipeline {UNIT}"),
        ("synth exact --accumulator-bits 20", f"--accumulator-bits {UNIT}"),
        ("synth exact --mac --path", f"--path {BARE}"),
        ("synth exact --encoding twos_complement", "--encoding is the number format of --network"),
        ("metrics exact --encoding sign_magnitude", "--encoding is the number format of --network"),
        ("metrics exact --zoo mine", "--zoo is where profiles of --network are looked for"),
        ("show exact --zoo mine", "--zoo is where profiles of --network are looked for"),
        ("synth exact --zoo mine", "--zoo is where profiles of --network are looked for"),
        ("synth exact --target ice40 --zoo mine", "--zoo is of cell libraries"),
        ("export exact -o out --zoo mine", "--zoo is where profiles of --network are looked for"),
        ("metrics exact --signed", "--signed is for own Verilog and tables; a spec says it itself"),
        ("predict drum:k=4 --network resnet20 --signed", "--signed is for own Verilog and tables"),
        (
            "emulate drum:k=4 --network resnet20 --data digits --signed",
            "--signed is for own Verilog and tables",
        ),
        ("export exact -o out --encoding twos_complement", f"--encoding {UNIT}"),
        (
            "export exact -o out --liberty cells.lib",
            "--liberty is the library that --prove maps to",
        ),
        ("export exact -o out --mac --prove", f"--prove {BARE}"),
        (
            "train --network resnet20 --data d --test t --approximate tm:k=2 --start resnet20",
            "--start is of training, and fine-tuning goes on",
        ),
        (
            "train --network resnet20 --data d --test t --approximate tm:k=2 --image-px 64",
            "--image-px is of training",
        ),
        (
            "train --network resnet20 --data d --test t --run r --encoding unsigned",
            "--encoding is what the design of --run says itself",
        ),
        (
            "train --network resnet20 --data d --test t --gradient smoothed",
            "--gradient is of fine-tuning; give --approximate SPEC",
        ),
        (
            "train --network resnet20 --data d --test t --zoo mine",
            "--zoo is where weights to go on from are",
        ),
        (
            "explore --network resnet20 --workers 2 --cluster tcp://host:8786",
            "--workers is of this machine, and --cluster has the workers that there are",
        ),
        (
            "synthesize --network resnet20 --workers 2 --cluster tcp://host:8786",
            "--workers is of this machine, and --cluster has the workers that there are",
        ),
        (
            "assign run --kinds 2 -o out --cluster tcp://host:8786",
            "--cluster emulates; ask for that with --verify or --recalibrate",
        ),
        (
            "emulate drum:k=4 --network resnet20 --data digits --cluster tcp://host:8786",
            "--cluster does several emulations at a time; give more multipliers",
        ),
        ("explore --resume --out run --budget power", f"--budget {RECORDED}"),
        ("explore --resume --out run --no-swap", f"--swap {RECORDED}"),
        ("explore --resume --out run --delay-target 900", f"--delay-target {RECORDED}"),
        (
            "explore --network resnet20 --data digits",
            "--data is for emulating designs; ask for that with --verify or --recalibrate",
        ),
        ("explore --network resnet20 --skip 10", "--skip is of --verify"),
        (
            "explore --network resnet20 --element mac",
            "--element is a form of what --level element or array searches",
        ),
        (
            "explore --network resnet20 --level element --array 8x8",
            "--array is of the array; give --level array, too",
        ),
        (
            "explore --network resnet20 --memory-energy 2",
            "--memory-energy is of the array; give --level array, too",
        ),
        (
            "explore --network resnet20 --level array --array 8",
            "array '8' is not ROWSxCOLUMNS; write for example 8x8",
        ),
        (
            "explore --network resnet20 --level array --array 8x65",
            "an array of 8 x 65 elements is outside 1 x 1 .. 64 x 64; give ROWSxCOLUMNS",
        ),
        ("explore --resume --out run --array 4x4", f"--array {RECORDED}"),
        (
            "explore --network resnet20 --level element --delay-target 900",
            "--delay-target is of the bare multiplier",
        ),
        ("explore --resume --out run --level element", f"--level {RECORDED}"),
        ("explore --network resnet20 --level chip", "unknown level 'chip'; search at one of"),
        (
            "explore --network resnet20 --level element --element dots:lanes=4",
            "no element is called 'dots'; did you mean 'dot'?",
        ),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(
    command: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["dse", *command.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    complaint = capsys.readouterr().err
    assert (stop.value.code, complaint.count("\n")) == (2, 1)
    assert complaint.startswith(f"dse: {message}")


def test_rules_are_of_options_that_exist() -> None:
    for command, rules in _RULES.items():
        parameters = {parameter.name for parameter in COMMANDS[command].params}
        assert {name for rule in rules for name in rule.parameters.split()} <= parameters, command


def test_every_option_of_a_search_is_recorded_or_may_change() -> None:
    parameters = {
        parameter.name for parameter in COMMANDS["explore"].params if parameter.name != "help"
    }
    recorded = set(_RULES["explore"][0].parameters.split())
    assert parameters - recorded == {
        "network",
        "weights",
        "workers",
        "cluster",
        "verify",
        "data",
        "labels",
        "images",
        "skip",
        "out",
        "resume",
    }
