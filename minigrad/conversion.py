"""Arrays of what users pass as data: numbers, nested sequences, NumPy arrays, Tensors, buffers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial, reduce
from itertools import chain
from typing import Any

import numpy as np

from . import dtypes, memory
from .engine import TensorBase

_NUMBERS = {bool: dtypes.bool, int: dtypes.int64, float: np.dtype("float64")}
_PLAIN = frozenset((*_NUMBERS, list, tuple))


def to_array(data: Any, dtype: Any = None, copy: bool | None = None, name: str = "tensor") -> np.ndarray:
    """An array of ``data``, in ``dtype`` or in the one that PyTorch would infer.

    Python floats become the default dtype, ints int64, bools bool; arrays and Tensors keep theirs.

    Args:
        data: a number, nested sequences of numbers, of arrays or of Tensors, an array, a Tensor, or
            an object with NumPy's array interface or a buffer.
        copy: True always copies; None shares memory with an array or Tensor where the dtype
            allows it, and False raises ValueError where it does not.
        name: the function that errors name.
    """
    if dtype is not None:
        dtype = dtypes.as_dtype(dtype, name)
    if isinstance(data, TensorBase):
        array = data._array
    elif type(data) in _PLAIN or (array := _from_interface(data, name)) is None:
        if copy is False:
            raise ValueError(f"{name}: {type(data).__name__} data cannot be shared, only copied")
        return _from_python(data, dtype, name)
    else:
        if array.dtype not in dtypes.DTYPES:
            names = ", ".join(d.name for d in dtypes.DTYPES)
            raise TypeError(f"{name}: an array of dtype {array.dtype} cannot be a Tensor; cast it with "
                            f"astype() to {names} in native byte order")  # fmt: skip
        array = own_dtype(array)
        if isinstance(array, np.ndarray) and copy is not True and (dtype is None or dtype == array.dtype):
            memory.adopt(array)
    if copy is False and dtype is not None and dtype != array.dtype:
        raise ValueError(f"{name}: cannot give {array.dtype} data as {dtype} without a copy")
    array = array if dtype is None else array.astype(dtype, copy=False)
    return array.copy() if copy and array is not None and _shares(array, data) else array


def own_dtype(array: Any) -> Any:
    """``array`` with minigrad's own dtype object, by which the engine tells dtypes apart quickly."""
    dtype = dtypes.as_dtype(array.dtype)
    return array if array.dtype is dtype or not isinstance(array, np.ndarray) else array.view(dtype)


def _shares(array: Any, data: Any) -> bool:
    """Whether ``array`` may still be the memory that ``data`` came with, and not a cast of it."""
    source = getattr(data, "_array", data)
    return not isinstance(source, np.ndarray) or memory.owner(array) is memory.owner(source)


def _from_interface(data: Any, name: str) -> Any:
    """``data`` as an array, if it is one in some form; else None."""
    if isinstance(data, (np.ndarray, np.generic)):
        if isinstance(data, np.ma.MaskedArray):
            raise TypeError(f"{name}: a Tensor cannot mask elements; pass filled() of the masked array")
        return np.asarray(data)
    if hasattr(data, "__array_function__"):
        return data  # an array of another library
    if hasattr(data, "__array__") or hasattr(data, "__array_interface__"):
        return np.asarray(data)
    if isinstance(data, (str, bytes)):
        return None
    try:
        return np.asarray(memoryview(data))
    except TypeError:
        return None


def _from_python(data: Any, dtype: np.dtype | None, name: str) -> Any:
    """An array of a number, an array or a Tensor, or of nested sequences of such."""
    if isinstance(data, TensorBase):
        if data._requires_grad:
            warnings.warn(f"{name}: copies values out of the graph, no gradient will flow back; "
                          "stack() keeps it", UserWarning, stacklevel=5)  # fmt: skip
        return data._array
    if type(data) not in _PLAIN and (array := _from_interface(data, name)) is not None:
        return to_array(array, None, True, name)
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        flat, shape = data, [len(data)]
        while (kinds := set(map(type, flat))) and kinds <= {list, tuple} and len(lengths := set(map(len, flat))) == 1:
            shape.append(lengths.pop())
            if len(shape) > 64:  # as many dimensions as NumPy has; or a list that contains itself
                raise ValueError(f"{name}: the data is nested more than 64 times")
            flat = list(chain.from_iterable(flat))
        if kinds <= _NUMBERS.keys():
            return _from_numbers(flat, kinds, dtype, name).reshape(shape)
        parts = list(map(partial(_from_python, dtype=dtype, name=name), data))
        if different := {part.shape for part in parts} - {parts[0].shape}:
            raise ValueError(f"{name}: the data is ragged: it contains shapes {parts[0].shape} and {different.pop()}")
        dtype = dtype or reduce(dtypes.promote_types, [part.dtype for part in parts])
        return np.stack([part.astype(dtype) for part in parts])
    for kind in _NUMBERS:  # also subclasses, such as the members of an IntEnum
        if isinstance(data, kind):
            return _from_numbers([kind(data)], {kind}, dtype, name).reshape(())
    raise TypeError(f"{name}: cannot make a Tensor of {type(data).__name__} {data!r:.40}; "
                    "it takes numbers, bools, arrays, Tensors and nested sequences of them")  # fmt: skip


def _from_numbers(numbers: Sequence, kinds: set[type], dtype: np.dtype | None, name: str) -> np.ndarray:
    """A 1-d array of Python numbers, which must fit into its dtype."""
    widest = max((_NUMBERS[kind] for kind in kinds), key=lambda d: d.itemsize + (d.kind == "f"), default=None)
    if dtype is None:
        dtype = dtypes.get_default_dtype() if widest is None or widest.kind == "f" else widest
    try:
        if dtype.kind not in "iu":
            with np.errstate(over="ignore"):  # a float too large for its dtype is infinite
                return np.array(numbers, dtype)
        array = np.array(numbers, widest)
    except OverflowError:
        raise ValueError(f"{name}: an integer in the data does not fit into int64") from None
    limits = np.iinfo(dtype)
    low = -limits.max - 1  # as PyTorch, let uint8 take negative numbers modulo 256
    if array.size and not (array.min() >= low and array.max() <= limits.max):
        raise ValueError(f"{name}: a number in the data does not fit into {dtype}")
    return array.astype(dtype)
