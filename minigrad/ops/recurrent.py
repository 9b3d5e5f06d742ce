"""Recurrence: states computed from the states before them, step by step through time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..engine import TensorBase, edge_of, grad_mode, new_tensor, primitive
from ..kernels import recurrent as kernels
from ..memory import Array
from ..traversal import backward
from .activation import relu
from .elementwise import sigmoid
from .linalg import linear
from .shaping import reshape


def _step(mode: str, gates: Any, weight: Any, bias: Any, hidden: Any, cell: Any = None) -> tuple[Any, ...]:
    """The next state (and cell), in operations of their own."""
    inner = np.matmul(hidden, np.swapaxes(weight, 0, 1))
    inner = inner if bias is None else inner + bias
    H = hidden.shape[1]
    if mode == "gru":
        both = sigmoid(gates[:, : 2 * H] + inner[:, : 2 * H])
        new = np.tanh(gates[:, 2 * H :] + both[:, :H] * inner[:, 2 * H :])
        return (new + both[:, H:] * (hidden - new),)
    z = gates + inner
    if mode != "lstm":
        return (relu(z) if mode == "relu" else np.tanh(z),)
    cell = sigmoid(z[:, H : 2 * H]) * cell + sigmoid(z[:, :H]) * np.tanh(z[:, 2 * H : 3 * H])
    return sigmoid(z[:, 3 * H :]) * np.tanh(cell), cell


def _unrolled(mode: str, steps: kernels.Spans, gates: Any, weight: Any, bias: Any, *states: Any) -> tuple[Any, ...]:
    """What :func:`_recurrence` computes, in operations of their own for each step."""
    rows, states = {}, tuple(s for s in states if s is not None)
    for start, stop, n in steps:
        after = _step(mode, gates[start:stop], weight, bias, *[s[:n] for s in states])
        rows[start] = after[0]
        states = tuple(np.concatenate([new, s[n:]]) for new, s in zip(after, states, strict=True))
    return (np.concatenate([rows[start] for start in sorted(rows)]), *states)


def _recurrence_gradients(g: tuple, y: tuple, tensors: tuple, mode: str, steps: kernels.Spans, needs: tuple) -> tuple:
    gates, weight, _, *states = tensors
    if type(gates) is np.ndarray:
        return kernels.backward(mode, steps, g, y, weight, *states)
    # To be differentiated again (or for a foreign array) it is computed step by step, from inputs that are
    # nodes of their own: one of them may depend on another, but that is not asked here.
    again = isinstance(gates, TensorBase)
    with grad_mode(True):
        own: list[Any] = [
            a if a is None else reshape(a, a.shape) if again else new_tensor(a, need)
            for a, need in zip(tensors, needs, strict=True)
        ]
        pairs = [(r, gr) for r, gr in zip(_unrolled(mode, steps, *own), g, strict=False) if gr is not None]
        results, cotangents = zip(*pairs, strict=True)
        edges = [edge_of(a) if need else None for a, need in zip(own, needs, strict=True)]
        wanted = [edge for edge in edges if edge is not None]
        found = backward(results, cotangents, wanted=wanted, retain_graph=again, create_graph=again)
    return tuple(None if edge is None else found.get(edge) for edge in edges)


@primitive(inputs=("tensors",), joint=_recurrence_gradients)
def _recurrence(*tensors: Array, mode: str, steps: kernels.Spans) -> tuple[Array, ...]:
    """All states, and the last state (and cell) of each sequence; then what backward needs.

    The tensors are: the part of the gates that comes from the input, (rows, gates * H); the weight that
    gives the part that comes from the state, (gates * H, H), and the bias of that part, or None; the
    first state of each sequence, (N, H), and its cell, or None. On rows and ``steps`` see ``kernels.recurrent``.
    """
    run = kernels.forward if type(tensors[0]) is np.ndarray else _unrolled
    return run(mode, steps, *tensors)


def recurrent(mode: str, input: Any, states: Sequence[Any], weights: Sequence[Any], batch_sizes: Sequence[int],
              reverse: bool = False) -> tuple[Any, ...]:  # fmt: skip
    """One direction of one recurrent layer: the states of all steps, and the last state (and cell) of each sequence.

    Args:
        mode: "tanh", "relu", "lstm" or "gru".
        input: the rows of all steps below each other, (rows, features).
        states: the first states (N, H), and for an LSTM the first cells.
        weights: for the input and for the state; then their biases, if there are any.
        batch_sizes: how many of the sequences, which come longest first, have each step.
        reverse: from the last step of each sequence to its first.
    """
    weight_ih, weight_hh, bias_ih, bias_hh = (*weights, None, None)[:4]
    if mode != "gru" and bias_ih is not None:  # only a GRU treats them differently
        bias_ih, bias_hh = bias_ih + bias_hh, None
    tensors = (linear(input, weight_ih, bias_ih), weight_hh, bias_hh, *states, None)[:5]
    results = _recurrence(*tensors, mode=mode, steps=kernels.spans(batch_sizes, reverse))
    return results[: 1 + len(states)]
