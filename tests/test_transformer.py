"""Attention with several heads and the Transformer: masks, weights, and numbers of PyTorch written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.engine import Watcher
from minigrad.testing import assert_close


def fill(module: nn.Module) -> Any:
    """Weights that can be written down: sin(0), sin(1), ... / 2 through all parameters."""
    start = 0
    for param in module.parameters():
        param.data = mg.tensor((np.sin(np.arange(start, start + param.numel())) / 2).reshape(param.shape))
        start += param.numel()
    return module


def tokens(*shape: int) -> mg.Tensor:
    return mg.tensor(np.cos(np.arange(np.prod(shape))).reshape(shape))


def test_numbers_of_pytorch() -> None:
    """``torch.nn.MultiheadAttention(4, 2)`` with the same weights."""
    layer, x = fill(nn.MultiheadAttention(4, 2)), tokens(3, 1, 4)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    y, weights = layer(x, x, x, attn_mask=mask.double())
    assert_close(y[2, 0], np.array([0.0895813746, 0.3437502589, 0.6544113195, -0.5855913438]), rtol=0, atol=1e-9)
    assert_close(weights[0, 2], np.array([0.4029847672, 0.3655606086, 0.2314546243]), rtol=0, atol=1e-9)


def test_weights() -> None:
    layer = nn.MultiheadAttention(4, 2)
    x = mg.randn(5, 3, 4)
    y, weights = layer(x, x, x)
    assert y.shape == (5, 3, 4)
    assert weights.shape == (3, 5, 5)
    assert_close(weights.sum(-1), mg.ones(3, 5))
    per_head = layer(x, x, x, average_attn_weights=False)[1]
    assert per_head.shape == (3, 2, 5, 5)
    assert_close(per_head.mean(1), weights)
    quiet, nothing = layer(x, x, x, need_weights=False)
    assert nothing is None
    assert_close(quiet, y)
    single, own = layer(x[:, 0], x[:, 0], x[:, 0])
    assert_close(single, y[:, 0])
    assert_close(own, weights[0])


def test_weights_that_nobody_sees_are_not_formed() -> None:
    class Names(Watcher):
        def operation(self, definition: Any, args: Any, arrays: Any, options: Any, compute: Any) -> Any:
            seen.add(definition.name)
            return compute()

    seen: set[str] = set()
    layer, x = nn.TransformerEncoderLayer(4, 2, 8), mg.randn(5, 3, 4)
    for training, formed in ((True, True), (False, False)):  # in training they are dropped
        seen.clear()
        with Names(), mg.use_fast_kernels():
            layer.train(training)(x)
        assert ("softmax" in seen, "attention" in seen) == (formed, not formed)


def test_masked_keys_do_not_count() -> None:
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    q, k = mg.randn(2, 3, 4), mg.randn(2, 5, 4)
    padding = mg.tensor([[False] * 5, [False, False, False, True, True]])
    y, weights = layer(q, k, k, key_padding_mask=padding)
    assert_close(y[1:], layer(q[1:], k[1:, :3], k[1:, :3])[0], rtol=1e-5, atol=1e-6)
    assert weights[1, :, 3:].abs().max().item() == 0
    y, weights = layer(q, k, k, key_padding_mask=mg.tensor([[True] * 5, [False] * 5]))
    assert weights[0].abs().max().item() == 0  # nothing to attend to: no NaN
    assert_close(y[0, 0], layer.out_proj.bias)


def test_a_causal_mask_hides_the_future() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    assert mask[:2, :2].tolist() == [[0, -float("inf")], [0, 0]]
    x = mg.randn(1, 5, 4, requires_grad=True)
    layer(x, src_mask=mask, is_causal=True)[0, 2, 0].backward()
    assert (x.grad[0, 3:] == 0).all()
    assert (x.grad[0, :3] != 0).any()


def test_dropout_drops_weights_in_training() -> None:
    mg.manual_seed(0)
    layer, x = nn.MultiheadAttention(4, 2, dropout=0.5), mg.randn(5, 1, 4)
    weights = layer(x, x, x, average_attn_weights=False)[1]
    assert 0 < (weights == 0).sum().item() < weights.numel()
    layer.eval()
    assert (layer(x, x, x)[1] > 0).all()


@pytest.mark.parametrize("norm_first", [False, True])
def test_batch_first_only_moves_a_dimension(norm_first: bool) -> None:
    options = {"dim_feedforward": 8, "dropout": 0.0, "norm_first": norm_first}
    one, two = (nn.Transformer(4, 2, 1, 1, batch_first=first, **options) for first in (False, True))
    two.load_state_dict(one.state_dict())
    src, tgt = mg.randn(5, 2, 4), mg.randn(3, 2, 4)
    assert_close(one(src, tgt).transpose(0, 1), two(src.transpose(0, 1), tgt.transpose(0, 1)), rtol=1e-5, atol=1e-6)
    assert_close(one(src[:, 0], tgt[:, 0]), one(src, tgt)[:, 0], rtol=1e-5, atol=1e-6)


def test_layers_of_a_stack_are_copies() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 3)
    weights = [layer.linear1.weight for layer in encoder.layers]
    assert len({id(w) for w in weights}) == 3
    assert_close(weights[0], weights[2])
    assert encoder.norm is None


def test_activations() -> None:
    x = mg.randn(3, 1, 4)
    layers = [nn.TransformerEncoderLayer(4, 2, 8, 0.0, activation=a) for a in ("gelu", nn.functional.gelu, nn.GELU())]
    for layer in layers[1:]:
        layer.load_state_dict(layers[0].state_dict())
        assert_close(layer(x), layers[0](x))


def test_custom_parts() -> None:
    class Same(nn.Module):
        def forward(self, x: Any, *rest: Any) -> Any:
            return x

    model = nn.Transformer(4, 2, 1, 1, 8, custom_encoder=Same(), custom_decoder=Same())
    x = mg.randn(3, 1, 4)
    assert_close(model(x, x), x)
