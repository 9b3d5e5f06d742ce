"""Recurrent layers: states that are carried from step to step through a sequence."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import minigrad
from minigrad.arguments import check_probability
from minigrad.kernels.recurrent import GATES
from minigrad.ops.recurrent import recurrent

from . import functional as F
from .layer import WeightedLayer
from .utils.rnn import PackedSequence


class _Recurrent(WeightedLayer, unnamed=2):
    """What layers and cells share: weights of PyTorch's names, shapes and start, and first states."""

    mode: str

    def _add_weights(self, suffixes: list[str], directions: int, device: Any, dtype: Any) -> None:
        if self.mode not in GATES:
            raise ValueError(f"{type(self).__name__}: nonlinearity must be 'tanh' or 'relu', got {self.mode!r}")
        self._check_sizes("input_size", "hidden_size")
        rows, shapes = GATES[self.mode] * self.hidden_size, dict[str, Any]()
        for suffix in suffixes:
            first = suffix in ("", "_l0", "_l0_reverse")
            features = self.input_size if first else directions * self.hidden_size
            shapes |= {f"weight_ih{suffix}": (rows, features), f"weight_hh{suffix}": (rows, self.hidden_size)}
            shapes |= {f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (rows,)} if self.bias else {}
        self._add_parameters(device, dtype, **shapes)

    def _fan_in(self) -> int:
        return self.hidden_size

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        count, params = 4 if self.bias else 2, [param for _, param in self._own("parameter")]
        return [params[k : k + count] for k in range(0, len(params), count)]

    def _first(self, hx: Any, shape: tuple[int, ...], like: Any) -> list[Any]:
        """The first state (and cell), zeros by default."""
        count = 1 + (self.mode == "lstm")
        if hx is None:
            return [minigrad.zeros(shape, dtype=like.dtype) for _ in range(count)]
        states = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        if [tuple(s.shape) for s in states] != [shape] * count:
            expected = f"{'a Tensor' if count == 1 else 'a tuple (h, c) of Tensors'} of shape {shape}"
            raise ValueError(f"{type(self).__name__}: hx must be {expected}, got {[tuple(s.shape) for s in states]}")
        return states


class RNNBase(_Recurrent):
    """Layers of recurrences above each other, each in one or both directions of time.

    Input (T, N, input_size), with ``batch_first`` (N, T, input_size), without a batch (T, input_size), or a
    :class:`~nn.utils.rnn.PackedSequence`. Returned are the states of the last layer at each step (directions
    side by side), and the last state of each layer and direction: (num_layers * directions, N, hidden_size).

    Args:
        dropout: probability of dropping a state on its way to the next layer.
        bidirectional: a second recurrence per layer, from the last step to the first.
    """

    usual: ClassVar = {
        "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False, "proj_size": 0
    }  # fmt: skip

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())
        name, self.dropout = type(self).__name__, float(dropout)
        if proj_size:
            raise NotImplementedError(f"{name}: proj_size={proj_size} is not available; put a Linear layer on top")
        check_probability(name, dropout, "dropout")
        self._check_sizes("num_layers")
        if dropout and num_layers == 1:
            warnings.warn(f"{name}: dropout={dropout} acts between layers, of which there is only one", stacklevel=2)
        directions = ("", "_reverse")[: 1 + bidirectional]
        suffixes = [f"_l{layer}{direction}" for layer in range(num_layers) for direction in directions]
        self._add_weights(suffixes, len(directions), device, dtype)

    def flatten_parameters(self) -> None:
        """Nothing to do: there is no device whose memory would have to be arranged."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        packed = isinstance(input, PackedSequence)
        x = input.data if packed else input
        if x.ndim not in ((2,) if packed else (2, 3)) or x.shape[-1] != self.input_size or 0 in x.shape:
            batch = "N, T" if self.batch_first else "T, N"
            raise ValueError(f"{type(self).__name__}: expected input ({batch}, {self.input_size}) or (T, "
                             f"{self.input_size}) with T, N > 0, got shape {tuple(x.shape)}")  # fmt: skip
        single = not packed and x.ndim == 2
        if packed:
            batch_sizes, order, back = input.batch_sizes.tolist(), input.sorted_indices, input.unsorted_indices
        else:
            x = x.unsqueeze(1) if single else x.transpose(0, 1) if self.batch_first else x
            batch_sizes, order, back = [x.shape[1]] * len(x), None, None
            x = x.reshape(-1, self.input_size)
        full = (self.num_layers * (1 + self.bidirectional), batch_sizes[0], self.hidden_size)
        shape = full[::2] if single else full
        states = [s.reshape(full) for s in self._first(hx, shape, x)]
        x, states = self._run(x, states if order is None else [s[:, order] for s in states], batch_sizes)
        states = [s.reshape(shape) if back is None else s[:, back] for s in states]
        if packed:
            x = input._replace(data=x)
        else:
            x = x.reshape(len(batch_sizes), batch_sizes[0], -1)
            x = x.squeeze(1) if single else x.transpose(0, 1) if self.batch_first else x
        return x, (tuple(states) if self.mode == "lstm" else states[0])

    def _run(self, x: Any, states: list[Any], batch_sizes: list[int]) -> tuple[Any, list[Any]]:
        """All layers: the last one's states as rows, and the last state (and cell) of each layer and direction."""
        weights, last, directions = self.all_weights, [], 1 + self.bidirectional
        for first in range(0, len(weights), directions):
            if first:
                x = F.dropout(x, self.dropout, self.training)
            outs = []
            for k in range(first, first + directions):
                y, *ends = recurrent(self.mode, x, [s[k] for s in states], weights[k], batch_sizes, k > first)
                outs.append(y)
                last.append(ends)
            x = outs[0] if directions == 1 else minigrad.cat(outs, 1)
        return x, [minigrad.stack(ends) for ends in zip(*last, strict=True)]


