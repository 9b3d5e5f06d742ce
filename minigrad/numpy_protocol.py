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
from .arguments import normalize_dim, normalize_dims
from .engine import TensorBase, new_tensor
from .ops import elementwise, indexing, linalg, padding, reduction, shaping, sorting

UFUNCS: dict[Any, Callable] = {
    # arithmetic
    np.add: elementwise._add, np.subtract: elementwise._sub, np.multiply: elementwise.mul,
    np.true_divide: elementwise._div, np.floor_divide: elementwise.floor_divide, np.remainder: elementwise.remainder,
    np.fmod: elementwise.fmod, np.power: elementwise.pow, np.float_power: elementwise.float_power,
    np.negative: elementwise.neg, np.positive: elementwise.positive, np.absolute: elementwise.abs,
    np.fabs: elementwise.abs, np.sign: elementwise.sign, np.copysign: elementwise.copysign,
    np.reciprocal: elementwise.reciprocal, np.square: elementwise.square, np.sqrt: elementwise.sqrt,
    # exponentials, logarithms, trigonometry
    np.exp: elementwise.exp, np.exp2: elementwise.exp2, np.expm1: elementwise.expm1, np.log: elementwise.log,
    np.log2: elementwise.log2, np.log10: elementwise.log10, np.log1p: elementwise.log1p,
    np.logaddexp: elementwise.logaddexp, np.sin: elementwise.sin, np.cos: elementwise.cos, np.tan: elementwise.tan,
    np.arcsin: elementwise.asin, np.arccos: elementwise.acos, np.arctan: elementwise.atan,
    np.arctan2: elementwise.atan2, np.hypot: elementwise.hypot, np.deg2rad: elementwise.deg2rad,
    np.radians: elementwise.deg2rad, np.rad2deg: elementwise.rad2deg, np.degrees: elementwise.rad2deg,
    np.sinh: elementwise.sinh, np.cosh: elementwise.cosh, np.tanh: elementwise.tanh, np.arcsinh: elementwise.asinh,
    np.arccosh: elementwise.acosh, np.arctanh: elementwise.atanh,
    # rounding and choice
    np.floor: elementwise.floor, np.ceil: elementwise.ceil, np.trunc: elementwise.trunc, np.rint: elementwise.round,
    np.maximum: elementwise.maximum, np.minimum: elementwise.minimum, np.fmax: elementwise.fmax,
    np.fmin: elementwise.fmin, np.heaviside: elementwise.heaviside,
    # comparison and logic
    np.equal: elementwise.eq, np.not_equal: elementwise.ne, np.less: elementwise.lt, np.less_equal: elementwise.le,
    np.greater: elementwise.gt, np.greater_equal: elementwise.ge, np.logical_and: elementwise.logical_and,
    np.logical_or: elementwise.logical_or, np.logical_xor: elementwise.logical_xor,
    np.logical_not: elementwise.logical_not, np.bitwise_and: elementwise.bitwise_and,
    np.bitwise_or: elementwise.bitwise_or, np.bitwise_xor: elementwise.bitwise_xor,
    np.invert: elementwise.bitwise_not, np.left_shift: elementwise.bitwise_left_shift,
    np.right_shift: elementwise.bitwise_right_shift, np.signbit: elementwise.signbit, np.isnan: elementwise.isnan,
    np.isinf: elementwise.isinf, np.isfinite: elementwise.isfinite,
    # linear algebra
    np.matmul: linalg.matmul,
}


def _like(make: Callable) -> Callable:
    """``np.zeros_like`` and its kin, also for another shape; the result is a constant."""

    def function(a: Any, *args: Any, dtype: Any = None, shape: Any = None, **options: Any) -> Any:
        options = {**options, "shape": shape, "dtype": None if dtype is None else dtypes.as_dtype(dtype, make.__name__)}
        return new_tensor(make(_array(a), *map(_array, args), **options))

    return function


