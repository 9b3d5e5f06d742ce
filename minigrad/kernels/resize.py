"""Linear maps along single dimensions, as few weighted elements for each result: resizing and uneven means."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import floor

import numpy as np

from ..memory import Array


class Taps:
    """A sparse matrix: result ``i`` is the sum over ``t`` of ``weight[i, t] * x[index[i, t]]``."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix  # (results, elements)
        present = matrix != 0
        width = max(int(present.sum(axis=1).max(initial=0)), 1)
        order = np.argsort(~present, axis=1, kind="stable")[:, :width]  # the present ones first
        weight = np.take_along_axis(matrix, order, axis=1)
        # Where a row has fewer, its first element fills up, so that no infinity elsewhere becomes NaN.
        self.index = np.where(weight != 0, order, order[:, :1])
        self.weight = weight
        self.copies = width == 1 and bool((weight == 1).all())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Taps) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash(self.matrix.shape)

    def transposed(self) -> Taps:
        if not hasattr(self, "_transposed"):
            self._transposed = Taps(self.matrix.T)
            self._transposed._transposed = self
        return self._transposed


def resample(x: Array, maps: Sequence[Taps]) -> Array:
    """``maps`` applied along the last dimensions of ``x``, one to each."""
    if type(x) is not np.ndarray:
        return generic_resample(x, maps)
    for axis, taps in enumerate(maps, x.ndim - len(maps)):
        if taps.copies:
            x = np.take(x, taps.index[:, 0], axis)
            continue
        weight = taps.weight.astype(x.dtype).reshape(*taps.weight.shape, *(1,) * (x.ndim - axis - 1))
        y = np.take(x, taps.index[:, 0], axis)
        y *= weight[:, 0]
        for t in range(1, weight.shape[1]):
            part = np.take(x, taps.index[:, t], axis)
            part *= weight[:, t]
            y += part
        x = y
    return x


def generic_resample(x: Array, maps: Sequence[Taps]) -> Array:
    for axis, taps in enumerate(maps, x.ndim - len(maps)):
        lines = [
            sum(x[(slice(None),) * axis + (int(i),)] * float(w) for i, w in zip(index, weight))
            for index, weight in zip(taps.index, taps.weight)
        ]
        x = np.stack(lines, axis=axis) if lines else x[(slice(None),) * axis + (slice(0),)]
    return x


def _matrix(elements: int, rows: Sequence[Sequence[tuple[int, float]]]) -> Taps:
    matrix = np.zeros((len(rows), elements))
    for i, row in enumerate(rows):
        for j, weight in row:
            matrix[i, min(max(j, 0), elements - 1)] += weight  # beyond the border, the border
    return Taps(matrix)


@lru_cache(maxsize=64)
def averages(n: int, out: int) -> Taps:
    """The means of ``out`` windows that cover ``n`` elements evenly."""
    rows = []
    for i in range(out):
        window = range(i * n // out, -(-(i + 1) * n // out))
        rows.append([(j, 1 / len(window)) for j in window])
    return _matrix(n, rows)


@lru_cache(maxsize=64)
def nearest(n: int, out: int, scale: float, exact: bool) -> Taps:
    """The element at ``floor(i * scale)``, or if ``exact``, the one whose centre is nearest."""
    # In single precision, as PyTorch, so that the same elements are taken.
    places = (np.arange(out, dtype=np.float32) + np.float32(0.5 if exact else 0)) * np.float32(scale)
    return _matrix(n, [[(floor(place), 1.0)] for place in places])


def _place(i: int, scale: float, align_corners: bool) -> float:
    """Where result ``i`` lies between the elements."""
    return i * scale if align_corners else (i + 0.5) * scale - 0.5


@lru_cache(maxsize=64)
def linear(n: int, out: int, scale: float, align_corners: bool) -> Taps:
    """Linear interpolation between two neighbours."""
    rows = []
    for i in range(out):
        place = max(_place(i, scale, align_corners), 0.0)
        j = min(floor(place), n - 1)
        rows.append([(j, 1 - (place - j)), (j + 1, place - j)])
    return _matrix(n, rows)


@lru_cache(maxsize=64)
def cubic(n: int, out: int, scale: float, align_corners: bool) -> Taps:
    """Cubic convolution of four neighbours (Keys 1981), with the parameter -0.75."""
    a = -0.75

    def near(d: float) -> float:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: float) -> float:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    rows = []
    for i in range(out):
        place = _place(i, scale, align_corners)
        j, d = floor(place), place - floor(place)
        rows.append([(j - 1, far(d + 1)), (j, near(d)), (j + 1, near(1 - d)), (j + 2, far(2 - d))])
    return _matrix(n, rows)