class RNN(RNNBase):
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)`` at each step, or relu (Elman 1990); see :class:`RNNBase`."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        self.mode = self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
                         device=device, dtype=dtype)  # fmt: skip


class LSTM(RNNBase, mode="lstm"):
    """``c = f * c + i * g``, ``h = o * tanh(c)`` at each step (Hochreiter and Schmidhuber 1997); see :class:`RNNBase`.

    i, f, o are sigmoids and g is tanh of ``W_ih x + b_ih + W_hh h + b_hh``, whose parts are in the order i, f,
    g, o. The states, given and returned, are tuples (h, c).
    """


class GRU(RNNBase, mode="gru"):
    """``h = (1 - z) * n + z * h`` at each step (Cho et al. 2014); see :class:`RNNBase`.

    r and z are sigmoids of ``W_ih x + b_ih + W_hh h + b_hh``, and ``n = tanh(W_ih x + b_ih + r * (W_hh h + b_hh))``,
    with parts of the weights in the order r, z, n.
    """


class _Cell(_Recurrent, usual={"bias": True}):
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())
        self._add_weights([""], 1, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"{type(self).__name__}: expected input (N, {self.input_size}) or ({self.input_size},), "
                             f"got shape {tuple(input.shape)}")  # fmt: skip
        shape = (*input.shape[:-1], self.hidden_size)
        x = input.reshape(-1, self.input_size)
        states = [s.reshape(-1, self.hidden_size) for s in self._first(hx, shape, x)]
        _, *states = recurrent(self.mode, x, states, self.all_weights[0], [len(x)])
        return tuple(s.reshape(shape) for s in states) if self.mode == "lstm" else states[0].reshape(shape)


class RNNCell(_Cell):
    """One step of :class:`RNN`: input (N, input_size) and state (N, hidden_size) give the next state.

    All may lack N. The state is zeros by default.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        self.mode = self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", nonlinearity=relu" if self.mode == "relu" else "")


class LSTMCell(_Cell, mode="lstm"):
    """One step of :class:`LSTM`; the state is a tuple (h, c). See :class:`RNNCell`."""


class GRUCell(_Cell, mode="gru"):
    """One step of :class:`GRU`; see :class:`RNNCell`."""
