"""Pooling layers: one value for each window of the input.

The input is (N, C, L), (N, C, H, W) or (N, C, D, H, W), or lacks N. The output has the same batch and channels.
"""

from __future__ import annotations

from typing import Any

from minigrad.arguments import ntuple

from . import functional as F
from .layer import Layer


class _MaxPool(Layer, shown=("kernel_size", "stride", "padding", "dilation", "ceil_mode")):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:  # fmt: skip
        stride = kernel_size if stride is None else stride
        super().__init__(locals())


class MaxPool1d(_MaxPool, function=F.max_pool1d):
    """The maximum of each window of (N, C, L).

    Args:
        kernel_size: the size of the windows.
        stride: the step from window to window; ``kernel_size`` by default.
        padding: how far windows reach beyond the input on both sides.
        dilation: the step between the elements of a window.
        return_indices: also give the position of each maximum, counted over all pooled dimensions.
        ceil_mode: let the last window begin where only a part of it is inside.
    """


class MaxPool2d(_MaxPool, function=F.max_pool2d):
    """The maximum of each window of (N, C, H, W); see :class:`MaxPool1d`.

    Sizes, strides and so on are ints, or a tuple with one for each dimension.
    """


class MaxPool3d(_MaxPool, function=F.max_pool3d):
    """The maximum of each window of (N, C, D, H, W); see :class:`MaxPool2d`."""


class AvgPool1d(Layer, function=F.avg_pool1d, shown=("kernel_size", "stride", "padding")):
    """The mean of each window of (N, C, L).

    Args:
        kernel_size: the size of the windows.
        stride: the step from window to window; ``kernel_size`` by default.
        padding: zeros on both sides of the input.
        ceil_mode: let the last window begin where only a part of it is inside.
        count_include_pad: whether zeros from padding count in the mean.
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:  # fmt: skip
        kernel_size = ntuple(kernel_size, 1, "AvgPool1d", "kernel_size")
        stride = kernel_size if stride is None else ntuple(stride, 1, "AvgPool1d", "stride")
        padding = ntuple(padding, 1, "AvgPool1d", "padding")
        super().__init__(locals())


class _AvgPool(Layer, shown=("kernel_size", "stride", "padding")):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:  # fmt: skip
        stride = kernel_size if stride is None else stride
        super().__init__(locals())


class AvgPool2d(_AvgPool, function=F.avg_pool2d):
    """The mean of each window of (N, C, H, W); see :class:`AvgPool1d`.

    Args:
        divisor_override: divide by this instead of the size of the window.
    """


class AvgPool3d(_AvgPool, function=F.avg_pool3d):
    """The mean of each window of (N, C, D, H, W); see :class:`AvgPool2d`."""


class _AdaptiveAvgPool(Layer):
    def __init__(self, output_size: Any) -> None:
        super().__init__(locals())


class AdaptiveAvgPool1d(_AdaptiveAvgPool, function=F.adaptive_avg_pool1d):
    """The means of ``output_size`` windows that cover (N, C, L)."""


class AdaptiveAvgPool2d(_AdaptiveAvgPool, function=F.adaptive_avg_pool2d):
    """The means of ``output_size`` windows that cover (N, C, H, W).

    Args:
        output_size: an int or one for each dimension; None keeps the input's size.
    """


class AdaptiveAvgPool3d(_AdaptiveAvgPool, function=F.adaptive_avg_pool3d):
    """The means of ``output_size`` windows that cover (N, C, D, H, W); see :class:`AdaptiveAvgPool2d`."""


class _AdaptiveMaxPool(Layer, shown=("output_size",)):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(locals())


class AdaptiveMaxPool1d(_AdaptiveMaxPool, function=F.adaptive_max_pool1d):
    """The maxima of ``output_size`` windows that cover (N, C, L), with ``return_indices`` also their positions."""


class AdaptiveMaxPool2d(_AdaptiveMaxPool, function=F.adaptive_max_pool2d):
    """The maxima of ``output_size`` windows that cover (N, C, H, W); see :class:`AdaptiveAvgPool2d`."""


class AdaptiveMaxPool3d(_AdaptiveMaxPool, function=F.adaptive_max_pool3d):
    """The maxima of ``output_size`` windows that cover (N, C, D, H, W); see :class:`AdaptiveAvgPool2d`."""
