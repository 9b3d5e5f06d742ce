"""Sums into the places that an index finds, and which of several values written to one place stays.

An index here has an integer array, a bool mask or a full slice for each dimension, as in
:mod:`minigrad.ops.indexing`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import Array


def _is_mask(item: Array | slice) -> bool:
    return not isinstance(item, slice) and item.dtype.kind == "b"


def _offsets(index: tuple, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Offsets in C order of what ``index`` finds in an array of ``shape``: their sum, broadcast, has all.

    The first part comes from the arrays of the index, the second from its full slices. Both have the
    result's number of dimensions.
    """
    items: list[Any] = []
    for item in index:
        items += np.nonzero(item) if _is_mask(item) else (item,)
    items += [slice(None)] * (len(shape) - len(items))
    axes = [i for i, item in enumerate(items) if not isinstance(item, slice)]
    # Where the dimensions of the arrays are in the result: together in place of the first of them
    # if they index neighbours, else in front.
    before = axes[0] if axes[-1] - axes[0] + 1 == len(axes) else 0
    count = max(items[i].ndim for i in axes)
    after = len(shape) - len(axes) - before
    chosen: Any = 0
    rest: Any = 0
    step = math.prod(shape)
    kept = 0  # how many full slices came before
    for item, size in zip(items, shape, strict=True):
        step //= max(size, 1)
        if isinstance(item, slice):
            axis = kept if kept < before else kept + count
            kept += 1
            rest = rest + (np.arange(size) * step).reshape((size,) + (1,) * (before + count + after - 1 - axis))
        else:
            chosen = chosen + np.where(item < 0, item + size, item) * step
    return chosen.reshape((1,) * before + chosen.shape + (1,) * after), rest


def add_at(out: Array, index: tuple, values: Array) -> Array:
    """Add ``values`` to ``out[index]``, in C order, once for each time that a place occurs. Returns ``out``.

    One flat index lets NumPy take its quick path, which is 5 to 10 times as fast as the general
    one and as fast as sorting or ``bincount``.
    """
    if type(out) is not np.ndarray:
        np.add.at(out, index, values)
        return out
    if out.size and values.size:
        chosen, rest = _offsets(index, out.shape)
        flat = np.broadcast_to(chosen + rest, values.shape).reshape(-1)
        np.add.at(out.reshape(-1), flat, values.reshape(-1))
    return out


def stays(index: tuple, shape: tuple[int, ...]) -> Array | None:
    """Where a value written to ``index`` is the last in its place, broadcastable; None: everywhere."""
    arrays = [item for item in index if not isinstance(item, slice)]
    if len(arrays) == 1 and _is_mask(arrays[0]):
        return None
    chosen, _ = _offsets(index, shape)
    flat = chosen.reshape(-1)
    last = flat.size - 1 - np.unique(flat[::-1], return_index=True)[1]
    if last.size == flat.size:
        return None
    mask = np.zeros_like(flat, dtype=bool)
    mask[last] = True
    return mask.reshape(chosen.shape)
