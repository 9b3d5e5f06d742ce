"""The rectifier and its gradient, shared out among the threads where arrays are large."""

from __future__ import annotations

import math

import numpy as np

from ..memory import Array
from .blocks import blockwise
from .layout import fast, stored_like

_SMALL = 1 << 15  # elements, below which one product is quicker


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


@blockwise
def _positive(x: Array) -> Array:
    return np.clip(x, 0, math.inf)  # several times as fast as np.maximum


def relu(x: Array) -> Array:
    """``max(x, 0)``."""
    return _positive(x) if x.dtype.kind == "f" else np.maximum(x, 0)


@blockwise
def _gate(g: Array, y: Array) -> Array:
    out = np.empty_like(y)
    where_set(np.not_equal(y, 0), g, out)
    return out


def gate(g: Array, y: Array) -> Array:
    """``g`` where ``y`` is not 0, and 0 elsewhere; of Tensors too."""
    if y.__class__ is not np.ndarray or y.size <= _SMALL or not fast(g, y):
        return g * np.not_equal(y, 0)
    return _gate(stored_like(g, y), y)
