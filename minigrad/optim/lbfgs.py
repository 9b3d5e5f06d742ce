"""L-BFGS: steps along Newton's direction, estimated from how the gradient changed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..creation import zeros_like
from ..engine import grad_mode
from ..ops.shaping import cat
from .optimizer import Optimizer, ParamsT, options_of


class LBFGS(Optimizer):
    """``p += t * d`` with ``d = -H @ gradient``, of all parameters as one vector; H estimates the inverse Hessian.

    H is never formed: the last changes of position and gradient stand for it (Nocedal & Wright, 2006,
    algorithm 7.4). There can be one parameter group only.

    Args:
        lr: the step t, or the first that the line search tries.
        max_iter: iterations in one :meth:`step`.
        max_eval: calls of the closure in one :meth:`step`; 1.25 times ``max_iter`` if None.
        tolerance_grad: stop if no element of the gradient is larger.
        tolerance_change: stop if neither the loss nor an element of a parameter changes by more.
        history_size: how many changes are remembered.
        line_search_fn: None, or "strong_wolfe".
    """

    def __init__(self, params: ParamsT, lr: float = 1, max_iter: int = 20, max_eval: int | None = None,
                 tolerance_grad: float = 1e-7, tolerance_change: float = 1e-9, history_size: int = 100,
                 line_search_fn: str | None = None) -> None:  # fmt: skip
        if line_search_fn not in (None, "strong_wolfe"):
            raise ValueError(f"line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}")
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, options_of(locals()))
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that computes the loss and its gradients, and returns the loss")
        group = self.param_groups[0]
        params, lr, tolerance = group["params"], group["lr"], group["tolerance_change"]
        state = self.state[params[0]]  # of all of them

        def evaluate() -> tuple[Any, Any]:
            with grad_mode(True):
                loss = closure()
            return loss, cat([(zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in params])

        def place(t: float) -> None:
            for p, part in zip(params, (position + d * t).split([p.numel() for p in params]), strict=True):
                p.copy_(part.reshape(p.shape))

        def probe(t: float) -> _Point:
            place(t)
            loss, grad = evaluate()
            return _Point(t, float(loss), grad, float(grad.dot(d)))

        first, grad = evaluate()
        loss, evaluations = float(first), 1
        state["func_evals"] = state.get("func_evals", 0) + 1
        for iteration in range(1, group["max_iter"] + 1):
            if float(grad.abs().max()) <= group["tolerance_grad"]:
                break
            n = state["n_iter"] = state.get("n_iter", 0) + 1
            d = _direction(grad, state, group["history_size"])
            t = lr if n > 1 else min(1.0, 1.0 / float(grad.abs().sum())) * lr
            start, limit = _Point(0.0, loss, grad, float(grad.dot(d))), group["max_eval"] - evaluations
            state.update(d=d, t=t, prev_flat_grad=grad, prev_loss=loss)
            if start.slope > -tolerance:
                break
            position, used = cat([p.detach().reshape(-1) for p in params]), 0
            if group["line_search_fn"]:
                (t, loss, grad, _), used = _strong_wolfe(probe, start, t, float(d.abs().max()), limit)
                state["t"] = t
                place(t)
            elif iteration < group["max_iter"]:
                (_, loss, grad, _), used = probe(t), 1
            else:
                place(t)  # the next step evaluates
            evaluations, state["func_evals"] = evaluations + used, state["func_evals"] + used
            moved = float((d * t).abs().max()) > tolerance and abs(loss - start.loss) >= tolerance
            if evaluations >= group["max_eval"] or not moved:
                break
        return first


def _direction(grad: Any, state: dict[str, Any], history_size: int) -> Any:
    """Minus the gradient, times the inverse Hessian that the remembered changes suggest."""
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -grad
    change, step = grad - state["prev_flat_grad"], state["d"] * state["t"]
    changes, steps, scales = history = state["old_dirs"], state["old_stps"], state["ro"]
    if (curvature := float(change.dot(step))) > 1e-10:
        for old, new in zip(history, (change, step, 1 / curvature), strict=True):
            old[:] = [*old, new][-history_size:]
        state["H_diag"] = curvature / float(change.dot(change))
    d, weights = -grad, [0.0] * len(changes)
    for i in reversed(range(len(changes))):
        weights[i] = float(steps[i].dot(d)) * float(scales[i])
        d.sub_(changes[i], alpha=weights[i])
    d *= float(state["H_diag"])
    for i in range(len(changes)):
        d.add_(steps[i], alpha=weights[i] - float(changes[i].dot(d)) * float(scales[i]))
    return d


class _Point(NamedTuple):
    """What is known of the loss after a step of length t."""

    t: float
    loss: float
    grad: Any
    slope: float  # of the loss along the direction


def _strong_wolfe(probe: Callable[[float], _Point], start: _Point, t: float, size: float,
                  limit: int) -> tuple[_Point, int]:  # fmt: skip
    """A step that lowers the loss enough and leaves little slope, and how many were tried.

    First steps grow until they bracket one that does, then the bracket shrinks (Nocedal & Wright,
    2006, algorithms 3.5 and 3.6, with the constants of Schmidt's minFunc).
    """
    before, new, tried = start, probe(t), 0
    while tried < limit:
        high = new.loss > start.loss + 1e-4 * new.t * start.slope or (tried > 1 and new.loss >= before.loss)
        if not high and abs(new.slope) <= -0.9 * start.slope:
            return new, tried + 1
        if high or new.slope >= 0:
            break
        t = _cubic_minimum(before, new, new.t + 0.01 * (new.t - before.t), new.t * 10)
        before, new, tried = new, probe(t), tried + 1
    bracket = [before if tried < limit else start, new]
    low, slow = int(bracket[0].loss > bracket[1].loss), False  # its lower end; whether the last step stayed near an end
    while tried < limit and abs(bracket[1].t - bracket[0].t) * size >= 1e-9:
        left, right = sorted(point.t for point in bracket)
        t, margin = _cubic_minimum(bracket[0], bracket[1], left, right), 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (slow or not left < t < right):
            t, near = right - margin if right - t < t - left else left + margin, False
        slow, new, tried = near, probe(t), tried + 1
        if new.loss > start.loss + 1e-4 * t * start.slope or new.loss >= bracket[low].loss:
            bracket[1 - low] = new
            low = int(bracket[0].loss > bracket[1].loss)
            continue
        if abs(new.slope) <= -0.9 * start.slope:
            return new, tried + 1
        if new.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = new
    return bracket[low], tried + 1


def _cubic_minimum(a: _Point, b: _Point, low: float, high: float) -> float:
    """Where between ``low`` and ``high`` the cubic through two points, with their slopes, is least."""
    a, b = sorted((a, b), key=lambda point: point.t)
    d1 = a.slope + b.slope + 3 * (a.loss - b.loss) / (b.t - a.t or math.nan)
    d2 = math.sqrt(square) if (square := d1 * d1 - a.slope * b.slope) >= 0 else math.nan
    turn = (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2 or math.nan)
    return (low + high) / 2 if math.isnan(turn) else min(high, max(low, b.t - (b.t - a.t) * turn))
