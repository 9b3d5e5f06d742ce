"""Padding layers: borders around the last dimensions."""

from __future__ import annotations

import sys
from typing import Any

from minigrad.arguments import ntuple

from . import functional as F
from .layer import Layer


class _Pad(Layer):
    mode = "constant"
    value: Any = None
    unnamed = 1

    def __init__(self, padding: Any) -> None:
        name = type(self).__name__
        super().__init__(padding=ntuple(padding, 2 * self.dims, name, "padding", -sys.maxsize))

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode, self.value)


class ConstantPad1d(_Pad, dims=1):
    """Borders of ``value`` around the last dimension: (left, right).

    From (..., W) to (..., left + W + right).

    Args:
        padding: the widths (left, right), or one for all borders. A negative width cuts off.
    """

    unnamed, shown = 0, ("padding", "value")

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value


class ConstantPad2d(ConstantPad1d, dims=2):
    """Borders of ``value`` around the last two dimensions: (left, right, top, bottom).

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class ConstantPad3d(ConstantPad1d, dims=3):
    """Borders of ``value`` around the last three dimensions: (left, right, top, bottom, front, back).

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """


class ZeroPad1d(_Pad, dims=1):
    """Borders of 0; see :class:`ConstantPad1d`. From (..., W) to (..., left + W + right)."""


class ZeroPad2d(ZeroPad1d, dims=2):
    """Borders of 0; see :class:`ConstantPad2d`. From (..., H, W) to (..., top + H + bottom, left + W + right)."""


class ZeroPad3d(ZeroPad1d, dims=3):
    """Borders of 0; see :class:`ConstantPad3d`. From (..., D, H, W) to (..., D_out, H_out, W_out)."""


class ReflectionPad1d(_Pad, dims=1):
    """Borders that mirror the last dimension at its edges, which are not repeated; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d, dims=2):
    """:class:`ReflectionPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class ReflectionPad3d(ReflectionPad1d, dims=3):
    """:class:`ReflectionPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """


class ReplicationPad1d(_Pad, dims=1):
    """Borders that repeat the edges of the last dimension; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d, dims=2):
    """:class:`ReplicationPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class ReplicationPad3d(ReplicationPad1d, dims=3):
    """:class:`ReplicationPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """


class CircularPad1d(_Pad, dims=1):
    """Borders that continue the last dimension periodically; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """

    mode = "circular"


class CircularPad2d(CircularPad1d, dims=2):
    """:class:`CircularPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """


class CircularPad3d(CircularPad1d, dims=3):
    """:class:`CircularPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """
