"""Steps in units of the gradient's size, which each element measures for itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.fused import fused
from ..memory import Array
from .optimizer import Flag, Optimizer, ParamsT, blended, options_of


class Adagrad(Optimizer):
    """``p -= lr * g / (sqrt(s) + eps)``, with the sum s of all squared gradients (Duchi et al., 2011).

    Args:
        lr_decay: divides lr by ``1 + lr_decay * steps``.
        initial_accumulator_value: where s starts.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
                 initial_accumulator_value: float = 0, eps: float = 1e-10, foreach: Flag = None, *,
                 maximize: bool = False, differentiable: bool = False, fused: Flag = None) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = state.get("step", 0) + 1
        total = self.moment(state, "sum", p, group["initial_accumulator_value"])
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        _adagrad(p, total, g, rate, group["eps"], out=(p, total))


@fused
def _adagrad(p: Array, total: Array, g: Array, rate: float, eps: float) -> tuple[Array, Array]:
    total = total + g * g
    return p - rate * g / (np.sqrt(total) + eps), total


class Adadelta(Optimizer):
    """``p -= lr * g * sqrt(d + eps) / sqrt(s + eps)``, with running means s of g**2, d of the steps' squares.

    A step then has the unit of the parameter (Zeiler, 2012).

    Args:
        rho: the decay of both.
    """

    def __init__(self, params: ParamsT, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0,
                 foreach: Flag = None, *, capturable: bool = False, maximize: bool = False,
                 differentiable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = state.get("step", 0) + 1
        square, delta = self.moment(state, "square_avg", p), self.moment(state, "acc_delta", p)
        _adadelta(p, square, delta, g, group["lr"], 1 - group["rho"], group["eps"], out=(p, square, delta))


@fused
def _adadelta(p: Array, square: Array, delta: Array, g: Array, lr: float, new: float, eps: float,
              ) -> tuple[Array, Array, Array]:  # fmt: skip
    square = blended(square, g * g, new)
    step = np.sqrt((delta + eps) / (square + eps)) * g
    return p - lr * step, square, blended(delta, step * step, new)


class RMSprop(Optimizer):
    """``p -= lr * g / (sqrt(v) + eps)``, with a running mean v of the squared gradient (Hinton, 2012).

    Args:
        alpha: the decay of v.
        momentum: accumulate these steps, without lr, and go along the sum.
        centered: use the variance, ``v`` minus the squared mean of the gradient.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8,
                 weight_decay: float = 0, momentum: float = 0, centered: bool = False, capturable: bool = False,
                 foreach: Flag = None, maximize: bool = False, differentiable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        state["step"] = state.get("step", 0) + 1
        square = self.moment(state, "square_avg", p)
        _blend(square, g * g, 1 - group["alpha"], out=(square,))
        if group["centered"]:
            mean = self.moment(state, "grad_avg", p)
            _blend(mean, g, 1 - group["alpha"], out=(mean,))
            square = square - mean * mean
        if group["momentum"]:
            v = self.moment(state, "momentum_buffer", p)
            _rmsprop_momentum(p, v, g, square, group["lr"], group["momentum"], group["eps"], out=(p, v))
        else:
            _rmsprop(p, g, square, group["lr"], group["eps"], out=(p,))


_blend = fused(blended)


@fused
def _rmsprop(p: Array, g: Array, square: Array, lr: float, eps: float) -> Array:
    return p - lr * g / (np.sqrt(square) + eps)


@fused
def _rmsprop_momentum(p: Array, v: Array, g: Array, square: Array, lr: float, momentum: float, eps: float,
                      ) -> tuple[Array, Array]:  # fmt: skip
    v = momentum * v + g / (np.sqrt(square) + eps)
    return p - lr * v, v
