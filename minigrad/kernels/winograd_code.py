"""Winograd's algorithm (:mod:`.winograd`) in machine code, tile by tile, so that a tile stays in the cache.

Each thread makes the same few calls for each of its tiles: two transform the tile, one multiplies 36 matrices, two
transform the products back. What those calls are given is planned once for images of a shape. Tiles at the edge are
planned by themselves: their rows beyond it are zeros, or are written to memory that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86
from .arithmetic import added
from .assembler import address
from .calls import Call, Matrices, Plan, Schedule, call_in_sequence, scheduled, somewhere
from .few_rows import product_call
from .fused import fused, machine_code_works
from .threads import divided, scratch
from .turning import transpose
from .winograd import INPUT, OUTPUT, M, T, taps_of

_LARGEST = 1 << 15  # features times channels for which the sums of the weight's gradient stay in the cache

Sizes = tuple[int, ...]
Shares = tuple[tuple[int, int], ...]
Kinds = list[tuple[int, int, int]]  # between which of its columns a tile has an image, and columns of the result


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
        a.dtype == np.float32 and not a.shape[3] % x86.LANES and a[0].flags.c_contiguous for a in arrays
    )  # fmt: skip


def handles_weight(g: Array, x: Array) -> bool:
    """Whether :func:`convolve_weight` is for these."""
    features, channels = g.shape[2], x.shape[2]
    return handles(g, x) and channels % x86.LANES == 0 and features * channels <= _LARGEST


class _Tiles(NamedTuple):
    """Some tiles of a thread that are alike: between ``first`` and ``last`` of their columns there is an image."""

    thread: int
    rows: Array  # which row of tiles each is in
    columns: Array
    first: int
    last: int
    wide: int  # columns of the result


def _clear(rooms: Array, kinds: Sequence[tuple[int, ...]]) -> None:
    """Write zeros to what lies beside the image in room for tiles (kinds, rows, columns, ...)."""
    for room, (first, last, *_) in zip(rooms, kinds):
        room[:, :first] = room[:, max(last, first) :] = 0


def _tiles(image: Sizes, result: Sizes, before: Sizes, shared: Shares) -> Iterator[_Tiles]:
    kinds: dict[tuple[int, int, int], list[int]] = {}
    for j in range(-(-result[1] // M)):
        left = j * M - before[1]
        kind = max(0, -left), min(T, image[1] - left), min(M, result[1] - j * M)
        kinds.setdefault(kind, []).append(j)
    total = shared[-1][1]
    for kind, columns in kinds.items():
        places = np.array([(i, j) for i in range(-(-result[0] // M)) for j in columns])
        for thread, (start, stop) in enumerate(shared):
            some = places[len(places) * start // total : len(places) * stop // total]
            if len(some):
                yield _Tiles(thread, *some.T, *kind)


def _shares(result: Sizes, multiplications: int) -> Shares:
    """The tiles of each thread, which take so many multiplications for each of 36 products."""
    count = -(-result[0] // M) * -(-result[1] // M)
    return tuple(divided(count, count * T * T * multiplications / 40))


def _rows(count: int, size: int, places: Any, step: int | None = None) -> Matrices:
    """Rows of ``size`` numbers, ``step`` bytes apart."""
    return Matrices((1, count, size), (0, 4 * size if step is None else step, 4), places)


def _beside(place: int, count: int, pixel: int, line: int, rows: int) -> list[Matrices]:
    """For each of ``count`` columns its pixels, of so many numbers, in some rows of so many pixels."""
    return [_rows(rows, pixel, place + 4 * pixel * c, 4 * pixel * line) for c in range(count)]


def _transformed(tiles: _Tiles, image: Sizes, line: int, before: Sizes, x: int, zeros: int, room: int,
                 out: int) -> list[Call]:  # fmt: skip
    """The calls that transform tiles of the image ``x``, whose rows are ``line`` bytes long, to ``out``."""
    pixel, (first, last) = image[2] * image[3], (tiles.first, tiles.last)
    top, left = tiles.rows * M - before[0], tiles.columns * M - before[1]
    calls = []
    if first < last:
        size = (last - first) * pixel
        start = x + (left + first) * 4 * pixel
        given = [_rows(1, size, np.where((top + r >= 0) & (top + r < image[0]), start + (top + r) * line, zeros))
                 for r in range(T)]  # fmt: skip
        found = [_rows(1, size, room + 4 * pixel * (r * T + first)) for r in range(T)]
        calls.append(_to_input.machine_call(given, found))
    return [*calls, _to_input.machine_call(_beside(room, T, pixel, T, T), _beside(out, T, pixel, T, T))]


# ------------------------------------------------------------------------------------ forward

# The arrays that the plan refers to; those from _ROOM on belong to a thread.
_X, _U, _BIAS, _OUT, _ZEROS, _ROOM, _INPUT, _PRODUCTS, _COLUMNS, _NOWHERE = map(somewhere, range(1, 11))


def convolve(x: Array, u: Array, bias: Array | None, before: Sizes, out: Array) -> None:
    """:func:`.winograd.convolve` of images that :func:`handles` allows."""
    channels, features, n = x.shape[2], out.shape[2], x.shape[3]
    shared = _shares(out.shape, channels * features * n)
    column = np.zeros(1, np.float32) if bias is None else np.ascontiguousarray(bias)
    zeros = np.zeros((T, channels, n), np.float32)
    given = [address(a) for a in (x, u, column, out, zeros)]
    threads = []
    plans = _forward(x.shape, x.strides[0], out.shape, out.strides[0], u.strides[1:], before, shared, bias is not None)
    for k, (plan, kinds) in enumerate(plans):
        sizes = len(kinds) * T * T * channels, T * T * channels, T * T * features, T * M * features, M * features
        rooms = [scratch(f"winograd {part} {k}", (size * n,), np.float32) for part, size in enumerate(sizes)]
        _clear(rooms[0].reshape(len(kinds), T, T, -1), kinds)
        threads.append(plan.at(given + [address(a) for a in rooms]))
    call_in_sequence(threads)


@lru_cache(maxsize=64)
def _forward(image: Sizes, x_line: int, result: Sizes, out_line: int, u_strides: tuple[int, int, int], before: Sizes,
             shared: Shares, has_bias: bool) -> list[tuple[Plan, int]]:  # fmt: skip
    """What each thread does, and for how many kinds of tiles."""
    channels, features, n = image[2], *result[2:]
    pixel = features * n  # of the result
    plans: list[list[Schedule]] = [[] for _ in shared]
    kinds: list[Kinds] = [[] for _ in shared]
    for tiles in _tiles(image, result, before, shared):
        plan = plans[tiles.thread]
        kinds[tiles.thread].append((tiles.first, tiles.last, tiles.wide))
        room = _ROOM + len(plan) * 4 * T * T * channels * n
        start = _OUT + tiles.columns * M * 4 * pixel
        found = [_rows(tiles.wide, pixel, np.where(row < result[0], start + row * out_line, _NOWHERE))
                 for row in (tiles.rows * M + r for r in range(M))]  # fmt: skip
        plan.append(scheduled([
            *_transformed(tiles, image, x_line, before, _X, _ZEROS, room, _INPUT),
            product_call(Matrices((T * T, features, channels), u_strides, _U), _matrices(channels, n, _INPUT),
                         _matrices(features, n, _PRODUCTS), fresh=True),
            *_bias(features, n, has_bias),
            _to_output.machine_call(_beside(_PRODUCTS, T, pixel, T, T), _beside(_COLUMNS, M, pixel, M, T)),
            _to_output.machine_call([_rows(tiles.wide, pixel, _COLUMNS + 4 * pixel * M * r) for r in range(T)], found),
        ], len(tiles.rows)))  # fmt: skip
    return [(Plan(plan), kind) for plan, kind in zip(plans, kinds) if plan]


def _matrices(rows: int, columns: int, place: int) -> Matrices:
    """36 of them."""
    return Matrices((T * T, rows, columns), (4 * rows * columns, 4 * columns, 4), place)


def _bias(features: int, n: int, has_bias: bool) -> list[Call]:
    """One place in a tile is spread evenly over the results: there the bias is added."""
    middle = _rows(features, n, _PRODUCTS + (T + 1) * 4 * features * n)
    return [added.machine_call([middle, _rows(features, 1, _BIAS)], [middle])] if has_bias else []


# ------------------------------------------------------------------------ the weight's gradient

_G, _GRADIENT, _G_ROOM, _SUMS = _U, _PRODUCTS, _COLUMNS, _NOWHERE


def convolve_weight(g: Array, x: Array, before: Sizes) -> Array:
    """:func:`.winograd.convolve_weight` of images that :func:`handles_weight` allows.

    So that the sums over samples are products of matrices, each pixel of the image is turned around: (H, W, N, C).
    """
    channels, features, n = x.shape[2], g.shape[2], x.shape[3]
    turned: Array = np.empty((*x.shape[:2], n, channels), np.float32)
    source, target = (a.reshape(-1, *a.shape[2:]) for a in (x, turned))
    if not transpose(source, target):
        np.copyto(target, source.swapaxes(1, 2))
    plans = _backward(turned.shape, g.shape, g.strides[0], before, _shares(g.shape, channels * features * n))
    zeros = np.zeros(max(T * channels, M * features) * n, np.float32)
    sums = np.zeros((len(plans), T, T, features, channels), np.float32)
    given = [address(a) for a in (turned, g, g, g, zeros)]
    threads = []
    for k, (plan, kinds) in enumerate(plans):
        sizes = len(kinds) * T * T * channels, T * T * channels, T * T * features, len(kinds) * T * M * features
        rooms = [scratch(f"winograd {part} {k}", (size * n,), np.float32) for part, size in enumerate(sizes)]
        _clear(rooms[0].reshape(len(kinds), T, T, -1), kinds)
        _clear(rooms[3].reshape(len(kinds), T, M, -1), [(0, wide) for *_, wide in kinds])
        threads.append(plan.at(given + [address(a) for a in (*rooms, sums[k])]))
    call_in_sequence(threads)
    return taps_of(np.add.reduce(sums, axis=0))


@lru_cache(maxsize=64)
def _backward(image: Sizes, result: Sizes, g_line: int, before: Sizes, shared: Shares) -> list[tuple[Plan, Kinds]]:
    (_, width, n, channels), features = image, result[2]
    pixel, line = features * n, 4 * width * n * channels
    plans: list[list[Schedule]] = [[] for _ in shared]
    kinds: list[Kinds] = [[] for _ in shared]
    for tiles in _tiles(image, result, before, shared):
        plan = plans[tiles.thread]
        kinds[tiles.thread].append((tiles.first, tiles.last, tiles.wide))
        room, g_room = _ROOM + len(plan) * 4 * T * T * channels * n, _G_ROOM + len(plan) * 4 * T * M * pixel
        start = _G + tiles.columns * M * 4 * pixel
        given = [_rows(1, tiles.wide * pixel, np.where(row < result[0], start + row * g_line, _ZEROS))
                 for row in (tiles.rows * M + r for r in range(M))]  # fmt: skip
        found = [_rows(1, tiles.wide * pixel, g_room + 4 * pixel * M * r) for r in range(T)]
        plan.append(scheduled([
            *_transformed(tiles, image, line, before, _X, _ZEROS, room, _INPUT),
            _to_gradient.machine_call(given, found),
            _to_gradient.machine_call(_beside(g_room, M, pixel, M, T), _beside(_GRADIENT, T, pixel, T, T)),
            product_call(_matrices(features, n, _GRADIENT), _matrices(n, channels, _INPUT),
                         _matrices(features, channels, _SUMS)),
        ], len(tiles.rows)))  # fmt: skip
    return [(Plan(plan), kind) for plan, kind in zip(plans, kinds) if plan]
