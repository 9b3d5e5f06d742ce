"""Convolution and its two adjoints, and the patches they are made of, for any number of spatial dimensions.

Shapes: input (N, C, *spatial), weight (F, C / groups, *kernel), output (N, F, *positions). ``padding`` has a
pair (before, after) for each spatial dimension, where ``after`` below 0 cuts the input; all other options
have one number for each.

Each routine exists twice: for floats, with the kernels of the modules imported here, and, named ``generic_*``, with
array functions alone, for all other arrays and those of other libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..memory import Array
from . import convolution_code, depthwise, direct, layout, patches, winograd, winograd_code
from .layout import MIN_BATCH, batch_last, empty_batch_last, fast, is_batch_last
from .products import product

_FEW, _FEW_BESIDE_CODE = 12, 48  # channels below which direct sums, or those in machine code, beat Winograd by NumPy
_PIXELS = 64  # of an image from which a product for each image is as quick as one for each pixel

Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def positions(spatial: Sequence[int], kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes) -> Sizes:
    """How many places the kernel has in each dimension (below 1 where it does not fit)."""
    return tuple(
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(spatial, kernel, stride, padding, dilation)
    )


def convolution(x: Array, w: Array, bias: Array | None, stride: Sizes, padding: Pairs, dilation: Sizes,
                groups: int) -> Array:  # fmt: skip
    """Cross-correlation of ``x`` with ``w``, plus ``bias`` (F,) if given."""
    options = stride, padding, dilation, groups
    if not (fast(x, w) and x.size and w.size):
        return generic_convolution(x, w, bias, *options)
    kernel, out = w.shape[2:], positions(x.shape[2:], w.shape[2:], stride, padding, dilation)
    if not _takes_batch_last(x, kernel, stride, padding, groups):
        return patches.convolution(x, w, bias, *options[:3], out, groups)
    y, target = empty_batch_last((x.shape[0], w.shape[0], *out), x.dtype)
    x, before = batch_last(x), tuple(pair[0] for pair in padding)
    taps = direct.Taps(kernel, stride, before, dilation)
    if way := _winograd(winograd_code.handles(x), x, w.shape, out, stride, dilation, groups):
        way.convolve(x, way.transformed_weight(w), bias, before, target)
    elif groups == len(w) == x.shape[2]:
        depthwise.convolve(x, w, bias, taps, target)
    else:
        for c, f in _group_slices(w, groups):
            direct.convolve(x[:, :, c], w[f], None if bias is None else bias[f], taps, target[:, :, f])
    return y


def convolution_input(g: Array, w: Array, spatial: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                      groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its input, of spatial shape ``spatial``."""
    options = spatial, stride, padding, dilation, groups
    if not (fast(g, w) and g.size and w.size):
        return generic_convolution_input(g, w, *options)
    if not _takes_batch_last(g, w.shape[2:], stride, padding, groups):
        return patches.convolution_input(g, w, *options)
    y, target = empty_batch_last((g.shape[0], w.shape[1] * groups, *spatial), g.dtype)
    g, before = batch_last(g), tuple(pair[0] for pair in padding)
    if way := _winograd(winograd_code.handles(g), g, w.shape, spatial, stride, dilation, groups):
        way.convolve(g, way.transformed_weight(w, adjoint=True), None, tuple(2 - b for b in before), target)
    elif groups == len(w) == y.shape[1]:
        depthwise.convolve_input(g, w, stride, before, dilation, target)
    else:
        for c, f in _group_slices(w, groups):
            direct.convolve_input(g[:, :, f], w[f], stride, before, dilation, target[:, :, c])
    return y


def convolution_weight(g: Array, x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
                       groups: int) -> Array:  # fmt: skip
    """The adjoint of :func:`convolution` in its weight, of kernel size ``kernel``."""
    options = kernel, stride, padding, dilation, groups
    if not (fast(g, x) and g.size and x.size):
        return generic_convolution_weight(g, x, *options)
    if not any(_takes_batch_last(a, kernel, stride, padding, groups) for a in (g, x)):
        return patches.convolution_weight(g, x, *options)
    shape, out = (g.shape[1], x.shape[1] // groups, *kernel), g.shape[2:]
    g, x, before = batch_last(g), batch_last(x), tuple(pair[0] for pair in padding)
    taps = direct.Taps(kernel, stride, before, dilation)
    if way := _winograd(winograd_code.handles_weight(g, x), g, shape, out, stride, dilation, groups, prod(shape)):
        return way.convolve_weight(g, x, before)
    if groups == g.shape[2] == x.shape[2]:
        return depthwise.convolve_weight(g, x, kernel, taps)
    y: Array = np.empty(shape, g.dtype)
    for c, f in _group_slices(y, groups):
        y[f] = direct.convolve_weight(g[:, :, f], x[:, :, c], kernel, taps)
    return y


def _takes_batch_last(x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, groups: int) -> bool:
    """Whether there are enough samples of images for the kernels that store them next to each other.

    A kernel of one pixel needs a product of matrices for each pixel then, and for each image otherwise. So images that
    are not stored that way stay as they are, if they are not small.
    """
    if x.ndim != 4 or x.shape[0] < MIN_BATCH:
        return False
    by_image = groups == 1 and prod(x.shape[2:]) >= _PIXELS and patches.pointwise(kernel, stride, padding)
    return is_batch_last(x) or not by_image


def arranged(x: Array, kernel: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes, groups: int) -> Array:
    """An input, or the gradient of an output, stored as the routines here take it."""
    return layout.arranged(x) if _takes_batch_last(x, kernel, stride, padding, groups) else x


def _winograd(in_code: bool, x: Array, weight: Sizes, out: Sizes, stride: Sizes, dilation: Sizes, groups: int,
              sums: int = 0) -> Any:  # fmt: skip
    """The module that computes by Winograd's algorithm, if that pays: ``in_code`` says whether machine code can.

    ``sums`` says how many sums direct machine code would have to keep.
    """
    direct_code = not in_code and convolution_code.handles(x, weight[2:], dilation) and sums <= direct.SUMS
    few = winograd_code.FEW if in_code else _FEW_BESIDE_CODE if direct_code else _FEW
    if groups > 1 or x.dtype != np.float32 or not winograd.pays(weight, out, stride, dilation, few):
        return None
    return winograd_code if in_code else winograd


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
