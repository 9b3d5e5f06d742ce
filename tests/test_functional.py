"""What nn.functional adds to the operations: random numbers, masks that leave nothing, tables with limits."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import nn.functional as F


def test_one_module_object() -> None:
    assert importlib.import_module("minigrad.nn.functional") is F
    assert mg.nn.functional is F


@pytest.mark.parametrize("name", ["relu", "prelu", "selu", "celu", "threshold", "hardshrink", "sigmoid", "tanh",
                                  "softmax", "log_softmax", "layer_norm", "group_norm", "rms_norm"])  # fmt: skip
def test_one_function_object(name: str) -> None:
    assert getattr(F, name) is getattr(mg, name)


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
def test_dropout(dtype: Any) -> None:
    x = mg.ones(100, 100, dtype=dtype, requires_grad=True)
    y = F.dropout(x, 0.25)
    values = y.detach().numpy()
    assert values.dtype == dtype
    assert set(np.unique(values)) == {0, dtype.type(1 / 0.75)}
    assert abs((values == 0).mean() - 0.25) < 0.03
    y.backward(mg.ones_like(y))
    assert np.array_equal(x.grad.numpy(), values)


def test_dropout_at_the_ends() -> None:
    x = mg.tensor([1.0, 2.0])
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == [0, 0]
    assert F.alpha_dropout(x, 1.0, training=True).tolist() == [0, 0]
    assert F.dropout(x, 1.0, inplace=True) is x
    assert x.tolist() == [0, 0]


def test_dropout_follows_the_seed() -> None:
    draws = []
    for seed in (1, 1, 2):
        mg.manual_seed(seed)
        draws.append(F.dropout(mg.ones(50)).tolist())
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(("function", "shape"), [(F.dropout1d, (4, 5, 6)), (F.dropout2d, (4, 5, 2, 3)),
                                                 (F.dropout3d, (20, 2, 1, 3)),
                                                 (F.feature_alpha_dropout, (4, 5, 6))])  # fmt: skip
def test_channels_drop_as_a_whole(function: Any, shape: tuple[int, ...]) -> None:
    channels = 1 if function is F.dropout3d else 2
    y = function(mg.ones(*shape), 0.5, training=True).numpy().reshape(math.prod(shape[:channels]), -1)
    assert (y == y[:, :1]).all()
    assert len(np.unique(y[:, 0])) == 2


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    mg.manual_seed(0)
    y = F.alpha_dropout(mg.randn(100_000), 0.3, training=True).numpy()
    assert abs(y.mean()) < 0.02
    assert abs(y.std() - 1) < 0.02


def test_gumbel_softmax() -> None:
    mg.manual_seed(0)
    logits = mg.tensor([0.0, math.log(3.0)]).expand(4000, 2).clone().requires_grad_()
    soft = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(soft.detach().numpy().sum(1), 1, rtol=1e-5)
    hard = F.gumbel_softmax(logits, hard=True)
    np.testing.assert_allclose(np.sort(hard.detach().numpy(), 1), [[0, 1]] * 4000, atol=1e-6)
    assert abs(hard.detach().numpy()[:, 1].mean() - 0.75) < 0.03
    hard[:, 0].sum().backward()
    assert logits.grad.numpy().any()


def test_attention_to_nothing_gives_zeros() -> None:
    q, k, v = (mg.ones(2, 3, requires_grad=True) for _ in range(3))
    for mask in (mg.tensor([[True, False], [False, False]]), mg.tensor([[0.0, -math.inf], [-math.inf, -math.inf]])):
        y = F.scaled_dot_product_attention(q, k, v, mask)
        assert y.tolist() == [[1, 1, 1], [0, 0, 0]]
        y.sum().backward()
        assert all(np.isfinite(t.grad.numpy()).all() for t in (q, k, v))


def test_attention_dropout() -> None:
    mg.manual_seed(0)
    q, k, v = mg.zeros(1, 4), mg.zeros(1000, 4), mg.ones(1000, 4)
    y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
    assert 0.8 < y.min().item() < 1.2
    assert y[0, 0].item() != 1


def test_embedding_limits_norms_in_place() -> None:
    weight = mg.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    y = F.embedding(mg.tensor([0, 1, 0]), weight, max_norm=1.0)
    expected = [[0.6, 0.8], [0.3, 0.4], [6.0, 8.0]]
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(y.detach().numpy(), [expected[i] for i in (0, 1, 0)], rtol=1e-6)
    y.sum().backward()
    assert weight.grad.tolist() == [[2, 2], [1, 1], [0, 0]]


def test_embedding_gradients() -> None:
    weight = mg.ones(3, 2, requires_grad=True)
    F.embedding(mg.tensor([0, 2, 2, 1]), weight, padding_idx=1).sum().backward()
    assert weight.grad.tolist() == [[1, 1], [0, 0], [2, 2]]
    weight.grad = None
    F.embedding(mg.tensor([0, 2, 2]), weight, scale_grad_by_freq=True).sum().backward()
    assert weight.grad.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_empty_bags_give_zeros() -> None:
    for mode in ("sum", "mean", "max"):
        y = F.embedding_bag(mg.tensor([1, 1]), -mg.ones(2, 3), mg.tensor([0, 0, 2]), mode=mode)
        assert y.tolist()[0] == [0, 0, 0]
        assert y.tolist()[2] == [0, 0, 0]
