"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..memory import Array
from .optimizer import Flag, Optimizer, ParamsT, options_of


class SGD(Optimizer):
    """``p -= lr * v``, where v is the gradient, or ``v = momentum * v + (1 - dampening) * g``.

    Args:
        nesterov: look ahead, ``p -= lr * (g + momentum * v)`` (Sutskever et al., 2013).
        weight_decay: adds ``weight_decay * p`` to the gradient.
        maximize: climb instead.
    """

    def __init__(self, params: ParamsT, lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
                 weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False, foreach: Flag = None,
                 differentiable: bool = False, fused: Flag = None) -> None:  # fmt: skip
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        momentum, scratch = group["momentum"], self.buffer(p)
        if momentum:
            fresh = 1 if state.get("momentum_buffer") is None else 1 - group["dampening"]
            v = self.moment(state, "momentum_buffer", p)
            v *= momentum
            v += np.multiply(g, fresh, out=scratch)
            g = np.add(np.multiply(v, momentum, out=scratch), g, out=scratch) if group["nesterov"] else v
        p -= np.multiply(g, group["lr"], out=scratch)
