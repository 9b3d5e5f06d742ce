"""Convolution of each channel by itself, all arrays stored batch last, (H, W, C, N).

There is no sum over channels to make a matrix product of. But a few neighbouring pixels of an output row are
a matrix product too, of a narrow band matrix with the pixels of the input they see::

    y[0]   [a b c . ]   x[0]
    y[1] = [. a b c ] @ x[1]        (each x[i], y[i] a run of N numbers)
                        x[2]
                        x[3]

More than half of its products are with zeros, and it is several times faster than adding up shifted images.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..memory import Array
from .direct import Sizes, Taps, phases
from .threads import parallel

_WIDE = 4  # pixels of the output in one product
_GAP = 16  # elements; else what a pixel sees lies a power of two apart, and competes for a few places in the cache


def _band(w: Array, wide: int, stride: int) -> Array:
    """The matrices (C, wide, K) for kernels (C, kh, kw), where K counts columns, then rows of the input."""
    channels, kh, kw = w.shape
    band = np.zeros((channels, wide, (wide - 1) * stride + kw, kh), w.dtype)
    for pixel in range(wide):
        band[:, pixel, pixel * stride : pixel * stride + kw] = w.swapaxes(1, 2)
    return band.reshape(channels, wide, -1)


def _windows(rows: Array, start: int, count: int, wide: int, stride: int, kw: int) -> Array:
    """What ``count`` groups of ``wide`` pixels from ``start`` see of ``rows`` side by side: (rows, count, C, K, N)."""
    height, _, kh, channels, n = rows.shape
    down, right, _, channel, item = rows.strides
    shape = (height, count, channels, ((wide - 1) * stride + kw) * kh, n)
    strides = (down, wide * stride * right, channel, right // kh, item)
    return as_strided(rows[:, start * stride :], shape, strides)


def _groups(columns: int) -> list[tuple[int, int, int]]:
    """(first pixel, how many groups, pixels in each): all full ones, then the rest."""
    wide = min(_WIDE, columns)
    full, rest = divmod(columns, wide)
    return [(0, full, wide)] + ([(full * wide, 1, rest)] if rest else [])


def convolve(x: Array, w: Array, bias: Array | None, taps: Taps, out: Array) -> None:
    """Write to ``out`` (H', W', C, N) the convolution of each channel of ``x`` with its kernel of ``w``."""
    rows, columns, channels, n = out.shape
    step, stride, kw = taps.rows_at_a_time(x, columns, rows), taps.step, taps.kernel[1]
    groups = [(at, count, wide, _band(w[:, 0], wide, stride)) for at, count, wide in _groups(columns)]

    def body(start: int, stop: int) -> None:
        for top in range(start, stop, step):
            part = out[top : min(top + step, stop)]
            seen = taps.rows(x, top, (len(part), columns), _GAP)
            for at, count, wide, band in groups:
                target = part[:, at : at + count * wide].reshape(len(part), count, wide, channels, n)
                np.matmul(band, _windows(seen, at, count, wide, stride, kw), out=target.swapaxes(2, 3))
            if bias is not None:
                part += bias[:, None]

    parallel(body, rows, out.size * w.size / channels / 4)


def convolve_weight(g: Array, x: Array, kernel: Sizes, taps: Taps) -> Array:
    """The adjoint of :func:`convolve` in ``w``."""
    rows, columns, channels, n = g.shape
    step, stride, (kh, kw) = taps.rows_at_a_time(x, columns, rows), taps.step, kernel

    def body(start: int, stop: int) -> Array:
        total = np.zeros((channels, kw, kh), g.dtype)
        for top in range(start, stop, step):
            part = g[top : min(top + step, stop)]
            seen = taps.rows(x, top, (len(part), columns), _GAP)
            for at, count, wide in _groups(columns):
                source = part[:, at : at + count * wide].reshape(len(part), count, wide, channels, n).swapaxes(2, 3)
                windows = _windows(seen, at, count, wide, stride, kw)
                band = np.add.reduce(np.matmul(source, windows.swapaxes(3, 4)), axis=(0, 1))
                band = band.reshape(channels, wide, -1, kh)
                for pixel in range(wide):
                    total += band[:, pixel, pixel * stride : pixel * stride + kw]
        return total

    total = reduce(np.add, parallel(body, rows, g.size * kh * kw / 4))
    return np.ascontiguousarray(total.swapaxes(1, 2)).reshape(channels, 1, kh, kw)


def convolve_input(g: Array, w: Array, stride: Sizes, before: Sizes, dilation: Sizes, out: Array) -> None:
    """Write to ``out`` (H, W, C, N) the adjoint of the convolution in its input: see :func:`direct.convolve_input`."""
    for part, kernel_rows, kernel_columns, taps in phases(w.shape[2:], stride, before, dilation, out):
        convolve(g, w[:, :, kernel_rows][:, :, :, kernel_columns], None, taps, part)
