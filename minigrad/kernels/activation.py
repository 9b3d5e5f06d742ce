"""The rectifier and its gradient."""

from __future__ import annotations

import numpy as np

from ..memory import Array
from .formula import masked, positive
from .fused import fused
from .layout import stored_like

relu = fused(positive)


@fused
def _gate(g: Array, y: Array) -> Array:
    return masked(g, np.not_equal(y, 0))


def gate(g: Array, y: Array) -> Array:
    """``g`` where ``y`` is not 0, and 0 elsewhere, whatever ``g`` is there; of Tensors too."""
    return _gate(stored_like(g, y), y)


gate.overwrites = lambda g, y: _gate.overwrites(stored_like(g, y), y)  # type: ignore[attr-defined]
