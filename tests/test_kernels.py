"""The fast kernels against their slow, obvious twins, and the threads that they share.

The whole suite runs on the plain kernels with ``python -m pytest --plain-kernels``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad
from minigrad.kernels import (
    activation,
    assembler,
    convolution,
    fused,
    layout,
    normalization,
    patches,
    pooling,
    products,
    threads,
    winograd,
    winograd_code,
)  # fmt: skip
from minigrad.nn import functional as F

Array = np.ndarray
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


@pytest.fixture(autouse=True, params=["machine code", "NumPy"])
def two_threads(request: Any) -> Iterator[None]:
    before = threads.get_num_threads()
    minigrad.set_num_threads(2)
    with layout.use_fast_kernels(), assembler.use_machine_code(request.param == "machine code"):
        yield
    minigrad.set_num_threads(before)


def stored(x: Array, how: str) -> Array:
    """The same array, stored in another way."""
    if how == "batch last":
        order = (*range(2, x.ndim), 1, 0)
        return np.transpose(np.ascontiguousarray(np.transpose(x, order)), np.argsort(order))
    if how == "channels last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if how == "backwards":
        return np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1]
    return np.asfortranarray(x) if how == "Fortran" else x


stores = st.sampled_from(["C", "batch last", "channels last", "backwards", "Fortran"])


def numbers(shape: tuple[int, ...], dtype: Any, seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def close(fast: Array, slow: Array) -> None:
    assert fast.shape == slow.shape
    assert fast.dtype == slow.dtype
    scale = max(1.0, float(np.abs(slow).max(initial=0)))
    assert np.abs(fast - slow).max(initial=0) <= TOLERANCE[fast.dtype] * scale


# ------------------------------------------------------------------------------- convolution


def slow_convolution(x: Array, w: Array, stride: Any, padding: Any, dilation: Any, groups: int,
                     g: Array | None = None) -> Any:  # fmt: skip
    """The convolution by its definition; given the gradient of its output, those of input and weight."""
    padded = np.pad(x, [(0, 0), (0, 0), *((b, max(a, 0)) for b, a in padding)]).astype(np.float64)
    out = convolution.positions(x.shape[2:], w.shape[2:], stride, padding, dilation)
    c, f = w.shape[1], w.shape[0] // groups
    y = np.zeros((x.shape[0], w.shape[0], *out))
    dx, dw = np.zeros_like(padded), np.zeros(w.shape)
    for place in product(*map(range, out)):
        for tap in product(*map(range, w.shape[2:])):
            at = tuple(p * s + t * d for p, s, t, d in zip(place, stride, tap, dilation))
            for group in range(groups):
                cs, fs = slice(group * c, (group + 1) * c), slice(group * f, (group + 1) * f)
                here, there, kernel = (slice(None), cs, *at), (slice(None), fs, *place), (fs, slice(None), *tap)
                y[there] += padded[here] @ w[kernel].T
                if g is not None:
                    dx[here] += g[there] @ w[kernel]
                    dw[kernel] += g[there].T @ padded[here]
    if g is None:
        return y.astype(x.dtype)
    inside = tuple(slice(b, b + n) for (b, _), n in zip(padding, x.shape[2:]))
    return dx[(..., *inside)].astype(x.dtype), dw.astype(x.dtype)


@st.composite
def convolutions(draw: Any) -> tuple[Array, Array, Array, Array, tuple]:
    dims = draw(st.sampled_from([1, 2, 2, 2]))

    def each(strategy: Any) -> Any:
        return tuple(draw(strategy) for _ in range(dims))

    kernel = each(st.integers(1, 4))
    stride, dilation = each(st.integers(1, 3)), each(st.integers(1, 3))
    padding = each(st.tuples(st.integers(0, 2), st.integers(-1, 2)))
    spatial = each(st.integers(1, 7))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    channels, features = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    out = convolution.positions(spatial, kernel, stride, padding, dilation)
    assume(min(out) > 0)
    n, dtype, seed = draw(st.sampled_from([1, 2, 16, 17])), draw(st.sampled_from([np.float32, np.float64])), 0
    x = stored(numbers((n, channels, *spatial), dtype, seed), draw(stores))
    w = stored(numbers((features, channels // groups, *kernel), dtype, seed + 1), draw(stores))
    g = stored(numbers((n, features, *out), dtype, seed + 2), draw(stores))
    return x, w, numbers((features,), dtype, 3), g, (stride, padding, dilation, groups)


def check_convolution(x: Array, w: Array, bias: Array, g: Array, options: tuple) -> None:
    shaped = bias.reshape(-1, *(1 for _ in x.shape[2:]))
    close(convolution.convolution(x, w, bias, *options), slow_convolution(x, w, *options) + shaped)
    dx, dw = slow_convolution(x, w, *options, g)
    close(convolution.convolution_input(g, w, x.shape[2:], *options), dx)
    close(convolution.convolution_weight(g, x, w.shape[2:], *options), dw)


@settings(max_examples=60)
@given(convolutions())
def test_convolution(case: Any) -> None:
    check_convolution(*case)


@settings(max_examples=60)
@given(convolutions(), st.sampled_from([1, 200, 3000]), st.booleans())
def test_convolution_of_few_samples_in_portions(case: Any, nbytes: int, shared: bool) -> None:
    x, w, bias, g, options = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patches, "_SCRATCH", nbytes)
        patch.setattr(threads, "_HANDSHAKE", 0 if shared else threads._HANDSHAKE)
        check_convolution(x[:3], w, bias, g[:3], options)


@settings(max_examples=40)
@given(st.sampled_from([1, 2, 16, 17]), st.tuples(*[st.integers(1, 20)] * 4), stores, stores)
def test_kernel_of_one_pixel(n: int, sizes: tuple[int, ...], how: str, other: str) -> None:
    """A product of matrices, whose images stay in the order in which they come if they are not small."""
    channels, features, *spatial = sizes
    x = stored(numbers((n, channels, *spatial), np.float32, 0), how)
    g = stored(numbers((n, features, *spatial), np.float32, 1), other)
    w, bias = numbers((features, channels, 1, 1), np.float32, 2), numbers((features,), np.float32, 3)
    check_convolution(x, w, bias, g, ((1, 1), ((0, 0), (0, 0)), (1, 1), 1))
    if how == "C" and not layout.is_batch_last(x) and np.prod(spatial) >= convolution._PIXELS:
        assert convolution.convolution(x, w, bias, (1, 1), ((0, 0), (0, 0)), (1, 1), 1).flags.c_contiguous


@pytest.mark.parametrize("n", [16, 19])
@pytest.mark.parametrize("size", [(7, 8, 1, 1), (9, 6, 0, 2), (6, 6, 0, 0), (5, 9, 2, 1), (2, 9, 8, 1), (4, 15, 1, 1)])
@pytest.mark.parametrize("channels", [13, 24])
def test_winograd(n: int, size: tuple[int, ...], channels: int) -> None:
    spatial, before, features = size[:2], size[2:], channels - 1
    x, w = numbers((n, channels, *spatial), np.float32, 0), numbers((features, channels, 3, 3), np.float32, 1)
    padding = tuple((b, b) for b in before)
    options = (1, 1), padding, (1, 1), 1
    out = convolution.positions(spatial, (3, 3), *options[:3])
    assert winograd.pays(w.shape, out, (1, 1), (1, 1), 12)
    check_convolution(x, w, numbers((features,), np.float32, 2), numbers((n, features, *out), np.float32, 3), options)


@pytest.mark.parametrize("transformed", [1, 1 << 20])
@pytest.mark.parametrize("n", [1, 3])
def test_winograd_with_few_images(n: int, transformed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_code, "_TRANSFORMED", transformed)  # numbers at a time
    winograd_code._few.cache_clear()
    x, w = numbers((n, 16, 17, 19), np.float32, 0), numbers((24, 16, 3, 3), np.float32, 1)
    assert winograd_code.handles_few(x, w) == assembler.usable()
    bias, g = numbers((24,), np.float32, 2), numbers((n, 24, 18, 18), np.float32, 3)
    check_convolution(x, w, bias, g, ((1, 1), ((1, 2), (0, 1)), (1, 1), 1))
    winograd_code._few.cache_clear()


@pytest.mark.parametrize("tiles", [1, 100_000, 1 << 22])  # numbers at a time
@pytest.mark.parametrize("size", [(9, 14), (17, 4)])
def test_winograd_with_large_weights(tiles: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_code, "_LARGEST", 1)
    monkeypatch.setattr(winograd_code, "_TILES", tiles)
    x, w = numbers((17, 24, *size), np.float32, 0), numbers((18, 24, 3, 3), np.float32, 1)
    bias, g = numbers((18,), np.float32, 2), numbers((17, 18, *size), np.float32, 3)
    check_convolution(x, w, bias, g, ((1, 1), ((1, 1), (1, 1)), (1, 1), 1))


def test_precision_of_convolutions() -> None:
    x, w = numbers((16, 48, 12, 12), np.float32, 0), numbers((48, 48, 3, 3), np.float32, 1)
    wide = [a.astype(np.float64) for a in (x, w)]
    exact = convolution.generic_convolution(*wide, None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    error = {}
    for precision in ("high", "highest"):
        minigrad.set_float32_conv_precision(precision)
        try:
            assert minigrad.get_float32_conv_precision() == precision
            y = F.conv2d(minigrad.from_numpy(x), minigrad.from_numpy(w), padding=1).numpy()
        finally:
            minigrad.set_float32_conv_precision("high")
        error[precision] = np.abs(y - exact).max() / np.abs(exact).max()
    assert error["highest"] < 1e-6 < error["high"] < 2e-5
    with pytest.raises(ValueError, match="'high' or 'highest', got 'medium'"):
        minigrad.set_float32_conv_precision("medium")


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("steps", "n", "hidden"), [(3, 1, 8), (7, 20, 24), (5, 13, 40), (2, 3, 8), (4, 3, 5)])
def test_lstm_by_machine_code(steps: int, n: int, hidden: int, bidirectional: bool) -> None:
    lstm = minigrad.nn.LSTM(6, hidden, num_layers=2, bidirectional=bidirectional)
    x = minigrad.randn(steps, n, 6).requires_grad_()
    state = [minigrad.randn(4 if bidirectional else 2, n, hidden).requires_grad_() for _ in range(2)]
    results = []
    for wanted in (True, False):
        with assembler.use_machine_code(wanted), layout.use_fast_kernels(wanted):
            y, (h, c) = lstm(x, tuple(state))
            total = (y * y.detach().cos()).sum() + (h * 2).sum() + (c * c).sum()
            results.append([y, h, c, *minigrad.autograd.grad(total, [x, *state, *lstm.parameters()])])
    for fast, slow in zip(*results, strict=True):
        scale = np.abs(slow.detach().numpy()).max()
        np.testing.assert_allclose(fast.detach().numpy(), slow.detach().numpy(), atol=2e-5 * scale)


@pytest.mark.parametrize("shape", [(3000, 64), (300_000, 2), (4, 50_000), (3, 4)])
def test_sum_of_rows(shape: tuple[int, int]) -> None:
    for a in (numbers(shape, np.float32, 0), numbers(shape, np.float64, 0), numbers(shape, np.float32, 1)[:, ::2]):
        total = products.sum_of_rows(a)
        assert total.dtype == a.dtype
        np.testing.assert_allclose(total, a.sum(0, dtype=float), rtol=1e-4, atol=1e-2 if a.itemsize == 4 else 1e-9)


@pytest.mark.parametrize(("m", "k", "n"), [(64, 600, 70), (7, 2000, 100), (61, 400, 64), (128, 64, 200), (3, 70, 5)])
@pytest.mark.parametrize("small_is_quick", [True, False])
def test_products_in_pieces(m: int, k: int, n: int, small_is_quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "small_is_quick", lambda: small_is_quick)
    a, b = numbers((2, m, k), np.float64, 0), numbers((2, k, n), np.float64, 1)
    out = np.empty((2, m, n))
    for multiply in (products.multiply, products.multiply_shared):
        multiply(a, b, out)
        np.testing.assert_allclose(out, np.einsum("bmk,bkn->bmn", a, b), atol=1e-10)
    out[...] = 0
    products.multiply_transposed(a, np.ascontiguousarray(b.swapaxes(1, 2)), out)
    np.testing.assert_allclose(out, np.einsum("bmk,bkn->bmn", a, b), atol=1e-10)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=2), st.tuples(*[st.integers(1, 40)] * 3), st.booleans(),
       st.booleans(), st.booleans())  # fmt: skip
def test_products_of_many_matrices(batch: list[int], sizes: tuple[int, ...], same: bool, turned: bool, more: bool,
                                   ) -> None:  # fmt: skip
    m, k, n = sizes
    a = numbers((m, k) if same else (*batch, m, k), np.float32, 0)
    a = np.broadcast_to(a, (*batch, m, k))
    a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2) if turned else a
    b, column = numbers((*batch, k, n), np.float32, 1), numbers((m, 1), np.float32, 2)
    out = np.full((*batch, m, n), np.nan, np.float32)
    products.multiply_each(a, b, out, column if more else None)
    close(out, (a.astype(float) @ b + (column if more else 0)).astype(np.float32))


# --------------------------------------------------------------- pooling, normalization, activation


def unpadded_windows(data: Any) -> pooling.Windows:
    kernel, stride = (data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(2))
    out = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    rest = data.draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    spatial = tuple((o - 1) * s + k + r for o, s, k, r in zip(out, stride, kernel, rest))
    out = tuple((n - k) // s + 1 for n, k, s in zip(spatial, kernel, stride))
    return pooling.Windows(spatial, kernel, stride, ((0, 0), (0, 0)), (1, 1), out)


def each_window(shape: tuple[int, ...], w: pooling.Windows) -> Iterator[tuple[Any, Any]]:
    """Where a window of an array (N, C, H, W) goes, and where it is."""
    (kh, kw), (down, right) = w.kernel, w.stride
    for i, c, h, v in np.ndindex(*shape[:2], *w.out):
        yield (i, c, h, v), (i, c, slice(h * down, h * down + kh), slice(v * right, v * right + kw))


@settings(max_examples=40)
@given(st.data())
def test_mean_pooling(data: Any) -> None:
    windows = unpadded_windows(data)
    n, dtype = data.draw(st.sampled_from([1, 3, 16])), data.draw(st.sampled_from([np.float32, np.float64]))
    x, g = numbers((n, 2, *windows.spatial), dtype, 0), numbers((n, 2, *windows.out), dtype, 1)
    y, dx = np.empty_like(g), np.zeros_like(x)
    for to, at in each_window(x.shape, windows):
        y[to] = x[at].sum() / 3
        dx[at] += g[to] / 3
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans()):
            patch.setattr(pooling, "_LARGE", 1)
            patch.setattr(fused, "SMALL", 1)
        fast = pooling.window_mean(stored(x, data.draw(stores)), windows, 3)
        spread = pooling.window_spread(stored(g, data.draw(stores)), windows, 3)
    eps = np.finfo(dtype).eps  # up to 9 numbers are added up, in another order
    np.testing.assert_allclose(fast, y, rtol=0, atol=9 * 9 * np.abs(x).max() * eps)
    np.testing.assert_allclose(spread, dx, rtol=0, atol=9 * 9 * np.abs(g).max() * eps)


@pytest.mark.parametrize("how", ["C", "batch last"])
def test_mean_of_a_large_image_in_float16(how: str) -> None:
    windows = pooling.Windows((64, 64), (64, 64), (64, 64), ((0, 0), (0, 0)), (1, 1), (1, 1))
    x = stored(np.ones((2, 3, 64, 64), np.float16), how)  # whose sum, one after the other, would stay at 2048
    np.testing.assert_array_equal(pooling.window_mean(x, windows, 64.0 * 64.0), np.ones((2, 3, 1, 1)))


@settings(max_examples=40)
@given(st.data())
def test_max_pooling(data: Any) -> None:
    windows = unpadded_windows(data)
    n, dtype = data.draw(st.sampled_from([1, 3, 16])), data.draw(st.sampled_from([np.float32, np.float64]))
    x = np.round(numbers((n, 2, *windows.spatial), dtype, 0))  # with many ties
    for value in data.draw(st.sampled_from([(), (np.nan,), (np.inf, -np.inf)])):
        x.flat[data.draw(st.integers(0, x.size - 1))] = value
    g = numbers((n, 2, *windows.out), dtype, 1)
    g.flat[0] = np.inf
    y, dx = np.empty_like(g), np.zeros_like(x)
    for to, at in each_window(x.shape, windows):
        y[to] = np.max(x[at])
        dx[at][np.unravel_index(int(np.argmax(x[at])), x[at].shape)] += g[to]
    how = data.draw(stores)
    with pytest.MonkeyPatch.context() as patch:
        if data.draw(st.booleans()):
            patch.setattr(pooling, "_LARGE", 1)
            patch.setattr(fused, "SMALL", 1)
        fast = pooling.max_pool(stored(x, how), windows)
        scattered = pooling.max_pool_scatter(stored(g, data.draw(stores)), stored(x, how), stored(y, how), windows)
    np.testing.assert_array_equal(fast, y)
    # Up to 9 gradients are added up, in another order: in each of 8 additions, half a unit of their sum may be lost.
    lost = 2 * 8 * 9 * np.abs(g[np.isfinite(g)]).max(initial=0) * np.finfo(dtype).eps / 2
    np.testing.assert_allclose(scattered, dx, rtol=0, atol=lost)


@settings(max_examples=25)
@given(n=st.sampled_from([1, 2, 16]), c=st.integers(1, 4), spatial=st.lists(st.integers(1, 4), min_size=1, max_size=3),
       how=stores, other=stores, affine=st.booleans(), dtype=st.sampled_from([np.float32, np.float64]))  # fmt: skip
def test_batch_normalization(n: int, c: int, spatial: Any, how: str, other: str, affine: bool, dtype: Any) -> None:
    assume(n * np.prod(spatial) > 1)
    data = numbers((n, c, *spatial), dtype, 0) * 2 + 3
    x = minigrad.from_numpy(stored(data, how)).requires_grad_()
    weight, bias = (minigrad.from_numpy(numbers((c,), dtype, i)).requires_grad_() if affine else None for i in (1, 2))
    g = numbers(data.shape, dtype, 3)
    results = []
    for fast in (True, False):
        with layout.use_fast_kernels(fast):
            running = minigrad.zeros(c, dtype=x.dtype), minigrad.ones(c, dtype=x.dtype)
            trained = F.batch_norm(x, *running, weight, bias, training=True)
            fixed = F.batch_norm(x, *running, weight, bias)
            inputs = [x, weight, bias] if affine else [x]
            cotangent = minigrad.from_numpy(stored(g, other))
            results.append([trained, fixed, *running, *minigrad.autograd.grad(trained, inputs, cotangent)])
    for a, b in zip(*results):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), atol=3e-4 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("shape", [(64, 128, 128), (2, 3, 64, 64, 64)])
def test_large_pooling_shares_channels_of_batches_alone(shape: tuple[int, ...]) -> None:
    x = numbers(shape, np.float32, 0)
    pool = F.max_pool2d if len(shape) == 3 else F.max_pool3d
    fast = pool(minigrad.from_numpy(x), 2)
    with layout.use_fast_kernels(False):
        np.testing.assert_array_equal(fast.numpy(), pool(minigrad.from_numpy(x), 2).numpy())


@pytest.mark.parametrize("mean", [1, 10, 30, 100])
def test_moments_of_long_runs(mean: float) -> None:
    x = numbers((2, 2, 512, 256), np.float32, 0) + np.float32(mean)
    _, variance = normalization.moments(x)
    np.testing.assert_allclose(variance, x.var((0, 2, 3), dtype=np.float64), rtol=1e-5)


def test_gradient_of_a_bias() -> None:
    for n in (2, 16):
        x, w, b = minigrad.randn(n, 3, 6, 6), minigrad.randn(4, 3, 3, 3), minigrad.randn(4).requires_grad_()
        g = minigrad.randn(n, 4, 4, 4)
        F.conv2d(x, w, b).backward(g)
        np.testing.assert_allclose(b.grad.numpy(), g.numpy().sum((0, 2, 3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["C", "batch last"])
def test_normalizations_by_sample_are_none_by_channel(how: str) -> None:
    x = minigrad.from_numpy(stored(numbers((16, 4, 3, 3), np.float64, 0), how)).requires_grad_()
    g = minigrad.from_numpy(numbers(x.shape, np.float64, 1))
    for normalize in (lambda: F.layer_norm(x, (4, 3, 3)), lambda: F.group_norm(x, 2), lambda: F.instance_norm(x)):
        fast = normalize()
        (gradient,) = minigrad.autograd.grad(fast, x, g)
        with layout.use_fast_kernels(False):
            slow = normalize()
            np.testing.assert_allclose(fast.detach(), slow.detach(), atol=1e-12)
            np.testing.assert_allclose(gradient, minigrad.autograd.grad(slow, x, g)[0], atol=1e-12)


def test_moments_of_a_large_mean() -> None:
    x = stored(numbers((32, 2, 8, 8), np.float32, 0) + np.float32(3000), "batch last")
    mean, variance = normalization.moments(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(variance, exact.var((0, 2, 3)), rtol=1e-3)


@given(how=stores, other=stores, size=st.sampled_from([(2, 3, 4, 4), (17, 3, 16, 16), (17, 3, 32, 32)]))
def test_rectifier(how: str, other: str, size: tuple[int, ...]) -> None:
    x, g = numbers(size, np.float32, 0), numbers(size, np.float32, 1)
    x[0, 0, 0, :4] = np.nan, np.inf, -np.inf, 0
    g[1, 1, :, 0] = np.inf
    g[1, 1, :, 1] = np.nan
    y = activation.relu(stored(x, how))
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(activation.gate(stored(g, other), y), np.where(y == 0, 0, g))


# ------------------------------------------------------------------------------------- layout


@given(shape=st.lists(st.integers(1, 5), min_size=3, max_size=5), how=stores)
def test_layout_changes_no_value(shape: list[int], how: str) -> None:
    x = numbers(tuple(shape), np.float32, 0)
    turned = layout.batch_last(stored(x, how))
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(np.transpose(turned, (-1, -2, *range(len(shape) - 2))), x)
    np.testing.assert_array_equal(minigrad.from_numpy(stored(x, how)).flatten(1).numpy(), x.reshape(shape[0], -1))


def test_convolutions_can_be_seen_as_other_shapes() -> None:
    x, w = minigrad.randn(16, 2, 6, 6), minigrad.randn(3, 2, 3, 3, requires_grad=True)
    y = F.conv2d(x, w)
    values = y.detach().numpy().copy()
    for shape in ((16, -1), (-1,), (4, 4, 3, 16)):
        y = F.conv2d(x, w)
        seen = y.view(*shape)
        np.testing.assert_array_equal(seen.detach().numpy(), values.reshape(shape))
        seen.mul_(2)  # shares memory and history, as a view must
        np.testing.assert_array_equal(y.detach().numpy(), 2 * values)
        (gradient,) = minigrad.autograd.grad(y.sum(), [w])
        np.testing.assert_allclose(gradient.numpy(), 2 * minigrad.autograd.grad(F.conv2d(x, w).sum(), [w])[0].numpy())


# ------------------------------------------------------------------------------------- threads


def test_shares_cover_the_range_in_order() -> None:
    minigrad.set_num_threads(3)
    assert threads.parallel(lambda start, stop: (start, stop), 7) == [(0, 2), (2, 4), (4, 7)]
    assert threads.parallel(lambda start, stop: (start, stop), 2) == [(0, 1), (1, 2)]
    assert threads.parallel(lambda start, stop: (start, stop), 0) == [(0, 0)]


def test_shares_of_shares_are_computed_at_once() -> None:
    inner = threads.parallel(lambda *outer: threads.parallel(lambda *share: (outer, share), 2), 2)
    assert inner == [[((i, i + 1), (0, 1)), ((i, i + 1), (1, 2))] for i in (0, 1)]


def test_errors_and_numpys_error_state_pass_between_threads() -> None:
    def fail(start: int, stop: int) -> None:
        if start:
            raise ValueError("in a thread")

    with pytest.raises(ValueError, match="in a thread"):
        threads.parallel(fail, 2)
    with np.errstate(divide="ignore"):
        assert np.all(np.isinf(threads.parallel(lambda start, stop: np.float32(1) / np.zeros(1, np.float32), 2)))


def test_shares_are_computed_if_there_are_fewer_threads_than_were_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    minigrad.set_num_threads(1)
    monkeypatch.setattr(threads, "get_num_threads", lambda: 3)  # as if another thread had set it just now
    assert threads.parallel(lambda start, stop: (start, stop), 7) == [(0, 2), (2, 4), (4, 7)]


def test_threads_end_when_a_computation_fails() -> None:
    found: list[threading.Thread] = []

    def fail(start: int, stop: int) -> None:
        found.append(threading.current_thread())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        threads.parallel(fail, 2)
    others = [thread for thread in found if thread is not threading.current_thread()]
    for thread in others:
        thread.join(10)
    assert [thread.is_alive() for thread in others] == [False]
    assert threads.parallel(lambda start, stop: start, 2) == [0, 1]


def test_a_share_may_be_the_first_to_need_what_the_process_shares() -> None:
    threads.release()
    with threads._turn:
        threads.prepare()
    assert threads._ready


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux tells which cores a thread may use")
def test_threads_keep_off_the_core_of_the_caller() -> None:
    allowed = os.sched_getaffinity(0)
    minigrad.set_num_threads(2)

    def where(start: int, stop: int) -> set[int]:
        return os.sched_getaffinity(0)

    caller, other = threads.parallel(where, 2)
    assert caller == allowed
    assert other < allowed if len(allowed) > 1 and platform.libc_ver()[0] == "glibc" else other == allowed


def test_several_threads_may_compute() -> None:
    x, w = numbers((16, 4, 12, 12), np.float32, 0), numbers((4, 4, 3, 3), np.float32, 1)
    options = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    expected = convolution.convolution(x, w, None, *options)
    found: list[Array] = []
    workers = [
        threading.Thread(target=lambda: found.extend(convolution.convolution(x, w, None, *options) for _ in range(5)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 20
    assert all(np.array_equal(y, expected) for y in found)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_are_the_same_from_run_to_run(count: int) -> None:
    minigrad.set_num_threads(count)
    runs = []
    for _ in range(3):
        minigrad.manual_seed(0)
        x, w = minigrad.randn(20, 16, 10, 10), minigrad.randn(16, 16, 3, 3, requires_grad=True)
        y = F.max_pool2d(F.relu(F.batch_norm(F.conv2d(x, w), None, None, training=True)), 2)
        runs.append(minigrad.autograd.grad(y.square().sum(), [w])[0].numpy())
    assert all(np.array_equal(run, runs[0]) for run in runs)


def test_number_of_threads() -> None:
    minigrad.set_num_threads(3)
    assert minigrad.get_num_threads() == 3
    with pytest.raises(ValueError, match="at least 1, got 0"):
        minigrad.set_num_threads(0)
    with pytest.raises(TypeError, match="expected an int, got float"):
        minigrad.set_num_threads(2.0)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_makes_threads_of_its_own() -> None:
    assert threads.parallel(lambda start, stop: start, 2) == [0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking a process of several threads
        child = os.fork()
    if not child:
        os._exit(threads.parallel(lambda start, stop: start, 2) != [0, 1])
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not threads._blas(), reason="NumPy computes without OpenBLAS")
def test_what_the_process_shares_is_set_by_computing_and_undone() -> None:
    program = """
import numpy, minigrad
from minigrad.kernels import threads
counts = lambda: [function("openblas_get_num_threads")() for function in threads._blas()]
before = counts()
minigrad.ones(3).mul(2)
assert counts() == before and not threads._ready
minigrad.nn.functional.conv2d(minigrad.randn(32, 8, 32, 32), minigrad.randn(8, 8, 3, 3))
assert set(counts()) == {1} and threads._ready
threads.release()
assert counts() == before and not threads._ready
threads.keep_memory(False)
minigrad.nn.functional.conv2d(minigrad.randn(32, 8, 32, 32), minigrad.randn(8, 8, 3, 3))
assert set(counts()) == {1} and len(threads._undo) == len(before)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_views_of_what_is_contiguous_stay_views() -> None:
    for shape in ((1, 1, 3, 3), (1, 4, 1, 1), (16, 1, 1, 1)):  # stored batch last, and in row-major order as well
        x = minigrad.randn(*shape)
        memory = x.detach()
        x.view(-1).zero_()
        assert not memory.numpy().any()
