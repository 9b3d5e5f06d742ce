"""Convolution with 3x3 kernels at stride 1 by fewer multiplications (Winograd 1980; Lavin and Gray 2016).

The output is computed in tiles of 4x4 from tiles of 6x6 of the input, X, that overlap by 2::

    Y = Aᵀ ((G w Gᵀ) * (Bᵀ X B)) A

The product in the middle is element-wise, 36 multiplications instead of 16 * 9 = 144. Summed over input
channels, it is 36 matrix products. The matrices around it are small constants: interpolation at the points
0, 1, -1, 2, -2 and infinity. The weight's gradient goes the same way in the other direction.

All arrays are stored batch last, (H, W, C, N), so that each of the five steps is one batched matrix
product over a view of what the step before has written.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

from ..memory import Array
from .products import multiply, multiply_transposed, multiply_wide, product
from .threads import parallel, scratch

M, T = 4, 6  # size of a tile of the output, and of the input

INPUT = np.array([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                  [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.float32)  # fmt: skip
_G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], np.float64) / 24
OUTPUT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32)
_At = np.ascontiguousarray(OUTPUT.T)
WEIGHT = np.kron(_G, _G).astype(np.float32)  # (36, 9)

_SHORT = 1 << 12  # rows of a product with so few numbers are done before another thread has woken up
_SCRATCH = 1 << 21  # bytes of transformed input or output at a time


_precision = "high"


def set_float32_conv_precision(precision: str) -> None:
    """Use Winograd's algorithm for convolutions of float32 where it is faster (``"high"``), or never (``"highest"``).

    Its error is about 1e-5 of the largest element of the result; that of the direct sum of products 5e-7.
    float64 is always computed directly.
    """
    global _precision
    if precision not in ("high", "highest"):
        raise ValueError(f"set_float32_conv_precision: expected 'high' or 'highest', got {precision!r}")
    _precision = precision


def get_float32_conv_precision() -> str:
    """``"high"``, or what :func:`set_float32_conv_precision` was told."""
    return _precision


def pays(weight: tuple[int, ...], out: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...],
         few: int) -> bool:  # fmt: skip
    """Whether this is allowed and the quickest way: ``few`` channels or more, and few tiles beyond the edge."""
    if _precision == "highest":
        return False
    if weight[2:] != (3, 3) or stride != (1, 1) or dilation != (1, 1) or min(weight[:2]) < few:
        return False
    return -(-out[0] // M) * -(-out[1] // M) * M * M < 1.8 * out[0] * out[1]


def transformed_weight(w: Array, adjoint: bool = False) -> Array:
    """``G w Gᵀ`` of each pair of channels: (O, C, 3, 3) -> (T, T, O, C).

    For the adjoint of the convolution, of the kernels turned by half, with O and C in each other's place.
    """
    taps = w.reshape(-1, 9).T
    if adjoint:
        return product(WEIGHT[:, ::-1], taps).reshape(T, T, *w.shape[:2]).swapaxes(2, 3)
    return product(WEIGHT, taps).reshape(T, T, *w.shape[:2])


def convolve(x: Array, u: Array, bias: Array | None, before: tuple[int, ...], out: Array) -> None:
    """Write to ``out`` (H', W', O, N) the convolution of ``x`` (H, W, C, N) with the transformed weight ``u``.

    ``before`` is the number of zeros above and to the left of ``x``.
    """
    channels, features, n = x.shape[2], out.shape[2], x.shape[3]
    tiles = _tiles(out.shape, max(channels, features) * n)

    def body(start: int, stop: int) -> None:
        for i, j, count in tiles[start:stop]:
            v = _transformed_input(x, i * M - before[0], j * M - before[1], count)
            m = scratch("winograd products", (count, T, T, features, n), np.float32)
            multiply(u, v, m)
            if bias is not None:  # one place in a tile that Aᵀ spreads evenly over the tile
                m[:, 1, 1] += bias[:, None]
            _transform_back(m, out[i * M : (i + 1) * M, j * M : (j + count) * M])

    parallel(body, len(tiles), _work(tiles, channels, features, n))


def convolve_weight(g: Array, x: Array, before: tuple[int, ...]) -> Array:
    """The weight's gradient (O, C, 3, 3), given that of the output, ``g`` (H', W', O, N), and the input ``x``."""
    channels, features, n = x.shape[2], g.shape[2], x.shape[3]
    tiles = _tiles(g.shape, max(channels, features) * n)

    def body(start: int, stop: int) -> Array:
        total = np.zeros((T, T, features, channels), np.float32)
        for i, j, count in tiles[start:stop]:
            v = _transformed_input(x, i * M - before[0], j * M - before[1], count)
            m = _transformed_gradient(g[i * M : (i + 1) * M, j * M : (j + count) * M], count)
            products = scratch("winograd weights", (count, *total.shape), np.float32)
            multiply_transposed(m, v, products)
            for more in products:
                total += more
        return total

    return taps_of(reduce(np.add, parallel(body, len(tiles), _work(tiles, channels, features, n))))


