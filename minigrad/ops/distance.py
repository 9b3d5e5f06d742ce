"""Distances and angles between vectors."""

from __future__ import annotations

from typing import Any

from .elementwise import clamp
from .reduction import norm, sum


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension, with broadcasting.

    From (..., D) and (..., D) to (...).
    """
    return norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between ``x1`` and ``x2`` along ``dim``; norms count as at least ``eps``.

    Inputs that broadcast to one shape, which the result has without ``dim``.
    """
    return sum((x1 / clamp(norm(x1, 2, dim, True), min=eps)) * (x2 / clamp(norm(x2, 2, dim, True), min=eps)), dim)
