"""Winograd's algorithm (:mod:`.winograd`) in machine code, tile by tile, so that a tile stays in the cache.

Each thread makes the same few calls for each of its tiles: two transform the tile, one multiplies 36 matrices, two
transform the products back. What those calls are given is planned once for images of a shape. Tiles at the edge are
planned by themselves: their rows beyond it are zeros, or are written to memory that nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86
from . import winograd
from .arithmetic import added
from .assembler import address
from .calls import Call, Matrices, Plan, call_in_sequence, scheduled, somewhere
from .few_rows import product_call
from .fused import fused, machine_code_works
from .threads import divided, scratch
from .turning import transposed
from .winograd import INPUT, OUTPUT, WEIGHT, M, T

_LARGEST = 1 << 15  # features times channels for which the sums of the weight's gradient stay in the cache
FEW = 16  # channels or features below which direct sums are faster
_TRANSFORMED = 1 << 20  # numbers of few images and their results that are transformed at a time
_PIXELS = 250  # of few images, for which it is worth to transform the weight

Sizes = tuple[int, ...]
Span = tuple[int, int]


def _transformation(matrix: Array) -> fused:
    """The product of a small matrix with the one whose rows are given."""
    rows = [[(c, k) for k, c in enumerate(row) if c] for row in matrix.tolist()]

    def transformed(*given: Array) -> tuple[Array, ...]:
        return tuple(sum([given[k] * c for c, k in row[1:]], start=given[row[0][1]] * row[0][0]) for row in rows)

    return fused(transformed)


_to_input, _to_output, _to_gradient = map(_transformation, (INPUT, OUTPUT, OUTPUT.T))


def handles(*arrays: Array) -> bool:
    """Whether images (H, W, C, N) are what this is for."""
    return machine_code_works() and all(
        a.dtype == np.float32 and a.shape[3] >= x86.LANES and a[0].flags.c_contiguous for a in arrays
    )  # fmt: skip


def handles_weight(g: Array, x: Array) -> bool:
    """Whether :func:`convolve_weight` is for these."""
    features, channels = g.shape[2], x.shape[2]
    return handles(g, x) and channels % x86.LANES == 0 and features * channels <= _LARGEST


class _Tiles(NamedTuple):
    """Some tiles of a thread that are alike: between ``first`` and ``last`` of their columns there is an image."""

    samples: Array  # which image each is of, where there are several
    rows: Array  # which row of tiles it is in
    columns: Array
    first: int
    last: int
    wide: int  # columns of the result


class _Share(NamedTuple):
    """What a thread does, and the memory it needs for that."""

    plan: Plan
    sizes: list[int]  # of each part of the memory
    written: list[tuple[int, list[Span]]]  # of the first parts: how many columns tiles have, and which are written to


def _portions(own: list[_Tiles], most: int) -> list[list[tuple[int, _Tiles]]]:
    """At most so many tiles at a time, with the numbers of their kinds."""
    portions: list[list[tuple[int, _Tiles]]] = [[]]
    space = most
    for k, tiles in enumerate(own):
        start = 0
        while start < len(tiles.rows):
            if not space:
                portions.append([])
                space = most
            part = slice(start, start + space)
            some = tiles._replace(samples=tiles.samples[part], rows=tiles.rows[part], columns=tiles.columns[part])
            portions[-1].append((k, some))
            start += len(some.rows)
            space -= len(some.rows)
    return portions


def _tiles(image: Sizes, result: Sizes, before: Sizes, shared: tuple[Span, ...], images: int = 1) -> list[list[_Tiles]]:
    """The tiles of each thread."""
    kinds: dict[tuple[int, int, int], list[int]] = {}
    for j in range(-(-result[1] // M)):
        left = j * M - before[1]
        first = max(0, -left)
        kind = first, max(first, min(T, image[1] - left)), min(M, result[1] - j * M)
        kinds.setdefault(kind, []).append(j)
    threads: list[list[_Tiles]] = [[] for _ in shared]
    for kind, columns in kinds.items():
        places = np.array([(n, i, j) for n in range(images) for i in range(-(-result[0] // M)) for j in columns])
        for own, span in zip(threads, shared):
            start, stop = (len(places) * end // shared[-1][1] for end in span)
            if start < stop:
                own.append(_Tiles(*places[start:stop].T, *kind))  # type: ignore[call-arg]
    return [own for own in threads if own]


def _shared(result: Sizes, multiplications: int, images: int = 1) -> tuple[Span, ...]:
    """The tiles of each thread, which take so many multiplications for each of 36 products."""
    count = images * -(-result[0] // M) * -(-result[1] // M)
    return tuple(divided(count, count * T * T * multiplications / 40))


def _run(shares: list[_Share], arrays: Sequence[Array], own: Sequence[Array] = ()) -> None:
    """Let each thread do its share: with ``arrays``, memory, parts of its ``own`` arrays, numbered in this order."""
    threads = []
    for k, (plan, sizes, written) in enumerate(shares):
        memory = [scratch(f"winograd {part} {k}", (size,), np.float32) for part, size in enumerate(sizes)]
        for part, (columns, spans) in zip(memory, written):
            for room, (first, last) in zip(part.reshape(len(spans), T, columns, -1), spans):
                room[:, :first] = room[:, last:] = 0
        threads.append(plan.at([address(a) for a in (*arrays, *memory, *[a[k] for a in own])]))
    call_in_sequence(threads)


_X, _ZEROS = map(somewhere, (1, 2))  # the arrays that all plans refer to


def _rows(count: int, size: int, places: Any, step: int | None = None) -> Matrices:
    """Rows of ``size`` numbers, ``step`` bytes apart."""
    return Matrices((1, count, size), (0, 4 * size if step is None else step, 4), places)


def _beside(place: Any, count: int, size: int, block: int, line: int) -> list[Matrices]:
    """For each of ``count`` columns its ``size`` numbers in each of 6 rows, of which one has ``line`` columns.

    Numbers of one column and the next are ``block`` bytes apart.
    """
    return [_rows(T, size, place + block * c, block * line) for c in range(count)]


def _matrices(rows: int, columns: int, place: int) -> Matrices:
    """36 of them."""
    return Matrices((T * T, rows, columns), (4 * rows * columns, 4 * columns, 4), place)


def _transformed(tiles: _Tiles, image: Sizes, line: int, before: Sizes, room: int, out: Any,
                 block: int = 0) -> list[Call]:  # fmt: skip
    """The calls that transform tiles of the image, whose rows are ``line`` bytes long, to ``out``."""
    pixel, (first, last) = image[2] * image[3], (tiles.first, tiles.last)
    top, left = tiles.rows * M - before[0], tiles.columns * M - before[1]
    calls = []
    if first < last:
        size = (last - first) * pixel
        start = _X + tiles.samples * image[0] * line + (left + first) * 4 * pixel
        given = [_rows(1, size, np.where((top + r >= 0) & (top + r < image[0]), start + (top + r) * line, _ZEROS))
                 for r in range(T)]  # fmt: skip
        found = [_rows(1, size, room + 4 * pixel * (r * T + first)) for r in range(T)]
        calls.append(_to_input.machine_call(given, found))
    into = _beside(out, T, pixel, block or 4 * pixel, T)
    return [*calls, _to_input.machine_call(_beside(room, T, pixel, 4 * pixel, T), into)]


def _of_result(tiles: _Tiles, result: Sizes, place: int, line: int, outside: int) -> list[Matrices]:
    """Where the four rows of tiles of the result at ``place`` are; beyond its last row, ``outside``."""
    pixel = result[2] * result[3]
    start = place + tiles.samples * result[0] * line + tiles.columns * M * 4 * pixel
    rows = [tiles.rows * M + r for r in range(M)]
    return [_rows(tiles.wide, pixel, np.where(row < result[0], start + row * line, outside)) for row in rows]


# ------------------------------------------------------------------------------------ weights


def transformed_weight(w: Array, adjoint: bool = False) -> Array:
    """:func:`.winograd.transformed_weight`: (O, C, 3, 3) -> (36, O, C), or for the adjoint (36, C, O).

    It is a product for each channel, stored as (C, 36, O).
    """
    features, channels = w.shape[:2]
    if features % x86.LANES:
        return winograd.transformed_weight(w, adjoint).reshape(T * T, -1, features if adjoint else channels)
    taps = transposed(w.reshape(1, features, -1)).reshape(channels, 9, features)
    u: Array = np.empty((channels, T * T, features), np.float32)
    _each(WEIGHT[:, ::-1] if adjoint else WEIGHT, taps, u)
    return u.swapaxes(0, 1) if adjoint else u.transpose(1, 2, 0)


def taps_of(transformed: Array) -> Array:
    """The adjoint of :func:`transformed_weight`: (36, O, C) -> (O, C, 3, 3); a product for each feature."""
    features, channels = transformed.shape[1:]
    taps: Array = np.empty((features, 9, channels), np.float32)
    _each(WEIGHT.T, transformed.swapaxes(0, 1), taps)
    return transposed(taps).reshape(features, channels, 3, 3)


def _each(a: Array, b: Array, out: Array) -> None:
    """``out[i] = a @ b[i]``, shared among the threads."""
    schedules = []
    for start, stop in divided(len(b), out.size * a.shape[1] / 40):
        given, found = (Matrices((stop - start, *x.shape[1:]), x.strides, address(x[start:])) for x in (b, out))
        same = Matrices((stop - start, *a.shape), (0, *a.strides), address(a))
        schedules.append(scheduled([product_call(same, given, found, fresh=True)], 1))
    call_in_sequence(schedules)


# ------------------------------------------------------------------------------------ forward

_U, _BIAS, _OUT, _ROOM, _INPUT, _PRODUCTS, _COLUMNS, _NOWHERE = map(somewhere, range(3, 11))


def convolve(x: Array, u: Array, bias: Array | None, before: Sizes, out: Array) -> None:
    """:func:`.winograd.convolve` of images that :func:`handles` allows."""
    channels, features, n = x.shape[2], out.shape[2], x.shape[3]
    shared = _shared(out.shape, channels * features * n)
    zeros, lines = np.zeros((T, channels, n), np.float32), (x.strides[0], out.strides[0])
    shares = _forward(x.shape, out.shape, lines, u.strides, before, shared, bias is not None)
    _run(shares, [x, zeros, u, zeros if bias is None else np.ascontiguousarray(bias), out])


@lru_cache(maxsize=32)
def _forward(image: Sizes, result: Sizes, lines: tuple[int, int], u_strides: Sizes, before: Sizes,
             shared: tuple[Span, ...], has_bias: bool) -> list[_Share]:  # fmt: skip
    channels, features, n = image[2], *result[2:]
    shares = []
    for own in _tiles(image, result, before, shared):
        schedules = []
        for k, tiles in enumerate(own):
            room = _ROOM + k * 4 * T * T * channels * n
            schedules.append(scheduled([
                *_transformed(tiles, image, lines[0], before, room, _INPUT),
                product_call(Matrices((T * T, features, channels), u_strides, _U), _matrices(channels, n, _INPUT),
                             _matrices(features, n, _PRODUCTS), fresh=True),
                *_biased(features, n, _rows(features, 1, _BIAS), has_bias),
                *_transformed_back(tiles, result, lines[1], _PRODUCTS),
            ], len(tiles.rows)))  # fmt: skip
        sizes = len(own) * T * T * channels, T * T * channels, T * T * features, T * M * features, M * features
        shares.append(_Share(Plan(schedules), [size * n for size in sizes], [_written(own)]))
    return shares


def _written(own: list[_Tiles]) -> tuple[int, list[Span]]:
    return T, [(tiles.first, tiles.last) for tiles in own]


def _biased(rows: int, columns: int, bias: Matrices, has_bias: bool) -> list[Call]:
    """One place in a tile is spread evenly over the results: there the bias is added."""
    middle = _rows(rows, columns, _PRODUCTS + (T + 1) * 4 * rows * columns)
    return [added.machine_call([middle, bias], [middle])] if has_bias else []


def _transformed_back(tiles: _Tiles, result: Sizes, line: int, products: Any, block: int = 0) -> list[Call]:
    """The calls that transform the products of tiles back to the result, whose rows are ``line`` bytes long."""
    pixel = result[2] * result[3]
    given = [_rows(tiles.wide, pixel, _COLUMNS + 4 * pixel * M * r) for r in range(T)]
    return [_to_output.machine_call(_beside(products, T, pixel, block or 4 * pixel, T),
                                    _beside(_COLUMNS, M, pixel, 4 * pixel, M)),
            _to_output.machine_call(given, _of_result(tiles, result, _OUT, line, _NOWHERE))]  # fmt: skip


# ------------------------------------------------------------------------ the weight's gradient

_G, _X_ROOM, _G_ROOM, _TURNED, _GRADIENT, _SUMS = map(somewhere, range(3, 9))


def convolve_weight(g: Array, x: Array, before: Sizes) -> Array:
    """:func:`.winograd.convolve_weight` of images that :func:`handles_weight` allows.

    So that the sums over samples are products of matrices, each pixel of the image is turned around: (H, W, N, C).
    """
    channels, features, n = x.shape[2], g.shape[2], x.shape[3]
    turned = transposed(x.reshape(-1, channels, n)).reshape(*x.shape[:2], n, channels)
    shares = _backward(turned.shape, g.shape, g.strides[0], before, _shared(g.shape, channels * features * n))
    zeros = np.zeros(max(T * channels, M * features) * n, np.float32)
    sums = np.zeros((len(shares), T * T, features, channels), np.float32)
    _run(shares, [turned, zeros, g], [sums])
    return taps_of(np.add.reduce(sums, axis=0))


@lru_cache(maxsize=32)
def _backward(image: Sizes, result: Sizes, g_line: int, before: Sizes, shared: tuple[Span, ...]) -> list[_Share]:
    (_, width, n, channels), features = image, result[2]
    pixel, line = features * n, 4 * width * n * channels
    shares = []
    for own in _tiles(image, result, before, shared):
        schedules = []
        for k, tiles in enumerate(own):
            room, g_room = _X_ROOM + k * 4 * T * T * channels * n, _G_ROOM + k * 4 * T * M * pixel
            found = [_rows(1, tiles.wide * pixel, g_room + 4 * pixel * M * r) for r in range(T)]
            given = [rows._replace(shape=found[0].shape) for rows in _of_result(tiles, result, _G, g_line, _ZEROS)]
            schedules.append(scheduled([
                *_transformed(tiles, image, line, before, room, _TURNED),
                _to_gradient.machine_call(given, found),
                _to_gradient.machine_call(_beside(g_room, M, pixel, 4 * pixel, M),
                                          _beside(_GRADIENT, T, pixel, 4 * pixel, T)),
                product_call(_matrices(features, n, _GRADIENT), _matrices(n, channels, _TURNED),
                             _matrices(features, channels, _SUMS)),
            ], len(tiles.rows)))  # fmt: skip
        sizes = len(own) * T * T * channels, len(own) * T * M * features, T * T * channels, T * T * features
        written = [_written(own), (M, [(0, tiles.wide) for tiles in own])]
        shares.append(_Share(Plan(schedules), [size * n for size in sizes], written))
    return shares


# ------------------------------------------------------------------------------------ few images


def handles_few(x: Array, w: Array) -> bool:
    """Whether :func:`convolve_few` is for images (N, C, H, W), and worth the transformation of the weight."""
    fits = not (x.shape[1] % x86.LANES or len(w) % x86.LANES) and x.size >= _PIXELS * x.shape[1]
    return fits and x.dtype == w.dtype == np.float32 and machine_code_works()


def convolve_few(x: Array, w: Array, bias: Array | None, before: Sizes, out: Sizes) -> Array:
    """Cross-correlation of ``x`` (N, C, H, W) with ``w`` (O, C, 3, 3): (N, O, *out).

    There are too few samples to be computed side by side: the channels are, of pixels as (N, H, W, C). So each thread
    transforms many tiles, and then multiplies them.
    """
    (n, channels, height, width), features = x.shape, len(w)
    image, result = (height, width, channels, 1), (*out, features, 1)
    y: Array = np.empty((n, prod(out), features), np.float32)
    zeros, u = np.zeros(T * channels, np.float32), transformed_weight(w)
    shares = _few(n, image, result, u.strides, before, _shared(result, channels * features, n), bias is not None)
    bias = zeros if bias is None else np.ascontiguousarray(bias)
    _run(shares, [transposed(x.reshape(n, channels, -1)), zeros, u, bias, y])
    return transposed(y).reshape(n, features, *out)


@lru_cache(maxsize=32)
def _few(images: int, image: Sizes, result: Sizes, u_strides: Sizes, before: Sizes, shared: tuple[Span, ...],
         has_bias: bool) -> list[_Share]:  # fmt: skip
    channels, features = image[2], result[2]
    u = Matrices((T * T, features, channels), u_strides, _U).T
    shares = []
    for own in _tiles(image, result, before, shared, images):
        schedules = []
        most = max(1, _TRANSFORMED // (T * T * (channels + features)))
        for portion in _portions(own, most):
            count, done = sum([len(tiles.rows) for _, tiles in portion]), 0
            back = []
            for k, tiles in portion:
                slots = np.arange(done, done := done + len(tiles.rows))
                room, into = _ROOM + 4 * k * T * T * channels, _INPUT + 4 * slots * channels
                calls = _transformed(tiles, image, 4 * image[1] * channels, before, room, into, 4 * count * channels)
                schedules.append(scheduled(calls, len(slots)))
                products = _PRODUCTS + 4 * slots * features
                calls = _transformed_back(tiles, result, 4 * result[1] * features, products, 4 * count * features)
                back.append(scheduled(calls, len(slots)))
            schedules.append(scheduled([
                product_call(_matrices(count, channels, _INPUT), u, _matrices(count, features, _PRODUCTS), fresh=True),
                *_biased(count, features, _rows(count, features, _BIAS, 0), has_bias),
            ], 1))  # fmt: skip
            schedules += back
        most = min(most, sum([len(tiles.rows) for tiles in own]))
        sizes = [len(own) * T * T * channels, most * T * T * channels, most * T * T * features, T * M * features,
                 M * features]  # fmt: skip
        shares.append(_Share(Plan(schedules), sizes, [_written(own)]))
    return shares
