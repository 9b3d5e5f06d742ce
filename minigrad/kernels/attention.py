"""Attention of one head after the other, whose scores stay in the cache and are computed again for the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..memory import Array
from .products import multiply
from .threads import parallel, scratch

_SCORES = 1 << 17  # how many are in the works at a time
_FAINT = 1e-30  # a sum of exponentials that has lost digits


def _mask(L: int, S: int, causal: bool, dtype: Any) -> Array | None:
    """What is added to the scores (L, S): -inf where a key comes after the query."""
    return np.triu(np.full((L, S), -np.inf, dtype), 1) if causal else None


def _heads_at_a_time(L: int, S: int) -> int:
    return max(1, _SCORES // (L * S))


def _beside(a: Array, column: Any) -> Array:
    """Matrices (n, rows, columns) with one more column."""
    out = np.empty((*a.shape[:-1], a.shape[-1] + 1), a.dtype)
    out[..., :-1] = a
    out[..., -1:] = column
    return out


def _across(a: Array) -> Array:
    """The transposes of matrices, with a row of ones below: who is multiplied with them gets a column added."""
    out = np.empty((len(a), a.shape[2] + 1, a.shape[1]), a.dtype)
    out[:, :-1] = a.swapaxes(1, 2)
    out[:, -1] = 1
    return out


def _exponentials(scaled: Array, k: Array, limit: Array, mask: Array | None, p: Array) -> Array:
    """``exp(scaled @ k.T + mask - limit)``, written to ``p``."""
    multiply(_beside(scaled, -limit), _across(k), p)
    if mask is not None:
        p += mask
    return np.exp(p, out=p)


def forward(q: Array, k: Array, v: Array, scale: float, causal: bool) -> tuple[Array, Array]:
    """``softmax(q @ k.T * scale + mask) @ v`` for heads (N, L, E), (N, S, E), (N, S, V); and the scores' logsumexp.

    Sums, and what is subtracted from rows, are one more column of a product: rows are short, so that is cheaper.
    """
    (N, L, _), S = q.shape, k.shape[1]
    y, log_total = np.empty((N, L, v.shape[2]), q.dtype), np.empty((N, L, 1), q.dtype)
    mask, step = _mask(L, S, causal, q.dtype), _heads_at_a_time(L, S)

    def run(first: int, last: int) -> None:
        for start in range(first, last, step):
            part = slice(start, min(start + step, last))
            scaled, keys, values = q[part] * scale, k[part], _beside(v[part], 1)
            p = scratch("attention", (len(keys), L, S), q.dtype)
            weighted = np.empty_like(values, shape=(len(keys), L, values.shape[2]))
            # No score is above the product of the lengths of its query and the longest key.
            limit = np.sqrt(np.vecdot(scaled, scaled) * np.vecdot(keys, keys).max(1, keepdims=True))[..., None]
            multiply(_exponentials(scaled, keys, limit, mask, p), values, weighted)
            total = weighted[..., -1:]
            if not total.min() > _FAINT:  # all scores of a row are far below: find the highest
                np.matmul(scaled, keys.swapaxes(1, 2), out=p)
                limit = np.maximum.reduce(p if mask is None else np.add(p, mask, out=p), axis=2, keepdims=True)
                multiply(_exponentials(scaled, keys, limit, mask, p), values, weighted)
            np.divide(weighted[..., :-1], total, out=y[part])
            np.add(np.log(total), limit, out=log_total[part])

    parallel(run, N, q.size * S / 20)
    return y, log_total


def backward(g: Array, q: Array, k: Array, v: Array, y: Array, log_total: Array, scale: float,
             causal: bool) -> tuple[Array, Array, Array]:  # fmt: skip
    """The gradients of q, k and v, given what :func:`forward` returned."""
    (N, L, _), S = q.shape, k.shape[1]
    dq, dk, dv = (np.empty(a.shape, a.dtype) for a in (q, k, v))
    mask, step = _mask(L, S, causal, q.dtype), _heads_at_a_time(L, 2 * S)

    def run(first: int, last: int) -> None:
        for start in range(first, last, step):
            part = slice(start, min(start + step, last))
            scaled, arriving = q[part] * scale, np.ascontiguousarray(g[part])
            p, d = scratch("attention", (2, len(scaled), L, S), q.dtype)
            _exponentials(scaled, k[part], log_total[part], mask, p)
            np.matmul(p.swapaxes(1, 2), arriving, out=dv[part])
            multiply(_beside(arriving, -np.vecdot(arriving, y[part])[..., None]), _across(v[part]), d)
            d *= p
            multiply(d, k[part], dq[part])
            np.matmul(d.swapaxes(1, 2), scaled, out=dk[part])
            dq[part] *= scale

    parallel(run, N, q.size * S / 8)
    return dq, dk, dv
