"""Activation functions as layers. Each calls the function of the same name in ``nn.functional``."""

from __future__ import annotations

from typing import Any

import minigrad

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


class _Activation(Module):
    """Prints the attributes named in ``shown``, and ``inplace`` if set."""

    shown: tuple[str, ...] = ()
    inplace = False

    def extra_repr(self) -> str:
        parts = [f"{name}={getattr(self, name)!r}" for name in self.shown]
        return ", ".join(parts + ["inplace=True"] * self.inplace)


class _Inplace(_Activation):
    """An activation whose only option is to work in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class ReLU(_Inplace):
    """``max(x, 0)``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.relu(input, self.inplace)


class Hardtanh(_Activation):
    """``x`` restricted to ``min_val`` .. ``max_val``. Takes any shape, and keeps it."""

    shown: tuple[str, ...] = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        if max_val <= min_val:
            raise ValueError(f"Hardtanh: max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Any) -> Any:
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


class ReLU6(Hardtanh):
    """``min(max(x, 0), 6)``. Takes any shape, and keeps it."""

    shown = ()

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)


class LeakyReLU(_Activation):
    """``x`` where positive, else ``negative_slope * x``. Takes any shape, and keeps it."""

    shown = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Any) -> Any:
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class PReLU(_Activation):
    """``x`` where positive, else ``weight * x``, with a slope that is learned, one for all channels or one for each.

    Takes any shape, and keeps it.
    """

    shown = ("num_parameters",)

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = Parameter(minigrad.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slope to its initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        return F.prelu(input, self.weight)


class RReLU(_Activation):
    """:class:`LeakyReLU` with a slope drawn from ``lower`` .. ``upper`` in training and their mean otherwise.

    Takes any shape, and keeps it.
    """

    shown = ("lower", "upper")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Any) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Threshold(_Activation):
    """``x`` where above ``threshold``, else ``value``. Takes any shape, and keeps it."""

    shown = ("threshold", "value")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Any) -> Any:
        return F.threshold(input, self.threshold, self.value, self.inplace)


class ELU(_Activation):
    """``x`` where positive, else ``alpha * (exp(x) - 1)``. Takes any shape, and keeps it."""

    shown = ("alpha",)

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def forward(self, input: Any) -> Any:
        return F.elu(input, self.alpha, self.inplace)


class CELU(ELU):
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.celu(input, self.alpha, self.inplace)


class SELU(_Inplace):
    """The scaled ELU that keeps mean 0 and variance 1 through layers (Klambauer et al., 2017).

    Takes any shape, and keeps it.
    """

    def forward(self, input: Any) -> Any:
        return F.selu(input, self.inplace)


class GELU(_Activation):
    """``x`` times the normal distribution function of ``x``; ``approximate="tanh"`` is quicker.

    Takes any shape, and keeps it.
    """

    shown = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return F.gelu(input, approximate=self.approximate)


class SiLU(_Inplace):
    """``x * sigmoid(x)``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.silu(input, self.inplace)


class Mish(_Inplace):
    """``x * tanh(softplus(x))``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.mish(input, self.inplace)


class Hardswish(_Inplace):
    """``x * relu6(x + 3) / 6``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.hardswish(input, self.inplace)


class Hardsigmoid(_Inplace):
    """``relu6(x + 3) / 6``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.hardsigmoid(input, self.inplace)


class Sigmoid(_Activation):
    """``1 / (1 + exp(-x))``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.sigmoid(input)


class LogSigmoid(_Activation):
    """``log(sigmoid(x))``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.logsigmoid(input)


class Tanh(_Activation):
    """The hyperbolic tangent. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.tanh(input)


class Tanhshrink(_Activation):
    """``x - tanh(x)``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.tanhshrink(input)


class Softsign(_Activation):
    """``x / (1 + |x|)``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.softsign(input)


class Softplus(_Activation):
    """``log(1 + exp(beta * x)) / beta``; ``x`` itself where ``beta * x`` is above ``threshold``.

    Takes any shape, and keeps it.
    """

    shown = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Any) -> Any:
        return F.softplus(input, self.beta, self.threshold)


class Hardshrink(_Activation):
    """``x`` where ``|x| > lambd``, else 0. Takes any shape, and keeps it."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return F.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """``x`` moved towards 0 by ``lambd``, and 0 where that would change its sign. Takes any shape, and keeps it."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__(lambd)
        if lambd < 0:
            raise ValueError(f"Softshrink: lambd must not be negative, got {lambd}")

    def forward(self, input: Any) -> Any:
        return F.softshrink(input, self.lambd)


class _AlongDim(_Activation):
    shown = ("dim",)

    def __init__(self, dim: Any = None) -> None:
        super().__init__()
        self.dim = dim


class GLU(_AlongDim):
    """``a * sigmoid(b)`` of the two halves of the input along ``dim``. From (..., 2n, ...) to (..., n, ...)."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        return F.glu(input, self.dim)


class Softmax(_AlongDim):
    """``exp(x)`` divided by its sum along ``dim``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.softmax(input, self.dim)


class Softmin(_AlongDim):
    """The softmax of ``-x`` along ``dim``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.softmin(input, self.dim)


class LogSoftmax(_AlongDim):
    """The logarithm of the softmax along ``dim``. Takes any shape, and keeps it."""

    def forward(self, input: Any) -> Any:
        return F.log_softmax(input, self.dim)


class Softmax2d(_Activation):
    """The softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Any) -> Any:
        if input.ndim not in (3, 4):
            raise ValueError(f"Softmax2d: expected an input of 3 or 4 dimensions, got shape {tuple(input.shape)}")
        return F.softmax(input, -3)
