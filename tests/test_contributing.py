"""What CONTRIBUTING.md shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from family_checks import assert_gates_follow_the_rule
from sample_exploration import realistic_exploration

from cnn_eval.networks import architectures
from hdl.multipliers import elaboration, spec
from hdl.multipliers.families import truncation
from reports.figures import convergence

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```(?:python|diff)\n(.*?)```", GUIDE, re.DOTALL)


def block(word: str) -> str:
    (found,) = (block for block in BLOCKS if word in block)
    return str(found)


def test_examples_are_short() -> None:
    assert len(BLOCKS) == 6
    assert max(sum(bool(line) for line in block.splitlines()) for block in BLOCKS) < 20


def test_a_new_family(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = dict(vars(truncation))
    exec("from __future__ import annotations\n" + block("CHOPPED"), names)
    for module in (spec, elaboration):
        monkeypatch.setattr(module, "FAMILIES", {**module.FAMILIES, "chopped": names["CHOPPED"]})
    for text in ("chopped:k=2,width=6", "chopped:k=2,width=6x5,signed=1"):
        assert_gates_follow_the_rule(spec.MultiplierSpec.parse(text))


def test_a_new_network() -> None:
    names = {**vars(architectures), "_BUILDERS": {}}
    exec(block("resnet14"), names)
    network = names["_BUILDERS"]["resnet14"](classes=10, image_px=32, image_channels=3)
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_a_new_figure() -> None:
    from reports.figures import captions, style

    names: dict[str, Any] = {**vars(convergence), **vars(captions), **vars(style)}
    exec("from __future__ import annotations\n" + block("leakage_figure"), names)
    figure = names["leakage_figure"](realistic_exploration())
    assert len(figure.axes[0].lines) > 10


@pytest.mark.parametrize("word", ["leakage_ratio=", "COSTS", "median_error"])
def test_lines_to_change_are_there(word: str) -> None:
    """What a difference takes away or stands beside is in the sources."""
    sources = "".join(
        path.read_text()
        for folder in ("hdl", "cnn_eval", "dse", "reports")
        for path in (ROOT / folder).rglob("*.py")
    )
    for line in block(word).splitlines():
        if line[:1] in (" ", "-") and line[1:].strip() not in ("", "..."):
            assert line[1:].strip() in sources
