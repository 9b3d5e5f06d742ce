"""Convolutions and patches, against loops over every position and every element of the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import convolution as ops
from minigrad.testing import floats
from nn import functional as F

from .spec import Case, Spec


def _numbers(value: Any, n: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def convolution(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, stride: Any = 1, padding: Any = 0,
                dilation: Any = 1, groups: int = 1) -> np.ndarray:  # fmt: skip
    """A convolution in any number of dimensions, by its definition."""
    n = w.ndim - 2
    if x.ndim == n + 1:
        return convolution(x[None], w, bias, stride, padding, dilation, groups)[0]
    stride, dilation, kernel = _numbers(stride, n), _numbers(dilation, n), w.shape[2:]
    if padding == "same":
        pairs = [(d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(kernel, dilation)]
    else:
        pairs = [(p, p) for p in _numbers(0 if padding == "valid" else padding, n)]
    return _convolve(x, w, bias, stride, pairs, dilation, groups)


def _convolve(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Any, pairs: Any, dilation: Any,
              groups: int) -> np.ndarray:  # fmt: skip
    kernel, f = w.shape[2:], w.shape[0]
    sizes = zip(x.shape[2:], kernel, stride, pairs, dilation)
    out = [(size + sum(p) - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in sizes]
    y = np.zeros((len(x), f, *out))
    for i in np.ndindex(y.shape):
        for j in np.ndindex(w.shape[1:]):  # a channel of the group, and an element of the kernel
            place = tuple(o * s + k * d - p[0] for o, s, k, d, p in zip(i[2:], stride, j[1:], dilation, pairs))
            if all(0 <= q < size for q, size in zip(place, x.shape[2:])):
                y[i] += x[(i[0], i[1] * groups // f * w.shape[1] + j[0], *place)] * w[(i[1], *j)]
        y[i] += 0 if bias is None else bias[i[1]]
    return y


def transposed(x: np.ndarray, w: np.ndarray, bias: np.ndarray | None = None, stride: Any = 1, padding: Any = 0,
               output_padding: Any = 0, groups: int = 1, dilation: Any = 1) -> np.ndarray:  # fmt: skip
    """A transposed convolution: every element adds its multiple of the kernel to the output."""
    n = w.ndim - 2
    if x.ndim == n + 1:
        return transposed(x[None], w, bias, stride, padding, output_padding, groups, dilation)[0]
    stride, padding, dilation = _numbers(stride, n), _numbers(padding, n), _numbers(dilation, n)
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, _numbers(output_padding, n))
    y = np.zeros(
        (len(x), w.shape[1] * groups, *((o - 1) * s - 2 * p + d * (k - 1) + e + 1 for o, k, s, p, d, e in sizes))
    )
    for i in np.ndindex(x.shape):
        for j in np.ndindex(w.shape[1:]):
            place = tuple(o * s + k * d - p for o, s, k, d, p in zip(i[2:], stride, j[1:], dilation, padding))
            if all(0 <= q < size for q, size in zip(place, y.shape[2:])):
                y[(i[0], i[1] * groups // x.shape[1] * w.shape[1] + j[0], *place)] += x[i] * w[(i[1], *j)]
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


def unfolded(x: np.ndarray, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> np.ndarray:
    """The columns of all patches: what a convolution with each unit kernel finds."""
    if x.ndim == 3:
        return unfolded(x[None], kernel_size, dilation, padding, stride)[0]
    kernel, c = _numbers(kernel_size, 2), x.shape[1]
    units = np.eye(c * kernel[0] * kernel[1]).reshape(-1, c, *kernel)
    y = convolution(x, units, None, stride, padding, dilation)
    return y.reshape(*y.shape[:2], int(np.prod(y.shape[2:])))


@st.composite
def options(draw: Any, n: int) -> dict[str, Any]:
    """Stride, padding, dilation and groups, as a number or one for each dimension."""
    each = lambda low, high: st.one_of(st.integers(low, high), st.tuples(*[st.integers(low, high)] * n))
    return {"stride": draw(each(1, 2)), "padding": draw(each(0, 2 if n < 3 else 1)),
            "dilation": draw(each(1, 2)), "groups": draw(st.integers(1, 2))}  # fmt: skip


@st.composite
def convolutions(draw: Any, n: int) -> Case:
    """Calls of a convolution in ``n`` dimensions, batched or not, with bias or not."""
    option = draw(options(n))
    words = draw(st.sampled_from([None, None, None, "same", "valid"]))
    if words:
        option["padding"] = words
        option["stride"] = 1 if words == "same" else option["stride"]
    padding = _numbers(0 if words else option["padding"], n)
    kernel = tuple(draw(st.integers(1, 3 if n < 3 else 2)) for _ in range(n))
    dilation = _numbers(option["dilation"], n)
    smallest = [max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(kernel, dilation, padding)]
    spatial = [m + draw(st.integers(0, 2 if n < 3 else 1)) for m in smallest]
    groups = option["groups"]
    batch = draw(st.sampled_from([(), (1,), (2,)] if n < 3 else [(), (1,)]))
    x = draw(floats((*batch, groups * draw(st.integers(1, 2 if n < 3 else 1)), *spatial)))
    c = x.shape[len(batch)]
    w = draw(floats((groups * draw(st.integers(1, 2)), c // groups, *kernel)))
    return Case(x, w, *([draw(floats((len(w),)))] if draw(st.booleans()) else []), **option)


@st.composite
def transposes(draw: Any, n: int) -> Case:
    """Calls of a transposed convolution in ``n`` dimensions."""
    option = draw(options(n))
    stride, dilation = _numbers(option["stride"], n), _numbers(option["dilation"], n)
    option["output_padding"] = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation))
    kernel = tuple(draw(st.integers(1, 3 if n < 3 else 2)) for _ in range(n))
    option["padding"] = tuple(draw(st.integers(0, d * (k - 1) // 2)) for k, d in zip(kernel, dilation))
    groups = option["groups"]
    batch = draw(st.sampled_from([(), (1,), (2,)] if n < 3 else [(), (1,)]))
    x = draw(
        floats((*batch, groups * draw(st.integers(1, 2 if n < 3 else 1)), *(draw(st.integers(1, 3)) for _ in kernel)))
    )
    w = draw(floats((x.shape[len(batch)], draw(st.integers(1, 2)), *kernel)))
    bias = [draw(floats((w.shape[1] * groups,)))] if draw(st.booleans()) else []
    return Case(x, w, *bias, **option)


@st.composite
def patches(draw: Any) -> dict[str, Any]:
    """The options of unfold and fold, with a spatial size that they fit into."""
    pair = lambda low, high: draw(st.one_of(st.integers(low, high), st.tuples(*[st.integers(low, high)] * 2)))
    option = {"kernel_size": pair(1, 2), "dilation": pair(1, 2), "padding": pair(0, 1), "stride": pair(1, 2)}
    kernel, dilation = _numbers(option["kernel_size"], 2), _numbers(option["dilation"], 2)
    spatial = tuple(d * (k - 1) + 1 + draw(st.integers(0, 1)) for k, d in zip(kernel, dilation))
    return {"spatial": spatial, **option}


@st.composite
def unfolds(draw: Any) -> Case:
    option = draw(patches())
    lead = draw(st.sampled_from([(1,), (2,), (2, 1), (1, 2)]))
    return Case(draw(floats((*lead, *option.pop("spatial")))), **option)


@st.composite
def folds(draw: Any) -> Case:
    option = draw(patches())
    lead = draw(st.sampled_from([(1,), (2,), (2, 1), (1, 2)]))
    spatial = option.pop("spatial")
    columns = unfolded(np.zeros((*lead, *spatial)), **option)
    return Case(draw(floats(columns.shape)), spatial, **option)


def folded(columns: np.ndarray, output_size: tuple[int, ...], kernel_size: Any, **option: Any) -> np.ndarray:
    """Columns added up in an image: the transpose of unfolding, as a matrix."""
    if columns.ndim == 2:
        return folded(columns[None], output_size, kernel_size, **option)[0]
    channels = columns.shape[1] // int(np.prod(_numbers(kernel_size, 2)))
    units = np.eye(channels * output_size[0] * output_size[1]).reshape(-1, channels, *output_size)
    matrix = unfolded(units, kernel_size, **option).reshape(len(units), -1)
    flat = columns.reshape(len(columns), columns.shape[1] * columns.shape[2])
    return (flat @ matrix.T).reshape(len(columns), channels, *output_size)


_FIXED: dict[str, Any] = {"stride": (2, 1), "padding": ((1, 0), (0, 2)), "dilation": (1, 2), "groups": 2}


def _weight_reference(g: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The gradient in the weight: for each of its elements, the convolution with that element alone, times ``g``."""
    w = np.zeros((2, 1, 2, 2))
    for i in np.ndindex(w.shape):
        unit = np.zeros(w.shape)
        unit[i] = 1
        w[i] = (g * _convolve(x, unit, None, *(_FIXED[k] for k in ("stride", "padding", "dilation")), 2)).sum()
    return w


