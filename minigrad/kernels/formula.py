"""Formulas of arrays, written down step by step instead of being computed.

A function of arrays that calls ufuncs is called with :class:`Value` instead, which notes the calls. What it
returns is then known in terms of a few instructions of the processor: exp and tanh come as polynomials.

The arrays have three dimensions (outer, rows, columns), or broadcast to them. An operand is of kind "element"
if it differs from column to column, else of kind "row". Results may be of two kinds more: sums over all rows
("column", by :func:`column_sum`), and over all but the middle dimension ("channel", by :func:`channel_sum`).
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..memory import Array
from . import assembler as x86

_FEW = 1 << 12  # elements for which the obvious function of NumPy is quicker
_BITS = {1: np.dtype(np.int8), 2: np.dtype(np.int16), 4: np.dtype(np.int32), 8: np.dtype(np.int64)}  # by size


class Value:
    """A number for each element, or for each row: what a step of the formula computes.

    ``stage`` is how many sums of whole rows must be known before; ``steps`` are about how many instructions it takes.
    A mask is what a comparison gives: all bits set, or none.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, trace: Trace, operation: Any, *operands: Value, immediate: int | None = None,
                 element: bool = False, stage: int = 0, is_mask: bool = False) -> None:  # fmt: skip
        self.trace, self.operation, self.operands, self.immediate = trace, operation, operands, immediate
        self.is_mask = is_mask
        self.element = element or any(v.element for v in operands)
        self.stage = max((v.stage for v in operands), default=stage)
        self.steps = 1 + sum(v.steps for v in operands)
        trace.values.append(self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc not in _UFUNCS:
            return NotImplemented
        return _UFUNCS[ufunc](*map(self.trace.value, inputs))

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        if options or function not in _FUNCTIONS:
            return NotImplemented
        return _FUNCTIONS[function](*map(self.trace.value, inputs))

    def _binary(ufunc: np.ufunc) -> Any:  # type: ignore[misc]
        return lambda self, other: ufunc(self, other)

    def _reflected(ufunc: np.ufunc) -> Any:  # type: ignore[misc]
        return lambda self, other: ufunc(other, self)

    __add__, __radd__ = _binary(np.add), _reflected(np.add)
    __sub__, __rsub__ = _binary(np.subtract), _reflected(np.subtract)
    __mul__, __rmul__ = _binary(np.multiply), _reflected(np.multiply)
    __truediv__, __rtruediv__ = _binary(np.divide), _reflected(np.divide)

    __lt__, __gt__ = _binary(np.less), _binary(np.greater)

    def __neg__(self) -> Any:
        return np.negative(self)


class Total(NamedTuple):
    """A sum over rows as a result: of kind "column" or "channel"."""

    kind: str
    value: Value


class Trace:
    """A formula, noted: its values in the order in which they were computed, its operands and its results."""

    def __init__(self, formula: Callable[..., Any], kinds: Sequence[Any]) -> None:
        self.values: list[Value] = []
        self._constants: dict[int, Value] = {}
        given = [Value(self, "operand", element=k == "element") if k in ("element", "row") else k for k in kinds]
        self.operands = [v for v in given if isinstance(v, Value)]
        found = formula(*given)
        self.several = type(found) is tuple
        self.results: list[Total] = []
        for result in found if self.several else (found,):
            if not isinstance(result, Total):
                value = self.value(result)
                if value.is_mask or (value.operation in ("operand", "constant") and not value.element):
                    raise NotImplementedError("formula: a result that is a mask, a number, or a given row")
                result = Total("element" if value.element else "row", value)
            self.results.append(result)
        self._fuse()
        self._forget_unused()
        self.stages = 1 + max(v.stage for v in self.values)
        self.steps = sum(v.element for v in self.values)

    def value(self, number: Any) -> Value:
        if isinstance(number, Value):
            return number
        if not isinstance(number, float | int | np.number):
            raise TypeError(f"formula: {type(number).__name__} is not a number")
        return self.constant(array("f", [float(number)]).tobytes())  # infinity, if it is too large

    def constant(self, data: bytes) -> Value:
        bits = struct.unpack("<I", data)[0]
        if bits not in self._constants:
            self._constants[bits] = Value(self, "constant", immediate=bits)
        return self._constants[bits]

    def _fuse(self) -> None:
        """Make one step of a product and a sum that nothing else needs the product for."""
        users = [operand for v in self.values for operand in v.operands] + [total.value for total in self.results]

        def lone(v: Value, user: Value) -> bool:
            return v.operation is x86.MULTIPLY and v.element == user.element and users.count(v) == 1

        for v in self.values:
            if v.operation is x86.ADD or v.operation is x86.SUBTRACT:
                a, b = v.operands
                if lone(b, v):
                    v.operation, v.operands = "fma" if v.operation is x86.ADD else "fnma", (*b.operands, a)
                elif lone(a, v):
                    v.operation, v.operands = "fma" if v.operation is x86.ADD else "fms", (*a.operands, b)

    def _forget_unused(self) -> None:
        used, ahead = set(), [total.value for total in self.results]
        while ahead:
            if (v := ahead.pop()) not in used:
                used.add(v)
                ahead += v.operands
        self.values = [v for v in self.values if v in used]


# ------------------------------------------------------------------------- the functions of formulas


def row_sum(x: Any) -> Any:
    """The sum of each row."""
    return _reduced("sum", x) if isinstance(x, Value) else np.add.reduce(x, axis=-1, keepdims=True)


def row_max(x: Any) -> Any:
    """The largest number of each row. A NaN may be lost: it shows in what is computed of its own element."""
    return _reduced("max", x) if isinstance(x, Value) else np.maximum.reduce(x, axis=-1, keepdims=True)


def column_sum(x: Any) -> Any:
    """The sum of each column over all rows."""
    return Total("column", x) if isinstance(x, Value) else np.add.reduce(x, axis=tuple(range(x.ndim - 1)))


def channel_sum(x: Any) -> Any:
    """The sum over the first and the last dimension, of float64."""
    return Total("channel", _reduced("sum", x)) if isinstance(x, Value) else np.add.reduce(row_sum(x), (0, 2), float)


def positive(x: Any) -> Any:
    """``max(x, 0)``."""
    if x.__class__ is not np.ndarray or x.dtype.kind != "f" or x.size < _FEW:
        return np.maximum(x, 0)
    return np.clip(x, 0, math.inf)  # several times as fast


def masked(g: Any, mask: Any) -> Any:
    """``g`` where ``mask`` is set, and 0 elsewhere, whatever ``g`` is there; of Tensors too."""
    if isinstance(g, Value):
        _check(g, False)
        _check(mask, True)
        return Value(g.trace, x86.AND, mask, g)
    if g.__class__ is not np.ndarray or g.size < _FEW:
        return np.where(mask, g, 0)
    out = np.empty_like(g)
    where_set(mask.copy(), g, out)
    return out


def where_set(mask: Array, g: Array, out: Array) -> None:
    """Write to ``out`` the elements of ``g`` where ``mask``, which is lost, is set, and 0 elsewhere.

    By an `and` with all bits set or none: many times faster than ``np.where``, and exact for infinities.
    """
    bits = _BITS[g.itemsize]
    out = out.view(bits)
    mask = mask.view(_BITS[1])
    np.copyto(out, np.negative(mask, out=mask))
    np.bitwise_and(out, g.view(bits), out=out)


def _reduced(operation: str, x: Value) -> Value:
    reduced = Value(x.trace, operation, x, stage=0)
    reduced.element, reduced.stage = False, x.stage + 1
    return reduced


_UFUNCS: dict[np.ufunc, Callable[..., Value]] = {}


def _stands_for(ufunc: np.ufunc) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    def note(function: Callable[..., Value]) -> Callable[..., Value]:
        _UFUNCS[ufunc] = function
        return function

    return note


def _check(v: Value, is_mask: bool) -> None:
    if v.is_mask is not is_mask:
        raise NotImplementedError("formula: a mask where there should be a number, or the other way round")


def _instruction(instruction: x86.Vector, immediate: int | None = None, *, of_masks: bool = False,
                 is_mask: bool = False) -> Callable[..., Value]:  # fmt: skip
    def note(*operands: Value) -> Value:
        for v in operands:
            _check(v, of_masks)
        return Value(operands[0].trace, instruction, *operands, immediate=immediate, is_mask=is_mask)

    return note


def _comparison(immediate: int) -> Callable[..., Value]:
    return _instruction(x86.COMPARE_VECTORS, immediate, is_mask=True)


_UFUNCS |= {
    np.add: _instruction(x86.ADD), np.subtract: _instruction(x86.SUBTRACT), np.multiply: _instruction(x86.MULTIPLY),
    np.divide: _instruction(x86.DIVIDE), np.sqrt: _instruction(x86.SQUARE_ROOT), np.rint: _instruction(x86.ROUND, 0),
    np.equal: _comparison(0), np.less: _comparison(17), np.less_equal: _comparison(18), np.not_equal: _comparison(4),
    np.greater_equal: _comparison(29), np.greater: _comparison(30),
    np.logical_and: _instruction(x86.AND, of_masks=True, is_mask=True),
    np.logical_or: _instruction(x86.OR, of_masks=True, is_mask=True),
}  # fmt: skip


def _limit(instruction: x86.Vector) -> Callable[[Value, Value], Value]:
    """The smaller or larger of two numbers; NaN if one is: the processor takes the second then."""

    def limit(a: Value, b: Value) -> Value:
        if b.operation == "constant":
            a, b = b, a
        y = Value(a.trace, instruction, a, b)
        is_nan = _comparison(4)(a, a)
        return y if a.operation == "constant" else Value(a.trace, x86.SELECT, is_nan, a, y)

    return limit


_UFUNCS |= {np.minimum: _limit(x86.MINIMUM), np.maximum: _limit(x86.MAXIMUM)}


@_stands_for(np.negative)
def _negative(x: Value) -> Value:
    return Value(x.trace, x86.XOR, x, x.trace.constant(struct.pack("<I", 1 << 31)))


@_stands_for(np.logical_not)
def _logical_not(mask: Value) -> Value:
    _check(mask, True)
    return Value(mask.trace, x86.XOR, mask, mask.trace.constant(struct.pack("<I", (1 << 32) - 1)), is_mask=True)


@_stands_for(np.square)
def _square(x: Value) -> Value:
    return Value(x.trace, x86.MULTIPLY, x, x)


def polynomial(coefficients: Sequence[float], x: Any) -> Any:
    """The value at ``x`` of a polynomial, highest power first."""
    y: Any = coefficients[0]
    for c in coefficients[1:]:
        y = y * x + c
    return y


_LN2_HIGH = 355 / 512  # exact times an integer to 2**15
_LN2_LOW = math.log(2) - _LN2_HIGH
# (exp(r) - 1 - r) / r**2 for r to log(2) / 2, with a relative error of exp of 3e-9; (tanh(x) - x) / x**3 in x**2
# for x to 0.65, with one of tanh of 6e-9: both fitted by Lawson's weighted least squares.
_EXP = (1.381459878757596e-3, 8.368716575205326e-3, 0.04166838899254799, 0.1666652113199234, 0.4999999403953552)
_TANH = (-5.528633017092943e-3, 0.020483314990997314, -0.05369296669960022, 0.1333089917898178, -0.3333326280117035)


@_stands_for(np.exp)
def _exp(x: Any) -> Any:
    """``2**n * exp(r)``, for ``x = n * log(2) + r``."""
    x = np.maximum(np.minimum(x, 89.0), -104.0)  # where the result is infinity, or 0
    n = np.rint(x * (1 / math.log(2)))
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    y = polynomial(_EXP, r) * (r * r) + r + 1
    half = np.rint(n * 0.5)  # in two factors, since 2**128 is no number, but 2**127 * 1.99 is
    return y * _power_of_2(half) * _power_of_2(n - half)


def _power_of_2(n: Any) -> Any:
    """``2**n`` for n from -126 to 127: n makes up the bits of the exponent."""
    integer = Value(n.trace, x86.TO_INTEGER, n)
    biased = Value(n.trace, x86.ADD_INTEGERS, integer, n.trace.constant(struct.pack("<I", 127)))
    return Value(n.trace, x86.SHIFT, biased, immediate=23)


@_stands_for(np.tanh)
def _tanh(x: Any) -> Any:
    """A polynomial near 0; elsewhere ``1 - 2 / (exp(2 * |x|) + 1)``, with the sign of x."""
    sign = Value(x.trace, x86.AND, x.trace.constant(struct.pack("<I", 1 << 31)), x)
    size: Any = Value(x.trace, x86.XOR, sign, x)
    squared: Any = np.square(size)
    near = polynomial(_TANH, squared) * squared * size + size
    far = 1 - 2 / (np.exp(size + size) + 1)
    result = Value(x.trace, x86.SELECT, size < 0.65, near, far)
    return Value(x.trace, x86.XOR, sign, result)


@_stands_for(np.absolute)
def _absolute(x: Value) -> Value:
    return Value(x.trace, x86.AND, x.trace.constant(struct.pack("<I", (1 << 31) - 1)), x)


def _where(mask: Value, a: Value, b: Value) -> Value:
    for v, is_mask in ((mask, True), (a, False), (b, False)):
        _check(v, is_mask)
    return Value(mask.trace, x86.SELECT, mask, a, b)


_FUNCTIONS: dict[Any, Callable[..., Value]] = {
    np.where: _where,
    np.clip: lambda x, low, high: np.minimum(np.maximum(x, low), high),
    np.zeros_like: lambda x: x.trace.value(0.0),
    np.ones_like: lambda x: x.trace.value(1.0),
}