def _array(value: Any) -> Any:
    """The array in a Tensor; anything else as it is."""
    return value._array if isinstance(value, TensorBase) else value


def _on_arrays(function: Callable) -> Callable:
    """A function that asks about arrays and makes none."""
    return lambda *args, **options: function(*map(_array, args), **options)


def _expand_dims(a: Any, axis: Any) -> Any:
    count = 1 if isinstance(axis, int) else len(axis)
    for dim in sorted(normalize_dims(axis, a.ndim + count, "np.expand_dims", "axis")):
        a = shaping.unsqueeze(a, dim)
    return a


def _concatenate(arrays: Any, axis: Any = 0) -> Any:
    if axis is None:
        return shaping.cat([shaping.reshape(a, -1) for a in arrays])
    return shaping.cat(arrays, axis)


def _extremum(operation: Callable) -> Callable:
    return lambda a, axis=None, *, keepdims=False: operation(a, () if axis is None else axis, keepdims)


def _scan(operation: Callable) -> Callable:
    return lambda a, axis=None, dtype=None: operation(
        shaping.reshape(a, -1) if axis is None else a, 0 if axis is None else axis, dtype=dtype
    )


def _take(a: Any, indices: Any, axis: int | None = None) -> Any:
    if axis is None:
        return indexing.take(a, creation.as_tensor(indices))
    return indexing.getitem(a, (slice(None),) * normalize_dim(axis, a.ndim, "np.take", "axis") + (indices,))


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
    dim = normalize_dim(axis, ary.ndim, "np.split", "axis")
    if isinstance(indices_or_sections, int) and ary.shape[dim] % indices_or_sections:
        raise ValueError(f"np.split: size {ary.shape[dim]} is not divisible by {indices_or_sections}")
    return shaping.tensor_split(ary, indices_or_sections, dim)


_PAD_MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: float = 0) -> Any:
    if mode not in _PAD_MODES:
        raise NotImplementedError(f"np.pad: mode {mode!r} is not available for Tensors")
    widths = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    flat = [width for pair in reversed(widths) for width in pair]
    return padding.pad(array, flat, _PAD_MODES[mode], constant_values or None)


def _sorted(operation: Callable) -> Callable:
    return lambda a, axis=-1: operation(shaping.reshape(a, -1) if axis is None else a, -1 if axis is None else axis)


def _dot(a: Any, b: Any) -> Any:
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return elementwise.mul(a, b)
    if np.ndim(b) > 2:
        raise NotImplementedError("np.dot: not available for Tensors with more than 2 dimensions; use np.matmul")
    return linalg.matmul(a, b)


