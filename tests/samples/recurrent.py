"""Recurrences, against one loop over steps for each sequence; and what recurrent layers refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.ops.recurrent import recurrent
from minigrad.testing import floats

from .spec import Case, Spec

FEATURES, H = 2, 2
GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}
BATCH_SIZES = st.sampled_from([[1], [2, 2], [3, 1], [2, 2, 1, 1], [1, 1, 1]])


@st.composite
def runs(draw: Any, mode: str) -> Case:
    """Calls of :func:`recurrent`; those with relu keep away from its kink."""
    sizes = draw(BATCH_SIZES)
    rows, wide = GATES[mode] * H, 0.1 if mode == "relu" else 1.0
    shapes = [(rows, FEATURES), (rows, H)]
    weights = [draw(floats(shape, -wide, wide, avoid=())) for shape in shapes]
    if mode == "relu":
        weights += [np.array([2.0, -1.5]), np.array([2.5, -1.0])]
    elif draw(st.booleans()):
        weights += [draw(floats((rows,), avoid=())) for _ in range(2)]
    states = [draw(floats((sizes[0], H), avoid=())) for _ in range(1 + (mode == "lstm"))]
    return Case(mode, draw(floats((sum(sizes), FEATURES), avoid=())), states, weights, sizes, draw(st.booleans()))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _step(mode: str, x: Any, h: Any, c: Any, weights: Any) -> tuple[Any, Any]:
    """The next state and cell of one sequence."""
    w_x, w_h, b_x, b_h = (*weights, 0.0, 0.0)[:4]
    a, b = w_x @ x + b_x, w_h @ h + b_h
    if mode in ("tanh", "relu"):
        return (np.tanh(a + b) if mode == "tanh" else np.maximum(a + b, 0)), None
    if mode == "gru":
        (ar, az, an), (br, bz, bn) = a.reshape(3, H), b.reshape(3, H)
        z = _sigmoid(az + bz)
        return (1 - z) * np.tanh(an + _sigmoid(ar + br) * bn) + z * h, None
    i, f, g, o = (a + b).reshape(4, H)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(c), c


def _reference(mode: str, x: Any, states: Any, weights: Any, sizes: list[int], reverse: bool) -> tuple:
    starts = np.cumsum([0, *sizes])
    y = np.empty((len(x), H))
    last = [s.copy() for s in states]
    for n in range(sizes[0]):
        h, c = states[0][n], states[1][n] if mode == "lstm" else None
        own = [starts[t] + n for t in range(len(sizes)) if sizes[t] > n]
        for row in reversed(own) if reverse else own:
            h, c = _step(mode, x[row], h, c, weights)
            y[row] = h
        last[0][n] = h
        if mode == "lstm":
            last[1][n] = c
    return (y, *last)


SPECS = {
    "recurrence": Spec(recurrent, runs("lstm"), _reference),
    "recurrence gru": Spec(recurrent, runs("gru"), _reference, primitive="recurrence"),
    "recurrence tanh": Spec(recurrent, runs("tanh"), _reference, primitive="recurrence"),
    "recurrence relu": Spec(recurrent, runs("relu"), _reference, primitive="recurrence", twice=False),
}

_X = mg.zeros(4, 2, 3)
_PACK = nn.utils.rnn.pack_padded_sequence

ERRORS = [
    ("nonlinearity", lambda: nn.RNN(3, 4, nonlinearity="selu"), ValueError, "RNN: nonlinearity.*'selu'"),
    ("cell nonlinearity", lambda: nn.RNNCell(3, 4, nonlinearity="selu"), ValueError, "RNNCell: nonlinearity.*'selu'"),
    ("hidden_size", lambda: nn.LSTM(3, 0), ValueError, "LSTM: hidden_size must be at least 1, got 0"),
    ("hidden_size type", lambda: nn.GRU(3, 4.0), TypeError, "GRU: hidden_size must be an int, got 4.0"),
    ("num_layers", lambda: nn.GRU(3, 4, num_layers=0), ValueError, "num_layers must be at least 1"),
    ("dropout", lambda: nn.GRU(3, 4, 2, dropout=1.5), ValueError, "dropout must be a probability.*1.5"),
    ("proj_size", lambda: nn.LSTM(3, 4, proj_size=2), NotImplementedError, "proj_size=2"),
    ("features", lambda: nn.LSTM(3, 4)(mg.zeros(4, 2, 5)), ValueError,
     r"LSTM: expected input \(T, N, 3\).*\(4, 2, 5\)"),
    ("dimensions", lambda: nn.LSTM(3, 4)(mg.zeros(3)), ValueError, r"got shape \(3,\)"),
    ("no steps", lambda: nn.LSTM(3, 4)(mg.zeros(0, 2, 3)), ValueError, r"T, N > 0, got shape \(0, 2, 3\)"),
    ("hx shape", lambda: nn.GRU(3, 4)(_X, mg.zeros(2, 2, 4)), ValueError,
     r"a Tensor of shape \(1, 2, 4\).*\(2, 2, 4\)"),
    ("hx of LSTM", lambda: nn.LSTM(3, 4)(_X, mg.zeros(1, 2, 4)), ValueError, r"a tuple \(h, c\) of Tensors"),
    ("hx of GRU", lambda: nn.GRU(3, 4)(_X, (mg.zeros(1, 2, 4),) * 2), ValueError, "GRU: hx must be a Tensor"),
    ("hx without batch", lambda: nn.GRU(3, 4)(mg.zeros(5, 3), mg.zeros(1, 1, 4)), ValueError, r"of shape \(1, 4\)"),
    ("batch_first", lambda: nn.LSTM(3, 4, batch_first=True)(mg.zeros(4, 2, 5)), ValueError, r"input \(N, T, 3\)"),
    ("cell input", lambda: nn.LSTMCell(3, 4)(mg.zeros(2, 4)), ValueError, r"LSTMCell: expected input \(N, 3\)"),
    ("cell hx", lambda: nn.GRUCell(3, 4)(mg.zeros(2, 3), mg.zeros(4)), ValueError,
     r"of shape \(2, 4\), got \[\(4,\)\]"),
    ("pack order", lambda: _PACK(_X, [1, 3]), ValueError, r"enforce_sorted=False, got \[1, 3\]"),
    ("pack count", lambda: _PACK(_X, [3]), ValueError, r"lengths \[3\] do not fit 2 sequences of at most 4"),
    ("pack too long", lambda: _PACK(_X, [5, 1]), ValueError, r"lengths \[5, 1\] do not fit"),
    ("pack nothing", lambda: _PACK(_X, [3, 0]), ValueError, "above 0"),
    ("pack floats", lambda: _PACK(_X, [3.0, 2.0]), ValueError, "lengths must be integers"),
    ("pad length", lambda: nn.utils.rnn.pad_packed_sequence(_PACK(_X, [4, 2]), total_length=3), ValueError,
     "total_length 3 is less than the longest sequence, 4"),
    ("pad side", lambda: nn.utils.rnn.pad_sequence([_X], padding_side="top"), ValueError,
     "'left' or 'right', got 'top'"),
    ("pad nothing", lambda: nn.utils.rnn.pad_sequence([]), ValueError, "at least one"),
]
