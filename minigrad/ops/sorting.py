"""Order: sorting, selecting by rank, searching, counting.

Where values are returned, they are the input's elements taken along the indices, so their gradient
goes to the elements they came from. NaN counts as larger than all numbers. Ties keep their order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arguments import along, check_dims, check_kind, normalize_dim, numpy_keywords
from ..engine import primitive
from ..memory import Array
from .elementwise import isnan, where
from .indexing import take_along_dim
from .reduction import ValuesIndices, evenly, picked, sum
from .shaping import narrow


def _order(input: Array, axis: int, descending: bool) -> Array:
    """The stable order of the elements along ``axis``."""
    if not input.ndim:
        return np.zeros_like(input, dtype=np.int64)
    if not descending:
        return np.argsort(input, axis=axis, kind="stable")
    # Backwards through the order of the flipped array: largest first, and the first of a tie first.
    flipped = np.argsort(np.flip(input, axis), axis=axis, kind="stable")
    return input.shape[axis] - 1 - np.flip(flipped, axis)


@primitive(inputs=("input",))
def argsort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """The indices that sort the elements along ``dim``. The order of ties is kept also without ``stable``."""
    return _order(input, normalize_dim(dim, input.ndim, "argsort"), descending)


@numpy_keywords
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements sorted along ``dim``, and where each was: a namedtuple (values, indices)."""
    dim = normalize_dim(dim, input.ndim, "sort")
    return picked(input, argsort(input, dim, descending), dim, True)


def _check_rank(name: str, k: int, lowest: int, input: Any, dim: int) -> int:
    """``dim`` counted from the front, if there are ``k`` elements along it."""
    dim = normalize_dim(dim, input.ndim, name)
    size = input.shape[dim] if input.ndim else 1
    if not lowest <= k <= size:
        shape = tuple(input.shape)
        raise ValueError(f"{name}: k must be from {lowest} to {size}, the size of dim {dim} of shape {shape}, got {k}")
    return dim


@primitive(inputs=("input",))
def _argtopk(input: Array, k: int, dim: int, largest: bool) -> Array:
    axis = _check_rank("topk", k, 0, input, dim)
    if not input.ndim:
        return _order(input, axis, largest)
    if k in (0, input.shape[axis]):
        return _order(input, axis, largest)[along(axis, slice(0, k))]
    best = along(axis, slice(-k, None) if largest else slice(0, k))
    candidates = np.argpartition(input, -k if largest else k - 1, axis=axis)[best]
    candidates = np.sort(candidates, axis=axis)  # so that ties stay in order
    order = _order(np.take_along_axis(input, candidates, axis), axis, largest)
    return np.take_along_axis(candidates, order, axis)


@numpy_keywords
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The ``k`` largest (or smallest) elements along ``dim``, best first: a namedtuple (values, indices).

    They come sorted also without ``sorted``, which leaves the order open.
    """
    return picked(input, _argtopk(input, k, dim, largest), dim, True)


@numpy_keywords
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The ``k``-th smallest element along ``dim`` (``k`` counts from 1), of equal ones the first, and its index."""
    dim = _check_rank("kthvalue", k, 1, input, dim)
    order = argsort(input, dim)
    return picked(input, narrow(order, dim, k - 1, 1) if input.ndim else order, dim, keepdim)


@primitive(input=lambda g, input, y: evenly(g, input, y))
def _median(input: Array) -> Array:
    if not input.size or np.any(np.isnan(input)):
        return np.full_like(input, np.nan, shape=())
    middle = (input.size - 1) // 2
    return np.partition(np.reshape(input, (-1,)), middle)[middle]


@numpy_keywords
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element; of an even number, the lower of the two in the middle. NaN if there is one.

    Without ``dim``, of all elements (ties share the gradient evenly); along ``dim``, a namedtuple
    (values, indices).
    """
    if dim is None:
        return _median(input)
    dim = _check_rank("median", 1, 1, input, dim)
    order = argsort(input, dim)
    if not input.ndim:
        return picked(input, order, dim, keepdim)
    size, nans = input.shape[dim], sum(isnan(input), dim, True)  # NaN is last in order
    return picked(input, take_along_dim(order, where(nans > 0, size - nans, (size - 1) // 2), dim), dim, keepdim)


# ------------------------------------------------------------------------------- sets, search, counts


@primitive(inputs=("input",))
def _unique(input: Array, dim: int | None) -> tuple[Array, Array, Array]:
    axis = None if dim is None else normalize_dim(dim, input.ndim, "unique", scalars=False)
    values, inverse, counts = np.unique(input, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    return values, np.reshape(inverse, input.shape if axis is None else (-1,)), counts


@numpy_keywords
def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any:  # fmt: skip
    """The different elements, or different slices along ``dim``, in ascending order.

    Returns them alone or in a tuple, followed as asked for by the *inverse* (for each element of
    the input its place among them) and the *counts*. They are sorted also without ``sorted``.
    """
    values, inverse, counts = _unique(input, dim)
    found = (values, *(inverse,) * return_inverse, *(counts,) * return_counts)
    return found if len(found) > 1 else values


@primitive(inputs=("sorted_sequence", "input"))
def searchsorted(sorted_sequence: Array, input: Array, *, out_int32: bool = False, right: bool = False,
                 side: str | None = None, sorter: Any = None) -> Array:  # fmt: skip
    """For each element of ``input``, the place in ``sorted_sequence`` where it would keep the order.

    Args:
        sorted_sequence: 1-D, or of the same leading shape as ``input``, each last dimension sorted.
        right: among equal elements, the place behind the last instead of before the first; also
            written ``side="right"``.
        sorter: indices that sort ``sorted_sequence`` where it is not.
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f"searchsorted: side must be 'left' or 'right' and agree with right={right}, got {side!r}")
    shape, queries = sorted_sequence.shape, np.shape(input)
    place: Any = "right" if right else side or "left"
    if not shape or (len(shape) > 1 and shape[:-1] != queries[:-1]):
        raise ValueError(f"searchsorted: sorted_sequence must be 1-D or lead as input {queries} does, got {shape}")
    if sorter is not None:
        sorted_sequence = np.take_along_axis(sorted_sequence, getattr(sorter, "_array", sorter), -1)
    if len(shape) == 1:
        found: Any = np.searchsorted(sorted_sequence, input, side=place)
    else:
        rows = zip(np.reshape(sorted_sequence, (-1, shape[-1])), np.reshape(input, (-1, queries[-1])), strict=True)
        found = np.reshape(np.stack([np.searchsorted(*row, side=place) for row in rows]), queries)
    return found.astype(np.int32 if out_int32 else np.int64)


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket between the sorted ``boundaries`` that each element falls in.

    A boundary itself falls in the bucket that it ends, with ``right`` in the one that it begins.
    """
    check_dims("bucketize", (1,), boundaries=boundaries)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@primitive(inputs=("input", "weights"))
def bincount(input: Array, weights: Array = None, minlength: int = 0) -> Array:
    """How often each whole number from 0 occurs in the 1-D ``input``, or the sum of its weights."""
    check_kind("bincount", "iu", input=input)
    check_dims("bincount", (1,), input=input)
    if np.any(np.less(input, 0)):
        raise ValueError(f"bincount: input must be without negative numbers, got {np.min(input)}")
    if weights is None:
        return np.bincount(input, minlength=minlength)
    if weights.shape != input.shape:
        raise ValueError(f"bincount: weights have shape {weights.shape}, input {input.shape}; they must be equal")
    return np.bincount(input, weights, minlength).astype(weights.dtype if weights.dtype == np.float32 else np.float64)
