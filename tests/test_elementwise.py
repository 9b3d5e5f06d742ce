"""Elementwise operations where the properties of test_ops.py do not look: ties, kinks, dtypes, extremes.

The expected values, where no formula gives them, are PyTorch's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad
from minigrad.kernels import special

INF, NAN = math.inf, math.nan
F = {"f2": mg.float16, "f4": mg.float32, "f8": mg.float64}


def leaf(*values: float) -> Any:
    return mg.tensor(values, dtype=mg.float64, requires_grad=True)


def gradients(function: Callable, *inputs: Any) -> list[list[float]]:
    return [g.tolist() for g in grad(function(*inputs).sum(), inputs)]


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


# --------------------------------------------------------------------------------- ties and kinks


def test_ties_of_maximum_and_minimum_share_the_gradient() -> None:
    for function, first in ((mg.maximum, [1, 0, 0.5, 1]), (mg.minimum, [0, 1, 0.5, 1])):
        ours = gradients(function, leaf(2, 1, 3, NAN), leaf(1, 2, 3, 0))
        same(ours[0], first)
        same(ours[1], [1 - v if i < 3 else 1 for i, v in enumerate(first)])  # NaN: both get all of it


def test_ties_of_fmax_and_fmin_belong_to_the_first() -> None:
    a, b = leaf(2, 1, 3, NAN, 0, NAN), leaf(1, 2, 3, 0, NAN, NAN)
    same(gradients(mg.fmax, a, b), [[1, 0, 1, 0, 1, 1], [0, 1, 0, 1, 0, 0]])
    same(gradients(mg.fmin, a, b), [[0, 1, 1, 0, 1, 1], [1, 0, 0, 1, 0, 0]])
    same(mg.fmax(leaf(NAN, 1, NAN), leaf(0, NAN, NAN)).tolist(), [0, 1, NAN])


def test_on_a_bound_of_clamp_the_gradient_goes_to_the_input() -> None:
    x = leaf(-2, -1, 0, 1, 2, NAN)
    same(gradients(lambda x: mg.clamp(x, -1, 1), x), [[0, 1, 1, 1, 0, 0]])
    same(mg.clamp(x, -1, 1).tolist(), [-1, -1, 0, 1, 1, NAN])
    same(mg.clamp(x, 2, 1).tolist()[:5], [1] * 5)  # min above max: max


def test_clamp_with_tensor_bounds() -> None:
    x, low, high = leaf(-2, -1, 0, 3, 0, -3), leaf(-1, -1, -1, -1, 2, 1), leaf(1, 1, 1, 1, 1, 1)
    same(mg.clamp(x, low, high).tolist(), [-1, -1, 0, 1, 1, 1])
    # In the last two columns min is above max, or equal to it and above x: neither then moves with min.
    same(gradients(mg.clamp, x, low, high), [[0, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]])


@pytest.mark.parametrize(
    ("function", "at", "slope"),
    [
        (mg.abs, 0.0, 0.0), (mg.sign, 0.0, 0.0), (mg.floor, 1.0, 0.0), (mg.round, 0.5, 0.0), (mg.trunc, 2.0, 0.0),
        (mg.frac, 2.0, 1.0), (mg.sqrt, 0.0, INF), (mg.log, 0.0, INF), (mg.log1p, -1.0, INF), (mg.reciprocal, 0.0, -INF),
        (mg.asin, 1.0, INF), (mg.acos, 1.0, -INF), (mg.acosh, 1.0, INF), (mg.atanh, 1.0, INF), (mg.sinc, 0.0, 0.0),
        (mg.rsqrt, 0.0, -INF), (mg.sigmoid, 1000.0, 0.0), (mg.tanh, -1000.0, 0.0), (mg.erf, 30.0, 0.0),
        (mg.exp, -INF, 0.0), (mg.nan_to_num, NAN, 0.0), (mg.nan_to_num, INF, 0.0), (mg.logit, 0.0, INF),
    ],
)  # fmt: skip
def test_slope_at_an_edge(function: Callable, at: float, slope: float) -> None:
    same(gradients(function, leaf(at)), [[slope]])


def test_powers_of_zero() -> None:
    exponents = leaf(0, 0.5, 1, 2, 3, -1)
    base = leaf(0, 0, 0, 0, 0, 0)
    same((base**exponents).tolist(), [1, 0, 0, 0, 0, INF])
    same(gradients(mg.pow, base, exponents), [[0, INF, 1, 0, 0, -INF], [0, 0, 0, 0, 0, -INF]])
    for exponent, value, first, second in ((0, 1, 0, 0), (1, 0, 1, 0), (2, 0, 0, 2), (3, 0, 0, 0)):
        x = leaf(0)
        g = grad((x**exponent).sum(), x, create_graph=True)[0]
        gg = grad(g.sum(), x, allow_unused=True)[0] if g.requires_grad else None
        same((x**exponent).tolist(), [value])
        same(g.tolist(), [first])
        same([0.0] if gg is None else gg.tolist(), [second])
    same(gradients(lambda x: x**0, leaf(NAN, INF)), [[0, 0]])
    same((leaf(NAN) ** 0).tolist(), [1])


def test_the_slope_of_a_power_in_its_exponent_at_zero() -> None:
    """d/dp (p x**(p-1)) is 1/x at p = 0, which a mask on p == 0 would lose."""
    x, p = leaf(2.0), leaf(0.0)
    slope = grad((x**p).sum(), x, create_graph=True)[0]
    same(grad(slope.sum(), p)[0].tolist(), [0.5])
    x, p = leaf(0.5, -2), leaf(0, 0)  # of a negative base a power is defined at single exponents only
    same(grad(grad((x**p).sum(), x, create_graph=True)[0].sum(), p)[0].tolist(), [2, NAN])


def test_power_zero_of_anything_is_constant() -> None:
    same(gradients(mg.pow, leaf(NAN, INF, -2), leaf(0, 0, 0))[0], [0, 0, 0])


def test_copysign_of_zero() -> None:
    same(gradients(mg.copysign, leaf(0, 0, 0, -2), leaf(2, -2, 0, -1))[0], [0, 0, 0, 1])


def test_xlogy_at_zero() -> None:
    same(gradients(mg.xlogy, leaf(0), leaf(0.5)), [[math.log(0.5)], [0]])
    x, y = leaf(0, 0, 0, 0, 1), leaf(0, 2, -1, NAN, 0)
    same(mg.xlogy(x, y).tolist(), [0, 0, 0, NAN, -INF])
    same(gradients(mg.xlogy, x, y), [[0, math.log(2), 0, NAN, -INF], [NAN, 0, 0, NAN, INF]])


def test_atan2_and_hypot_at_the_origin() -> None:
    for i in range(2):
        inputs = leaf(0), leaf(0)
        slope = grad(mg.atan2(*inputs).sum(), inputs, create_graph=True)[i]
        same([slope.tolist(), *(g.tolist() for g in grad(slope.sum(), inputs))], [[0], [0], [0]])
    same(gradients(mg.hypot, leaf(0), leaf(0)), [[NAN], [NAN]])
    same(mg.hypot(leaf(1e300), leaf(1e300)).tolist(), [math.hypot(1e300, 1e300)])


def test_logaddexp_of_infinities() -> None:
    a, b = leaf(-INF, -INF, INF, 0, 1e5), leaf(-INF, 0, 0, INF, -1e5)
    same(mg.logaddexp(a, b).tolist(), [-INF, 0, INF, INF, 1e5])
    same(gradients(mg.logaddexp, a, b), [[NAN, 0, 1, 0, 1], [NAN, 1, 0, 1, 0]])


def test_the_gradient_of_a_step_is_zero_also_for_an_infinite_gradient() -> None:
    x = leaf(1.5)
    same(grad(mg.floor(x) * INF, x, mg.ones(1, dtype=mg.float64))[0].tolist(), [0])
    same(grad(mg.clamp(x, 0, 1) * INF, x, mg.ones(1, dtype=mg.float64))[0].tolist(), [0])


def test_where_does_not_leak_nan_from_the_side_not_taken() -> None:
    x = leaf(0, 4)
    safe = mg.where(x > 0, x, 1.0)
    same(gradients(lambda x: mg.where(x > 0, mg.sqrt(mg.where(x > 0, x, 1.0)), 0.0), x), [[0, 0.25]])
    assert safe.dtype == mg.float64


# ------------------------------------------------------------------------------ extreme arguments


def test_no_warning_where_a_function_leaves_its_domain() -> None:
    x = mg.tensor([0.0, -2.0, INF, NAN, 1e30], requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for function in (mg.log, mg.log2, mg.log10, mg.log1p, mg.sqrt, mg.rsqrt, mg.reciprocal, mg.exp, mg.exp2,
                         mg.expm1, mg.asin, mg.acos, mg.acosh, mg.atanh, mg.sinh, mg.cosh, mg.sin, mg.cos, mg.tan,
                         mg.logit, mg.sinc, mg.frac, mg.sigmoid, mg.tanh, mg.erf, mg.erfc):  # fmt: skip
            grad(function(x).sum(), x)
        for result in (x / 0, 1 / x, x**-1, x**0.5, x**x, x // 0, x % 0, mg.fmod(x, 0), mg.xlogy(x, x)):
            grad(result.sum(), x)


def test_division_by_zero() -> None:
    x = mg.tensor([1.5, -2.0, 0.0])
    same((x / 0).tolist(), [INF, -INF, NAN])
    same((x // 0).tolist(), [INF, -INF, NAN])
    same((x % 0).tolist(), [NAN, NAN, NAN])
    same((mg.tensor([1, -2]) / 0).tolist(), [INF, -INF])


def test_rounding_of_quotients() -> None:
    a, b = mg.tensor([7, -7, 7, -7]), mg.tensor([2, 2, -2, -2])
    same((a // b).tolist(), [3, -4, -4, 3])
    same((a % b).tolist(), [1, 1, -1, -1])
    same(mg.fmod(a, b).tolist(), [1, -1, 1, -1])
    same(mg.div(a, b, rounding_mode="trunc").tolist(), [3, -3, -3, 3])
    same(mg.div(a, b, rounding_mode="floor").tolist(), [3, -4, -4, 3])
    same(mg.round(mg.tensor([0.5, 1.5, 2.5, -0.5])).tolist(), [0, 2, 2, 0])
    assert mg.div(a, b, rounding_mode="trunc").dtype == mg.int64


def test_nan_passes_through() -> None:
    x = mg.tensor([NAN, 1.0])
    for result in (mg.maximum(x, mg.zeros(2)), mg.minimum(x, mg.zeros(2)), mg.clamp(x, 0, 1), x.clamp(min=0), x.sin()):
        assert math.isnan(result[0].item())
    same(mg.nan_to_num(mg.tensor([NAN, INF, -INF], dtype=mg.float16)).tolist(), [0, 65504, -65504])
    same(mg.heaviside(mg.tensor([-1.0, 0.0, 2.0]), mg.tensor(0.5)).tolist(), [0, 0.5, 1])


@pytest.mark.parametrize("name", ["erf", "erfc"])
@pytest.mark.parametrize(("dtype", "ulps"), [("f8", 8), ("f4", 10), ("f2", 1)])
def test_error_functions_are_precise(name: str, dtype: str, ulps: float) -> None:
    """Relative to the result, down to where the tail of erfc underflows; also in blocks and any layout."""
    x = np.concatenate([np.linspace(-7, 27, 40001), [1e-300, -1e-8, 0.46875, 4.0]]).astype(dtype)
    expected = np.array([getattr(math, name)(float(v)) for v in x])
    ours = getattr(special, name)(x)
    assert ours.dtype == x.dtype
    spacing = np.maximum(np.spacing(np.abs(expected).astype(dtype)), np.finfo(dtype).tiny).astype("f8")
    assert np.max(np.abs(ours.astype("f8") - expected) / spacing) <= ulps
    same(getattr(special, name)(x[::-2]), ours[::-2])


def test_error_functions_at_the_ends() -> None:
    x = np.array([0.0, -0.0, INF, -INF, NAN])
    same(special.erf(x), [0, 0, 1, -1, NAN])
    assert np.signbit(special.erf(x))[1]
    same(special.erfc(x), [1, 1, 0, 2, NAN])


# ---------------------------------------------------------------------------------------- dtypes


_ONE = {
    "b": mg.tensor([True]), "u1": mg.tensor([1], dtype=mg.uint8), "i4": mg.tensor([1], dtype=mg.int32),
    "i8": mg.tensor([1]), "f2": mg.tensor([1.0], dtype=mg.float16), "f4": mg.tensor([1.0]),
    "f8": mg.tensor([1.0], dtype=mg.float64), "0i8": mg.tensor(1), "0f4": mg.tensor(1.0),
    "0f8": mg.tensor(1.0, dtype=mg.float64), "True": True, "2": 2, "1.5": 1.5,
}  # fmt: skip

# PyTorch's result of mul and of div, for a tensor of the row's dtype and an operand of the column's.
PROMOTION = """
      b     u1    i4    i8    f2    f4    f8    0i8   0f4   0f8   True  2     1.5
