"""NumPy's functions on Tensors give what they give on arrays, and record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import numpy_protocol
from minigrad.autograd import gradcheck, gradgradcheck

rng = np.random.default_rng(0)
A, B = rng.uniform(0.1, 0.9, (2, 3, 4)), rng.uniform(0.1, 0.9, (2, 3, 4))
M = rng.uniform(-1, 1, (3, 3)) + 3 * np.eye(3)
S = M @ M.T
ORDER = np.argsort(A, axis=1)

# NumPy function -> calls of it on A or another array that stands first
CALLS: dict[Callable, list[Callable]] = {
    np.zeros_like: [np.zeros_like, lambda a: np.zeros_like(a, shape=(2, 2))],
    np.ones_like: [np.ones_like, lambda a: np.ones_like(a, dtype="int64")],
    np.empty_like: [lambda a: np.empty_like(a) * 0],
    np.full_like: [lambda a: np.full_like(a, 3.0), lambda a: np.full_like(a, 2, shape=(3,))],
    np.shape: [np.shape],
    np.ndim: [np.ndim],
    np.size: [np.size],
    np.shares_memory: [lambda a: np.shares_memory(a, a[0])],
    np.may_share_memory: [lambda a: np.may_share_memory(a, B)],
    np.result_type: [lambda a: np.result_type(a, B) == np.float64],
    np.where: [lambda a: np.where(B > 0.5, a, 0), lambda a: np.where(a > 0.5, B, a), lambda a: np.where(a > 0.5)[0]],
    np.clip: [lambda a: np.clip(a, 0.3, 0.6), lambda a: np.clip(a, None, 0.6), lambda a: np.clip(a, min=0.3, max=0.5)],
    np.round: [lambda a: np.round(a, 1)],
    np.nan_to_num: [lambda a: np.nan_to_num(a, nan=1.0)],
    np.sinc: [np.sinc],
    np.copy: [np.copy],
    np.reshape: [lambda a: np.reshape(a, (6, -1)), lambda a: np.reshape(a, -1)],
    np.ravel: [np.ravel],
    np.transpose: [np.transpose, lambda a: np.transpose(a, (1, 0, 2)), lambda a: np.transpose(a, axes=[2, 0, 1])],
    np.swapaxes: [lambda a: np.swapaxes(a, 0, -1)],
    np.moveaxis: [lambda a: np.moveaxis(a, 0, -1), lambda a: np.moveaxis(a, [0, 1], [1, 2])],
    np.expand_dims: [lambda a: np.expand_dims(a, 1), lambda a: np.expand_dims(a, (0, -1))],
    np.squeeze: [lambda a: np.squeeze(a[:1]), lambda a: np.squeeze(a[:, :1], axis=1)],
    np.broadcast_to: [lambda a: np.broadcast_to(a, (2, 2, 3, 4))],
    np.broadcast_arrays: [lambda a: np.broadcast_arrays(a, B[0])[1], lambda a: np.broadcast_arrays(a[0], B)[0]],
    np.concatenate: [lambda a: np.concatenate([a, B], axis=1), lambda a: np.concatenate((a, B), axis=None)],
    np.stack: [lambda a: np.stack([a, B], axis=-1)],
    np.hstack: [lambda a: np.hstack([a, B])],
    np.vstack: [lambda a: np.vstack([a, B])],
    np.atleast_1d: [lambda a: np.atleast_1d(a[0, 0, 0])],
    np.atleast_2d: [lambda a: np.atleast_2d(a[0, 0])],
    np.tile: [lambda a: np.tile(a, (2, 1))],
    np.repeat: [lambda a: np.repeat(a, 2, axis=1), lambda a: np.repeat(a, 2)],
    np.flip: [np.flip, lambda a: np.flip(a, axis=1), lambda a: np.flip(a, (0, 2))],
    np.roll: [lambda a: np.roll(a, 2), lambda a: np.roll(a, (1, -1), axis=(0, 2))],
    np.pad: [
        lambda a: np.pad(a, 1),
        lambda a: np.pad(a, ((0, 0), (1, 2), (0, 1)), constant_values=3.0),
        lambda a: np.pad(a, ((0, 0), (1, 1), (2, 1)), mode="reflect"),
        lambda a: np.pad(a, 1, "edge"),
    ],
    np.tril: [np.tril, lambda a: np.tril(a, -1)],
    np.triu: [np.triu, lambda a: np.triu(a, k=1)],
    np.diag: [lambda a: np.diag(a[0]), lambda a: np.diag(a[0, 0], 1)],
    np.diagonal: [np.diagonal, lambda a: np.diagonal(a, 1, axis1=1, axis2=2)],
    np.trace: [np.trace, lambda a: np.trace(a, offset=1, axis1=1, axis2=2)],
    np.sum: [np.sum, lambda a: np.sum(a, axis=(0, -1)), lambda a: np.sum(a, axis=1, keepdims=True)],
    np.mean: [np.mean, lambda a: np.mean(a, 1)],
    np.prod: [np.prod, lambda a: np.prod(a, axis=1)],
    np.var: [np.var, lambda a: np.var(a, axis=1, ddof=1, keepdims=True)],
    np.std: [np.std, lambda a: np.std(a, axis=(0, 1))],
    np.max: [np.max, lambda a: np.max(a, axis=1), lambda a: np.max(a, (0, 2), keepdims=True)],
    np.min: [np.min, lambda a: np.min(a, axis=1)],
    np.amax: [np.amax],
    np.amin: [np.amin],
    np.argmax: [np.argmax, lambda a: np.argmax(a, axis=1)],
    np.argmin: [np.argmin, lambda a: np.argmin(a, axis=1, keepdims=True)],
    np.any: [lambda a: np.any(a > 0.5, axis=0), lambda a: np.any(a)],
    np.all: [lambda a: np.all(a > 0.5, axis=0), lambda a: np.all(a)],
    np.count_nonzero: [lambda a: np.count_nonzero(a > 0.5), lambda a: np.count_nonzero(a > 0.5, axis=0)],
    np.cumsum: [np.cumsum, lambda a: np.cumsum(a, axis=1)],
    np.cumprod: [np.cumprod, lambda a: np.cumprod(a, axis=-1)],
    np.take: [lambda a: np.take(a, [0, 5]), lambda a: np.take(a, [[0, 1], [2, 2]], axis=1)],
    np.take_along_axis: [lambda a: np.take_along_axis(a, ORDER, axis=1)],
    np.nonzero: [lambda a: np.nonzero(a > 0.5)[2]],
    np.argwhere: [lambda a: np.argwhere(a > 0.5)],
    np.sort: [np.sort, lambda a: np.sort(a, axis=0), lambda a: np.sort(a, axis=None)],
    np.argsort: [np.argsort, lambda a: np.argsort(a, axis=0)],
    np.searchsorted: [lambda a: np.searchsorted(np.sort(a[0, 0]), B[0, 0], side="right")],
    np.dot: [lambda a: np.dot(a, B[0, 0]), lambda a: np.dot(a[0, 0], B[0, 1]), lambda a: np.dot(2.0, a)],
    np.vdot: [lambda a: np.vdot(a, B)],
    np.inner: [lambda a: np.inner(a, B[0])],
    np.outer: [lambda a: np.outer(a, B[0])],
    np.tensordot: [lambda a: np.tensordot(a, B, axes=([0, 2], [0, 2])), lambda a: np.tensordot(a, B[0].T, 1)],
    np.einsum: [lambda a: np.einsum("ijk,ilk->jl", a, B)],
    np.linalg.norm: [
        np.linalg.norm,
        lambda a: np.linalg.norm(a, axis=1, keepdims=True),
        lambda a: np.linalg.norm(a, 1, axis=0),
        lambda a: np.linalg.norm(a, "fro", axis=(0, 1)),
    ],
    np.linalg.inv: [lambda a: np.linalg.inv(M + a[0, 0, 0])],
    np.linalg.det: [lambda a: np.linalg.det(M + a[0, 0, 0])],
    np.linalg.solve: [lambda a: np.linalg.solve(M, a)],
    np.linalg.cholesky: [lambda a: np.linalg.cholesky(S + np.eye(3) * a[0, 0, 0])],
    np.isclose: [lambda a: np.isclose(a, B, rtol=0.5)],
    np.allclose: [lambda a: np.allclose(a, a), lambda a: np.allclose(a, B)],
    np.array_equal: [lambda a: np.array_equal(a, a), lambda a: np.array_equal(a, B)],
}


def test_each_function_has_a_call() -> None:
    assert set(numpy_protocol.FUNCTIONS) == set(CALLS)


def value(result: Any) -> Any:
    return result._array if isinstance(result, mg.Tensor) else result


@pytest.mark.parametrize(
    "call", [pytest.param(c, id=f"{f.__name__}-{k}") for f, calls in CALLS.items() for k, c in enumerate(calls)]
)
def test_function(call: Callable) -> None:
    expected = call(A)
    x = mg.tensor(A, requires_grad=True)
    result = call(x)
    assert np.shape(value(result)) == np.shape(expected)
    np.testing.assert_allclose(value(result), expected, rtol=1e-12)
    np.testing.assert_allclose(value(call(mg.nn.Parameter(x))), expected, rtol=1e-12)
    if isinstance(result, mg.Tensor):
        assert result.dtype.kind == np.asarray(expected).dtype.kind
        if result.requires_grad:
            assert gradcheck(call, [x], fast_mode=True)
            assert gradgradcheck(call, [x], fast_mode=True)


@pytest.mark.parametrize("ufunc", numpy_protocol.UFUNCS, ids=lambda f: f.__name__)
def test_ufunc(ufunc: np.ufunc) -> None:
    integer = not any("d" in signature for signature in ufunc.types)
    cast = (lambda a: (10 * a).astype("int64")) if integer else (lambda a: a)
    a, b = cast(A if ufunc is not np.arccosh else A + 1), cast(B)
    if ufunc is np.matmul:
        b = np.swapaxes(b, 1, 2)
    if ufunc is np.ldexp:
        b = (10 * b).astype("int64")
    arrays = [a, b][: ufunc.nin]
    expected = ufunc(*arrays)
    for which in range(ufunc.nin):
        mixed = [mg.tensor(array) if k == which else array for k, array in enumerate(arrays)]
        result = ufunc(*mixed)
        assert isinstance(result, mg.Tensor)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12)
    if expected.dtype.kind == "f" and ufunc is not np.heaviside:
        assert ufunc(mg.tensor(a, requires_grad=True), *arrays[1:]).requires_grad


@pytest.mark.parametrize("ufunc", numpy_protocol.REDUCTIONS, ids=lambda f: f.__name__)
def test_reduce(ufunc: np.ufunc) -> None:
    x = mg.tensor(A)
    for options in ({}, {"axis": 1}, {"axis": -1, "keepdims": True}):
        np.testing.assert_allclose(ufunc.reduce(x, **options).numpy(), ufunc.reduce(A, **options))


def test_operators_with_arrays_give_tensors() -> None:
    x, a = mg.tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0], "float32")
    for result in (a + x, x + a, a - x, a * x, a / x, a**x, a @ x, a % x, np.float32(2) * x, np.float64(2) * x):
        assert isinstance(result, mg.Tensor)
        assert result.requires_grad
        assert result.dtype == mg.float32
    for result in (a < x, a == x, x == a, a >= x):
        assert isinstance(result, mg.Tensor)
        assert result.dtype == mg.bool
    a *= 2
    assert (a * x).sum().item() == 22


def test_the_result_is_the_operations_own() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert np.exp(x).grad_fn.name == "exp"
    y = np.sum(np.sin(x) * np.array([1.0, 2.0], "float32"))
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos([1, 2]) * [1, 2], rtol=1e-6)


def test_array_conversions() -> None:
    x = mg.tensor([[1, 2], [3, 4]])
    assert isinstance(np.asarray(x), np.ndarray)
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, dtype="float32").dtype == np.float32
    assert np.array([x, x]).shape == (2, 2, 2)
    np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
