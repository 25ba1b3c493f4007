"""--zoo: operands of one's own network, wherever a network's operands are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cnn_eval import zoo
from hdl.operands import OperandEncoding, Widths

FORMAT, WIDTHS = OperandEncoding.SIGN_MAGNITUDE, Widths(4, 3)


@pytest.fixture
def dse(dse):
    """Runs a command in a folder that has a network `mine`, which is ResNet-8 in 4x3 bits."""
    profile = replace(zoo.load_profile("resnet8", FORMAT, WIDTHS), network="mine")
    Path("profiles").mkdir()
    profile.save(Path("profiles") / f"mine.{zoo.profile_suffix(FORMAT, WIDTHS, corrected=True)}")
    return dse


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "metrics tm:k=1,width=4x3",
        "show tm:k=1,width=4x3 -o out --element mac",
        "synth tm:k=1,width=4x3 --json",
        "synth tm:k=1,width=4x3 --mac --json",
        "synth tm:k=1,width=4x3 --element mac --json",
        "export tm:k=1,width=4x3 --element dot:lanes=2 -o out",
    ],
)
def test_operands_of_an_own_network(dse, command: str) -> None:
    status, shipped, err = dse(*command.split(), "--network", "resnet8")
    assert status == 0, err
    status, own, err = dse(*command.split(), "--network", "mine", "--zoo", "profiles")
    assert status == 0, err
    assert own.replace("mine", "resnet8") == shipped
    status, _, err = dse(*command.split(), "--network", "mine")
    assert status == 3
    assert err.startswith("dse: no profile of network 'mine' for sign_magnitude")
