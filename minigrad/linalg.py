"""Linear algebra under the names of ``torch.linalg``."""

from __future__ import annotations

from .ops.linalg import cholesky, det, inv, matmul, matrix_norm, norm, solve
from .ops.reduction import vector_norm
from .ops.shaping import diagonal

__all__ = ["cholesky", "det", "diagonal", "inv", "matmul", "matrix_norm", "norm", "solve", "vector_norm"]
