"""Pooling, resizing and pixel shuffling, against loops over every window."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.kernels import resize
from minigrad.kernels.pooling import Windows
from minigrad.ops import pooling as ops
from minigrad.ops.resize import resample
from minigrad.testing import floats
from nn import functional as F

from .spec import Case, Spec


def _numbers(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def _place(size: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> list[list[int]]:
    """For one dimension: the elements of each window, in order, also those in the padding."""
    count = (math.ceil if ceil_mode else math.floor)((size + 2 * p - d * (k - 1) - 1) / s) + 1
    if ceil_mode and (count - 1) * s >= size + p:
        count -= 1
    return [[o * s + i * d - p for i in range(k)] for o in range(count)]


def windows(n: int, shape: tuple[int, ...], kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
            ceil_mode: bool = False) -> list[list[list[int]]]:  # fmt: skip
    """For each dimension: the elements of each window."""
    kernel = _numbers(kernel_size, n)
    options = zip(shape[-n:], kernel, _numbers(stride or kernel, n), _numbers(padding, n), _numbers(dilation, n))
    return [_place(*o, ceil_mode) for o in options]


def each_window(n: int, x: np.ndarray, parts: list[list[list[int]]], find: Callable) -> np.ndarray:
    """``find(values of the last n dimensions, the elements of a window)`` for each window."""
    y = np.zeros((*x.shape[:-n], *map(len, parts)))
    for i in np.ndindex(y.shape):
        chosen = [part[o] for part, o in zip(parts, i[-n:])]
        places = [
            tuple(int(c) for c in place) for place in np.array(np.meshgrid(*chosen, indexing="ij")).reshape(n, -1).T
        ]
        y[i] = find(x[i[:-n]], places)
    return y


def _inside(values: np.ndarray, places: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [p for p in places if all(0 <= i < size for i, size in zip(p, values.shape))]


def _largest(values: np.ndarray, places: list[tuple[int, ...]]) -> tuple[int, ...]:
    return max(_inside(values, places), key=lambda p: values[p])  # of equal ones, the first


def maxima(n: int) -> Callable:
    def reference(x: np.ndarray, *args: Any, return_indices: bool = False, **options: Any) -> Any:
        parts = windows(n, x.shape, *args, **options)
        y = each_window(n, x, parts, lambda v, p: v[_largest(v, p)])
        if not return_indices:
            return y
        at = each_window(n, x, parts, lambda v, p: np.ravel_multi_index(_largest(v, p), v.shape))
        return y, at.astype(np.int64)

    return reference


def means(n: int) -> Callable:
    def reference(x: np.ndarray, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                  count_include_pad: bool = True, divisor_override: float | None = None) -> np.ndarray:  # fmt: skip
        def mean(values: np.ndarray, places: list[tuple[int, ...]]) -> float:
            inside = _inside(values, places)
            count = len(inside)
            if count_include_pad:
                sizes = zip(values.shape, _numbers(padding, n))
                limits = [size + p for size, p in sizes]
                count = len([p for p in places if all(i < limit for i, limit in zip(p, limits))])
            return sum(values[p] for p in inside) / (divisor_override or count)

        return each_window(n, x, windows(n, x.shape, kernel_size, stride, padding, 1, ceil_mode), mean)

    return reference


def _adaptive(x: np.ndarray, n: int, output_size: Any) -> list[list[list[int]]]:
    sizes = zip(x.shape[-n:], _numbers(output_size, n))
    return [
        [list(range(i * s // (o or s), -(-(i + 1) * s // (o or s)))) for i in range(s if o is None else o)]
        for s, o in sizes
    ]


def adaptive_means(n: int) -> Callable:
    return lambda x, o: each_window(n, x, _adaptive(x, n, o), lambda v, p: sum(v[i] for i in p) / len(p))


def adaptive_maxima(n: int) -> Callable:
    def reference(x: np.ndarray, output_size: Any, return_indices: bool = False) -> Any:
        parts = _adaptive(x, n, output_size)
        y = each_window(n, x, parts, lambda v, p: v[_largest(v, p)])
        if not return_indices:
            return y
        at = each_window(n, x, parts, lambda v, p: np.ravel_multi_index(_largest(v, p), v.shape))
        return y, at.astype(np.int64)

    return reference


@st.composite
def pools(draw: Any, n: int, dilated: bool, **extra: st.SearchStrategy[Any]) -> Case:
    """Calls of a pooling function in ``n`` dimensions."""
    kernel = tuple(draw(st.integers(1, 3 if n < 3 else 2)) for _ in range(n))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(n)) if dilated else (1,) * n
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    option: dict[str, Any] = {"ceil_mode": draw(st.booleans())}
    option["stride"] = draw(st.one_of(st.none(), st.integers(1, 2), st.tuples(*[st.integers(1, 3)] * n)))
    if dilated:
        option["dilation"] = dilation
    option["padding"] = padding
    reach = [max(2, d * (k - 1) + 1) for k, d in zip(kernel, dilation)]
    spatial = [r + draw(st.integers(0, 2 if n < 3 else 1)) for r in reach]
    lead = draw(st.sampled_from([(1,), (2,), (1, 2)] if n < 3 else [(1,)]))
    option |= {name: draw(values) for name, values in extra.items()}
    return Case(draw(floats((*lead, *spatial))), kernel, **option)


@st.composite
def adaptives(draw: Any, n: int, **extra: st.SearchStrategy[Any]) -> Case:
    """Calls of an adaptive pooling function in ``n`` dimensions."""
    spatial = tuple(draw(st.integers(1, 5 if n < 3 else 3)) for _ in range(n))
    size = st.integers(1, 4 if n < 3 else 2)
    out = draw(st.one_of(size, st.tuples(*[st.one_of(size, st.none()) if n > 1 else size] * n)))
    lead = draw(st.sampled_from([(1,), (2,), (1, 2)] if n < 3 else [(1,)]))
    return Case(draw(floats((*lead, *spatial))), out, **{name: draw(values) for name, values in extra.items()})


# -------------------------------------------------------------------------------------- resizing


def _weights(mode: str, place: float) -> list[tuple[int, float]]:
    """The neighbours of ``place`` and their weights."""
    j = math.floor(place)
    d = place - j
    if mode == "linear":
        return [(j, 1 - d), (j + 1, d)]

    def cubic(t: float, a: float = -0.75) -> float:
        t = abs(t)
        return (a + 2) * t**3 - (a + 3) * t**2 + 1 if t <= 1 else a * (t**3 - 5 * t**2 + 8 * t - 4)

    return [(j + i, cubic(d - i)) for i in (-1, 0, 1, 2)]


def interpolated(x: np.ndarray, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                 align_corners: bool | None = None,
                 recompute_scale_factor: bool | None = None) -> np.ndarray:  # fmt: skip
    """One dimension after the other, one element after the other."""
    n = x.ndim - 2
    if mode == "area":
        return adaptive_means(n)(x, size or [int(s * scale_factor) for s in x.shape[2:]])
    for axis in range(2, x.ndim):
        old = x.shape[axis]
        new = int(old * scale_factor) if size is None else _numbers(size, n)[axis - 2]
        scale = 1 / scale_factor if size is None and not recompute_scale_factor else old / new
        lines = []
        for i in range(new):
            if mode.startswith("nearest"):
                taps = [(math.floor((i + (0.5 if mode == "nearest-exact" else 0)) * scale), 1.0)]
            else:
                place = i * (old - 1) / max(new - 1, 1) if align_corners else (i + 0.5) * scale - 0.5
                taps = _weights(
                    "cubic" if mode == "bicubic" else "linear", place if mode == "bicubic" else max(place, 0)
                )
            lines.append(sum(w * np.take(x, min(max(j, 0), old - 1), axis) for j, w in taps))
        x = np.stack(lines, axis)
    return x


@st.composite
def interpolations(draw: Any) -> Case:
    n = draw(st.integers(1, 3))
    smooth = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}[n]
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "area", *smooth]))
    x = draw(floats((1, 2, *(draw(st.integers(1, 4 if n < 3 else 2)) for _ in range(n)))))
    option: dict[str, Any] = {"mode": mode}
    if draw(st.booleans()):
        sizes = st.sampled_from([1, 2, 4, 5])  # of which no ratio has its nearest neighbour on an edge
        option["size"] = draw(sizes) if draw(st.booleans()) else tuple(draw(sizes) for _ in range(n))
    else:
        option["scale_factor"] = draw(st.sampled_from([1, 2.0, 1.5, 3]))
        option["recompute_scale_factor"] = draw(st.sampled_from([None, True]))
    if mode in smooth:
        option["align_corners"] = draw(st.sampled_from([None, False, True]))
    return Case(x, **option)


def shuffled(x: np.ndarray, r: int) -> np.ndarray:
    *lead, c, h, w = x.shape
    y = np.zeros((*lead, c // r**2, h * r, w * r))
    for k, i, j in np.ndindex(y.shape[-3:]):
        y[..., k, i, j] = x[..., k * r**2 + i % r * r + j % r, i // r, j // r]
    return y


def unshuffled(y: np.ndarray, r: int) -> np.ndarray:
    *lead, c, h, w = y.shape
    x = np.zeros((*lead, c * r**2, h // r, w // r))
    for k, i, j in np.ndindex(y.shape[-3:]):
        x[..., k * r**2 + i % r * r + j % r, i // r, j // r] = y[..., k, i, j]
    return x


# -------------------------------------------------------------- operations that users do not call

_GRID = Windows((4, 3), (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1), (2, 3))


def _winners(x: np.ndarray) -> np.ndarray:
    """For each window of the grid: where its maximum is, in the flat channel."""
    parts = [_place(4, 3, 2, 1, 1, False), [[0, 1], [1, 2], [2, 3]]]
    return each_window(2, x, parts, lambda v, p: np.ravel_multi_index(_largest(v, p), v.shape)).astype(int)


def _scattered(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    y, at = np.zeros((len(x), 12)), _winners(x)
    for i in np.ndindex(g.shape):
        y[i[0], at[i]] += g[i]
    return y.reshape(x.shape)


def _gathered(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    at = _winners(x)
    return np.take_along_axis(v.reshape(len(x), 12), at.reshape(len(x), 6), 1).reshape(at.shape)


def _spread(g: np.ndarray) -> np.ndarray:
    y = np.zeros((len(g), 4, 3))
    for c, i, j in np.ndindex(g.shape):
        for p in _inside(y[c], [(i * 2 + a - 1, j + b) for a in range(3) for b in range(2)]):
            y[(c, *p)] += g[c, i, j] / 4
    return y


def _with_maxima(function: Callable) -> Callable:
    """``function`` of the gradient, the input and the maxima, as one of the gradient and the input."""
    return lambda g, x: function(g, x, ops._max_pool(x, windows=_GRID).detach(), windows=_GRID)


_NEAREST = (resize.nearest(3, 4, 0.75, False), resize.averages(2, 3))
_INDICES = {"return_indices": st.just(True)}
_AVERAGE = {"count_include_pad": st.booleans()}
_DIVIDED = {**_AVERAGE, "divisor_override": st.sampled_from([None, None, 3])}

SPECS: dict[str, Spec] = {
    **{f"max_pool{n}d": Spec(f, pools(n, True), maxima(n), primitive="max_pool")
       for n, f in enumerate((F.max_pool1d, F.max_pool2d, F.max_pool3d), 1)},
    "max_pool2d with indices": Spec(F.max_pool2d, pools(2, True, **_INDICES), maxima(2), primitive="max_pool_indices",
                                    edges=[Case(np.zeros((1, 3, 3)), 2, 1, return_indices=True),
                                           Case(np.full((1, 3, 3), -np.inf), 3, 2, 1, return_indices=True),
                                           Case(np.ones((0, 2, 3, 3)), 2)]),
    "max_pool_scatter": Spec(_with_maxima(ops._max_pool_scatter), st.builds(Case, floats((2, 2, 3)), floats((2, 4, 3))),
                             _scattered, adjoint=True),
    "max_pool_gather": Spec(_with_maxima(ops._max_pool_gather), st.builds(Case, floats((2, 4, 3)), floats((2, 4, 3))),
                            _gathered, adjoint=True),
    "avg_pool1d": Spec(F.avg_pool1d, pools(1, False, **_AVERAGE), means(1), primitive="avg_pool", adjoint=True),
    "avg_pool2d": Spec(F.avg_pool2d, pools(2, False, **_DIVIDED), means(2), primitive="avg_pool", adjoint=True,
                       edges=[Case(np.ones((0, 2, 3, 3)), 2)]),
    "avg_pool3d": Spec(F.avg_pool3d, pools(3, False, **_DIVIDED), means(3), primitive="avg_pool", adjoint=True),
    "avg_pool_adjoint": Spec(lambda g: ops._avg_pool_adjoint(g, windows=_GRID, divisor=4),
                             st.builds(Case, floats((2, 2, 3))), _spread, adjoint=True),
    **{f"adaptive_avg_pool{n}d": Spec(f, adaptives(n), adaptive_means(n), adjoint=True)
       for n, f in enumerate((F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d), 1)},
    **{f"adaptive_max_pool{n}d": Spec(f, adaptives(n, return_indices=st.booleans()), adaptive_maxima(n))
       for n, f in enumerate((F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d), 1)},
    "adaptive_max_indices": Spec(F.adaptive_max_pool2d, st.builds(lambda x: Case(x, (2, 3)), floats((2, 3, 4))),
                                 adaptive_maxima(2)),
    "interpolate": Spec(F.interpolate, interpolations(), interpolated, adjoint=True, primitive="resample"),
    "resample": Spec(lambda x: resample(x, _NEAREST), st.builds(Case, floats((2, 3, 2))),
                     lambda x: adaptive_means(1)(x[:, [0, 0, 1, 2]], 3), adjoint=True,
                     edges=[Case(np.ones((0, 3, 2)))]),
    "pixel_shuffle": Spec(F.pixel_shuffle, st.sampled_from([((4, 2, 1), 2), ((1, 8, 1, 2), 2)]).flatmap(
        lambda c: st.builds(Case, floats(c[0]), st.just(c[1]))), shuffled, adjoint=True),
    "pixel_unshuffle": Spec(F.pixel_unshuffle, st.sampled_from([((1, 4, 2), 2), ((2, 1, 3, 3), 3)]).flatmap(
        lambda c: st.builds(Case, floats(c[0]), st.just(c[1]))), unshuffled, adjoint=True),
}  # fmt: skip


def _x(*shape: int, dtype: Any = None) -> mg.Tensor:
    return mg.ones(*shape, dtype=dtype)


_IMAGE = _x(2, 3, 4, 4)

ERRORS = [
    ("max_pool2d matrix", lambda: F.max_pool2d(_x(4, 4), 2), ValueError,
     r"max_pool2d: input must have shape.*\(4, 4\)"),
    ("max_pool1d image", lambda: F.max_pool1d(_IMAGE, 2), ValueError, r"max_pool1d: .*\(batch, channels, length\)"),
    ("max_pool2d list", lambda: F.max_pool2d([1.0], 2), TypeError, "max_pool2d: input must be a Tensor, got list"),
    ("max_pool2d kernel", lambda: F.max_pool2d(_IMAGE, 5), ValueError,
     r"kernel_size \(5, 5\).*does not fit.*\(2, 3, 4, 4\)"),
    ("max_pool2d dilation", lambda: F.max_pool2d(_IMAGE, 3, dilation=2), ValueError,
     r"dilation \(2, 2\)\) does not fit"),
    ("max_pool2d padding", lambda: F.max_pool2d(_IMAGE, 3, padding=2), ValueError, "at most half the kernel_size"),
    ("max_pool2d negative", lambda: F.max_pool2d(_IMAGE, 3, padding=-1), ValueError,
     "padding must be at least 0, got -1"),
    ("max_pool2d stride", lambda: F.max_pool2d(_IMAGE, 2, stride=0), ValueError,
     "max_pool2d: stride must be at least 1"),
    ("max_pool2d no kernel", lambda: F.max_pool2d(_IMAGE, 0), ValueError, "kernel_size must be at least 1, got 0"),
    ("max_pool2d three", lambda: F.max_pool2d(_IMAGE, (2, 2, 2)), ValueError, "kernel_size must be an int or 2 ints"),
    ("max_pool2d float", lambda: F.max_pool2d(_IMAGE, 2.5), TypeError, "kernel_size must be an int or 2 ints, got 2.5"),
    ("max_pool2d bool", lambda: F.max_pool2d(_x(1, 4, 4, dtype=mg.bool), 2), TypeError, "a bool tensor has no order"),
    ("avg_pool2d integers", lambda: F.avg_pool2d(_x(1, 4, 4, dtype=mg.int64), 2), TypeError, "floating-point.*int64"),
    ("avg_pool2d divisor", lambda: F.avg_pool2d(_IMAGE, 2, divisor_override=0), ValueError, "must not be zero"),
    ("avg_pool3d image", lambda: F.avg_pool3d(_x(4, 4, 4), 2), ValueError, "avg_pool3d: input must have shape"),
    ("adaptive_avg_pool2d size", lambda: F.adaptive_avg_pool2d(_IMAGE, (1, 2, 3)), ValueError,
     "output_size must be an int or 2"),
    ("adaptive_avg_pool2d integers", lambda: F.adaptive_avg_pool2d(_x(1, 4, 4, dtype=mg.int64), 2), TypeError, "int64"),
    ("adaptive_avg_pool2d zero", lambda: F.adaptive_avg_pool2d(_IMAGE, 0), ValueError, "size must be at least 1"),
    ("adaptive_max_pool2d empty", lambda: F.adaptive_max_pool2d(_x(1, 0, 4), 2), ValueError, "nothing to pool"),
    ("adaptive_max_pool1d matrix", lambda: F.adaptive_max_pool1d(_x(4), 2), ValueError, "adaptive_max_pool1d: input"),
    ("interpolate mode", lambda: F.interpolate(_IMAGE, 2, mode="cubic"), ValueError, "mode 'cubic' is not a mode"),
    ("interpolate dims", lambda: F.interpolate(_IMAGE, 2, mode="linear"), ValueError,
     "needs an input with 3 dimensions"),
    ("interpolate neither", lambda: F.interpolate(_IMAGE), ValueError, "give either size or scale_factor"),
    ("interpolate both", lambda: F.interpolate(_IMAGE, 2, 2.0), ValueError, "give either size or scale_factor"),
    ("interpolate corners", lambda: F.interpolate(_IMAGE, 2, align_corners=True), ValueError,
     "no meaning for mode 'nearest'"),
    ("interpolate antialias", lambda: F.interpolate(_IMAGE, 2, mode="bilinear", antialias=True), NotImplementedError,
     "antialias"),
    ("interpolate factor", lambda: F.interpolate(_IMAGE, scale_factor=-1.0), ValueError, "must be a number above 0"),
    ("interpolate to nothing", lambda: F.interpolate(_IMAGE, scale_factor=0.1), ValueError,
     r"from .*\(4, 4\) to \(0, 0\)"),
    ("interpolate integers", lambda: F.interpolate(_x(1, 1, 4, dtype=mg.int64), 2), TypeError, "floating-point"),
    ("pixel_shuffle channels", lambda: F.pixel_shuffle(_IMAGE, 2), ValueError,
     r"C \* 2\*\*2, H, W\), got \(2, 3, 4, 4\)"),
    ("pixel_unshuffle size", lambda: F.pixel_unshuffle(_IMAGE, 3), ValueError, r"H \* 3, W \* 3\), got \(2, 3, 4, 4\)"),
]  # fmt: skip
