"""Sums, differences and products of two arrays; those of large ones are shared among the threads."""

from __future__ import annotations

import numpy as np

from ..memory import Array
from .fused import fused

_LARGE = 1 << 15  # elements: below, NumPy is quicker at a single step

added, subtracted, multiplied, negated = (fused(function) for function in (
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a: -a
))  # fmt: skip


def _is_large(a: Array, b: Array) -> bool:
    return a.__class__ is np.ndarray and a.size >= _LARGE and b.__class__ is np.ndarray and a.dtype is b.dtype


def add(a: Array, b: Array) -> Array:
    return added(a, b) if _is_large(a, b) else np.add(a, b)


def subtract(a: Array, b: Array) -> Array:
    return subtracted(a, b) if _is_large(a, b) else np.subtract(a, b)


def multiply(a: Array, b: Array) -> Array:
    return multiplied(a, b) if _is_large(a, b) else np.multiply(a, b)


def accumulate(total: Array, more: Array) -> Array:
    """``total += more``."""
    return added(total, more, out=(total,)) if _is_large(total, more) else np.add(total, more, out=total)
