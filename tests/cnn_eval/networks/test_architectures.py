"""Architectures against published parameter counts and shapes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnn_eval.networks.architectures import UnknownNetworkError, build_network, network_names

# Parameters of the ImageNet forms as torchvision documents them (1000 classes), and of CIFAR
# ResNets (He et al. 2016, Table 6, which counts in units of 0.01 million and shortcuts without
# parameters; ours have projections).
IMAGENET = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "vgg11": 132_868_840,
    "vgg13": 133_053_736,
    "vgg16": 138_365_992,
}
CIFAR_MILLIONS = {"resnet20": 0.27, "resnet32": 0.46, "resnet56": 0.85}


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("name", "expected"), IMAGENET.items())
def test_imagenet_forms_have_torchvisions_parameter_counts(name: str, expected: int) -> None:
    with torch.device("meta"):
        assert parameters(build_network(name, classes=1000, image_px=224)) == expected


@pytest.mark.parametrize(("name", "millions"), CIFAR_MILLIONS.items())
def test_cifar_resnets_have_the_papers_size(name: str, millions: float) -> None:
    assert parameters(build_network(name)) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("name", network_names())
@pytest.mark.parametrize("image_px", [32, 224])
def test_shapes(name: str, image_px: int) -> None:
    with torch.device("meta"):
        model = build_network(name, classes=7, image_px=image_px).eval()
        assert model(torch.empty(2, 3, image_px, image_px)).shape == (2, 7)


def test_small_images_keep_their_resolution_in_the_stem() -> None:
    model = build_network("resnet18", image_px=32)
    assert model.conv1.stride == (1, 1)
    assert isinstance(model.maxpool, nn.Identity)


def test_names_are_torchvisions() -> None:
    names = build_network("resnet18").state_dict()
    assert {
        "conv1.weight",
        "bn1.running_mean",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.bias",
        "fc.bias",
    } <= set(names)
    assert {"features.0.weight", "features.1.running_var"} <= set(
        build_network("vgg11").state_dict()
    )


def test_unknown_network_names_the_known_ones() -> None:
    with pytest.raises(
        UnknownNetworkError, match="unknown network 'resnet21'; known are resnet8, resnet20"
    ):
        build_network("resnet21")