b     b/f4  u1/f4 i4/f4 i8/f4 f2/f2 f4/f4 f8/f8 i8/f4 f4/f4 f8/f8 b/f4  i8/f4 f4/f4
u1    u1/f4 u1/f4 i4/f4 i8/f4 f2/f2 f4/f4 f8/f8 u1/f4 f4/f4 f8/f8 u1/f4 u1/f4 f4/f4
i4    i4/f4 i4/f4 i4/f4 i8/f4 f2/f2 f4/f4 f8/f8 i4/f4 f4/f4 f8/f8 i4/f4 i4/f4 f4/f4
i8    i8/f4 i8/f4 i8/f4 i8/f4 f2/f2 f4/f4 f8/f8 i8/f4 f4/f4 f8/f8 i8/f4 i8/f4 f4/f4
f2    f2/f2 f2/f2 f2/f2 f2/f2 f2/f2 f4/f4 f8/f8 f2/f2 f2/f2 f2/f2 f2/f2 f2/f2 f2/f2
f4    f4/f4 f4/f4 f4/f4 f4/f4 f4/f4 f4/f4 f8/f8 f4/f4 f4/f4 f4/f4 f4/f4 f4/f4 f4/f4
f8    f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8 f8/f8
0i8   i8/f4 u1/f4 i4/f4 i8/f4 f2/f2 f4/f4 f8/f8 i8/f4 f4/f4 f8/f8 i8/f4 i8/f4 f4/f4
0f4   f4/f4 f4/f4 f4/f4 f4/f4 f2/f2 f4/f4 f8/f8 f4/f4 f4/f4 f8/f8 f4/f4 f4/f4 f4/f4
"""


def _short(dtype: np.dtype) -> str:
    return dtype.str[1:].replace("b1", "b")


def test_promotion() -> None:
    header, *rows = PROMOTION.strip("\n").splitlines()
    for row in rows:
        name, *cells = row.split()
        for other, cell in zip(header.split(), cells, strict=True):
            a, b = _ONE[name], _ONE[other]
            results = [(a * b).dtype, (b * a).dtype, (a / b).dtype, (b / a).dtype]
            product, quotient = cell.split("/")
            assert [_short(d) for d in results] == [product, product, quotient, quotient], f"{name} and {other}"


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "sigmoid", "erf", "reciprocal", "sinc", "deg2rad"])
@pytest.mark.parametrize("source", ["b", "u1", "i4", "i8", "f2", "f4", "f8"])
def test_functions_of_integers_are_of_the_default_dtype(name: str, source: str) -> None:
    assert getattr(mg, name)(_ONE[source]).dtype == F.get(source, mg.float32)


def test_functions_of_integers_keep_them() -> None:
    x = mg.tensor([3, -2])
    for name in ("abs", "neg", "sign", "square", "floor", "ceil", "trunc", "round"):
        assert getattr(mg, name)(x).dtype == mg.int64
    assert (x**2).dtype == mg.int64
    assert (x**2.0).dtype == mg.float32
    assert mg.clamp(x, 0.5).dtype == mg.float32
    assert mg.float_power(x, 2).dtype == mg.float64
    assert mg.copysign(x, x).dtype == mg.float32
    assert mg.where(x > 0, 1.0, 2).dtype == mg.float32
    assert mg.where(x > 0, x, 2.5).dtype == mg.float32
    assert mg.where(x > 0, 1, 2).dtype == mg.int64


def test_float16_and_float32_stay_next_to_python_numbers() -> None:
    for dtype in (mg.float16, mg.float32):
        x = mg.ones(2, dtype=dtype)
        for result in (x + 1, 2 * x, x / 3, 1 / x, x**2, 2**x, x**0.5, mg.xlogy(x, 2), mg.ldexp(x, 2),
                       mg.lerp(x, x, 0.5), mg.hypot(x, mg.tensor(2.0)), mg.clamp(x, 0.5, 2),
                       mg.where(x > 0, x, 1.5)):  # fmt: skip
            assert result.dtype == dtype


def test_integers_out_of_range() -> None:
    x = mg.tensor([1, 200], dtype=mg.uint8)
    same((x < 300).tolist(), [True, True])
    same((x == -1).tolist(), [False, False])
    same((x * 2.0).tolist(), [2, 400])
    same((-x).tolist(), [255, 56])


def test_bools_follow_logic() -> None:
    a, b = mg.tensor([True, True, False]), mg.tensor([True, False, False])
    same((a + b).tolist(), [True, True, False])
    same((a * b).tolist(), [True, False, False])
    same((~a).tolist(), [False, False, True])
    same((a ^ b).tolist(), [False, True, False])
    same((a & 1).tolist(), [1, 1, 0])


# ------------------------------------------------------------------------------ names and methods


def test_one_function_under_all_its_names() -> None:
    assert mg.Tensor.exp is mg.exp
    assert mg.multiply is mg.mul is mg.Tensor.multiply
    assert mg.clip is mg.clamp
    assert mg.absolute is mg.Tensor.abs
    assert mg.true_divide is mg.div
    assert mg.arctan2 is mg.atan2


@pytest.mark.parametrize(
    ("name", "args"),
    [("add_", (2,)), ("sub_", (1,)), ("mul_", (3,)), ("div_", (2,)), ("pow_", (2,)), ("clamp_", (0, 1)), ("exp_", ()),
     ("neg_", ()), ("sqrt_", ()), ("sigmoid_", ()), ("tanh_", ()), ("clamp_min_", (0.5,)), ("lerp_", (0.0, 0.5)),
     ("remainder_", (0.7,)), ("floor_", ()), ("reciprocal_", ())],
)  # fmt: skip
def test_in_place(name: str, args: tuple) -> None:
    x, expected = mg.tensor([0.25, 2.5]), None
    expected = getattr(x, name[:-1])(*args)
    memory = x.data_ptr()
    assert getattr(x, name)(*args) is x
    assert x.data_ptr() == memory
    same(x.numpy(), expected.numpy())
    leafs = [mg.tensor([0.25, 2.5], requires_grad=True) for _ in range(2)]
    getattr(leafs[0] * 1, name)(*args).sum().backward()
    getattr(leafs[1] * 1, name[:-1])(*args).sum().backward()
    same(leafs[0].grad.numpy(), leafs[1].grad.numpy())


def test_in_place_logic_on_masks() -> None:
    mask = mg.tensor([True, False])
    mask.logical_or_(mg.tensor([False, True]))
    mask &= mg.tensor([True, False])
    same(mask.tolist(), [True, False])


def test_alpha() -> None:
    same(mg.add(mg.tensor([1.0]), 2, alpha=3).tolist(), [7])
    same(mg.sub(5, mg.tensor([1.0]), alpha=2).tolist(), [3])
    same(mg.tensor([1, 2]).add(mg.tensor([1, 1]), alpha=2).tolist(), [3, 4])
    same(mg.rsub(mg.tensor([1.0]), 1, alpha=2).tolist(), [-1])


def test_where_as_method_and_alone() -> None:
    x = mg.tensor([1.0, -1.0])
    same(x.where(x > 0, 0.0).tolist(), [1, 0])
    same([i.tolist() for i in mg.where(x > 0)], [[0]])


def test_comparison_with_what_is_no_number() -> None:
    x = mg.ones(2)
    assert (x == None) is False  # noqa: E711
    assert (x != "a") is True


def test_equal_and_allclose() -> None:
    x = mg.tensor([1.0, NAN])
    assert not mg.equal(x, x)
    assert mg.equal(mg.ones(2), mg.ones(2))
    assert not mg.equal(mg.ones(2), mg.ones(1))
    assert not mg.allclose(x, x)
    assert mg.allclose(x, x, equal_nan=True)
    same(mg.isclose(mg.tensor([INF, 1.0]), mg.tensor([INF, 1.0 + 1e-6])).tolist(), [True, True])
