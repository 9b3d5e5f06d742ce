"""Layers that multiply by a matrix."""

from __future__ import annotations

import math
from typing import Any

import minigrad

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter


def check_size(value: Any, name: str, argument: str, minimum: int = 1) -> int:
    """``value`` if it is an int of at least ``minimum``; a clear error otherwise."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: {argument} must be an int, got {value!r}")
    if value < minimum:
        raise ValueError(f"{name}: {argument} must be at least {minimum}, got {value}")
    return value


class Identity(Module):
    """The input unchanged; all arguments are ignored. Takes any shape, and keeps it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(Module):
    """``input @ weight.T + bias``, from (\\*, in_features) to (\\*, out_features).

    Weight and bias start uniform within ``1 / sqrt(in_features)``.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        self.in_features = check_size(in_features, "Linear", "in_features", 0)
        self.out_features = check_size(out_features, "Linear", "out_features", 0)
        self.weight = Parameter(minigrad.empty(out_features, in_features, device=device, dtype=dtype))
        self.bias = Parameter(minigrad.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # is 1 / sqrt(fan_in), like that of the bias
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Any) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """``input1 @ weight[k] @ input2 + bias[k]`` for each output feature k.

    From (..., in1_features) and (..., in2_features) to (..., out_features).
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        self.in1_features = check_size(in1_features, "Bilinear", "in1_features")
        self.in2_features = check_size(in2_features, "Bilinear", "in2_features")
        self.out_features = check_size(out_features, "Bilinear", "out_features")
        shape = (out_features, in1_features, in2_features)
        self.weight = Parameter(minigrad.empty(shape, device=device, dtype=dtype))
        self.bias = Parameter(minigrad.empty(out_features, device=device, dtype=dtype)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
                f"out_features={self.out_features}, bias={self.bias is not None}")  # fmt: skip
