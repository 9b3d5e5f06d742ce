"""Element types, and PyTorch's rule for which type an operation on several of them has.

A dtype *is* a NumPy dtype: ``minigrad.float32 == x.numpy().dtype``, and nothing is ever converted.
"""

from __future__ import annotations

import builtins
from contextlib import suppress
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

float16 = half = np.dtype("float16")
float32 = float = np.dtype("float32")
float64 = double = np.dtype("float64")
int8 = np.dtype("int8")
int16 = short = np.dtype("int16")
int32 = int = np.dtype("int32")
int64 = long = np.dtype("int64")
uint8 = np.dtype("uint8")
bool = np.dtype("bool")


class Absent:
    """A dtype of PyTorch's that nothing here can have: programs may name it, and compare others with it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


bfloat16, complex64, complex128 = Absent("bfloat16"), Absent("complex64"), Absent("complex128")

DTYPES = (float16, float32, float64, int8, int16, int32, int64, uint8, bool)

_default = float32


def get_default_dtype() -> np.dtype:
    """The dtype of floating-point tensors made from Python numbers; float32 at first."""
    return _default


def set_default_dtype(dtype: np.dtype) -> None:
    """Set the dtype of floating-point tensors made from Python numbers (a floating dtype)."""
    global _default
    if as_dtype(dtype, "set_default_dtype").kind != "f":
        raise TypeError(f"set_default_dtype: expected a floating dtype, got {dtype}")
    _default = np.dtype(dtype)


_PYTHON = {"int": int64, "float": None, "bool": bool}


def as_dtype(dtype: Any, function: str = "dtype") -> np.dtype:
    """The supported dtype that ``dtype`` (a dtype, ``np.float32``, ``int``, ...) stands for."""
    if isinstance(dtype, type) and dtype.__name__ in _PYTHON and dtype.__module__ == "builtins":
        return _PYTHON[dtype.__name__] or _default
    found = None
    if isinstance(dtype, (np.dtype, type, str)):
        with suppress(TypeError):
            found = np.dtype(dtype)
    if found is None or found not in DTYPES:
        names = ", ".join(d.name for d in DTYPES)
        raise TypeError(f"{function}: {dtype!r} is not a dtype of minigrad; there are {names}")
    return DTYPES[DTYPES.index(found)]  # the one object: an equal dtype from a pickle is another


RANK = {"b": 0, "u": 1, "i": 1, "f": 2}  # of the kinds: values of a higher one do not fit into a lower one


@lru_cache(maxsize=1024)
def _result(operands: tuple[tuple[Any, Any], ...]) -> np.dtype:
    """PyTorch's promotion of (dtype, strength) pairs.

    Strength 2 is a tensor with dimensions, 1 a 0-d tensor, 0 a Python number. A weaker operand
    decides only where its *category* (bool < integer < float) is above that of all stronger ones,
    and a Python number then brings the default dtype of its category.
    """
    result: np.dtype | None = None
    for strength in (2, 1, 0):
        level: np.dtype | None = None
        for dtype, own in operands:
            if own == strength:
                level = dtype if level is None else promote_types(level, dtype)
        if level is not None and (result is None or RANK[level.kind] > RANK[result.kind]):
            result = level
    assert result is not None
    return result


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The smallest dtype that both convert to; a float stays as it is, whatever the integer.

    >>> promote_types(float32, int64)
    dtype('float32')
    """
    type1, type2 = as_dtype(type1, "promote_types"), as_dtype(type2, "promote_types")
    if (type1.kind == "f") != (type2.kind == "f"):
        return type1 if type1.kind == "f" else type2
    return np.promote_types(type1, type2)


def result_type(*operands: Any) -> np.dtype:
    """The dtype of an operation on ``operands`` (Tensors, arrays or Python numbers).

    >>> result_type(np.ones(2, "int64"), 1.5)
    dtype('float32')
    """
    pairs = []
    for operand in operands:
        dtype = getattr(operand, "dtype", None)
        if dtype is not None:
            pairs.append((dtype, 2 if operand.ndim else 1))
        else:
            pairs.append((as_dtype(type(operand), "result_type"), 0))
    return _result(tuple(pairs))


def can_cast(from_: Any, to: Any) -> builtins.bool:
    """Whether PyTorch's promotion lets values of one dtype become another.

    It never goes to a lower category (bool < integer < float), nor from signed to unsigned.
    """
    source, target = as_dtype(from_, "can_cast"), as_dtype(to, "can_cast")
    return RANK[source.kind] <= RANK[target.kind] and not (source.kind == "i" and target.kind == "u")


def finfo(dtype: Any = None) -> Any:
    """The limits of a floating dtype: ``bits, eps, max, min, tiny, smallest_normal, resolution, dtype``."""
    dtype = _default if dtype is None else as_dtype(dtype, "finfo")
    if dtype.kind != "f":
        raise TypeError(f"finfo: expected a floating dtype, got {dtype}; iinfo() is for integers")
    info = np.finfo(dtype)
    names = ("eps", "max", "min", "tiny", "smallest_normal", "resolution")
    return SimpleNamespace(dtype=dtype.name, bits=info.bits, **{n: builtins.float(getattr(info, n)) for n in names})


def iinfo(dtype: Any) -> np.iinfo:
    """The limits of an integer dtype: ``bits, max, min``."""
    dtype = as_dtype(dtype, "iinfo")
    if dtype.kind not in "iu":
        raise TypeError(f"iinfo: expected an integer dtype, got {dtype}; finfo() is for floats")
    return np.iinfo(dtype)


def _kind(input: Any, name: str) -> str:
    if not hasattr(input, "dtype"):
        raise TypeError(f"{name}: expected a Tensor, got {type(input).__name__}")
    return input.dtype.kind


def is_floating_point(input: Any) -> builtins.bool:
    """Whether the elements of a Tensor are floating-point numbers."""
    return _kind(input, "is_floating_point") == "f"


def is_signed(input: Any) -> builtins.bool:
    """Whether the elements of a Tensor can be negative."""
    return _kind(input, "is_signed") in "fi"


def is_complex(input: Any) -> builtins.bool:
    """False: there are no complex dtypes."""
    return _kind(input, "is_complex") == "c"
