"""Hypothesis strategies for shapes, values and layouts, to prove operations with (needs hypothesis)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes; they shrink to fewer and smaller dimensions."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def floats(draw: Any, shape: Any, low: float = -2.0, high: float = 2.0, avoid: Sequence[float] = (0.0,)) -> np.ndarray:
    """A float64 array of values in ``low`` to ``high`` that differ from each other and from ``avoid``.

    The values are levels of one even grid in random order, so that no step of a finite difference
    crosses a tie, or a kink named in ``avoid``. ``shape`` is a shape or a strategy for one.
    """
    if isinstance(shape, st.SearchStrategy):
        shape = draw(shape)
    size = int(np.prod(shape))
    gap = (high - low) / max(size, 1)
    values = low + gap * (np.random.default_rng(draw(st.integers(0, 2**16))).permutation(size) + 0.5)
    for kink in avoid:
        values = np.where(np.abs(values - kink) < gap / 5, kink + gap / 4, values)
    return values.reshape(shape)


def integers(shape: Any, low: int, high: int, dtype: str = "int64") -> st.SearchStrategy[np.ndarray]:
    """An integer array with values from ``low`` to ``high``, both included."""
    shape = shape if isinstance(shape, st.SearchStrategy) else st.just(shape)
    return st.builds(
        lambda shape, seed: np.random.default_rng(seed).integers(low, high, size=shape, endpoint=True).astype(dtype),
        shape, st.integers(0, 2**16),
    )  # fmt: skip


def booleans(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """A bool array."""
    return integers(shape, 0, 1).map(lambda array: array.astype(bool))


@st.composite
def broadcastable(draw: Any, count: int = 2, max_dims: int = 3, max_side: int = 3) -> tuple[tuple[int, ...], ...]:
    """``count`` shapes that broadcast against each other, with some sizes 1 and some dimensions missing."""
    full = draw(shapes(0, max_dims, 1, max_side))
    result = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))) :]
        result.append(tuple(1 if draw(st.booleans()) else side for side in kept))
    return tuple(result)
