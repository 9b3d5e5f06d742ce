"""Arithmetic, functions of analysis, rounding, choice, comparison and logic."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import booleans, broadcastable, floats, integers, shapes

from .spec import Case, Spec

INF, NAN = math.inf, math.nan
QUOTIENTS = Case(np.array([7.0, -7.0, 7.0, -7.0, 6.0]), np.array([2.0, 2.0, -2.0, -2.0, 3.0]))
EXTREMES = Case(np.array([0.0, -0.0, 1.0, -1.0, 0.5, INF, -INF, NAN, 1e300, -1e-300]))


@st.composite
def apart(draw: Any, count: int = 2, low: float = -2.0, high: float = 2.0, avoid: Sequence[float] = (0.0,)) -> Case:
    """Arrays that broadcast, no two elements of which are equal, not even in different arrays."""
    wanted = draw(broadcastable(count))
    ends = np.cumsum([int(np.prod(shape)) for shape in wanted])
    values = draw(floats((int(ends[-1]),), low, high, avoid))
    parts = np.split(values, ends[:-1])
    return Case(*(part.reshape(shape) for part, shape in zip(parts, wanted, strict=True)))


def unary(function: Callable, reference: Callable, low: float = -2.0, high: float = 2.0,
          avoid: Sequence[float] = (0.0,), edges: Sequence[Case] = (EXTREMES,), **options: Any) -> Spec:  # fmt: skip
    """A function of one tensor, tried between ``low`` and ``high``."""
    return Spec(function, floats(shapes(), low, high, avoid).map(Case), reference, edges=edges, **options)


def numbers(low: float, high: float, avoid: float | None = None) -> st.SearchStrategy[float]:
    """Python numbers."""
    return st.floats(low, high).map(lambda x: round(x, 2)).filter(lambda x: x != avoid)


def binary(function: Callable, reference: Callable, low: float = -2.0, high: float = 2.0,
           other: tuple[float, float] | None = None, avoid: Sequence[float] = (0.0,),
           **options: Any) -> Spec:  # fmt: skip
    """A function of two tensors that broadcast, or of a tensor and a number; ``other`` bounds the second."""
    if other is None:
        cases = apart(2, low, high, avoid)
        bounds = (max(low, -2.0), min(high, 2.0))
    else:
        cases = broadcastable().flatmap(
            lambda s: st.builds(Case, floats(s[0], low, high, avoid), floats(s[1], *other))
        )
        bounds = other
    mixed = st.builds(Case, floats(shapes(), low, high, [*avoid, 0.5]), numbers(*bounds, avoid=0.0))
    return Spec(function, st.one_of(cases, cases, mixed), reference, **options)


def pairs(function: Callable, reference: Callable, low: int = -3, high: int = 3, dtype: str = "int64",
          least: int | None = None) -> Spec:  # fmt: skip
    """A function of two integer tensors that cannot be differentiated."""
    second = low if least is None else least
    cases = broadcastable().flatmap(
        lambda s: st.builds(Case, integers(s[0], low, high, dtype), integers(s[1], second, high, dtype))
    )
    return Spec(function, cases, reference, order=0)


def with_infinities(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Values of which some are infinite or NaN."""
    return floats(shape).map(lambda x: np.where(x > 1, INF, np.where(x < -1.5, -INF, np.where(x > 0.5, NAN, x))))


def predicate(function: Callable, reference: Callable) -> Spec:
    """A question about each element."""
    return Spec(function, with_infinities(shapes()).map(Case), reference, order=0)


