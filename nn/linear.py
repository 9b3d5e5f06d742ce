"""Layers that multiply by a matrix."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .layer import WeightedLayer
from .module import Module


class Identity(Module):
    """The input unchanged, of any shape; all arguments are ignored."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Linear(WeightedLayer):
    """``input @ weight.T + bias``: (..., in_features) to (..., out_features).

    Weight (out_features, in_features) and bias (out_features,) start uniform within ``1 / sqrt(in_features)``.

    Args:
        bias: whether there is one.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())
        self._check_sizes("in_features", "out_features", minimum=0)
        self._add_parameters(device, dtype, weight=(out_features, in_features), bias=out_features if bias else None)

    def forward(self, input: Any) -> Any:
        return F.linear(input, self.weight, self.bias)


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear of the name that PyTorch prints it under in ``MultiheadAttention``."""


class Bilinear(WeightedLayer, function=F.bilinear):
    """``input1 @ weight[k] @ input2 + bias[k]`` for each output feature k.

    (..., in1_features) and (..., in2_features) to (..., out_features). Weight (out_features, in1_features,
    in2_features) and bias (out_features,) start uniform within ``1 / sqrt(in1_features)``.
    """

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())
        self._check_sizes("in1_features", "in2_features", "out_features")
        shape = (out_features, in1_features, in2_features)
        self._add_parameters(device, dtype, weight=shape, bias=out_features if bias else None)

    def _fan_in(self) -> int:
        return self.in1_features
