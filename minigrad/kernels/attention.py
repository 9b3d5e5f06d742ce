"""Attention of one head after the other, whose scores stay in the cache and are computed again for the gradient."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..memory import Array
from .arithmetic import multiplied
from .assembler import LANES
from .calls import Plan, call_planned, scheduled, stand_ins
from .few_rows import product_call
from .formula import row_max, row_sum
from .fused import fused, machine_code_works
from .products import multiply
from .threads import divided, parallel, scratch
from .turning import transposed

_SCORES = 1 << 17  # how many are in the works at a time
_QUERIES = 32  # that are looked at together, if each sees the keys before it
_FAINT = 1e-30  # a sum of exponentials that has lost digits

Shares = tuple[tuple[int, int], ...]


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
    """``softmax(q @ k.T * scale + mask) @ v`` for heads (..., L, E), (..., S, E), (..., S, V); the scores' logsumexp.

    That is (..., L, 1), in float32 and of heads that machine code takes in any order in memory.
    """
    if _fits(q, k, v):
        return _forward_by_code(q, k, v, scale, causal)
    y, log_total = _forward_by_numpy(_in_three(q), _in_three(k), _in_three(v), scale, causal)
    return y.reshape(*q.shape[:-1], v.shape[-1]), log_total.reshape(*q.shape[:-1], 1)


def backward(g: Array, q: Array, k: Array, v: Array, y: Array, log_total: Array, scale: float,
             causal: bool) -> tuple[Array, ...]:  # fmt: skip
    """The gradients of q, k and v, given what :func:`forward` returned."""
    if _fits(q, k, v):
        return _backward_by_code(g, q, k, v, y, log_total, scale, causal)
    g, y, log_total, *given = map(_in_three, (g, y, log_total, q, k, v))
    found = _backward_by_numpy(g, *given, y, log_total, scale, causal)  # type: ignore[call-arg]
    return tuple(d.reshape(a.shape) for d, a in zip(found, (q, k, v)))


def _in_three(a: Array) -> Array:
    """Matrices (N, rows, columns)."""
    return a.reshape(-1, *a.shape[-2:])


def _forward_by_numpy(q: Array, k: Array, v: Array, scale: float, causal: bool) -> tuple[Array, Array]:
    """Sums, and what is subtracted from rows, are one more column of a product: rows are short, so that is cheaper."""
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


def _backward_by_numpy(g: Array, q: Array, k: Array, v: Array, y: Array, log_total: Array, scale: float,
                       causal: bool) -> tuple[Array, Array, Array]:  # fmt: skip
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


# -------------------------------------------------------------------------------- in machine code


def _fits(*arrays: Array) -> bool:
    """Whether heads, which may lie between each other in memory, are read as they are."""
    return machine_code_works() and all(
        a.dtype == np.float32 and a.strides[-1] == 4 and a.size and not a.shape[-2] % LANES and not a.shape[-1] % LANES
        for a in arrays
    )  # fmt: skip


def _seen(L: int, S: int, causal: bool) -> list[tuple[slice, int]]:
    """Queries, and up to which key to look: the last, or if ``causal`` and others follow them, the last they see.

    The last queries come first.
    """
    step = _QUERIES if causal else L
    ends = [(start, min(start + step, L)) for start in reversed(range(0, L, step))]
    return [(slice(start, stop), S if stop == L else min(stop, S)) for start, stop in ends]


def _mask_and_factor(L: int, S: int, scale: float, causal: bool) -> tuple[Array, Array]:
    """What is added to the scores (L, S), and what they are multiplied with, (1, 1)."""
    mask = _mask(L, S, causal, np.float32)
    return np.zeros((L, S), np.float32) if mask is None else mask, np.full((1, 1), scale, np.float32)


def _turned(a: Array) -> Array:
    """The transposes of matrices (..., rows, columns)."""
    if a.ndim == 4 and a.strides[1] == 4 * a.shape[3]:  # heads side by side are one matrix
        matrix = a.swapaxes(1, 2).reshape(a.shape[0], a.shape[2], -1)
    else:
        matrix = _in_three(a)
    return transposed(matrix).reshape(*a.shape[:-2], a.shape[-1], a.shape[-2])


def _stored_like(a: Array, columns: int) -> Array:
    """Room for rows with so many columns, in the order in which those of ``a`` are stored."""
    out = np.empty_like(a, shape=(*a.shape[:-1], columns))
    return out if out.strides[-1] == out.itemsize else np.empty(out.shape, out.dtype)


@fused
def _exponentials_of_rows(scores: Array, mask: Array, scale: Array) -> tuple[Array, Array, Array, Array]:
    scaled = scores * scale + mask
    largest = row_max(scaled)
    p = np.exp(scaled - largest)
    total = row_sum(p)
    return p, 1 / total, total, largest


def _forward_by_code(q: Array, k: Array, v: Array, scale: float, causal: bool) -> tuple[Array, Array]:
    (L, E), S, y = q.shape[-2:], k.shape[-2], _stored_like(q, v.shape[-1])
    inverse, total, largest = (np.empty((*q.shape[:-1], 1), q.dtype) for _ in range(3))
    shared = divided(q.size // (L * E), q.size * S / 15)
    scores = np.empty((len(shared), L, S), q.dtype)
    arrays = q, _turned(k), v, y, *_mask_and_factor(L, S, scale, causal), inverse, total, largest
    call_planned(_forward, arrays, [scores], causal, tuple(shared))
    return y, np.log(total) + largest


@lru_cache(maxsize=16)
def _forward(layouts: Any, causal: bool, shared: Shares) -> list[Plan]:
    q, keys, v, y, mask, factor, *sums, scores = stand_ins(layouts)
    _, E, S = keys.shape
    calls = []
    for rows, seen in _seen(q.shape[1], S, causal):
        p, into = scores.part(rows, seen), y.part(rows)
        found = [m.part(rows) for m in sums]
        calls += [
            product_call(q.part(rows), keys.part(slice(0, E), seen), p, fresh=True),
            _exponentials_of_rows.machine_call([p, mask.part(rows, seen), factor], [p, *found]),
            product_call(p, v.part(slice(0, seen)), into, fresh=True),
            multiplied.machine_call([into, found[0]], [into]),
        ]
    return [Plan([scheduled(calls, stop - start, start)]) for start, stop in shared]


@fused
def _dot(a: Array, b: Array) -> Array:
    return row_sum(a * b)


@fused
def _score_gradients(scores: Array, mask: Array, scale: Array, log_total: Array, d: Array, dot: Array,
                     ) -> tuple[Array, Array]:  # fmt: skip
    p = np.exp(scores * scale + mask - log_total)
    return p, p * (d - dot) * scale


def _backward_by_code(g: Array, q: Array, k: Array, v: Array, y: Array, log_total: Array, scale: float, causal: bool,
                      ) -> tuple[Array, ...]:  # fmt: skip
    (L, E), S = q.shape[-2:], k.shape[-2]
    shared = divided(q.size // (L * E), q.size * S / 6)
    found = tuple(_stored_like(a, a.shape[-1]) for a in (q, k, v))
    g, y = (a if a.strides[-1] == a.itemsize else np.ascontiguousarray(a) for a in (g, y))
    p, d = (np.empty((len(shared), L, S), q.dtype) for _ in "pd")
    masks = _mask_and_factor(L, S, scale, causal)
    arrays = _turned(k), _turned(v), k, *masks, q, g, y, log_total, np.empty_like(log_total), *found
    call_planned(_backward, arrays, [p, d], causal, tuple(shared))
    return found


@lru_cache(maxsize=16)
def _backward(layouts: Any, causal: bool, shared: Shares) -> list[Plan]:
    turned_keys, turned_values, keys, mask, factor, *of_queries, dk_all, dv_all, p_all, d_all = stand_ins(layouts)
    (_, E, S), (_, V, _), L = turned_keys.shape, turned_values.shape, of_queries[0].shape[1]
    calls = []
    for rows, seen in _seen(L, S, causal):
        some, first = slice(0, seen), rows.stop == L
        p, d, hidden = (m.part(rows, seen) for m in (p_all, d_all, mask))
        q, g, y, log_total, dot, dq = (m.part(rows) for m in of_queries)
        dk, dv = dk_all.part(some), dv_all.part(some)
        calls += [
            product_call(q, turned_keys.part(slice(0, E), seen), p, fresh=True),
            product_call(g, turned_values.part(slice(0, V), seen), d, fresh=True),
            _dot.machine_call([g, y], [dot]),
            _score_gradients.machine_call([p, hidden, factor, log_total, d, dot], [p, d]),
            product_call(p.T, g, dv, fresh=first),
            product_call(d, keys.part(some), dq, fresh=True),
            product_call(d.T, q, dk, fresh=first),
        ]
    return [Plan([scheduled(calls, stop - start, start)]) for start, stop in shared]
