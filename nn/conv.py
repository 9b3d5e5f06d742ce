"""Convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from minigrad.arguments import ntuple
from minigrad.ops.convolution import padding_pairs

from . import functional as F
from .layer import WeightedLayer

_SMALLEST = {"kernel_size": 1, "stride": 1, "dilation": 1, "padding": 0, "output_padding": 0}


class _Base(WeightedLayer, unnamed=2):
    """What convolutions and transposed convolutions share: their options, as tuples, and their parameters."""

    transposed = False
    usual: ClassVar = {
        "padding": 0, "dilation": 1, "output_padding": 0, "groups": 1, "bias": True, "padding_mode": "zeros"
    }  # fmt: skip

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__(arguments)
        self._check_sizes("in_channels", "out_channels", "groups")
        for name in ("in_channels", "out_channels"):
            if (channels := getattr(self, name)) % self.groups:
                raise ValueError(f"{type(self).__name__}: {name}={channels} must be divisible by groups={self.groups}")
        for name in arguments.keys() & _SMALLEST:
            if self.transposed or not isinstance(arguments[name], str):
                setattr(self, name, ntuple(arguments[name], self.dims, type(self).__name__, name, _SMALLEST[name]))
        channels = (self.out_channels, self.in_channels)[:: -1 if self.transposed else 1]
        shape = (channels[0], channels[1] // self.groups, *self.kernel_size)
        bias = self.out_channels if self.bias else None
        self._add_parameters(arguments["device"], arguments["dtype"], weight=shape, bias=bias)

    def extra_repr(self) -> str:
        return super().extra_repr().replace("'", "")  # as PyTorch prints it: padding=same


class _Conv(_Base):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 dilation: Any = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros",
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())
        pairs = padding_pairs(type(self).__name__, padding, self.dims, self.kernel_size, self.stride, self.dilation)
        self._around = [width for pair in reversed(pairs) for width in pair]  # as F.pad takes it

    def forward(self, input: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._around, self.padding_mode), 0
        return self.function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv, function=F.conv1d, dims=1):
    """Cross-correlation with learned kernels: (N, in_channels, L) to (N, out_channels, L'), or both without N.

    Weight (out_channels, in_channels / groups, kernel_size) and bias (out_channels,) start uniform within
    ``1 / sqrt(in_channels / groups * kernel_size)``.

    Args:
        stride: the step from output to output.
        padding: how far the input is extended on both sides, or "same" (as far as keeps its size) or "valid" (0).
        dilation: the step between the elements that a kernel meets.
        groups: how many parts the channels are divided into that do not see each other.
        padding_mode: what it is extended by: "zeros", or of itself "reflect", "replicate" or "circular".
    """


class Conv2d(_Conv, function=F.conv2d, dims=2):
    """Cross-correlation: (N, in_channels, H, W) to (N, out_channels, H', W'); see :class:`Conv1d`.

    Sizes, strides and so on are ints, or a tuple with one for each dimension.
    """


class Conv3d(_Conv, function=F.conv3d, dims=3):
    """Cross-correlation: (N, in_channels, D, H, W) to (N, out_channels, D', H', W'); see :class:`Conv2d`."""


class _ConvTranspose(_Base, transposed=True):
    def __init__(self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1, padding: Any = 0,
                 output_padding: Any = 0, groups: int = 1, bias: bool = True, dilation: Any = 1,
                 padding_mode: str = "zeros", device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f'{type(self).__name__}: only "zeros" padding mode is supported, got {padding_mode!r}')
        super().__init__(locals())

    def forward(self, input: Any, output_size: Sequence[int] | None = None) -> Any:
        extra = self.output_padding if output_size is None else self._extra(input, tuple(output_size))
        return self.function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups,
                             self.dilation)  # fmt: skip

    def _extra(self, input: Any, output_size: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that leads to ``output_size``."""
        options = zip(input.shape[-self.dims :], self.kernel_size, self.stride, self.padding, self.dilation)
        smallest = [(size - 1) * s - 2 * p + d * (k - 1) + 1 for size, k, s, p, d in options]
        extra = tuple(wanted - least for wanted, least in zip(output_size[-self.dims :], smallest, strict=False))
        if len(output_size) not in (self.dims, input.ndim) or not all(0 <= e < s for e, s in zip(extra, self.stride)):
            largest = [least + s - 1 for least, s in zip(smallest, self.stride)]
            raise ValueError(f"{type(self).__name__}: output_size {output_size} is not possible for an input of shape "
                             f"{input.shape}; its last {self.dims} sizes may be {smallest} to {largest}")  # fmt: skip
        return extra


class ConvTranspose1d(_ConvTranspose, function=F.conv_transpose1d, dims=1):
    """The adjoint of a convolution: (N, in_channels, L) to (N, out_channels, L'), where Conv1d goes from L' to L.

    Weight (in_channels, out_channels / groups, kernel_size) and bias (out_channels,) start uniform within
    ``1 / sqrt(out_channels / groups * kernel_size)``.

    Args:
        stride, padding, dilation, groups: those of the :class:`Conv1d`.
        output_padding: added to one side of the output, where several sizes L' lead to the same L.
            Calling the layer with ``output_size=`` (of L', or the whole shape) chooses it.
    """


class ConvTranspose2d(_ConvTranspose, function=F.conv_transpose2d, dims=2):
    """The adjoint of Conv2d: (N, in_channels, H, W) to (N, out_channels, H', W'); see :class:`ConvTranspose1d`."""


class ConvTranspose3d(_ConvTranspose, function=F.conv_transpose3d, dims=3):
    """The adjoint of Conv3d: (N, in_channels, D, H, W) to (N, out_channels, ...); see :class:`ConvTranspose1d`."""
