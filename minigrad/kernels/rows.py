"""What is computed row by row, while a row's numbers are in the cache: cross entropy, layer normalization."""

from __future__ import annotations

import numpy as np

from ..memory import Array
from .blocks import BLOCK
from .threads import parallel, scratch


def _blocks(x: Array) -> int:
    """How many rows make a block."""
    return max(1, BLOCK // max(1, x.shape[-1]))


def cross_entropy(x: Array, target: Array, keep: bool) -> tuple[Array, Array | None, Array]:
    """For each row of x (N, C): ``log(sum(exp(x))) - x[target]``; then what the gradient needs.

    That are, if ``keep``, the exponentials of the differences from the row's largest element, and the sum of those.
    """
    loss, sums = np.empty_like(x, shape=len(x)), np.empty_like(x, shape=(len(x), 1))
    kept = np.empty_like(x, order="C") if keep else None
    size = _blocks(x)

    def run(first: int, last: int) -> None:
        for start in range(first, last, size):
            rows = slice(start, min(start + size, last))
            z = scratch("rows", x[rows].shape, x.dtype) if kept is None else kept[rows]
            np.subtract(x[rows], np.maximum.reduce(x[rows], axis=1, keepdims=True), out=z)
            picked = z[np.arange(len(z)), target[rows]]
            total = np.add.reduce(np.exp(z, out=z), axis=1, keepdims=True, out=sums[rows])
            np.subtract(np.log(total[:, 0]), picked, out=loss[rows])

    parallel(run, len(x), x.size / 2)
    return loss, kept, sums


def cross_entropy_gradient(g: Array, target: Array, exponentials: Array, sums: Array) -> Array:
    """``g * (softmax(x) - onehot(target))`` for each row, given what :func:`cross_entropy` kept of them."""
    out = np.empty_like(exponentials)
    each = g.ndim > 0  # or one for all rows
    factor = (g[:, None] if each else g) / sums
    size = _blocks(out)

    def run(first: int, last: int) -> None:
        for start in range(first, last, size):
            rows = slice(start, min(start + size, last))
            z = np.multiply(exponentials[rows], factor[rows], out=out[rows])
            z[np.arange(len(z)), target[rows]] -= g[rows] if each else g

    parallel(run, len(out), out.size / 4)
    return out


def _outer(column: Array, row: Array) -> Array:
    """``column`` (N, 1) times ``row`` (C,): as a product of matrices half the time of broadcasting.

    A product over one number is what BLAS is slow at, so it is one over two, of which the second is 0.
    """
    left, right = np.zeros((len(column), 2), row.dtype), np.zeros((2, len(row)), row.dtype)
    left[:, :1], right[0] = column, row
    return np.matmul(left, right, out=scratch("outer", (len(left), len(row)), row.dtype))


def layer_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Each row of x (N, C) with mean 0 and variance 1, times weight plus bias; its mean and 1 / deviation (N, 1)."""
    out, mean, scale = (np.empty_like(x, shape=shape, order="C") for shape in (x.shape, (len(x), 1), (len(x), 1)))
    ones = np.ones_like(x, shape=x.shape[1])
    size = _blocks(x)

    def run(first: int, last: int) -> None:
        for start in range(first, last, size):
            rows = slice(start, min(start + size, last))
            y, s = out[rows], scale[rows]
            np.matmul(x[rows], ones, out=mean[rows, 0])
            mean[rows] /= x.shape[1]
            np.subtract(x[rows], mean[rows], out=y)
            np.vecdot(y, y, out=s[:, 0])
            s /= x.shape[1]
            s += eps
            np.divide(1, np.sqrt(s, out=s), out=s)
            y *= s if weight is None else _outer(s, weight)
            if bias is not None:
                y += bias

    parallel(run, len(x), x.size / 2)
    return out, mean, scale


def layer_norm_gradient(g: Array, x: Array, weight: Array | None, mean: Array, scale: Array,
                        ) -> tuple[Array, Array, Array]:  # fmt: skip
    """The gradients of x, weight and bias, given what :func:`layer_norm` found out about each row of x (N, C).

    With x' = (x - mean) * scale and g' = g * weight: dx = scale * (g' - mean(g') - x' * mean(g' * x')).
    """
    C = x.shape[1]
    dx = np.empty_like(x, order="C")
    factor = np.ones_like(x, shape=C) if weight is None else np.ascontiguousarray(weight)
    size = _blocks(x)
    ones = np.ones_like(x, shape=size)

    def run(first: int, last: int) -> Array:
        total = np.zeros_like(x, shape=(2, C))  # for weight and bias
        for start in range(first, last, size):
            rows = slice(start, min(start + size, last))
            d, s, gr = dx[rows], scale[rows], np.ascontiguousarray(g[rows])
            product = scratch("rows", d.shape, x.dtype)
            np.subtract(x[rows], mean[rows], out=d)
            np.multiply(gr, d, out=product)
            total[0] += s[:, 0] @ product
            total[1] += ones[: len(d)] @ gr
            d *= (product @ factor)[:, None] * s**3 / -C
            d -= (gr @ factor)[:, None] * s / C
            d += np.multiply(gr, _outer(s, factor), out=product)
        return total

    dw, db = np.sum(parallel(run, len(x), x.size), axis=0)
    return dx, dw, db
