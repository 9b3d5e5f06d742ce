"""Weights that are computed anew before each call, from parameters of another kind."""

from __future__ import annotations

from typing import Any, TypeVar

import minigrad
from minigrad.linalg import vector_norm

from .. import functional as F
from ..module import Module
from ..parameter import Buffer, Parameter

M = TypeVar("M", bound=Module)


class _Computed:
    """A hook that computes a module's weight ``name`` before each forward."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim
        self.parts: list[str] = []  # the full names of what stands in its place

    def compute(self, module: Module, training: bool) -> Any:
        """The weight, from what stands in its place."""
        raise NotImplementedError

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))

    def attach(self, module: Module, **tensors: Any) -> None:
        """Put parameters and buffers in the place of the weight; their names are its own with the given suffixes."""
        self.parts = [self.name + suffix for suffix in tensors]
        delattr(module, self.name)
        for part, tensor in zip(self.parts, tensors.values(), strict=True):
            setattr(module, part, tensor)
        setattr(module, self.name, self.compute(module, False))
        self.handle = module.register_forward_pre_hook(self)


def _weight(module: Module, name: str) -> Any:
    """The weight, if it is not computed yet."""
    if (param := module._parameters.get(name)) is None:
        raise ValueError(f"{type(module).__name__} has no parameter {name!r}, or it is computed from others already")
    return param


def _detach(module: M, kind: type[_Computed], name: str) -> M:
    """The module with the weight as a parameter again."""
    for hook, _ in module._hooks_for("forward_pre"):
        if isinstance(hook, kind) and hook.name == name:
            weight = hook.compute(module, False).detach()
            for part in (name, *hook.parts):
                delattr(module, part)
            module.register_parameter(name, Parameter(weight))
            hook.handle.remove()
            return module
    raise ValueError(f"{type(module).__name__}: {name!r} is not computed by {kind.__name__}")


class WeightNorm(_Computed):
    """``g * v / |v|``; see :func:`weight_norm`."""

    def length(self, v: Any) -> Any:
        if self.dim is None:
            return vector_norm(v)
        return vector_norm(v, 2, tuple(d for d in range(v.ndim) if d != self.dim % v.ndim), keepdim=True)

    def compute(self, module: Module, training: bool) -> Any:
        g, v = (getattr(module, part) for part in self.parts)
        return v * (g / self.length(v))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Train length and direction of a weight apart, as ``name + "_g"`` and ``name + "_v"`` (Salimans and Kingma 2016).

    Each slice along ``dim`` has its own length; with None the whole has one.
    """
    weight, hook = _weight(module, name), WeightNorm(name, dim)
    hook.attach(module, _g=Parameter(hook.length(weight).detach()), _v=Parameter(weight))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo :func:`weight_norm`, keeping the weight as it is."""
    return _detach(module, WeightNorm, name)


class SpectralNorm(_Computed):
    """The weight divided by its largest singular value; see :func:`spectral_norm`."""

    def __init__(self, name: str, dim: int, n_power_iterations: int, eps: float) -> None:
        super().__init__(name, dim)
        self.n_power_iterations, self.eps = n_power_iterations, eps

    def compute(self, module: Module, training: bool) -> Any:
        weight, u, v = (getattr(module, part) for part in self.parts)
        matrix = weight.movedim(self.dim, 0).flatten(1)
        if training:
            with minigrad.no_grad():
                for _ in range(self.n_power_iterations):
                    v = F.normalize(matrix.T @ u, dim=0, eps=self.eps)
                    u = F.normalize(matrix @ v, dim=0, eps=self.eps)
            for part, vector in zip(self.parts[1:], (u, v), strict=True):
                setattr(module, part, vector)
        return weight / (u @ (matrix @ v))


def spectral_norm(module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12,
                  dim: int | None = None) -> M:  # fmt: skip
    """Divide a weight by its largest singular value, found by power iteration in training (Miyato et al. 2018).

    The weight as a matrix has a row for each index along ``dim``, by default that of the outputs.
    """
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}")
    weight = _weight(module, name)
    if dim is None:
        dim = int(getattr(module, "transposed", False))
    rows = weight.shape[dim]
    u, v = (F.normalize(minigrad.randn(n, dtype=weight.dtype), dim=0, eps=eps) for n in (rows, weight.numel() // rows))
    SpectralNorm(name, dim, n_power_iterations, eps).attach(module, _orig=Parameter(weight), _u=Buffer(u), _v=Buffer(v))
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo :func:`spectral_norm`, keeping the weight as it is."""
    return _detach(module, SpectralNorm, name)
