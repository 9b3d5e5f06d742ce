"""Pooling where values tie or are missing, with PyTorch's answers; the kernels against their twins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.kernels import pooling as kernels
from minigrad.kernels import resize
from minigrad.testing import assert_close, floats
from nn import functional as F

from .duck import Duck
from .layouts import layouts

INF, NAN = float("inf"), float("nan")


@st.composite
def problems(draw: Any) -> tuple[np.ndarray, np.ndarray, kernels.Windows]:
    """An input with ties, NaN and infinities, a gradient, and windows, in any layout."""
    n = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(n))
    kernel, stride, dilation, out = each(1, 3), each(1, 3), each(1, 2), each(1, 3)
    padding, sizes = [], []
    for k, s, d, o in zip(kernel, stride, dilation, out, strict=True):
        reach = d * (k - 1) + 1 + s * (o - 1)
        before, after = draw(st.integers(0, k // 2)), draw(st.integers(0, k // 2))
        sizes.append(max(1, reach - before - after))
        padding.append((before, max(0, reach - before - sizes[-1])))
    windows = kernels.Windows(tuple(sizes), kernel, stride, tuple(padding), dilation, out)
    values = st.sampled_from([0.0, 0.0, 1.0, 2.0, *draw(st.sampled_from([(), (INF,), (-INF, -INF), (NAN, INF)]))])
    lead = draw(st.sampled_from([(), (2,)]))
    size = int(np.prod((*lead, *sizes)))
    x = np.array(draw(st.lists(values, min_size=size, max_size=size))).reshape(*lead, *sizes)
    dtype, place = draw(st.sampled_from([np.float64, np.float32, np.float16])), draw(layouts())
    return place(x.astype(dtype)), place(draw(floats((*lead, *out))).astype(dtype)), windows


def close(actual: np.ndarray, duck: Duck) -> None:
    tolerance = 1e-2 if duck.dtype == np.float16 else 1e-5
    assert_close(actual, duck.hidden, rtol=tolerance, atol=tolerance, equal_nan=True)


@given(problems())
@pytest.mark.filterwarnings("ignore:invalid value")
def test_kernels_equal_their_twins(problem: Any) -> None:
    """What ndarrays get is what the array functions alone give other libraries."""
    x, g, windows = problem
    y = kernels.max_pool(x, windows)
    close(y, kernels.max_pool(Duck(x), windows))
    close(kernels.max_pool_indices(x, y, windows), kernels.max_pool_indices(Duck(x), Duck(y), windows))
    scattered = kernels.max_pool_scatter(g, x, y, windows)
    close(scattered, kernels.max_pool_scatter(Duck(g), Duck(x), Duck(y), windows))
    close(kernels.max_pool_gather(x, x, y, windows), kernels.max_pool_gather(Duck(x), Duck(x), Duck(y), windows))
    close(kernels.window_mean(x, windows, 2), kernels.window_mean(Duck(x), windows, 2))
    close(kernels.window_spread(g, windows, 2), kernels.window_spread(Duck(g), windows, 2))


@given(problems())
@pytest.mark.filterwarnings("ignore:invalid value")
def test_adjoint_pairs(problem: Any) -> None:
    x, g, windows = problem
    x, g = x.astype(np.float64), g.astype(np.float64)
    y = kernels.max_pool(x, windows)
    v = np.cos(np.arange(x.size)).reshape(x.shape)
    pairs = [
        (kernels.max_pool_gather(v, x, y, windows), kernels.max_pool_scatter(g, x, y, windows)),
        (kernels.window_mean(v, windows, 2), kernels.window_spread(g, windows, 2)),
    ]
    for applied, adjoint in pairs:
        assert np.vdot(applied, g) == pytest.approx(np.vdot(v, adjoint), rel=1e-9, abs=1e-9)


@given(st.integers(1, 6), st.integers(1, 6), st.booleans(), layouts())
def test_resampling_equals_its_twin_and_matrix(n: int, out: int, corners: bool, place: Any) -> None:
    x = place(np.cos(np.arange(2 * n * 3)).reshape(2, n, 3))
    makers = [resize.averages(n, out), resize.nearest(n, out, n / out, corners),
              resize.linear(n, out, n / out, corners), resize.cubic(n, out, n / out, corners)]  # fmt: skip
    for taps in makers:
        matrix = (taps, resize.averages(3, 3))
        expected = np.einsum("oi,bic->boc", taps.matrix, x)
        assert_close(resize.resample(x, matrix), expected, rtol=1e-12, atol=1e-12)
        assert_close(resize.resample(Duck(x), matrix).hidden, expected, rtol=1e-12, atol=1e-12)
        assert np.array_equal(taps.transposed().matrix, taps.matrix.T)


def grad_of(function: Any, values: Any) -> tuple[list, list]:
    x = mg.tensor(values, requires_grad=True)
    y = function(x)
    y.sum().backward()
    return y.tolist(), x.grad.tolist()


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    y, g = grad_of(lambda x: F.max_pool2d(x, 2), [[[1.0, 1.0, 0.0, 2.0], [1.0, 0.0, 2.0, 2.0]]])
    assert y == [[[1.0, 2.0]]]
    assert g == [[[1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]]]


def test_overlapping_windows_add_up() -> None:
    assert grad_of(lambda x: F.max_pool1d(x, 2, 1), [[0.0, 3.0, 1.0]])[1] == [[0.0, 2.0, 0.0]]


def test_nan_is_the_largest() -> None:
    y, g = grad_of(lambda x: F.max_pool1d(x, 3), [[1.0, NAN, 2.0, 0.0, 5.0, 4.0]])
    assert np.isnan(y[0][0])
    assert y[0][1] == 5.0
    assert g == [[0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]


def test_padding_never_wins() -> None:
    x = mg.full((1, 3), -INF)
    assert F.max_pool1d(x, 2, 2, 1, return_indices=True)[1].tolist() == [[0, 1]]
    low = mg.full((1, 2), -128, dtype=mg.int8)
    assert F.max_pool1d(low, 2, 1, 1, return_indices=True)[1].tolist() == [[0, 0, 1]]


def test_an_infinite_gradient_stays_where_it_belongs() -> None:
    x = mg.tensor([[1.0, 2.0, 4.0, 3.0]], requires_grad=True)
    F.max_pool1d(x, 2).backward(mg.tensor([[INF, 1.0]]))
    assert x.grad.tolist() == [[0.0, INF, 1.0, 0.0]]


def test_ceil_mode_keeps_no_window_that_starts_in_the_padding() -> None:
    assert F.max_pool1d(mg.ones(1, 4), 2, 3, 1, ceil_mode=True).shape == (1, 2)
    assert F.max_pool1d(mg.ones(1, 5), 2, 2, ceil_mode=True).shape == (1, 3)


def test_what_an_average_divides_by() -> None:
    x = mg.ones(1, 5)
    assert F.avg_pool1d(x, 3, 3, 1, ceil_mode=True)[0].tolist() == pytest.approx([2 / 3, 1.0])
    assert F.avg_pool1d(x, 3, 2, 1)[0].tolist() == pytest.approx([2 / 3, 1.0, 2 / 3])
    assert F.avg_pool1d(x, 3, 2, 1, count_include_pad=False).tolist() == [[1.0, 1.0, 1.0]]
    assert F.avg_pool1d(mg.ones(1, 4), 3, 2, ceil_mode=True).tolist() == [[1.0, 1.0]]


def test_nothing_leaks_from_infinite_neighbours() -> None:
    """An interpolated element depends on its neighbours only: infinity elsewhere is not NaN here."""
    y = F.interpolate(mg.tensor([[[1.0, 2.0, INF, 3.0, 4.0]]]), size=5, mode="linear")
    assert y.tolist() == [[[1.0, 2.0, INF, 3.0, 4.0]]]
    y = F.interpolate(mg.tensor([[[INF, 0.0, 1.0]]]), size=6, mode="nearest")
    assert y.tolist() == [[[INF, INF, 0.0, 0.0, 1.0, 1.0]]]


def test_pixel_shuffles_are_inverse() -> None:
    x = mg.arange(48.0).reshape(1, 12, 2, 2)
    assert mg.equal(mg.pixel_unshuffle(mg.pixel_shuffle(x, 2), 2), x)
