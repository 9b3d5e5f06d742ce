"""Operations on each element: arithmetic, functions of analysis, rounding, comparison and logic.

All of them broadcast and promote dtypes as PyTorch does. Where a function is not differentiable
(``abs`` at 0, a tie of ``maximum``) its rule gives the value that PyTorch gives.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .. import traversal
from ..dtypes import result_type
from ..engine import primitive
from ..kernels import arithmetic, special
from ..kernels.fused import fused
from ..memory import Array

traversal.accumulate, traversal.add = arithmetic.accumulate, arithmetic.add
_arithmetic = partial(primitive, promotion="common", broadcasts=True)  # spares the most frequent calls what it costs
elementwise = partial(_arithmetic, quiet=True)


def float_elementwise(**rules: Any) -> Callable[[Callable], Callable]:
    """Defines a function of real numbers, computed in one pass over memory, and so are its rules."""
    fast: Any = {name: fused(rule) for name, rule in rules.items()}
    define = primitive(promotion="float", broadcasts=True, quiet=True, **fast)
    return lambda forward: define(fused(forward))


def _forward(name: str, compute: Callable, doc: str, check: Callable | None) -> Callable:
    """``compute`` for one input or two, after ``check(name, *inputs)``, as the forward function of an operation."""

    def unary(input: Array) -> Array:
        if check is not None:
            check(name, input)
        return compute(input)

    def binary(input: Array, other: Array) -> Array:
        if check is not None:
            check(name, input, other)
        return compute(input, other)

    forward = unary if getattr(compute, "nin", 1) == 1 else binary
    forward.__name__ = forward.__qualname__ = name
    forward.__doc__ = doc
    return forward


def _function(name: str, compute: Callable, doc: str, define: Any = float_elementwise, check: Callable | None = None,
              **rules: Callable) -> Callable:  # fmt: skip
    """Defines the operation that a function of NumPy computes: a line of the tables below."""
    return define(**rules)(_forward(name, compute, doc, check))


def _discrete(name: str, compute: Callable, doc: str, check: Callable | None = None) -> Callable:
    """Defines an operation of that kind without a gradient."""
    inputs = ("input", "other")[: getattr(compute, "nin", 1)]
    return elementwise(inputs=inputs)(_forward(name, compute, doc, check))


_LN2 = math.log(2.0)
_LN10 = math.log(10.0)


def _nothing(g: Array) -> Array:
    """The gradient of a step function. Not ``g * 0``, which is NaN where ``g`` is infinite."""
    return np.zeros_like(g)


def _refuse_bools(name: str, *arrays: Array, hint: str = "cast them to integers") -> None:
    if np.result_type(*arrays).kind == "b":
        raise TypeError(f"{name}: not defined for bool tensors; {hint}")


def _refuse_zero(name: str, input: Array, other: Array) -> None:
    _refuse_bools(name, input, other)
    if np.result_type(input, other).kind in "iu" and np.any(np.equal(other, 0)):
        raise ZeroDivisionError(f"{name}: integer division by zero")


def _refuse_floats(name: str, *arrays: Array) -> None:
    if (dtype := np.result_type(*arrays)).kind == "f":
        raise TypeError(f"{name}: expected integer or bool tensors, got {dtype}")


# ---------------------------------------------------------------------------------- arithmetic


@_arithmetic(input=lambda g: g, other=lambda g: g)
def _add(input: Array, other: Array) -> Array:
    return arithmetic.add(input, other)


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """``input + alpha * other``."""
    return _add(input, other if alpha == 1 else _scaled("add", input, other, alpha))


def _scaled(name: str, input: Any, other: Any, alpha: float) -> Any:
    if isinstance(alpha, float) and result_type(input, other).kind != "f":
        raise TypeError(f"{name}: alpha must be an integer for integer tensors, got {alpha}")
    return other * alpha


@_arithmetic(input=lambda g: g, other=arithmetic.negated)
def _sub(input: Array, other: Array) -> Array:
    _refuse_bools("sub", input, other, hint="use ^ or logical_xor")
    return arithmetic.subtract(input, other)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """``input - alpha * other``."""
    return _sub(input, other if alpha == 1 else _scaled("sub", input, other, alpha))


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """``other - alpha * input``."""
    return sub(other, input, alpha=alpha)


def _times_other(g: Array, other: Array) -> Array:
    return arithmetic.multiply(g, other)


def _times_input(g: Array, input: Array) -> Array:
    return arithmetic.multiply(g, input)


_times_other.adds = _times_input.adds = arithmetic.multiplied.adds  # type: ignore[attr-defined]


@_arithmetic(input=_times_other, other=_times_input)
def mul(input: Array, other: Array) -> Array:
    """Product of each pair of elements."""
    return arithmetic.multiply(input, other)


@float_elementwise(input=lambda g, other: g / other, other=lambda g, other, y: -g * y / other)
def _div(input: Array, other: Array) -> Array:
    return np.true_divide(input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """``input / other``; integers divide to the default float.

    Args:
        rounding_mode: ``"floor"`` or ``"trunc"`` round the quotient down or towards zero, and keep
            integers integers; such a quotient has gradient 0.
    """
    if rounding_mode is None:
        return _div(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return _trunc_divide(input, other)
    raise ValueError(f"div: rounding_mode must be None, 'floor' or 'trunc', got {rounding_mode!r}")


floor_divide = _function("floor_divide", np.floor_divide, "``input / other`` rounded down.", elementwise, _refuse_zero,
                         input=_nothing, other=_nothing)  # fmt: skip


@elementwise(input=_nothing, other=_nothing)
def _trunc_divide(input: Array, other: Array) -> Array:
    _refuse_zero("div", input, other)
    if np.result_type(input, other).kind == "f":
        return np.trunc(np.true_divide(input, other))
    return np.floor_divide(input - np.fmod(input, other), other)


remainder = _function("remainder", np.remainder, "``input - other * floor(input / other)``: it has other's sign.",
                      elementwise, _refuse_zero, input=lambda g: g,
                      other=lambda g, input, other: -g * np.floor_divide(input, other))  # fmt: skip
fmod = _function("fmod", np.fmod, "``input - other * trunc(input / other)``: it has input's sign.",
                 elementwise, _refuse_zero, input=lambda g: g,
                 other=lambda g, input, other: -g * _trunc_divide(input, other))  # fmt: skip


@elementwise(input=lambda g: -g)
def neg(input: Array) -> Array:
    """``-input``."""
    _refuse_bools("neg", input, hint="use ~ or logical_not")
    return np.negative(input)


def positive(input: Any) -> Any:
    """``input`` itself."""
    return input


abs = _function("abs", np.abs, "Absolute value; its gradient at 0 is 0.", elementwise,
                input=lambda g, input: g * np.sign(input))  # fmt: skip


@elementwise(input=_nothing)
def sign(input: Array) -> Array:
    """-1, 0 or 1 with the sign of each element; NaN of NaN."""
    return np.sign(input) if input.dtype.kind != "b" else input.copy()


copysign = _function("copysign", np.copysign, "The magnitude of ``input`` with the sign of ``other``.",
                     input=lambda g, input, y: g * np.sign(input) * np.sign(y), other=_nothing)  # fmt: skip
reciprocal = _function("reciprocal", np.reciprocal, "``1 / input``.", input=lambda g, y: -g * y * y)
square = _function("square", np.square, "``input ** 2``.", elementwise, _refuse_bools,
                   input=lambda g, input: 2 * g * input)  # fmt: skip
sqrt = _function("sqrt", np.sqrt, "Square root; NaN below 0.", input=lambda g, y: g / (2 * y))
rsqrt = _function("rsqrt", lambda x: np.reciprocal(np.sqrt(x)), "``1 / sqrt(input)``.",
                  input=lambda g, y: -0.5 * g * y * y * y)  # fmt: skip


def _pow_input(g: Array, input: Array, exponent: Array) -> Array:
    if isinstance(exponent, (int, float)):
        if exponent == 0:
            return np.zeros_like(g)
        return g * exponent * (input if exponent == 2 else input ** (exponent - 1))
    # 0 * input**-1 would be NaN at 0 (and NaN), where the power 0 is the constant 1.
    singular = np.logical_and(np.equal(exponent, 0), np.logical_not(np.greater(np.abs(input), 0)))
    safe = np.where(singular, 1, exponent)
    return g * exponent * input ** (safe - 1)


def _pow_exponent(g: Array, input: Array, exponent: Array, y: Array) -> Array:
    # At base 0 the power is the constant 0 for every exponent above 0: log(0) must not be seen.
    flat = np.logical_and(np.equal(input, 0), np.greater_equal(exponent, 0))
    return g * y * np.log(np.where(flat, 1, input))


@elementwise(input=_pow_input, exponent=_pow_exponent)
def pow(input: Array, exponent: Array) -> Array:
    """``input ** exponent``."""
    _refuse_bools("pow", input, exponent)
    if np.result_type(input, exponent).kind in "iu" and np.any(np.less(exponent, 0)):
        raise ValueError("pow: integers to negative integer powers are not integers; use a float tensor")
    if exponent.__class__ is int and exponent == 3:
        return input * input * input  # much quicker than the general power
    return input**exponent


@primitive(input=_pow_input, exponent=_pow_exponent, broadcasts=True)
def float_power(input: Array, exponent: Array) -> Array:
    """``input ** exponent``, computed in float64."""
    return np.float_power(input, exponent)


def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``."""
    return _add(input, mul(weight, _sub(end, input)))


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value * tensor1 * tensor2``."""
    return add(input, mul(tensor1, tensor2), alpha=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """``input + value * tensor1 / tensor2``."""
    return add(input, _div(tensor1, tensor2), alpha=value)


# ------------------------------------------------------------------ exponentials and logarithms


exp = _function("exp", np.exp, "``e ** input``.", input=lambda g, y: g * y)
exp2 = _function("exp2", np.exp2, "``2 ** input``.", input=lambda g, y: g * y * _LN2)
expm1 = _function("expm1", np.expm1, "``exp(input) - 1``, precise near 0.", input=lambda g, y: g * (y + 1))
log = _function("log", np.log, "Natural logarithm; -inf at 0, NaN below.", input=lambda g, input: g / input)
log2 = _function("log2", np.log2, "Logarithm to base 2.", input=lambda g, input: g / (input * _LN2))
log10 = _function("log10", np.log10, "Logarithm to base 10.", input=lambda g, input: g / (input * _LN10))
log1p = _function("log1p", np.log1p, "``log(1 + input)``, precise near 0.", input=lambda g, input: g / (input + 1))
sigmoid = _function("sigmoid", special.sigmoid, "``1 / (1 + exp(-input))``, without overflow, for any shape.",
                    input=lambda g, y: g * y * (1 - y))  # fmt: skip
logaddexp = _function("logaddexp", np.logaddexp, "``log(exp(input) + exp(other))`` without overflow.",
                      input=lambda g, input, other: g * sigmoid(input - other),
                      other=lambda g, input, other: g * sigmoid(other - input))  # fmt: skip


def _xlogy_input(g: Array, input: Array, other: Array) -> Array:
    flat = np.logical_and(np.equal(input, 0), np.less_equal(other, 0))
    return g * np.log(np.where(flat, 1, other))


@float_elementwise(input=_xlogy_input, other=lambda g, input, other: g * input / other)
def xlogy(input: Array, other: Array) -> Array:
    """``input * log(other)``, which is 0 where ``input`` is 0."""
    zero = np.logical_and(np.equal(input, 0), ~np.isnan(other))
    return np.where(zero, 0, input * np.log(np.where(zero, np.ones_like(input), other)))


@float_elementwise(input=lambda g, input: g / (input * (1 - input)))
def _logit(input: Array) -> Array:
    return np.log(input / (1 - input))


def logit(input: Any, eps: float | None = None) -> Any:
    """``log(input / (1 - input))``, the inverse of :func:`sigmoid`; ``eps`` first clamps to ``eps..1-eps``."""
    return _logit(input if eps is None else clamp(input, eps, 1 - eps))


# --------------------------------------------------------------- trigonometry, hyperbolic, erf


sin = _function("sin", np.sin, "Sine of radians.", input=lambda g, input: g * np.cos(input))
cos = _function("cos", np.cos, "Cosine of radians.", input=lambda g, input: -g * np.sin(input))
tan = _function("tan", np.tan, "Tangent of radians.", input=lambda g, y: g * (1 + y * y))
asin = arcsin = _function("asin", np.arcsin, "Inverse sine, in radians from -pi/2 to pi/2; NaN outside -1 to 1.",
                          input=lambda g, input: g / np.sqrt(1 - input * input))  # fmt: skip
acos = arccos = _function("acos", np.arccos, "Inverse cosine, in radians from 0 to pi; NaN outside -1 to 1.",
                          input=lambda g, input: -g / np.sqrt(1 - input * input))  # fmt: skip
atan = arctan = _function("atan", np.arctan, "Inverse tangent, in radians from -pi/2 to pi/2.",
                          input=lambda g, input: g / (1 + input * input))  # fmt: skip


def _atan2_input(g: Array, input: Array, other: Array) -> Array:
    square = input * input + other * other
    return g * other / np.where(np.equal(square, 0), math.inf, square)


@float_elementwise(input=_atan2_input, other=lambda g, input, other: -_atan2_input(g, other, input))
def atan2(input: Array, other: Array) -> Array:
    """Angle in radians of the point with ordinate ``input`` and abscissa ``other``; its gradient at the origin is 0."""
    return np.arctan2(input, other)


hypot = _function("hypot", np.hypot, "``sqrt(input**2 + other**2)`` without overflow.",
                  input=lambda g, input, y: g * input / y, other=lambda g, other, y: g * other / y)  # fmt: skip
sinh = _function("sinh", np.sinh, "Hyperbolic sine.", input=lambda g, input: g * np.cosh(input))
cosh = _function("cosh", np.cosh, "Hyperbolic cosine.", input=lambda g, input: g * np.sinh(input))
tanh = _function("tanh", np.tanh, "Hyperbolic tangent. Takes any shape, and keeps it.",
                 input=lambda g, y: g * (1 - y * y))  # fmt: skip
asinh = arcsinh = _function("asinh", np.arcsinh, "Inverse hyperbolic sine.",
                            input=lambda g, input: g / np.sqrt(input * input + 1))  # fmt: skip
acosh = arccosh = _function("acosh", np.arccosh, "Inverse hyperbolic cosine; NaN below 1.",
                            input=lambda g, input: g / np.sqrt(input * input - 1))  # fmt: skip
atanh = arctanh = _function("atanh", np.arctanh, "Inverse hyperbolic tangent; NaN outside -1 to 1.",
                            input=lambda g, input: g / (1 - input * input))  # fmt: skip


_TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)


erf = _function("erf", special.erf, "``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``input``.",
                input=lambda g, input: g * _TWO_OVER_SQRT_PI * np.exp(-input * input))  # fmt: skip
erfc = _function("erfc", special.erfc, "``1 - erf(input)``, precise where erf is nearly 1.",
                 input=lambda g, input: -g * _TWO_OVER_SQRT_PI * np.exp(-input * input))  # fmt: skip


def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return mul(input, math.pi / 180)


def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return mul(input, 180 / math.pi)


def _sinc_input(g: Array, input: Array, y: Array) -> Array:
    zero = np.equal(input, 0)  # there by the series, so that the second derivative is right as well
    slope = (np.cos(input * math.pi) - y) / np.where(zero, 1, input)
    return g * np.where(zero, input * (-math.pi**2 / 3), slope)


sinc = _function("sinc", np.sinc, "``sin(pi * input) / (pi * input)``, which is 1 at 0.", input=_sinc_input)


# -------------------------------------------------------------------------- rounding and choice


floor = _function("floor", np.floor, "The largest whole number not above each element.", elementwise, input=_nothing)
ceil = _function("ceil", np.ceil, "The smallest whole number not below each element.", elementwise, input=_nothing)
trunc = fix = _function("trunc", np.trunc, "Each element without its fraction.", elementwise, input=_nothing)


@elementwise(input=_nothing)
def round(input: Array, *, decimals: int = 0) -> Array:
    """Each element rounded to ``decimals`` decimal places, halves to the even neighbour."""
    _refuse_bools("round", input)
    return np.round(input, decimals)


frac = _function("frac", lambda x: x - np.trunc(x), "The fraction of each element, with its sign.", elementwise,
                 input=lambda g: g)  # fmt: skip


def _unless(lost: np.ufunc) -> Callable:
    """A rule for one of a pair: nothing of ``g`` where it ``lost``, half of it at a tie."""
    return lambda g, input, other: np.where(lost(input, other), 0, np.where(np.equal(input, other), 0.5 * g, g))


maximum = _function("maximum", np.maximum, "The larger of each pair, NaN if either is. A tie halves the gradient.",
                    elementwise, input=_unless(np.less), other=_unless(np.greater))  # fmt: skip
minimum = _function("minimum", np.minimum, "The smaller of each pair, NaN if either is. A tie halves the gradient.",
                    elementwise, input=_unless(np.greater), other=_unless(np.less))  # fmt: skip


def _given(better: np.ufunc, first: bool) -> Callable:
    """A rule for the first or second of a pair, of which the first is taken where it is ``better`` or alone."""

    def rule(g: Array, input: Array, other: Array) -> Array:
        taken = np.logical_or(better(input, other), np.isnan(other))
        return np.where(taken, g, 0) if first else np.where(taken, 0, g)

    return rule


fmax = _function("fmax", np.fmax, "The larger of each pair, or the one that is not NaN. A tie is ``input``.",
                 elementwise, input=_given(np.greater_equal, True), other=_given(np.greater_equal, False))  # fmt: skip
fmin = _function("fmin", np.fmin, "The smaller of each pair, or the one that is not NaN. A tie is ``input``.",
                 elementwise, input=_given(np.less_equal, True), other=_given(np.less_equal, False))  # fmt: skip


def _clamp_input(g: Array, input: Array, min: Array, max: Array) -> Array:
    inside = True if min is None else np.greater_equal(input, min)
    return np.where(inside if max is None else np.logical_and(inside, np.less_equal(input, max)), g, 0)


def _clamp_min(g: Array, input: Array, min: Array, max: Array) -> Array:
    below = np.less(input, min)
    return np.where(below if max is None else np.logical_and(below, np.less(min, max)), g, 0)


def _clamp_max(g: Array, input: Array, min: Array, max: Array) -> Array:
    above = np.greater(input, max)
    return np.where(above if min is None else np.logical_or(above, np.less(max, min)), g, 0)


@elementwise(inputs=("input", "min", "max"), input=_clamp_input, min=_clamp_min, max=_clamp_max)
def clamp(input: Array, min: Array = None, max: Array = None) -> Array:
    """Each element, or ``min`` if it is below that, or ``max`` if it is above that.

    ``min`` and ``max`` are numbers, tensors or None (no bound). On a bound the gradient goes to
    ``input``. Where ``min`` is above ``max`` the result is ``max``.
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    return np.clip(input, min, max)


