"""The table of a model's layers says what they are and cost."""

from __future__ import annotations

from typing import Any

import pytest

import minigrad
from minigrad import nn
from minigrad.model_summary import Layer, Summary
from minigrad.nn import functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, groups=1), nn.BatchNorm2d(8), nn.ReLU())
        self.scale = nn.Parameter(minigrad.ones(4, 4), requires_grad=False)
        self.head = nn.Linear(8, 4)
        self.unused = nn.Dropout()

    def forward(self, x: Any) -> Any:
        return F.log_softmax(self.head(self.features(x).mean((2, 3))) @ self.scale, 1)


def rows(found: Summary) -> dict[str, Layer]:
    return {layer.name: layer for layer in found.layers}


def test_table() -> None:
    found = minigrad.summary(Net(), (2, 3, 6, 6), verbose=False)
    assert str(found).splitlines()[0].split() == ["Layer", "Output", "shape", "Parameters", "Multiply-adds",
                                                  "Activations"]  # fmt: skip
    table = rows(found)
    assert list(table) == ["Net", "features: Sequential", "0: Conv2d", "1: BatchNorm2d", "2: ReLU", "head: Linear",
                           "unused: Dropout"]  # fmt: skip
    assert [layer.depth for layer in found.layers] == [0, 1, 2, 2, 2, 1, 1]
    conv = table["0: Conv2d"]
    assert (conv.output_shape, conv.parameters) == ((2, 8, 4, 4), 8 * 3 * 9 + 8)
    assert (conv.multiply_adds, conv.activation_bytes) == (2 * 8 * 4 * 4 * 3 * 9, 2 * 8 * 4 * 4 * 4)
    batch_norm = table["1: BatchNorm2d"]
    assert (batch_norm.parameters, batch_norm.state_bytes) == (16, 4 * 32 + 8)  # and two statistics, and an int64
    assert table["Net"].parameters == 16
    assert table["Net"].multiply_adds == 2 * 4 * 4  # the product in its own forward
    assert table["unused: Dropout"].output_shape == "not called"
    assert found.total.parameters == sum(p.numel() for p in Net().parameters())
    text = str(found)
    assert "unused: Dropout       not called" in text
    assert text.endswith(f"Memory of parameters and buffers: {found.total.state_bytes / 1024:.4g} KiB")


def test_prints(capsys: pytest.CaptureFixture[str]) -> None:
    found = minigrad.summary(nn.Linear(2, 2), (1, 2))
    assert capsys.readouterr().out == f"{found}\n"


MULTIPLY_ADDS = {
    "linear": (nn.Linear(5, 7), (2, 3, 5), 2 * 3 * 5 * 7),
    "conv_groups": (nn.Conv1d(4, 6, 3, groups=2), (1, 4, 10), 6 * 8 * 2 * 3),
    "conv_transpose": (nn.ConvTranspose2d(4, 6, 3), (1, 4, 5, 5), 4 * 25 * 6 * 9),
    "lstm": (nn.LSTM(3, 5), (7, 2, 3), 7 * 2 * 4 * 5 * (3 + 5)),
    "gru_cell": (nn.GRUCell(3, 5), (2, 3), 2 * 3 * 5 * (3 + 5)),
    "bilinear": (nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)], 2 * 3 * 4 * 5 + 2 * 4 * 5),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16), (6, 1, 8), 6 * (4 * 64 + 2 * 8 * 16) + 2 * 6 * 6 * 8),
    "relu": (nn.ReLU(), (3, 4), 0),
}


@pytest.mark.parametrize("name", MULTIPLY_ADDS)
def test_multiply_adds(name: str) -> None:
    model, size, expected = MULTIPLY_ADDS[name]
    assert minigrad.summary(model, size, verbose=False).total.multiply_adds == expected


def test_einsum() -> None:
    class Product(nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return minigrad.einsum("bij,bjk->bik", a, b)

    assert minigrad.summary(Product(), [(2, 3, 4), (2, 4, 5)], verbose=False).total.multiply_adds == 2 * 3 * 4 * 5


def test_inputs_and_outputs() -> None:
    ids = minigrad.tensor([[1, 2]])
    assert minigrad.summary(nn.Embedding(5, 3), input_data=ids, verbose=False).layers[0].output_shape == (1, 2, 3)
    found = minigrad.summary(nn.Embedding(5, 3), (1, 2), dtype=minigrad.int64, verbose=False)
    assert found.layers[0].output_shape == (1, 2, 3)
    found = minigrad.summary(nn.LSTM(2, 3), (4, 1, 2), verbose=False)
    assert found.layers[0].output_shape == [(4, 1, 3), [(1, 1, 3), (1, 1, 3)]]
    found = minigrad.summary(nn.Linear(2, 3), input_data=(minigrad.ones(4, 2),), verbose=False)
    assert found.layers[0].output_shape == (4, 3)
    with pytest.raises(ValueError, match="give either input_size or input_data"):
        minigrad.summary(nn.ReLU())


def test_shared_layers_count_once() -> None:
    linear = nn.Linear(3, 3)
    tied = nn.Linear(3, 3)
    tied.weight = linear.weight
    found = minigrad.summary(nn.Sequential(linear, linear, tied), (2, 3), verbose=False)
    assert (found.total.parameters, found.total.multiply_adds) == (9 + 3 + 3, 3 * 2 * 9)


def test_leaves_the_model_as_it_was() -> None:
    net = Net()
    net.head.eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = minigrad.get_rng_state()
    minigrad.summary(net, (2, 3, 6, 6), verbose=False)
    assert all((net.state_dict()[name] == tensor).all() for name, tensor in before.items())
    assert (net.training, net.head.training) == (True, False)
    assert (minigrad.get_rng_state() == state).all()
    assert not any(module._hooks for module in net.modules())
    with pytest.raises(ValueError, match="channels"):
        minigrad.summary(net, (2, 5, 6, 6), verbose=False)
    assert (net.training, net.head.training) == (True, False)


def test_input_size_of_one_dimension() -> None:
    assert minigrad.summary(nn.Linear(5, 2), 5, verbose=False).layers[0].output_shape == (2,)
