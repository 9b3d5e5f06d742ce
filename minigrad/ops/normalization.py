"""Normalization: giving parts of a tensor mean 0 and variance 1, or length 1.

Batch, layer, group, instance and RMS normalization are one operation, :func:`_standardize`. They
differ in which dimensions share their statistics and in how weight and bias spread over the input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arguments import check_kind
from ..engine import TensorBase, new_tensor, primitive, sum_to
from ..kernels import normalization as kernels
from ..kernels import rows as by_row
from ..kernels.layout import fast
from ..memory import Array
from .elementwise import clamp, pow, rsqrt, square
from .inplace import copy_, records
from .reduction import norm


def _by_channel(x: Array, dims: tuple[int, ...]) -> bool:
    """Whether this is batch normalization of an array that has a kernel of its own."""
    return dims == (0, *range(2, x.ndim)) and kernels.handles(x)


def _statistics(x: Array, dims: tuple[int, ...], eps: float, center: bool = True) -> tuple[Any, Array, Array]:
    """Mean (None unless centred), mean square around it, and the reciprocal of the standard deviation."""
    if center and _by_channel(x, dims):
        shape = (1, -1) + (1,) * (x.ndim - 2)
        mean, variance = (a.reshape(shape) for a in kernels.moments(x))
        scale = 1 / np.sqrt(variance + eps)
        return mean.astype(x.dtype), variance.astype(x.dtype), scale.astype(x.dtype)
    wide = x.astype(np.float32) if x.dtype == np.float16 else x  # squares would overflow
    mean = np.mean(wide, axis=dims, keepdims=True) if center else None
    variance = np.mean(np.square(wide - mean if center else wide), axis=dims, keepdims=True)
    return mean, variance, 1 / np.sqrt(variance + eps)


def _standardize_gradients(g: Array, input: Array, weight: Array, bias: Array, mean: Array, scale: Array, needs: tuple,
                           dims: tuple[int, ...], shape: tuple[int, ...], eps: float) -> tuple:  # fmt: skip
    center = mean is not None
    recording = isinstance(input, TensorBase)
    if center and not recording and _by_channel(input, dims):
        return *kernels.batch_gradient(g, input, weight, mean.reshape(-1), scale.reshape(-1)), None, None
    if recording:  # mean and scale are functions of the input, which second derivatives must see
        mean = np.mean(input, axis=dims, keepdims=True) if center else None
        centred = input - mean if center else input
        scale = 1 / np.sqrt(np.mean(np.square(centred), axis=dims, keepdims=True) + eps)
        x = centred * scale
    else:
        x = (input - mean if center else input) * scale
    w = 1 if weight is None else np.reshape(weight, shape)
    count = math.prod(input.shape[d] for d in dims)
    if all(shape[d] == 1 for d in dims):  # one weight for all that share statistics: then so do the sums
        total, product = np.sum(g, axis=dims, keepdims=True), np.sum(g * x, axis=dims, keepdims=True)
        for_bias, for_weight, for_input, factor = total, product, g, scale * w
    else:
        for_bias, for_weight, for_input, factor = g, g * x, g * w, scale
        total = np.sum(for_input, axis=dims, keepdims=True) if center else None
        product = np.sum(for_input * x, axis=dims, keepdims=True)
    dx = None
    if needs[0]:
        dx = for_input - x * (product / count)
        dx = (dx - total / count if center else dx) * factor
    dw = np.reshape(sum_to(for_weight, shape), weight.shape) if needs[1] else None
    db = np.reshape(sum_to(for_bias, shape), bias.shape) if needs[2] else None
    return dx, dw, db, None, None


@primitive(inputs=("input", "weight", "bias", "mean", "scale"), joint=_standardize_gradients)
def _standardize(input: Array, weight: Array, bias: Array, mean: Array, scale: Array, dims: tuple[int, ...],
                 shape: tuple[int, ...], eps: float) -> Array:  # fmt: skip
    """``(input - mean) * scale * weight + bias``, where mean and scale are :func:`_statistics` of the input.

    They come as arguments because running averages need them too. ``shape`` is the one in which weight
    and bias broadcast to the input.
    """
    if mean is not None and _by_channel(input, dims):
        factor = scale.reshape(-1) if weight is None else scale.reshape(-1) * weight
        offset = -factor * mean.reshape(-1)
        return kernels.affine(input, factor, offset if bias is None else offset + bias)
    y = (input if mean is None else input - mean) * scale
    if weight is not None:
        y = y * np.reshape(weight, shape)
    if bias is not None:
        y = y + np.reshape(bias, shape)
    return y.astype(input.dtype, copy=False)


def _check_affine(name: str, input: Any, shape: tuple[int, ...], **parameters: Any) -> None:
    for parameter, value in parameters.items():
        if value is not None and value.shape != shape:
            given = f"{parameter} has shape {value.shape}, expected {shape}"
            raise ValueError(f"{name}: {given} for an input of shape {input.shape}")


def _standardized(input: Any, weight: Any, bias: Any, dims: tuple[int, ...], shape: tuple[int, ...], eps: float,
                  center: bool = True) -> tuple[Any, Any, Any]:  # fmt: skip
    """The standardized input, and the mean and variance it had."""
    mean, variance, scale = _statistics(input._array, dims, eps, center)
    y = _standardize(input, weight, bias, new_tensor(mean) if center else None, new_tensor(scale), dims, shape, eps)
    return y, mean, variance


def _update(running: Any, value: Array, momentum: float) -> None:
    """Move a running average towards the mean of ``value`` over samples, in place and outside the graph."""
    if running is not None:
        old, value = running._array, value[0] if len(value) == 1 else np.mean(value, axis=0)
        copy_(running, new_tensor(old + momentum * (np.reshape(value, old.shape) - old)))


@primitive(input=lambda g, scale: g * scale,
           scale=lambda g, input, scale_shape: sum_to(g * input, scale_shape),
           shift=lambda g, shift_shape: sum_to(g, shift_shape))  # fmt: skip
def _affine(input: Array, scale: Array, shift: Array) -> Array:
    """``input * scale + shift``, with one number for each channel."""
    if kernels.handles(input, scale, shift):
        return kernels.affine(input, scale.reshape(-1), shift.reshape(-1))
    y = input * scale
    return np.add(y, shift, out=y) if type(y) is np.ndarray and y.dtype == shift.dtype else y + shift


def _with_running(name: str, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
                  eps: float) -> Any:  # fmt: skip
    """Normalization by given statistics: one affine function for each channel."""
    if running_mean is None or running_var is None:
        raise ValueError(f"{name}: outside of training, running_mean and running_var must be given")
    given: list[Any] = [running_mean, running_var, weight, bias]
    recording = records(*given)
    if not recording:
        given = [getattr(a, "_array", a) for a in given]
    mean, var, weight, bias = given
    scale = rsqrt(var + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    shape = (-1,) + (1,) * (input.ndim - 2)
    factors = scale.reshape(shape), shift.reshape(shape)
    return _affine(input, *(factors if recording else map(new_tensor, factors)))


def _check_channels(name: str, input: Any, eps: float, **parameters: Any) -> None:
    if input.ndim < 2:
        raise ValueError(f"{name}: expected input (N, C, ...), got shape {input.shape}")
    check_kind(name, "f", input=input)
    if eps < 0:
        raise ValueError(f"{name}: eps must not be negative, got {eps}")
    _check_affine(name, input, input.shape[1:2], **parameters)


def _channel_norm(name: str, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, own: bool,
                  dims: tuple[int, ...], momentum: float, eps: float) -> Any:  # fmt: skip
    """Normalization of each channel by its ``own`` statistics over ``dims`` or by the running ones."""
    _check_channels(name, input, eps, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    if not own:
        return _with_running(name, input, running_mean, running_var, weight, bias, eps)
    count = math.prod(input.shape[d] for d in dims)
    if count == 1:
        raise ValueError(f"{name}: in training each channel needs more than one value, but input {input.shape} has one")
    shape = (1, input.shape[1]) + (1,) * (input.ndim - 2)
    y, mean, variance = _standardized(input, weight, bias, dims, shape, eps)
    _update(running_mean, mean, momentum)
    _update(running_var, variance * (count / max(count - 1, 1)), momentum)
    return y


def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
               training: bool = False, momentum: float = 0.1, eps: float = 1e-5) -> Any:  # fmt: skip
    """Each channel of ``input`` (N, C, ...) with mean 0 and variance 1, times ``weight``, plus ``bias`` (both (C,)).

    In training by the statistics of the batch (Ioffe and Szegedy 2015), towards which ``momentum`` moves the
    running ones in place (with the unbiased variance); otherwise by ``running_mean`` and ``running_var``.
    """
    dims = (0, *range(2, input.ndim))
    return _channel_norm("batch_norm", input, running_mean, running_var, weight, bias, training, dims, momentum, eps)


def instance_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Any:  # fmt: skip
    """Each channel of each sample of ``input`` (N, C, ...) with mean 0 and variance 1, times ``weight``, plus ``bias``.

    With ``use_input_stats=False`` by the running statistics; otherwise those, if given, are updated in place
    with the averages over the batch (Ulyanov et al. 2016).
    """
    return _channel_norm("instance_norm", input, running_mean, running_var, weight, bias, use_input_stats,
                         tuple(range(2, input.ndim)), momentum, eps)  # fmt: skip


def _last_dims(name: str, input: Any, normalized_shape: Any,
               **parameters: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:  # fmt: skip
    """The shape of the last dimensions that are normalized together, and which they are."""
    shape = tuple(normalized_shape) if isinstance(normalized_shape, Sequence) else (normalized_shape,)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"{name}: normalized_shape {shape} is not the end of the input's shape {input.shape}")
    check_kind(name, "f", input=input)
    _check_affine(name, input, shape, **parameters)
    return shape, tuple(range(input.ndim - len(shape), input.ndim))


def _layer_norm_gradients(g: Array, input: Array, weight: Array, bias: Array, needs: tuple, dims: tuple[int, ...],
                          shape: tuple[int, ...], eps: float, memory: list | None) -> tuple:  # fmt: skip
    if not memory:
        return _standardize_gradients(g, input, weight, bias, input, input, needs, dims, shape, eps)[:3]  # anew
    rows = -1, math.prod(shape)
    w = None if weight is None else weight.reshape(-1)
    found = by_row.layer_norm_gradient(g.reshape(rows), input.reshape(rows), w, *memory)
    given = input, weight, bias
    return tuple(d.reshape(a.shape) if need else None for d, a, need in zip(found, given, needs, strict=True))


@primitive(inputs=("input", "weight", "bias"), joint=_layer_norm_gradients)
def _layer_norm(input: Array, weight: Array, bias: Array, dims: tuple[int, ...], shape: tuple[int, ...], eps: float,
                memory: list | None = None) -> Array:  # fmt: skip
    """:func:`layer_norm` for arrays that the kernel takes."""
    w, b = (None if a is None else a.reshape(-1) for a in (weight, bias))
    y, *found = by_row.layer_norm(input.reshape(-1, math.prod(shape)), w, b, eps)
    if memory is not None:
        memory.extend(found)
    return y.reshape(input.shape)


def layer_norm(input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """``input`` with mean 0 and variance 1 over its last dimensions, times ``weight``, plus ``bias`` (Ba et al. 2016).

    ``normalized_shape``, an int or several, is the size of those dimensions, and the shape of weight and bias.
    """
    shape, dims = _last_dims("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    full = (1,) * (input.ndim - len(shape)) + shape
    if fast(input._array) and input._array.size and all(p is None or p.dtype == input.dtype for p in (weight, bias)):
        return _layer_norm(input, weight, bias, dims, full, eps)
    return _standardized(input, weight, bias, dims, full, eps)[0]


def rms_norm(input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """``input / sqrt(mean(input**2) + eps) * weight`` over its last dimensions (Zhang and Sennrich 2019).

    Takes (..., ``*normalized_shape``), and keeps the shape.

    ``eps`` is by default the distance from 1 to the next number in the input's dtype.
    """
    shape, dims = _last_dims("rms_norm", input, normalized_shape, weight=weight)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    return _standardized(input, weight, None, dims, (1,) * (input.ndim - len(shape)) + shape, eps, center=False)[0]


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Each group of channels of each sample of ``input`` (N, C, ...) with mean 0 and variance 1 (Wu and He 2018).

    Then each channel is scaled by ``weight`` and shifted by ``bias``, both (C,).
    """
    _check_channels("group_norm", input, eps, weight=weight, bias=bias)
    N, C, *rest = input.shape
    if num_groups < 1 or C % num_groups:
        raise ValueError(f"group_norm: {C} channels (input {input.shape}) do not divide into {num_groups} groups")
    if N * (C // num_groups) * math.prod(rest) == 1:
        raise ValueError(f"group_norm: a group needs more than one value, but input of shape {input.shape} has one in "
                         f"each of {num_groups} groups")  # fmt: skip
    grouped = input.reshape(N, num_groups, C // num_groups, math.prod(rest))
    y, _, _ = _standardized(grouped, weight, bias, (2, 3), (1, num_groups, C // num_groups, 1), eps)
    return y.reshape(input.shape)


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """``input / (k + alpha * mean(input**2)) ** beta``, the mean over ``size`` neighbouring channels.

    Takes (N, C, ...), and keeps the shape.

    Channels are dimension 1; those outside the input count as 0 (Krizhevsky et al. 2012).
    """
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: expected input (N, C, L, ...), got shape {input.shape}")
    if size < 1:
        raise ValueError(f"local_response_norm: size must be at least 1, got {size}")
    C = input.shape[1]
    channel = np.arange(C)
    offset = channel[None, :] - channel[:, None]  # of the neighbour (column) from the channel (row)
    near = np.logical_and(offset >= -(size // 2), offset <= (size - 1) // 2).astype(input.dtype) / size
    squares = square(input).reshape(input.shape[0], C, math.prod(input.shape[2:]))
    means = (new_tensor(near) @ squares).reshape(input.shape)
    return input / pow(means * alpha + k, beta)


def normalize(input: Any, p: float = 2.0, dim: int | tuple[int, ...] | None = 1, eps: float = 1e-12) -> Any:
    """``input`` divided by its p-norm along ``dim``, or by ``eps`` where that is larger.

    Takes any shape, and keeps it.
    """
    return input / clamp(norm(input, p, dim, True), min=eps)
