"""Distances and angles as modules."""

from __future__ import annotations

from . import functional as F
from .layer import Layer


class CosineSimilarity(Layer, function=F.cosine_similarity):
    """The cosine of the angle between two inputs along ``dim``; norms count as at least ``eps``.

    Inputs that broadcast to one shape, which the result has without ``dim``.
    """

    shown = ()

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)


class PairwiseDistance(Layer, function=F.pairwise_distance):
    """The ``p``-norm of ``x1 - x2 + eps``: (N, D) or (D,) to (N,) or (), with ``keepdim`` to (N, 1) or (1,)."""

    shown = ()

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(p=p, eps=eps, keepdim=keepdim)
