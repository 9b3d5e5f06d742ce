"""How Tensors are shown: laid out as PyTorch does, large ones in excerpts."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np

from . import dtypes
from .memory import Array

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80, "sci_mode": None},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80, "sci_mode": None},
}
_options = SimpleNamespace(**_PROFILES["default"])


def set_printoptions(precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
                     linewidth: int | None = None, profile: str | None = None,
                     sci_mode: bool | None = None) -> None:  # fmt: skip
    """Set how tensors are shown.

    Args:
        precision: digits after the point (4).
        threshold: with more elements than this (1000), only the edges are shown.
        edgeitems: how many elements make an edge (3).
        linewidth: characters per line (80).
        profile: ``"default"``, ``"short"`` or ``"full"``, to start from.
        sci_mode: whether numbers are written as 1.0000e+03; None decides by their range.
    """
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    given = {name: value for name, value in given.items() if value is not None}
    vars(_options).update({**_PROFILES.get(profile or "", {}), **given, "sci_mode": sci_mode})


class _Formatter:
    """Writes numbers of one tensor in one width and style, chosen by looking at all of them."""

    def __init__(self, array: Array) -> None:
        self.floating = array.dtype.kind == "f"
        self.whole, self.scientific, self.width = True, False, 1
        values = array.ravel().tolist()
        if self.floating:
            values = [v for v in values if v and math.isfinite(v)]
            if values:
                smallest, largest = min(map(abs, values)), max(map(abs, values))
                self.whole = all(v == math.floor(v) for v in values)
                wide = largest > 1000 * smallest or largest > 1e8
                self.scientific = wide or (not self.whole and smallest < 1e-4)
        if _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        self.width = max([1, *(len(self.text(v)) for v in values)])

    def text(self, value: Any) -> str:
        """``value`` without padding."""
        if not self.floating or not math.isfinite(value):
            return str(value)
        if self.scientific:
            return f"{value:.{_options.precision}e}"
        return f"{value:.0f}." if self.whole else f"{value:.{_options.precision}f}"

    def __call__(self, value: Any) -> str:
        return self.text(value).rjust(self.width)


def _edges(array: Array) -> Array:
    """The part of a large array that is shown."""
    edge = _options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * edge:
            array = np.take(array, [*range(edge), *range(size - edge, size)], axis)
    return array


def _layout(array: Array, indent: int, summarize: bool, formatter: _Formatter) -> str:
    """The nested brackets of ``array``, continued after ``indent`` columns."""
    if not array.ndim:
        return formatter(array.item())
    edge = _options.edgeitems
    cut = summarize and len(array) > 2 * edge
    rows: list[Any] = [*array[:edge], None, *array[len(array) - edge :]] if cut else list(array)
    if array.ndim > 1:
        parts = ["..." if row is None else _layout(row, indent + 1, summarize, formatter) for row in rows]
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    parts = [" ..." if row is None else formatter(row.item()) for row in rows]
    per_line = max(1, (_options.linewidth - indent) // (formatter.width + 2))
    lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def tensor_repr(tensor: Any) -> str:
    """``tensor([...], dtype=..., requires_grad=True)``; int64, bool and the default dtype are not named."""
    array = tensor._array
    prefix = f"{'tensor' if type(tensor).__name__ == 'Tensor' else type(tensor).__name__}("
    if not isinstance(array, np.ndarray):
        return f"{prefix}{array!r})"
    usual = {dtypes.get_default_dtype()} | ({dtypes.int64, dtypes.bool} if array.size else set())
    if array.size:
        summarize = array.size > _options.threshold
        formatter = _Formatter(_edges(array) if summarize else array)
        text = prefix + _layout(array, len(prefix), summarize, formatter)
    else:
        text = prefix + "[]"
    suffixes = [] if array.size or array.ndim == 1 else [f"size={array.shape}"]
    if array.dtype not in usual:
        suffixes.append(f"dtype={array.dtype}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    for suffix in suffixes:
        column = len(text) - text.rfind("\n") - 1
        fits = column + len(suffix) + 3 <= _options.linewidth
        text += (", " if fits else ",\n" + " " * len(prefix)) + suffix
    return text + ")"
