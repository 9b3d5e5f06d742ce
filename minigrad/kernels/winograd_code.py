"""Winograd's algorithm (:mod:`.winograd`) in machine code, tile by tile, so that a tile stays in the cache.

Each thread makes the same few calls for each of its tiles: two transform the tile, one multiplies 36 matrices, two
transform the products back. What those calls are given is planned once for images of a shape. Tiles at the edge are
planned by themselves: their rows beyond it are zeros, or are written to memory that nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..memory import Array
from . import assembler as x86
from .arithmetic import added
from .assembler import address
from .calls import Call, Matrices, Plan, Schedule, call_in_sequence, scheduled, somewhere
from .few_rows import product_call
from .fused import fused, machine_code_works
from .threads import divided, scratch
from .winograd import INPUT, OUTPUT, M, T

Sizes = tuple[int, ...]

# The arrays that a plan refers to; those from ROWS on belong to a thread.
_X, _U, _BIAS, _OUT, _ZEROS, _ROWS, _INPUT, _PRODUCTS, _COLUMNS, _NOWHERE = map(somewhere, range(1, 11))


def _transformation(matrix: Array) -> fused:
    """The products of a small matrix with given rows."""
    rows = [[(c, k) for k, c in enumerate(row) if c] for row in matrix.tolist()]

    def transformed(*given: Array) -> tuple[Array, ...]:
        return tuple(sum([given[k] * c for c, k in row[1:]], start=given[row[0][1]] * row[0][0]) for row in rows)

    return fused(transformed)


_to_input, _to_output = map(_transformation, (INPUT, OUTPUT))


def handles(*arrays: Array) -> bool:
    """Whether images (H, W, C, N) are what this is for."""
    return machine_code_works() and all(
        a.dtype == np.float32 and not a.shape[3] % x86.LANES and a[0].flags.c_contiguous for a in arrays
    )  # fmt: skip


def convolve(x: Array, u: Array, bias: Array | None, before: Sizes, out: Array) -> None:
    """:func:`.winograd.convolve` of images that :func:`handles` allows."""
    channels, features, n = x.shape[2], out.shape[2], x.shape[3]
    tiles = -(-out.shape[0] // M) * -(-out.shape[1] // M)
    shared = tuple(divided(tiles, tiles * T * T * channels * features * n / 40))
    plan = _plan(x.shape, x.strides[0], out.shape, out.strides[0], before, shared, bias is not None)
    column = np.zeros(1, np.float32) if bias is None else np.ascontiguousarray(bias)
    zeros = np.zeros((T, channels, n), np.float32)
    threads = []
    for k, (own, kinds) in enumerate(plan):
        sizes = (kinds * T * T * channels * n, T * T * channels * n, T * T * features * n, T * M * features * n,
                 M * features * n)  # fmt: skip
        rooms = [scratch(f"winograd {part} {k}", (size,), np.float32) for part, size in enumerate(sizes)]
        rooms[0][...] = 0
        threads.append(own.at([address(a) for a in (x, u, column, out, zeros, *rooms)]))
    call_in_sequence(threads)


@lru_cache(maxsize=64)
def _plan(image: Sizes, x_row: int, result: Sizes, out_row: int, before: Sizes, shared: Sequence[tuple[int, int]],
          has_bias: bool) -> list[tuple[Plan, int]]:  # fmt: skip
    """The calls of each thread, and for how many kinds of columns of tiles."""
    (height, width, channels, n), (rows, columns, features, _) = image, result
    kinds: dict[tuple[int, int, int], list[int]] = {}  # columns of tiles by where the image begins and ends
    for j in range(-(-columns // M)):
        left = j * M - before[1]
        kind = max(0, -left), min(T, width - left), min(M, columns - j * M)
        kinds.setdefault(kind, []).append(j)
    of_pixel, of_result = 4 * channels * n, 4 * features * n
    tile_rows, total = -(-rows // M), shared[-1][1]
    plan: list[list[Schedule]] = [[] for _ in shared]
    for (first, last, wide), tile_columns in kinds.items():
        tiles = np.stack(np.meshgrid(range(tile_rows), tile_columns, indexing="ij"), -1).reshape(-1, 2)
        for k, (start, stop) in enumerate(shared):
            i, j = tiles[len(tiles) * start // total : len(tiles) * stop // total].T
            if not len(i):
                continue
            top, left = i * M - before[0], j * M - before[1]
            room = _ROWS + len(plan[k]) * T * T * of_pixel

            def image_row(r: int) -> Matrices:
                """Where a tile's row of the image is, or zeros are."""
                inside = (top + r >= 0) & (top + r < height)  # noqa: B023
                places = np.where(inside, _X + (top + r) * x_row + (left + first) * of_pixel, _ZEROS)  # noqa: B023
                return _rows(1, (last - first) * channels * n, places)  # noqa: B023

            def result_row(r: int) -> Matrices:
                inside = i * M + r < rows  # noqa: B023
                places = np.where(inside, _OUT + (i * M + r) * out_row + j * M * of_result, _NOWHERE)  # noqa: B023
                return _rows(wide, features * n, places)  # noqa: B023

            def parts(place: int, size: int, count: int, step: int, down: int) -> list[Matrices]:
                return [_rows(T, size, place + c * step, down) for c in range(count)]

            wide_row = T * of_pixel
            met = last > first
            calls = [
                _to_input.machine_call([image_row(r) for r in range(T)], [
                    _rows(1, (last - first) * channels * n, room + r * wide_row + first * of_pixel) for r in range(T)
                ])
            ] if met else []
            plan[k].append(scheduled([
                *calls,
                _to_input.machine_call(parts(room, channels * n, T, of_pixel, wide_row),
                                       parts(_INPUT, channels * n, T, of_pixel, wide_row)),
                product_call(Matrices((T * T, features, channels), (4 * features * channels, 4 * channels, 4), _U),
                             Matrices((T * T, channels, n), (of_pixel, 4 * n, 4), _INPUT),
                             Matrices((T * T, features, n), (of_result, 4 * n, 4), _PRODUCTS), fresh=True),
                *_bias(features, n, has_bias),
                _to_output.machine_call(parts(_PRODUCTS, features * n, T, of_result, T * of_result),
                                        parts(_COLUMNS, features * n, M, of_result, M * of_result)),
                _to_output.machine_call([_rows(wide, features * n, _COLUMNS + r * M * of_result) for r in range(T)],
                                        [result_row(r) for r in range(M)]),
            ], len(i)))  # fmt: skip
    return [(Plan(schedules), len(schedules)) for schedules in plan if schedules]


def _rows(count: int, size: int, places: Any, step: int | None = None) -> Matrices:
    """Rows of ``size`` numbers, ``step`` bytes apart."""
    return Matrices((1, count, size), (0, 4 * size if step is None else step, 4), places)


def _bias(features: int, n: int, has_bias: bool) -> list[Call]:
    """One place in a tile is spread evenly over the results: there the bias is added."""
    middle = _rows(features, n, _PRODUCTS + (T + 1) * 4 * features * n)
    return [added.machine_call([middle, _rows(features, 1, _BIAS)], [middle])] if has_bias else []
