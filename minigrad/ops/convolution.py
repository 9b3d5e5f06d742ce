"""Convolutions, transposed convolutions, and the patches that they read.

The convolution is linear in its input and in its weight. It and its two adjoints form a triple in
which each is the gradient rule of the others, so derivatives of every order exist.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..arguments import SPATIAL, check_spatial, ntuple, specialize
from ..engine import primitive
from ..kernels import convolution as kernels
from ..kernels import normalization
from ..kernels.convolution import Pairs, Sizes
from ..memory import Array
from .elementwise import _add
from .shaping import reshape, squeeze, unsqueeze


def _bias_rule(g: Array) -> Array:
    if normalization.handles(g):
        return normalization.sums(g)[0].astype(g.dtype)
    return np.sum(g, axis=(0, *range(2, g.ndim)))


class Geometry(NamedTuple):
    """How a kernel goes over its input: what a convolution and its adjoints have in common."""

    stride: Sizes
    padding: Pairs
    dilation: Sizes
    groups: int = 1


@primitive(
    input=lambda g, weight, input_shape, geometry: _convolution_input(g, weight, input_shape[2:], geometry),
    weight=lambda g, input, weight_shape, geometry, memory: _convolution_weight(
        g, memory[0] if memory else input, weight_shape[2:], geometry
    ),
    bias=_bias_rule,
    arrange=lambda g, weight_shape, geometry: kernels.arranged(g, weight_shape[2:], *geometry),
)
def _convolution(input: Array, weight: Array, bias: Array | None, geometry: Geometry,
                 memory: list | None = None) -> Array:  # fmt: skip
    arranged = kernels.arranged(input, weight.shape[2:], *geometry)
    if memory is not None and arranged is not input:
        memory.append(arranged)
    return kernels.convolution(arranged, weight, bias, *geometry)


@primitive(
    grad=lambda g, weight, geometry: _convolution(g, weight, None, geometry),
    weight=lambda g, grad, weight_shape, geometry: _convolution_weight(grad, g, weight_shape[2:], geometry),
)
def _convolution_input(grad: Array, weight: Array, spatial: Sizes, geometry: Geometry) -> Array:
    """The adjoint of the convolution in its input; as an operation of its own, the transposed convolution."""
    return kernels.convolution_input(grad, weight, spatial, *geometry)


@primitive(
    grad=lambda g, input, geometry: _convolution(input, g, None, geometry),
    input=lambda g, grad, input_shape, geometry: _convolution_input(grad, g, input_shape[2:], geometry),
)
def _convolution_weight(grad: Array, input: Array, kernel: Sizes, geometry: Geometry) -> Array:
    """The adjoint of the convolution in its weight."""
    return kernels.convolution_weight(grad, input, kernel, *geometry)


def _check(name: str, n: int, input: Any, weight: Any, bias: Any, groups: Any, transposed: bool = False) -> None:
    """Raise unless the operands of a convolution in ``n`` dimensions fit each other."""
    check_spatial(name, n, input)
    for argument, value in (("weight", weight), ("bias", bias)):
        if not hasattr(value, "dtype") and not (value is None and argument == "bias"):
            raise TypeError(f"{name}: {argument} must be a Tensor, got {type(value).__name__}")
        if value is not None and value.dtype != input.dtype:
            raise TypeError(f"{name}: {argument} is {value.dtype}, input {input.dtype}; convert one with .to(dtype)")
    if weight.ndim != n + 2:
        order = "in_channels, out_channels / groups" if transposed else "out_channels, in_channels / groups"
        raise ValueError(f"{name}: weight must have shape ({order}, {SPATIAL[n]}), got {weight.shape}")
    if not isinstance(groups, int) or groups < 1:
        raise ValueError(f"{name}: groups must be an int of at least 1, got {groups!r}")
    if weight.shape[0] % groups:
        which = "input" if transposed else "output"
        raise ValueError(f"{name}: {weight.shape[0]} {which} channels (weight {weight.shape}) do not divide "
                         f"into {groups} groups")  # fmt: skip
    channels, expected = input.shape[input.ndim - n - 1], weight.shape[0] if transposed else weight.shape[1] * groups
    if channels != expected:
        raise ValueError(f"{name}: input has {channels} channels (shape {input.shape}) but weight {weight.shape} "
                         f"expects {expected} (groups={groups})")  # fmt: skip
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and bias.shape != (outputs,):
        raise ValueError(f"{name}: bias has shape {bias.shape}, weight {weight.shape} expects ({outputs},)")
    if min(weight.shape[2:]) < 1:
        raise ValueError(f"{name}: the kernel is empty (weight {weight.shape})")


def padding_pairs(name: str, padding: Any, n: int, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Pairs:
    """Padding as a pair (before, after) for each dimension."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in ntuple(padding, n, name, "padding"))
    if padding == "valid":
        return ((0, 0),) * n
    if padding != "same":
        raise ValueError(f"{name}: padding must be 'same', 'valid' or numbers, got {padding!r}")
    if max(stride) > 1:
        raise ValueError(f"{name}: padding='same' needs stride 1, got stride {stride}")
    total = [d * (k - 1) for d, k in zip(dilation, kernel)]
    return tuple((t // 2, t - t // 2) for t in total)


def _conv_nd(n: int, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
          groups: int = 1) -> Any:  # fmt: skip
    """Cross-correlation: ``y[n, f, i, j] = bias[f] + sum_cuv weight[f, c, u, v] * input[n, c, i + u, j + v]``.

    That is conv2d; conv1d and conv3d do the same over one and three dimensions.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W); or without N for a single sample.
        weight: (F, C / groups, kh, kw), with a size for each dimension.
        bias: (F,) or None.
        stride: step between neighbouring outputs; an int or one for each dimension, as all that follow.
        padding: zeros on either side of the input; ``"valid"`` is 0, ``"same"`` (stride 1 only) keeps
            the size, with the odd one out behind.
        dilation: step between the input elements that neighbouring kernel elements meet.
        groups: into how many groups channels are divided, each seeing only its own.
    """
    name = f"conv{n}d"
    _check(name, n, input, weight, bias, groups)
    kernel = weight.shape[2:]
    stride = ntuple(stride, n, name, "stride", 1)
    dilation = ntuple(dilation, n, name, "dilation", 1)
    padding = padding_pairs(name, padding, n, kernel, stride, dilation)
    if min(kernels.positions(input.shape[-n:], kernel, stride, padding, dilation)) < 1:
        extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel))
        padded = tuple(before + size + after for size, (before, after) in zip(input.shape[-n:], padding))
        raise ValueError(f"{name}: the kernel covers {extent} (weight {weight.shape}, dilation {dilation}), "
                         f"more than the padded input {padded} (shape {input.shape})")  # fmt: skip
    batch = input if input.ndim == n + 2 else unsqueeze(input, 0)
    y = _convolution(batch, weight, bias, Geometry(stride, padding, dilation, groups))
    return y if batch is input else squeeze(y, 0)