def taps_of(transformed: Array) -> Array:
    """The adjoint of :func:`transformed_weight`: (T, T, O, C) -> (O, C, 3, 3)."""
    features, channels = transformed.shape[2:]
    return product(transformed.reshape(T * T, -1).T, WEIGHT).reshape(features, channels, 3, 3)


def _tiles(shape: tuple[int, ...], width: int) -> list[tuple[int, int, int]]:
    """(row, column, how many next to each other) of the tiles that are computed together."""
    rows, columns = -(-shape[0] // M), -(-shape[1] // M)
    most = max(1, _SCRATCH // (T * T * width * 4))
    step = -(-columns // -(-columns // most))
    return [(i, j, min(step, columns - j)) for i in range(rows) for j in range(0, columns, step)]


def _work(tiles: list[tuple[int, int, int]], channels: int, features: int, n: int) -> float:
    """About how many nanoseconds the tiles take; 0 if those computed together are too few to share the work."""
    count, size = max(count for *_, count in tiles), max(channels, features) * n
    return 0 if count * size < _SHORT else sum(count for *_, count in tiles) * channels * features * n / 2


def _transformed_input(x: Array, top: int, left: int, count: int) -> Array:
    """``Bᵀ X B`` of ``count`` neighbouring tiles, whose first begins at (top, left): (count, T, T, C, N).

    Where a tile reaches beyond the input there are zeros: rows of them are left out of the product.
    """
    height, width, channels, n = x.shape
    columns = (count - 1) * M + T
    above, below = max(0, -top), min(T, height - top)
    first, last = max(0, -left), min(columns, width - left)
    rows = scratch("winograd rows", (T, columns, channels * n), np.float32)
    if above < below and first < last:
        rows[:, :first] = 0
        rows[:, last:] = 0
        part = x[top + above : top + below, left + first : left + last].reshape(below - above, -1)
        multiply_wide(INPUT[:, above:below], part, rows[:, first:last].reshape(T, -1))
    else:
        rows[...] = 0
    down, right, item = rows.strides
    overlapping = np.ndarray((count, T, T, channels * n), np.float32, rows, 0, (M * right, down, right, item))
    v = scratch("winograd input", (count, T, T, channels * n), np.float32)
    np.matmul(INPUT, overlapping, out=v)
    return v.reshape(count, T, T, channels, n)


def _transform_back(m: Array, out: Array) -> None:
    """Write ``Aᵀ m A`` of each tile side by side to ``out``, which may end before the last tile does."""
    count, _, _, features, n = m.shape
    height, width = out.shape[:2]
    rows = scratch("winograd output", (count, T, M, features * n), np.float32)
    np.matmul(OUTPUT, m.reshape(count, T, T, features * n), out=rows)
    whole = width // M
    for start, stop, size in ((0, whole, M), (whole, count, width - whole * M)):
        if start < stop:
            target = out[:, start * M : start * M + (stop - start) * size]
            target = target.reshape(height, stop - start, size * features * n).swapaxes(0, 1)
            multiply_wide(OUTPUT[:height], rows[start:stop, :, :size].reshape(stop - start, T, -1), target)


def _transformed_gradient(g: Array, count: int) -> Array:
    """``A g Aᵀ`` of ``count`` tiles side by side, the adjoint of :func:`_transform_back`: (count, T, T, O, N)."""
    height, width, features, n = g.shape
    rows = scratch("winograd output", (count, T, M, features * n), np.float32)
    whole = width // M
    if whole < count:
        rows[whole:, :, width - whole * M :] = 0
    for start, stop, size in ((0, whole, M), (whole, count, width - whole * M)):
        if start < stop:
            source = g[:, start * M : start * M + (stop - start) * size]
            source = source.reshape(height, stop - start, size * features * n).swapaxes(0, 1)
            multiply_wide(_At[:, :height], source, rows[start:stop, :, :size].reshape(stop - start, T, -1))
    m = scratch("winograd products", (count, T, T, features * n), np.float32)
    np.matmul(_At, rows, out=m)
    return m.reshape(count, T, T, features, n)
