"""Tensors from data, from memory that exists already, and from formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import dtypes
from .arguments import ints
from .conversion import to_array
from .devices import check_device
from .engine import TensorBase, new_tensor

# ---------------------------------------------------------------------------------- from data


def leaf(array: Any, requires_grad: bool, device: Any) -> Any:
    """A leaf around ``array``."""
    check_device(device)
    tensor = new_tensor(np.asarray(array) if isinstance(array, np.generic) else array)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A leaf with a copy of ``data``.

    Python floats become the default dtype, ints int64, bools bool; arrays and Tensors keep their
    dtype. See :func:`as_tensor` and :func:`from_numpy` to share memory instead.

    >>> tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return leaf(to_array(data, dtype, copy=True), requires_grad, device)


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a Tensor."""
    return isinstance(obj, TensorBase)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Any:
    """``data`` as a Tensor: itself if it is one, around the same memory if it is an array.

    It is copied only to change its dtype, and if it is not an array.
    """
    check_device(device)
    if isinstance(data, TensorBase):
        return data if dtype is None else data.to(dtype)  # type: ignore[attr-defined]
    return new_tensor(to_array(data, dtype, name="as_tensor"))


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
            requires_grad: bool = False) -> Any:  # fmt: skip
    """A Tensor of ``obj``, which may be an array, a Tensor, a buffer or numbers.

    Args:
        copy: True always copies, None only where sharing memory is impossible, False never (it
            raises ValueError where sharing is impossible).
    """
    if isinstance(obj, TensorBase) and copy is None and not requires_grad:
        return as_tensor(obj, dtype, device)
    return leaf(to_array(obj, dtype, copy, "asarray"), requires_grad, device)


def from_numpy(ndarray: np.ndarray) -> Any:
    """A Tensor around the memory of an array: changes to one show in the other.

    A read-only array gives a Tensor that no in-place operation can change.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(ndarray).__name__}")
    return new_tensor(to_array(ndarray, name="from_numpy"))


def from_dlpack(ext_tensor: Any) -> Any:
    """A Tensor around the memory of an array of another library, by the DLPack protocol."""
    if isinstance(ext_tensor, TensorBase):
        return new_tensor(ext_tensor._array)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(f"from_dlpack: {type(ext_tensor).__name__} does not speak DLPack (it has no __dlpack__)")
    return new_tensor(to_array(np.from_dlpack(ext_tensor), name="from_dlpack"))


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Any:
    """A one-dimensional Tensor around the memory of ``buffer`` (bytes, bytearray, mmap, ...).

    Args:
        count: how many elements to take; -1 for all.
        offset: how many bytes to skip.
    """
    dtype = dtypes.as_dtype(dtype, "frombuffer")
    try:
        array = np.frombuffer(buffer, dtype, count, offset)
    except (ValueError, TypeError, BufferError) as error:
        raise ValueError(f"frombuffer: {error}") from None
    return leaf(to_array(array, name="frombuffer"), requires_grad, None)


# -------------------------------------------------------------------------------- from a shape


def _fill(make: Callable, name: str, size: tuple, given: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    shape = ints(size, name, given=given, minimum=0)
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype, name)
    return leaf(make(shape, dtype), requires_grad, device)


def zeros(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A Tensor of zeros. The shape is given as ints or as one sequence of them."""
    return _fill(np.zeros, "zeros", shape, size, dtype, device, requires_grad)


