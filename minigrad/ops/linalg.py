"""Products of vectors and matrices, sums of products, and the functions of square matrices."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from ..engine import primitive, sum_to
from ..memory import Array


def _same_dtype(name: str, *arrays: Array) -> None:
    if len(found := {a.dtype for a in arrays}) > 1:
        kinds = " and ".join(sorted(map(str, found)))
        raise TypeError(f"{name}: all operands must have one dtype, got {kinds}; convert with .to(dtype)")


def _rows(a: Array) -> Array:
    """All leading dimensions made one: a matrix."""
    return a if a.ndim == 2 else np.reshape(a, (prod(a.shape[:-1]), a.shape[-1]))


def _times(a: Array, matrix: Array) -> Array:
    """``a @ matrix``, as a single product however many leading dimensions ``a`` has."""
    if a.ndim <= 2:
        return np.matmul(a, matrix)
    return np.reshape(np.matmul(_rows(a), matrix), (*a.shape[:-1], matrix.shape[-1]))


# ------------------------------------------------------------------------------ matrix products


def _linear_weight(g: Array, input: Array) -> Array:
    return _rows(g).T @ _rows(input)


def _linear_bias(g: Array) -> Array:
    return g.sum(0) if g.ndim == 2 else g if g.ndim == 1 else np.sum(_rows(g), axis=0)


@primitive(input=lambda g, weight: _times(g, weight), weight=_linear_weight, bias=_linear_bias)
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """``input @ weight.T + bias``: input (..., in), weight (out, in), bias (out,), result (..., out)."""
    if weight.ndim != 2 or not input.ndim or input.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"linear: input of shape {input.shape} does not fit weight of shape {weight.shape}; "
            "expected (..., in_features) and (out_features, in_features)"
        )
    if input.dtype is not weight.dtype or (bias is not None and bias.dtype is not weight.dtype):
        _same_dtype("linear", *(a for a in (input, weight, bias) if a is not None))
    y = np.matmul(input, weight.T) if input.ndim == 2 else _times(input, weight.T)
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"linear: bias has shape {bias.shape}, weight {weight.shape} expects {weight.shape[:1]}")
        y += bias
    return y


def _matmul_input(g: Array, other: Array, input_shape: tuple[int, ...]) -> Array:
    if other.ndim == 1:
        return np.expand_dims(g, -1) * other
    if len(input_shape) == 1:
        return sum_to(np.squeeze(np.matmul(other, np.expand_dims(g, -1)), -1), input_shape)
    if other.ndim == 2:
        return _times(g, np.swapaxes(other, 0, 1))
    return sum_to(np.matmul(g, np.swapaxes(other, -1, -2)), input_shape)


def _matmul_other(g: Array, input: Array, other_shape: tuple[int, ...]) -> Array:
    if input.ndim == 1:
        return input * g if len(other_shape) == 1 else np.expand_dims(input, -1) * np.expand_dims(g, -2)
    if len(other_shape) == 1:
        return np.matmul(np.swapaxes(_rows(input), 0, 1), np.reshape(g, (prod(g.shape),)))
    if len(other_shape) == 2:
        return np.matmul(np.swapaxes(_rows(input), 0, 1), _rows(g))
    return sum_to(np.matmul(np.swapaxes(input, -1, -2), g), other_shape)


@primitive(input=_matmul_input, other=_matmul_other)
def matmul(input: Array, other: Array) -> Array:
    """Product of matrices in the last two dimensions; the dimensions before them broadcast.

    A 1-d operand is a row on the left and a column on the right, and its dimension disappears.
    """
    if not (input.ndim and other.ndim):
        raise ValueError(f"matmul: both operands need at least 1 dimension, got shapes {input.shape} and {other.shape}")
    if input.dtype is not other.dtype:
        _same_dtype("matmul", input, other)
    if input.shape[-1] != other.shape[0 if other.ndim == 1 else -2]:
        raise ValueError(f"matmul: shapes {input.shape} and {other.shape} do not fit: {input.shape[-1]} columns "
                         f"on the left, {other.shape[0 if other.ndim == 1 else -2]} rows on the right")  # fmt: skip
    if other.ndim == 2 and input.ndim > 2:
        return _times(input, other)
    try:
        return np.matmul(input, other)
    except ValueError:
        raise ValueError(
            f"matmul: shapes {input.shape} and {other.shape} do not fit: the batch dimensions "
            f"{input.shape[:-2]} and {other.shape[:-2]} do not broadcast"
        ) from None


def _expect(name: str, **operands: tuple[Any, int]) -> None:
    """Raise unless each operand is a tensor with its number of dimensions."""
    for argument, (value, ndim) in operands.items():
        if not hasattr(value, "ndim"):
            raise TypeError(f"{name}: {argument} must be a Tensor, got {type(value).__name__}")
        if value.ndim != ndim:
            raise ValueError(f"{name}: {argument} must have {ndim} dimensions, got shape {tuple(value.shape)}")


def mm(input: Any, mat2: Any) -> Any:
    """Product of two matrices: (n, m) and (m, p) give (n, p)."""
    _expect("mm", input=(input, 2), mat2=(mat2, 2))
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of pairs of matrices: (b, n, m) and (b, m, p) give (b, n, p)."""
    _expect("bmm", input=(input, 3), mat2=(mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: the batches of {input.shape} and {mat2.shape} differ; matmul broadcasts")
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """Product of a matrix (n, m) and a vector (m,)."""
    _expect("mv", input=(input, 2), vec=(vec, 1))
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """Sum of products of two vectors of the same length."""
    _expect("dot", input=(input, 1), tensor=(tensor, 1))
    return matmul(input, tensor)


def vdot(input: Any, other: Any) -> Any:
    """:func:`dot`; all tensors are real here."""
    _expect("vdot", input=(input, 1), other=(other, 1))
    return matmul(input, other)
