"""Counted multiply-accumulates against counts by hand, and where they are found."""

from __future__ import annotations

import pytest
import torch
from small_networks import Recurrent, StandardizedConvolution
from torch import nn
from torch.nn import functional

from cnn_eval.capture.multiplications import count_multiplications, is_plain


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def macs(model: nn.Module, x: torch.Tensor) -> list[int]:
    return [found.macs for found in count_multiplications(model.eval(), x)]


@pytest.mark.parametrize(
    ("model", "shape", "by_hand"),
    [
        # outputs x channels of a group x kernel
        (nn.Conv2d(4, 6, 3, 2, 1), (4, 8, 8), 6 * 16 * 4 * 9),
        (nn.Conv2d(4, 8, (1, 3), groups=2), (4, 8, 8), 8 * 8 * 6 * 2 * 3),
        (nn.Conv2d(4, 4, 3, groups=4, dilation=2), (4, 8, 8), 4 * 16 * 9),
        # every input pixel meets every weight of its channel
        (nn.ConvTranspose2d(4, 6, 3, 2), (4, 8, 8), 4 * 64 * 6 * 9),
        (nn.Linear(7, 5), (7,), 35),
        (nn.Linear(7, 5, bias=False), (3, 7), 3 * 35),
        (Function(lambda x: x @ x.mT), (3, 7), 3 * 7 * 3),
        (Function(lambda x: x @ torch.ones(7, 2)), (7,), 14),
        (Function(lambda x: torch.einsum("nij,nkj->nik", x, x)), (3, 7), 3 * 7 * 3),
    ],
    ids=str,
)
def test_as_counted_by_hand(model: nn.Module, shape: tuple[int, ...], by_hand: int) -> None:
    assert macs(model, torch.rand(2, *shape)) == [by_hand]


def test_attention_multiplies_twice() -> None:
    """Queries with keys, and their weights with values, in one operation."""
    attention = Function(lambda x: functional.scaled_dot_product_attention(x, x, x))
    assert sum(macs(attention, torch.rand(2, 3, 5, 4))) == 2 * 3 * 5 * 5 * 4


def test_where_and_in_what() -> None:
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), nn.Flatten())
    model.append(Function(lambda x: x @ torch.ones(144, 2))).append(nn.Linear(2, 5))
    found = count_multiplications(model.eval(), torch.rand(2, 3, 8, 8))
    assert [(one.layer, one.kind, one.plain) for one in found] == [
        ("0.0", "Conv2d", True),
        ("2", "Function", False),
        ("3", "Linear", True),
    ]
    assert str(found[1]) == "layer '2' (Function)"
    (alone,) = count_multiplications(model[2], torch.rand(2, 144))
    assert str(alone) == "the forward of Function (operation mm)"
    assert not any(module._forward_hooks for module in model.modules())


def test_recurrent_layers_are_seen() -> None:
    found = count_multiplications(Recurrent().eval(), torch.rand(2, 3, 8, 8))
    assert [(one.layer, one.kind, one.plain) for one in found] == [
        ("rows", "LSTM", False),
        ("head", "Linear", True),
    ]


def test_sums_without_products_are_none() -> None:
    """Normalizations, gates and pooling do not multiply and add up."""
    model = nn.Sequential(
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Upsample(scale_factor=2),
    )
    assert macs(model, torch.rand(2, 4, 8, 8)) == []
    assert (
        macs(Function(lambda x: functional.normalize(x).cummax(1).values), torch.rand(2, 4)) == []
    )


class Subclass(nn.Linear):
    """A forward of its own, the same or not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + 1


class Renamed(nn.Conv2d):
    """Nothing of its own."""


def test_what_is_plain() -> None:
    assert is_plain(nn.Conv2d(3, 4, 3))
    assert is_plain(nn.Linear(3, 4))
    assert is_plain(Renamed(3, 4, 3))
    # The weight of a parametrized layer is what the parametrization says.
    assert is_plain(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)))
    assert not is_plain(StandardizedConvolution(3, 4, 3))
    assert not is_plain(Subclass(3, 4))
    assert not is_plain(nn.Conv1d(3, 4, 3))
    assert not is_plain(nn.ConvTranspose2d(3, 4, 3))
    hooked, patched = nn.Linear(3, 4), nn.Linear(3, 4)
    hooked.register_forward_pre_hook(lambda *_: None)
    patched.forward = lambda x: x  # type: ignore[assignment,method-assign]
    assert not is_plain(hooked)
    assert not is_plain(patched)
