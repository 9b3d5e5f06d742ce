"""Adam and its variants: steps along a running mean of the gradient, in units of its running size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.fused import fused
from ..memory import Array
from .optimizer import Flag, Optimizer, Pair, ParamsT, blended, options_of


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

    def __init__(self, params: ParamsT, lr: float = 1e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, amsgrad: bool = False, *, foreach: Flag = None, maximize: bool = False,
                 capturable: bool = False, differentiable: bool = False, fused: Flag = None,
                 decoupled_weight_decay: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        m, v, new1, new2, correction1, correction2 = _means(self, p, state, group)
        correction = math.sqrt(correction2)
        rate, eps = group["lr"] * correction / correction1, group["eps"] * correction
        if group["amsgrad"]:
            largest = self.moment(state, "max_exp_avg_sq", p)
            _blend(m, v, g, new1, new2, out=(m, v))
            _descend(p, m, np.maximum(largest, v, out=largest), rate, eps, out=(p,))
        else:
            _adam(p, m, v, g, new1, new2, rate, eps, out=(p, m, v))


@fused
def _blend(m: Array, v: Array, g: Array, new1: float, new2: float) -> tuple[Array, Array]:
    """The running means of the gradient and of its square, with ``g`` in it."""
    return blended(m, g, new1), blended(v, g * g, new2)


@fused
def _descend(p: Array, m: Array, v: Array, rate: float, eps: float) -> Array:
    return p - m * rate / (np.sqrt(v) + eps)


@fused
def _adam(p: Array, m: Array, v: Array, g: Array, new1: float, new2: float, rate: float, eps: float,
          ) -> tuple[Array, Array, Array]:  # fmt: skip
    m, v = _blend(m, v, g, new1, new2)
    return _descend(p, m, v, rate, eps), m, v


def _means(optimizer: Optimizer, p: Array, state: dict[str, Any],
           group: dict[str, Any]) -> tuple[Array, Array, float, float, float, float]:  # fmt: skip
    """The running means; how much of the new comes into each; and the weight in each of all that was seen."""
    beta1, beta2 = group["betas"]
    step = state["step"] = state.get("step", 0) + 1
    m, v = optimizer.moment(state, "exp_avg", p), optimizer.moment(state, "exp_avg_sq", p)
    return m, v, 1 - beta1, 1 - beta2, 1 - beta1**step, 1 - beta2**step


class AdamW(Adam):
    """:class:`Adam` whose weight decay shrinks the parameters directly (Loshchilov & Hutter, 2017)."""

    def __init__(self, params: ParamsT, lr: float = 1e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False, foreach: Flag = None,
                 capturable: bool = False, differentiable: bool = False, fused: Flag = None) -> None:  # fmt: skip
        super().__init__(params, **options_of(locals()), decoupled_weight_decay=True)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of what :meth:`state_dict` gave, here or in PyTorch, even that of :class:`Adam`."""
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


class NAdam(Optimizer):
    """:class:`Adam` with Nesterov's momentum: the mean looks one step ahead (Dozat, 2016).

    Args:
        momentum_decay: how quickly the momentum rises to its final value ``betas[0]``.
    """

    def __init__(self, params: ParamsT, lr: float = 2e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
                 foreach: Flag = None, maximize: bool = False, capturable: bool = False,
                 differentiable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        m, v, new1, new2, _, correction = _means(self, p, state, group)
        now, ahead = (group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
                      for step in (state["step"], state["step"] + 1))  # fmt: skip
        product = state["mu_product"] = float(state.get("mu_product", 1.0)) * now
        lr, eps = group["lr"] * math.sqrt(correction), group["eps"] * math.sqrt(correction)
        rates = lr * (1 - now) / (1 - product), lr * ahead / (1 - product * ahead)
        _nadam(p, m, v, g, new1, new2, *rates, eps, out=(p, m, v))


@fused
def _nadam(p: Array, m: Array, v: Array, g: Array, new1: float, new2: float, rate_g: float, rate_m: float, eps: float,
           ) -> tuple[Array, Array, Array]:  # fmt: skip
    m, v = _blend(m, v, g, new1, new2)
    return _descend(p, g * rate_g + m * rate_m, v, 1, eps), m, v


class RAdam(Optimizer):
    """:class:`Adam` that steps along the plain mean until it has seen enough to know its size (Liu et al., 2019)."""

    def __init__(self, params: ParamsT, lr: float = 1e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: Flag = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        m, v, new1, new2, correction1, correction2 = _means(self, p, state, group)
        _blend(m, v, g, new1, new2, out=(m, v))
        lr = group["lr"] / correction1
        longest = 2 / (1 - group["betas"][1]) - 1  # how many gradients v averages over, in the end and now
        length = longest - 2 * state["step"] * (1 - correction2) / correction2
        if length > 5:
            lr *= math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            _descend(p, m, v, lr * math.sqrt(correction2), group["eps"], out=(p,))
        else:
            p -= m * lr


class Adamax(Optimizer):
    """:class:`Adam` with the size measured by a running maximum (Kingma & Ba, 2014)."""

    def __init__(self, params: ParamsT, lr: float = 2e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, foreach: Flag = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        state["step"] = state.get("step", 0) + 1
        m, size = self.moment(state, "exp_avg", p), self.moment(state, "exp_inf", p)
        rate = group["lr"] / (1 - beta1 ** state["step"])
        _adamax(p, m, size, g, 1 - beta1, beta2, rate, group["eps"], out=(p, m, size))


@fused
def _adamax(p: Array, m: Array, size: Array, g: Array, new: float, beta2: float, rate: float, eps: float,
            ) -> tuple[Array, Array, Array]:  # fmt: skip
    m, size = blended(m, g, new), np.maximum(beta2 * size, np.abs(g) + eps)
    return p - rate * m / size, m, size
