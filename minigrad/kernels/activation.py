"""The rectifier and its gradient."""

from __future__ import annotations

import numpy as np

from ..memory import Array
from .formula import masked, positive
from .fused import SMALL, fused
from .layout import stored_like

_relu = fused(positive)


@fused
def _gate(g: Array, y: Array) -> Array:
    return masked(g, np.not_equal(y, 0))


def _is_large(x: Array) -> bool:
    return x.__class__ is np.ndarray and x.size >= SMALL


def relu(x: Array) -> Array:
    """``max(x, 0)``."""
    return _relu(x) if _is_large(x) else positive(x)


def gate(g: Array, y: Array) -> Array:
    """``g`` where ``y`` is not 0, and 0 elsewhere, whatever ``g`` is there; of Tensors too."""
    return _gate(stored_like(g, y), y) if _is_large(y) else masked(g, np.not_equal(y, 0))
