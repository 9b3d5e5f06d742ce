"""Recurrent layers: PyTorch's numbers written out, packed sequences, and what one sequence costs."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from minigrad.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)  # fmt: skip

import minigrad as mg
from minigrad import nn
from minigrad.engine import Node, edge_of
from minigrad.testing import assert_close

KINDS = [nn.RNN, nn.LSTM, nn.GRU]


def fill(module: nn.Module) -> nn.Module:
    """Weights that can be written down: sin(0), sin(1), ... / 2 through all parameters."""
    start = 0
    for param in module.parameters():
        values = np.sin(np.arange(start, start + param.numel())) / 2
        param.data = mg.tensor(values.reshape(param.shape))
        start += param.numel()
    return module


def steps(T: int, N: int, F: int) -> mg.Tensor:
    return mg.tensor(np.cos(np.arange(T * N * F)).reshape(T, N, F))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (nn.RNN, [0.5257318987, -0.0853889385]),
        (nn.LSTM, [0.0376692619, -0.2803607617]),
        (nn.GRU, [0.4225779008, -0.3003797884]),
    ],
)
def test_numbers_of_pytorch(kind: type, expected: list[float]) -> None:
    """``torch.nn.RNN(2, 2)`` and the others with the same weights, on the same 4 steps."""
    y, _ = fill(kind(2, 2))(steps(4, 1, 2))
    assert_close(y[-1, 0], np.array(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_names_shapes_and_start(kind: type) -> None:
    mg.manual_seed(0)
    layer = kind(3, 4, num_layers=2, bidirectional=True)
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind.__name__]
    shapes = {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()}
    assert list(shapes)[:8] == [f"{w}_l0{d}" for d in ("", "_reverse")
                                for w in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]  # fmt: skip
    assert shapes["weight_ih_l0_reverse"] == (4 * gates, 3)
    assert shapes["weight_ih_l1"] == (4 * gates, 8)
    assert shapes["weight_hh_l1_reverse"] == (4 * gates, 4)
    assert all(param.abs().max().item() <= 1 / math.sqrt(4) for param in layer.parameters())
    assert layer.weight_hh_l0.std().item() > 0.2
    assert len(layer.all_weights) == 4
    assert layer.all_weights[1][0] is layer.weight_ih_l0_reverse
    layer.flatten_parameters()


@pytest.mark.parametrize("kind", KINDS)
def test_last_states_belong_to_the_output(kind: type) -> None:
    y, last = kind(3, 4, num_layers=2, bidirectional=True)(mg.randn(5, 2, 3))
    h = last[0] if kind is nn.LSTM else last
    assert y.shape == (5, 2, 8)
    assert h.shape == (4, 2, 4)
    assert_close(y[-1, :, :4], h[2])
    assert_close(y[0, :, 4:], h[3])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_parts(kind: type) -> None:
    layer, x = kind(3, 4, 2).double(), mg.randn(6, 2, 3, dtype=mg.float64)
    y, last = layer(x)
    first, middle = layer(x[:4])
    second, end = layer(x[4:], middle)
    assert_close(mg.cat([first, second]), y)
    assert_close(end, last)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_is_a_step(kind: type) -> None:
    layer = kind(3, 4)
    cell = getattr(nn, kind.__name__ + "Cell")(3, 4)
    cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in layer.state_dict().items()})
    x, state, rows = mg.randn(3, 2, 3), None, []
    for t in range(3):
        state = cell(x[t], state)
        rows.append(state[0] if kind is nn.LSTM else state)
    assert_close(mg.stack(rows), layer(x)[0])
    assert cell(x[0, 0])[0].ndim == (1 if kind is nn.LSTM else 0)


# ----------------------------------------------------------------------------------------- cost


def nodes(tensor: Any) -> list[str]:
    """The names of all recorded operations below ``tensor``."""
    seen: set[Node] = set()
    stack = [edge_of(tensor)]
    while stack:
        edge = stack.pop()
        if isinstance(edge, Node) and edge not in seen:
            seen.add(edge)
            stack.extend(edge.edges)
    return [node.name for node in seen]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_recorded_does_not_grow_with_time(kind: type) -> None:
    layer = kind(3, 4)
    counts = [len(nodes(layer(mg.randn(T, 2, 3))[0])) for T in (2, 200)]
    assert counts[0] == counts[1] < 12
    assert nodes(layer(mg.randn(200, 2, 3))[0]).count("recurrence") == 1


def test_a_long_sequence() -> None:
    layer = nn.LSTM(3, 4)
    y, _ = layer(mg.randn(1000, 1, 3))
    y.sum().backward()
    assert np.isfinite(layer.weight_hh_l0.grad.numpy()).all()


def test_frozen_weights_get_no_gradient() -> None:
    layer = nn.GRU(3, 4)
    layer.weight_hh_l0.requires_grad_(False)
    x = mg.randn(3, 2, 3, requires_grad=True)
    layer(x)[0].sum().backward()
    assert layer.weight_hh_l0.grad is None
    assert layer.bias_hh_l0.grad is not None
    assert x.grad.shape == x.shape


def test_a_state_changed_in_place_is_noticed() -> None:
    y, h = nn.RNN(3, 4)(mg.randn(3, 2, 3))
    y.mul_(2)
    with pytest.raises(RuntimeError, match="changed in place"):
        (y.sum() + h.sum()).backward()


def test_the_state_may_depend_on_the_input() -> None:
    """Both derivatives, where one input of the recurrence is computed from another."""
    layer = nn.GRU(2, 2).double()

    def run(x: Any) -> Any:
        return layer(x, x[:1].tanh())[0]

    x = mg.randn(3, 1, 2, dtype=mg.float64, requires_grad=True)
    assert mg.autograd.gradcheck(run, (x,))
    assert mg.autograd.gradgradcheck(run, (x,))


def test_dropout_acts_between_layers_in_training() -> None:
    with pytest.warns(UserWarning, match="only one"):
        nn.GRU(3, 4, dropout=0.5)
    mg.manual_seed(0)
    layer, x = nn.GRU(3, 4, 2, dropout=0.5), mg.randn(3, 2, 3)
    assert not np.allclose(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())
    first = layer(x)[1][0]
    assert_close(first, layer(x)[1][0])  # the first layer's states are dropped only on their way
    layer.eval()
    assert_close(layer(x)[0], layer(x)[0])


def test_copies_and_dtypes() -> None:
    layer = nn.LSTM(3, 4, 2)
    again = copy.deepcopy(layer)
    x = mg.randn(3, 2, 3)
    assert_close(again(x), layer(x))
    assert layer(x)[0].dtype == mg.float32
    half = layer.half()(x.half())
    assert {half[0].dtype, *(s.dtype for s in half[1])} == {np.dtype("float16")}
    with pytest.raises(TypeError, match="float16"):
        layer(x)


# ------------------------------------------------------------------------------------- sequences


def test_packing_puts_steps_below_each_other() -> None:
    x = mg.tensor([[1, 4, 6], [2, 5, 0], [3, 0, 0]])
    packed = pack_padded_sequence(x, [3, 2, 1])
    assert packed.data.tolist() == [1, 4, 6, 2, 5, 3]
    assert packed.batch_sizes.tolist() == [3, 2, 1]
    assert packed.sorted_indices is None
    back, lengths = pad_packed_sequence(packed, padding_value=-1)
    assert back.tolist() == [[1, 4, 6], [2, 5, -1], [3, -1, -1]]
    assert lengths.tolist() == [3, 2, 1]
    assert pad_packed_sequence(packed, True, total_length=4)[0].tolist() == [[1, 2, 3, 0], [4, 5, 0, 0], [6, 0, 0, 0]]


def test_packing_in_any_order() -> None:
    sequences = [mg.tensor([1.0]), mg.tensor([2.0, 3.0, 4.0]), mg.tensor([5.0, 6.0])]
    packed = pack_sequence(sequences, enforce_sorted=False)
    assert packed.data.tolist() == [2, 5, 1, 3, 6, 4]
    assert packed.sorted_indices.tolist() == [1, 2, 0]
    assert packed.unsorted_indices.tolist() == [2, 0, 1]
    assert [s.tolist() for s in unpack_sequence(packed)] == [[1], [2, 3, 4], [5, 6]]
    double = packed.to(mg.float64)
    assert isinstance(double, PackedSequence)
    assert double.data.dtype == mg.float64


def test_padding_sequences() -> None:
    sequences = [mg.tensor([1.0]), mg.tensor([2.0, 3.0])]
    assert pad_sequence(sequences).tolist() == [[1, 2], [0, 3]]
    assert pad_sequence(sequences, batch_first=True, padding_value=9).tolist() == [[1, 9], [2, 3]]
    assert pad_sequence(sequences, True, padding_side="left").tolist() == [[0, 1], [2, 3]]
    assert [s.tolist() for s in unpad_sequence(pad_sequence(sequences), mg.tensor([1, 2]))] == [[1], [2, 3]]
    assert pad_sequence([mg.zeros(2, 3), mg.zeros(4, 3)]).shape == (4, 2, 3)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_each_packed_sequence_runs_as_if_alone(kind: type, bidirectional: bool) -> None:
    layer = kind(3, 4, 2, bidirectional=bidirectional).double()
    sequences = [mg.randn(n, 3, dtype=mg.float64, requires_grad=True) for n in (2, 5, 1, 5)]
    y, last = layer(pack_sequence(sequences, enforce_sorted=False))
    outputs = unpack_sequence(y)
    sum((o * o).sum() for o in outputs).backward()
    grads = [layer.weight_hh_l0.grad.clone(), *[s.grad.clone() for s in sequences]]
    layer.zero_grad()
    for k, sequence in enumerate(sequences):
        sequence.grad = None
        alone, end = layer(sequence)
        assert_close(outputs[k], alone)
        assert_close([s[:, k] for s in last] if kind is nn.LSTM else last[:, k], list(end) if kind is nn.LSTM else end)
        (alone * alone).sum().backward()
    assert_close(grads, [layer.weight_hh_l0.grad, *[s.grad for s in sequences]])