FUNCTIONS: dict[Callable, Callable] = {
    np.zeros_like: _like(np.zeros_like),
    np.ones_like: _like(np.ones_like),
    np.empty_like: _like(np.empty_like),
    np.full_like: _like(np.full_like),
    np.shape: _on_arrays(np.shape),
    np.ndim: _on_arrays(np.ndim),
    np.size: _on_arrays(np.size),
    np.shares_memory: _on_arrays(np.shares_memory),
    np.may_share_memory: _on_arrays(np.may_share_memory),
    np.array_equal: _on_arrays(np.array_equal),
    np.result_type: dtypes.result_type,
    np.where: lambda condition, x=None, y=None: elementwise.where(condition, x, y),
    np.clip: lambda a, a_min=None, a_max=None, *, min=None, max=None: elementwise.clamp(
        a, min if a_min is None else a_min, max if a_max is None else a_max
    ),
    np.round: lambda a, decimals=0: elementwise.round(a, decimals=decimals),
    np.around: lambda a, decimals=0: elementwise.round(a, decimals=decimals),
    np.nan_to_num: lambda x, copy=True, nan=0.0, posinf=None, neginf=None: elementwise.nan_to_num(
        x, nan=nan, posinf=posinf, neginf=neginf
    ),
    # shapes
    np.copy: lambda a: shaping.clone(a),
    np.reshape: lambda a, shape: shaping.reshape(a, shape),
    np.ravel: lambda a: shaping.reshape(a, -1),
    np.transpose: lambda a, axes=None: shaping.permute(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes)),
    np.swapaxes: lambda a, axis1, axis2: shaping.transpose(a, axis1, axis2),
    np.moveaxis: lambda a, source, destination: shaping.movedim(a, source, destination),
    np.expand_dims: _expand_dims,
    np.squeeze: lambda a, axis=None: shaping.squeeze(a, axis),
    np.broadcast_to: lambda array, shape: shaping.broadcast_to(array, shape),
    np.broadcast_arrays: lambda *args: shaping.broadcast_tensors(*args),
    np.concatenate: _concatenate,
    np.stack: lambda arrays, axis=0: shaping.stack(arrays, axis),
    np.hstack: lambda tup: shaping.hstack(tup),
    np.vstack: lambda tup: shaping.vstack(tup),
    np.atleast_1d: lambda *arys: shaping.atleast_1d(*arys),
    np.atleast_2d: lambda *arys: shaping.atleast_2d(*arys),
    np.split: _split,
    np.array_split: lambda ary, indices_or_sections, axis=0: shaping.tensor_split(ary, indices_or_sections, axis),
    np.tile: lambda A, reps: shaping.tile(A, reps),
    np.repeat: lambda a, repeats, axis=None: shaping.repeat_interleave(a, repeats, axis),
    np.flip: lambda m, axis=None: shaping.flip(m, normalize_dims(axis, m.ndim, "np.flip", "axis")),
    np.roll: lambda a, shift, axis=None: shaping.roll(a, shift, axis),
    np.rot90: lambda m, k=1, axes=(0, 1): shaping.rot90(m, k, axes),
    np.pad: _pad,
    np.tril: lambda m, k=0: shaping.tril(m, k),
    np.triu: lambda m, k=0: shaping.triu(m, k),
    np.diag: lambda v, k=0: shaping.diag(v, k),
    np.diagonal: lambda a, offset=0, axis1=0, axis2=1: shaping.diagonal(a, offset, axis1, axis2),
    np.trace: lambda a, offset=0, axis1=0, axis2=1: reduction.sum(shaping.diagonal(a, offset, axis1, axis2), -1),
    # reductions and scans
    np.sum: lambda a, axis=None, dtype=None, *, keepdims=False: reduction.sum(a, axis, keepdims, dtype=dtype),
    np.mean: lambda a, axis=None, dtype=None, *, keepdims=False: reduction.mean(a, axis, keepdims, dtype=dtype),
    np.prod: lambda a, axis=None, dtype=None, *, keepdims=False: reduction.prod(a, axis, keepdims, dtype=dtype),
    np.var: lambda a, axis=None, *, ddof=0, keepdims=False: reduction.var(a, axis, keepdim=keepdims, correction=ddof),
    np.std: lambda a, axis=None, *, ddof=0, keepdims=False: reduction.std(a, axis, keepdim=keepdims, correction=ddof),
    np.max: _extremum(reduction.amax),
    np.amax: _extremum(reduction.amax),
    np.min: _extremum(reduction.amin),
    np.amin: _extremum(reduction.amin),
    np.argmax: lambda a, axis=None, *, keepdims=False: reduction.argmax(a, axis, keepdims),
    np.argmin: lambda a, axis=None, *, keepdims=False: reduction.argmin(a, axis, keepdims),
    np.any: lambda a, axis=None, *, keepdims=False: reduction.any(a, axis, keepdims),
    np.all: lambda a, axis=None, *, keepdims=False: reduction.all(a, axis, keepdims),
    np.count_nonzero: lambda a, axis=None: reduction.count_nonzero(a, axis),
    np.cumsum: _scan(reduction.cumsum),
    np.cumprod: _scan(reduction.cumprod),
    # choice
    np.take: _take,
    np.take_along_axis: lambda arr, indices, axis=-1: indexing.take_along_dim(arr, indices, axis),
    np.nonzero: lambda a: indexing.nonzero(a, as_tuple=True),
    np.argwhere: lambda a: indexing.argwhere(a),
    np.sort: _sorted(lambda a, dim: sorting.sort(a, dim)[0]),
    np.argsort: _sorted(sorting.argsort),
    np.searchsorted: lambda a, v, side="left": sorting.searchsorted(a, v, right=side == "right"),
    # linear algebra
    np.dot: _dot,
    np.vdot: lambda a, b: linalg.dot(shaping.reshape(a, -1), shaping.reshape(b, -1)),
    np.inner: lambda a, b: linalg.inner(a, b),
    np.outer: lambda a, b: linalg.outer(shaping.reshape(a, -1), shaping.reshape(b, -1)),
    np.tensordot: lambda a, b, axes=2: linalg.tensordot(a, b, axes),
    np.einsum: lambda subscripts, *operands: linalg.einsum(subscripts, *operands),
    np.linalg.norm: lambda x, ord=None, axis=None, keepdims=False: linalg.norm(x, ord, axis, keepdims),
    np.linalg.inv: lambda a: linalg.inv(a),
    np.linalg.det: lambda a: linalg.det(a),
    np.linalg.solve: lambda a, b: linalg.solve(a, b),
    np.linalg.cholesky: lambda a: linalg.cholesky(a),
    # comparison
    np.sinc: lambda x: elementwise.sinc(x),
    np.isclose: lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: elementwise.isclose(a, b, rtol, atol, equal_nan),
    np.allclose: lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: elementwise.allclose(a, b, rtol, atol, equal_nan),
}