def whole(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Few different whole numbers."""
    return floats(shape).map(lambda x: np.asarray(np.round(x)))


def stepwise(function: Callable, reference: Callable, shift: float = 0.0, **options: Any) -> Spec:
    """A function of one tensor with jumps at the whole numbers plus ``shift``."""
    values = floats(shapes(), 0.1, 0.9).map(lambda x: x + np.arange(x.size).reshape(x.shape) - 2 + shift)
    return Spec(function, values.map(np.asarray).map(Case), reference, **{"edges": [EXTREMES], **options})


def tied(function: Callable, **options: Any) -> Spec:
    """A choice between equal elements, of which the gradient is shared."""
    return Spec(function, floats(shapes()).map(lambda x: Case(x, x.copy())), lambda a, b: a, order=1, **options)


def comparison(function: Callable, reference: Callable) -> Spec:
    """A question about each pair of elements, of which some are equal."""
    cases = broadcastable().flatmap(lambda s: st.builds(Case, whole(s[0]), whole(s[1])))
    return Spec(function, cases, reference, order=0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), 1 - 1 / (1 + np.exp(-np.abs(x))))


def _clamp(x: Any, low: Any = None, high: Any = None) -> np.ndarray:
    x = x if low is None else np.where(x < low, low, x)
    return x if high is None else np.where(x > high, high, x)


def _logit_clamped(x: np.ndarray) -> np.ndarray:
    return np.log(_clamp(x, 0.2, 0.8) / _clamp(1 - x, 0.2, 0.8))


def _xlogy(a: Any, b: Any) -> np.ndarray:
    return np.vectorize(lambda a, b: 0.0 if a == 0 else a * math.log(b), otypes=[float])(a, b)


def _isclose(a: np.ndarray, b: np.ndarray, rtol: float, atol: float, equal_nan: bool) -> np.ndarray:
    with np.errstate(all="ignore"):
        near = (a == b) | ((np.abs(a - b) <= atol + rtol * np.abs(b)) & np.isfinite(a) & np.isfinite(b))
    return near | (equal_nan & np.isnan(a) & np.isnan(b))


def _sinc(x: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda x: math.sin(math.pi * x) / (math.pi * x) if x else 1.0, otypes=[float])(x)


erf = np.vectorize(math.erf, otypes=[float])
erfc = np.vectorize(math.erfc, otypes=[float])

SPECS: dict[str, Spec] = {
    # arithmetic
    "add": binary(mg.add, np.add),
    "add scaled": binary(lambda a, b: mg.add(a, b, alpha=2.5), lambda a, b: a + 2.5 * b, primitive="add"),
    "sub": binary(mg.sub, np.subtract),
    "sub scaled": binary(lambda a, b: mg.sub(a, b, alpha=-0.5), lambda a, b: a + 0.5 * b, primitive="sub"),
    "rsub": binary(mg.rsub, lambda a, b: b - a, primitive="sub"),
    "mul": binary(mg.mul, np.multiply),
    "div": binary(mg.div, np.true_divide, other=(0.5, 2.0)),
    "floor_divide": binary(mg.floor_divide, np.floor_divide, -0.95, -0.55, (1.0, 3.0), half=False, edges=[QUOTIENTS]),
    "trunc_divide": binary(lambda a, b: mg.div(a, b, rounding_mode="trunc"), lambda a, b: np.trunc(a / b), 0.55, 0.95,
                           (1.0, 3.0), half=False, edges=[QUOTIENTS]),
    "div floored": binary(lambda a, b: mg.div(a, b, rounding_mode="floor"), np.floor_divide, 0.55, 0.95, (1.0, 3.0),
                          primitive="floor_divide", half=False, edges=[QUOTIENTS]),
    "remainder": binary(mg.remainder, lambda a, b: a - b * np.floor(a / b), 3.3, 3.9, (-1.05, -1.0), half=False,
                        edges=[QUOTIENTS]),
    "fmod": binary(mg.fmod, lambda a, b: a - b * np.trunc(a / b), -3.9, -3.3, (1.0, 1.05), half=False,
                   edges=[QUOTIENTS]),
    "neg": unary(mg.neg, np.negative, adjoint=True),
    "positive": Spec(mg.positive, floats(shapes()).map(Case), np.copy, order=0),
    "abs": unary(mg.abs, np.abs),
    "sign": unary(mg.sign, np.sign),
    "copysign": binary(mg.copysign, np.copysign),
    "reciprocal": unary(mg.reciprocal, lambda x: 1 / x, 0.3, 3.0),
    "square": unary(mg.square, lambda x: x * x),
    "sqrt": unary(mg.sqrt, np.sqrt, 0.2, 3.0),
    "rsqrt": unary(mg.rsqrt, lambda x: 1 / np.sqrt(x), 0.3, 3.0),
    "pow": binary(mg.pow, lambda a, b: np.float_power(a, b), 0.3, 2.0, (-2.0, 2.0)),
    "pow of a number": Spec(lambda x, base: mg.pow(base, x), st.builds(Case, floats(shapes()), numbers(0.5, 3.0)),
                            lambda x, base: np.exp(x * math.log(base)), primitive="pow"),
    "pow to a constant": Spec(mg.pow, st.builds(Case, floats(shapes()), st.sampled_from([0, 1, 2, 3, -1, -2, 2.0, 4])),
                              lambda x, p: np.float_power(x, p), primitive="pow", half=False),
    "float_power": binary(mg.float_power, np.float_power, 0.3, 2.0, (-2.0, 2.0), half=False),
    "lerp": Spec(mg.lerp, apart(3), lambda a, b, w: a * (1 - w) + b * w, primitive="sub"),
    "addcmul": Spec(lambda a, b, c: mg.addcmul(a, b, c, value=0.5), apart(3), lambda a, b, c: a + 0.5 * b * c,
                    primitive="mul"),
    "addcdiv": Spec(lambda a, b, c: mg.addcdiv(a, b, c, value=2), apart(3, 0.5, 2.0), lambda a, b, c: a + 2 * b / c,
                    primitive="div"),
    "ldexp": binary(mg.ldexp, lambda a, b: a * np.exp2(b)),
    # exponentials and logarithms
    "exp": unary(mg.exp, np.exp),
    "exp2": unary(mg.exp2, np.exp2),
    "expm1": unary(mg.expm1, np.expm1),
    "log": unary(mg.log, np.log, 0.2, 3.0),
    "log2": unary(mg.log2, np.log2, 0.2, 3.0),
    "log10": unary(mg.log10, np.log10, 0.2, 3.0),
    "log1p": unary(mg.log1p, np.log1p, -0.8, 2.0),
    "logaddexp": binary(mg.logaddexp, lambda a, b: np.log(np.exp(a) + np.exp(b))),
    "xlogy": binary(mg.xlogy, _xlogy, -2.0, 2.0, (0.3, 2.0)),
    "sigmoid": unary(mg.sigmoid, _sigmoid, -4.0, 4.0),
    "logit": unary(mg.logit, lambda x: np.log(x) - np.log(1 - x), 0.1, 0.9, (0.5,)),
    "logit clamped": unary(lambda x: mg.logit(x, eps=0.2), _logit_clamped, 0.0, 1.0, (0.2, 0.8), edges=(),
                           primitive="logit"),
    # trigonometry, hyperbolic and error functions
    "sin": unary(mg.sin, np.sin),
    "cos": unary(mg.cos, np.cos),
    "tan": unary(mg.tan, np.tan, -1.2, 1.2),
    "asin": unary(mg.asin, np.arcsin, -0.9, 0.9),
    "acos": unary(mg.acos, np.arccos, -0.9, 0.9),
    "atan": unary(mg.atan, np.arctan),
    "atan2": binary(mg.atan2, np.arctan2, 0.3, 2.0),
    "hypot": binary(mg.hypot, lambda a, b: np.sqrt(a * a + b * b), 0.3, 2.0),
    "sinh": unary(mg.sinh, np.sinh),
    "cosh": unary(mg.cosh, np.cosh),
    "tanh": unary(mg.tanh, np.tanh),
    "asinh": unary(mg.asinh, np.arcsinh),
    "acosh": unary(mg.acosh, np.arccosh, 1.3, 3.0),
    "atanh": unary(mg.atanh, np.arctanh, -0.8, 0.8),
    "sinc": unary(mg.sinc, _sinc, edges=()),
    "sinc at 0": Spec(mg.sinc, st.sampled_from([0.0, [0.0, 0.7], [[-1.3], [0.0]]]).map(np.array).map(Case), _sinc,
                      primitive="sinc"),
    "erf": unary(mg.erf, erf, -5.0, 5.0),
    "erfc": unary(mg.erfc, erfc, -5.0, 5.0),
    "deg2rad": unary(mg.deg2rad, np.deg2rad, -90.0, 90.0, primitive="mul"),
    "rad2deg": unary(mg.rad2deg, np.rad2deg, primitive="mul"),
    # rounding and choice
    "floor": stepwise(mg.floor, np.floor),
    "ceil": stepwise(mg.ceil, np.ceil),
    "trunc": stepwise(mg.trunc, np.trunc),
    "round": stepwise(mg.round, np.round, 0.5),
    "round to decimals": unary(lambda x: mg.round(x, decimals=1), lambda x: np.round(x, 1), 0.06, 0.14,
                               edges=(), primitive="round"),
    "frac": stepwise(mg.frac, lambda x: np.modf(x)[0], edges=()),
    "maximum": Spec(mg.maximum, apart(), lambda a, b: np.where(a > b, a, b)),
    "minimum": Spec(mg.minimum, apart(), lambda a, b: np.where(a < b, a, b)),
    "maximum at ties": tied(mg.maximum, primitive="maximum"),
    "minimum at ties": tied(mg.minimum, primitive="minimum"),
    "fmax": Spec(mg.fmax, apart(), lambda a, b: np.where(a > b, a, b)),
    "fmin": Spec(mg.fmin, apart(), lambda a, b: np.where(a < b, a, b)),
    "clamp": Spec(mg.clamp, apart(3), _clamp),
    "clamp to numbers": unary(lambda x: mg.clamp(x, -0.5, 1), lambda x: _clamp(x, -0.5, 1), avoid=(-0.5, 1.0),
                              edges=(), primitive="clamp"),
    "clamp_min": Spec(mg.clamp_min, apart(), lambda x, low: np.where(x < low, low, x), primitive="clamp"),
    "clamp_max": Spec(mg.clamp_max, apart(), lambda x, high: np.where(x > high, high, x), primitive="clamp"),
    "where": Spec(
        mg.where,
        broadcastable(3).flatmap(lambda s: st.builds(Case, booleans(s[0]), floats(s[1]), floats(s[2]))),
        lambda condition, a, b: condition * a + ~condition * b,
    ),
    "nan_to_num": unary(mg.nan_to_num, np.nan_to_num),
    "nan_to_num given": Spec(lambda x: mg.nan_to_num(x, 1.0, 2.0, 3.0), floats(shapes()).map(Case), np.copy,
                             primitive="nan_to_num"),
    "heaviside": Spec(mg.heaviside, apart().map(lambda c: Case(np.asarray(np.trunc(c.args[0])), c.args[1])),
                      lambda x, v: np.where(x == 0, v, x > 0), order=0),
    # comparison and logic
    "eq": comparison(mg.eq, np.equal),
    "ne": comparison(mg.ne, np.not_equal),
    "lt": comparison(mg.lt, np.less),
    "le": comparison(mg.le, np.less_equal),
    "gt": comparison(mg.gt, np.greater),
    "ge": comparison(mg.ge, np.greater_equal),
    "logical_and": comparison(mg.logical_and, lambda a, b: (a != 0) & (b != 0)),
    "logical_or": comparison(mg.logical_or, lambda a, b: (a != 0) | (b != 0)),
    "logical_xor": comparison(mg.logical_xor, lambda a, b: (a != 0) ^ (b != 0)),
    "logical_not": Spec(mg.logical_not, whole(shapes()).map(Case), lambda x: x == 0, order=0),
    "bitwise_and": pairs(mg.bitwise_and, np.bitwise_and),
    "bitwise_or": pairs(mg.bitwise_or, np.bitwise_or, dtype="uint8", low=0),
    "bitwise_xor": pairs(mg.bitwise_xor, np.bitwise_xor, dtype="bool", low=0, high=1),
    "bitwise_not": Spec(mg.bitwise_not, integers(shapes(), -5, 5).map(Case), lambda x: -x - 1, order=0),
    "bitwise_left_shift": pairs(mg.bitwise_left_shift, lambda a, b: a * 2**b, least=0),
    "bitwise_right_shift": pairs(mg.bitwise_right_shift, lambda a, b: a // 2**b, least=0),
    "signbit": predicate(mg.signbit, lambda x: np.copysign(1, x) < 0),
    "isnan": predicate(mg.isnan, lambda x: x != x),
    "isinf": predicate(mg.isinf, lambda x: np.abs(x) == INF),
    "isposinf": predicate(mg.isposinf, lambda x: x == INF),
    "isneginf": predicate(mg.isneginf, lambda x: x == -INF),
    "isfinite": predicate(mg.isfinite, lambda x: np.abs(x) < INF),
    "isclose": Spec(
        mg.isclose,
        broadcastable().flatmap(lambda s: st.builds(
            Case, with_infinities(s[0]), with_infinities(s[1]), rtol=st.sampled_from([0.0, 0.3]),
            atol=st.sampled_from([0.0, 0.5]), equal_nan=st.booleans())),
        _isclose,
        order=0,
    ),
    "allclose": Spec(lambda a, b: mg.tensor(mg.allclose(a, b, atol=1.0)), apart(),
                     lambda a, b: np.array(np.all(np.abs(a - b) <= 1 + 1e-5 * np.abs(b))), order=0, duck=False),
    "equal": Spec(lambda a, b: mg.tensor(mg.equal(a, b)), comparison(mg.eq, np.equal).cases,
                  lambda a, b: np.array(np.array_equal(a, b)), order=0, duck=False),
}  # fmt: skip


def _x() -> Any:
    return mg.tensor([1.0, 2.0, 3.0])


def _i() -> Any:
    return mg.tensor([1, 2, 3])


def _b() -> Any:
    return mg.tensor([True, False, True])


ERRORS = [
    ("add shapes", lambda: _x() + mg.ones(2), ValueError, r"add: shapes \(3,\) and \(2,\) do not broadcast"),
    ("mul shapes", lambda: mg.ones(2, 3) * mg.ones(3, 2), ValueError, r"mul: shapes \(2, 3\) and \(3, 2\)"),
    ("where shapes", lambda: mg.where(_b(), mg.ones(2), 0.0), ValueError, r"where: shapes \(3,\) and \(2,\)"),
    ("clamp shapes", lambda: mg.clamp(_x(), mg.ones(2)), ValueError, "clamp: shapes"),
    ("add string", lambda: _x() + "a", TypeError, "add: expected a Tensor or a number, got str"),
    ("add None", lambda: _x() + None, TypeError, "add: other must be a Tensor or a number, got None"),
    ("None mul", lambda: None * _x(), TypeError, "mul: input must be a Tensor or a number, got None"),
    ("add list", lambda: _x() + [1, 2, 3], TypeError, "add: expected a Tensor or a number, got list"),
    ("exp number", lambda: mg.exp(1.0), TypeError, "exp: expected a Tensor, got float"),
    ("exp two", lambda: mg.exp(_x(), _x()), TypeError, "exp: takes at most 1 positional arguments, got 2"),
    ("pow missing", lambda: mg.pow(_x()), TypeError, "pow: missing argument 'exponent'"),
    ("sin unknown", lambda: mg.sin(_x(), out=None), TypeError, "sin: unexpected argument 'out'"),
    ("sub bools", lambda: _b() - _b(), TypeError, r"sub: not defined for bool tensors; use \^"),
    ("neg bool", lambda: -_b(), TypeError, "neg: not defined for bool tensors; use ~"),
    ("square bool", lambda: mg.square(_b()), TypeError, "square: not defined for bool"),
    ("floor_divide bools", lambda: _b() // _b(), TypeError, "floor_divide: not defined for bool"),
    ("pow bools", lambda: mg.pow(_b(), _b()), TypeError, "pow: not defined for bool"),
    ("integer by zero", lambda: _i() // 0, ZeroDivisionError, "floor_divide: integer division by zero"),
    ("integer modulo zero", lambda: _i() % mg.tensor([1, 0, 1]), ZeroDivisionError, "remainder: integer division"),
    ("fmod zero", lambda: mg.fmod(_i(), 0), ZeroDivisionError, "fmod: integer division by zero"),
    ("trunc zero", lambda: mg.div(_i(), 0, rounding_mode="trunc"), ZeroDivisionError, "div: integer division"),
    ("rounding_mode", lambda: mg.div(_x(), 2, rounding_mode="up"), ValueError, "div: rounding_mode must be"),
    ("integer power", lambda: _i() ** -1, ValueError, "pow: integers to negative integer powers"),
    ("add alpha", lambda: mg.add(_i(), _i(), alpha=0.5), TypeError, "add: alpha must be an integer .* got 0.5"),
    ("sub alpha", lambda: mg.sub(_i(), 1, alpha=0.5), TypeError, "sub: alpha must be an integer"),
    ("clamp unbounded", lambda: mg.clamp(_x()), ValueError, "clamp: at least one of min and max"),
    ("where one", lambda: mg.where(_b(), _x()), TypeError, "where: give both input and other, or neither"),
    ("where float", lambda: mg.where(_x(), 1.0, 2.0), TypeError, "where: condition must be a bool tensor, got float32"),
    ("and float", lambda: _x() & 1, TypeError, "bitwise_and: expected integer or bool tensors, got float32"),
    ("or number", lambda: _i() | 0.5, TypeError, "bitwise_or: expected integer or bool tensors, got float"),
    ("not float", lambda: ~_x(), TypeError, "bitwise_not: expected integer or bool tensors, got float32"),
    ("shift float", lambda: mg.bitwise_left_shift(_x(), 1), TypeError, "bitwise_left_shift: expected integer"),
    ("too large", lambda: mg.tensor([1], dtype=mg.uint8) + 300, OverflowError, "add: Python integer 300 out of bounds"),
    ("in-place dtype", lambda: _i().add_(0.5), TypeError, "add_: the result is float32, .* in int64"),
    ("in-place shape", lambda: mg.ones(1).mul_(_x()), ValueError, r"mul_: the result has shape \(3,\)"),
    ("in-place leaf", lambda: mg.ones(2, requires_grad=True).exp_(), RuntimeError, "exp_: the tensor is a leaf"),
]
