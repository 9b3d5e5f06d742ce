"""Layers that change the shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .module import Module


class Flatten(Module):
    """Make one dimension of all from ``start_dim`` to ``end_dim``; by default of all but the batch.

    From (N, C, H, W) to (N, C * H * W), for example.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Any) -> Any:
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split dimension ``dim`` into dimensions of the sizes ``unflattened_size``, one of which may be -1.

    From (..., a * b, ...) to (..., a, b, ...).
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        sizes = unflattened_size if isinstance(unflattened_size, (tuple, list)) else [None]
        if not all(isinstance(size, int) for size in sizes):
            raise TypeError(f"Unflatten: unflattened_size must be a tuple of ints, got {unflattened_size!r}")
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Any) -> Any:
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
