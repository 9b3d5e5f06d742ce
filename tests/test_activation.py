"""Activation functions where they are not smooth, where they overflow, and in place. The values are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from nn import functional as F

KINKS = [
    (F.relu, [-1.0, 0.0, 1.0], [0, 0, 1]),
    (F.relu6, [0.0, 3.0, 6.0], [0, 1, 0]),
    (F.hardtanh, [-1.0, 0.0, 1.0], [0, 1, 0]),
    (F.leaky_relu, [-1.0, 0.0, 1.0], [0.01, 0.01, 1]),
    (F.elu, [-np.log(2), 0.0, 1.0], [0.5, 1, 1]),
    (F.selu, [0.0], [1.0507009873554805 * 1.6732632423543772]),
    (F.celu, [0.0], [1]),
    (F.hardsigmoid, [-3.0, 0.0, 3.0], [0, 1 / 6, 0]),
    (F.hardswish, [float("-inf"), -3.0, 0.0, 3.0], [0, 0, 0.5, 1]),
    (F.hardshrink, [-0.5, 0.5, 1.0], [0, 0, 1]),
    (F.softshrink, [-0.5, 0.5, 1.0], [0, 0, 1]),
    (lambda x: F.threshold(x, 1.0, 20.0), [0.0, 1.0, 2.0], [0, 0, 1]),
    (F.softplus, [20.0, 21.0], [1 / (1 + np.exp(-20.0)), 1]),
    (F.softsign, [0.0], [1]),
]


@pytest.mark.parametrize(("function", "points", "slopes"), KINKS)
def test_gradients_at_kinks(function: Any, points: list[float], slopes: list[float]) -> None:
    x = mg.tensor(points, dtype=mg.float64, requires_grad=True)
    function(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [3, 3000])
@pytest.mark.parametrize("function", [F.relu, F.relu6, F.hardtanh, F.hardsigmoid, F.hardswish, F.hardshrink,
                                      F.softshrink, lambda x: F.threshold(x, 1.0, 20.0)])  # fmt: skip
def test_no_gradient_however_large_where_flat(function: Any, size: int) -> None:
    x = mg.full((size,), 0.0 if function in (F.hardshrink, F.softshrink) else -4.0, requires_grad=True)
    for g in (np.inf, np.nan):
        assert not grad(function(x), x, mg.full((size,), g))[0].numpy().any()


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
@pytest.mark.parametrize("name", ["relu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "softsign",
                                  "logsigmoid", "hardswish", "hardsigmoid", "tanhshrink"])  # fmt: skip
def test_nothing_overflows(name: str, dtype: Any) -> None:
    """Warnings are errors: the largest numbers must pass in silence, forward and backward."""
    x = mg.tensor([-6e4, -300.0, 300.0, 6e4], dtype=dtype, requires_grad=True)
    y = getattr(F, name)(x)
    y.sum(dtype=mg.float64).backward()
    assert np.isfinite(y.detach().numpy()).all()
    assert np.isfinite(x.grad.numpy()).all()


def test_celu_of_a_tiny_alpha_overflows_nowhere() -> None:
    x = mg.tensor([1.0, 1000.0], requires_grad=True)
    (slope,) = grad(F.celu(x, 1e-3).sum(), x, create_graph=True)
    assert slope.tolist() == [1, 1]
    assert grad(slope.sum(), x)[0].tolist() == [0, 0]


def test_gelu_tanh_far_out() -> None:
    x = mg.tensor([-1e30, 1e30], requires_grad=True)
    F.gelu(x, approximate="tanh").sum().backward()
    assert x.grad.tolist() == [0, 1]


def test_nan_passes() -> None:
    x = mg.tensor([float("nan")], requires_grad=True)
    y = F.relu(x)
    y.sum().backward()
    assert np.isnan(y.item())
    assert x.grad.item() == 1


def test_relu_keeps_integers() -> None:
    y = F.relu(mg.tensor([-2, 3]))
    assert y.dtype == mg.int64
    assert y.tolist() == [0, 3]


@pytest.mark.parametrize("function", [F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.silu, F.mish, F.hardtanh,
                                      F.hardsigmoid, F.hardswish, F.rrelu])  # fmt: skip
def test_in_place(function: Any) -> None:
    """The same values and gradient, in the same memory."""
    leaf = mg.tensor([-2.0, -0.5, 0.5, 2.0], requires_grad=True)
    expected, = mg.autograd.grad(function(leaf * 1).sum(), leaf)
    x = leaf * 1
    y = function(x, inplace=True)
    assert y is x
    assert np.array_equal(x.detach().numpy(), function(leaf).detach().numpy())
    x.sum().backward()
    assert np.array_equal(leaf.grad.numpy(), expected.numpy())


def test_one_object() -> None:
    assert F.relu is mg.relu
    assert F.relu is mg.Tensor.relu
    assert F.prelu is mg.prelu
    x = mg.tensor([-1.0, 1.0])
    assert x.relu_() is x
    assert x.tolist() == [0, 1]


def test_rrelu_draws_slopes_in_training() -> None:
    x = mg.full((1000,), -1.0, requires_grad=True)
    y = F.rrelu(x, 0.2, 0.4, training=True)
    y.sum().backward()
    slopes = -y.detach().numpy()
    assert ((slopes >= 0.2) & (slopes <= 0.4)).all()
    assert slopes.std() > 0.03
    assert np.array_equal(x.grad.numpy(), slopes)
    assert np.allclose(F.rrelu(x, 0.2, 0.4).detach().numpy(), -0.3)


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
def test_gradient_of_gelu_is_a_half_around_zero(dtype: Any) -> None:
    x = mg.tensor([-1e-30, 1e-30, -1e-35, 0.0, -0.0], dtype=dtype, requires_grad=True)
    F.gelu(x).sum().backward()
    assert x.grad.tolist() == [0.5] * 5
