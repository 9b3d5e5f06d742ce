"""NumPy's functions on Tensors: ``np.exp(x)`` and ``np.sum(x, axis=0)`` are operations of minigrad.

NumPy asks a Tensor what one of its functions means (NEP 13 for ufuncs, NEP 18 for the others), and
two tables answer. That makes one gradient rule serve every order of derivative: it calls ``np.``
functions, which compute on arrays and record on Tensors. Functions outside the tables raise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import creation, dtypes
from .arguments import NUMPY_KEYWORDS, along, normalize_dim, normalize_dims
from .engine import TensorBase, new_tensor
from .ops import elementwise, indexing, linalg, padding, reduction, shaping, sorting

# Operations of the same name, and what NumPy calls otherwise or means otherwise.
UFUNCS: dict[Any, Callable] = {
    ufunc: getattr(elementwise, name) for name, ufunc in vars(np).items()
    if isinstance(ufunc, np.ufunc) and hasattr(elementwise, name)
} | {
    np.add: elementwise._add, np.subtract: elementwise._sub, np.true_divide: elementwise._div,
    np.power: elementwise.pow, np.fabs: elementwise.abs, np.rint: elementwise.round, np.equal: elementwise.eq,
    np.radians: elementwise.deg2rad, np.degrees: elementwise.rad2deg, np.invert: elementwise.bitwise_not,
    np.left_shift: elementwise.bitwise_left_shift, np.right_shift: elementwise.bitwise_right_shift,
    np.matmul: linalg.matmul,
}  # fmt: skip

_KEYWORDS = NUMPY_KEYWORDS | {
    "axes": "dims", "axis1": "dim1", "axis2": "dim2", "ddof": "correction", "a_min": "min", "a_max": "max",
    "k": "diagonal",
}  # fmt: skip


def _array(value: Any) -> Any:
    """The array in a Tensor; anything else as it is."""
    return value._array if isinstance(value, TensorBase) else value


def _on_arrays(function: Callable) -> Callable:
    """A function that asks about arrays and makes none."""
    return lambda *args, **options: function(*map(_array, args), **options)


def _like(make: Callable) -> Callable:
    """``np.zeros_like`` and its kin, also for another shape; the result is a constant."""

    def function(a: Any, *args: Any, dtype: Any = None, shape: Any = None) -> Any:
        dtype = None if dtype is None else dtypes.as_dtype(dtype, make.__name__)
        return new_tensor(make(_array(a), *map(_array, args), shape=shape, dtype=dtype))

    return function


def _reduction(operation: Callable) -> Callable:
    """An operation whose third argument is not NumPy's."""
    return lambda a, dim=None, **options: operation(a, dim, **options)


def _flat(operation: Callable, default: int | None = None) -> Callable:
    """An operation along a dimension, which without one goes through the flattened tensor."""

    def function(a: Any, dim: int | None = default, **options: Any) -> Any:
        return operation(shaping.ravel(a), 0, **options) if dim is None else operation(a, dim, **options)

    return function


def _expand_dims(a: Any, dim: Any) -> Any:
    count = 1 if isinstance(dim, int) else len(dim)
    for d in sorted(normalize_dims(dim, a.ndim + count, "np.expand_dims", "axis")):
        a = shaping.unsqueeze(a, d)
    return a


def _take(a: Any, indices: Any, dim: int | None = None) -> Any:
    if dim is None:
        return indexing.take(a, creation.as_tensor(indices))
    return indexing.getitem(a, along(normalize_dim(dim, a.ndim, "np.take", "axis"), indices))


_PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    if mode not in _PAD_MODES:
        raise NotImplementedError(f"np.pad: mode {mode!r} is not available for Tensors")
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    flat = [width for pair in reversed(widths) for width in pair]
    return padding.pad(array, flat, _PAD_MODES[mode], constant_values or None)


def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return elementwise.mul(a, b)
    if np.ndim(b) > 2:
        raise NotImplementedError("np.dot: not available for Tensors with more than 2 dimensions; use np.matmul")
    return linalg.matmul(a, b)


