"""Running statistics, precision and layouts of normalization. The values are PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from nn import functional as F

X = np.array([[1.0, 2.0], [3.0, 5.0], [8.0, 2.0]])


def test_batch_norm_updates_running_statistics() -> None:
    """The variance is unbiased in the running average, biased in the output."""
    mean, var = mg.zeros(2, dtype=mg.float64), mg.ones(2, dtype=mg.float64)
    x = mg.tensor(X, dtype=mg.float64, requires_grad=True)
    y = F.batch_norm(x, mean, var, training=True, momentum=0.1)
    np.testing.assert_allclose(mean.numpy(), 0.1 * X.mean(0))
    np.testing.assert_allclose(var.numpy(), 0.9 + 0.1 * X.var(0, ddof=1))
    np.testing.assert_allclose(y.detach().numpy().var(0), X.var(0) / (X.var(0) + 1e-5))
    assert not mean.requires_grad
    y.sum().backward()  # the update was no change of anything that backward needs


def test_batch_norm_evaluation_leaves_running_statistics() -> None:
    mean, var = mg.tensor([1.0, 2.0]), mg.tensor([4.0, 9.0])
    y = F.batch_norm(mg.tensor(X, dtype=mg.float32), mean, var, eps=0.0)
    assert mean.tolist() == [1, 2]
    np.testing.assert_allclose(y.numpy(), (X - [1, 2]) / [2, 3], rtol=1e-6)


def test_instance_norm_averages_over_the_batch() -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    mean, var = mg.zeros(2, dtype=mg.float64), mg.ones(2, dtype=mg.float64)
    F.instance_norm(mg.tensor(x, dtype=mg.float64), mean, var, momentum=0.5)
    np.testing.assert_allclose(mean.numpy(), 0.5 * x.mean((0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.5 + 0.5 * x.var(2, ddof=1).mean(0))


def test_a_second_step_after_an_update() -> None:
    """Two forward passes share running statistics; both backward passes still work."""
    mean, var = mg.zeros(2), mg.ones(2)
    x = mg.tensor(X, dtype=mg.float32, requires_grad=True)
    first = F.batch_norm(x, mean, var, training=True)
    second = F.batch_norm(x * 2, mean, var, training=True)
    (first * second).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


@pytest.mark.parametrize("normalize", [
    lambda x: F.batch_norm(x, None, None, training=True),
    lambda x: F.layer_norm(x, x.shape[-1:]),
    lambda x: F.group_norm(x, 1),
    lambda x: F.rms_norm(x, x.shape[-1:]),
])  # fmt: skip
def test_half_precision_does_not_overflow(normalize: Any) -> None:
    """Squares of 1000 are beyond float16."""
    x = (np.random.default_rng(0).normal(size=(8, 16)) * 1000).astype("float16")
    half = mg.tensor(x, dtype=mg.float16, requires_grad=True)
    y = normalize(half)
    assert y.dtype == mg.float16
    expected = normalize(mg.tensor(x, dtype=mg.float64)).numpy()
    np.testing.assert_allclose(y.detach().numpy().astype(float), expected, atol=5e-3)
    (y * y.detach()).sum(dtype=mg.float32).backward()
    assert np.isfinite(half.grad.numpy()).all()


def test_a_large_mean_costs_no_precision() -> None:
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    near = F.batch_norm(mg.tensor(x), None, None, training=True).numpy()
    far = F.batch_norm(mg.tensor(x + np.float32(1024)), None, None, training=True).numpy()
    np.testing.assert_allclose(far, near, atol=1e-3)


def test_constant_input_gives_zeros() -> None:
    x = mg.full((4, 3), 7.0, requires_grad=True)
    y = F.layer_norm(x, (3,))
    y.sum().backward()
    assert not y.detach().numpy().any()
    assert not x.grad.numpy().any()


def test_only_wanted_gradients_are_computed() -> None:
    weight = mg.ones(2, requires_grad=True)
    F.batch_norm(mg.tensor(X, dtype=mg.float32), None, None, weight, training=True).sum().backward()
    np.testing.assert_allclose(weight.grad.numpy(), 0, atol=1e-6)


def test_normalize_zeros() -> None:
    x = mg.zeros(2, 3, requires_grad=True)
    y = F.normalize(x)
    y.sum().backward()
    assert not y.detach().numpy().any()
    np.testing.assert_allclose(x.grad.numpy(), 1e12)


@pytest.mark.filterwarnings("error")
def test_fixed_statistics_may_be_arrays_and_odd() -> None:
    """Where nothing is recorded, no operation is either; what they take stays the same."""
    x, mean, var = mg.ones(4, 3, 2, 2), np.float32([0, 1, 2]), np.float32([1, 4, 0.25])
    y = F.batch_norm(x, mean, var, eps=0.0)
    np.testing.assert_allclose(y.numpy()[0, :, 0, 0], [1, 0, -2])
    assert np.isnan(F.batch_norm(x, mg.zeros(3), -mg.ones(3)).numpy()).all()
    weight = mg.ones(3, requires_grad=True)
    assert F.batch_norm(x, mg.zeros(3), mg.ones(3), weight).requires_grad
