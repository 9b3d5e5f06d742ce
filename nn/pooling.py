"""Pooling layers: one value for each window of the input."""

from __future__ import annotations

from typing import Any

from minigrad.arguments import ntuple

from . import functional as F
from .module import Module


class _Pool(Module):
    """A window that slides over the last ``dims`` dimensions."""

    dims: int

    def __init__(self, kernel_size: Any, stride: Any, padding: Any) -> None:
        super().__init__()
        name, n = type(self).__name__, self.dims
        window = ntuple(kernel_size, n, name, "kernel_size", 1)
        ntuple(kernel_size if stride is None else stride, n, name, "stride", 1)
        if any(2 * p > k for p, k in zip(ntuple(padding, n, name, "padding"), window, strict=True)):
            raise ValueError(f"{name}: padding {padding} must be at most half of kernel_size {kernel_size}")
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding


class _MaxPool(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
                 return_indices: bool = False, ceil_mode: bool = False) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding)
        ntuple(dilation, self.dims, type(self).__name__, "dilation", 1)
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _options(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation,
                "ceil_mode": self.ceil_mode, "return_indices": self.return_indices}  # fmt: skip

    def extra_repr(self) -> str:
        return (f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
                f"dilation={self.dilation}, ceil_mode={self.ceil_mode}")  # fmt: skip


class MaxPool1d(_MaxPool):
    """The maximum of each window of (N, C, L).

    Args:
        stride: the step from window to window; ``kernel_size`` by default.
        return_indices: also give the position of each maximum, as :class:`MaxUnpool1d` needs it.
        ceil_mode: let the last window begin where only a part of it is inside.
    """

    dims = 1

    def forward(self, input: Any) -> Any:
        return F.max_pool1d(input, self.kernel_size, **self._options())


class MaxPool2d(_MaxPool):
    """The maximum of each window of (N, C, H, W); see :class:`MaxPool1d`."""

    dims = 2

    def forward(self, input: Any) -> Any:
        return F.max_pool2d(input, self.kernel_size, **self._options())


class MaxPool3d(_MaxPool):
    """The maximum of each window of (N, C, D, H, W); see :class:`MaxPool1d`."""

    dims = 3

    def forward(self, input: Any) -> Any:
        return F.max_pool3d(input, self.kernel_size, **self._options())


class _AvgPool(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True, divisor_override: int | None = None) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        if divisor_override == 0:
            raise ValueError(f"{type(self).__name__}: divisor_override must not be zero")
        self.divisor_override = divisor_override

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of (N, C, L).

    Args:
        stride: the step from window to window; ``kernel_size`` by default.
        ceil_mode: let the last window begin where only a part of it is inside.
        count_include_pad: whether zeros from padding count in the mean.
    """

    dims = 1

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
                 count_include_pad: bool = True) -> None:  # fmt: skip
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        for name in ("kernel_size", "stride", "padding"):
            setattr(self, name, ntuple(getattr(self, name), 1, "AvgPool1d", name))

    def forward(self, input: Any) -> Any:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPool):
    """The mean of each window of (N, C, H, W); see :class:`AvgPool1d`.

    Args:
        divisor_override: divide by this instead of the size of the window.
    """

    dims = 2

    def forward(self, input: Any) -> Any:
        return F.avg_pool2d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad, self.divisor_override)  # fmt: skip


class AvgPool3d(_AvgPool):
    """The mean of each window of (N, C, D, H, W); see :class:`AvgPool2d`."""

    dims = 3

    def forward(self, input: Any) -> Any:
        return F.avg_pool3d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
                            self.count_include_pad, self.divisor_override)  # fmt: skip


class _AdaptivePool(Module):
    """Windows chosen so that the output has the size ``output_size``; None keeps the input's."""

    dims: int

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
        ntuple([1 if size is None else size for size in sizes], self.dims, type(self).__name__, "output_size")
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class _AdaptiveMaxPool(_AdaptivePool):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of ``output_size`` windows that cover (N, C, L)."""

    dims = 1

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of ``output_size`` windows that cover (N, C, H, W); None keeps the input's size."""

    dims = 2

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptivePool):
    """The means of ``output_size`` windows that cover (N, C, D, H, W); None keeps the input's size."""

    dims = 3

    def forward(self, input: Any) -> Any:
        return F.adaptive_avg_pool3d(input, self.output_size)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The maxima of ``output_size`` windows that cover (N, C, L)."""

    dims = 1

    def forward(self, input: Any) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The maxima of ``output_size`` windows that cover (N, C, H, W); None keeps the input's size."""

    dims = 2

    def forward(self, input: Any) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The maxima of ``output_size`` windows that cover (N, C, D, H, W); None keeps the input's size."""

    dims = 3

    def forward(self, input: Any) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _LPPool(Module):
    dims: int

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        ntuple(kernel_size, self.dims, type(self).__name__, "kernel_size", 1)
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Any) -> Any:
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.dims - 1]
        return pool(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        text = f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}"
        return f"{text}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """The ``norm_type``-norm of each window of (N, C, L)."""

    dims = 1


class LPPool2d(_LPPool):
    """The ``norm_type``-norm of each window of (N, C, H, W)."""

    dims = 2


class LPPool3d(_LPPool):
    """The ``norm_type``-norm of each window of (N, C, D, H, W)."""

    dims = 3


class _MaxUnpool(_Pool):
    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__(kernel_size, stride, padding)
        for name in ("kernel_size", "stride", "padding"):
            setattr(self, name, ntuple(getattr(self, name), self.dims, type(self).__name__, name))

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.dims - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Maxima back at the positions where :class:`MaxPool1d` found them, zeros elsewhere.

    From (N, C, L) to (N, C, L_out), or both without N.
    """

    dims = 1


class MaxUnpool2d(_MaxUnpool):
    """Maxima back at the positions where :class:`MaxPool2d` found them, zeros elsewhere.

    From (N, C, H, W) to (N, C, H_out, W_out), or both without N.
    """

    dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Maxima back at the positions where :class:`MaxPool3d` found them, zeros elsewhere.

    From (N, C, D, H, W) to (N, C, D_out, H_out, W_out), or both without N.
    """

    dims = 3
