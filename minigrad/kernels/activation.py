"""The rectifier and its gradient, shared out among the threads where arrays are large."""

from __future__ import annotations

import math

import numpy as np

from ..memory import Array
from .layout import fast, runs, stored_like
from .threads import parallel, scratch

_CHUNK = 1 << 16  # elements that are worked on at a time
_SMALL = 1 << 15


_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def where_set(mask: Array, g: Array, out: Array) -> None:
    """Write to ``out`` the elements of ``g`` where ``mask``, which is lost, is set, and 0 elsewhere.

    By an `and` with all bits set or none: many times faster than ``np.where``, and exact for infinities.
    """
    bits = _BITS[g.itemsize]
    out = out.view(bits)
    mask = mask.view(np.int8)
    np.copyto(out, np.negative(mask, out=mask))
    np.bitwise_and(out, g.view(bits), out=out)


def relu(x: Array) -> Array:
    """``max(x, 0)``."""
    if x.dtype.kind != "f":
        return np.maximum(x, 0)
    if x.size > _SMALL and fast(x):
        y = np.empty_like(x)
        if flat := runs(x, y):
            source, target = flat
            parallel(lambda start, stop: np.clip(source[start:stop], 0, math.inf, out=target[start:stop]),
                     x.size, x.size * 0.15)  # fmt: skip
            return y
    return np.clip(x, 0, math.inf)  # several times as fast as np.maximum


def gate(g: Array, y: Array) -> Array:
    """``g`` where ``y`` is not 0, and 0 elsewhere; of Tensors too."""
    if y.__class__ is not np.ndarray or y.size <= _SMALL or not fast(g, y):
        return g * np.not_equal(y, 0)
    out = np.empty_like(y)
    if not (flat := runs(stored_like(g, y), y, out)):
        where_set(np.not_equal(y, 0), g, out)
        return out

    def body(start: int, stop: int) -> None:
        for i in range(start, stop, _CHUNK):
            part = slice(i, min(i + _CHUNK, stop))
            mask = scratch("gate", (part.stop - i,), bool)
            where_set(np.not_equal(flat[1][part], 0, out=mask), flat[0][part], flat[2][part])

    parallel(body, y.size, y.size * 0.4)
    return out
