"""Convolution as products of the weight with patches (im2col), arrays in the usual order, (N, C, *spatial).

For few samples, and for one or three dimensions. What a pixel of the output meets is a column of a matrix. In the works
at a time are a few megabytes of columns: some samples, or rows of one, at least one row. (Of three dimensions, rows are
planes.) ``docs/convolution-kernels.md`` says when this is used.
"""

from __future__ import annotations

from functools import reduce
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..memory import Array
from . import winograd, winograd_code
from .direct import Sizes, inside
from .products import multiply_each, multiply_shared
from .threads import parallel, scratch, shares

Pairs = tuple[tuple[int, int], ...]

_SCRATCH = 1 << 21  # bytes of patches at a time


def pointwise(kernel: Sizes, stride: Sizes, padding: Pairs) -> bool:
    """Whether each pixel of the output meets the one of the input at the same place."""
    return prod(kernel) == prod(stride) == 1 and not any(map(any, padding))


class _Patches:
    """The patches of an input (N, C, *spatial) for an output (N, F, *out)."""

    def __init__(self, shape: Sizes, spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                 out: Sizes, groups: int, dtype: Any) -> None:  # fmt: skip
        self.n, channels = shape[:2]
        self.kernel, self.out, self.groups = kernel, out, groups
        self.rows, self.inner = out[0], prod(out[1:])
        self.length = channels // groups * prod(kernel)  # of a column
        self.nbytes = channels * prod(kernel) * prod(out) * dtype.itemsize  # of one sample's patches
        # What lies behind the input does not matter: it is what `out` makes of it.
        self.sides = list(zip(kernel, stride, (before for before, _ in padding), dilation, spatial))
        # The input itself is the matrix:
        self.pointwise = pointwise(kernel, stride, padding)

    def nanoseconds(self, features: int) -> float:
        """About how long a product with all patches takes."""
        return self.n * self.length * prod(self.out) * (features / 40 + self.groups / 4)

    def portions(self, count: int, shared: int = 1, together: int = _SCRATCH) -> list[tuple[slice, slice]]:
        """The samples of ``count``, ``together`` at most, and rows of the output to compute at a time.

        For ``shared`` threads they are as many, or many.
        """
        uneven = count % shared and count < 4 * shared  # then each thread computes a part of each sample
        most = max(1, min(_SCRATCH, (1 if uneven else count) * self.nbytes // shared))
        if self.nbytes <= most:
            step = min(most // self.nbytes, together)
            return [(slice(i, min(i + step, count)), slice(0, self.rows)) for i in range(0, count, step)]
        step = max(1, self.rows * most // self.nbytes)
        tops = range(0, self.rows, step)
        return [(slice(i, i + 1), slice(r, min(r + step, self.rows))) for i in range(count) for r in tops]

    def columns(self, a: Array, samples: slice, rows: slice) -> Array:
        """Pixels of contiguous ``a`` (N, C, *out) as columns of matrices: (samples, groups, C / groups, pixels)."""
        part = a[samples]
        part = part.reshape(len(part), self.groups, -1, self.rows * self.inner)
        return part[..., rows.start * self.inner : rows.stop * self.inner]

    def of(self, x: Array, samples: slice, rows: slice) -> Array:
        """The patches as columns: (samples, groups, C / groups * kernel, pixels)."""
        if self.pointwise:
            return self.columns(x, samples, rows)
        x, counts = x[samples], (rows.stop - rows.start, *self.out[1:])
        _, strides, before, dilations, spatial = zip(*self.sides)
        starts = rows.start * strides[0] - before[0], *(-b for b in before[1:])
        sizes = [(count - 1) * s + (k - 1) * d + 1 for count, (k, s, _, d, _) in zip(counts, self.sides)]
        first, last, met = zip(*(inside(start, 1, size, n) for start, size, n in zip(starts, sizes, spatial)))
        padded = scratch("padded", (*x.shape[:2], *sizes), x.dtype)
        inner = padded[(..., *map(slice, first, last))]
        if inner.size < padded.size:
            padded[...] = 0
        np.copyto(inner, x[(..., *met)])
        # All in one call: see parallel.
        patches = scratch("patches", (*x.shape[:2], *self.kernel, *counts), x.dtype)
        steps = [step * s for spread in (dilations, strides) for step, s in zip(padded.strides[2:], spread)]
        np.copyto(patches, as_strided(padded, patches.shape, (*padded.strides[:2], *steps)))
        return patches.reshape(len(x), self.groups, self.length, -1)

    def add_up(self, patches: Array, rows: slice, out: Array) -> None:
        """Add patches (N, C, *kernel, rows, ...) to ``out`` (N, C, *spatial) where they overlap: the adjoint."""
        starts, counts = [rows.start * self.sides[0][1], *(0 for _ in self.out[1:])], patches.shape[-len(self.out) :]
        met = [
            [inside(start + i * d - before, s, count, n) for i in range(k)]
            for start, count, (k, s, before, d, n) in zip(starts, counts, self.sides)
        ]
        for index in np.ndindex(*self.kernel):
            first, last, source = zip(*(places[i] for i, places in zip(index, met)))
            out[(..., *source)] += patches[(slice(None), slice(None), *index, *map(slice, first, last))]


def convolution(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes, out: Sizes,
                groups: int) -> Array:  # fmt: skip
    """Cross-correlation of ``x`` (N, C, *spatial) with ``w`` (F, C / groups, *kernel): (N, F, *out)."""
    few = winograd_code.FEW
    if groups == 1 and winograd.pays(w.shape, out, stride, dilation, few) and winograd_code.handles_few(x, w):
        return winograd_code.convolve_few(x, w, bias, tuple(before for before, _ in padding), out)
    patches = _Patches(x.shape, x.shape[2:], w.shape[2:], stride, padding, dilation, out, groups, x.dtype)
    x = np.ascontiguousarray(x) if patches.pointwise else x
    y: Array = np.empty((len(x), len(w), *out), x.dtype)
    matrix, shift = w.reshape(groups, -1, patches.length), None if bias is None else bias.reshape(groups, -1, 1)
    if patches.pointwise and groups == 1 < len(x):
        given, into = (a.reshape(*a.shape[:2], -1) for a in (x, y))
        same = np.broadcast_to(matrix[0], (len(x), *matrix.shape[1:]))
        multiply_each(same, given, into, None if shift is None else shift[0])
        return y
    if len(x) == groups == 1 and prod(out) < len(w):  # BLAS copies both matrices: share the larger one
        whole = slice(0, 1), slice(0, out[0])
        multiply_shared(matrix[0], patches.of(x, *whole)[0, 0], y.reshape(len(w), -1))
        if shift is not None:
            y.reshape(len(w), -1)[...] += shift[0]
        return y
    work = patches.nanoseconds(len(w))
    portions = patches.portions(len(x), shares(work))

    def body(first: int, last: int) -> None:
        for portion in portions[first:last]:
            target = patches.columns(y, *portion)
            np.matmul(matrix, patches.of(x, *portion), out=target)
            if shift is not None:
                target += shift

    parallel(body, len(portions), work)
    return y


def convolution_input(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                      groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its input. Threads share the samples, or of few the channels.

    At stride 1 it is a convolution with the kernels turned by half, quicker than to add patches up unless those of
    ``g`` are much larger than those of the input, or to turn the kernels takes longer.
    """
    n, channels, out, kernel = len(g), w.shape[1] * groups, g.shape[2:], w.shape[2:]
    if prod(stride) == 1 < prod(kernel) and len(w) <= min(2 * channels, n * prod(out)):
        turned = np.flip(w.reshape(groups, -1, *w.shape[1:]).swapaxes(1, 2), tuple(range(3, w.ndim + 1)))
        around = tuple((d * (k - 1) - before, 0) for d, k, (before, _) in zip(dilation, kernel, padding))
        return convolution(g, turned.reshape(channels, -1, *kernel), None, stride, around, dilation, spatial, groups)
    if groups == 1 < n and pointwise(kernel, stride, padding):
        return convolution(g, w.swapaxes(0, 1), None, stride, padding, dilation, spatial, groups)
    patches = _Patches((n, channels), spatial, kernel, stride, padding, dilation, out, groups, g.dtype)
    g = np.ascontiguousarray(g)
    y: Array = np.zeros((n, channels, *spatial), g.dtype)
    work = patches.nanoseconds(len(w))
    by_sample = n >= shares(work) or groups > 1

    def body(first: int, last: int) -> None:
        some = slice(first, last)
        part = y[some] if by_sample else y[:, some]
        arriving, weight = (g[some], w) if by_sample else (g, w[:, some])
        matrix = weight.reshape(groups, len(w) // groups, -1).swapaxes(1, 2)
        for samples, rows in patches.portions(len(part)):
            source, target = patches.columns(arriving, samples, rows), part[samples]
            if patches.pointwise:
                np.matmul(matrix, source, out=patches.columns(part, samples, rows))
                continue
            spread = scratch("patches", (*source.shape[:2], matrix.shape[1], source.shape[3]), g.dtype)
            np.matmul(matrix, source, out=spread)
            spread = spread.reshape(*target.shape[:2], *patches.kernel, rows.stop - rows.start, *out[1:])
            patches.add_up(spread, rows, target)

    parallel(body, n if by_sample else channels, work)
    return y


def convolution_weight(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                       groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its weight."""
    features, out = g.shape[1], g.shape[2:]
    patches = _Patches(x.shape, x.shape[2:], kernel, stride, padding, dilation, out, groups, x.dtype)
    g, x = np.ascontiguousarray(g), np.ascontiguousarray(x) if patches.pointwise else x
    work = patches.nanoseconds(features)
    length = features * patches.length * g.itemsize  # of the products of a sample
    portions = patches.portions(len(x), shares(work), max(1, _SCRATCH // length))

    def body(first: int, last: int) -> Array:
        total = np.zeros((groups, features // groups, patches.length), g.dtype)
        for portion in portions[first:last]:
            seen = patches.of(x, *portion).swapaxes(2, 3)
            total += np.add.reduce(np.matmul(patches.columns(g, *portion), seen), axis=0)
        return total

    total = reduce(np.add, parallel(body, len(portions), work))
    return np.reshape(total, (features, x.shape[1] // groups, *kernel))
