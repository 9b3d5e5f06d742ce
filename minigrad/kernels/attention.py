"""Attention of one head after the other, whose scores stay in the cache and are computed again for the gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..memory import Array
from .arithmetic import multiplied
from .assembler import LANES
from .calls import Call, in_sequence, loop_of_calls
from .few_rows import product_call
from .formula import row_max, row_sum
from .fused import fused, machine_code_works
from .products import multiply
from .threads import call, divided, parallel, scratch
from .turning import transpose

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
    if _fits(q, k, v):
        _forward_by_code(q, k, v, scale, causal, y, log_total)
        return y, log_total
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
    if _fits(q, k, v, g := np.ascontiguousarray(g)):
        _backward_by_code(g, q, k, v, np.vecdot(g, y)[..., None], log_total, scale, causal, dq, dk, dv)
        return dq, dk, dv
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


# -------------------------------------------------------------------------------- in machine code


def _fits(*arrays: Array) -> bool:
    return machine_code_works() and all(
        a.dtype == np.float32 and a.flags.c_contiguous and a.size and not a.shape[1] % LANES and not a.shape[2] % LANES
        for a in arrays
    )  # fmt: skip


def _each_head(N: int, work: float, calls: Callable[[int, Any], list[Call]], buffers: Callable[[], Any]) -> None:
    """What ``calls`` gives for a head and the thread's ``buffers``; each thread for its own heads."""
    loops, kept = [], []
    for k, (start, stop) in enumerate(divided(N, work)):
        kept.append(buffers())
        loops.append(loop_of_calls(lambda head, k=k, start=start: calls(start + head, kept[k]), stop - start, 0))  # type: ignore[misc]
    call(in_sequence(), [block for block, _ in loops])


def _mask_and_factor(L: int, S: int, scale: float, causal: bool) -> tuple[Array, Array]:
    """What is added to the scores (L, S), and what they are multiplied with, (1, 1)."""
    mask = _mask(L, S, causal, np.float32)
    return np.zeros((L, S), np.float32) if mask is None else mask, np.full((1, 1), scale, np.float32)


def _turned(a: Array) -> Array:
    """The transposes of matrices (N, rows, columns)."""
    out: Array = np.empty((len(a), a.shape[2], a.shape[1]), a.dtype)
    if not transpose(a, out):
        np.copyto(out, a.swapaxes(1, 2))
    return out


@fused
def _exponentials_of_rows(scores: Array, mask: Array, scale: Array) -> tuple[Array, Array, Array, Array]:
    scaled = scores * scale + mask
    largest = row_max(scaled)
    p = np.exp(scaled - largest)
    total = row_sum(p)
    return p, 1 / total, total, largest


def _forward_by_code(q: Array, k: Array, v: Array, scale: float, causal: bool, y: Array, log_total: Array) -> None:
    (N, L, _), S, keys = q.shape, k.shape[1], _turned(k)
    mask, factor = _mask_and_factor(L, S, scale, causal)
    inverse, total, largest = (np.empty((N, L, 1), q.dtype) for _ in range(3))

    def calls(n: int, p: Array) -> list[Call]:
        return [product_call(q[n], keys[n], p, fresh=True),
                _exponentials_of_rows.machine_call([p, mask, factor], [p, inverse[n], total[n], largest[n]]),
                product_call(p, v[n], y[n], fresh=True),
                multiplied.machine_call([y[n], inverse[n]], [y[n]])]  # fmt: skip

    _each_head(N, q.size * S / 15, calls, lambda: np.empty((L, S), q.dtype))
    np.add(np.log(total), largest, out=log_total)


@fused
def _score_gradients(scores: Array, mask: Array, scale: Array, log_total: Array, d: Array, dot: Array,
                     ) -> tuple[Array, Array]:  # fmt: skip
    p = np.exp(scores * scale + mask - log_total)
    return p, p * (d - dot) * scale


def _backward_by_code(g: Array, q: Array, k: Array, v: Array, dot: Array, log_total: Array, scale: float, causal: bool,
                      dq: Array, dk: Array, dv: Array) -> None:  # fmt: skip
    (N, L, _), S, keys, values = q.shape, k.shape[1], _turned(k), _turned(v)
    mask, factor = _mask_and_factor(L, S, scale, causal)

    def calls(n: int, buffers: Array) -> list[Call]:
        p, d = buffers
        return [
            product_call(q[n], keys[n], p, fresh=True), product_call(g[n], values[n], d, fresh=True),
            _score_gradients.machine_call([p, mask, factor, log_total[n], d, dot[n]], [p, d]),
            product_call(p.T, g[n], dv[n], fresh=True), product_call(d, k[n], dq[n], fresh=True),
            product_call(d.T, q[n], dk[n], fresh=True),
        ]  # fmt: skip

    _each_head(N, q.size * S / 6, calls, lambda: np.empty((2, L, S), q.dtype))
