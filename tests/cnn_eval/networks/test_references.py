"""What users call networks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cnn_eval.networks import is_own_network, network_name
from cnn_eval.networks.references import TORCHVISION_NAMES
from cnn_eval.networks.torchvision_forms import TORCHVISION_FORMS


@pytest.mark.parametrize(
    ("reference", "own", "name"),
    [
        ("net.py:make", True, "net"),
        ("folder/net.py", True, "net"),
        ("folder/model.onnx", True, "model"),
        ("torchvision:resnet18", True, "torchvision-resnet18"),
        ("resnet20", False, "resnet20"),
    ],
)
def test_networks_are_called_by_their_files(reference: str, own: bool, name: str) -> None:
    assert is_own_network(reference) is own
    assert network_name(reference) == name


def test_namesakes_are_torchvisions() -> None:
    assert set(TORCHVISION_NAMES.values()) <= set(TORCHVISION_FORMS)


def test_names_and_cards_need_no_torch() -> None:
    """So that a search starts at once."""
    script = (
        "import sys; from dse.api.exploring import namesakes; "
        "assert len(namesakes('resnet18,vgg11')) == 2; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
