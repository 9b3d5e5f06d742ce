"""Recurrences over time. All that can be done for all steps at once is; the loops hold the rest, in given memory.

The time steps lie below each other as rows: one row for each sequence that has a step 0, then one for each
that has a step 1, ... Sequences come longest first, so a step is always about the first few of them, and
sequences of equal length are nothing special. ``(first row, end, number of rows)`` is the span of a step.

Gates come in PyTorch's order, side by side: input, forget, cell, output (LSTM); reset, update, new (GRU).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from ..memory import Array

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
_SIGMOIDS = {"tanh": (), "relu": (), "lstm": (0, 1, 3), "gru": (0, 1)}
Spans = list[tuple[int, int, int]]


def spans(batch_sizes: Sequence[int], reverse: bool) -> Spans:
    """The span of each step, in the order in which they are computed."""
    steps = [(end - n, end, n) for end, n in zip(accumulate(batch_sizes), batch_sizes, strict=True)]
    return steps[::-1] if reverse else steps


def forward(mode: str, steps: Spans, gates: Array, weight: Array, bias: Array | None, hidden: Array,
            cell: Array | None) -> tuple[Array, ...]:  # fmt: skip
    """The states of all steps, the last state (and cell) of each sequence; then what backward needs: gates, cells.

    Beside the gates of a GRU lies what its reset gate is multiplied with.
    """
    H = hidden.shape[1]
    scale = np.ones_like(gates, shape=len(weight))
    for k in _SIGMOIDS[mode]:  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: so one tanh serves all gates
        scale[k * H : (k + 1) * H] = 0.5
    shift, inner, bias = 1 - scale, (weight * scale[:, None]).T, None if bias is None else bias * scale
    work = np.empty_like(gates, shape=(len(gates), 4 * H if mode == "gru" else len(weight)), order="C")
    np.multiply(gates, scale, out=work[:, : len(weight)])
    h, c = np.array(hidden, order="C"), np.array(hidden if cell is None else cell, order="C")
    y, cells = (np.empty_like(work, shape=(len(gates), H)) for _ in "yc")
    product, short = (np.empty_like(work, shape=(len(h), k)) for k in (len(weight), H))
    for start, stop, n in steps:
        p, z, s, u = np.matmul(h[:n], inner, out=product[:n]), work[start:stop], h[:n], short[:n]
        if bias is not None:
            p += bias
        if mode == "gru":
            both, new, z[:, 3 * H :] = z[:, : 2 * H], z[:, 2 * H : 3 * H], p[:, 2 * H :]
            np.tanh(np.add(both, p[:, : 2 * H], out=both), out=both)
            both *= 0.5
            both += 0.5
            new += np.multiply(both[:, :H], p[:, 2 * H :], out=u)
            np.tanh(new, out=new)
            s -= new
            s *= both[:, H:]
            s += new
        elif mode == "lstm":
            np.tanh(np.add(z, p, out=z), out=z)
            z *= scale
            z += shift
            c[:n] *= z[:, H : 2 * H]
            c[:n] += np.multiply(z[:, :H], z[:, 2 * H : 3 * H], out=u)
            cells[start:stop] = c[:n]
            np.tanh(c[:n], out=u)
            np.multiply(u, z[:, 3 * H :], out=s)
        else:
            np.maximum(np.add(z, p, out=s), 0, out=s) if mode == "relu" else np.tanh(np.add(z, p, out=s), out=s)
        y[start:stop] = s
    return (y, h, c, work, cells) if mode == "lstm" else (y, h, work) if mode == "gru" else (y, h)


def _before(first: Array, states: Array, steps: Spans) -> Array:
    """For each row of ``states`` the state before it, which is of ``first`` where a sequence begins."""
    current, out = np.array(first), np.empty_like(states)
    for start, stop, n in steps:
        out[start:stop] = current[:n]
        current[:n] = states[start:stop]
    return out


def backward(mode: str, steps: Spans, g: Sequence[Array | None], y: Sequence[Array], weight: Array, hidden: Array,
             cell: Array | None) -> tuple[Array | None, ...]:  # fmt: skip
    """The gradients of gates, weight, bias, hidden and cell, given those of what forward returned.

    Every gradient before an activation is a product of what arrives at the state (or cell) and a ``factor``
    that needs no loop. What the loop has to do is to hand gradients from step to step.
    """
    H = hidden.shape[1]
    states, before = y[0], _before(hidden, y[0], steps)
    d_cell: Any = None
    if mode == "gru":
        reset, keep, new, product = np.split(y[2], 4, axis=1)
        for_new = (1 - keep) * (1 - np.square(new))
        for_reset = for_new * product * reset * (1 - reset)
        for_update = (before - new) * keep * (1 - keep)
        factors = np.concatenate([for_reset, for_update, for_new * reset, for_new], axis=1)
    elif mode == "lstm":
        let, keep, new, out = np.split(y[3], 4, axis=1)
        tanh = np.tanh(y[4])
        leak = out * (1 - np.square(tanh))
        for_keep = _before(cell, y[4], steps) * keep * (1 - keep)
        for_new, for_out = let * (1 - np.square(new)), tanh * out * (1 - out)
        factors = np.concatenate([new * let * (1 - let), for_keep, for_new, for_out], axis=1)
        d_cell = np.zeros_like(y[2]) if g[2] is None else np.array(g[2], order="C")
    else:
        factors = (states > 0).astype(states.dtype) if mode == "relu" else 1 - np.square(states)
    d_z = factors.reshape(len(states), -1, H)  # each step's factors become its gradients
    d_hidden = np.zeros_like(y[1]) if g[1] is None else np.array(g[1], order="C")
    short, flat = np.empty_like(d_hidden), factors[:, : len(weight)]
    for start, stop, n in reversed(steps):
        d, z, u = d_hidden[:n], d_z[start:stop], short[:n]
        if g[0] is not None:
            d += g[0][start:stop]
        if mode == "lstm":
            c = d_cell[:n]
            c += np.multiply(d, leak[start:stop], out=u)
            z[:, :3] *= c[:, None]
            z[:, 3] *= d
            c *= keep[start:stop]
        else:
            z *= d[:, None]
        np.matmul(flat[start:stop], weight, out=u)
        d[...] = d * keep[start:stop] + u if mode == "gru" else u
    d_gates = np.concatenate([flat[:, : 2 * H], d_z[:, 3]], axis=1) if mode == "gru" else flat
    return d_gates, flat.T @ before, flat.sum(0), d_hidden, d_cell
