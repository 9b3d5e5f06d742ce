"""Order: sorting, selecting by rank, searching, counting.

Where values are returned, they are the input's elements taken along the indices, so their gradient
goes to the elements they came from. NaN counts as larger than all numbers. Ties keep their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import normalize_dim, numpy_keywords
from ..engine import primitive
from ..memory import Array
from .indexing import take_along_dim
from .reduction import ValuesIndices, evenly, picked


def _axis(name: str, input: Array, dim: int, elements: bool = False) -> int:
    axis = normalize_dim(dim, input.ndim, name)
    if elements and input.ndim and not input.shape[axis]:
        raise ValueError(f"{name}: there is no element to choose along dim {axis} of a tensor of shape {input.shape}")
    return axis


def _order(input: Array, axis: int, descending: bool = False) -> Array:
    """The stable order of the elements along ``axis``."""
    if not descending:
        return np.argsort(input, axis=axis, kind="stable")
    # Backwards through the order of the flipped array: largest first, and the first of a tie first.
    flipped = np.argsort(np.flip(input, axis), axis=axis, kind="stable")
    return input.shape[axis] - 1 - np.flip(flipped, axis)


@primitive(inputs=("input",))
def argsort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """The indices that sort the elements along ``dim``. The order of ties is kept also without ``stable``."""
    axis = _axis("argsort", input, dim)
    return _order(input, axis, descending) if input.ndim else np.zeros_like(input, dtype=np.int64)


@numpy_keywords
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements sorted along ``dim``, and where each was: a namedtuple (values, indices)."""
    dim = normalize_dim(dim, input.ndim, "sort")
    return picked(input, argsort(input, dim, descending, stable), dim, True)


def msort(input: Any) -> Any:
    """The elements sorted along the first dimension."""
    return sort(input, 0).values


@primitive(inputs=("input",))
def _argtopk(input: Array, k: int, dim: int, largest: bool) -> Array:
    axis = _axis("topk", input, dim)
    size = input.shape[axis] if input.ndim else 1
    if not 0 <= k <= size:
        raise ValueError(f"topk: k must be from 0 to {size}, the size of dim {axis} of shape {input.shape}, got {k}")
    if not input.ndim:
        return np.zeros_like(input, dtype=np.int64)
    chosen = (slice(None),) * axis + (slice(size - k, None) if largest else slice(0, k),)
    if 0 < k < size:
        candidates = np.argpartition(input, size - k if largest else k - 1, axis=axis)[chosen]
        candidates = np.sort(candidates, axis=axis)  # so that ties stay in order
        order = _order(np.take_along_axis(input, candidates, axis), axis, largest)
        return np.take_along_axis(candidates, order, axis)
    return _order(input, axis, largest)[(slice(None),) * axis + (slice(0, k),)]


@numpy_keywords
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The ``k`` largest (or smallest) elements along ``dim``, best first: a namedtuple (values, indices).

    They come sorted also without ``sorted``, which leaves the order open.
    """
    return picked(input, _argtopk(input, k, dim, largest), dim, True)


def _ranked(input: Array, rank: int, axis: int) -> Array:
    """Where along ``axis`` the element is that sorting would put at place ``rank``."""
    return np.argpartition(input, rank, axis=axis)[(slice(None),) * axis + (slice(rank, rank + 1),)]


@primitive(inputs=("input",))
def _argkth(input: Array, k: int, dim: int, name: str) -> Array:
    axis = _axis(name, input, dim, elements=True)
    size = input.shape[axis] if input.ndim else 1
    if not 1 <= k <= size:
        raise ValueError(f"{name}: k must be from 1 to {size}, the size of dim {axis} of shape {input.shape}, got {k}")
    if not input.ndim:
        return np.zeros_like(input, dtype=np.int64)
    return _ranked(input, k - 1, axis)


@numpy_keywords
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The ``k``-th smallest element along ``dim`` (``k`` counts from 1) and its index, at a tie any of them."""
    return picked(input, _argkth(input, k, dim, "kthvalue"), dim, keepdim)


