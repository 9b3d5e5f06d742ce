"""Pooling: the maximum or the mean of windows over the last dimensions."""

from __future__ import annotations

from math import prod
from typing import Any

from ..arguments import check_kind, check_spatial, ntuple, specialize
from ..engine import primitive
from ..kernels import layout
from ..kernels import pooling as kernels
from ..kernels.convolution import Pairs
from ..kernels.pooling import Sizes, Windows
from ..kernels.resize import averages
from ..memory import Array
from .indexing import gather
from .resize import resample
from .shaping import reshape


def _windows(name: str, n: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
             ceil_mode: bool) -> Windows:  # fmt: skip
    """Where the windows are, from the arguments of a pooling function."""
    check_spatial(name, n, input)
    spatial = tuple(input.shape[-n:])
    kernel = ntuple(kernel_size, n, name, "kernel_size", 1)
    stride = kernel if stride is None or stride == () else ntuple(stride, n, name, "stride", 1)
    dilation = ntuple(dilation, n, name, "dilation", 1)
    sides = ntuple(padding, n, name, "padding")
    out, pairs = [], []
    for size, k, s, p, d in zip(spatial, kernel, stride, sides, dilation):
        reach = d * (k - 1) + 1
        if p > reach // 2:
            raise ValueError(
                f"{name}: padding {sides} must be at most half the kernel_size {kernel} (dilation {dilation})"
            )
        count = (size + 2 * p - reach + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= size + p:
            count -= 1  # no window starts in the padding behind
        if count < 1 or size == 0:
            raise ValueError(f"{name}: kernel_size {kernel} (dilation {dilation}) does not fit into input of shape "
                             f"{tuple(input.shape)} with padding {sides}")  # fmt: skip
        out.append(count)
        pairs.append((p, max(0, (count - 1) * s + reach - size - p)))
    return Windows(spatial, kernel, stride, tuple(pairs), dilation, tuple(out))


# -------------------------------------------------------------------------------------- maxima


def _no_change(g: Array) -> None:
    """The gradient with respect to what only decides where the maximum is."""


@primitive(input=lambda g, input, y, windows, memory: _max_pool_scatter(
    g, memory[0] if memory else input, y, windows=windows
))  # fmt: skip
def _max_pool(input: Array, windows: Windows, memory: list | None = None) -> Array:
    if memory is not None and kernels.handles(input, windows):
        input = layout.arranged(input)
        memory.append(input)
    return kernels.max_pool(input, windows)


@primitive(grad=lambda g, input, output, windows: _max_pool_gather(g, input, output, windows=windows),
           input=_no_change, output=_no_change)  # fmt: skip
def _max_pool_scatter(grad: Array, input: Array, output: Array, windows: Windows) -> Array:
    """The adjoint of max pooling: each window's gradient goes to its largest element."""
    return kernels.max_pool_scatter(grad, input, output, windows)


@primitive(grad=lambda g, input, output, windows: _max_pool_scatter(g, input, output, windows=windows),
           input=_no_change, output=_no_change)  # fmt: skip
def _max_pool_gather(grad: Array, input: Array, output: Array, windows: Windows) -> Array:
    """``grad`` at the largest element of each window of ``input``."""
    return kernels.max_pool_gather(grad, input, output, windows)


@primitive(inputs=("input", "output"))
def _max_pool_indices(input: Array, output: Array, windows: Windows) -> Array:
    """Where the largest element of each window is, counted over all pooled dimensions."""
    return kernels.max_pool_indices(input, output, windows)


def _max_pool_nd(n: int, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 ceil_mode: bool = False, return_indices: bool = False) -> Any:  # fmt: skip
    """The largest element of each window of the last dimensions; of equal ones the first gets the gradient.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W); or without N.
        kernel_size: size of the windows; an int or one for each dimension, as all that follow.
        stride: step between windows; None means ``kernel_size``.
        padding: how far windows reach beyond the input on either side, at most half of them.
        dilation: step between the elements of a window.
        ceil_mode: keep the last window even if it reaches beyond the padding.
        return_indices: return also where the elements are, counted over all pooled dimensions.
    """
    windows = _windows(f"max_pool{n}d", n, input, kernel_size, stride, padding, dilation, ceil_mode)
    if input.dtype.kind == "b":
        raise TypeError(f"max_pool{n}d: a bool tensor has no order; convert it with .to(dtype)")
    return _maxima(input, windows, return_indices)


def _maxima(input: Any, windows: Windows, return_indices: bool) -> Any:
    y = _max_pool(input, windows=windows, memory=None)
    return (y, _max_pool_indices(input, y, windows=windows)) if return_indices else y


max_pool1d = specialize("max_pool1d", _max_pool_nd, 1)
max_pool2d = specialize("max_pool2d", _max_pool_nd, 2)
max_pool3d = specialize("max_pool3d", _max_pool_nd, 3)


# --------------------------------------------------------------------------------------- means


def _divisor(like: Array, windows: Windows, divisor: float | Pairs) -> Any:
    return divisor if isinstance(divisor, (int, float)) else kernels.counts(like, windows, divisor)


@primitive(input=lambda g, windows, divisor: _avg_pool_adjoint(g, windows=windows, divisor=divisor))
def _avg_pool(input: Array, windows: Windows, divisor: float | Pairs) -> Array:
    """The sum of each window over ``divisor``: a number, or the padding that counts as elements."""
    return kernels.window_mean(input, windows, _divisor(input, windows, divisor))


@primitive(grad=lambda g, windows, divisor: _avg_pool(g, windows=windows, divisor=divisor))
def _avg_pool_adjoint(grad: Array, windows: Windows, divisor: float | Pairs) -> Array:
    """Each window's share of the gradient to each of its elements."""
    return kernels.window_spread(grad, windows, _divisor(grad, windows, divisor))


def _avg_pool_nd(n: int, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: float | None = None) -> Any:  # fmt: skip
    """The mean of each window of the last dimensions.

    Args:
        input, kernel_size, stride, ceil_mode: as in :func:`max_pool2d`.
        padding: zeros on either side of the input.
        count_include_pad: whether these zeros count as elements.
        divisor_override: what to divide sums by, instead of the number of elements.
    """
    name = f"avg_pool{n}d"
    windows = _windows(name, n, input, kernel_size, stride, padding, 1, ceil_mode)
    check_kind(name, "f", input=input)
    if divisor_override == 0:
        raise ValueError(f"{name}: divisor_override must not be zero")
    sides = ntuple(padding, n, name, "padding") if count_include_pad else (0,) * n
    divisor = tuple((p, p) for p in sides) if divisor_override is None else divisor_override
    return _avg_pool(input, windows=windows, divisor=divisor)


avg_pool1d = specialize("avg_pool1d", _avg_pool_nd, 1)
avg_pool2d = specialize("avg_pool2d", _avg_pool_nd, 2)
avg_pool3d = specialize("avg_pool3d", _avg_pool_nd, 3)


# ------------------------------------------------------------------------------------- adaptive


def _adaptive(name: str, n: int, input: Any, output_size: Any) -> tuple[Sizes, Windows | None]:
    """The output's size, and the windows if they are all alike."""
    check_spatial(name, n, input)
    spatial = tuple(input.shape[-n:])
    given = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * n
    if len(given) == n:
        given = tuple(size if out is None else out for out, size in zip(given, spatial))
    out = ntuple(given, n, name, "output_size", 1)
    if min(spatial) < 1:
        raise ValueError(f"{name}: input of shape {tuple(input.shape)} has nothing to pool")
    if any(size % o for o, size in zip(out, spatial)):
        return out, None
    kernel = tuple(size // o for o, size in zip(out, spatial))
    return out, Windows(spatial, kernel, kernel, ((0, 0),) * n, (1,) * n, out)


def _adaptive_avg_pool_nd(n: int, input: Any, output_size: Any) -> Any:
    """The means of windows that cover the last dimensions evenly: number i of m goes from
    ``floor(i * n / m)`` to ``ceil((i + 1) * n / m)``.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W); or without N.
        output_size: how many windows; an int or one for each dimension, None for as many as elements.
    """
    name = f"adaptive_avg_pool{n}d"
    out, windows = _adaptive(name, n, input, output_size)
    check_kind(name, "f", input=input)
    if windows is not None:
        return _avg_pool(input, windows=windows, divisor=prod(windows.kernel))
    return resample(input, tuple(averages(size, o) for size, o in zip(input.shape[-n:], out)))


adaptive_avg_pool1d = specialize("adaptive_avg_pool1d", _adaptive_avg_pool_nd, 1)
adaptive_avg_pool2d = specialize("adaptive_avg_pool2d", _adaptive_avg_pool_nd, 2)
adaptive_avg_pool3d = specialize("adaptive_avg_pool3d", _adaptive_avg_pool_nd, 3)


@primitive(inputs=("input",))
def _adaptive_max_indices(input: Array, out: Sizes) -> Array:
    """Where the largest element of each adaptive window is, counted over all pooled dimensions."""
    return kernels.adaptive_max_indices(input, out)


def _adaptive_max_pool_nd(n: int, input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of windows that cover the last dimensions evenly: see :func:`adaptive_avg_pool2d`."""
    out, windows = _adaptive(f"adaptive_max_pool{n}d", n, input, output_size)
    if windows is not None:
        return _maxima(input, windows, return_indices)
    indices = _adaptive_max_indices(input, out=out)
    lead = tuple(input.shape[:-n])
    flat = reshape(input, (*lead, prod(input.shape[-n:])))
    y = reshape(gather(flat, -1, reshape(indices, (*lead, prod(out)))), (*lead, *out))
    return (y, indices) if return_indices else y


adaptive_max_pool1d = specialize("adaptive_max_pool1d", _adaptive_max_pool_nd, 1)
adaptive_max_pool2d = specialize("adaptive_max_pool2d", _adaptive_max_pool_nd, 2)
adaptive_max_pool3d = specialize("adaptive_max_pool3d", _adaptive_max_pool_nd, 3)
