"""Activation functions as layers. Each calls the function of the same meaning in ``nn.functional``.

``inplace=True`` writes the result into the memory of the input.
"""

from __future__ import annotations

from typing import Any

from minigrad.arguments import check_dims

from . import functional as F
from . import init
from .layer import Layer, WeightedLayer


class _Plain(Layer):
    """An activation without options."""

    def __init__(self) -> None:
        super().__init__(locals())


class _Inplace(Layer):
    """An activation whose only option is to work in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(locals())


class ReLU(_Inplace, function=F.relu):
    """``max(x, 0)``. Takes any shape, and keeps it."""


class ReLU6(_Inplace, function=F.relu6):
    """``min(max(x, 0), 6)``. Takes any shape, and keeps it."""


class SELU(_Inplace, function=F.selu):
    """The scaled ELU that keeps mean 0 and variance 1 through layers (Klambauer et al., 2017).

    Takes any shape, and keeps it.
    """


class SiLU(_Inplace, function=F.silu):
    """``x * sigmoid(x)``. Takes any shape, and keeps it."""


class Mish(_Inplace, function=F.mish):
    """``x * tanh(softplus(x))``. Takes any shape, and keeps it."""


class Hardswish(_Inplace, function=F.hardswish):
    """``x * relu6(x + 3) / 6``. Takes any shape, and keeps it."""


class Hardsigmoid(_Inplace, function=F.hardsigmoid):
    """``relu6(x + 3) / 6``. Takes any shape, and keeps it."""


class Sigmoid(_Plain, function=F.sigmoid):
    """``1 / (1 + exp(-x))``. Takes any shape, and keeps it."""


class LogSigmoid(_Plain, function=F.logsigmoid):
    """``log(sigmoid(x))``. Takes any shape, and keeps it."""


class Tanh(_Plain, function=F.tanh):
    """The hyperbolic tangent. Takes any shape, and keeps it."""


class Tanhshrink(_Plain, function=F.tanhshrink):
    """``x - tanh(x)``. Takes any shape, and keeps it."""


class Softsign(_Plain, function=F.softsign):
    """``x / (1 + |x|)``. Takes any shape, and keeps it."""


class Hardtanh(Layer, function=F.hardtanh):
    """``x`` restricted to ``min_val`` .. ``max_val``. Takes any shape, and keeps it."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__(locals())


class LeakyReLU(Layer, function=F.leaky_relu):
    """``x`` where positive, else ``negative_slope * x``. Takes any shape, and keeps it."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(locals())


class PReLU(WeightedLayer, function=F.prelu, shown=("num_parameters",)):
    """``x`` where positive, else ``weight * x``, with a slope that is learned, one for all channels or one for each.

    Takes any shape, and keeps it.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__(locals())
        self._add_parameters(device, dtype, weight=num_parameters)

    def reset_parameters(self) -> None:
        """Set the slope to its initial value."""
        init.constant_(self.weight, self.init)


class RReLU(Layer, function=F.rrelu):
    """:class:`LeakyReLU` with slopes drawn from ``lower`` .. ``upper`` in training, and their mean otherwise."""

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(locals())


class Threshold(Layer, function=F.threshold):
    """``x`` where above ``threshold``, else ``value``. Takes any shape, and keeps it."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(locals())


class _Exponential(Layer):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(locals())


class ELU(_Exponential, function=F.elu):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``. Takes any shape, and keeps it."""


class CELU(_Exponential, function=F.celu):
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``. Takes any shape, and keeps it."""


class GELU(Layer, function=F.gelu):
    """``x`` times the normal distribution function of ``x``; ``approximate="tanh"`` is quicker.

    Takes any shape, and keeps it.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(locals())


class Softplus(Layer, function=F.softplus):
    """``log(1 + exp(beta * x)) / beta``; ``x`` itself where ``beta * x`` is above ``threshold``.

    Takes any shape, and keeps it.
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__(locals())


class _Shrink(Layer, unnamed=1):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(locals())


class Hardshrink(_Shrink, function=F.hardshrink):
    """``x`` where ``|x| > lambd``, else 0. Takes any shape, and keeps it."""


class Softshrink(_Shrink, function=F.softshrink):
    """``x`` moved towards 0 by ``lambd``, and 0 where that would change its sign. Takes any shape, and keeps it."""


class GLU(Layer, function=F.glu):
    """``a * sigmoid(b)`` of the two halves of the input along ``dim``. From (..., 2n, ...) to (..., n, ...)."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__(locals())


class _Softmax(Layer):
    def __init__(self, dim: int | None = None) -> None:
        super().__init__(locals())


class Softmax(_Softmax, function=F.softmax):
    """``exp(x)`` divided by its sum along ``dim``. Takes any shape, and keeps it."""


class Softmin(_Softmax, function=F.softmin):
    """The softmax of ``-x`` along ``dim``. Takes any shape, and keeps it."""


class LogSoftmax(_Softmax, function=F.log_softmax):
    """The logarithm of the softmax along ``dim``. Takes any shape, and keeps it."""


class Softmax2d(_Plain):
    """The softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Any) -> Any:
        check_dims("Softmax2d", (3, 4), input=input)
        return F.softmax(input, -3)
