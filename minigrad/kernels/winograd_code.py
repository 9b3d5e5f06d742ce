"""Winograd's algorithm (:mod:`.winograd`) in machine code, tile by tile, so that a tile stays in the cache.

Each thread makes the same few calls for each of its tiles: two transform the tile, one multiplies 36 matrices, two
transform the products back. Where weights are large, or images few, it does so for some tiles at a time. What the calls
are given is planned once for images of a shape. Tiles at the edge are planned by themselves: their rows beyond it are
zeros, or are written to memory that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import zip_longest
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86
from . import winograd
from .arithmetic import added
from .calls import Call, Matrices, Parts, Plan, call_planned, scheduled, somewhere, zeros
from .few_rows import product_call
from .fused import fused, machine_code_works
from .threads import divided
from .turning import transposed
from .winograd import INPUT, OUTPUT, WEIGHT, M, T

FEW = 16  # channels or features below which direct sums are faster
_LARGEST = 1 << 14  # features times channels of a weight that stays in the cache with a tile, as do its gradient's sums
_TILES = 1 << 22  # numbers of tiles that are transformed before they are multiplied with larger ones
_GAP = 64  # bytes; else pixels lie a power of two apart, and compete for a few places in the cache
_TRANSFORMED = 1 << 20  # numbers of few images and their results that are transformed at a time
_PIXELS = 250  # of few images, for which it is worth to transform the weight

_MIDDLE = T + 1  # the place in a tile that is spread evenly over the results

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
    return handles(g, x) and x.shape[2] % x86.LANES == 0


class _Tiles(NamedTuple):
    """Some tiles of a thread that are alike: between ``first`` and ``last`` of their columns there is an image."""

    samples: Array  # which image each is of, where there are several
    rows: Array  # which row of tiles it is in
    columns: Array
    first: int
    last: int
    wide: int  # columns of the result


def _portions(own: list[_Tiles], most: int) -> list[list[_Tiles]]:
    """At most so many tiles at a time."""
    portions: list[list[_Tiles]] = [[]]
    space = most
    for tiles in own:
        start = 0
        while start < len(tiles.rows):
            if not space:
                portions.append([])
                space = most
            part = slice(start, start + space)
            some = tiles._replace(samples=tiles.samples[part], rows=tiles.rows[part], columns=tiles.columns[part])
            portions[-1].append(some)
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


_X, _ZEROS = map(somewhere, (1, 2))  # the arrays that all plans refer to


def _rows(count: int, size: int, places: Any, step: int | None = None) -> Matrices:
    """Rows of ``size`` numbers, ``step`` bytes apart."""
    return Matrices((1, count, size), (0, 4 * size if step is None else step, 4), places)


class _Pixels(NamedTuple):
    """Memory of a thread for the pixels of a tile: 6 rows."""

    place: Any
    size: int  # numbers of a pixel
    step: int  # bytes from one to the next
    columns: int  # of each row

    def row(self, r: int, first: int, last: int) -> Matrices:
        """The pixels of a row from column ``first`` to ``last``."""
        return _rows(last - first, self.size, self.place + self.step * (r * self.columns + first), self.step)

    def by_column(self, first: int = 0, last: int = T) -> list[Matrices]:
        """The pixels of each column; before ``first`` and from ``last`` on, zeros."""
        return [
            _rows(T, self.size, *((self.place + self.step * c, self.step * self.columns) if first <= c < last
                                  else (_ZEROS, 0)))
            for c in range(self.columns)
        ]  # fmt: skip

    def of_each(self, count: int, rows: int, k: int) -> Matrices:
        """The pixel at place ``k`` of each of ``count`` tiles that lie one after the other, as matrices."""
        size = self.size // count
        return Matrices((count, rows, size // rows), (4 * size, 4 * size // rows, 4), self.place + self.step * k)

    def matrices(self, rows: int) -> Matrices:
        """The pixels as matrices."""
        length = self.size // rows
        return Matrices((T * self.columns, rows, length), (self.step, 4 * length, 4), self.place)


def _room(memory: Parts, *kinds: tuple[int, int]) -> list[_Pixels]:
    """Memory for pixels of so many numbers, in so many columns; for one kind of them at a time."""
    steps = [4 * size + _GAP for size, _ in kinds]
    place = memory.take(max([T * columns * step for step, (_, columns) in zip(steps, kinds)]))
    return [_Pixels(place, size, step, columns) for step, (size, columns) in zip(steps, kinds)]


def _transformed(tiles: _Tiles, image: Sizes, line: int, before: Sizes, room: _Pixels, out: _Pixels) -> list[Call]:
    """The calls that transform tiles of the image, whose rows are ``line`` bytes long, to ``out``."""
    pixel, (first, last) = image[2] * image[3], (tiles.first, tiles.last)
    top, left = tiles.rows * M - before[0], tiles.columns * M - before[1]
    calls = []
    if first < last:
        start = _X + tiles.samples * image[0] * line + (left + first) * 4 * pixel
        places = [np.where((top + r >= 0) & (top + r < image[0]), start + (top + r) * line, _ZEROS) for r in range(T)]
        given = [_rows(last - first, pixel, place) for place in places]
        calls.append(_to_input.machine_call(given, [room.row(r, first, last) for r in range(T)]))
    return [*calls, _to_input.machine_call(room.by_column(first, last), out.by_column())]


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
    _each(WEIGHT[:, ::-1] if adjoint else WEIGHT, taps[None], u)
    return u.swapaxes(0, 1) if adjoint else u.transpose(1, 2, 0)


def taps_of(sums: Array) -> Array:
    """The adjoint of :func:`transformed_weight` of the sum of several (36, O, C): a product for each feature."""
    features, channels = sums.shape[2:]
    taps: Array = np.empty((features, 9, channels), np.float32)
    _each(WEIGHT.T, sums.swapaxes(1, 2), taps)
    return transposed(taps).reshape(features, channels, 3, 3)


def _each(a: Array, b: Array, out: Array) -> None:
    """``out[i] = sum(a @ b[:, i])``, shared among the threads."""
    call_planned(_each_plan, [a, b, out], [], tuple(divided(len(out), b.size * len(a) / 40)))


@lru_cache(maxsize=32)
def _each_plan(layouts: Any, shared: tuple[Span, ...]) -> list[Plan]:
    (a_shape, a_strides), (b_shape, b_strides), (shape, strides) = layouts
    plans = []
    for start, stop in shared:
        same = Matrices((stop - start, *a_shape), (0, *a_strides), somewhere(1))
        found = Matrices((stop - start, *shape[1:]), strides, somewhere(3) + start * strides[0])
        calls = []
        for k in range(b_shape[0]):
            place = somewhere(2) + k * b_strides[0] + start * b_strides[1]
            given = Matrices((stop - start, *b_shape[2:]), b_strides[1:], place)
            calls.append(product_call(same, given, found, fresh=not k))
        plans.append(Plan([scheduled(calls, 1)]))
    return plans


# ------------------------------------------------------------------------------------ forward

_U, _BIAS, _OUT = map(somewhere, range(3, 6))


def convolve(x: Array, u: Array, bias: Array | None, before: Sizes, out: Array) -> None:
    """:func:`.winograd.convolve` of images that :func:`handles` allows."""
    channels, features, n = x.shape[2], out.shape[2], x.shape[3]
    nothing, shared = zeros(T * channels * n), _shared(out.shape, channels * features * n)
    given = nothing if bias is None else np.ascontiguousarray(bias)
    call_planned(_forward, [x, nothing, u, given, out], [], before, shared, bias is not None)


@lru_cache(maxsize=32)
def _forward(layouts: Any, before: Sizes, shared: tuple[Span, ...], has_bias: bool) -> list[Plan]:
    (image, (x_line, *_)), _, (_, u_strides), _, (result, (line, *_)) = layouts
    channels, (features, n) = image[2], result[2:]

    def by_place(count: int, tiles: _Pixels, products: _Pixels) -> list[Call]:
        """The products of some tiles: one place after the other, whose part of the weight stays in the cache."""
        calls = []
        for k in range(T * T):
            u = Matrices((count, features, channels), (0, *u_strides[1:]), _U + k * u_strides[0])
            calls.append(product_call(u, tiles.of_each(count, channels, k), products.of_each(count, features, k),
                                      fresh=True))  # fmt: skip
        bias = Matrices((count, features, 1), (0, 4, 4), _BIAS)
        return calls + _biased(products.of_each(count, features, _MIDDLE), bias, has_bias)

    plans = []
    for own in _tiles(image, result, before, shared):
        if features * channels > _LARGEST:
            most = _TILES // (T * T * n * (channels + features) * len(shared))
            plans.append(_in_portions(own, image, result, (x_line, line), before, most, by_place))
            continue
        memory = Parts()
        room, products = _room(memory, (channels * n, T), (features * n, T))
        tile, columns = _room(memory, (channels * n, T), (features * n, M))
        outside = memory.take(4 * M * features * n)
        schedules = []
        for tiles in own:
            schedules.append(scheduled([
                *_transformed(tiles, image, x_line, before, room, tile),
                product_call(Matrices((T * T, features, channels), u_strides, _U), tile.matrices(channels),
                             products.matrices(features), fresh=True),
                *_biased(products.of_each(1, features, _MIDDLE), _rows(features, 1, _BIAS), has_bias),
                *_transformed_back(tiles, result, line, products, columns, outside),
            ], len(tiles.rows)))  # fmt: skip
        plans.append(Plan(schedules, memory))
    return plans


def _biased(middle: Matrices, bias: Matrices, has_bias: bool) -> list[Call]:
    """The call that adds the bias, if there is one, to the products of the place in the middle."""
    return [added.machine_call([middle, bias], [middle])] if has_bias else []


def _in_portions(own: list[_Tiles], image: Sizes, result: Sizes, lines: tuple[int, int], before: Sizes, most: int,
                 multiplied: Callable[[int, _Pixels, _Pixels], list[Call]]) -> Plan:  # fmt: skip
    """The plan of a thread that transforms up to ``most`` tiles, multiplies them all, and transforms them back.

    ``multiplied`` gives the calls for a number of tiles and their products, which lie one after the other.
    """
    size, size_of_result = prod(image[2:]), prod(result[2:])
    portions = _portions(own, max(1, most))
    memory, most = Parts(), max([sum([len(tiles.rows) for tiles in portion]) for portion in portions])
    room, columns = _room(memory, (size, T), (size_of_result, M))
    all_tiles, products = *_room(memory, (most * size, T)), *_room(memory, (most * size_of_result, T))
    outside = memory.take(4 * M * size_of_result)
    schedules = []
    for portion in portions:
        done, back = 0, []
        for tiles in portion:
            slots = np.arange(done, done := done + len(tiles.rows))
            tile = all_tiles._replace(place=all_tiles.place + 4 * slots * size, size=size)
            product = products._replace(place=products.place + 4 * slots * size_of_result, size=size_of_result)
            schedules.append(scheduled(_transformed(tiles, image, lines[0], before, room, tile), len(slots)))
            calls = _transformed_back(tiles, result, lines[1], product, columns, outside)
            back.append(scheduled(calls, len(slots)))
        calls = multiplied(done, all_tiles._replace(size=done * size), products._replace(size=done * size_of_result))
        schedules += [scheduled(calls, 1), *back]
    return Plan(schedules, memory)


def _transformed_back(tiles: _Tiles, result: Sizes, line: int, products: _Pixels, columns: _Pixels,
                      outside: int) -> list[Call]:  # fmt: skip
    """The calls that transform the products of tiles back to the result, whose rows are ``line`` bytes long."""
    given = [columns.row(r, 0, tiles.wide) for r in range(T)]
    return [_to_output.machine_call(products.by_column(), columns.by_column()),
            _to_output.machine_call(given, _of_result(tiles, result, _OUT, line, outside))]  # fmt: skip


# ------------------------------------------------------------------------ the weight's gradient

_G, _SUMS = map(somewhere, (3, 4))


def convolve_weight(g: Array, x: Array, before: Sizes) -> Array:
    """:func:`.winograd.convolve_weight` of images that :func:`handles_weight` allows.

    So that the sums over samples are products of matrices, each pixel of the image is turned around: (H, W, N, C).
    """
    channels, features, n = x.shape[2], g.shape[2], x.shape[3]
    turned = transposed(x.reshape(-1, channels, n)).reshape(*x.shape[:2], n, channels)
    shared = _shared(g.shape, channels * features * n)
    given = turned, zeros(max(T * channels, M * features) * n), g
    if features * channels > _LARGEST:
        return taps_of(_products_by_place(given, before, shared))
    sums = np.zeros((len(shared), T * T, features, channels), np.float32)
    call_planned(_backward, given, [sums], before, shared)
    return taps_of(sums)


def _sums(features: int, channels: int) -> Matrices:
    return Matrices((T * T, features, channels), (4 * features * channels, 4 * channels, 4), _SUMS)


@lru_cache(maxsize=32)
def _backward(layouts: Any, before: Sizes, shared: tuple[Span, ...]) -> list[Plan]:
    (image, (x_line, *_)), _, (result, (line, *_)), _ = layouts
    (n, channels), features = image[2:], result[2]
    plans = []
    for own in _tiles(image, result, before, shared):
        memory = Parts()
        room, columns = _room(memory, (channels * n, T), (features * n, M))
        tile, gradient = *_room(memory, (channels * n, T)), *_room(memory, (features * n, T))
        schedules = []
        for tiles in own:
            schedules.append(scheduled([
                *_transformed(tiles, image, x_line, before, room, tile),
                *_transformed_gradient(tiles, result, line, columns, gradient),
                product_call(gradient.matrices(features), tile.matrices(n), _sums(features, channels)),
            ], len(tiles.rows)))  # fmt: skip
        plans.append(Plan(schedules, memory))
    return plans


def _transformed_gradient(tiles: _Tiles, result: Sizes, line: int, columns: _Pixels, gradient: _Pixels) -> list[Call]:
    given = _of_result(tiles, result, _G, line, _ZEROS)
    return [_to_gradient.machine_call(given, [columns.row(r, 0, tiles.wide) for r in range(T)]),
            _to_gradient.machine_call(columns.by_column(0, tiles.wide), gradient.by_column())]  # fmt: skip


_X_TILES, _G_TILES = map(somewhere, (4, 5))  # each place of all tiles, one after the other


def _products_by_place(given: tuple[Array, ...], before: Sizes, shared: tuple[Span, ...]) -> Array:
    """The sums, as (1, 36, O, C), of weights so large that only those of one place in a tile stay in the cache.

    So many tiles are transformed first, and then the threads share the places.
    """
    (n, channels), features = given[0].shape[2:], given[2].shape[2]
    most = max(1, _TILES // (T * T * n * (channels + features) * len(shared)))
    x_tiles, g_tiles = (
        np.empty((T * T, most * len(shared), n * size + _GAP // 4), np.float32) for size in (channels, features)
    )
    sums = np.empty((1, T * T, features, channels), np.float32)
    places = tuple(divided(T * T, T * T * n * channels * features * len(shared) / 40))
    for k, turn in enumerate(_turns(given[0].shape, given[2].shape, before, shared, most)):
        count = sum([len(tiles.rows) for portion in turn for tiles in portion])
        call_planned(_tiles_transformed, [*given, x_tiles, g_tiles], [], before, shared, most, k)
        call_planned(_tiles_multiplied, [x_tiles, g_tiles, sums], [], n, count, places, k == 0)
    return sums


@lru_cache(maxsize=32)
def _turns(image: Sizes, result: Sizes, before: Sizes, shared: tuple[Span, ...], most: int) -> list[Any]:
    """The tiles of each thread, ``most`` at a time."""
    return list(zip_longest(*[_portions(own, most) for own in _tiles(image, result, before, shared)], fillvalue=[]))


@lru_cache(maxsize=256)
def _tiles_transformed(layouts: Any, before: Sizes, shared: tuple[Span, ...], most: int, turn: int) -> list[Plan]:
    (image, (x_line, *_)), _, (result, (line, *_)), (_, x_steps), (_, g_steps) = layouts
    (n, channels), features = image[2:], result[2]
    plans, done = [], 0
    for portion in filter(None, _turns(image, result, before, shared, most)[turn]):
        memory = Parts()
        room, columns = _room(memory, (channels * n, T), (features * n, M))
        schedules = []
        for tiles in portion:
            slots = np.arange(done, done := done + len(tiles.rows))
            x_tile = _Pixels(_X_TILES + slots * x_steps[1], channels * n, x_steps[0], T)
            g_tile = _Pixels(_G_TILES + slots * g_steps[1], features * n, g_steps[0], T)
            schedules.append(scheduled([
                *_transformed(tiles, image, x_line, before, room, x_tile),
                *_transformed_gradient(tiles, result, line, columns, g_tile),
            ], len(slots)))  # fmt: skip
        plans.append(Plan(schedules, memory))
    return plans


@lru_cache(maxsize=256)
def _tiles_multiplied(layouts: Any, n: int, count: int, places: tuple[Span, ...], fresh: bool) -> list[Plan]:
    (_, x_steps), (_, g_steps), ((_, _, features, channels), (_, step, row, _)) = layouts
    plans = []
    for span in places:
        calls = []
        for place in range(*span):
            for first, last in ((0, 1), (1, count)) if fresh else ((0, count),):
                if first < last:
                    g = Matrices((last - first, features, n), (g_steps[1], 4 * n, 4),
                                 somewhere(2) + place * g_steps[0] + first * g_steps[1])  # fmt: skip
                    x = Matrices((last - first, n, channels), (x_steps[1], 4 * channels, 4),
                                 somewhere(1) + place * x_steps[0] + first * x_steps[1])  # fmt: skip
                    sums = Matrices((last - first, features, channels), (0, row, 4), somewhere(3) + place * step)
                    calls.append(product_call(g, x, sums, fresh=fresh and not first))
        plans.append(Plan([scheduled(calls, 1)]))
    return plans


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
    y: Array = np.empty((n, *out, features), np.float32)
    images = transposed(x.reshape(n, channels, -1)).reshape(n, height, width, channels)
    nothing, shared = zeros(T * channels), _shared((*out, features), channels * features, n)
    given = nothing if bias is None else np.ascontiguousarray(bias)
    call_planned(_few, [images, nothing, transformed_weight(w), given, y], [], before, shared, bias is not None)
    return transposed(y.reshape(n, -1, features)).reshape(n, features, *out)


@lru_cache(maxsize=32)
def _few(layouts: Any, before: Sizes, shared: tuple[Span, ...], has_bias: bool) -> list[Plan]:
    (image, (_, x_line, *_)), _, (_, u_strides), _, (result, (_, line, *_)) = layouts
    images, channels, features = image[0], image[3], result[3]
    image, result = (*image[1:], 1), (*result[1:], 1)
    u = Matrices((T * T, features, channels), u_strides, _U).T

    def multiplied(count: int, tiles: _Pixels, products: _Pixels) -> list[Call]:
        """The products of some tiles, whose channels are the rows of one matrix for each place."""
        middle, bias = products.of_each(1, count, _MIDDLE), _rows(count, features, _BIAS, 0)
        return [product_call(tiles.matrices(count), u, products.matrices(count), fresh=True),
                *_biased(middle, bias, has_bias)]  # fmt: skip

    most = _TRANSFORMED // (T * T * (channels + features))
    return [
        _in_portions(own, image, result, (x_line, line), before, most, multiplied)
        for own in _tiles(image, result, before, shared, images)
    ]