def clamp_min(input: Any, min: Any) -> Any:
    """The larger of each element and ``min``."""
    return clamp(input, min)


def clamp_max(input: Any, max: Any) -> Any:
    """The smaller of each element and ``max``."""
    return clamp(input, None, max)


@primitive(inputs=("condition", "input", "other"), broadcasts=True,
           input=lambda g, condition: np.where(condition, g, 0),
           other=lambda g, condition: np.where(condition, 0, g))  # fmt: skip
def _where(condition: Array, input: Array, other: Array) -> Array:
    if condition.dtype.kind != "b":
        raise TypeError(f"where: condition must be a bool tensor, got {condition.dtype}")
    out: Array = np.where(condition, input, other)
    return out.astype(result_type(input, other), copy=False)


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where ``condition`` is True, ``other`` elsewhere; numbers or tensors, broadcast.

    With ``condition`` alone: the indices of its nonzero elements, one tensor per dimension.
    """
    if input is None and other is None:
        from .indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise TypeError("where: give both input and other, or neither")
    return _where(condition, input, other)


@elementwise(input=lambda g, input: np.where(np.isfinite(input), g, 0))
def nan_to_num(input: Array, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Array:
    """NaN and infinities replaced: by default by 0 and by the largest and smallest finite number."""
    return np.nan_to_num(input, nan=nan, posinf=posinf, neginf=neginf)


@elementwise(inputs=("input", "values"))
def heaviside(input: Array, values: Array) -> Array:
    """0 where ``input`` is negative, 1 where it is positive, ``values`` where it is 0."""
    return np.heaviside(input, values).astype(result_type(input, values), copy=False)


@float_elementwise(input=lambda g, other: g * 2.0**other, other=lambda g, y: g * y * _LN2)
def ldexp(input: Array, other: Array) -> Array:
    """``input * 2**other``."""
    return input * 2.0**other


# ------------------------------------------------------------------------- comparison and logic


eq = _discrete("eq", np.equal, "Whether ``input == other``.")
ne = not_equal = _discrete("ne", np.not_equal, "Whether ``input != other``.")
lt = less = _discrete("lt", np.less, "Whether ``input < other``.")
le = less_equal = _discrete("le", np.less_equal, "Whether ``input <= other``.")
gt = greater = _discrete("gt", np.greater, "Whether ``input > other``.")
ge = greater_equal = _discrete("ge", np.greater_equal, "Whether ``input >= other``.")
logical_and = _discrete("logical_and", np.logical_and, "Whether both are nonzero.")
logical_or = _discrete("logical_or", np.logical_or, "Whether at least one is nonzero.")
logical_xor = _discrete("logical_xor", np.logical_xor, "Whether exactly one is nonzero.")
logical_not = _discrete("logical_not", np.logical_not, "Whether each element is zero.")
bitwise_and = _discrete("bitwise_and", np.bitwise_and, "Bitwise (for bools: logical) and.", _refuse_floats)
bitwise_or = _discrete("bitwise_or", np.bitwise_or, "Bitwise (for bools: logical) or.", _refuse_floats)
bitwise_xor = _discrete("bitwise_xor", np.bitwise_xor, "Bitwise (for bools: logical) exclusive or.", _refuse_floats)
bitwise_not = _discrete("bitwise_not", np.invert, "Bitwise (for bools: logical) not.", _refuse_floats)
bitwise_left_shift = _discrete("bitwise_left_shift", np.left_shift, "``input * 2**other`` of integers.", _refuse_floats)
bitwise_right_shift = _discrete("bitwise_right_shift", np.right_shift,
                                "``input / 2**other`` of integers, rounded down.", _refuse_floats)  # fmt: skip


isnan = _discrete("isnan", np.isnan, "Whether each element is NaN.")
isinf = _discrete("isinf", np.isinf, "Whether each element is infinite.")
isposinf = _discrete("isposinf", lambda x: np.equal(x, math.inf), "Whether each element is +infinity.")
isneginf = _discrete("isneginf", lambda x: np.equal(x, -math.inf), "Whether each element is -infinity.")
isfinite = _discrete("isfinite", np.isfinite, "Whether each element is neither NaN nor infinite.")


@elementwise(inputs=("input",))
def signbit(input: Array) -> Array:
    """Whether each element is negative, or -0."""
    return np.signbit(input) if input.dtype.kind == "f" else np.less(input, 0)



@elementwise(inputs=("input", "other"))
def isclose(input: Array, other: Array, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Array:
    """Whether ``|input - other| <= atol + rtol * |other|``."""
    return np.isclose(input, other, rtol, atol, equal_nan)


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements satisfy :func:`isclose`."""
    close = isclose(input, other, rtol, atol, equal_nan)
    return bool(np.all(getattr(close, "_array", close)))


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    return input.shape == other.shape and bool(np.all(eq(input, other)._array))


# ------------------------------------------------------------ other names of the same functions

subtract = sub
multiply = mul
divide = div
true_divide = div
negative = neg
absolute = abs
sgn = sign
arctan2 = atan2
clip = clamp
