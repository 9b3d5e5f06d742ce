"""Batch normalization with few passes over memory, of arrays seen as (outer, C, run).

A run is contiguous: the batch where arrays are stored batch last, all pixels of a channel where they are not.
Sums over a channel are products with a vector of ones, or of each run with itself. They are added up over runs
in float64, so that the variance may be the small difference of two large numbers.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from ..memory import Array
from .layout import batch_last, fast, is_batch_last
from .threads import parallel, scratch

_CHUNK = 1 << 20  # bytes that are worked on at a time
_FEW = 16  # numbers of a channel, whose variance may lose too many digits by chance


def handles(x: Array, *more: Array) -> bool:
    if not fast(x, *more) or x.ndim < 3 or x.size < _FEW * x.shape[1] or not x.size:
        return False
    return x.flags.c_contiguous or is_batch_last(x)


def _runs(a: Array, like: Array) -> Array:
    """``a`` (N, C, ...) as (outer, C, run), in the order in which ``like`` is stored."""
    if is_batch_last(like):
        flat = batch_last(a)
        return flat.reshape(-1, *flat.shape[-2:])
    return np.ascontiguousarray(a).reshape(*a.shape[:2], -1)


def sums(a: Array, *others: Array) -> list[Array]:
    """For each channel the sum of ``a`` (N, C, ...), and of ``a * b`` for each other ``b``, in float64."""
    factors = [_runs(b, a) for b in others]
    a = _runs(a, a)
    outer, channels, run = a.shape
    ones = np.ones(run, a.dtype)

    def body(start: int, stop: int) -> list[Array]:
        totals = [(a[start:stop].reshape(-1, run) @ ones).reshape(-1, channels)]
        totals += [np.vecdot(a[start:stop], b[start:stop]) for b in factors]
        return [np.add.reduce(total, axis=0, dtype=float) for total in totals]

    return [reduce(np.add, parts) for parts in zip(*parallel(body, outer, a.size * len(others) / 4))]


def moments(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each channel of ``x`` (N, C, ...), in float64."""
    count = x.size // x.shape[1]
    total, squares = sums(x, x)
    mean = total / count
    variance = squares / count - mean * mean
    if not np.all(variance > 0.1 * mean * mean):  # digits are lost in the difference
        shape = (1, -1) + (1,) * (x.ndim - 2)
        centred = x - mean.astype(x.dtype).reshape(shape)
        _, squares = sums(centred, centred)
        variance = squares / count
    return mean, variance


def affine(x: Array, scale: Array, shift: Array, g: Array = None, g_scale: Array = None) -> Array:
    """``x * scale + shift``, plus ``g * g_scale`` if given, with one number for each channel of x (N, C, ...)."""
    y, run = np.empty_like(x), _runs(x, x).shape[2]
    source, target = (_runs(a, x).reshape(-1, x.shape[1] * run) for a in (x, y))
    other = None if g is None else _runs(g, x).reshape(source.shape)

    def row(values: Array) -> Array:  # written out for all runs: quicker than broadcasting to short ones
        return np.repeat(values.astype(x.dtype), run)

    factor, offset = row(scale), row(shift)
    other_factor: Array = None if g_scale is None else row(g_scale)
    step = max(1, _CHUNK // source[0].nbytes)

    def body(start: int, stop: int) -> None:
        for i in range(start, stop, step):
            part = slice(i, min(i + step, stop))
            out = target[part]
            np.multiply(source[part], factor, out=out)
            np.add(out, offset, out=out)
            if other is not None:
                product = scratch("affine", out.shape, out.dtype)
                np.add(out, np.multiply(other[part], other_factor, out=product), out=out)

    parallel(body, len(source), x.size / 2)
    return y


def batch_gradient(g: Array, x: Array, weight: Array | None, mean: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The gradients of input, weight and bias of batch normalization, given that of its output.

    With x' = (x - mean) * scale: dx = weight * scale * (g - mean(g) - x' * mean(g * x')).
    """
    count = x.size // x.shape[1]
    total, product = sums(g, x)
    product = (product - mean * total) * scale  # sum of g * x'
    factor = scale if weight is None else scale * weight
    slope = -factor * scale * product / count
    dx = affine(x, slope, -factor * total / count - slope * mean, g, factor)
    return dx, product.astype(x.dtype), total.astype(x.dtype)