def ones(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A Tensor of ones. The shape is given as ints or as one sequence of them."""
    return _fill(np.ones, "ones", shape, size, dtype, device, requires_grad)


def empty(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A Tensor whose values are arbitrary. The shape is given as ints or as one sequence of them."""
    return _fill(np.empty, "empty", shape, size, dtype, device, requires_grad)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """A Tensor of ``fill_value``, a number, which also decides the dtype: bool, int64 or the default float."""
    value = to_array(fill_value, dtype, name="full")
    if value.ndim:
        raise ValueError(f"full: fill_value must be one number, got shape {value.shape}")
    return leaf(np.full(ints((size,), "full", minimum=0), value), requires_grad, device)


def array_of(input: Any, name: str) -> Any:
    """The array in a Tensor."""
    if not isinstance(input, TensorBase):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
    return input._array


def _like(make: Callable, name: str, input: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
    dtype = None if dtype is None else dtypes.as_dtype(dtype, name)
    return leaf(make(array_of(input, name), dtype=dtype), requires_grad, device)


def zeros_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Zeros in the shape and dtype of ``input``."""
    return _like(np.zeros_like, "zeros_like", input, dtype, device, requires_grad)


def ones_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Ones in the shape and dtype of ``input``."""
    return _like(np.ones_like, "ones_like", input, dtype, device, requires_grad)


def empty_like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """Arbitrary values in the shape and dtype of ``input``."""
    return _like(np.empty_like, "empty_like", input, dtype, device, requires_grad)


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Any:
    """:func:`full`, with its options, in the shape and dtype of ``input``."""
    array = array_of(input, "full_like")
    return full(array.shape, fill_value, dtype=dtype or array.dtype, **options)


# ----------------------------------------------------------------- the same, as Tensor methods


def new_tensor_(input: Any, data: Any, *, dtype: Any = None, **options: Any) -> Any:
    """:func:`tensor`, with its options, by default in the dtype of ``input``."""
    return tensor(data, dtype=dtype or input.dtype, **options)


def new_zeros(input: Any, *shape: Any, dtype: Any = None, **options: Any) -> Any:
    """:func:`zeros`, with its options, by default in the dtype of ``input``."""
    return zeros(*shape, dtype=dtype or input.dtype, **options)


def new_ones(input: Any, *shape: Any, dtype: Any = None, **options: Any) -> Any:
    """:func:`ones`, with its options, by default in the dtype of ``input``."""
    return ones(*shape, dtype=dtype or input.dtype, **options)


def new_empty(input: Any, *shape: Any, dtype: Any = None, **options: Any) -> Any:
    """:func:`empty`, with its options, by default in the dtype of ``input``."""
    return empty(*shape, dtype=dtype or input.dtype, **options)


def new_full(input: Any, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Any:
    """:func:`full`, with its options, by default in the dtype of ``input``."""
    return full(size, fill_value, dtype=dtype or input.dtype, **options)


# ------------------------------------------------------------------------------ from a formula


def _number(value: Any, name: str, argument: str) -> Any:
    """A Python number of a number, a NumPy scalar or a Tensor with one element."""
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name}: {argument} must be a number, got {value!r:.40}")
    return value


def _numeric(dtype: Any, name: str, default: Any = None) -> np.dtype:
    """``dtype``, or the default, which must not be bool."""
    dtype = (default or dtypes.get_default_dtype()) if dtype is None else dtypes.as_dtype(dtype, name)
    if dtype.kind == "b":
        raise TypeError(f"{name}: the dtype cannot be bool")
    return dtype


def arange(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Any:  # fmt: skip
    """The numbers ``start + i * step`` from ``start`` up to ``end``, which is not included.

    ``arange(end)`` starts at 0. The dtype is int64 if all arguments are ints, else the default.
    There are ``ceil((end - start) / step)`` numbers, counted in double precision.
    """
    if end is None:
        start, end = 0, start
    start, end, step = (_number(v, "arange", n) for v, n in ((start, "start"), (end, "end"), (step, "step")))
    dtype = _numeric(dtype, "arange", dtypes.int64 if all(isinstance(v, int) for v in (start, end, step)) else None)
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if not all(map(math.isfinite, (start, end, step))):
        raise ValueError(f"arange: start, end and step must be finite, got {start}, {end}, {step}")
    if (end - start) * step < 0:
        raise ValueError(f"arange: step {step} leads away from end {end}, starting at {start}")
    count = math.ceil((end - start) / step)
    if dtype.kind in "iu":  # as PyTorch, cast first
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError(f"arange: step is 0 in {dtype}")
        if dtype == dtypes.int64:
            count = -((start - end) // step)  # exact beyond 2 ** 53
    steps = np.arange(count, dtype="int64" if dtype.kind in "iu" else "float64")
    return leaf((start + steps * step).astype(dtype), requires_grad, device)


def _steps(start: Any, end: Any, steps: Any, name: str) -> np.ndarray:
    """``steps`` evenly spaced numbers in float64."""
    (count,) = ints((steps,), name, "steps", minimum=0)
    return np.linspace(_number(start, name, "start"), _number(end, name, "end"), count)


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:  # fmt: skip
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included."""
    values = _steps(start, end, steps, "linspace")
    return leaf(values.astype(_numeric(dtype, "linspace")), requires_grad, device)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:  # fmt: skip
    """``base`` to the power of ``steps`` evenly spaced numbers from ``start`` to ``end``."""
    values = float(base) ** _steps(start, end, steps, "logspace")
    return leaf(values.astype(_numeric(dtype, "logspace")), requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
    """The identity matrix with ``n`` rows and ``m`` (default ``n``) columns."""
    rows, columns = ints((n, n if m is None else m), "eye", minimum=0)
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype, "eye")
    return leaf(np.eye(rows, columns, dtype=dtype), requires_grad, device)
