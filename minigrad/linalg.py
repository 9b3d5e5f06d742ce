"""Linear algebra under the names of ``torch.linalg``: norms, inverses, determinants, products."""

from __future__ import annotations

from math import inf
from typing import Any

from .arguments import normalize_dims
from .ops.elementwise import abs
from .ops.linalg import cholesky, det, inv, matmul, matrix_power, multi_dot, slogdet, solve
from .ops.linalg import cross as _cross
from .ops.reduction import amax, amin, sum, vector_norm
from .ops.shaping import diagonal, squeeze

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "vecdot",
    "vector_norm",
]


def cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The vector perpendicular to each pair of 3-vectors, along ``dim``."""
    return _cross(input, other, dim)


def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Sums of products along ``dim``, with broadcasting."""
    return sum(x * y, dim)


def matrix_norm(
    A: Any, ord: float | str = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of each matrix: ``"fro"``, or 1, -1, inf, -inf (largest or smallest sum of a column or row)."""
    dims = normalize_dims(dim, A.ndim, "matrix_norm")
    if len(dims) != 2:
        raise ValueError(f"matrix_norm: dim must name two dimensions, got {dim!r}")
    if dtype is not None:
        A = A.to(dtype)
    if ord == "fro":
        return vector_norm(A, 2, dims, keepdim)
    if ord not in (1, -1, inf, -inf):
        raise NotImplementedError(
            f"matrix_norm: ord={ord!r} needs singular values; there are 'fro', 1, -1, inf and -inf"
        )
    along, across = dims if ord in (1, -1) else dims[::-1]
    result = (amax if ord > 0 else amin)(sum(abs(A), along, True), across, True)
    return result if keepdim else squeeze(result, dims)


def norm(A: Any, ord: float | str | None = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The 2-norm of all elements, or with ``ord`` or ``dim`` a :func:`vector_norm` or :func:`matrix_norm`."""
    if dim is None and ord is not None and A.ndim not in (1, 2):
        raise ValueError(
            f"norm: with ord={ord!r} and no dim, A must be a vector or a matrix, got shape {tuple(A.shape)}"
        )
    dims = normalize_dims(dim, A.ndim, "norm")
    if ord is not None and len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord={ord!r} is for matrices, dim {dim!r} of shape {tuple(A.shape)} names none")
    return vector_norm(A, 2 if ord is None else ord, dims, keepdim, dtype=dtype)