FUNCTIONS: dict[Callable, Callable] = {
    **{f: _like(f) for f in (np.zeros_like, np.ones_like, np.empty_like, np.full_like)},
    **{f: _on_arrays(f) for f in (np.shape, np.ndim, np.size, np.shares_memory, np.may_share_memory, np.array_equal)},
    np.result_type: dtypes.result_type, np.where: elementwise.where, np.clip: elementwise.clamp,
    np.isclose: elementwise.isclose, np.allclose: elementwise.allclose, np.sinc: elementwise.sinc,
    np.round: lambda a, decimals=0: elementwise.round(a, decimals=decimals),
    np.nan_to_num: lambda x, copy=True, **options: elementwise.nan_to_num(x, **options),
    # shapes
    np.copy: shaping.clone, np.reshape: shaping.reshape, np.ravel: shaping.ravel, np.swapaxes: shaping.swapaxes,
    np.moveaxis: shaping.movedim, np.squeeze: shaping.squeeze, np.broadcast_to: shaping.broadcast_to,
    np.broadcast_arrays: shaping.broadcast_tensors, np.expand_dims: _expand_dims, np.stack: shaping.stack,
    np.hstack: shaping.hstack, np.vstack: shaping.vstack, np.atleast_1d: shaping.atleast_1d,
    np.atleast_2d: shaping.atleast_2d, np.tile: shaping.tile,
    np.repeat: shaping.repeat_interleave, np.pad: _pad, np.tril: shaping.tril, np.triu: shaping.triu,
    np.diag: shaping.diag, np.diagonal: shaping.diagonal,
    np.roll: lambda a, shift, dim=None: shaping.roll(a, shift, dim),
    np.transpose: lambda a, dims=None: shaping.reverse_dims(a) if dims is None else shaping.permute(a, *dims),
    np.concatenate: lambda arrays, dim=0: (
        shaping.cat([shaping.ravel(a) for a in arrays]) if dim is None else shaping.cat(arrays, dim)),
    np.flip: lambda m, dim=None: shaping.flip(m, normalize_dims(dim, m.ndim, "np.flip", "axis")),
    np.trace: lambda a, *args, **options: reduction.sum(shaping.diagonal(a, *args, **options), -1),
    # reductions and scans
    np.sum: _reduction(reduction.sum), np.mean: _reduction(reduction.mean), np.prod: _reduction(reduction.prod),
    np.max: _reduction(reduction.amax), np.amax: _reduction(reduction.amax), np.min: _reduction(reduction.amin),
    np.amin: _reduction(reduction.amin), np.any: _reduction(reduction.any), np.all: _reduction(reduction.all),
    np.argmax: _reduction(reduction.argmax), np.argmin: _reduction(reduction.argmin),
    np.count_nonzero: _reduction(reduction.count_nonzero),
    np.var: lambda a, dim=None, *, correction=0, **options: reduction.var(a, dim, correction=correction, **options),
    np.std: lambda a, dim=None, *, correction=0, **options: reduction.std(a, dim, correction=correction, **options),
    np.cumsum: _flat(reduction.cumsum), np.cumprod: _flat(reduction.cumprod),
    # choice and order
    np.take: _take, np.argwhere: indexing.argwhere, np.nonzero: lambda a: indexing.nonzero(a, as_tuple=True),
    np.take_along_axis: lambda arr, indices, dim=-1: indexing.take_along_dim(arr, indices, dim),
    np.sort: _flat(lambda a, dim: sorting.sort(a, dim)[0], -1), np.argsort: _flat(sorting.argsort, -1),
    np.searchsorted: sorting.searchsorted,
    # linear algebra
    np.dot: _dot, np.inner: linalg.inner, np.tensordot: linalg.tensordot, np.einsum: linalg.einsum,
    np.vdot: lambda a, b: linalg.dot(shaping.ravel(a), shaping.ravel(b)),
    np.outer: lambda a, b: linalg.outer(shaping.ravel(a), shaping.ravel(b)),
    np.linalg.norm: linalg.norm, np.linalg.inv: linalg.inv, np.linalg.det: linalg.det,
    np.linalg.solve: linalg.solve, np.linalg.cholesky: linalg.cholesky,
}  # fmt: skip

REDUCTIONS: dict[Any, Callable] = {  # ufunc.reduce
    np.add: reduction.sum, np.multiply: reduction.prod, np.maximum: reduction.amax, np.minimum: reduction.amin,
    np.logical_and: reduction.all, np.logical_or: reduction.any,
}  # fmt: skip


def __array_ufunc__(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy calls it for ``ufunc(*inputs)`` if an input is a Tensor."""
    name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    if method == "reduce":
        return _call(REDUCTIONS.get(ufunc), name, inputs, {"axis": 0} | options)
    return _call(UFUNCS.get(ufunc) if method == "__call__" else None, name, inputs, options)


def __array_function__(self: Any, function: Callable, types: Any, args: tuple, options: dict[str, Any]) -> Any:
    """NumPy calls it for its other functions."""
    name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
    return _call(FUNCTIONS.get(function), name, args, options)


def _call(operation: Callable | None, name: str, args: tuple, options: dict[str, Any]) -> Any:
    if operation is None:
        raise NotImplementedError(f"{name}: not available for Tensors; x.detach().numpy() is an array for it")
    for option in ("out", "where", "casting", "order", "subok"):
        if options.get(option) is not None:
            raise NotImplementedError(f"{name}: {option}= is not available for Tensors")
    try:
        return operation(*args, **{_KEYWORDS.get(k, k): v for k, v in options.items() if k != "out"})
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
