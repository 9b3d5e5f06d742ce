"""Convolution as matrix products of the weight with patches, all arrays stored batch last, (H, W, C, N).

Patches are made in two steps. The rows that a row of the output needs are copied side by side, which gives
``E[h, w, i, c, n]``, kh copies of the input. The patch of a pixel is then kw neighbouring columns of E, one
after the other in memory: (kw, kh, C, N) seen as a matrix (K, N) without copying kh * kw times.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from ..memory import Array
from . import convolution_code
from .products import multiply, multiply_transposed, small_is_quick
from .threads import parallel, scratch

Sizes = tuple[int, ...]

_SCRATCH = 1 << 21  # bytes of copied rows at a time
_LONG = 896  # how long sums in products may be, so that 16 x 64 of them are a small product
_LONGER = 2048  # without kernels for small products
SUMS = 60_000  # elements of a weight whose gradient stays in the cache while machine code sums it up
_FEW = 8  # rows of a matrix with so few make too small a product


class Taps:
    """Which pixels of the input a pixel of the output meets: those at ``stride * h + dilation * i - before``."""

    def __init__(self, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> None:
        self.kernel, self.stride, self.before, self.dilation = kernel, stride, before, dilation
        # Columns that a kernel skips are not neighbours: then copy what each pixel meets, not whole rows.
        self.apart = kernel[1] == 1 or dilation[1] > 1
        self.step = kernel[1] if self.apart else stride[1]  # columns copied from a pixel to the next

    def of_blocks(self, tall: int, top: int) -> Taps:
        """The same for blocks of ``tall`` rows of the output, of which the first begins at row ``top``."""
        (kh, kw), (down, right), (above, left) = self.kernel, self.stride, self.before
        return Taps(((tall - 1) * down + kh, kw), (tall * down, right), (above - top * down, left), self.dilation)

    def patches(self, x: Array, top: int, out: tuple[int, int]) -> Array:
        """The patches of ``out`` pixels from row ``top``: (rows, columns, K, N), K in the order (j, i, C)."""
        height, width, channels, n = x.shape
        rows, columns = out
        (kh, kw), (down, right) = self.kernel, self.stride
        if kh == kw == 1 and not any(self.before):
            bottom, end = (top + rows - 1) * down + 1, (columns - 1) * right + 1
            if bottom <= height and end <= width:
                return x[top * down : bottom : down, :end:right]
        e = self.rows(x, top, out)
        strides = (e.strides[0], self.step * e.strides[1], *e.strides[3:])
        return np.ndarray((rows, columns, kw * kh * channels, n), e.dtype, e, 0, strides)

    def rows(self, x: Array, top: int, out: tuple[int, int], gap: int = 0) -> Array:
        """What ``out`` pixels from row ``top`` meet: (rows, columns of the input, kh, C, N).

        ``gap`` is the number of elements that lie unused behind each (C, N).
        """
        channels, n = x.shape[2:]
        rows, columns = out
        (kh, kw), right, left, dj = self.kernel, self.stride[1], self.before[1], self.dilation[1]
        if self.apart:
            taken, step, starts = columns, right, [j * dj - left for j in range(kw)]
        else:
            taken, step, starts = (columns - 1) * right + kw, 1, [-left]
        e = scratch("rows side by side", (rows, taken, len(starts), kh, channels * n + gap), x.dtype)
        e = e[..., : channels * n].reshape(*e.shape[:-1], channels, n)
        for j, start in enumerate(starts):
            self._copy(x, top, start, step, e[:, :, j].transpose(2, 0, 1, 3, 4))
        return e.reshape(rows, taken * len(starts), kh, channels, n)

    def at_once(self, channels: int) -> bool:
        """Whether :meth:`runs` are those of all columns of the kernel at once."""
        return self.kernel[0] * channels < _FEW

    def runs(self, x: Array, start: tuple[int, int], out: tuple[int, int]) -> list[Array]:
        """For each column of the kernel, what ``out`` pixels from ``start`` meet there: (rows, kh * C, columns * N).

        Of few channels, for all columns at once: (rows, kw * kh * C, columns * N).
        """
        channels, n = x.shape[2:]
        (top, first), (rows, columns) = start, out
        (kh, kw), right, dj = self.kernel, self.stride[1], self.dilation[1]
        if self.at_once(channels):
            e = scratch("runs side by side", (rows, kw, kh, channels, columns, n), x.dtype)
            for j in range(kw):
                self._copy(x, top, first * right + j * dj - self.before[1], right, e[:, j].transpose(1, 0, 3, 2, 4))
            return [e.reshape(rows, -1, columns * n)]
        shifts = [divmod(j * dj, right) for j in range(kw)]
        taken = columns + shifts[-1][0]
        e = scratch("runs side by side", (min(right, kw), rows, kh, channels, taken, n), x.dtype)
        classes = {rest: e[k] for k, rest in enumerate(dict.fromkeys(rest for _, rest in shifts))}
        for rest, rows_of_class in classes.items():
            column = first * right + rest - self.before[1]
            self._copy(x, top, column, right, rows_of_class.transpose(1, 0, 3, 2, 4))
        return [
            classes[rest][:, :, :, shift : shift + columns].reshape(rows, kh * channels, columns * n)
            for shift, rest in shifts
        ]

    def _copy(self, x: Array, top: int, column: int, step: int, parts: Array) -> None:
        """Write to ``parts`` (kh, rows, columns, C, N) what pixels from row ``top`` meet in each row of the kernel.

        That are every ``step``-th of the columns from ``column``, and zeros beyond the edge.
        """
        (height, width), (rows, columns) = x.shape[:2], parts.shape[1:3]
        c0, c1, source_columns = inside(column, step, columns, width)
        for i, part in enumerate(parts):
            first = top * self.stride[0] + i * self.dilation[0] - self.before[0]
            r0, r1, source_rows = inside(first, self.stride[0], rows, height)
            if r1 - r0 < rows or c1 - c0 < columns:
                part[:r0] = part[r1:] = part[:, :c0] = part[:, c1:] = 0
            part[r0:r1, c0:c1] = x[source_rows, source_columns]

    def rows_at_a_time(self, x: Array, columns: int, rows: int) -> int:
        copied = columns * self.step * self.kernel[0] * x[0, 0].nbytes
        return max(1, min(rows, _SCRATCH // max(1, copied)))


def inside(start: int, step: int, count: int, size: int) -> tuple[int, int, slice]:
    """Of ``count`` places from ``start``: the range of those that lie in ``range(size)``, and their slice."""
    first = min(count, max(0, -(start // step)))
    last = max(first, min(count, (size - 1 - start) // step + 1))
    return first, last, slice(start + first * step, max(0, start + (last - 1) * step + 1), step)


def convolve(x: Array, w: Array, bias: Array | None, taps: Taps, out: Array) -> None:
    """Write to ``out`` (H', W', O, N) the products of ``w`` (O, C, kh, kw) with the patches of ``x``."""
    if convolution_code.convolve(x, w, bias, taps, out):
        return
    matrix = np.ascontiguousarray(w.transpose(0, 3, 2, 1)).reshape(w.shape[0], -1)
    rows, columns = out.shape[:2]
    step = taps.rows_at_a_time(x, columns, rows)

    def body(start: int, stop: int) -> None:
        for top in range(start, stop, step):
            end = min(top + step, stop)
            multiply(matrix, taps.patches(x, top, (end - top, columns)), out[top:end])
            if bias is not None:
                out[top:end] += bias[:, None]

    parallel(body, rows, out.size * matrix.shape[1] / 80)


def convolve_weight(g: Array, x: Array, kernel: Sizes, taps: Taps) -> Array:
    """The adjoint of :func:`convolve` in ``w``, given the gradient ``g`` (H', W', O, N) of its output.

    For each row of the output, and each column of the kernel unless there are few channels, a product
    (O, W' * N) @ (W' * N, K).
    """
    rows, columns, features, n = g.shape
    (kh, kw), channels = kernel, x.shape[2]
    if features * channels * kh * kw <= SUMS:
        total = convolution_code.convolve_weight(g, x, taps)
        if total is not None:
            return total
    long = _LONG if small_is_quick() else _LONGER
    copied = features + kh * channels * (kw if taps.at_once(channels) else min(taps.stride[1], kw))  # for each pixel
    long = min(long, max(long // 4, _SCRATCH // (copied * g.itemsize)))
    wide = -(-columns // -(-columns * n // long))
    step = max(1, min(rows, _SCRATCH // (copied * wide * g[0, 0, 0].nbytes)))

    def body(start: int, stop: int) -> Array:
        total: Any = 0
        for top in range(start, stop, step):
            for left in range(0, columns, wide):
                part = g[top : min(top + step, stop), left : left + wide].swapaxes(1, 2)
                count, _, width, _ = part.shape
                gradient = scratch("gradient in runs", (count, features, width * n), g.dtype)
                np.copyto(gradient.reshape(part.shape), part)
                sums = []
                for met in taps.runs(x, (top, left), (count, width)):
                    products = scratch("weight products", (count, features, met.shape[1]), g.dtype)
                    multiply_transposed(gradient, met, products)
                    sums.append(np.add.reduce(products, axis=0))
                total = total + np.concatenate(sums, axis=1)
        return total

    total = reduce(np.add, parallel(body, rows, g.size * kh * kw * channels / 80)).reshape(features, kw, kh, channels)
    return np.ascontiguousarray(total.transpose(0, 3, 2, 1))


def convolve_input(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> None:
    """Write to ``out`` (H, W, C, N) the adjoint of the convolution in its input.

    The pixels of ``out`` fall into classes, each of which is a convolution: see :class:`.convolution_code.Class`.
    """
    # Pixels beyond the edge of g count as zeros; and a product with few rows is slow for BLAS.
    slow = out.shape[2] < 4 and not convolution_code.handles(g, w.shape[2:], dilation)
    if slow or 2 * prod(g.shape[:2]) * prod(stride) < prod(out.shape[:2]):
        _spread(g, w, stride, before, dilation, out)
        return
    if convolution_code.convolve_input(g, w, stride, before, dilation, out):
        return
    for elements, taps, part in phases(w, stride, before, dilation, out):
        convolve(g, elements.swapaxes(0, 1), None, taps, part)


def _spread(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> None:
    """:func:`convolve_input` by making the gradients of all patches, and adding them up where patches overlap."""
    (rows, columns, features, n), (channels, *kernel) = g.shape, w.shape[1:]
    height, width = out.shape[:2]
    across = [inside(j * dilation[1] - before[1], stride[1], columns, width) for j in range(kernel[1])]

    def body(start: int, stop: int) -> None:
        part = out[:, :, start:stop]
        part[...] = 0
        matrix = np.ascontiguousarray(w[:, start:stop].transpose(2, 3, 1, 0)).reshape(-1, features)
        step = max(1, _SCRATCH // (columns * len(matrix) * n * g.itemsize))
        for top in range(0, rows, step):
            count = min(step, rows - top)
            patches = scratch("rows side by side", (count, columns, len(matrix), n), g.dtype)
            multiply(matrix, g[top : top + count], patches)
            patches = patches.reshape(count, columns, *kernel, stop - start, n)
            for i in range(kernel[0]):
                first, last, down = inside(top * stride[0] + i * dilation[0] - before[0], stride[0], count, height)
                for j, (left, right, along) in enumerate(across):
                    part[down, along] += patches[first:last, left:right, i, j]

    parallel(body, channels, g.size * w[0].size / 40)


def phases(w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> Iterator[tuple[Array, Taps, Array]]:
    """For each class: the elements of kernels (O, C, kh, kw) it meets, how it does, and its part of ``out``."""
    for c in convolution_code.classes(True, w.shape[2:], stride, before, dilation):
        part = c.of(out)
        if not all(c.kernel):
            part[...] = 0
        elif part.size:
            yield w[:, :, c.elements[0], c.elements[1]], Taps(c.kernel, c.stride, c.before, c.dilation), part
