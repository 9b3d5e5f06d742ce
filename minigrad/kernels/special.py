"""Special functions that NumPy lacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from math import pi, sqrt

import numpy as np

from ..memory import Array
from .formula import polynomial

# Rational approximations, highest power first, of W. J. Cody, "Rational Chebyshev approximations
# for the error function", Math. Comp. 23 (1969), 631-637: numerator and denominator of
# erf(x) / x in x**2 for x to 0.46875; exp(x**2) * erfc(x) in x from there to 4; and beyond, in
# 1 / x**2, of what is left of exp(x**2) * erfc(x) * x after its limit 1 / sqrt(pi).
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)  # fmt: skip
# erf(x) / x in x**2 up to x = 3.92, where float32 reaches 1: a minimax fit to 2e-8 (Lawson's
# weights around linearised least squares). One region without branches is much quicker.
_SINGLE = (
    (2.0500839e-06, 0.000284883743, 0.00376565249, 0.052748833, 0.190407265, 1.12837915),
    (3.80917334e-05, 0.00116254455, 0.0149692874, 0.114109446, 0.502076786, 1.0),
)


def _ratio(pair: tuple[Sequence[float], Sequence[float]], t: Array) -> Array:
    return polynomial(pair[0], t) / polynomial(pair[1], t)


def _erf_near(x: Array) -> Array:
    x = np.clip(x, -0.46875, 0.46875)
    return x * _ratio(_NEAR, x * x)


def _erfc_tail(x: Array) -> Array:
    """erfc for x from 0.46875."""
    y = np.clip(x, 0.46875, 30.0)  # erfc(30) is 0 in any dtype, and NaN stays NaN
    scaled = _ratio(_MIDDLE, np.minimum(y, 4.0))
    if np.any(np.greater(y, 4.0)):
        far = np.maximum(y, 4.0)
        t = 1 / (far * far)
        scaled = np.where(np.greater(y, 4.0), (1 / sqrt(pi) - t * _ratio(_FAR, t)) / far, scaled)
    # exp(-y * y) loses digits to the rounding of y * y; the square of y cut to sixteenths is exact.
    cut = np.trunc(y * 16) * (1 / 16)
    return scaled * np.exp(-cut * cut) * np.exp((cut - y) * (cut + y))


def _float16_in_float32(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Decorates a function of each element that needs more digits than float16 has."""

    @wraps(function)
    def computed(x: Array) -> Array:
        return function(x.astype(np.float32)).astype(np.float16) if x.dtype == np.float16 else function(x)

    return computed


@_float16_in_float32
def erf(x: Array) -> Array:
    """``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``x``, to a few units in the last place."""
    if x.dtype == np.float32:
        x = np.clip(x, -3.92, 3.92)
        return np.clip(x * _ratio(_SINGLE, x * x), -1.0, 1.0)
    magnitude = np.abs(x)
    return np.where(np.less(magnitude, 0.46875), _erf_near(x), np.copysign(1 - _erfc_tail(magnitude), x))


@_float16_in_float32
def erfc(x: Array) -> Array:
    """``1 - erf(x)``, with a small relative error down to where it underflows."""
    magnitude = np.abs(x)
    tail = _erfc_tail(magnitude)
    return np.where(np.less(magnitude, 0.46875), 1 - _erf_near(x), np.where(np.less(x, 0), 2 - tail, tail))


@_float16_in_float32
def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``: 0 where the exponential overflows."""
    return 1 / (np.exp(-x) + 1)


# erf(x / sqrt(2)) = tanh(-x / 2 * p(x**2)) for this polynomial, to 6e-8: a minimax fit like the one above.
_NORMAL = (-3.5125546e-9, 2.64532532e-7, -7.92954626e-6, 1.106126334e-4, 6.51894892e-5, -0.0726661688, -1.595769882)


def gelu(x: Array) -> Array:
    """``x`` times the probability that a standard normal variable is below it, to float32's precision."""
    return x / (np.exp(polynomial(_NORMAL, x * x) * x) + 1)  # (tanh(t) + 1) / 2 = 1 / (1 + exp(-2 * t))


def gelu_gradient(g: Array, x: Array) -> Array:
    """``g`` times the slope of :func:`gelu`: the probability, plus ``x`` times the density."""
    x = np.clip(x, -40, 40)  # the density is 0 beyond, and the square cannot overflow
    probability = 1 / (np.exp(polynomial(_NORMAL, x * x) * x) + 1)
    return g * (probability + x * (np.exp(x * x * -0.5) * (1 / sqrt(2 * pi))))
