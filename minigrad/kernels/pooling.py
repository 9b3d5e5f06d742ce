"""Maxima and sums of windows over the last dimensions of an array, and their adjoints.

``kernel``, ``stride`` and ``dilation`` have a number for each pooled dimension, ``padding`` a pair (before,
after), ``out`` the number of windows. All other dimensions are left alone, however many there are.
"""

from __future__ import annotations

import math
from functools import cache, reduce
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from .convolution import col2im, spaced
from .formula import masked, where_set
from .fused import PIECE, fused
from .layout import MIN_BATCH, batch_last, empty_batch_last, fast, is_batch_last, stored_like
from .threads import parallel

Sizes = tuple[int, ...]

_FEW = 9  # places of a window
_LARGE = 1 << 18  # elements that are worth some effort


class Windows(NamedTuple):
    """Where the windows are, for the dimensions that are pooled."""

    spatial: Sizes
    kernel: Sizes
    stride: Sizes
    padding: tuple[tuple[int, int], ...]
    dilation: Sizes
    out: Sizes

    def taps(self) -> list[tuple[Any, ...]]:
        """For each place in a window, in order: the slices of the padded array that are there."""
        return [
            (..., *(slice(i * d, i * d + s * (o - 1) + 1, s)
                    for i, d, s, o in zip(index, self.dilation, self.stride, self.out)))
            for index in product(*map(range, self.kernel))
        ]  # fmt: skip

    def along(self) -> list[tuple[int, int, tuple[int, int], list[slice]]]:
        """For each dimension: its axis from behind, its size, padding, and the slices of each place in a window."""
        n = len(self.kernel)
        return [
            (axis - n, size, pair, [slice(i * d, i * d + s * (o - 1) + 1, s) for i in range(k)])
            for axis, (size, k, s, pair, d, o) in enumerate(zip(*self))
        ]

    @property
    def interior(self) -> tuple[Any, ...]:
        """The slices of a padded array that are not padding."""
        return (..., *(slice(before, before + size) for size, (before, _) in zip(self.spatial, self.padding)))


def pad(x: Array, pairs: tuple[tuple[int, int], ...], value: Any = 0) -> Array:
    """``x`` with ``value`` around its last dimensions; ``x`` itself if there is nothing to add."""
    if not any(map(any, pairs)):
        return x
    lead = x.ndim - len(pairs)
    if type(x) is not np.ndarray:
        return np.pad(x, [(0, 0)] * lead + list(pairs), constant_values=value)
    shape = (*x.shape[:lead], *(b + n + a for n, (b, a) in zip(x.shape[lead:], pairs)))
    out: Array = np.full_like(x, value, shape=shape)  # in the same order in memory
    out[(..., *(slice(before, before + n) for n, (before, _) in zip(x.shape[lead:], pairs)))] = x
    return out


def _section(axis: int, part: slice) -> tuple[Any, ...]:
    """``part`` of the dimension ``axis``, which counts from behind."""
    return (..., part, *(slice(None),) * (-axis - 1))


def _lowest(dtype: np.dtype) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _reduced(combine: np.ufunc, x: Array, w: Windows, filler: Any) -> Array:
    """The elements of each window combined, one dimension after the other."""
    for axis, _, pair, parts in w.along():
        x = pad(x, (pair, *((0, 0),) * (-axis - 1)), filler)
        y = x[_section(axis, parts[0])]
        for part in parts[1:]:
            y = combine(y, x[_section(axis, part)])
        x = y
    return x.copy() if max(w.kernel) == 1 else x


