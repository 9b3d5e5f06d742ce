"""Memory layouts: functions that put an array into one, its values unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from minigrad.autograd.gradcheck import scattered


def contiguous(array: np.ndarray) -> np.ndarray:
    """An equal array in C order."""
    return np.array(array, order="C")


def fortran(array: np.ndarray) -> np.ndarray:
    """An equal array in Fortran order."""
    return np.array(array, order="F")


strided = scattered


def negative(array: np.ndarray) -> np.ndarray:
    """An equal array with negative strides."""
    reverse: Any = (*[slice(None, None, -1)] * array.ndim, ...)
    return array[reverse].copy()[reverse]


def offset(array: np.ndarray) -> np.ndarray:
    """An equal array that starts in the middle of its memory."""
    flat = np.concatenate([np.zeros(3, array.dtype), array.ravel(), np.zeros(2, array.dtype)])
    return flat[3 : 3 + array.size].reshape(array.shape)


def read_only(array: np.ndarray) -> np.ndarray:
    """An equal array that cannot be written to."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy


def expanded(array: np.ndarray) -> np.ndarray:
    """An equal array with stride 0 along each dimension whose slices are all equal."""
    small = array
    for d in range(array.ndim):
        first = np.take(small, [0], axis=d) if small.shape[d] else small
        if np.array_equal(np.broadcast_to(first, small.shape), small, equal_nan=array.dtype.kind == "f"):
            small = first
    return np.broadcast_to(small.copy(), array.shape)


LAYOUTS = (contiguous, fortran, strided, negative, offset, read_only, expanded)


def layouts() -> st.SearchStrategy[Callable[[np.ndarray], np.ndarray]]:
    """A function that puts an array into some memory layout, its values unchanged."""
    return st.sampled_from(LAYOUTS)