REDUCTIONS: dict[Any, Callable] = {  # ufunc.reduce
    np.add: lambda array, axis=0, *, keepdims=False: reduction.sum(array, axis, keepdims),
    np.multiply: lambda array, axis=0, *, keepdims=False: reduction.prod(array, axis, keepdims),
    np.maximum: lambda array, axis=0, *, keepdims=False: FUNCTIONS[np.max](array, axis, keepdims=keepdims),
    np.minimum: lambda array, axis=0, *, keepdims=False: FUNCTIONS[np.min](array, axis, keepdims=keepdims),
    np.logical_and: lambda array, axis=0, *, keepdims=False: reduction.all(array, axis, keepdims),
    np.logical_or: lambda array, axis=0, *, keepdims=False: reduction.any(array, axis, keepdims),
}


def __array_ufunc__(self: Any, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """``Tensor.__array_ufunc__``: NumPy calls it for ``ufunc(*inputs)`` if an input is a Tensor."""
    table = {"__call__": UFUNCS, "reduce": REDUCTIONS}.get(method, {})
    name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    return _call(table.get(ufunc), name, inputs, options)


def __array_function__(self: Any, function: Callable, types: Any, args: tuple, options: dict[str, Any]) -> Any:
    """``Tensor.__array_function__``: NumPy calls it for its other functions."""
    name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
    return _call(FUNCTIONS.get(function), name, args, options)


def _call(operation: Callable | None, name: str, args: tuple, options: dict[str, Any]) -> Any:
    if operation is None:
        raise NotImplementedError(f"{name}: not available for Tensors; x.detach().numpy() is an array for it")
    for option in ("out", "where", "casting", "order", "subok"):
        if options.get(option) is not None:
            raise NotImplementedError(f"{name}: {option}= is not available for Tensors")
    try:
        return operation(*args, **{k: v for k, v in options.items() if k != "out"})
    except TypeError as error:
        if "<lambda>" in str(error):  # the arguments do not fit
            raise TypeError(str(error).replace("<lambda>()", name)) from None
        raise