SPECS: dict[str, Spec] = {
    "conv1d": Spec(F.conv1d, convolutions(1), convolution, primitive="convolution"),
    "conv2d": Spec(F.conv2d, convolutions(2), convolution, primitive="convolution",
                   edges=[Case(np.ones((0, 2, 3, 3)), np.ones((1, 2, 2, 2)), np.ones(1)),
                          Case(np.ones((0, 1, 2, 2)), np.ones((3, 1, 1, 1))),
                          Case(np.ones((1, 2, 3, 3)), np.ones((0, 2, 2, 2)))]),
    "conv3d": Spec(F.conv3d, convolutions(3), convolution, primitive="convolution"),
    "conv without bias": Spec(F.conv2d, convolutions(2).map(lambda c: Case(*c.args[:2], **c.kwargs)), convolution,
                              primitive="convolution", adjoint=True),
    "conv_transpose1d": Spec(F.conv_transpose1d, transposes(1), transposed, primitive="convolution_input"),
    "conv_transpose2d": Spec(F.conv_transpose2d, transposes(2), transposed, primitive="convolution_input",
                             edges=[Case(np.ones((0, 2, 3, 3)), np.ones((2, 1, 2, 2)), np.ones(1))]),
    "conv_transpose3d": Spec(F.conv_transpose3d, transposes(3), transposed, primitive="convolution_input"),
    "convolution_weight": Spec(
        lambda g, x: ops._convolution_weight(g, x, (2, 2), ops.Geometry(**_FIXED)),
        st.builds(Case, floats((2, 2, 2, 2)), floats((2, 2, 4, 2))),
        _weight_reference, adjoint=True,
        edges=[Case(np.ones((0, 2, 2, 2)), np.ones((0, 2, 4, 2)))]),
    "unfold": Spec(F.unfold, unfolds(), unfolded, primitive="im2col", adjoint=True,
                   edges=[Case(np.ones((0, 1, 2, 2)), 2)]),
    "fold": Spec(F.fold, folds(), folded, primitive="col2im", adjoint=True,
                 edges=[Case(np.ones((0, 4, 1)), (2, 2), 2)]),
}  # fmt: skip


