"""Padding: borders of a number, or of the tensor's own elements."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as to_int
from typing import Any

import numpy as np

from ..engine import primitive
from ..memory import Array
from .indexing import getitem


@primitive(input=lambda g, widths: _pad(g, tuple((-low, -high) for low, high in widths), 0))
def _pad(input: Array, widths: tuple[tuple[int, int], ...], value: float) -> Array:
    """``input`` with borders of ``value``; a negative width cuts off. Its adjoint cuts off where it pads."""
    shape = tuple(n + low + high for n, (low, high) in zip(input.shape, widths, strict=True))
    out = np.full_like(input, value, shape=shape, order="C")
    inside = tuple(slice(max(low, 0), n - max(high, 0)) for n, (low, high) in zip(shape, widths, strict=True))
    kept = tuple(slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(input.shape, widths, strict=True))
    out[inside] = input[kept]
    return out


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Borders around a tensor.

    From (..., H, W) to (..., top + H + bottom, left + W + right), for example.

    Args:
        pad: their widths, the *last* dimension first: ``(left, right)``, ``(left, right, top, bottom)``,
            ... A negative width cuts off.
        mode: ``"constant"``, or a border of the tensor's own elements: ``"reflect"`` (mirrored, the
            edge itself not repeated), ``"replicate"`` (the edge repeated), ``"circular"``.
        value: what a constant border is made of; 0 by default.
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: expected a (low, high) pair for at most the {input.ndim} dimensions, got {tuple(pad)}")
    given = [(to_int(low), to_int(high)) for low, high in zip(pad[::2], pad[1::2], strict=True)]
    widths = ((0, 0),) * (input.ndim - len(given)) + tuple(reversed(given))
    shape = tuple(input.shape)
    if any(
        n + low + high < 0 or n + min(low, 0) < 0 or n + min(high, 0) < 0
        for n, (low, high) in zip(shape, widths, strict=True)
    ):
        raise ValueError(f"pad: {tuple(pad)} cuts off more than there is in shape {shape}")
    if mode == "constant":
        return _pad(input, widths=widths, value=value or 0)
    if mode not in ("reflect", "replicate", "circular"):
        raise ValueError(f"pad: mode must be constant, reflect, replicate or circular, got {mode!r}")
    if value:
        raise ValueError(f"pad: value is for mode 'constant', not {mode!r}")
    for dim, (low, high) in enumerate(widths):
        if low or high:
            _check_border(shape[dim], max(low, high), mode, f"pad: {tuple(pad)} of shape {shape}")
            positions = np.arange(-low, shape[dim] + high, like=getattr(input, "_array", input))
            input = getitem(input, (*(slice(None),) * dim, _source(positions, shape[dim], mode)))
    return input


def _check_border(size: int, width: int, mode: str, name: str) -> None:
    limit = {"reflect": size - 1, "circular": size, "replicate": width if size else 0}[mode]
    if width > limit:
        raise ValueError(f"{name}: {mode!r} can pad a dimension of size {size} by at most {limit}")


def _source(positions: Array, size: int, mode: str) -> Array:
    """For each of the ``positions``, which may lie outside of ``range(size)``, the one that it is a copy of."""
    if mode == "replicate":
        return np.clip(positions, 0, size - 1)
    if mode == "reflect":
        return size - 1 - np.abs(size - 1 - np.abs(positions))
    # circular: what is left after cutting off goes round
    inside = positions[(positions >= 0) & (positions < size)]
    return inside[(positions - max(int(positions[0]), 0)) % inside.size]
