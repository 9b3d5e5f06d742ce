"""Reductions and scans where the properties of test_ops.py do not look: ties, zeros, dtypes, empties, extremes.

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
from minigrad.autograd import grad, gradcheck, gradgradcheck
from minigrad.ops import reduction

INF, NAN = math.inf, math.nan


def leaf(*values: Any) -> Any:
    return mg.tensor(values, dtype=mg.float64, requires_grad=True)


def gradient(function: Callable, *values: Any) -> list:
    x = leaf(*values)
    return grad(function(x).sum(), x)[0].tolist()


def curvature(function: Callable, *values: Any) -> Any:
    """The diagonal of the matrix of second derivatives of the sum."""
    x = leaf(*values)
    slopes = grad(function(x).sum(), x, create_graph=True)[0]
    return [grad(slope, x, retain_graph=True)[0][i].item() for i, slope in enumerate(slopes)]


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-12, atol=1e-14)


SOURCES = ("b1", "u1", "i4", "i8", "f2", "f4", "f8")
M = ((1.0, 2.0, 2.0), (3.0, 0.0, 3.0))

# ------------------------------------------------------------------------------------------ ties


def test_full_extrema_share_the_gradient_evenly() -> None:
    same(gradient(mg.max, 2, 1, 2), [0.5, 0, 0.5])
    same(gradient(mg.min, 1, 1, 2), [0.5, 0.5, 0])
    same(gradient(lambda x: x.amax(1), *M), [[0, 0.5, 0.5], [0.5, 0, 0.5]])
    same(gradient(lambda x: mg.aminmax(x)[1], *M), [[0, 0, 0], [0.5, 0, 0.5]])
    same(gradient(mg.max, INF, NAN, NAN), [0, 0.5, 0.5])


def test_extrema_along_a_dim_pick_one() -> None:
    values, indices = mg.max(mg.tensor(M), 1)
    same(values.tolist(), [2, 3])
    same(indices.tolist(), [1, 0])
    same(gradient(lambda x: x.max(0).values, 2, 1, 2), [1, 0, 0])
    same(gradient(lambda x: x.min(0).values, 1, 1, 2), [1, 0, 0])


def test_ties_of_max_with_another_tensor() -> None:
    a, b = leaf(1, 2), leaf(1, 3)
    same([g.tolist() for g in grad(mg.max(a, b).sum(), (a, b))], [[0.5, 0], [0.5, 1]])
    same(mg.min(a, other=b).tolist(), [1, 2])


def test_running_extrema_take_the_last_of_equals() -> None:
    same(mg.cummax(mg.tensor(M), 1).indices.tolist(), [[0, 1, 2], [0, 0, 2]])
    result = mg.cummax(mg.tensor([1.0, NAN, 2.0]), 0)
    same(result.values.tolist(), [1, NAN, NAN])
    same(result.indices.tolist(), [0, 1, 1])
    same(mg.cummin(mg.tensor([1.0, NAN, 0.0]), 0).values.tolist(), [1, NAN, NAN])
    same(gradient(lambda x: mg.cummax(x, 0).values, 1, 1, 0), [1, 2, 0])


def test_order_of_norms_at_ties_and_zeros() -> None:
    same(gradient(lambda x: x.norm(INF), -2, 1, 2), [-0.5, 0, 0.5])
    same(gradient(lambda x: x.norm(-INF), -1, 1, 2), [-0.5, 0.5, 0])
    for p in (0.5, 1, 1.5, 2, 3, INF):
        same(gradient(lambda x, p=p: x.norm(p), 0, 0, 0), [0, 0, 0])
    close(gradient(lambda x: x.norm(0.5), 0, 1, 2), [0, 1 + math.sqrt(2), (1 + math.sqrt(2)) / math.sqrt(2)])
    close(gradient(lambda x: x.norm(-1), -1, 1, 2), [-0.16, 0.16, 0.04])
    same(mg.norm(mg.tensor([3.0, 0.0, -4.0]), 0).item(), 2)


def test_curvature_of_norms_at_zeros() -> None:
    for p, values, expected in ((2, (3, 0), [0, 1 / 3]), (2, (0, 0), [0, 0]), (3, (0, 0), [0, 0]), (3, (3, 0), [0, 0])):
        close(curvature(lambda x, p=p: x.norm(p), *values), expected)
    scale, x = leaf(2), leaf(3, 0)
    slope = grad((scale * x.norm(3)).sum(), x, create_graph=True)[0]
    same(grad(slope.sum(), scale)[0].tolist(), [1])


def test_spread_of_equal_elements() -> None:
    same(gradient(mg.std, 1, 1, 1), [0, 0, 0])
    same(gradient(mg.var, 1, 1, 1), [0, 0, 0])
    same(curvature(mg.std, 1, 1, 1), [0, 0, 0])


# --------------------------------------------------------------------------------- products with 0


@pytest.mark.parametrize("values", [(2, 0, 3), (0, 0, 3), (0, 0, 0), (2, 0, 3, 0, 4), (1, 2, 3), (0,)], ids=str)
@pytest.mark.parametrize("function", [mg.prod, lambda x: mg.cumprod(x, 0)], ids=["prod", "cumprod"])
def test_products_with_zeros_to_third_order(function: Callable, values: tuple) -> None:
    """Against differences: a product is a polynomial, smooth at 0 like anywhere else."""
    gradcheck(function, [leaf(*values)])
    gradgradcheck(function, [leaf(*values)])

    def slope(x: Any) -> Any:
        return grad(function(x).sum(), x, create_graph=True)[0]

    gradgradcheck(slope, [leaf(*values)])


def test_slopes_of_products_with_zeros() -> None:
    same(gradient(mg.prod, 0, 1, 2), [2, 0, 0])
    same(gradient(mg.prod, 0, 0, 2), [0, 0, 0])
    same(gradient(lambda x: x.cumprod(0), 2, 0, 3, 0, 4), [1, 8, 0, 0, 0])
    same(gradient(lambda x: x.prod(1), (2, 3), (0, 5)), [[3, 2], [5, 0]])


def test_long_scans() -> None:
    x = np.random.default_rng(0).uniform(0.9, 1.1, 5000)
    t = mg.tensor(x, requires_grad=True)
    g = grad(mg.cumprod(t, 0)[-1], t)[0]
    np.testing.assert_allclose(g.numpy(), np.prod(x) / x, rtol=1e-10)


# ------------------------------------------------------------------------------- empty and 0-d


def test_reductions_of_nothing() -> None:
    nothing, rows = mg.zeros(0), mg.zeros(0, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same([nothing.sum().item(), nothing.prod().item(), nothing.norm().item()], [0, 1, 0])
        for function in (mg.mean, mg.var, mg.std, mg.median, mg.nanmean):
            assert math.isnan(function(nothing).item())
        same(rows.sum(0).tolist(), [0, 0, 0])
        same(rows.mean(0).tolist(), [NAN] * 3)
        same(rows.logsumexp(0).tolist(), [-INF] * 3)
        assert not nothing.any()
        assert nothing.all()
        for result in (rows.amax(1), rows.max(1).values, rows.max(1).indices, rows.argmin(1), rows.sum(1)):
            assert result.shape == (0,)
        for result in (rows.softmax(0), rows.softmax(1), rows.log_softmax(0), rows.cumsum(0), rows.cumprod(0)):
            assert result.shape == (0, 3)
        x = mg.zeros(0, 3, requires_grad=True)
        (x.sum() + x.prod() + x.norm() + x.logsumexp(0).sum() + x.softmax(0).sum() + x.cumprod(1).sum()).backward()
        assert x.grad.shape == (0, 3)


def test_a_tensor_without_dimensions_accepts_dim_0() -> None:
    x = mg.tensor(3.0, requires_grad=True)
    for dim in (0, -1):
        results = [x.sum(dim), x.mean(dim), x.prod(dim), x.amax(dim), x.cumsum(dim), x.cumprod(dim), x.logsumexp(dim),
                   x.norm(2, dim), x.logcumsumexp(dim), *x.max(dim), *mg.cummax(x, dim), x.argmax(dim)]  # fmt: skip
        assert {r.shape for r in results} == {()}
        same([r.item() for r in results], [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 3, 0, 0])
        assert x.softmax(dim).item() == 1
        assert x.log_softmax(dim).item() == 0
    assert math.isnan(x.var().item())
    assert x.std(correction=0).item() == 0
    close(grad(x.prod(0) + x.cumprod(0) + x.softmax(0), x)[0].item(), 2)


def test_no_dims_means_all() -> None:
    x = mg.tensor(M)
    assert x.sum(()).item() == x.sum([]).item() == x.sum().item() == 11
    assert x.amax(()).item() == x.amax().item() == 3
    assert x.amax((0, 1), keepdim=True).shape == (1, 1)
    assert x.argmax(keepdim=True).tolist() == [[3]]


# ----------------------------------------------------------------------------------- NaN, infinity


def test_nan_and_infinity() -> None:
    x = mg.tensor([1.0, NAN, 2.0])
    for value in (x.sum(), x.mean(), x.max(), x.amin(), x.median(), x.norm(), x.std()):
        assert math.isnan(value.item())
    assert (x.argmax().item(), x.argmin().item()) == (1, 1)
    same((x.nansum().item(), x.nanmean().item()), (3, 1.5))
    same(gradient(mg.nansum, 1, NAN, 2), [1, 0, 1])
    same(gradient(mg.nanmean, 1, NAN, 2), [0.5, 0, 0.5])


def test_exponential_families_at_the_extremes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lowest = mg.tensor([-INF, -INF])
        assert lowest.logsumexp(0).item() == -INF
        same(lowest.softmax(0).tolist(), [NAN, NAN])
        assert mg.tensor([INF, 1.0]).logsumexp(0).item() == INF
        same(mg.tensor([1e30, -1e30]).softmax(0).tolist(), [1, 0])
        same(mg.tensor([1e4, 0.0]).log_softmax(0).tolist(), [0, -1e4])
        same(mg.tensor([-INF, 0.0]).softmax(0).tolist(), [0, 1])
        same(gradient(lambda x: x.logsumexp(0), -INF, -INF), [0, 0])
        same(gradient(lambda x: x.logcumsumexp(0), -INF, -INF, 0), [0, 0, 1])
        same(curvature(lambda x: x.logcumsumexp(0), -INF, -INF, -800, 0), [0, 0, 0, 0])
        close(gradient(lambda x: x.log_softmax(0)[1:], -INF, 1, 2), [0, math.tanh(0.5), -math.tanh(0.5)])


# ------------------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize(
    ("function", "results"),
    [  # of bool, uint8, int32, int64, float16, float32, float64; "-" is refused
        (mg.sum, "i8 i8 i8 i8 f2 f4 f8"), (mg.prod, "i8 i8 i8 i8 f2 f4 f8"), (mg.mean, "- - - - f2 f4 f8"),
        (mg.var, "- - - - f2 f4 f8"), (mg.norm, "- - - - f2 f4 f8"), (mg.amax, "b1 u1 i4 i8 f2 f4 f8"),
        (mg.max, "b1 u1 i4 i8 f2 f4 f8"), (mg.argmax, "i8 i8 i8 i8 i8 i8 i8"), (mg.any, "b1 b1 b1 b1 b1 b1 b1"),
        (mg.nansum, "i8 i8 i8 i8 f2 f4 f8"), (mg.count_nonzero, "i8 i8 i8 i8 i8 i8 i8"),
        (lambda x: mg.cumsum(x, 0), "i8 i8 i8 i8 f2 f4 f8"), (lambda x: mg.cumprod(x, 0), "i8 i8 i8 i8 f2 f4 f8"),
        (lambda x: mg.logsumexp(x, 0), "f4 f4 f4 f4 f2 f4 f8"), (lambda x: mg.softmax(x, 0), "- - - - f2 f4 f8"),
        (lambda x: mg.cummax(x, 0).values, "b1 u1 i4 i8 f2 f4 f8"),
        (lambda x: x.max(0).indices, "i8 i8 i8 i8 i8 i8 i8"),
    ],
)  # fmt: skip
def test_dtypes(function: Callable, results: str) -> None:
    for source, expected in zip(SOURCES, results.split(), strict=True):
        x = mg.tensor(np.array([1, 0, 1], dtype=source))
        if expected == "-":
            with pytest.raises(TypeError, match="expected a floating-point tensor"):
                function(x)
        else:
            assert function(x).dtype.str[1:] == expected, source


def test_the_dtype_argument_casts_first() -> None:
    half = mg.full((4096,), 32.0, dtype=mg.float16)
    assert half.sum().item() == INF
    assert half.sum(dtype=mg.float32).item() == 131072
    assert mg.tensor([1, 2]).sum(dtype=mg.float32).dtype == mg.float32
    assert mg.tensor([1.5, 2.5]).sum(dtype=mg.int64).item() == 3
    assert mg.tensor([1, 2]).mean(dtype=mg.float64).item() == 1.5
    assert mg.tensor([1, 2]).softmax(0, dtype=mg.float32).dtype == mg.float32
    x = mg.ones(3, dtype=mg.float16, requires_grad=True)
    x.sum(dtype=mg.float32).backward()
    assert x.grad.dtype == mg.float16


def test_float16_is_summed_up_in_float32() -> None:
    x = mg.full((3000, 2), 0.1, dtype=mg.float16)
    same(x.sum(0).tolist(), [300, 300])
    close(x.mean(0).tolist(), [np.float16(0.1)] * 2)
    same(x.var(0).tolist(), [0, 0])
    assert abs(x.norm().item() - math.sqrt(6000) * 0.1) < 0.01
    same(x.cumsum(0)[-1].tolist(), [300, 300])
    x = mg.tensor([2048.0, 1, 1, 1, 1], dtype=mg.float16)
    same(x.cumsum(0, dtype=mg.float16).tolist(), [2048, 2048, 2050, 2052, 2052])


# --------------------------------------------------------------------------------------- arguments


def test_spread_of_one_element_has_no_gradient() -> None:
    same(gradient(mg.var, 3.0), [NAN])
    same(gradient(mg.std, 3.0), [NAN])
    same(gradient(lambda x: x.var(correction=1.5), 3.0), [NAN])


def test_forms_of_var() -> None:
    x = mg.tensor(M, dtype=mg.float64)
    for result in (x.var(0, False), x.var(0, unbiased=False), x.var(0, correction=0), x.var(axis=0, correction=0)):
        close(result.tolist(), np.var(M, axis=0))
    close(x.var(False).item(), np.var(M))
    close(x.var().item(), np.var(M, ddof=1))
    close(x.std(1, correction=2).tolist(), np.std(M, axis=1, ddof=2))
    variance, average = mg.var_mean(x, 1, keepdim=True)
    assert variance.shape == average.shape == (2, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(mg.ones(1).var().item())
        assert x.var(0, correction=2).tolist() == [INF, INF, INF]


def test_numpys_names_of_arguments() -> None:
    x = mg.tensor(M)
    for function in (mg.sum, mg.mean, mg.amax, mg.norm, mg.var, mg.logsumexp):
        assert function(x, axis=1, keepdims=True).shape == (2, 1)
    assert mg.max(x, axis=1, keepdims=True).values.shape == (2, 1)
    assert mg.softmax(x, axis=0).shape == (2, 3)
    same(np.sum(x, axis=0).tolist(), [4, 2, 5])
    same(np.var(x).item(), np.float32(np.var(np.array(M, "float32"))))


def test_results_with_names() -> None:
    result = mg.max(mg.tensor(M), 1)
    assert result._fields == ("values", "indices")
    assert mg.aminmax(mg.tensor(M), dim=0)._fields == ("min", "max")
    assert result.values is result[0]


def test_norms() -> None:
    x = mg.tensor(M, dtype=mg.float64)
    close(mg.norm(x).item(), math.sqrt(27))
    close(mg.norm(x, "fro", (0, 1)).item(), math.sqrt(27))
    close(mg.norm(x, 1, 1, True).tolist(), [[5], [6]])
    close(x.norm(p=3, dim=0).tolist(), [28 ** (1 / 3), 2, 35 ** (1 / 3)])
    assert reduction.vector_norm(mg.ones(2), dtype=mg.float64).dtype == mg.float64


def test_in_place_scans() -> None:
    x = mg.tensor([1.0, 2.0, 3.0])
    x.cumsum_(0)
    same(x.tolist(), [1, 3, 6])
