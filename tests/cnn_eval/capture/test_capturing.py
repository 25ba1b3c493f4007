"""Captured networks against the networks themselves, and all that is refused."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import CAPTURED, OptionAResNet, Recurrent, SameConvolution, made
from torch import nn
from torch.nn import functional

from cnn_eval.capture import ActivationProduct, CaptureError, capture, count_multiplications


class Function(nn.Module):
    """A function of images behind a convolution."""

    def __init__(self, function, **parts: nn.Module) -> None:
        super().__init__()
        self.first, self.function = nn.Conv2d(3, 4, 3), function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, self.first(x))


def captured_of(function, **parts: nn.Module) -> tuple[nn.Module, nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model, x = Function(function, **parts).eval(), torch.randn(6, 3, 8, 8)
    return model, capture(model, x), x


@pytest.mark.parametrize("name", CAPTURED)
def test_the_same_function_in_layers_that_can_be_quantized(name: str) -> None:
    model, x = made(CAPTURED[name])
    state = copy.deepcopy(model.state_dict())
    captured = capture(model, x)
    assert captured is not model
    for images in (1, 2, 5, 22):  # of the batch nothing is left in the graph
        with torch.no_grad():
            torch.testing.assert_close(
                captured(x[:images]), model(x[:images]), rtol=1e-4, atol=1e-5
            )
    found = count_multiplications(captured, x)
    assert all(one.plain for one in found)
    assert sum(one.macs for one in found) > 0
    # The network itself stays as it was, and a captured one needs no capture.
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert capture(captured, x) is captured
    assert not any(value.requires_grad for value in captured.parameters())


def test_most_networks_stay_as_they_are() -> None:
    for make in (
        OptionAResNet,
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.Flatten(), nn.Linear(256, 5)),
    ):
        model, x = made(make)
        assert capture(model, x) is model


def test_layers_keep_their_paths() -> None:
    model, x = made(CAPTURED["standardized"])
    captured = capture(model, x)
    assert [one.layer for one in count_multiplications(captured, x)] == [
        "stem.0",
        "block.0",
        "fc",
    ]
    weight = captured.get_submodule("stem.0").weight
    torch.testing.assert_close(weight.mean((1, 2, 3)), torch.zeros(8), atol=1e-6, rtol=0)
    encoder, x = made(CAPTURED["encoder"])
    names = [one.layer for one in count_multiplications(capture(encoder, x), x)]
    assert names[:7] == ["patches"] + [
        f"encoder.layers.0.self_attn.{part}"
        for part in (
            "q_proj",
            "k_proj",
            "v_proj",
            "attention.scores",
            "attention.mixed",
            "out_proj",
        )
    ]
    assert names[-1] == "head"


def test_sizes_are_of_the_images_it_is_captured_with() -> None:
    """Code that branches on sizes is read for one size; another one fails or pads otherwise."""
    model = nn.Sequential(SameConvolution(3, 4, 3, 2)).eval()
    for px in (7, 8):
        x = torch.randn(2, 3, px, px)
        with torch.no_grad():
            torch.testing.assert_close(capture(model, x)(x), model(x))


SIDE = torch.randn(4, 36, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda net, x: x.flatten(2) @ SIDE.T, nn.Linear),
        (lambda net, x: torch.matmul(SIDE.T[:, :4], x.flatten(2)), nn.Linear),
        (lambda net, x: functional.linear(x.flatten(2), SIDE, SIDE[:, 0]), nn.Linear),
        (lambda net, x: net.own(x), nn.Conv2d),
        (lambda net, x: net.row(x.flatten(2)), nn.Conv2d),
        (lambda net, x: net.normed(x), nn.Conv2d),
        (lambda net, x: torch.bmm(x.flatten(2), x.flatten(2).mT), ActivationProduct),
        (lambda net, x: SIDE[:, None, :6] @ x, ActivationProduct),
    ],
)
def test_functions_become_layers(function, kind: type[nn.Module]) -> None:
    own = nn.Conv2d(4, 6, 3, groups=2, stride=(2, 1))
    own.register_forward_hook(lambda module, args, output: output * 2)
    with pytest.warns(FutureWarning), torch.no_grad():
        normed = nn.utils.weight_norm(nn.Conv2d(4, 4, 3))
    model, captured, x = captured_of(
        function,
        own=own,
        row=nn.Conv1d(4, 6, 3, 2, "valid" if kind is nn.Linear else 2, 3, 2),
        normed=normed,
    )
    assert captured is not model
    last = count_multiplications(captured, x)[-1].layer
    assert isinstance(captured.get_submodule(last), kind)
    with torch.no_grad():
        torch.testing.assert_close(captured(x), model(x))


class Einsum(nn.Module):
    """Of two parts of the images, (n, 3, 4, 5) and (n, 2, 4, 5)."""

    def __init__(self, equation: str, first: list[int], second: list[int]) -> None:
        super().__init__()
        self.equation, self.first, self.second = equation, first, second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x[:, :, :4, :5].permute(self.first)
        return torch.einsum(self.equation, first, x[:, :2, :4, :5].permute(self.second))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_einsum_of_two_operands(data: st.DataObject) -> None:
    """Products of any letters; refused where an operand is summed by itself."""
    first, second = (data.draw(st.permutations(range(4))) for _ in range(2))
    left, right = ("".join("nchw"[i] for i in first), "".join("ndhw"[i] for i in second))
    output = data.draw(st.permutations("nchwd"))[: data.draw(st.integers(1, 5))]
    model = Einsum(f"{left}, {right} -> {''.join(output)}", first, second).eval()
    x = torch.randn(6, 3, 8, 8)
    sums_alone = not {"c", "d"} <= set(output)
    refused = any(not one.plain for one in count_multiplications(model, x)) and sums_alone
    if refused:
        with pytest.raises(CaptureError, match="the forward of Einsum"):
            capture(model, x)
        return
    captured = capture(model, x)
    torch.testing.assert_close(captured(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_of_even_kernels() -> None:
    model, captured, x = captured_of(
        lambda net, x: functional.conv2d(x, SIDE[:, :32].view(4, 4, 4, 2), padding="same")
    )
    torch.testing.assert_close(captured(x), model(x))


class Attending(nn.Module):
    """`nn.MultiheadAttention` with what is given to it."""

    def __init__(self, *, cross: bool = False, **settings) -> None:
        super().__init__()
        sizes = {"kdim": 3, "vdim": 3} if cross else {}
        self.attention = nn.MultiheadAttention(8, 2, **sizes, **settings)
        self.first, self.cross = nn.Conv2d(3, 8, 4, 4), cross
        self.given: dict[str, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.first(x).flatten(2).mT
        others = x.flatten(2).mT[:, ::16] if self.cross else tokens
        if not self.attention.batch_first:
            tokens, others = tokens.transpose(0, 1), others.transpose(0, 1)
        found = self.attention(tokens, others, others, need_weights=False, **self.given)[0]
        return found if self.attention.batch_first else found.transpose(0, 1)


HIDDEN = torch.ones(4, 4).triu(1)


@pytest.mark.parametrize(
    ("settings_", "given_"),
    [
        ({"batch_first": True}, {}),
        ({"batch_first": False, "bias": False}, {}),
        ({"batch_first": True, "cross": True}, {}),
        ({"batch_first": True}, {"attn_mask": HIDDEN.bool()}),
        ({"batch_first": False}, {"attn_mask": -3 * HIDDEN}),
    ],
    ids=str,
)
def test_attention_is_torch_s(settings_, given_) -> None:
    torch.manual_seed(0)
    model, x = Attending(**settings_).eval(), torch.randn(6, 3, 8, 8)
    for parameter in model.attention.parameters():
        nn.init.normal_(parameter)
    model.given = given_
    captured = capture(model, x)
    with torch.no_grad():
        torch.testing.assert_close(captured(x[:3]), model(x[:3]))
    assert sum(type(part) is ActivationProduct for part in captured.modules()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"is_causal": True},
        {"scale": 0.3},
        {"attn_mask": HIDDEN.bool().logical_not()},
        {"attn_mask": HIDDEN},
    ],
    ids=str,
)
def test_functional_attention_is_torch_s(arguments) -> None:
    def attend(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (x[:, :, i : i + 4, :3] for i in range(3))
        return functional.scaled_dot_product_attention(q, k, v, **arguments)

    model, captured, x = captured_of(attend)
    with torch.no_grad():
        torch.testing.assert_close(captured(x), model(x))


class Standard(nn.Conv2d):
    """Branches on its input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2 if x.mean() > 0 else super().forward(x)


