"""Other element types: ``x.to(dtype)``, a recorded operation, and its shorthands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..devices import check_device
from ..devices import device as Device
from ..engine import TensorBase, primitive
from ..memory import Array
from .shaping import clone


@primitive(input=lambda g: g)  # the engine casts each gradient to the dtype of what it belongs to
def cast(input: Array, dtype: np.dtype) -> Array:
    """``input`` in ``dtype``, always a copy. Only between floating dtypes is it differentiable."""
    with np.errstate(over="ignore", invalid="ignore"):  # too large is infinite, NaN is no integer
        return input.astype(dtype)


def to(input: Any, *target: Any, dtype: Any = None, device: Any = None, non_blocking: Any = False,
       copy: Any = False) -> Any:  # fmt: skip
    """``input`` in another dtype: ``to(dtype)``, ``to("cpu")``, ``to("cpu", dtype)`` or ``to(other_tensor)``.

    It is ``input`` itself if nothing changes, unless ``copy``. ``non_blocking`` makes no difference.
    """
    for item in target:
        if isinstance(item, TensorBase):
            dtype = item.dtype
        elif isinstance(item, (str, Device)):
            device = item
        elif item is not None:
            dtype = dtypes.as_dtype(item, "to")
    check_device(device)
    dtype = input.dtype if dtype is None else dtypes.as_dtype(dtype, "to")
    if dtype != input.dtype:
        return cast(input, dtype)
    return clone(input) if copy else input


def type_as(input: Any, other: Any) -> Any:
    """``input`` in the dtype of ``other``."""
    return to(input, other)


def type(input: Any, dtype: Any) -> Any:
    """``input`` in ``dtype``, or in that of a kind of tensor such as ``minigrad.FloatTensor``."""
    return to(input, getattr(dtype, "keywords", {}).get("dtype", dtype))


def cpu(input: Any) -> Any:
    """``input`` itself: its memory is the CPU's already."""
    return input


def cuda(input: Any, device: Any = "cuda") -> Any:
    """There is no such device: raises RuntimeError."""
    raise RuntimeError(f"cuda: device {device!r} is not available; minigrad computes on device 'cpu'")


def _shorthand(dtype: np.dtype) -> Callable[[Any], Any]:
    def method(input: Any) -> Any:
        return to(input, dtype)

    method.__doc__ = f"``input`` in {dtype}; itself if it is that already."
    return method


half = _shorthand(dtypes.float16)
float = _shorthand(dtypes.float32)
double = _shorthand(dtypes.float64)
byte = _shorthand(dtypes.uint8)
char = _shorthand(dtypes.int8)
short = _shorthand(dtypes.int16)
int = _shorthand(dtypes.int32)
long = _shorthand(dtypes.int64)
bool = _shorthand(dtypes.bool)
