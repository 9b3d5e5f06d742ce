"""Sums into chosen places."""

from __future__ import annotations

import numpy as np

from ..memory import Array


def add_at(out: Array, index: tuple, values: Array) -> Array:
    """Add ``values`` to ``out[index]``, once for each time that a place occurs. Returns ``out``."""
    np.add.at(out, index, values)
    return out
