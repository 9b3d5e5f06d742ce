"""Many small matrix products, cut to the sizes at which they are quick.

OpenBLAS copies the operands of a large product into an order of its own first, and multiplies small ones as
they are. A kernel here makes thousands of products that are just too large: in pieces they take up to
a third less time. For ``a @ b.T`` it is up to two thirds. With another BLAS the pieces do no harm.
"""

from __future__ import annotations

import numpy as np

from ..memory import Array

_MULTIPLICATIONS = 1_000_000  # in a @ b: the limit
_RESULTS = 1152  # in a @ b.T


def _pieces(n: int, most: int) -> int:
    """Into how many equal pieces of at most ``most`` to cut ``n``; 1 if there is no good number."""
    most = max(most, 4)
    for count in range(-(-n // most), n // 4 + 1):
        if n % count == 0:
            return count
    return 1


def multiply(a: Array, b: Array, out: Array) -> None:
    """``np.matmul(a, b, out=out)`` with the rows of ``a`` in pieces."""
    (m, k), n = a.shape[-2:], b.shape[-1]
    count = _pieces(m, _MULTIPLICATIONS // max(1, k * n))
    if count > 1:
        a = a.reshape(*a.shape[:-2], count, m // count, k)
        b = b[..., None, :, :]
        out = out.reshape(*out.shape[:-2], count, m // count, n)
    np.matmul(a, b, out=out)


def multiply_transposed(a: Array, b: Array, out: Array) -> None:
    """``np.matmul(a, b.swapaxes(-1, -2), out=out)`` with the rows of both in pieces; ``out`` is contiguous."""
    (m, k), n = a.shape[-2:], b.shape[-2]
    b = b.swapaxes(-1, -2)
    count = _pieces(m, 16 if n >= 64 else _RESULTS // n)
    if k < 64 or m // count * min(n, 16) > _RESULTS:
        np.matmul(a, b, out=out)
        return
    a = a.reshape(*a.shape[:-2], count, m // count, k)
    out = out.reshape(*out.shape[:-2], count, m // count, n)
    step = max(4, _RESULTS // (m // count) // 16 * 16)
    for start in range(0, n, step):
        np.matmul(a, b[..., None, :, start : start + step], out=out[..., start : start + step])
