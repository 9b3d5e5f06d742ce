"""What is computed row by row, in one pass over memory: cross entropy, layer normalization."""

from __future__ import annotations

import numpy as np

from ..memory import Array
from .arithmetic import multiplied
from .formula import column_sum, row_max, row_sum
from .fused import fused


@fused
def _exponentials(x: Array) -> tuple[Array, Array, Array]:
    largest = row_max(x)
    y = np.exp(x - largest)
    return y, row_sum(y), largest


@fused
def _sum_of_exponentials(x: Array) -> tuple[Array, Array]:
    largest = row_max(x)
    return row_sum(np.exp(x - largest)), largest


def cross_entropy(x: Array, target: Array, keep: bool) -> tuple[Array, Array, Array | None, Array]:
    """For each row of x (N, C): ``log(sum(exp(x))) - x[target]``; then what the gradient needs.

    That are where the targets are, if ``keep``, the exponentials of the differences from the row's largest element,
    and the sum of those.
    """
    x = np.ascontiguousarray(x)
    kept, sums, largest = _exponentials.rows(x) if keep else (None, *_sum_of_exponentials.rows(x))
    places = np.arange(len(x)) * x.shape[1] + target  # of x row after row: one index is quicker than two
    return np.log(sums[:, 0]) - (x.reshape(-1)[places] - largest[:, 0]), places, kept, sums


def cross_entropy_gradient(g: Array, places: Array, exponentials: Array, sums: Array) -> Array:
    """``g * (softmax(x) - onehot(target))`` for each row, given what :func:`cross_entropy` kept of them."""
    each = g.ndim > 0  # or one for all rows
    out = multiplied.rows(exponentials, (g[:, None] if each else g) / sums)
    out.reshape(-1)[places] -= g
    return out


@fused
def _layer_norm(x: Array, weight: Array, bias: Array, eps: float, share: float) -> tuple[Array, Array, Array]:
    mean = row_sum(x) * share
    centred = x - mean
    scale = 1 / np.sqrt(row_sum(centred * centred) * share + eps)
    return centred * scale * weight + bias, mean, scale


def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Each row of x (N, C) with mean 0 and variance 1, times weight plus bias; its mean and 1 / deviation (N, 1)."""
    weight, bias = 1 if weight is None else weight, 0 if bias is None else bias
    return _layer_norm.rows(x, weight, bias, eps, 1 / x.shape[1])


@fused
def _layer_norm_gradient(g: Array, x: Array, weight: Array, mean: Array, scale: Array, share: float,
                         ) -> tuple[Array, Array, Array]:  # fmt: skip
    y, d = (x - mean) * scale, g * weight
    return scale * (d - row_sum(d) * share - y * (row_sum(d * y) * share)), column_sum(g * y), column_sum(g)


def layer_norm_gradient(g: Array, x: Array, weight: Array | None, mean: Array, scale: Array,
                        ) -> tuple[Array, Array, Array]:  # fmt: skip
    """The gradients of x, weight and bias, given what :func:`layer_norm` found out about each row of x (N, C)."""
    weight = 1 if weight is None else weight
    return _layer_norm_gradient.rows(g, x, weight, mean, scale, 1 / x.shape[1])
