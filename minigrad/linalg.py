"""Linear algebra under the names of ``torch.linalg``."""

from __future__ import annotations

from typing import Any

from .ops.linalg import cholesky, det, inv, matmul, matrix_norm, norm, solve
from .ops.reduction import vector_norm
from .ops.shaping import diagonal as _diagonal

__all__ = ["cholesky", "det", "diagonal", "inv", "matmul", "matrix_norm", "norm", "solve", "vector_norm"]


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """:func:`minigrad.diagonal` of each matrix in (..., m, n): (..., length)."""
    return _diagonal(A, offset, dim1, dim2)
