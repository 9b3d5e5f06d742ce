"""Batch normalization with few passes over memory, of arrays seen as (outer, C, run).

A run is contiguous: the batch where arrays are stored batch last, all pixels of a channel where they are not.
Sums over a channel are products with a vector of ones, or of each run with itself. They are added up over runs
in float64, so that the variance may be the small difference of two large numbers.
"""

from __future__ import annotations

import numpy as np

from ..memory import Array
from .formula import channel_sum
from .fused import fused
from .layout import batch_last, fast, is_batch_last

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
    if not others:
        return [_sum.rows(_runs(a, a))]
    found = [_sums.rows(_runs(a, a), _runs(b, a)) for b in others]
    return [found[0][0], *[product for _, product in found]]


@fused
def _sum(a: Array) -> Array:
    return channel_sum(a)


@fused
def _sums(a: Array, b: Array) -> tuple[Array, Array]:
    return channel_sum(a), channel_sum(a * b)


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
    y = np.empty_like(x)
    source = _runs(x, x)

    def column(values: Array) -> Array:
        return values.astype(x.dtype).reshape(1, -1, 1)

    if g is None:
        _affine.rows(source, column(scale), column(shift), out=[_runs(y, x)])
    else:
        _affine_of_two.rows(source, column(scale), column(shift), _runs(g, x), column(g_scale), out=[_runs(y, x)])
    return y


@fused
def _affine(x: Array, scale: Array, shift: Array) -> Array:
    return x * scale + shift


@fused
def _affine_of_two(x: Array, scale: Array, shift: Array, g: Array, g_scale: Array) -> Array:
    return x * scale + shift + g * g_scale


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