@primitive(input=lambda g, input, y: evenly(g, input, y))
def _median(input: Array) -> Array:
    if not input.size or np.any(np.isnan(input)):
        return np.full_like(input, np.nan, shape=())
    middle = (input.size - 1) // 2
    return np.partition(np.reshape(input, (-1,)), middle)[middle]


@primitive(inputs=("input",))
def _argmedian(input: Array, dim: int) -> Array:
    axis = _axis("median", input, dim, elements=True)
    if not input.ndim:
        return np.zeros_like(input, dtype=np.int64)
    nan = np.isnan(input)
    first_nan = np.expand_dims(np.argmax(nan, axis=axis), axis)
    middle = _ranked(input, (input.shape[axis] - 1) // 2, axis)
    return np.where(np.any(nan, axis=axis, keepdims=True), first_nan, middle)


@numpy_keywords
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element; of an even number, the lower of the two in the middle. NaN if there is one.

    Without ``dim``, of all elements (ties share the gradient evenly); along ``dim``, a namedtuple
    (values, indices).
    """
    return _median(input) if dim is None else picked(input, _argmedian(input, dim), dim, keepdim)


@primitive(inputs=("input",))
def _argmode(input: Array, dim: int) -> Array:
    axis = _axis("mode", input, dim, elements=True)
    if not input.ndim:
        return np.zeros_like(input, dtype=np.int64)
    order = _order(input, axis)
    values = np.take_along_axis(input, order, axis)
    skip = (slice(None),) * axis
    places = np.cumsum(np.ones_like(order), axis=axis) - 1
    same = np.equal(values[(*skip, slice(1, None))], values[(*skip, slice(0, -1))])
    same = np.concatenate([np.zeros_like(values[(*skip, slice(0, 1))], dtype=bool), same], axis=axis)
    starts = np.where(same, 0, places)
    run = places - np.maximum.accumulate(starts, axis=axis)  # how many equal elements came before
    return np.take_along_axis(order, np.expand_dims(np.argmax(run, axis=axis), axis), axis)


@numpy_keywords
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent element along ``dim`` (the smallest of those) and its last index."""
    return picked(input, _argmode(input, dim), dim, keepdim)


# ------------------------------------------------------------------------ sets, search, histograms


@primitive(inputs=("input",))
def _unique(input: Array, dim: int | None) -> tuple[Array, Array, Array]:
    axis = None if dim is None else _axis("unique", input, dim)
    values, inverse, counts = np.unique(input, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    return values, np.reshape(inverse, input.shape if axis is None else (-1,)), counts


@primitive(inputs=("input",))
def _unique_consecutive(input: Array, dim: int | None) -> tuple[Array, Array, Array]:
    axis = 0 if dim is None else _axis("unique_consecutive", input, dim)
    rows = np.reshape(input, (-1,)) if dim is None else np.moveaxis(input, axis, 0)
    others = tuple(range(1, rows.ndim))
    starts = np.concatenate([np.ones_like(rows, dtype=bool, shape=(min(1, len(rows)),)),
                             np.any(np.not_equal(rows[1:], rows[:-1]), axis=others)])  # fmt: skip
    inverse = np.cumsum(starts) - 1
    counts = np.bincount(inverse)
    values = np.moveaxis(rows[starts], 0, axis)
    return values, np.reshape(inverse, input.shape) if dim is None else inverse, counts


def _asked(results: tuple[Any, Any, Any], return_inverse: bool, return_counts: bool) -> Any:
    wanted = [r for r, ask in zip(results, (True, return_inverse, return_counts), strict=True) if ask]
    return tuple(wanted) if len(wanted) > 1 else wanted[0]


@numpy_keywords
def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any:  # fmt: skip
    """The different elements, or different slices along ``dim``, in ascending order.

    Returns them alone or in a tuple, followed as asked for by the *inverse* (for each element of
    the input its place among them) and the *counts*. They are sorted also without ``sorted``.
    """
    return _asked(_unique(input, dim), return_inverse, return_counts)


@numpy_keywords
def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False,
                       dim: int | None = None) -> Any:  # fmt: skip
    """The elements, or slices along ``dim``, without those that equal the one before. Returns as :func:`unique`."""
    return _asked(_unique_consecutive(input, dim), return_inverse, return_counts)


@primitive(inputs=("sorted_sequence", "input"))
def _searchsorted(sorted_sequence: Array, input: Array, side: Any, out_int32: bool) -> Array:
    found: Array
    if sorted_sequence.ndim < 2:
        found = np.searchsorted(sorted_sequence, input, side=side)
    else:
        rows = np.reshape(sorted_sequence, (-1, sorted_sequence.shape[-1]))
        queries = np.reshape(input, (len(rows), -1))
        found = np.stack([np.searchsorted(row, query, side=side) for row, query in zip(rows, queries, strict=True)])
    found = np.reshape(found, np.shape(input))
    return found.astype(np.int32) if out_int32 else found


def searchsorted(sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False,
                 side: str | None = None, sorter: Any = None) -> Any:  # fmt: skip
    """For each element of ``input``, the place in ``sorted_sequence`` where it would keep the order.

    Args:
        sorted_sequence: 1-D, or of the same leading shape as ``input``, each last dimension sorted.
        right: among equal elements, the place behind the last instead of before the first; also
            written ``side="right"``.
        sorter: indices that sort ``sorted_sequence`` where it is not.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: side must be 'left' or 'right' and agree with right={right}, got {side!r}")
    if sorter is not None:
        sorted_sequence = take_along_dim(sorted_sequence, sorter, -1)
    shape = tuple(getattr(input, "shape", ()))
    if sorted_sequence.ndim == 0 or (sorted_sequence.ndim > 1 and shape[:-1] != tuple(sorted_sequence.shape[:-1])):
        raise ValueError(f"searchsorted: sorted_sequence must be 1-D or have the leading shape of input {shape}, "
                         f"got {tuple(sorted_sequence.shape)}")  # fmt: skip
    side = "right" if right or side == "right" else "left"
    return _searchsorted(sorted_sequence, input, side=side, out_int32=out_int32)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket between the sorted ``boundaries`` that each element falls in.

    A boundary itself falls in the bucket that it ends, with ``right`` in the one that it begins.
    """
    if boundaries.ndim != 1:
        raise ValueError(f"bucketize: boundaries must be 1-D, got shape {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@primitive(inputs=("input", "weights"))
def bincount(input: Array, weights: Array = None, minlength: int = 0) -> Array:
    """How often each whole number from 0 occurs in the 1-D ``input``, or the sum of its weights."""
    if input.dtype.kind not in "iu":
        raise TypeError(f"bincount: input must be of an integer dtype, got {input.dtype}")
    if input.ndim != 1 or np.any(np.less(input, 0)):
        raise ValueError(f"bincount: input must be 1-D and without negative numbers, got shape {input.shape}")
    if weights is None:
        return np.bincount(input, minlength=minlength)
    if weights.shape != input.shape:
        raise ValueError(f"bincount: weights have shape {weights.shape}, input {input.shape}; they must be equal")
    return np.bincount(input, weights, minlength).astype(weights.dtype if weights.dtype == np.float32 else np.float64)


@primitive(inputs=("input",))
def histc(input: Array, bins: int = 100, min: float = 0, max: float = 0) -> Array:
    """How many elements fall in each of ``bins`` equal parts of ``min`` to ``max`` (both 0: of the elements' range)."""
    if input.dtype.kind != "f":
        raise TypeError(f"histc: expected a floating-point tensor, got {input.dtype}")
    if bins < 1 or max < min:
        raise ValueError(f"histc: needs bins > 0 and max >= min, got bins={bins}, min={min}, max={max}")
    if min == max == 0 and input.size:
        min, max = np.min(input), np.max(input)
    if min == max:
        min, max = min - 1, max + 1
    return np.histogram(input, bins=bins, range=(min, max))[0].astype(input.dtype)
