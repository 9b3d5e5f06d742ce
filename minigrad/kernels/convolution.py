"""Convolution and its two adjoints, and the patches they are made of, for any number of spatial dimensions.

Shapes: input (N, C, *spatial), weight (F, C / groups, *kernel), output (N, F, *positions). ``padding`` has a
pair (before, after) for each spatial dimension, where ``after`` below 0 cuts the input; all other options
have one number for each.

Each routine exists twice: for large arrays of floats, with the kernels of the modules imported here, and, named
``generic_*``, with array functions alone, for all others and those of other libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod

import numpy as np

from ..memory import Array
from . import depthwise, direct, winograd
from .layout import MIN_BATCH, empty_batch_last, fast, samples
from .products import product

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


def convolution(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes,
                groups: int) -> Array:  # fmt: skip
    """Cross-correlation of ``x`` with ``w``, plus ``bias`` (F,) if given."""
    if _takes_batch_last(x, w, groups):
        return _convolution_batch_last(x, w, bias, stride, padding, dilation, groups)
    options = bias, stride, padding, dilation, groups
    return _joined([generic_convolution(part, w, *options) for part in _parts(x, x, w.shape[2:])])


def convolution_input(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                      groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its input, of spatial shape ``spatial``."""
    if _takes_batch_last(g, w, groups):
        return _convolution_input_batch_last(g, w, spatial, stride, padding, dilation, groups)
    options = spatial, stride, padding, dilation, groups
    return _joined([generic_convolution_input(part, w, *options) for part in _parts(g, g, w.shape[2:])])


def convolution_weight(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                       groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its weight, of kernel size ``kernel``."""
    if _takes_batch_last(g, x, groups):
        return _convolution_weight_batch_last(g, x, kernel, stride, padding, dilation, groups)
    options = kernel, stride, padding, dilation, groups
    pairs = zip(_parts(g, x, kernel), _parts(x, x, kernel))
    return reduce(np.add, [generic_convolution_weight(above, below, *options) for above, below in pairs])


def _parts(a: Array, x: Array, kernel: Sizes) -> list[Array]:
    """``a`` in parts of a few samples, whose patches of ``x`` fit into the cache."""
    step = max(1, _SCRATCH // max(1, prod(kernel) * prod(x.shape[1:]) * x.dtype.itemsize))
    return [a[i : i + step] for i in range(0, a.shape[0], step)] or [a]


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _convolution_batch_last(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes,
                            groups: int) -> Array:  # fmt: skip
    kernel, before = w.shape[2:], tuple(pair[0] for pair in padding)
    out = positions(x.shape[2:], kernel, stride, padding, dilation)
    y, targets = empty_batch_last((x.shape[0], w.shape[0], *out), x.dtype)
    taps = direct.Taps(kernel, stride, before, dilation)
    if by_winograd := _by_winograd(x, w.shape, out, stride, dilation, groups):
        u = winograd.transformed_weight(w, targets[0].shape[-1])
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
    before = tuple(pair[0] for pair in padding)
    y, targets = empty_batch_last((g.shape[0], w.shape[1] * groups, *spatial), g.dtype)
    if by_winograd := _by_winograd(g, w.shape, spatial, stride, dilation, groups):
        u = winograd.transformed_weight(w, targets[0].shape[-1], adjoint=True)
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
    if not fast(x, other) or x.ndim != 4 or not x.size or not other.size:
        return False
    return x.shape[0] >= MIN_BATCH or (groups == 1 and prod(x.shape[2:]) >= _LARGE)


def _by_winograd(x: Array, weight: Sizes, out: Sizes, stride: Sizes, dilation: Sizes, groups: int) -> bool:
    return groups == 1 and x.dtype == np.float32 and winograd.pays(weight, out, stride, dilation)


def _group_slices(w: Array, groups: int) -> list[tuple[slice, slice]]:
    """For each group, its channels and its features."""
    f, c = w.shape[0] // groups, w.shape[1]
    return [(slice(i * c, (i + 1) * c), slice(i * f, (i + 1) * f)) for i in range(groups)]


# --------------------------------------------------------------------------- with array functions alone


def im2col(x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    """All patches of ``x`` (N, C, *spatial): (N, C, *kernel, *positions)."""
    out = positions(x.shape[2:], kernel, stride, padding, dilation)
    padded: Array = np.pad(x, [(0, 0), (0, 0), *((before, max(after, 0)) for before, after in padding)])
    parts = [
        padded[(..., *(slice(i * d, i * d + s * (o - 1) + 1, s)
                       for i, d, s, o in zip(index, dilation, stride, out)))]
        for index in np.ndindex(*kernel)
    ]  # fmt: skip
    return np.reshape(np.stack(parts, axis=2), (*x.shape[:2], *kernel, *out))


def col2im(patches: Array, spatial: Sizes, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Array:
    """The sum of patches (N, C, *kernel, *positions) where they overlap: the adjoint of :func:`im2col`."""
    total: Array = None
    for index in np.ndindex(*kernel):
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
    patches = im2col(x, kernel, stride, padding, dilation)
    out = patches.shape[2 + len(kernel) :]
    patches = np.reshape(patches, (n, groups, x.shape[1] // groups * prod(kernel), prod(out)))
    weights = np.reshape(w, (groups, f // groups, patches.shape[2]))
    y = np.reshape(product(weights, patches), (n, f, *out))
    return y if bias is None else y + np.reshape(bias, (f, *(1 for _ in out)))


def generic_convolution_input(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                              groups: int) -> Array:  # fmt: skip
    kernel, (n, f), out = w.shape[2:], g.shape[:2], g.shape[2:]
    weights = np.reshape(w, (groups, f // groups, w.shape[1] * prod(kernel)))
    patches = product(np.swapaxes(weights, 1, 2), np.reshape(g, (n, groups, f // groups, prod(out))))
    patches = np.reshape(patches, (n, w.shape[1] * groups, *kernel, *out))
    return col2im(patches, spatial, kernel, stride, padding, dilation)


def generic_convolution_weight(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                               groups: int) -> Array:  # fmt: skip
    (n, f), c, size = g.shape[:2], x.shape[1], prod(g.shape[2:])
    patches = im2col(x, kernel, stride, padding, dilation)
    patches = np.reshape(patches, (n, groups, c // groups * prod(kernel), size))
    products = product(np.reshape(g, (n, groups, f // groups, size)), np.swapaxes(patches, 2, 3))
    return np.reshape(np.sum(products, axis=0), (f, c // groups, *kernel))
