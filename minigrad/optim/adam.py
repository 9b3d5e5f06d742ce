"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..memory import Array
from .optimizer import Optimizer, ParamsT, between, non_negative, refuse


class Adam(Optimizer):
    """``p -= lr * m / (sqrt(v) + eps)``, with running means m of the gradient and v of its square.

    Both start at zero and are corrected for that (Kingma & Ba, 2014).

    Args:
        betas: the decay of m and of v.
        weight_decay: adds ``weight_decay * p`` to the gradient; if ``decoupled_weight_decay``, it
            shrinks p instead, as :class:`AdamW` does.
        amsgrad: divide by the largest v so far (Reddi et al., 2018).
        maximize: climb instead.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False, fused: bool | None = None,
                 decoupled_weight_decay: bool = False) -> None:  # fmt: skip
        refuse(type(self).__name__, foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        non_negative("learning rate", lr)
        non_negative("epsilon", eps)
        non_negative("weight_decay", weight_decay)
        for i, beta in enumerate(betas):
            between(f"beta parameter at index {i}", beta, 0.0, 1.0)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                                  "amsgrad": amsgrad, "maximize": maximize,
                                  "decoupled_weight_decay": decoupled_weight_decay})  # fmt: skip

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, (beta1, beta2), scratch = group["lr"], group["betas"], self.buffer(p, 2)
        step = state["step"] = state.get("step", 0) + 1
        if group["weight_decay"] and group["decoupled_weight_decay"]:
            p *= 1 - lr * group["weight_decay"]
        m = self.moment(state, "exp_avg", p)
        m += np.multiply(np.subtract(g, m, out=scratch), 1 - beta1, out=scratch)
        v = self.moment(state, "exp_avg_sq", p)
        v *= beta2
        np.multiply(g, 1 - beta2, out=scratch)
        v += np.multiply(scratch, g, out=scratch)
        if group["amsgrad"]:
            v = np.maximum(self.moment(state, "max_exp_avg_sq", p), v, out=self.moment(state, "max_exp_avg_sq", p))
        np.sqrt(v, out=scratch)
        scratch /= math.sqrt(1 - beta2**step)
        scratch += group["eps"]
        np.divide(m, scratch, out=scratch)
        p -= np.multiply(scratch, lr / (1 - beta1**step), out=scratch)


class AdamW(Adam):
    """:class:`Adam` whose weight decay shrinks the parameters directly (Loshchilov & Hutter, 2017)."""

    def __init__(self, params: ParamsT, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
                 eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False,
                 foreach: bool | None = None, capturable: bool = False, differentiable: bool = False,
                 fused: bool | None = None) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize,
                         capturable=capturable, differentiable=differentiable, fused=fused,
                         decoupled_weight_decay=True)  # fmt: skip
