"""Convolution of each channel by itself, all arrays stored batch last, (H, W, C, N).

There is no sum over channels to make a matrix product of. But a few neighbouring pixels of the output are a
matrix product too, of a narrow band matrix with the pixels of the input they see::

    y[0]   [a b c . ]   x[0]
    y[1] = [. a b c ] @ x[1]        (each x[i], y[i] a run of N numbers)
                        x[2]
                        x[3]

In two dimensions, blocks of 4x4 pixels are computed together. Three quarters of the products are with zeros, and with
one thread it still takes up to a quarter less time than adding up shifted images. In smaller blocks there are fewer
zeros, but the products are so short that two threads, which wait for each other within BLAS, are no faster than one.
"""

from __future__ import annotations

from functools import cache, reduce

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..memory import Array
from . import depthwise_code
from .direct import Sizes, Taps, inside, phases
from .threads import parallel, scratch

_PIECE = 1 << 18  # elements of the image that are worked on at a time
_SIDE = 4  # pixels of a block
_GAP = 16  # elements; else what a pixel sees lies a power of two apart, and competes for a few places in the cache


def _groups(start: int, stop: int, most: int) -> list[tuple[int, int, int]]:
    """(first, how many groups, size of each) of pixels from start to stop: all groups of ``most``, then the rest."""
    full, rest = divmod(stop - start, most)
    return [(start, full, most)] * (full > 0) + [(stop - rest, 1, rest)] * (rest > 0)


def _band(w: Array, tall: int, wide: int, down: int, right: int) -> Array:
    """The matrices (C, tall * wide, K) of a block for kernels (C, kh, kw); K counts columns, then rows of the input."""
    channels, kh, kw = w.shape
    band = np.zeros((channels, tall, wide, (wide - 1) * right + kw, (tall - 1) * down + kh), w.dtype)
    for i in range(tall):
        for j in range(wide):
            band[:, i, j, j * right : j * right + kw, i * down : i * down + kh] = w.swapaxes(1, 2)
    return band.reshape(channels, tall * wide, -1)


def convolve(x: Array, w: Array, bias: Array | None, taps: Taps, out: Array) -> None:
    """Write to ``out`` (H', W', C, N) the convolution of each channel of ``x`` with its kernel of ``w``."""
    if depthwise_code.convolve(x, w, bias, taps, out):
        return
    (rows, columns, channels, n), kw, down, right = out.shape, w.shape[3], taps.stride[0], taps.step
    side = _SIDE if taps.dilation[0] == 1 else 1  # down; blocks would see rows that no pixel of theirs meets
    band = cache(lambda tall, wide: _band(w[:, 0], tall, wide, down, right))
    step = taps.of_blocks(side, 0).rows_at_a_time(x, columns, rows)  # of blocks

    def body(start: int, stop: int) -> None:
        for begin in range(start * side, min(stop * side, rows), step * side):
            for top, blocks, tall in _groups(begin, min(begin + step * side, stop * side, rows), side):
                seen = taps.of_blocks(tall, top).rows(x, 0, (blocks, columns), _GAP)
                height, (next_row, pixel, _, channel, item) = seen.shape[2], seen.strides
                for left, across, wide in _groups(0, columns, _SIDE):
                    y = scratch("blocks", (blocks, across, channels, tall * wide, n), out.dtype)
                    windows = as_strided(
                        seen[:, left * right :], (*y.shape[:3], ((wide - 1) * right + kw) * height, n),
                        (next_row, wide * right * pixel, channel, pixel // height, item),
                    )  # fmt: skip
                    np.matmul(band(tall, wide), windows, out=y)
                    y = y.reshape(*y.shape[:3], tall, wide, n).transpose(0, 3, 1, 4, 2, 5)
                    target = out[top : top + blocks * tall, left : left + across * wide].reshape(y.shape)
                    np.copyto(target, y) if bias is None else np.add(y, bias[:, None], out=target)

    parallel(body, -(-rows // side), out.size * w.size / channels / 4)


def convolve_weight(g: Array, x: Array, kernel: Sizes, taps: Taps) -> Array:
    """The adjoint of :func:`convolve` in ``w``: for each of its elements, ``g`` times what it meets, summed."""
    total = depthwise_code.convolve_weight(g, x, taps)
    if total is not None:
        return total
    rows, columns, channels, n = g.shape
    (down, right), (above, before), (di, dj) = taps.stride, taps.before, taps.dilation
    across = [inside(j * dj - before, right, columns, x.shape[1]) for j in range(kernel[1])]
    step = max(1, _PIECE // g[0].size)
    ones = np.ones(step * columns, g.dtype)

    def body(start: int, stop: int) -> Array:
        totals = np.zeros((*kernel, channels * n), g.dtype)
        for top in range(start, stop, step):
            for i in range(kernel[0]):
                first, last, met = inside(top * down + i * di - above, down, min(step, stop - top), x.shape[0])
                for total, (left, end, along) in zip(totals[i], across):
                    part = g[top + first : top + last, left:end]
                    products = np.multiply(part, x[met, along], out=scratch("products", part.shape, g.dtype))
                    products = products.reshape(-1, channels * n)
                    total += ones[: len(products)] @ products
        return np.add.reduce(totals.reshape(*kernel, channels, n), axis=3)

    total = reduce(np.add, parallel(body, rows, g.size * kernel[0] * kernel[1] / 4))
    return np.ascontiguousarray(total.transpose(2, 0, 1))[:, None]


def convolve_input(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> None:
    """Write to ``out`` (H, W, C, N) the adjoint of the convolution in its input: see :func:`direct.convolve_input`."""
    if depthwise_code.convolve_input(g, w, stride, before, dilation, out):
        return
    for elements, taps, part in phases(w, stride, before, dilation, out):
        convolve(g, elements, None, taps, part)