def padded_attention() -> nn.Module:
    model = Attending(batch_first=True)
    model.given = {"key_padding_mask": torch.zeros(2, 4, dtype=torch.bool)}
    return model


class Chance(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x)


class ByName(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(input=x)


class Counting(nn.Conv2d):
    """Another function each time it is read as a graph, but not each time it runs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        symbolic = not isinstance(x, torch.Tensor)
        return functional.conv2d(x, self.weight * (2 if symbolic else 1), self.bias)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ByName, r"layer 'layer' \(Conv2d\) is given its input by name"),
        (
            Recurrent,
            r"layer 'rows' \(LSTM\) multiplies in a way that cannot be quantized; take conv",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ConvTranspose2d(4, 4, 2))),
            r"layer '1\.0' \(ConvTranspose2d\) multiplies in a way that cannot be quantized",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Standard(4, 4, 1)),
            r"layer '1' \(Standard\) multiplies outside of layers that can be quantized, and the "
            r"network's forward cannot be read as a graph \(it branches on values\)",
        ),
        (
            lambda: Attending(batch_first=True, add_bias_kv=True),
            r"layer 'attention' \(MultiheadAttention\) adds keys and values of its own",
        ),
        (padded_attention, r"layer 'attention' \(MultiheadAttention\) is given a key padding mask"),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Chance()),
            r"Sequential gives other results for the same image each time; is there dropout",
        ),
        (
            lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Counting(4, 4, 1), nn.ReLU()),
            r"the graph of Sequential computes something else .*; layer '1' is the first",
        ),
    ],
)
def test_what_is_refused_is_named_in_one_line(make, message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(CaptureError, match=message) as caught:
        capture(make().eval(), torch.randn(2, 3, 8, 8))
    assert "\n" not in str(caught.value)
