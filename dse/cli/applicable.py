"""Which options mean something beside which others: an option that would be ignored is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand

from hdl.errors import InputError

__all__ = ["CheckedCommand"]

Given = Mapping[str, Any]


@dataclass(frozen=True)
class _Rule:
    """Parameters of a command that mean something only where `when(all parameters)` holds, and what
    to tell who gives them elsewhere.
    """

    parameters: str
    when: Callable[[Given], Any]
    reason: str


def _fine_tunes(given: Given) -> bool:
    return given["approximate"] or given["run"] is not None


def _unit(given: Given) -> Any:
    return given["mac"] or given["array"] or given["element"]


def _processing_element(given: Given) -> Any:
    return (given["mac"] or given["array"]) and not given["element"]


def _own_file(given: Given) -> bool:
    """Whether a multiplier is Verilog or a table, which do not say how their operand codes are
    meant.
    """
    named = (
        [given["spec"]] if "spec" in given else given.get("specs") or [given.get("approximate", "")]
    )
    return any(
        text.endswith((".npy", ".npz")) or text.rpartition(":")[0].endswith((".v", ".sv"))
        for text in named
    )


_SIGNED = _Rule(
    "signed",
    _own_file,
    "is for own Verilog and tables; a spec says it itself, as in drum:k=4,signed=1",
)
_NUMBER_FORMAT = _Rule(
    "encoding", lambda given: given["network"], "is the number format of --network; name that, too"
)
_ZOO = _Rule(
    "zoo",
    lambda given: given["network"],
    "is where profiles of --network are looked for; name that, too",
)
_UNIT_ALONE = "is of the multiply-accumulate element; give --mac or --array, too"
_ONE_UNIT = _Rule(
    "mac",
    lambda given: not given["element"],
    "is another unit than --element; give one of them",
)
_PROCESSING_ELEMENT = _Rule(
    "accumulator_bits pipeline",
    _processing_element,
    f"{_UNIT_ALONE}, or --element with bits=20 and pipeline=1",
)
_BARE_ALONE = "is of the bare multiplier; leave --mac, --array and --element away"
_LOCAL = _Rule(
    "workers",
    lambda given: not given["cluster"],
    "is of this machine, and --cluster has the workers that there are; leave one of them away",
)
_RECORDED = (
    "budget max_drop objectives encoding swap correction activation_bits weight_bits families "
    "seed_design evaluations walks seed liberty "
    "delay_target_ps level element array memory_energy zoo recalibrate"
)

_RULES: Mapping[str, tuple[_Rule, ...]] = {
    "assign": (
        _Rule("images skip", lambda given: given["verify"], "is of --verify; give that, too"),
        _Rule(
            "network weights",
            lambda given: given["data"] or given["verify"] or given["recalibrate"],
            "is for images to run through; give --data, too",
        ),
        _Rule(
            "cluster",
            lambda given: given["verify"] or given["recalibrate"],
            "emulates; ask for that with --verify or --recalibrate",
        ),
    ),
    "show": (
        _SIGNED,
        _Rule(
            "encoding",
            lambda given: given["network"] or given["element"],
            _NUMBER_FORMAT.reason,
        ),
        _ZOO,
        _Rule("element", lambda given: given["output"], "is drawn with -o; give a folder, too"),
    ),
    "table": (_SIGNED,),
    "metrics": (_SIGNED, _NUMBER_FORMAT, _ZOO),
    "synth": (
        _SIGNED,
        _Rule(
            (
                "liberty effort delay_target_ps network encoding zoo operand_order mac array "
                "element clock_ps memory_pj_per_byte accumulator_bits pipeline path"
            ),
            lambda given: not given["target"],
            (
                "is of cell libraries, and --target counts FPGA cells of the bare multiplier; "
                "leave one of them away"
            ),
        ),
        _ONE_UNIT,
        _PROCESSING_ELEMENT,
        _Rule("clock_ps", lambda given: given["element"], "is of --element; give that, too"),
        _Rule(
            "memory_pj_per_byte",
            lambda given: given["element"] and given["array"],
            "is of an array of elements; give --element and --array, too",
        ),
        _Rule("delay_target_ps path operand_order", lambda given: not _unit(given), _BARE_ALONE),
        _Rule("encoding", lambda given: given["network"] or _unit(given), _NUMBER_FORMAT.reason),
        _ZOO,
    ),
    "export": (
        _SIGNED,
        _ONE_UNIT,
        _PROCESSING_ELEMENT,
        _Rule("encoding", _unit, _UNIT_ALONE),
        _Rule(
            "network",
            lambda given: given["element"],
            "is whose dot products the sum of --element holds; give that, too",
        ),
        _ZOO,
        _Rule("prove", lambda given: not _unit(given), _BARE_ALONE),
        _Rule(
            "liberty",
            lambda given: given["prove"],
            "is the library that --prove maps to; give that, too",
        ),
    ),
    "predict": (_SIGNED,),
    "emulate": (
        _SIGNED,
        _Rule(
            "cluster",
            lambda given: len(given["specs"]) > 1 or given["specs"][0].endswith(".npz"),
            "does several emulations at a time; give more multipliers, or leave it away",
        ),
    ),
    "correct": (_SIGNED,),
    "train": (
        _SIGNED,
        _Rule(
            "gradient encoding",
            _fine_tunes,
            "is of fine-tuning; give --approximate SPEC, too",
        ),
        _Rule(
            "encoding",
            lambda given: given["run"] is None,
            "is what the design of --run says itself; leave it away",
        ),
        _Rule(
            "start image_px",
            lambda given: not _fine_tunes(given),
            "is of training, and fine-tuning goes on from the zoo's weights",
        ),
        _Rule(
            "zoo",
            lambda given: _fine_tunes(given) or given["start"],
            "is where weights to go on from are; give --start NETWORK, too",
        ),
    ),
    "synthesize": (_LOCAL,),
    "explore": (
        _Rule(
            _RECORDED,
            lambda given: not given["resume"],
            "is recorded with the run that --resume goes on with; leave it away",
        ),
        _LOCAL,
        _Rule(
            "element",
            lambda given: given["level"] != "multiplier",
            "is a form of what --level element or array searches; give that, too",
        ),
        _Rule(
            "array memory_energy",
            lambda given: given["level"] == "array",
            "is of the array; give --level array, too",
        ),
        _Rule(
            "delay_target_ps",
            lambda given: given["level"] == "multiplier",
            "is of the bare multiplier; leave --level or it away",
        ),
        _Rule("images skip", lambda given: given["verify"], "is of --verify; give that, too"),
        _Rule(
            "data",
            lambda given: given["verify"] or given["recalibrate"] or given["resume"],
            "is for emulating designs; ask for that with --verify or --recalibrate",
        ),
    ),
}


class CheckedCommand(TyperCommand):
    """A command that refuses options which it would ignore. Raises InputError."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        options = {parameter.name: parameter.opts[0] for parameter in self.params}
        for rule in _RULES.get(self.name or "", ()):
            for name in rule.parameters.split():
                source = ctx.get_parameter_source(name)
                if (
                    source is not None
                    and source.name == "COMMANDLINE"
                    and not rule.when(ctx.params)
                ):
                    raise InputError(f"{options[name]} {rule.reason}")
        return super().invoke(ctx)
