"""Steps in units of the gradient's size, which each element measures for itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..memory import Array
from .optimizer import Flag, Optimizer, ParamsT, blend, blend_square, descend, options_of, root


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
        scratch = self.buffer(p)
        state["step"] = state.get("step", 0) + 1
        total = self.moment(state, "sum", p, group["initial_accumulator_value"])
        total += np.multiply(g, g, out=scratch)
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        descend(p, g, root(total, group["eps"], scratch), rate, scratch)


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
        rho, eps, scratch, step = group["rho"], group["eps"], self.buffer(p), self.buffer(p, 3)
        state["step"] = state.get("step", 0) + 1
        square, delta = self.moment(state, "square_avg", p), self.moment(state, "acc_delta", p)
        blend_square(square, g, rho, scratch)
        np.divide(np.add(delta, eps, out=step), np.add(square, eps, out=scratch), out=step)
        np.multiply(np.sqrt(step, out=step), g, out=step)
        blend_square(delta, step, rho, scratch)
        p -= np.multiply(step, group["lr"], out=step)


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
        alpha, scratch, size = group["alpha"], self.buffer(p), self.buffer(p, 3)
        state["step"] = state.get("step", 0) + 1
        square = self.moment(state, "square_avg", p)
        blend_square(square, g, alpha, scratch)
        if group["centered"]:
            mean = self.moment(state, "grad_avg", p)
            blend(mean, g, alpha, scratch)
            square = np.subtract(square, np.multiply(mean, mean, out=size), out=size)
        root(square, group["eps"], size)
        if not group["momentum"]:
            descend(p, g, size, group["lr"], scratch)
            return
        v = self.moment(state, "momentum_buffer", p)
        v *= group["momentum"]
        v += np.divide(g, size, out=size)
        p -= np.multiply(v, group["lr"], out=scratch)
