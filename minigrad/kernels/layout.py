"""The order of dimensions in memory: batch last.

A tensor (N, C, H, W) is stored as H, W, C, N where that is faster: a pixel of a channel is then a run of
N numbers, and all that convolution, pooling and batch normalization do becomes arithmetic on long runs.
NumPy's strides hide it from everybody else. ``docs/convolution-kernels.md`` explains with numbers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..memory import Array
from .assembler import usable
from .switch import Switch
from .threads import parallel, scratch
from .turning import transpose

MIN_BATCH = 16  # below, runs over the batch are too short
_CHUNK = 1 << 20  # bytes that are turned at a time
_PAD = 16
_LARGE = 1 << 15  # elements


class use_fast_kernels(Switch):
    """Compute with the kernels made for speed, or with the plain ones; in a ``with`` block until its end."""


def fast(*arrays: Array) -> bool:
    """Whether the fast kernels may take these: plain NumPy arrays of one of the two large float types."""
    return use_fast_kernels.enabled and all(type(a) is np.ndarray and a.dtype.char in "fd" for a in arrays)


@lru_cache(maxsize=8)
def _order(ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The permutations from (N, C, *spatial) to (*spatial, C, N), and back."""
    return (*range(2, ndim), 1, 0), (ndim - 1, ndim - 2, *range(ndim - 2))


def is_batch_last(x: Array) -> bool:
    return type(x) is np.ndarray and x.ndim > 2 and x.transpose(_order(x.ndim)[0]).flags.c_contiguous


def batch_last(x: Array) -> Array:
    """``x`` (N, C, *spatial) as a contiguous array (*spatial, C, N): a view if it is stored so, else a copy."""
    forth, _ = _order(x.ndim)
    turned: Array = x.transpose(forth)
    if turned.flags.c_contiguous:
        return turned
    out: Array = np.empty(turned.shape, x.dtype)
    n, channels = x.shape[:2]
    if x.dtype == np.float32 and x.size >= _LARGE and x.flags.c_contiguous and usable():
        turned_here = transpose(x.reshape(n, channels, -1).swapaxes(0, 1), out.reshape(-1, channels, n).swapaxes(0, 1))
        if turned_here:
            return out
    step = max(1, _CHUNK // max(1, x[:, :1].nbytes))

    def body(start: int, stop: int) -> None:
        # By way of a block in the cache whose samples are not a power of two apart: such rows of memory
        # compete for the same few places in the cache when one number of each is read in turn.
        for c in range(start, stop, step):
            part = x[:, c : min(c + step, stop)]
            block = scratch("turned", (n, part.size // n + _PAD), x.dtype)[:, :-_PAD].reshape(part.shape)
            np.copyto(block, part)
            np.copyto(out[..., c : c + part.shape[1], :], block.transpose(forth))

    parallel(body, channels, 1.5 * x.size)
    return out


def arranged(x: Array) -> Array:
    """``x`` (N, C, H, W); stored batch last, if the kernels take it so."""
    if not fast(x) or x.ndim != 4 or x.shape[0] < MIN_BATCH or is_batch_last(x):
        return x
    return batch_last(x).transpose(_order(4)[1])


def flattened(x: Array) -> Array | None:
    """``x`` (N, C, *spatial), if stored batch last, as (N, C * spatial), column by column: runs stay whole."""
    if not (fast(x) and x.size and is_batch_last(x)):
        return None
    return np.ascontiguousarray(np.moveaxis(x, 0, -1)).reshape(-1, x.shape[0]).T


@lru_cache(maxsize=32)
def _prototype(ndim: int, dtype: Any) -> Array:
    return np.empty((2,) * ndim, dtype).transpose(_order(ndim)[1])


def empty_batch_last(shape: tuple[int, ...], dtype: Any) -> tuple[Array, Array]:
    """A new array of ``shape`` (N, C, *spatial), and what :func:`batch_last` makes of it."""
    x = np.empty_like(_prototype(len(shape), dtype), shape=shape)
    return x, batch_last(x)


def stored_like(g: Array, y: Array) -> Array:
    """``g``, copied if ``y``, of the same shape, is stored batch last and ``g`` is not."""
    if is_batch_last(g) or not is_batch_last(y):
        return g
    return batch_last(g).transpose(_order(y.ndim)[1])


def _pairs(a: Array, b: Array) -> bool:
    """Whether arrays have one shape and order in memory; where there is one element, strides do not matter."""
    return a.shape == b.shape and (
        a.strides == b.strides or all(n == 1 or s == t for n, s, t in zip(a.shape, a.strides, b.strides))
    )


def runs(*arrays: Array) -> list[Array] | None:
    """The arrays as one-dimensional views that pair the same elements; None unless all are stored alike, densely."""
    first = arrays[0]
    if not fast(*arrays) or not all(_pairs(a, first) for a in arrays):
        return None
    if not first.flags.c_contiguous:
        order = sorted(range(first.ndim), key=lambda d: -first.strides[d])
        if not first.transpose(order).flags.c_contiguous:
            return None
        arrays = tuple(a.transpose(order) for a in arrays)
    return [a.reshape(-1) for a in arrays]
