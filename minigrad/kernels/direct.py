"""Convolution as matrix products of the weight with patches, all arrays stored batch last, (H, W, C, N).

Patches are made in two steps. The rows that a row of the output needs are copied side by side, which gives
``E[h, w, i, c, n]``, kh copies of the input. The patch of a pixel is then kw neighbouring columns of E, one
after the other in memory: (kw, kh, C, N) seen as a matrix (K, N) without copying kh * kw times.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from math import gcd

import numpy as np

from ..memory import Array
from .threads import scratch, shares

Sizes = tuple[int, ...]

_SCRATCH = 1 << 20  # bytes of copied rows at a time


class Taps:
    """Which pixels of the input a pixel of the output meets: those at ``stride * h + dilation * i - before``."""

    def __init__(self, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes) -> None:
        self.kernel, self.stride, self.before, self.dilation = kernel, stride, before, dilation
        # A kernel of one column needs no other columns than its own, and one with gaps needs each apart.
        self.apart = kernel[1] == 1 or dilation[1] > 1
        self.pixel = all(k == 1 for k in kernel)

    def patches(self, x: Array, top: int, out: tuple[int, int]) -> Array:
        """The patches of ``out`` pixels from row ``top``: (rows, columns, K, N), K in the order (j, i, C)."""
        height, width, channels, n = x.shape
        rows, columns = out
        (kh, kw), (down, right), (above, left), (di, dj) = self.kernel, self.stride, self.before, self.dilation
        if self.pixel and not (above or left) and (top + rows - 1) * down < height and (columns - 1) * right < width:
            return x[top * down : (top + rows - 1) * down + 1 : down, : (columns - 1) * right + 1 : right]
        if self.apart:
            taken, step, starts, wide = columns, right, [j * dj - left for j in range(kw)], kw
        else:
            taken, step, starts, wide = (columns - 1) * right + kw, 1, [-left], 1
        e = scratch("rows side by side", (rows, taken, wide, kh, channels, n), x.dtype)
        for j, start in enumerate(starts):
            c0, c1, source_columns = _inside(start, step, taken, width)
            for i in range(kh):
                r0, r1, source_rows = _inside(top * down + i * di - above, down, rows, height)
                part = e[:, :, j, i]
                if r1 - r0 < rows or c1 - c0 < taken:
                    part[:r0] = part[r1:] = part[:, :c0] = part[:, c1:] = 0
                part[r0:r1, c0:c1] = x[source_rows, source_columns]
        if self.apart:
            return e.reshape(rows, columns, kw * kh * channels, n)
        down_e, right_e = e.strides[:2]
        strides = (down_e, right * right_e, e.strides[-2], e.strides[-1])
        return np.ndarray((rows, columns, kw * kh * channels, n), e.dtype, e, 0, strides)

    def rows_at_a_time(self, x: Array, columns: int, rows: int) -> int:
        copied = columns * self.kernel[0] * (self.kernel[1] if self.apart else self.stride[1]) * x[0, 0].nbytes
        return max(1, min(rows, _SCRATCH // max(1, copied)))


def _inside(start: int, step: int, count: int, size: int) -> tuple[int, int, slice]:
    """Of ``count`` places from ``start``: the range of those that lie in ``range(size)``, and their slice."""
    first = min(count, max(0, -(start // step)))
    last = max(first, min(count, (size - 1 - start) // step + 1))
    return first, last, slice(start + first * step, max(0, start + (last - 1) * step + 1), step)


def convolve(x: Array, w: Array, bias: Array | None, taps: Taps, out: Array) -> None:
    """Write to ``out`` (H', W', O, N) the products of ``w`` (O, C, kh, kw) with the patches of ``x``."""
    matrix = np.ascontiguousarray(w.transpose(0, 3, 2, 1)).reshape(w.shape[0], -1)
    rows, columns = out.shape[:2]
    step = taps.rows_at_a_time(x, columns, rows)

    def body(start: int, stop: int) -> None:
        for top in range(start, stop, step):
            end = min(top + step, stop)
            np.matmul(matrix, taps.patches(x, top, (end - top, columns)), out=out[top:end])
            if bias is not None:
                out[top:end] += bias[:, None]

    shares(body, rows)


def convolve_weight(g: Array, x: Array, kernel: Sizes, taps: Taps) -> Array:
    """The adjoint of :func:`convolve` in ``w``, given the gradient ``g`` (H', W', O, N) of its output."""
    rows, columns, features, _ = g.shape
    inner = kernel[0] * kernel[1] * x.shape[2]
    step = taps.rows_at_a_time(x, columns, rows)
    wide = max(1, min(columns, _SCRATCH // (features * inner * g.itemsize)))

    def body(start: int, stop: int) -> Array:
        total = np.zeros((features, inner), g.dtype)
        for top in range(start, stop, step):
            patches = taps.patches(x, top, (min(top + step, stop) - top, columns))
            for row, patch in enumerate(patches, top):
                for left in range(0, columns, wide):
                    part = g[row, left : left + wide]
                    products = scratch("weight products", (len(part), features, inner), g.dtype)
                    np.matmul(part, patch[left : left + wide].swapaxes(1, 2), out=products)
                    total += np.add.reduce(products, axis=0)
        return total

    total = reduce(np.add, shares(body, rows)).reshape(features, kernel[1], kernel[0], x.shape[2])
    return np.ascontiguousarray(total.transpose(0, 3, 2, 1))


def convolve_input(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> None:
    """Write to ``out`` (H, W, C, N) the adjoint of the convolution in its input.

    The pixels of ``out`` fall into stride * stride classes. Those of a class meet the same elements of the
    kernel, and neighbours in the class neighbours in ``g``: each class is a convolution at stride 1.
    """
    phases = [_phases(*sizes) for sizes in zip(w.shape[2:], stride, before, dilation)]
    for first_row, kernel_rows, above, di in phases[0]:
        for first_column, kernel_columns, left, dj in phases[1]:
            part = out[first_row :: stride[0], first_column :: stride[1]]
            if not part.size:
                continue
            if not kernel_rows or not kernel_columns:
                part[...] = 0
                continue
            taps = Taps((len(kernel_rows), len(kernel_columns)), (1, 1), (above, left), (di, dj))
            convolve(g, w[:, :, kernel_rows][:, :, :, kernel_columns].swapaxes(0, 1), None, taps, part)


@lru_cache(maxsize=256)
def _phases(kernel: int, stride: int, before: int, dilation: int) -> list[tuple[int, list[int], int, int]]:
    """Per class of places in a dimension: the first, the kernel's elements it meets, zeros before, dilation."""
    found = []
    for first in range(stride):
        # Place p of the input is met by element u of the kernel at (p + before - u * dilation) / stride.
        elements = [u for u in reversed(range(kernel)) if (first + before - u * dilation) % stride == 0]
        start = (first + before - elements[0] * dilation) // stride if elements else 0
        found.append((first, elements, -start, dilation // gcd(stride, dilation)))
    return found
