"""Adam and its variants: steps along a running mean of the gradient, in units of its running size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..kernels.fused import fused
from ..memory import Array
from .optimizer import Flag, Optimizer, Pair, ParamsT, blend, blend_square, descend, options_of, root


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
        (beta1, beta2), lr, eps = group["betas"], group["lr"], group["eps"]
        step = state["step"] = state.get("step", 0) + 1
        m, v = self.moment(state, "exp_avg", p), self.moment(state, "exp_avg_sq", p)
        correction = math.sqrt(1 - beta2**step)
        rate, eps = lr * correction / (1 - beta1**step), eps * correction
        if group["amsgrad"]:
            largest = self.moment(state, "max_exp_avg_sq", p)
            _means(m, v, g, 1 - beta1, 1 - beta2, out=(m, v))
            _descend(p, m, np.maximum(largest, v, out=largest), rate, eps, out=(p,))
        else:
            _step(p, m, v, g, 1 - beta1, 1 - beta2, rate, eps, out=(p, m, v))


@fused
def _means(m: Array, v: Array, g: Array, new1: float, new2: float) -> tuple[Array, Array]:
    return m + (g - m) * new1, v + (g * g - v) * new2


@fused
def _descend(p: Array, m: Array, v: Array, rate: float, eps: float) -> Array:
    return p - m * rate / (np.sqrt(v) + eps)


@fused
def _step(p: Array, m: Array, v: Array, g: Array, new1: float, new2: float, rate: float, eps: float,
          ) -> tuple[Array, Array, Array]:  # fmt: skip
    m, v = _means(m, v, g, new1, new2)
    return _descend(p, m, v, rate, eps), m, v


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
        lr, scratch = group["lr"], self.buffer(p)
        m, v, _, correction = _running_means(self, p, g, state, group)
        now, ahead = (group["betas"][0] * (1 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
                      for step in (state["step"], state["step"] + 1))  # fmt: skip
        product = state["mu_product"] = float(state.get("mu_product", 1.0)) * now
        size = root(v, group["eps"] * math.sqrt(correction), self.buffer(p, 3))
        lr *= math.sqrt(correction)
        descend(p, g, size, lr * (1 - now) / (1 - product), scratch)
        descend(p, m, size, lr * ahead / (1 - product * ahead), scratch)


class RAdam(Optimizer):
    """:class:`Adam` that steps along the plain mean until it has seen enough to know its size (Liu et al., 2019)."""

    def __init__(self, params: ParamsT, lr: float = 1e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, decoupled_weight_decay: bool = False, *, foreach: Flag = None,
                 maximize: bool = False, capturable: bool = False, differentiable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        lr, scratch = group["lr"], self.buffer(p)
        m, v, correction1, correction2 = _running_means(self, p, g, state, group)
        longest = 2 / (1 - group["betas"][1]) - 1  # how many gradients v averages over, in the end and now
        length = longest - 2 * state["step"] * (1 - correction2) / correction2
        if length <= 5:
            p -= np.multiply(m, lr / correction1, out=scratch)
            return
        lr *= math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
        descend(p, m, root(v, group["eps"], scratch), lr * math.sqrt(correction2) / correction1, scratch)


class Adamax(Optimizer):
    """:class:`Adam` with the size measured by a running maximum (Kingma & Ba, 2014)."""

    def __init__(self, params: ParamsT, lr: float = 2e-3, betas: Pair = (0.9, 0.999), eps: float = 1e-8,
                 weight_decay: float = 0, foreach: Flag = None, *, maximize: bool = False,
                 differentiable: bool = False, capturable: bool = False) -> None:  # fmt: skip
        super().__init__(params, options_of(locals()))

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        (beta1, beta2), scratch = group["betas"], self.buffer(p)
        state["step"] = state.get("step", 0) + 1
        m, size = self.moment(state, "exp_avg", p), self.moment(state, "exp_inf", p)
        blend(m, g, beta1, scratch)
        size *= beta2
        np.maximum(size, np.add(np.abs(g, out=scratch), group["eps"], out=scratch), out=size)
        descend(p, m, size, group["lr"] / (1 - beta1 ** state["step"]), scratch)


def _running_means(optimizer: Optimizer, p: Array, g: Array, state: dict[str, Any],
           group: dict[str, Any]) -> tuple[Array, Array, float, float]:  # fmt: skip
    """The running means of ``g`` and of its square, with ``g`` in it; and the weight in each of all that was seen."""
    (beta1, beta2), scratch = group["betas"], optimizer.buffer(p)
    step = state["step"] = state.get("step", 0) + 1
    m, v = optimizer.moment(state, "exp_avg", p), optimizer.moment(state, "exp_avg_sq", p)
    blend(m, g, beta1, scratch)
    blend_square(v, g, beta2, scratch)
    return m, v, 1 - beta1**step, 1 - beta2**step
