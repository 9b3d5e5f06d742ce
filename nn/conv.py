"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import minigrad
from minigrad.arguments import ntuple

from . import functional as F
from . import init
from .linear import check_size
from .module import Module
from .parameter import Parameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Base(Module):
    """What convolutions and transposed convolutions share: their configuration and their start."""

    dims: int
    transposed = False
    weight: Parameter
    bias: Any

    def _configure(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any,
                   dilation: Any, output_padding: Any, groups: int, bias: bool, padding_mode: str, device: Any,
                   dtype: Any) -> None:  # fmt: skip
        name, n = type(self).__name__, self.dims
        self.in_channels = check_size(in_channels, name, "in_channels")
        self.out_channels = check_size(out_channels, name, "out_channels")
        self.groups = check_size(groups, name, "groups")
        for argument in ("in_channels", "out_channels"):
            if getattr(self, argument) % groups:
                raise ValueError(f"{name}: {argument}={getattr(self, argument)} must be divisible by groups={groups}")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"{name}: padding_mode must be one of {_PADDING_MODES}, got {padding_mode!r}")
        self.padding_mode = padding_mode
        self.kernel_size = ntuple(kernel_size, n, name, "kernel_size", 1)
        self.stride = ntuple(stride, n, name, "stride", 1)
        self.dilation = ntuple(dilation, n, name, "dilation", 1)
        self.output_padding = ntuple(output_padding, n, name, "output_padding")
        self.padding: Any = padding if isinstance(padding, str) else ntuple(padding, n, name, "padding")
        if isinstance(padding, str) and (self.transposed or padding not in ("same", "valid")):
            accepted = "an int or a tuple" if self.transposed else "'same', 'valid', an int or a tuple"
            raise ValueError(f"{name}: padding must be {accepted}, got {padding!r}")
        if padding == "same" and set(self.stride) != {1}:
            raise ValueError(f"{name}: padding='same' is not possible with stride {self.stride}, only with 1")
        channels = (in_channels, out_channels // groups) if self.transposed else (out_channels, in_channels // groups)
        self.weight = Parameter(minigrad.empty((*channels, *self.kernel_size), device=device, dtype=dtype))
        self.bias = Parameter(minigrad.empty(out_channels, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew, uniform within ``1 / sqrt(weight.shape[1] * kernel positions)``."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        n = self.dims
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        defaults = {"padding": (0,) * n, "dilation": (1,) * n, "output_padding": (0,) * n, "groups": 1}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        text += ", bias=False" if self.bias is None else ""
        return text + (f", padding_mode={self.padding_mode}" if self.padding_mode != "zeros" else "")


class _Conv(_Base):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        self._configure(in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
                        padding_mode, device, dtype)  # fmt: skip
        self._around: list[int] = []  # the padding as F.pad takes it: last dimension first, before and after
        for i in reversed(range(self.dims)):
            if padding == "same":
                total = self.dilation[i] * (self.kernel_size[i] - 1)
                self._around += [total // 2, total - total // 2]
            else:
                self._around += [0, 0] if padding == "valid" else [self.padding[i]] * 2

    def _prepare(self, input: Any) -> tuple[Any, Any]:
        """The input, padded if zeros will not do, and the padding that remains."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return F.pad(input, self._around, mode=self.padding_mode), 0


class Conv1d(_Conv):
    """Cross-correlation of (N, C, L) with ``out_channels`` kernels: ``F.conv1d`` with its own weights.

    Args:
        padding: how far the input is extended on both sides, or "same" or "valid".
        groups: how many parts the channels are divided into that do not see each other.
        padding_mode: "zeros", "reflect", "replicate" or "circular".
    """

    dims = 1

    def forward(self, input: Any) -> Any:
        input, padding = self._prepare(input)
        return F.conv1d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Cross-correlation of (N, C, H, W) with ``out_channels`` kernels; see :class:`Conv1d`."""

    dims = 2

    def forward(self, input: Any) -> Any:
        input, padding = self._prepare(input)
        return F.conv2d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Conv):
    """Cross-correlation of (N, C, D, H, W) with ``out_channels`` kernels; see :class:`Conv1d`."""

    dims = 3

    def forward(self, input: Any) -> Any:
        input, padding = self._prepare(input)
        return F.conv3d(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class _ConvTranspose(_Base):
    transposed = True

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'{type(self).__name__}: only "zeros" padding mode is supported, got {padding_mode!r}')
        self._configure(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups,
                        bias, padding_mode, device, dtype)  # fmt: skip

    def _extra(self, input: Any, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that leads to ``output_size``, whose smallest value 0 gives."""
        if output_size is None:
            return self.output_padding
        name, n = type(self).__name__, self.dims
        wanted = tuple(output_size)[-n:]
        if len(output_size) not in (n, input.ndim):
            raise ValueError(f"{name}: output_size must have {n} or {input.ndim} elements, got {tuple(output_size)}")
        smallest = [
            (size - 1) * self.stride[d] - 2 * self.padding[d] + self.dilation[d] * (self.kernel_size[d] - 1) + 1
            for d, size in enumerate(input.shape[-n:])
        ]
        largest = [size + s - 1 for size, s in zip(smallest, self.stride, strict=True)]
        if any(not low <= size <= high for low, size, high in zip(smallest, wanted, largest, strict=True)):
            raise ValueError(f"{name}: output_size {wanted} is not possible for an input of shape {input.shape}; "
                             f"valid sizes range from {smallest} to {largest}")  # fmt: skip
        return tuple(size - low for size, low in zip(wanted, smallest, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of :class:`Conv1d` with the same arguments: from the size of its output to that of its input.

    Args:
        output_padding: added to one side of the output, where several input sizes have the same output size.
            Calling the layer with ``output_size=`` chooses it.
    """

    dims = 1

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        extra = self._extra(input, output_size)
        return F.conv_transpose1d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                                  self.dilation)  # fmt: skip


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of :class:`Conv2d`; see :class:`ConvTranspose1d`.

    From (N, in_channels, H, W) to (N, out_channels, H_out, W_out), or both without N.
    """

    dims = 2

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        extra = self._extra(input, output_size)
        return F.conv_transpose2d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                                  self.dilation)  # fmt: skip


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of :class:`Conv3d`; see :class:`ConvTranspose1d`.

    From (N, in_channels, D, H, W) to (N, out_channels, D_out, H_out, W_out), or both without N.
    """

    dims = 3

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        extra = self._extra(input, output_size)
        return F.conv_transpose3d(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                                  self.dilation)  # fmt: skip
