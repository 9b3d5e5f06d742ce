"""Losses where the semantics are subtle. The values are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from nn import functional as F

X = [[1.0, 2.0, 3.0], [0.0, -1.0, 0.5], [2.0, 0.0, 1.0], [0.3, 0.2, 0.1]]
T = [2, 0, 1, 2]
W = [0.5, 2.0, 1.0]


def f64(values: Any, requires_grad: bool = False) -> mg.Tensor:
    return mg.tensor(values, dtype=mg.float64, requires_grad=requires_grad)


CROSS_ENTROPIES = [
    ({}, [0.4076059644443804, 1.1041306053367284, 2.4076059644443806, 1.2019428482292442], 1.2803213456136835),
    ({"label_smoothing": 0.1}, [0.5076059644443804, 1.120797272003395, 2.3076059644443805, 1.1919428482292442],
     1.2819880122803502),
    ({"label_smoothing": 0.1, "ignore_index": 2}, [0.0, 1.120797272003395, 2.3076059644443805, 0.0], 1.714201618223888),
    ({"weight": W, "ignore_index": 0}, [0.4076059644443804, 0.0, 4.815211928888761, 1.2019428482292442],
     1.6061901853905964),
    ({"weight": W, "label_smoothing": 0.2, "ignore_index": 2}, [0.0, 0.7992827167132612, 4.280610934814698, 0.0],
     2.0319574606111837),
]  # fmt: skip


@pytest.mark.parametrize(("options", "each", "mean"), CROSS_ENTROPIES)
def test_cross_entropy(options: dict[str, Any], each: list[float], mean: float) -> None:
    """The mean divides by the weights of what counts, also with label smoothing."""
    options = {k: f64(v) if k == "weight" else v for k, v in options.items()}
    for reduction, expected in (("none", each), ("mean", mean), ("sum", sum(each))):
        loss = F.cross_entropy(f64(X), mg.tensor(T), **options, reduction=reduction)
        np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-12)


def test_cross_entropy_of_probabilities() -> None:
    """The mean divides by the number of samples, whatever the weights."""
    target = mg.softmax(f64(X[::-1]), 1)
    loss = F.cross_entropy(f64(X), target, f64(W), label_smoothing=0.1)
    assert loss.item() == pytest.approx(1.3381390934977178, rel=1e-12)


def test_cross_entropy_with_spatial_dimensions() -> None:
    x = mg.arange(12, dtype=mg.float64).reshape(1, 3, 2, 2).sin()
    target = mg.tensor([[[0, 2], [1, -100]]])
    each = F.cross_entropy(x, target, f64(W), reduction="none")
    expected = [[[0.7125979087114028, 1.0260790847095265], [3.2389197665187712, 0.0]]]
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-12)
    assert F.cross_entropy(x, target, f64(W)).item() == pytest.approx(1.4221705028399145, rel=1e-12)


def test_cross_entropy_gradient() -> None:
    x = f64([[0.0, 0.0], [0.0, 0.0]], True)
    F.cross_entropy(x, mg.tensor([0, -100])).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[-0.5, 0.5], [0, 0]])


def test_cross_entropy_does_not_overflow() -> None:
    x = mg.tensor([[1e4, -1e4, 0.0], [-math.inf, 2.0, 3.0]], requires_grad=True)
    loss = F.cross_entropy(x, mg.tensor([2, 1]), reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [1e4, math.log(1 + math.e)], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[1, 0, -1], [0, -0.7310586, 0.7310586]], rtol=1e-6)


@pytest.mark.parametrize("function", [F.cross_entropy, F.nll_loss])
def test_mean_of_nothing_is_nan(function: Any) -> None:
    assert math.isnan(function(f64(X), mg.full((4,), -100)).item())
    assert math.isnan(function(mg.zeros(0, 3), mg.zeros(0, dtype=mg.int64)).item())
    assert function(mg.zeros(0, 3), mg.zeros(0, dtype=mg.int64), reduction="sum").item() == 0


@pytest.mark.parametrize("function", [F.mse_loss, F.l1_loss, F.huber_loss])
def test_gradient_of_a_mean_of_nothing_is_empty(function: Any) -> None:
    x = mg.zeros(0, 3, requires_grad=True)
    function(x, mg.zeros(0, 3)).backward()
    assert x.grad.shape == (0, 3)


def test_nll_loss_of_cross_entropy() -> None:
    x, target = f64(X), mg.tensor([1, 0, 2, 2])
    expected = F.cross_entropy(x, target, f64(W), ignore_index=2)
    assert F.nll_loss(F.log_softmax(x, 1), target, f64(W), ignore_index=2).item() == pytest.approx(expected.item())


def test_nll_loss_ignores_infinities() -> None:
    loss = F.nll_loss(f64([[-math.inf, 0.0], [0.0, -2.0]]), mg.tensor([0, 1]), ignore_index=0)
    assert loss.item() == 2


@pytest.mark.parametrize("dtype", [mg.uint8, mg.int32, mg.int64])
def test_targets_of_any_integer_dtype(dtype: Any) -> None:
    assert F.cross_entropy(f64(X), mg.tensor(T, dtype=dtype)).item() == pytest.approx(1.2803213456136835)


KINKS = [
    (lambda x: F.l1_loss(x, x.detach(), reduction="sum"), 2.0, 0),
    (lambda x: F.huber_loss(x, x.detach() - 1, reduction="sum"), 2.0, 1),
    (lambda x: F.smooth_l1_loss(x, x.detach() + 1, reduction="sum"), 2.0, -1),
    (lambda x: F.hinge_embedding_loss(x, mg.tensor([-1]), reduction="sum"), 1.0, -1),
    (lambda x: F.margin_ranking_loss(x, x.detach(), mg.tensor([1])), 2.0, -1),
    (lambda x: F.multi_margin_loss(mg.cat([x, x.detach() + 1]), mg.tensor(1)), 2.0, 0),
]


@pytest.mark.parametrize(("loss", "at", "slope"), KINKS)
def test_gradients_at_kinks(loss: Any, at: float, slope: float) -> None:
    x = f64([at], True)
    loss(x).backward()
    assert x.grad.item() == slope


def test_binary_cross_entropy_at_the_ends() -> None:
    """The logarithm is cut at -100, and the gradient does not divide by zero."""
    x = f64([0.0, 1.0, 0.0, 1.0], True)
    loss = F.binary_cross_entropy(x, f64([0.0, 1.0, 1.0, 0.0]), reduction="none")
    assert loss.tolist() == [0, 0, 100, 100]
    loss.sum().backward()
    assert x.grad.tolist() == [0, 0, -1e12, 1e12]


def test_binary_cross_entropy_with_large_logits() -> None:
    x = mg.tensor([1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, mg.tensor([1.0, 1.0]), reduction="none")
    assert loss.tolist() == [0, 1e4]
    loss.sum().backward()
    assert x.grad.tolist() == [0, -1]


def test_weighted_means() -> None:
    """mse_loss and l1_loss divide by the sum of the weights, huber_loss by the number of elements."""
    x, y, w = f64([0.0, 0.0]), f64([2.0, 4.0]), f64([3.0, 1.0])
    assert F.mse_loss(x, y, weight=w).item() == (3 * 4 + 16) / 4
    assert F.l1_loss(x, y, weight=w).item() == (3 * 2 + 4) / 4
    assert F.huber_loss(x, y, weight=w).item() == (3 * 1.5 + 3.5) / 2


def test_kl_div() -> None:
    """A target of 0 adds nothing; "batchmean" divides by the batch alone."""
    loss = F.kl_div(f64([[-1.0, -2.0]]), f64([[0.0, 1.0]]), reduction="none")
    assert loss.tolist() == [[0, 2]]
    x, y = mg.log_softmax(f64(X), 1), mg.softmax(f64(X[::-1]), 1)
    total = F.kl_div(x, y, reduction="sum").item()
    assert F.kl_div(x, y, reduction="batchmean").item() == pytest.approx(total / 4)
    assert F.kl_div(x, y.log(), reduction="mean", log_target=True).item() == pytest.approx(total / 12)


def test_gaussian_nll_loss_of_tiny_variances() -> None:
    """The variance counts as eps, but its gradient is that of a variance of eps."""
    var = f64([1e-9], True)
    F.gaussian_nll_loss(f64([0.0]), f64([0.0]), var, eps=1e-2).backward()
    assert var.grad.item() == pytest.approx(50)
    assert F.gaussian_nll_loss(f64([1.0]), f64([0.0]), 1.0).item() == 0.5


def test_smooth_l1_loss_without_a_smooth_part() -> None:
    assert F.smooth_l1_loss(f64([3.0]), f64([1.0]), beta=0.0).item() == 2


def test_one_node() -> None:
    """Softmax and loss are one operation."""
    x = f64(X, True)
    assert F.cross_entropy(x, mg.tensor(T), reduction="none").grad_fn.name == "cross_entropy"


def test_targets_may_be_arrays() -> None:
    """As every operation takes them."""
    labels = np.array(T)
    assert F.cross_entropy(f64(X), labels).item() == F.cross_entropy(f64(X), mg.tensor(labels)).item()
    assert F.nll_loss(f64(X), labels).item() == F.nll_loss(f64(X), mg.tensor(labels)).item()


@pytest.mark.parametrize("shape", [(6, 5), (40, 30)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cross_entropy_of_inputs_in_another_order(shape: tuple[int, int], dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(shape).astype(dtype), mg.tensor(rng.integers(0, shape[1], shape[0]))
    usual = mg.tensor(x).requires_grad_()
    across = mg.tensor(np.ascontiguousarray(x.T)).requires_grad_()
    F.cross_entropy(usual, y).backward()
    F.cross_entropy(across.T, y).backward()
    np.testing.assert_allclose(across.grad.numpy().T, usual.grad.numpy(), rtol=1e-6, atol=1e-7)
