"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from ..kernels.fused import fused
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
        momentum, lr = group["momentum"], group["lr"]
        if not momentum:
            _descend(p, g, lr, out=(p,))
            return
        if group["dampening"] and state.get("momentum_buffer") is not None:
            g = g * (1 - group["dampening"])
        v = self.moment(state, "momentum_buffer", p)
        step = _nesterov_step if group["nesterov"] else _momentum_step
        step(p, v, g, momentum, lr, out=(p, v))


@fused
def _descend(p: Array, g: Array, lr: float) -> Array:
    return p - g * lr


@fused
def _momentum_step(p: Array, v: Array, g: Array, momentum: float, lr: float) -> tuple[Array, Array]:
    v = v * momentum + g
    return p - v * lr, v


@fused
def _nesterov_step(p: Array, v: Array, g: Array, momentum: float, lr: float) -> tuple[Array, Array]:
    v = v * momentum + g
    return p - (v * momentum + g) * lr, v
