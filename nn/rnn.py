"""Recurrent layers: states that are carried from step to step through a sequence."""

from __future__ import annotations

import math
import warnings
from typing import Any

import minigrad
from minigrad.kernels.recurrent import GATES
from minigrad.ops.recurrent import recurrent

from . import functional as F
from . import init
from .linear import check_size
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence


class _Recurrent(Module):
    """What layers and cells share: weights of PyTorch's names, shapes and start, and first states."""

    def _set_up(self, mode: str, input_size: int, hidden_size: int, bias: bool, suffixes: list[str], directions: int,
                **options: Any) -> None:  # fmt: skip
        name = type(self).__name__
        if mode not in GATES:
            raise ValueError(f"{name}: nonlinearity must be 'tanh' or 'relu', got {mode!r}")
        self.mode, self.bias, self._suffixes = mode, bias, suffixes
        self.input_size = check_size(input_size, name, "input_size")
        self.hidden_size = check_size(hidden_size, name, "hidden_size")
        rows = GATES[mode] * hidden_size
        for suffix in self._suffixes:
            features = input_size if suffix in ("", "_l0", "_l0_reverse") else directions * hidden_size
            shapes: list[tuple[int, ...]] = [(rows, features), (rows, hidden_size), (rows,), (rows,)]
            kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]
            for kind, shape in zip(kinds, shapes, strict=False):
                self.register_parameter(kind + suffix, Parameter(minigrad.empty(shape, **options)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, uniform within ``1 / sqrt(hidden_size)``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        count = 4 if self.bias else 2
        params = list(self._parameters.values())
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

    def __init__(self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        name = type(self).__name__
        if proj_size:
            raise NotImplementedError(f"{name}: proj_size={proj_size} is not available; put a Linear layer on top")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a probability from 0 to 1, got {dropout!r}")
        self.num_layers = check_size(num_layers, name, "num_layers")
        self.batch_first, self.dropout, self.bidirectional = batch_first, float(dropout), bidirectional
        if dropout and num_layers == 1:
            warnings.warn(f"{name}: dropout={dropout} acts between layers, of which there is only one", stacklevel=3)
        directions = ("", "_reverse")[: 1 + bidirectional]
        suffixes = [f"_l{layer}{direction}" for layer in range(num_layers) for direction in directions]
        self._set_up(mode, input_size, hidden_size, bias, suffixes, len(directions), device=device, dtype=dtype)

    def flatten_parameters(self) -> None:
        """Nothing to do: there is no device whose memory would have to be arranged."""

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        packed = isinstance(input, PackedSequence)
        x = input.data if packed else input
        if x.ndim not in ((2,) if packed else (2, 3)) or x.shape[-1] != self.input_size or 0 in x.shape:
            raise ValueError(f"{type(self).__name__}: expected input (T, N, {self.input_size}) or (T, "
                             f"{self.input_size}) with T, N > 0, got shape {tuple(x.shape)}")  # fmt: skip
        single = not packed and x.ndim == 2
        if packed:
            batch_sizes, order, back = input.batch_sizes.tolist(), input.sorted_indices, input.unsorted_indices
        else:
            x = x.unsqueeze(1) if single else x.transpose(0, 1) if self.batch_first else x
            batch_sizes, order, back = [x.shape[1]] * len(x), None, None
            x = x.reshape(-1, self.input_size)
        full = (len(self._suffixes), batch_sizes[0], self.hidden_size)
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

    def extra_repr(self) -> str:
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        changed = [f"{k}={getattr(self, k)}" for k, default in defaults.items() if getattr(self, k) != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *changed])


class RNN(RNNBase):
    """``h = tanh(W_ih x + b_ih + W_hh h + b_hh)`` at each step, or relu (Elman 1990); see :class:`RNNBase`."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh",
                 *args: Any, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(nonlinearity, input_size, hidden_size, num_layers, *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """``c = f * c + i * g``, ``h = o * tanh(c)`` at each step (Hochreiter and Schmidhuber 1997); see :class:`RNNBase`.

    i, f, o are sigmoids and g is tanh of ``W_ih x + b_ih + W_hh h + b_hh``, whose parts are in the order i, f,
    g, o. The states, given and returned, are tuples (h, c).
    """

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("lstm", input_size, hidden_size, *args, **kwargs)


class GRU(RNNBase):
    """``h = (1 - z) * n + z * h`` at each step (Cho et al. 2014); see :class:`RNNBase`.

    r and z are sigmoids of ``W_ih x + b_ih + W_hh h + b_hh``, and ``n = tanh(W_ih x + b_ih + r * (W_hh h + b_hh))``,
    with parts of the weights in the order r, z, n.
    """

    def __init__(self, input_size: int, hidden_size: int, *args: Any, **kwargs: Any) -> None:
        super().__init__("gru", input_size, hidden_size, *args, **kwargs)


class RNNCell(_Recurrent):
    """One step of :class:`RNN`: input (N, input_size) or (input_size,) and the state before give the next state."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh",
                 device: Any = None, dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        self._set_up(nonlinearity, input_size, hidden_size, bias, [""], 1, device=device, dtype=dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(f"{type(self).__name__}: expected input (N, {self.input_size}) or ({self.input_size},), "
                             f"got shape {tuple(input.shape)}")  # fmt: skip
        shape = (*input.shape[:-1], self.hidden_size)
        x = input.reshape(-1, self.input_size)
        states = [s.reshape(-1, self.hidden_size) for s in self._first(hx, shape, x)]
        _, *states = recurrent(self.mode, x, states, self.all_weights[0], [len(x)])
        return tuple(s.reshape(shape) for s in states) if self.mode == "lstm" else states[0].reshape(shape)

    def extra_repr(self) -> str:
        nonlinearity = f", nonlinearity={self.mode}" if self.mode == "relu" else ""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False") + nonlinearity


class LSTMCell(RNNCell):
    """One step of :class:`LSTM`; the state is a tuple (h, c).

    Input (N, input_size), h and c (N, hidden_size) give the next h and c.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *args: Any, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, bias, "lstm", *args, **kwargs)


class GRUCell(RNNCell):
    """One step of :class:`GRU`.

    Input (N, input_size) and state (N, hidden_size) give the next state, (N, hidden_size).
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, *args: Any, **kwargs: Any) -> None:
        super().__init__(input_size, hidden_size, bias, "gru", *args, **kwargs)
