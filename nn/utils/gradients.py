"""Limits for gradients, and parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import minigrad
from minigrad.linalg import vector_norm
from minigrad.tensor import Tensor


def _listed(tensors: Any, foreach: Any, name: str) -> list[Any]:
    if foreach:
        raise NotImplementedError(f"{name}: foreach=True is not available; there is one implementation")
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                   foreach: bool | None = None) -> Any:  # fmt: skip
    """The ``norm_type``-norm of all elements of all ``tensors`` together."""
    with minigrad.no_grad():
        norms = [vector_norm(t, float(norm_type)) for t in _listed(tensors, foreach, "get_total_norm")]
        total = vector_norm(minigrad.stack(norms), float(norm_type)) if norms else minigrad.tensor(0.0)
    if error_if_nonfinite and not minigrad.isfinite(total):
        raise RuntimeError(f"get_total_norm: the norm of order {norm_type} is {total.item()}, not a finite number")
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None) -> None:
    """Scale all gradients by ``max_norm / total_norm``, in place, if that is less than 1."""
    with minigrad.no_grad():
        scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for param in _listed(parameters, foreach, "clip_grads_with_norm_"):
            if param.grad is not None:
                param.grad.mul_(scale.to(param.grad.dtype))


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
                    foreach: bool | None = None) -> Any:  # fmt: skip
    """Scale all gradients in place so that the norm of them all together is at most ``max_norm``.

    Returns:
        The norm that they had.
    """
    parameters = _listed(parameters, foreach, "clip_grad_norm_")
    grads = [param.grad for param in parameters if param.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total)
    return total


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limit each element of each gradient to ``-clip_value`` to ``clip_value``, in place."""
    with minigrad.no_grad():
        for param in _listed(parameters, foreach, "clip_grad_value_"):
            if param.grad is not None:
                param.grad.clamp_(-float(clip_value), float(clip_value))


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """The elements of all parameters in one row."""
    return minigrad.cat([param.reshape(-1) for param in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Give the parameters the elements of ``vec``: the inverse of :func:`parameters_to_vector`."""
    start = 0
    for param in parameters:
        param.data = vec[start : start + param.numel()].detach().reshape(param.shape)
        start += param.numel()
