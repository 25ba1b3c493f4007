"""Folded batch normalization against the network it came from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnn_eval.networks.architectures import build_network
from cnn_eval.quantization.folding import FoldingError, fold_batch_norm
from cnn_eval.quantization.quantized_network import quantize
from cnn_eval.zoo import load_model
from hdl.operands import OperandEncoding


def images(count: int = 8) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["resnet20", "vgg11"])
def test_same_logits_without_batch_normalization(name: str) -> None:
    model, _ = load_model(name)
    folded = fold_batch_norm(model)
    assert any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        torch.testing.assert_close(folded(images()), model(images()), rtol=1e-3, atol=1e-3)


def test_with_a_scale_per_channel_the_integers_stay() -> None:
    model, _ = load_model("resnet20")
    plain, folded = (
        quantize(each, images(), OperandEncoding.SIGN_MAGNITUDE)
        for each in (model, fold_batch_norm(model))
    )
    for name, layer in plain.layers.items():
        # Negative factors turn the signs of a channel; what lies halfway between two integers may
        # round to either.
        difference = layer.sums.weight.abs() - folded.layers[name].sums.weight.abs()
        assert difference.abs().max() <= 1, name
        assert (difference != 0).float().mean() < 0.001, name


class Odd(nn.Module):
    """One normalization of a layer that is used twice, one of a sum, one of a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.shared_norm, self.sum_norm, self.linear_norm = (
            nn.BatchNorm2d(4),
            nn.BatchNorm2d(4),
            nn.BatchNorm1d(5),
        )
        self.linear = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        z = self.sum_norm(self.shared_norm(y) + y + self.other(x))
        return self.linear_norm(self.linear(z.mean((2, 3))))


def test_only_what_directly_follows_one_use_is_folded() -> None:
    torch.manual_seed(0)
    model = Odd().train()
    for _ in range(3):
        model(torch.randn(16, 3, 8, 8))
    folded = fold_batch_norm(model)
    kept = {
        name
        for name, module in folded.named_modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    }
    assert kept == {"shared_norm", "sum_norm"}
    x = torch.randn(4, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), model.eval()(x), rtol=1e-4, atol=1e-5)


def test_the_network_itself_stays() -> None:
    model = build_network("resnet8", seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold_batch_norm(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_network_that_cannot_be_traced_is_one_line() -> None:
    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(
        FoldingError,
        match=(
            r"Branching cannot be traced to fold its batch normalization \(.*\); leave it "
            r"unfolded"
        ),
    ):
        fold_batch_norm(Branching())