def _pooled(combine: np.ufunc, formula: fused, x: Array, w: Windows, filler: Any, *numbers: float) -> Array:
    """Of each window the elements combined: ``formula`` takes the first of them, numbers, and the others."""
    large = fast(x) and x.ndim == len(w.out) + 2 and x.size >= _LARGE
    if not large or not (x.flags.c_contiguous or x.shape[0] >= MIN_BATCH):
        return formula.formula(_reduced(combine, x, w, filler), *numbers)
    if is_batch_last(x) and prod(w.kernel) <= _FEW and handles(x, w):
        y, target = empty_batch_last((*x.shape[:2], *w.out), x.dtype)
        first, *others = _places(batch_last(x), w)
        formula.rows(first, *numbers, *others, out=[target.reshape(*w.out, -1)])
        return y
    y = np.empty_like(x, shape=(*x.shape[:2], *w.out))
    # Threads share the channels, some of which stay in the cache; of images one after the other those of all samples.
    images, found = (a.reshape(1, -1, *a.shape[2:]) if x.flags.c_contiguous else a for a in (x, y))
    step = max(1, PIECE * images.shape[1] // x.size)

    def body(start: int, stop: int) -> None:
        for first in range(start, stop, step):
            part = slice(first, min(first + step, stop))
            found[:, part] = formula.formula(_reduced(combine, images[:, part], w, filler), *numbers)

    parallel(body, images.shape[1], x.size / 2)
    return y


def max_pool(x: Array, w: Windows) -> Array:
    """The largest element of each window, NaN if there is one."""
    return _pooled(np.maximum, _largest, x, w, _lowest(x.dtype))


def handles(x: Array, w: Windows, times: int = 1) -> bool:
    """Whether images of windows without padding are stored batch last, or large and quickly brought into that order.

    They may be ``times`` as large as ``x``.
    """
    if len(w.kernel) != 2 or x.ndim != 4 or not x.size or not fast(x) or any(map(any, w.padding)):
        return False
    return is_batch_last(x) or (x.shape[0] >= MIN_BATCH and x.size * times >= _LARGE)


def _may_have_nan(y: Array) -> bool:
    """Quicker than a look at each element; also True if there are infinities of both signs."""
    with np.errstate(invalid="ignore"):
        return math.isnan(batch_last(y).sum())


def _scatter_batch_last(g: Array, x: Array, y: Array, w: Windows) -> Array:
    """:func:`max_pool_scatter` for windows apart from each other and a maximum that is no NaN."""
    whole, target = _room_around(w, x)
    of_window = (*w.out, -1)
    given = batch_last(g).reshape(of_window), batch_last(y).reshape(of_window), *_places(batch_last(x), w)
    _shares.rows(*given, out=_places(target, w))
    return whole


def _room_around(w: Windows, like: Array) -> tuple[Array, Array]:
    """For arrays (N, C, H, W) of windows apart from each other: a new one, stored batch last, with zeros between them.

    And what :func:`batch_last` makes of it.
    """
    whole, target = empty_batch_last((*like.shape[:2], *w.spatial), like.dtype)
    if not all(k == s and o * s == n for k, s, o, n in zip(w.kernel, w.stride, w.out, w.spatial)):
        target[...] = 0
    return whole, target


def _places(x: Array, w: Windows) -> list[Array]:
    """For each place in a window of images (H, W, C, N), what is there: (rows, columns, C * N)."""
    rows, columns = (parts for *_, parts in w.along())
    return [x[row, column].reshape(*w.out, -1) for row, column in product(rows, columns)]


@fused
def _largest(first: Array, *others: Array) -> Array:
    return reduce(np.maximum, others, first)


@fused
def _shares(g: Array, y: Array, *places: Array) -> tuple[Array, ...]:
    """``g`` at the first place that equals ``y``, or else the last, and 0 at the others."""
    taken, shares = np.not_equal(y, y), []
    for x in places[:-1]:
        here = np.logical_and(np.equal(x, y), np.logical_not(taken))
        shares.append(masked(g, here))
        taken = np.logical_or(taken, here)
    return *shares, masked(g, np.logical_not(taken))


def _winners(x: Array, y: Array, w: Windows) -> Any:
    """For each place in a window, in order: in which windows the first element equal to the maximum is there."""
    simple = y.dtype.kind == "f" and bool(np.all(np.isfinite(y)))
    real = None if simple else pad(np.ones_like(x, dtype=bool), w.padding)
    x = pad(x, w.padding, _lowest(x.dtype))
    free = None
    for part in w.taps():
        here = np.equal(x[part], y)
        if real is not None:  # padding must not win against -inf, and NaN must against itself
            here = real[part] & (here | (np.isnan(x[part]) & np.isnan(y)))
        if free is not None:
            here = here & free
        free = ~here if free is None else free ^ here
        yield part, here


def max_pool_scatter(g: Array, x: Array, y: Array, w: Windows) -> Array:
    """``g`` of each window at the place where ``x`` has the maximum ``y``; added where windows overlap."""
    if type(g) is not np.ndarray:
        lead = g.shape[: g.ndim - len(w.out)]
        parts = np.stack([np.where(here, g, 0) for _, here in _winners(x, y, w)])
        parts = np.reshape(np.moveaxis(parts, 0, len(lead)), (prod(lead), 1, *w.kernel, *w.out))
        return np.reshape(col2im(parts, *w[:5]), (*lead, *w.spatial))
    apart = _apart(w)
    if apart and handles(x, w) and fast(g, y) and not _may_have_nan(y):
        return _scatter_batch_last(g, x, y, w)
    g = stored_like(g, y)
    shape = (*g.shape[: g.ndim - len(w.out)], *(b + n + a for n, (b, a) in zip(w.spatial, w.padding)))
    full: Array = np.zeros_like(g, shape=shape)
    share = np.empty_like(g)
    for part, here in _winners(x, y, w):
        if apart:
            where_set(here, g, full[part])
        else:
            where_set(here.copy(), g, share)
            full[part] += share
    return full[w.interior] if any(map(any, w.padding)) else full


def max_pool_gather(v: Array, x: Array, y: Array, w: Windows) -> Array:
    """``v`` of each window at the place where ``x`` has the maximum ``y``: the adjoint of scattering."""
    v = pad(v, w.padding)
    total = None
    for part, here in _winners(x, y, w):
        total = np.where(here, v[part], 0 if total is None else total)
    return total


def max_pool_indices(x: Array, y: Array, w: Windows) -> Array:
    """Where ``x`` has the maximum of each window, counted over all pooled dimensions in C order."""
    places = np.cumsum(np.ones_like(x, dtype=np.int64, shape=(prod(w.spatial),)), axis=0) - 1
    return max_pool_gather(np.reshape(places, w.spatial), x, y, w)


def window_mean(x: Array, w: Windows, divisor: Any) -> Array:
    """The sum of each window over ``divisor``, a number or an array."""
    if w.kernel == w.spatial and w.dilation == (1,) * len(w.kernel) and not any(map(any, w.padding)):
        for axis in range(-1, -1 - len(w.kernel), -1):  # one after the other: sums of many numbers in turn lose digits
            x = np.sum(x, axis=axis, keepdims=True)
        return x / divisor
    if isinstance(divisor, int | float):
        return _pooled(np.add, _mean, x, w, 0, divisor)
    return window_sum(x, w) / divisor


def window_sum(x: Array, w: Windows) -> Array:
    return _reduced(np.add, x, w, 0)


@fused
def _mean(first: Array, divisor: float, *others: Array) -> Array:
    return sum(others, start=first) / divisor


def _apart(w: Windows) -> bool:
    return all(s >= d * (k - 1) + 1 for k, s, d in zip(w.kernel, w.stride, w.dilation))


@cache
def _copies(count: int) -> fused:
    return fused(lambda g, divisor: (g / divisor,) * count)


def window_spread(g: Array, w: Windows, divisor: Any) -> Array:
    """``g / divisor`` of each window at each of its places, added where windows overlap: the adjoint of the mean."""
    places, single = prod(w.kernel), prod(w.out) == 1
    if (single or places <= _FEW) and isinstance(divisor, int | float) and _apart(w) and handles(g, w, places):
        whole, target = _room_around(w, g)
        if single:
            target[: w.kernel[0], : w.kernel[1]] = batch_last(g) / divisor
        else:
            _copies(places).rows(batch_last(g).reshape(*w.out, -1), divisor, out=_places(target, w))
        return whole
    g = g / divisor
    for axis, size, (before, after), parts in w.along():
        where = _section(axis, slice(before, before + size))
        shape = list(g.shape)
        shape[axis] = before + size + after
        full: Array
        if type(g) is np.ndarray:
            full = np.zeros_like(g, shape=shape)
            for part in parts:
                full[_section(axis, part)] += g
        else:
            spread, full = spaced(g, g.ndim + axis, parts[0].step), 0
            for part in parts:
                widths = [(0, 0)] * g.ndim
                widths[axis] = (part.start, shape[axis] - part.start - spread.shape[axis])
                full = full + np.pad(spread, widths)
        g = full[where] if before or after else full
    return g


def counts(like: Array, w: Windows, included: tuple[tuple[int, int], ...]) -> Any:
    """How many elements each window has: a number, or an array if they differ.

    The padding ``included`` counts as elements; what windows reach beyond it does not.
    """
    if all(b <= i and a <= j for (b, a), (i, j) in zip(w.padding, included)):
        return prod(w.kernel)
    ones = pad(np.ones_like(like, shape=w.spatial), included, 1)
    rest = tuple((b - i, max(a - j, 0)) for (b, a), (i, j) in zip(w.padding, included))
    return window_sum(ones, w._replace(padding=rest))


def adaptive_max_indices(x: Array, out: Sizes) -> Array:
    """Where the largest element of each window is, counted over all pooled dimensions in C order."""
    n = len(out)
    lead, spatial = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    found = []
    for place in product(*map(range, out)):
        first = [i * size // o for i, size, o in zip(place, spatial, out)]
        last = [-(-(i + 1) * size // o) for i, size, o in zip(place, spatial, out)]
        window = x[(..., *map(slice, first, last))]
        inside = np.argmax(np.reshape(window, (*lead, prod(window.shape[x.ndim - n :]))), axis=-1)
        index, step = inside * 0, 1
        for start, end, size in zip(reversed(first), reversed(last), reversed(spatial)):
            index = index + (inside % (end - start) + start) * step
            inside = inside // (end - start)
            step *= size
        found.append(index)
    if not found:
        return np.zeros_like(x, dtype=np.int64, shape=(*lead, *out))
    return np.reshape(np.stack(found, axis=-1), (*lead, *out))