conv1d = specialize("conv1d", _conv_nd, 1)
conv2d = specialize("conv2d", _conv_nd, 2)
conv3d = specialize("conv3d", _conv_nd, 3)


def _conv_transpose_nd(n: int, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
                    output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> Any:  # fmt: skip
    """The adjoint of the convolution: each input element adds its multiple of the kernel to the output.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W); or without N for a single sample.
        weight: (C, F / groups, kh, kw), that of a convolution from F to C channels, with a size for each dimension.
        bias: (F,) or None.
        stride, padding, dilation, groups: those of that convolution.
        output_padding: added to the output's size behind, to choose among the sizes that the
            convolution maps to the size of ``input``.
    """
    name = f"conv_transpose{n}d"
    _check(name, n, input, weight, bias, groups, transposed=True)
    stride = ntuple(stride, n, name, "stride", 1)
    dilation = ntuple(dilation, n, name, "dilation", 1)
    padding = ntuple(padding, n, name, "padding")
    extra = ntuple(output_padding, n, name, "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ValueError(f"{name}: output_padding {extra} must be smaller than stride {stride} or dilation {dilation}")
    sizes = zip(input.shape[-n:], stride, padding, dilation, weight.shape[2:], extra)
    spatial = tuple((size - 1) * s - 2 * p + d * (k - 1) + e + 1 for size, s, p, d, k, e in sizes)
    if min(spatial) < 1:
        shapes = f"input {input.shape} and weight {weight.shape}"
        raise ValueError(f"{name}: {shapes} would give an output of size {spatial}")
    # Taking the extra size from the padding behind makes the convolution map the output to exactly the input.
    geometry = Geometry(stride, tuple((p, p - e) for p, e in zip(padding, extra)), dilation, groups)
    batch = input if input.ndim == n + 2 else unsqueeze(input, 0)
    y = _convolution_input(batch, weight, spatial, geometry)
    if bias is not None:
        y = _add(y, reshape(bias, (*bias.shape, *(1 for _ in spatial))))
    return y if batch is input else squeeze(y, 0)


conv_transpose1d = specialize("conv_transpose1d", _conv_transpose_nd, 1)
conv_transpose2d = specialize("conv_transpose2d", _conv_transpose_nd, 2)
conv_transpose3d = specialize("conv_transpose3d", _conv_transpose_nd, 3)


# -------------------------------------------------------------------------------------- patches


@primitive(input=lambda g, input_shape, kernel, geometry: _col2im(g, input_shape[2:], kernel, geometry))
def _im2col(input: Array, kernel: Sizes, geometry: Geometry) -> Array:
    """All patches of (N, C, *spatial): (N, C, *kernel, *positions)."""
    return kernels.im2col(input, kernel, *geometry[:3])


@primitive(patches=lambda g, kernel, geometry: _im2col(g, kernel, geometry))
def _col2im(patches: Array, spatial: Sizes, kernel: Sizes, geometry: Geometry) -> Array:
    """Patches (N, C, *kernel, *positions) added up where they overlap: (N, C, *spatial)."""
    return kernels.col2im(patches, spatial, kernel, *geometry[:3])


def _patches(name: str, spatial: Any, kernel_size: Any, dilation: Any, padding: Any,
             stride: Any) -> tuple[Sizes, Geometry, Sizes]:  # fmt: skip
    """The size of the patches, where they are, and how many there are in each dimension."""
    kernel = ntuple(kernel_size, 2, name, "kernel_size", 1)
    pairs = padding_pairs(name, ntuple(padding, 2, name, "padding"), 2, kernel, (1, 1), (1, 1))
    geometry = Geometry(ntuple(stride, 2, name, "stride", 1), pairs, ntuple(dilation, 2, name, "dilation", 1))
    out = kernels.positions(spatial, kernel, *geometry[:3])
    if min(out) < 1:
        raise ValueError(f"{name}: kernel_size {kernel} does not fit into spatial size {tuple(spatial)} "
                         f"(padding {padding}, dilation {dilation})")  # fmt: skip
    return kernel, geometry, out


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The patches of images (N, C, H, W) as columns (N, C * kh * kw, L): im2col."""
    if input.ndim not in (3, 4):
        raise ValueError(f"unfold: input must have shape (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
    kernel, geometry, out = _patches("unfold", input.shape[-2:], kernel_size, dilation, padding, stride)
    patches = _im2col(input if input.ndim == 4 else unsqueeze(input, 0), kernel, geometry)
    return reshape(patches, (*input.shape[:-3], input.shape[-3] * prod(kernel), prod(out)))


def fold(input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """Columns (N, C * kh * kw, L) added up where they overlap in images (N, C, *output_size): col2im."""
    if input.ndim not in (2, 3):
        raise ValueError(f"fold: input must have shape (N, C * kh * kw, L) or (C * kh * kw, L), got {input.shape}")
    spatial = ntuple(output_size, 2, "fold", "output_size", 1)
    kernel, geometry, out = _patches("fold", spatial, kernel_size, dilation, padding, stride)
    if input.shape[-2] % prod(kernel) or input.shape[-1] != prod(out):
        raise ValueError(f"fold: input must have shape (N, C * {prod(kernel)}, {prod(out)}) for output_size {spatial} "
                         f"and kernel_size {kernel}, got {tuple(input.shape)}")  # fmt: skip
    patches = reshape(input, (*(input.shape[:-2] or (1,)), input.shape[-2] // prod(kernel), *kernel, *out))
    y = _col2im(patches, spatial, kernel, geometry)
    return y if input.ndim == 3 else squeeze(y, 0)
