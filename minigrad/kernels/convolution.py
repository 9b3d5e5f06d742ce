"""Convolution and its two adjoints, and the patches they are made of, for any number of spatial dimensions.

Shapes: input (N, C, *spatial), weight (F, C / groups, *kernel), output (N, F, *positions). ``padding`` has a
pair (before, after) for each spatial dimension, where ``after`` below 0 cuts the input; all other options
have one number for each.

Each routine exists twice: for ndarrays, on scratch memory that is small enough for the cache, and, named
``generic_*``, with array functions alone, for arrays of other libraries and as the proof of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from ..memory import Array
from . import depthwise, direct, winograd
from .layout import MIN_BATCH, empty_batch_last, fast, samples
from .products import multiply_shared
from .threads import parallel

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]

_SCRATCH = 1 << 20  # bytes of patches at a time
_LARGE = 700  # pixels of a sample from which a row of them is long enough without a batch


def positions(spatial: Sequence[int], kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Sizes:
    """How many places the kernel has in each dimension (below 1 where it does not fit)."""
    return tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(spatial, kernel, stride, padding, dilation)
    )


@lru_cache(maxsize=1024)
def _taps(spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> list[tuple[Any, Any, Any]]:
    """For each element of the kernel, in order: its index, the input that it meets, and at which positions.

    Input and positions are slices of the last dimensions that leave out what falls on padding.
    """
    out = positions(spatial, kernel, stride, padding, dilation)
    found = []
    for index in product(*map(range, kernel)):
        source, target = [], []
        for i, n, s, (before, _), d, o in zip(index, spatial, stride, padding, dilation, out):
            shift = i * d - before
            first, last = max(0, -(shift // s)), min(o - 1, (n - 1 - shift) // s)
            source.append(slice(first * s + shift, last * s + shift + 1, s))
            target.append(slice(first, last + 1))
        if all(part.start < part.stop for part in target):
            found.append((index, (..., *source), (..., *target)))
    return found


def _chunks(n: int, bytes_each: int) -> list[slice]:
    """Slices of ``n`` samples whose patches fit into the scratch memory, the longest first."""
    step = max(1, min(n, _SCRATCH // max(bytes_each, 1)))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)] or [slice(0, 0)]


def _is_pointwise(kernel: Sizes, stride: Sizes, padding: Pairs) -> bool:
    """Whether every patch is one pixel, and every pixel a patch."""
    return all(k == 1 for k in kernel) and all(s == 1 for s in stride) and not any(map(any, padding))


def convolution(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes,
                groups: int) -> Array:  # fmt: skip
    """Cross-correlation of ``x`` with ``w``, plus ``bias`` (F,) if given."""
    if type(x) is not np.ndarray or type(w) is not np.ndarray:
        return generic_convolution(x, w, bias, stride, padding, dilation, groups)
    if _takes_batch_last(x, w, groups):
        return _convolution_batch_last(x, w, bias, stride, padding, dilation, groups)
    kernel, (n, c), f = w.shape[2:], x.shape[:2], w.shape[0]
    out = positions(x.shape[2:], kernel, stride, padding, dilation)
    inner, size = c // groups * prod(kernel), prod(out)
    weights = w.reshape(groups, f // groups, inner)
    y = np.empty((n, groups, f // groups, size), x.dtype)
    if _is_pointwise(kernel, stride, padding):
        multiply_shared(weights, x.reshape(n, groups, inner, size), y)
    else:
        chunks = _chunks(n, c * prod(kernel) * size * x.itemsize)
        patches = np.zeros((chunks[0].stop, c, *kernel, *out), x.dtype)  # where padding is, zeros stay
        taps = _taps(x.shape[2:], kernel, stride, padding, dilation)
        for chunk in chunks:
            count = chunk.stop - chunk.start
            part = x[chunk]

            def copy(start: int, stop: int, part: Array = part) -> None:
                for index, source, target in taps:
                    patches[(slice(len(part)), slice(start, stop), *index, *target[1:])] = part[:, start:stop][source]

            parallel(copy, c, count * c * prod(kernel) * size / 2)
            multiply_shared(weights, patches[:count].reshape(count, groups, inner, size), y[chunk])
    y = y.reshape(n, f, *out)
    if bias is not None:
        y += bias.reshape(f, *(1 for _ in out))
    return y


def convolution_input(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                      groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its input, of spatial shape ``spatial``."""
    if type(g) is not np.ndarray or type(w) is not np.ndarray:
        return generic_convolution_input(g, w, spatial, stride, padding, dilation, groups)
    if _takes_batch_last(g, w, groups):
        return _convolution_input_batch_last(g, w, spatial, stride, padding, dilation, groups)
    kernel, (n, f), c, out = w.shape[2:], g.shape[:2], w.shape[1] * groups, g.shape[2:]
    inner, size = w.shape[1] * prod(kernel), prod(out)
    weights = w.reshape(groups, f // groups, inner).swapaxes(1, 2)
    g = g.reshape(n, groups, f // groups, size)
    if _is_pointwise(kernel, stride, padding):
        y = np.empty((n, c, *spatial), g.dtype)
        multiply_shared(weights, g, y.reshape(n, groups, inner, size))
        return y
    y = np.zeros((n, c, *spatial), g.dtype)
    chunks = _chunks(n, c * prod(kernel) * size * g.itemsize)
    patches = np.empty((chunks[0].stop, groups, inner, size), g.dtype)
    for chunk in chunks:
        part = patches[: chunk.stop - chunk.start]
        multiply_shared(weights, g[chunk], part)
        _add_patches(part.reshape(len(part), c, *kernel, *out), y[chunk], kernel, stride, padding, dilation)
    return y


def _add_patches(patches: Array, y: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> None:
    for index, source, target in _taps(y.shape[2:], kernel, stride, padding, dilation):
        y[source] += patches[(slice(None), slice(None), *index)][target]


def convolution_weight(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                       groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its weight, of kernel size ``kernel``."""
    if type(g) is not np.ndarray or type(x) is not np.ndarray:
        return generic_convolution_weight(g, x, kernel, stride, padding, dilation, groups)
    if _takes_batch_last(g, x, groups):
        return _convolution_weight_batch_last(g, x, kernel, stride, padding, dilation, groups)
    (n, f), c, out = g.shape[:2], x.shape[1], g.shape[2:]
    inner, size = c // groups * prod(kernel), prod(out)
    y = np.zeros((groups, f // groups, inner), g.dtype)
    chunks = _chunks(n, c * prod(kernel) * size * x.itemsize)
    patches = np.zeros((c, *kernel, chunks[0].stop, *out), x.dtype)  # where padding is, zeros stay
    taps = _taps(x.shape[2:], kernel, stride, padding, dilation)
    for chunk in chunks:
        count = chunk.stop - chunk.start
        for index, source, target in taps:
            patches[(slice(None), *index, slice(count), *target[1:])] = x[chunk][source].swapaxes(0, 1)
        # One product with a long sum, not one for each sample: (F, n * positions) @ (n * positions, inner)
        part = patches[(slice(None),) * (1 + len(kernel)) + (slice(count),)]
        rows = g[chunk].swapaxes(0, 1).reshape(groups, f // groups, count * size)
        product = np.empty_like(y)
        multiply_shared(rows, part.reshape(groups, inner, count * size).swapaxes(1, 2), product)
        y += product
    return y.reshape(f, c // groups, *kernel)


def _convolution_batch_last(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes,
                            groups: int) -> Array:  # fmt: skip
    if x.ndim == 3:
        wide, w = np.expand_dims(x, -1), np.expand_dims(w, -1)
        return _convolution_batch_last(wide, w, bias, (*stride, 1), (*padding, (0, 0)), (*dilation, 1), groups)[..., 0]
    kernel, before = w.shape[2:], tuple(pair[0] for pair in padding)
    out = positions(x.shape[2:], kernel, stride, padding, dilation)
    y, targets = empty_batch_last((x.shape[0], w.shape[0], *out), x.dtype)
    taps = direct.Taps(kernel, stride, before, dilation)
    if by_winograd := _by_winograd(x, w.shape, out, stride, dilation, groups):
        u = winograd.transformed_weight(w)
    for source, target in zip(samples(x), targets):
        if by_winograd:
            winograd.convolve(source, u, bias, before, target)
        elif groups == len(w) == x.shape[1]:
            depthwise.convolve(source, w, bias, taps, target)
        else:
            for c, f in _group_slices(w, groups):
                direct.convolve(source[:, :, c], w[f], None if bias is None else bias[f], taps, target[:, :, f])
    return y


def _convolution_input_batch_last(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                                  groups: int) -> Array:  # fmt: skip
    if g.ndim == 3:
        wide, w = np.expand_dims(g, -1), np.expand_dims(w, -1)
        options = (*spatial, 1), (*stride, 1), (*padding, (0, 0)), (*dilation, 1)
        return _convolution_input_batch_last(wide, w, *options, groups)[..., 0]
    before = tuple(pair[0] for pair in padding)
    y, targets = empty_batch_last((g.shape[0], w.shape[1] * groups, *spatial), g.dtype)
    if by_winograd := _by_winograd(g, w.shape, spatial, stride, dilation, groups):
        u = winograd.transformed_weight(w, adjoint=True)
    for source, target in zip(samples(g), targets):
        if by_winograd:
            winograd.convolve(source, u, None, tuple(2 - b for b in before), target)
        elif groups == len(w) == y.shape[1]:
            depthwise.convolve_input(source, w, stride, before, dilation, target)
        else:
            for c, f in _group_slices(w, groups):
                direct.convolve_input(source[:, :, f], w[f], stride, before, dilation, target[:, :, c])
    return y


def _convolution_weight_batch_last(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                                   groups: int) -> Array:  # fmt: skip
    if g.ndim == 3:
        g, x = np.expand_dims(g, -1), np.expand_dims(x, -1)
        options = (*kernel, 1), (*stride, 1), (*padding, (0, 0)), (*dilation, 1)
        return _convolution_weight_batch_last(g, x, *options, groups)[..., 0]
    before, out = tuple(pair[0] for pair in padding), g.shape[2:]
    taps = direct.Taps(kernel, stride, before, dilation)
    y: Array = np.zeros((g.shape[1], x.shape[1] // groups, *kernel), g.dtype)
    by_winograd = _by_winograd(g, y.shape, out, stride, dilation, groups)
    for above, below in zip(samples(g), samples(x)):
        if by_winograd:
            y += winograd.convolve_weight(above, below, before)
        elif groups == g.shape[1] == x.shape[1]:
            y += depthwise.convolve_weight(above, below, kernel, taps)
        else:
            for c, f in _group_slices(y, groups):
                y[f] += direct.convolve_weight(above[:, :, f], below[:, :, c], kernel, taps)
    return y


def _takes_batch_last(x: Array, other: Array, groups: int) -> bool:
    """Whether the kernels for arrays stored batch last are the ones to use: for many samples, or large ones."""
    if not fast(x, other) or x.ndim > 4 or not x.size:
        return False
    return x.shape[0] >= MIN_BATCH or (groups == 1 and prod(x.shape[2:]) >= _LARGE)


def _by_winograd(x: Array, weight: Sizes, out: Sizes, stride: Sizes, dilation: Sizes, groups: int) -> bool:
    return groups == 1 and x.dtype == np.float32 and winograd.pays(weight, out, stride, dilation)


def _group_slices(w: Array, groups: int) -> list[tuple[slice, slice]]:
    """For each group, its channels and its features."""
    f, c = w.shape[0] // groups, w.shape[1]
    return [(slice(i * c, (i + 1) * c), slice(i * f, (i + 1) * f)) for i in range(groups)]


def im2col(x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    """All patches of ``x`` (N, C, *spatial): (N, C, *kernel, *positions)."""
    if type(x) is not np.ndarray:
        return generic_im2col(x, kernel, stride, padding, dilation)
    out = positions(x.shape[2:], kernel, stride, padding, dilation)
    patches = np.zeros((*x.shape[:2], *kernel, *out), x.dtype)
    for index, source, target in _taps(x.shape[2:], kernel, stride, padding, dilation):
        patches[(slice(None), slice(None), *index)][target] = x[source]
    return patches


def col2im(patches: Array, spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    """The sum of patches (N, C, *kernel, *positions) where they overlap: the adjoint of :func:`im2col`."""
    if type(patches) is not np.ndarray:
        return generic_col2im(patches, spatial, kernel, stride, padding, dilation)
    y = np.zeros((*patches.shape[:2], *spatial), patches.dtype)
    _add_patches(patches, y, kernel, stride, padding, dilation)
    return y


# --------------------------------------------------------------------------- with array functions alone


def generic_im2col(x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    out = positions(x.shape[2:], kernel, stride, padding, dilation)
    padded: Array = np.pad(x, [(0, 0), (0, 0), *((before, max(after, 0)) for before, after in padding)])
    parts = [
        padded[(..., *(slice(i * d, i * d + s * (o - 1) + 1, s)
                       for i, d, s, o in zip(index, dilation, stride, out)))]
        for index in product(*map(range, kernel))
    ]  # fmt: skip
    return np.reshape(np.stack(parts, axis=2), (*x.shape[:2], *kernel, *out))


def generic_col2im(patches: Array, spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs,
                   dilation: Sizes) -> Array:  # fmt: skip
    total: Array = None
    for index in product(*map(range, kernel)):
        part = patches[(slice(None), slice(None), *index)]
        for axis, (i, n, s, (before, after), d) in enumerate(zip(index, spatial, stride, padding, dilation), 2):
            part = spaced(part, axis, s)
            widths = [(0, 0)] * part.ndim
            widths[axis] = (i * d, before + n + max(after, 0) - i * d - part.shape[axis])
            part = np.pad(part, widths)
        total = part if total is None else total + part
    return total[(..., *(slice(before, before + n) for (before, _), n in zip(padding, spatial)))]


def spaced(x: Array, axis: int, step: int) -> Array:
    """``x`` with ``step - 1`` zeros between neighbours along ``axis``."""
    if step == 1:
        return x
    wide = np.stack([x] + [np.zeros_like(x)] * (step - 1), axis=axis + 1)
    shape = (*x.shape[:axis], x.shape[axis] * step, *x.shape[axis + 1 :])
    return np.reshape(wide, shape)[(slice(None),) * axis + (slice(1 - step),)]


def generic_convolution(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes,
                        groups: int) -> Array:  # fmt: skip
    kernel, n, f = w.shape[2:], x.shape[0], w.shape[0]
    patches = generic_im2col(x, kernel, stride, padding, dilation)
    out = patches.shape[2 + len(kernel) :]
    patches = np.reshape(patches, (n, groups, x.shape[1] // groups * prod(kernel), prod(out)))
    weights = np.reshape(w, (groups, f // groups, patches.shape[2]))
    y = np.reshape(np.matmul(weights, patches), (n, f, *out))
    return y if bias is None else y + np.reshape(bias, (f, *(1 for _ in out)))


def generic_convolution_input(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                              groups: int) -> Array:  # fmt: skip
    kernel, (n, f), out = w.shape[2:], g.shape[:2], g.shape[2:]
    weights = np.reshape(w, (groups, f // groups, w.shape[1] * prod(kernel)))
    patches = np.matmul(np.swapaxes(weights, 1, 2), np.reshape(g, (n, groups, f // groups, prod(out))))
    patches = np.reshape(patches, (n, w.shape[1] * groups, *kernel, *out))
    return generic_col2im(patches, spatial, kernel, stride, padding, dilation)


def generic_convolution_weight(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                               groups: int) -> Array:  # fmt: skip
    (n, f), c, size = g.shape[:2], x.shape[1], prod(g.shape[2:])
    patches = generic_im2col(x, kernel, stride, padding, dilation)
    patches = np.reshape(patches, (n, groups, c // groups * prod(kernel), size))
    products = np.matmul(np.reshape(g, (n, groups, f // groups, size)), np.swapaxes(patches, 2, 3))
    return np.reshape(np.sum(products, axis=0), (f, c // groups, *kernel))
