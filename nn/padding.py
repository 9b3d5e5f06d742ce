"""Padding layers: borders around the last dimensions."""

from __future__ import annotations

import sys
from typing import Any

from minigrad.arguments import ntuple

from . import functional as F
from .layer import Layer


class _Pad(Layer):
    dims: int
    mode: str
    unnamed = 1

    def __init__(self, padding: Any) -> None:
        name = type(self).__name__
        super().__init__(padding=ntuple(padding, 2 * self.dims, name, "padding", -sys.maxsize))

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, self.mode)


class ConstantPad1d(_Pad):
    """Borders of ``value``: (..., L) to (..., left + L + right).

    From (..., W) to (..., left + W + right).

    Args:
        padding: the widths (left, right), or one for all borders. A negative width cuts off.
    """

    dims, unnamed, shown = 1, 0, ("padding", "value")

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        return F.pad(input, self.padding, value=self.value)


class ConstantPad2d(ConstantPad1d):
    """Borders of ``value`` around the last two dimensions: (left, right, top, bottom).

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """

    dims = 2


class ConstantPad3d(ConstantPad1d):
    """Borders of ``value`` around the last three dimensions: (left, right, top, bottom, front, back).

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """

    dims = 3


class ZeroPad1d(_Pad):
    """Borders of 0; see :class:`ConstantPad1d`. From (..., W) to (..., left + W + right)."""

    dims, mode = 1, "constant"


class ZeroPad2d(ZeroPad1d):
    """Borders of 0; see :class:`ConstantPad2d`. From (..., H, W) to (..., top + H + bottom, left + W + right)."""

    dims = 2


class ZeroPad3d(ZeroPad1d):
    """Borders of 0; see :class:`ConstantPad3d`. From (..., D, H, W) to (..., D_out, H_out, W_out)."""

    dims = 3


class ReflectionPad1d(_Pad):
    """Borders that mirror the last dimension at its edges, which are not repeated; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """

    dims, mode = 1, "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """:class:`ReflectionPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """

    dims = 2


class ReflectionPad3d(ReflectionPad1d):
    """:class:`ReflectionPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """

    dims = 3


class ReplicationPad1d(_Pad):
    """Borders that repeat the edges of the last dimension; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """

    dims, mode = 1, "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """:class:`ReplicationPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """

    dims = 2


class ReplicationPad3d(ReplicationPad1d):
    """:class:`ReplicationPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """

    dims = 3


class CircularPad1d(_Pad):
    """Borders that continue the last dimension periodically; see :class:`ConstantPad1d`.

    From (..., W) to (..., left + W + right).
    """

    dims, mode = 1, "circular"


class CircularPad2d(CircularPad1d):
    """:class:`CircularPad1d` of the last two dimensions; see :class:`ConstantPad2d`.

    From (..., H, W) to (..., top + H + bottom, left + W + right).
    """

    dims = 2


class CircularPad3d(CircularPad1d):
    """:class:`CircularPad1d` of the last three dimensions; see :class:`ConstantPad3d`.

    From (..., D, H, W) to (..., D_out, H_out, W_out).
    """

    dims = 3
