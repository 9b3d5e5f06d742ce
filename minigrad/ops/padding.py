"""Padding: borders of a number, or of the tensor's own elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index as to_int
from typing import Any

import numpy as np

from ..arguments import along
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
    widths, shape = ((0, 0),) * (input.ndim - len(given)) + tuple(reversed(given)), tuple(input.shape)
    if any(n + min(low, 0) + min(high, 0) < 0 for n, (low, high) in zip(shape, widths, strict=True)):
        raise ValueError(f"pad: {tuple(pad)} cuts off more than there is in shape {shape}")
    if mode == "constant":
        return _pad(input, widths=widths, value=value or 0)
    if mode not in _NUMPY_MODES:
        raise ValueError(f"pad: mode must be constant, reflect, replicate or circular, got {mode!r}")
    if value:
        raise ValueError(f"pad: value is for mode 'constant', not {mode!r}")
    for dim, (size, (low, high)) in enumerate(zip(shape, widths, strict=True)):
        if not (low or high):
            continue
        limit = {"reflect": size - 1, "circular": size, "replicate": math.inf if size else 0}[mode]
        if max(low, high) > limit:
            raise ValueError(f"pad: {tuple(pad)} of shape {shape}: {mode!r} can pad a dimension of size {size} "
                             f"by at most {limit}")  # fmt: skip
        places, grow = np.arange(size, like=getattr(input, "_array", input)), (max(low, 0), max(high, 0))
        if mode == "circular":  # what is left after cutting off goes round; the others see what is cut off
            places = np.pad(_cut(places, low, high), grow, "wrap")
        else:
            places = _cut(np.pad(places, grow, _NUMPY_MODES[mode]), low, high)
        input = getitem(input, along(dim, places))
    return input


_NUMPY_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _cut(places: Array, low: int, high: int) -> Array:
    """Without what negative widths cut off."""
    return places[max(-low, 0) : len(places) - max(-high, 0)]