def _x(*shape: int, dtype: Any = None) -> mg.Tensor:
    return mg.ones(*shape, dtype=dtype)


_IMAGE, _KERNEL = _x(2, 3, 5, 5), _x(4, 3, 3, 3)

ERRORS = [
    ("conv2d channels", lambda: F.conv2d(_x(8, 3, 32, 32), _x(16, 4, 3, 3)), ValueError,
     r"conv2d: input has 3 channels \(shape \(8, 3, 32, 32\)\) but weight \(16, 4, 3, 3\) expects 4 \(groups=1\)"),
    ("conv2d matrix", lambda: F.conv2d(_x(5, 5), _KERNEL), ValueError, r"conv2d: input must have shape.*got \(5, 5\)"),
    ("conv2d alone", lambda: F.conv2d(_IMAGE), TypeError, r"conv2d\(\) missing 1 .* argument: 'weight'"),
    ("conv1d image", lambda: F.conv1d(_IMAGE, _x(4, 3, 3)), ValueError,
     r"conv1d: input must have shape \(batch, channels, l"),
    ("conv2d weight", lambda: F.conv2d(_IMAGE, _x(4, 3, 3)), ValueError,
     r"conv2d: weight must have shape \(out_ch.*\(4, 3, 3\)"),
    ("conv2d list", lambda: F.conv2d([[1.0]], _KERNEL), TypeError, "conv2d: input must be a Tensor, got list"),
    ("conv2d dtype", lambda: F.conv2d(_IMAGE, _x(4, 3, 3, 3, dtype=mg.float64)), TypeError,
     "weight is float64, input float32"),
    ("conv2d bias", lambda: F.conv2d(_IMAGE, _KERNEL, _x(3)), ValueError, r"bias has shape \(3,\), .* expects \(4,\)"),
    ("conv2d groups", lambda: F.conv2d(_IMAGE, _KERNEL, groups=3), ValueError,
     "4 output channels.*do not divide into 3 groups"),
    ("conv2d no groups", lambda: F.conv2d(_IMAGE, _KERNEL, groups=0), ValueError,
     "groups must be an int of at least 1, got 0"),
    ("conv2d kernel", lambda: F.conv2d(_x(2, 3, 2, 5), _KERNEL), ValueError,
     r"conv2d: the kernel covers \(3, 3\).*\(2, 5\)"),
    ("conv2d dilation", lambda: F.conv2d(_IMAGE, _KERNEL, dilation=3), ValueError,
     r"covers \(7, 7\).*dilation \(3, 3\)"),
    ("conv2d empty", lambda: F.conv2d(_IMAGE, _x(4, 3, 0, 3)), ValueError, "conv2d: the kernel is empty"),
    ("conv2d stride", lambda: F.conv2d(_IMAGE, _KERNEL, stride=0), ValueError,
     "conv2d: stride must be at least 1, got 0"),
    ("conv2d strides", lambda: F.conv2d(_IMAGE, _KERNEL, stride=(1, 1, 1)), ValueError,
     "stride must be an int or 2 ints"),
    ("conv2d float stride", lambda: F.conv2d(_IMAGE, _KERNEL, stride=1.5), TypeError, "conv2d: stride must be an int"),
    ("conv2d padding", lambda: F.conv2d(_IMAGE, _KERNEL, padding=-1), ValueError, "conv2d: padding must be at least 0"),
    ("conv2d padding word", lambda: F.conv2d(_IMAGE, _KERNEL, padding="full"), ValueError,
     "'same', 'valid' or numbers, got 'full'"),
    ("conv2d same", lambda: F.conv2d(_IMAGE, _KERNEL, padding="same", stride=2), ValueError,
     "padding='same' needs stride 1"),
    ("conv_transpose2d channels", lambda: F.conv_transpose2d(_IMAGE, _KERNEL), ValueError,
     "input has 3 channels.*expects 4"),
    ("conv_transpose2d groups", lambda: F.conv_transpose2d(_IMAGE, _x(3, 2, 2, 2), groups=2), ValueError,
     "3 input channels"),
    ("conv_transpose2d bias", lambda: F.conv_transpose2d(_IMAGE, _x(3, 2, 2, 2), _x(3)), ValueError, r"expects \(2,\)"),
    ("conv_transpose2d extra", lambda: F.conv_transpose2d(_IMAGE, _x(3, 2, 2, 2), output_padding=1), ValueError,
     "output_padding .* must be smaller than stride"),
    ("conv_transpose2d size", lambda: F.conv_transpose2d(_x(1, 1, 1, 1), _x(1, 1, 2, 2), padding=2), ValueError,
     "would give an output of size"),
    ("unfold dimensions", lambda: F.unfold(_x(5, 5), 2), ValueError, r"unfold: input must have shape.*\(5, 5\)"),
    ("unfold kernel", lambda: F.unfold(_IMAGE, 6), ValueError, r"unfold: kernel_size \(6, 6\) does not fit.*\(5, 5\)"),
    ("fold columns", lambda: F.fold(_x(1, 4, 3), (2, 2), 2), ValueError,
     r"fold: input must have shape \(N, C \* 4, 1\)"),
    ("fold dimensions", lambda: F.fold(_x(4), (2, 2), 2), ValueError, "fold: input must have shape"),
]  # fmt: skip
