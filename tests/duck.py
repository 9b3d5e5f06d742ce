"""An array of a foreign library: it speaks NumPy's protocols and refuses to become an ndarray."""

from __future__ import annotations

from typing import Any

import numpy as np


def _unwrap(value: Any, name: str) -> Any:
    if isinstance(value, Duck):
        return value.hidden
    if isinstance(value, np.ndarray):
        raise TypeError(f"{name}: a duck array was mixed with an ndarray of shape {value.shape}")
    if isinstance(value, (tuple, list)):
        return type(value)(_unwrap(v, name) for v in value)
    if isinstance(value, dict):
        return {k: _unwrap(v, name) for k, v in value.items()}
    return value


def _wrap(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return Duck(value)
    if isinstance(value, np.generic):  # as in CuPy: reductions give arrays without dimensions
        return Duck(np.asarray(value))
    if isinstance(value, (tuple, list)):
        return type(value)(*map(_wrap, value)) if hasattr(value, "_fields") else type(value)(map(_wrap, value))
    return value


class Duck(np.lib.mixins.NDArrayOperatorsMixin):
    """A strict duck array, with the attributes and methods that CuPy's arrays have as well."""

    def __init__(self, array: np.ndarray) -> None:
        self.hidden = array

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion of a duck array to an ndarray")

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **options: Any) -> Any:
        name = f"{ufunc.__name__}.{method}"
        out = options.pop("out", ())
        options = _unwrap(options, name)
        if out:
            options["out"] = _unwrap(out, name)
        result = getattr(ufunc, method)(*_unwrap(args, name), **options)
        return out[0] if out else _wrap(result)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = f"np.{function.__name__}"
        return _wrap(function(*_unwrap(args, name), **_unwrap(options, name)))

    def __getitem__(self, index: Any) -> Duck:
        return _wrap(self.hidden[_unwrap(index, "getitem")])

    def __setitem__(self, index: Any, value: Any) -> None:
        self.hidden[_unwrap(index, "setitem")] = _unwrap(value, "setitem")

    def __len__(self) -> int:
        return len(self.hidden)

    def __bool__(self) -> bool:
        return bool(self.hidden)

    def __float__(self) -> float:
        return float(self.hidden)

    def __int__(self) -> int:
        return int(self.hidden)

    def __index__(self) -> int:
        return self.hidden.__index__()

    def __repr__(self) -> str:
        return f"Duck({self.hidden!r})"

    shape = property(lambda self: self.hidden.shape)
    dtype = property(lambda self: self.hidden.dtype)
    ndim = property(lambda self: self.hidden.ndim)
    size = property(lambda self: self.hidden.size)
    itemsize = property(lambda self: self.hidden.itemsize)
    strides = property(lambda self: self.hidden.strides)
    flags = property(lambda self: self.hidden.flags)
    base = property(lambda self: None if self.hidden.base is None else Duck(self.hidden.base))
    T = property(lambda self: Duck(self.hidden.T))

    def astype(self, dtype: Any, order: str = "K", copy: bool = True) -> Duck:
        if not copy and self.dtype == dtype:
            return self
        return Duck(self.hidden.astype(dtype))

    def copy(self, order: str = "C") -> Duck:
        return Duck(self.hidden.copy())

    def item(self, *args: Any) -> Any:
        return self.hidden.item(*args)

    def tolist(self) -> Any:
        return self.hidden.tolist()

    def fill(self, value: Any) -> None:
        self.hidden.fill(value)

    def reshape(self, *shape: Any) -> Duck:
        return Duck(self.hidden.reshape(*shape))

    def transpose(self, *axes: Any) -> Duck:
        return Duck(self.hidden.transpose(*axes))

    def swapaxes(self, a: int, b: int) -> Duck:
        return Duck(self.hidden.swapaxes(a, b))

    def ravel(self) -> Duck:
        return Duck(self.hidden.ravel())

    def squeeze(self, axis: Any = None) -> Duck:
        return Duck(self.hidden.squeeze(axis))

    def _reduce(self, name: str, *args: Any, **options: Any) -> Duck:
        return _wrap(getattr(self.hidden, name)(*args, **options))

    def sum(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("sum", *args, **options)

    def mean(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("mean", *args, **options)

    def max(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("max", *args, **options)

    def min(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("min", *args, **options)

    def any(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("any", *args, **options)

    def all(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("all", *args, **options)

    def argmax(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("argmax", *args, **options)

    def argmin(self, *args: Any, **options: Any) -> Duck:
        return self._reduce("argmin", *args, **options)
