"""The convolution kernels against their slow twins, and against each other as adjoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.kernels import convolution as kernels
from minigrad.testing import assert_close, floats
from nn import functional as F

from .layouts import layouts


@st.composite
def problems(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Input, weight, a gradient of the output, and options, in any layout and floating dtype."""
    n = draw(st.integers(1, 3))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(n))
    kernel, stride, dilation, groups = each(1, 3), each(1, 3), each(1, 2), draw(st.integers(1, 3))
    padding = tuple(zip(each(0, 2), each(-1, 2), strict=True))
    sizes = [
        max(1, d * (k - 1) + 1 - sum(p), -p[1] + 1) + draw(st.integers(0, 3))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    ]
    dtype = draw(st.sampled_from([np.float64, np.float64, np.float32]))
    place = draw(layouts())
    x = place(draw(floats((draw(st.integers(0, 3)), groups * draw(st.integers(1, 2)), *sizes))).astype(dtype))
    w = place(draw(floats((groups * draw(st.integers(1, 2)), x.shape[1] // groups, *kernel))).astype(dtype))
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    out = kernels.positions(sizes, kernel, **options)
    g = place(draw(floats((len(x), len(w), *out))).astype(dtype))
    return x, w, g, {**options, "groups": groups}


def close(actual: np.ndarray, expected: np.ndarray) -> None:
    tolerance = 1e-4 if expected.dtype == np.float32 else 1e-10
    assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@given(problems())
def test_kernels_equal_their_twins(problem: Any) -> None:
    x, w, g, options = problem
    bias = np.arange(len(w), dtype=w.dtype)
    close(kernels.convolution(x, w, bias, **options), kernels.generic_convolution(x, w, bias, **options))
    spatial, kernel = x.shape[2:], w.shape[2:]
    close(
        kernels.convolution_input(g, w, spatial, **options), kernels.generic_convolution_input(g, w, spatial, **options)
    )
    close(
        kernels.convolution_weight(g, x, kernel, **options), kernels.generic_convolution_weight(g, x, kernel, **options)
    )


@given(problems())
def test_the_three_are_adjoints(problem: Any) -> None:
    """``<conv(x, w), g> == <x, input(g, w)> == <w, weight(g, x)>``."""
    x, w, g, options = problem
    expected = np.vdot(kernels.convolution(x, w, None, **options), g)
    tolerance = {"rel": 1e-3, "abs": 1e-3} if x.dtype == np.float32 else {"rel": 1e-9, "abs": 1e-9}
    assert np.vdot(x, kernels.convolution_input(g, w, x.shape[2:], **options)) == pytest.approx(expected, **tolerance)
    assert np.vdot(w, kernels.convolution_weight(g, x, w.shape[2:], **options)) == pytest.approx(expected, **tolerance)


def test_samples_are_processed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches larger than the scratch memory, with a smaller part at the end, give the same."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((5, 2, 4, 4)), rng.standard_normal((3, 2, 3, 3))
    options: dict[str, Any] = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    g = rng.standard_normal((5, 3, 4, 4))

    def results() -> list[np.ndarray]:
        return [kernels.convolution(x, w, None, **options), kernels.convolution_input(g, w, (4, 4), **options),
                kernels.convolution_weight(g, x, (3, 3), **options)]  # fmt: skip

    whole = results()
    monkeypatch.setattr(kernels.patches, "_SCRATCH", 2 * (2 * 9 * 16) * 8)
    for part, expected in zip(results(), whole, strict=True):
        assert_close(part, expected, rtol=1e-12, atol=1e-12)


def test_same_padding_puts_the_odd_one_behind() -> None:
    y = F.conv1d(mg.tensor([[1.0, 2.0, 4.0]]), mg.tensor([[[1.0, 10.0]]]), padding="same")
    assert y.tolist() == [[21.0, 42.0, 4.0]]


def test_the_first_layer_computes_no_gradient_of_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "convolution_input", None)
    weight = mg.ones(1, 1, 2, 2, requires_grad=True)
    F.conv2d(mg.ones(1, 1, 3, 3), weight).sum().backward()
    assert weight.grad.tolist() == [[[[4.0, 4.0], [4.0, 4.0]]]]


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [1, 2])
def test_conv_transpose_recovers_the_shape(kernel: int, dilation: int) -> None:
    """Any size that a strided convolution maps to the same one is reached with output_padding."""
    w = mg.ones(2, 3, kernel, kernel)
    for size in range(3, 7):
        y = F.conv2d(mg.ones(1, 3, size, size), w, stride=2, dilation=dilation)
        extra = (size - dilation * (kernel - 1) - 1) % 2
        assert F.conv_transpose2d(y, w, stride=2, dilation=dilation, output_padding=extra).shape == (1, 3, size, size)


def test_fold_counts_overlaps() -> None:
    columns = F.unfold(mg.ones(1, 1, 3, 3), 2)
    assert F.fold(columns, (3, 3), 2).tolist() == [[[[1, 2, 1], [2, 4, 2], [1, 2, 1]]]]
