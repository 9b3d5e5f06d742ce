"""Padding layers: borders around the last dimensions."""

from __future__ import annotations

import sys
from typing import Any

from minigrad.arguments import ntuple

from . import functional as F
from .layer import Layer


class _Pad(Layer, unnamed=1):
    mode: str
    value: Any = None

    def __init__(self, padding: Any) -> None:
        padding = ntuple(padding, 2 * self.dims, type(self).__name__, "padding", -sys.maxsize)
        super().__init__(locals())

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode, self.value)


class _ConstantPad(_Pad, mode="constant", shown=("padding", "value"), unnamed=0):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value


class _ZeroPad(_ConstantPad, shown=("padding",), unnamed=1):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)


class ConstantPad1d(_ConstantPad, dims=1):
    """Borders of ``value`` around the last dimension: (left, right).

    From (..., W) to (..., left + W + right).

    Args:
        padding: the widths (left, right), or one for all borders. A negative width cuts off.
    """


class ConstantPad2d(_ConstantPad, dims=2):
    """Borders of ``value`` around the last two dimensions: (left, right, top, bottom).

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class ConstantPad3d(_ConstantPad, dims=3):
    """Borders of ``value`` around the last three dimensions: (left, right, top, bottom, front, back).

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Borders of 0; see :class:`ConstantPad1d`. From (..., W) to (..., left + W + right)."""


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Borders of 0; see :class:`ConstantPad2d`. From (..., H, W) to (..., top + H + bottom, left + W + right)."""


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Borders of 0; see :class:`ConstantPad3d`. From (..., D, H, W) to (..., D_out, H_out, W_out)."""


class ReflectionPad1d(_Pad, dims=1, mode="reflect"):
    """Borders that mirror the last dimension at its edges, which are not repeated; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """


class ReflectionPad2d(_Pad, dims=2, mode="reflect"):
    """:class:`ReflectionPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class ReflectionPad3d(_Pad, dims=3, mode="reflect"):
    """:class:`ReflectionPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """


class ReplicationPad1d(_Pad, dims=1, mode="replicate"):
    """Borders that repeat the edges of the last dimension; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """


class ReplicationPad2d(_Pad, dims=2, mode="replicate"):
    """:class:`ReplicationPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class ReplicationPad3d(_Pad, dims=3, mode="replicate"):
    """:class:`ReplicationPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """


class CircularPad1d(_Pad, dims=1, mode="circular"):
    """Borders that continue the last dimension periodically; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """


class CircularPad2d(_Pad, dims=2, mode="circular"):
    """:class:`CircularPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class CircularPad3d(_Pad, dims=3, mode="circular"):
    """:class:`CircularPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """
