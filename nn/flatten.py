"""Layers that change the shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minigrad.ops.shaping import flatten

from .layer import Layer


class Flatten(Layer, function=flatten):
    """Make one dimension of all from ``start_dim`` to ``end_dim``: by default (N, ...) to (N, their product)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__(start_dim=start_dim, end_dim=end_dim)


class Unflatten(Layer):
    """Split dimension ``dim`` into dimensions of the sizes ``unflattened_size``, one of which may be -1.

    From (..., a * b, ...) to (..., a, b, ...).
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__(dim=dim, unflattened_size=unflattened_size)

    def forward(self, input: Any) -> Any:
        return input.unflatten(self.dim, self.unflattened_size)
