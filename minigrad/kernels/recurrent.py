"""Recurrences over time. All that can be done for all steps at once is; the loops hold the rest, in given memory.

The time steps lie below each other as rows: one row for each sequence that has a step 0, then one for each
that has a step 1, ... Sequences come longest first, so a step is always about the first few of them, and
sequences of equal length are nothing special. ``(first row, end, number of rows)`` is the span of a step.

Gates come in PyTorch's order, side by side: input, forget, cell, output (LSTM); reset, update, new (GRU).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from ..memory import Array
from . import products, special
from .assembler import LANES
from .calls import Matrices, Plan, call_planned, scheduled, stand_ins
from .few_rows import product_call
from .fused import fused, machine_code_works
from .threads import divided, parallel

GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
Spans = list[tuple[int, int, int]]
Span = tuple[int, int]
Shares = tuple[Span, ...]


def spans(batch_sizes: Sequence[int], reverse: bool) -> Spans:
    """The span of each step, in the order in which they are computed."""
    steps = [(end - n, end, n) for end, n in zip(accumulate(batch_sizes), batch_sizes, strict=True)]
    return steps[::-1] if reverse else steps


def _among(steps: Spans, first: int, last: int) -> list[tuple[slice, slice]]:
    """For the sequences from ``first`` to ``last``: their rows in each step, and they themselves."""
    ends = [(start, min(n, last)) for start, _, n in steps if n > first]
    return [(slice(start + first, start + end), slice(first, end)) for start, end in ends]


def _blocks(matrix: Array, rows: int) -> Array:
    """The columns of matrices (..., K, columns) in blocks, (..., blocks, K, columns of a block).

    A BLAS with kernels for small matrices multiplies ``rows`` rows with so little at once a fifth faster.
    """
    *lead, K, columns = matrix.shape
    count = 1
    while products.small_is_quick() and rows * K * columns > 850_000 * count and columns // count % 32 == 0:
        count *= 2
    return np.ascontiguousarray(matrix.reshape(*lead, K, count, columns // count).swapaxes(-3, -2))


def _times(a: Array, blocks: Array, out: Array) -> Array:
    """``a @ matrix``, of which ``blocks`` are the columns."""
    np.matmul(a, blocks, out=out.reshape(*out.shape[:-1], blocks.shape[-3], blocks.shape[-1]).swapaxes(-3, -2))
    return out


def _by_gate(rows: Array, H: int) -> Array:
    """Gates side by side in rows (n, gates * H), as (gates, n, H)."""
    return rows.reshape(len(rows), -1, H).swapaxes(0, 1)


def forward(mode: str, steps: Spans, gates: Array, weight: Array, bias: Array | None, hidden: Array,
            cell: Array | None) -> tuple[Array, ...]:  # fmt: skip
    """The states of all steps, the last state (and cell) of each sequence; then what backward needs: gates, cells.

    The gates of a GRU are followed by what its reset gate is multiplied with.
    """
    (N, H), G = hidden.shape, GATES[mode]
    h, c = np.array(hidden, order="C"), np.array(hidden if cell is None else cell, order="C")
    inner = _blocks(weight.reshape(G, H, H).swapaxes(1, 2), N)
    saved = np.empty_like(h, shape=(len(gates), 4 * H if mode == "gru" else G * H))
    y, cells = (np.empty_like(h, shape=(len(gates), H)) for _ in "yc")
    if mode == "lstm" and _by_machine_code(steps, gates, weight, h, c):
        return _lstm_forward(steps, gates, weight, h, c, y, saved, cells)
    half = np.full_like(h, 0.5, shape=(G, 1, 1))  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: so one tanh serves all gates
    half[2 : 2 + (mode == "lstm")] = 1

    def run(first: int, last: int) -> None:
        product, short = np.empty_like(h, shape=(G, last - first, H)), np.empty_like(h, shape=(last - first, H))
        for rows, own in _among(steps, first, last):
            z, s = _by_gate(saved[rows], H), h[own]
            p, u = _times(s, inner, product[:, : len(s)]), short[: len(s)]
            given = _by_gate(gates[rows], H)
            if mode == "lstm":
                np.add(given, p, out=z)
                z *= half
                np.tanh(z, out=z)
                z *= half
                z += 1 - half
                let, keep, new, out = z
                cs = c[own]
                cs *= keep
                cs += np.multiply(let, new, out=u)
                cells[rows] = cs
                np.multiply(np.tanh(cs, out=u), out, out=s)
            elif mode == "gru":
                if bias is not None:
                    p += bias.reshape(G, 1, H)
                both, new = z[:2], z[2]
                np.add(given[:2], p[:2], out=both)
                both *= 0.5
                np.tanh(both, out=both)
                both *= 0.5
                both += 0.5
                z[3] = p[2]
                np.add(given[2], np.multiply(z[0], p[2], out=u), out=new)
                np.tanh(new, out=new)
                s -= new
                s *= z[1]
                s += new
            else:
                np.add(given[0], p[0], out=s)
                np.maximum(s, 0, out=s) if mode == "relu" else np.tanh(s, out=s)
            y[rows] = s

    parallel(run, N, _nanoseconds(h, weight))
    return (y, h, c, saved, cells) if mode == "lstm" else (y, h, saved) if mode == "gru" else (y, h)


def _nanoseconds(hidden: Array, weight: Array) -> float:
    """About how long a step takes: a step must be worth sharing, however many there are."""
    return len(hidden) * weight.size / 30


def _before(first: Array, states: Array, steps: Spans) -> Array:
    """For each row of ``states`` the state before it, which is of ``first`` where a sequence begins."""
    n = len(first)
    if steps[0][2] == steps[-1][2]:  # all sequences are equally long
        forwards = steps[0][0] == 0
        return np.concatenate([first, states[:-n]] if forwards else [states[n:], first])
    current, out = np.array(first), np.empty_like(states)
    for start, stop, n in steps:
        out[start:stop] = current[:n]
        current[:n] = states[start:stop]
    return out


def backward(mode: str, steps: Spans, g: Sequence[Array | None], y: Sequence[Array], weight: Array, hidden: Array,
             cell: Array | None) -> tuple[Array | None, ...]:  # fmt: skip
    """The gradients of gates, weight, bias, hidden and cell, given those of what forward returned."""
    (N, H), G, rows_all = hidden.shape, GATES[mode], len(y[0])
    before = _before(hidden, y[0], steps)
    before_cells = None if cell is None else _before(cell, y[4], steps)
    d_hidden, d_cell = (
        np.zeros_like(hidden, order="C") if len(g) <= k or g[k] is None else np.array(g[k], order="C") for k in (1, 2)
    )
    if mode == "lstm" and _by_machine_code(steps, y[3], weight, d_hidden, d_cell):
        d_gates, d_hidden = _lstm_backward(steps, g[0], y, weight, before_cells, d_hidden, d_cell)
        return d_gates, products.product(d_gates.T, before), products.sum_of_rows(d_gates), d_hidden, d_cell
    blocks = _blocks(weight, N)
    d_gates = np.empty_like(before, shape=(rows_all, G * H))  # of what comes from the state
    d_new = np.empty_like(before) if mode == "gru" else None  # there, what comes from the input differs
    kind = np.zeros_like(before, shape=(G, 1, 1))  # the slope of a gate is (gate + kind) * (1 - gate)
    kind[2 : 2 + (mode == "lstm")] = 1

    def run(first: int, last: int) -> None:
        shapes = (G, last - first, H), (G, last - first, H), (last - first, H), (last - first, H)
        slopes, sums, short, other = (np.empty_like(before, shape=shape) for shape in shapes)
        for rows, own in reversed(_among(steps, first, last)):
            d = d_hidden[own]
            z, u, v = slopes[:, : len(d)], short[: len(d)], other[: len(d)]
            if g[0] is not None:
                d += g[0][rows]
            if mode == "lstm":
                gates = _by_gate(y[3][rows], H)
                let, keep, new, out = gates
                np.subtract(1, gates, out=z)
                z *= np.add(gates, kind, out=sums[:, : len(d)])
                np.tanh(y[4][rows], out=u)
                z[3] *= np.multiply(d, u, out=v)
                np.subtract(1, np.square(u, out=u), out=u)
                u *= out
                c = d_cell[own]
                c += np.multiply(u, d, out=u)
                z[0] *= np.multiply(c, new, out=u)
                z[1] *= np.multiply(c, before_cells[rows], out=u)  # type: ignore[index]
                z[2] *= np.multiply(c, let, out=u)
                c *= keep
            elif mode == "gru":
                reset, keep, new, product = _by_gate(y[2][rows], H)
                np.subtract(1, keep, out=u)
                np.multiply(keep, u, out=z[1])
                z[1] *= np.subtract(before[rows], new, out=v)
                z[1] *= d
                np.subtract(1, np.square(new, out=v), out=v)
                v *= u
                v *= d
                d_new[rows] = v  # type: ignore[index]
                np.multiply(v, reset, out=z[2])
                np.multiply(z[2], product, out=z[0])
                z[0] *= np.subtract(1, reset, out=u)
                d *= keep
            elif mode == "relu":
                np.multiply(d, y[0][rows] > 0, out=z[0])
            else:
                np.subtract(1, np.square(y[0][rows], out=u), out=u)
                np.multiply(d, u, out=z[0])
            _by_gate(d_gates[rows], H)[...] = z
            if mode == "gru":
                d += _times(d_gates[rows], blocks, u)
            else:
                _times(d_gates[rows], blocks, d)

    parallel(run, N, _nanoseconds(hidden, weight))
    d_input = d_gates if d_new is None else np.concatenate([d_gates[:, : 2 * H], d_new], axis=1)
    return d_input, products.product(d_gates.T, before), products.sum_of_rows(d_gates), d_hidden, d_cell


# --------------------------------------------------------------------------- the LSTM in machine code


def _by_machine_code(steps: Spans, *arrays: Array) -> bool:
    """Whether all sequences are equally long, and their states fit the registers."""
    shape = arrays[-1].shape
    fits = all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays) and shape[1] % LANES == 0
    return fits and machine_code_works() and len(steps) > 2 and steps[0][2] == steps[-1][2] == shape[0] > 0


def _shares(steps: Spans, weight: Array) -> Shares:
    """The sequences of each thread."""
    return tuple(divided(steps[0][2], len(steps) * steps[0][2] * weight.size / 30))


def _starts(steps: Spans) -> tuple[int, ...]:
    return tuple(start for start, _, _ in steps)


def _rows(a: Matrices, own: Span, starts: Any = 0) -> Matrices:
    """In a plan, the rows of some sequences, of steps whose first rows are ``starts``."""
    part = a.part(slice(*own))
    return part._replace(places=part.places + starts * a.strides[1])


def _gates(rows: Matrices) -> list[Matrices]:
    """The four gates that lie side by side."""
    (_, n, width), places = rows.shape, rows.places
    return [Matrices((1, n, width // 4), rows.strides, places + k * width) for k in range(4)]


@fused
def _copied(x: Array) -> Array:
    return x


@fused
def _lstm_step(let: Array, keep: Array, new: Array, out: Array, cell: Array) -> tuple[Array, ...]:
    let, keep, new, out = special.sigmoid(let), special.sigmoid(keep), np.tanh(new), special.sigmoid(out)
    cell = keep * cell + let * new
    return let, keep, new, out, cell, out * np.tanh(cell)


def _lstm_forward(steps: Spans, gates: Array, weight: Array, h: Array, c: Array, y: Array, saved: Array,
                  cells: Array) -> tuple[Array, ...]:  # fmt: skip
    arrays = gates, np.ascontiguousarray(weight.T), h, c, y, saved, cells
    call_planned(_forward_plan, arrays, [], _starts(steps), _shares(steps, weight))
    last = slice(*steps[-1][:2])
    return y, y[last].copy(), cells[last].copy(), saved, cells


@lru_cache(maxsize=16)
def _forward_plan(layouts: Any, starts: tuple[int, ...], shared: Shares) -> list[Plan]:
    gates, matrix, h, c, y, saved, cells = stand_ins(layouts)
    at, plans = np.array(starts), []

    def behind(first: Matrices, a: Matrices, own: Span) -> Matrices:
        """The rows of a step before, which for the first step are ``first``."""
        rows = _rows(a, own, np.roll(at, 1))
        rows.places[0] = _rows(first, own).places
        return rows

    for own in shared:
        rows = _rows(saved, own, at)
        z = _gates(rows)
        plans.append(Plan([scheduled([
            _copied.machine_call([_rows(gates, own, at)], [rows]),
            product_call(behind(h, y, own), matrix, rows),
            _lstm_step.machine_call([*z, behind(c, cells, own)], [*z, _rows(cells, own, at), _rows(y, own, at)]),
        ], len(starts))]))  # fmt: skip
    return plans


@fused
def _lstm_step_back(let: Array, keep: Array, new: Array, out: Array, cell: Array, before: Array, d: Array,
                    d_cell: Array) -> tuple[Array, ...]:  # fmt: skip
    t = np.tanh(cell)
    d_cell = d_cell + d * out * (1 - t * t)
    d_let, d_keep = d_cell * new * let * (1 - let), d_cell * before * keep * (1 - keep)
    return d_let, d_keep, d_cell * let * (1 - new * new), d * t * out * (1 - out), d_cell * keep


def _lstm_backward(steps: Spans, g: Array | None, y: Sequence[Array], weight: Array, before: Array, d_hidden: Array,
                   d_cell: Array) -> tuple[Array, Array]:  # fmt: skip
    """The gradients of gates and hidden; that of the cell is left in ``d_cell``."""
    (_, _, n), H = steps[0], weight.shape[1]
    # The gradients of all states, with room for those before the first step at both ends: where it is at depends on
    # the direction. Each step adds to those of the step before.
    states = np.zeros((len(before) + 2 * n, H), np.float32)
    if g is not None:
        states[n:-n] = g
    states[n:-n][slice(*steps[-1][:2])] += d_hidden
    d_gates = np.empty_like(y[3])
    forwards = steps[0][0] < steps[1][0]
    earlier = states if forwards else states[2 * n :]
    arrays = y[3], y[4], before, states[n:-n], d_cell, d_gates, weight, earlier
    call_planned(_backward_plan, arrays, [], _starts(steps[::-1]), _shares(steps, weight))
    return d_gates, (states[:n] if forwards else states[-n:]).copy()


@lru_cache(maxsize=16)
def _backward_plan(layouts: Any, starts: tuple[int, ...], shared: Shares) -> list[Plan]:
    gates, cells, before, d, d_cells, d_gates, weight, earlier = stand_ins(layouts)
    at, plans = np.array(starts), []
    for own in shared:
        d_rows, d_cell = _rows(d_gates, own, at), _rows(d_cells, own)
        given = [*_gates(_rows(gates, own, at)), *[_rows(a, own, at) for a in (cells, before, d)], d_cell]
        plans.append(Plan([scheduled([
            _lstm_step_back.machine_call(given, [*_gates(d_rows), d_cell]),
            product_call(d_rows, weight, _rows(earlier, own, at)),
        ], len(starts))]))  # fmt: skip
    return plans
