"""The compact transformer against torch's own encoder layer, at all sizes, and captured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cnn_eval.capture import ActivationProduct, capture, count_multiplications
from cnn_eval.networks.architectures import build_network
from cnn_eval.networks.compact_transformer import EncoderLayer


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return build_network("cct", seed=0).eval()


@torch.no_grad()
def test_encoder_layers_are_those_of_torch() -> None:
    torch.manual_seed(0)
    layer, x = EncoderLayer(24, 3, 40).eval(), torch.randn(2, 9, 24)
    for norm in (layer.norm1, layer.norm2):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    theirs = nn.TransformerEncoderLayer(
        24, 3, 40, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    names = {
        "attention.query_key_value.": "self_attn.in_proj_",
        "attention.output.": "self_attn.out_proj.",
        "perceptron.0.": "linear1.",
        "perceptron.2.": "linear2.",
    }
    state = {}
    for name, value in layer.state_dict().items():
        for ours, torchs in names.items():
            name = name.replace(ours, torchs)
        state[name] = value
    theirs.load_state_dict(state)
    torch.testing.assert_close(layer(x), theirs(x), rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("image_px", "tokens"), [(16, 16), (24, 36), (32, 64)])
def test_tokens_of_smaller_images(network: nn.Module, image_px: int, tokens: int) -> None:
    seen = []
    handle = network.norm.register_forward_hook(lambda _, args, output: seen.append(output.shape))
    assert network(torch.zeros(2, 3, image_px, image_px)).shape == (2, 10)
    handle.remove()
    assert seen == [(2, tokens, 128)]


@torch.no_grad()
def test_positions_count(network: nn.Module) -> None:
    """Tokens of the same content are told apart by where they are."""
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    wanted = network(x)
    position = network.position.clone()
    network.position.copy_(position.flip(1))
    changed = network(x)
    network.position.copy_(position)
    assert not torch.allclose(changed, wanted, atol=1e-4)


@torch.no_grad()
def test_captured_with_attention_in_products(network: nn.Module) -> None:
    x = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    captured = capture(network, x)
    torch.testing.assert_close(captured(x), network(x), rtol=1e-4, atol=1e-5)
    found = count_multiplications(captured, x)
    assert all(one.plain for one in found)
    kinds = [type(captured.get_submodule(one.layer)) for one in found]
    # Scores and mixtures of three layers, and the weighted mean of all tokens.
    assert kinds.count(ActivationProduct) == 2 * 3 + 1
    assert sum(one.macs for one in found) / 1e6 == pytest.approx(48.1, abs=0.1)
