"""Every layer gives what PyTorch's gives; and normalization, embeddings and the helpers around modules in detail."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.testing import assert_close

from .layers import Case, cases, fingerprint, run

STORED = np.load(Path(__file__).parent / "data" / "layers.npz")
EXPECTED = dict(zip(STORED["names"].tolist(), STORED["numbers"], strict=True))
LOOSE = {"nn.Hardsigmoid()": 1e-6}  # PyTorch's gradient is 1/6 in single precision


@pytest.fixture
def double() -> Iterator[None]:
    mg.set_default_dtype(mg.float64)
    yield
    mg.set_default_dtype(mg.float32)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("case", cases, ids=lambda case: case.name)
def test_layer_equals_the_one_of_pytorch(case: Case) -> None:
    """Outputs, all gradients, state and print; ``compare_torch.py`` says in detail what differs."""
    for training in case.modes:
        named, values = fingerprint(*run(mg, case, training))
        assert named == EXPECTED[case.name][int(training)][0], "it is printed otherwise, or its state has other names"
        tolerance = LOOSE.get(case.text, 1e-10)
        np.testing.assert_allclose(values, EXPECTED[case.name][int(training)][1], rtol=tolerance, atol=tolerance)


def test_every_layer_is_compared() -> None:
    named = {name for case in cases for name in re.findall(r"nn\.([A-Z]\w*)\(", case.text)}
    containers = {"Module", "Parameter", "Buffer", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
    assert {name for name, value in vars(nn).items() if inspect.isclass(value)} - containers == named
    assert len(EXPECTED) == len(cases)


# ---------------------------------------------------------------------------------- normalization


def test_running_averages() -> None:
    layer = nn.BatchNorm1d(1, momentum=0.25)
    x = mg.tensor([[1.0], [3.0]])
    layer(x)
    assert layer.running_mean.item() == pytest.approx(0.25 * 2)
    assert layer.running_var.item() == pytest.approx(0.75 * 1 + 0.25 * 2)  # the unbiased variance
    assert layer.num_batches_tracked.item() == 1
    layer.eval()
    assert_close(layer(x), (x - 0.5) / (1.25 + 1e-5) ** 0.5)
    assert layer.num_batches_tracked.item() == 1
    layer.reset_running_stats()
    assert (layer.running_mean.item(), layer.running_var.item(), layer.num_batches_tracked.item()) == (0, 1, 0)


def test_momentum_none_averages_all_batches() -> None:
    layer = nn.BatchNorm1d(1, momentum=None)
    for value in (1.0, 2.0, 6.0):
        layer(mg.tensor([[value - 1], [value + 1]]))
    assert layer.running_mean.item() == pytest.approx(3.0)
    assert layer.running_var.item() == pytest.approx(2.0)


def test_states_from_before_batches_were_counted() -> None:
    """And those that other formats keep without the version."""
    old = nn.BatchNorm1d(1)
    old(mg.tensor([[1.0], [3.0]]))
    state = old.state_dict()
    del state["num_batches_tracked"]
    net = nn.Sequential(nn.BatchNorm1d(1))
    net.load_state_dict({f"0.{name}": value for name, value in state.items()})
    assert net[0].running_mean.item() == pytest.approx(0.2)
    assert net[0].num_batches_tracked.item() == 0
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        nn.BatchNorm1d(1).load_state_dict(state)  # its version says that there must be one


def test_batch_norm_in_a_cast_module_keeps_its_count() -> None:
    layer = nn.BatchNorm1d(2).double()
    assert layer.running_mean.dtype == mg.float64
    assert layer.num_batches_tracked.dtype == mg.int64
    assert layer(mg.zeros(3, 2, dtype=mg.float64)).dtype == mg.float64


# -------------------------------------------------------------------------------------- embedding


def test_padding_row_is_zero_and_stays() -> None:
    layer = nn.Embedding(4, 3, padding_idx=-2)
    assert layer.padding_idx == 2
    assert layer.weight[2].tolist() == [0, 0, 0]
    layer(mg.tensor([[2, 1]])).sum().backward()
    assert layer.weight.grad.tolist() == [[0] * 3, [1] * 3, [0] * 3, [0] * 3]


def test_pretrained_embeddings() -> None:
    table = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    frozen = nn.Embedding.from_pretrained(table)
    assert frozen(mg.tensor([1])).tolist() == [[3, 4]]
    assert not frozen.weight.requires_grad
    assert nn.EmbeddingBag.from_pretrained(table, freeze=False, mode="sum").weight.requires_grad
    assert repr(nn.EmbeddingBag(2, 2, padding_idx=1)) == "EmbeddingBag(2, 2, mode='mean', padding_idx=1)"


# ------------------------------------------------------------------------------ helpers: gradients


def params(*grads: list[float] | None) -> list[nn.Parameter]:
    made = [nn.Parameter(mg.zeros(2)) for _ in grads]
    for param, g in zip(made, grads, strict=True):
        param.grad = None if g is None else mg.tensor(g)
    return made


def test_clip_grad_norm() -> None:
    tensors = params([3.0, 0.0], None, [0.0, 4.0])
    assert nn.utils.clip_grad_norm_(tensors, 1.0).item() == 5
    assert_close(tensors[0].grad, np.float32([0.6, 0]), rtol=0, atol=1e-6)
    assert_close(tensors[2].grad, np.float32([0, 0.8]), rtol=0, atol=1e-6)
    assert nn.utils.clip_grad_norm_(tensors, 10.0).item() == pytest.approx(1)
    assert tensors[2].grad[1].item() == pytest.approx(0.8)  # never scaled up
    assert nn.utils.clip_grad_norm_(params([3.0, -4.0]), 1.0, float("inf")).item() == 4
    assert nn.utils.clip_grad_norm_(params([3.0, -4.0]), 1.0, 1).item() == 7
    assert nn.utils.clip_grad_norm_(params(None), 1.0).item() == 0
    assert nn.utils.clip_grad_norm_(params([3.0, 4.0])[0], 1.0).item() == 5
    assert nn.utils.get_total_norm(mg.tensor([3.0, 4.0])).item() == 5


def test_clip_grad_value() -> None:
    tensors = params([3.0, -4.0], None)
    nn.utils.clip_grad_value_(tensors, 3.5)
    assert tensors[0].grad.tolist() == [3, -3.5]


def test_parameters_as_a_vector() -> None:
    layer = nn.Linear(2, 3)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    nn.utils.vector_to_parameters(mg.arange(9, dtype=mg.float32), layer.parameters())
    assert layer.weight.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert layer.bias.tolist() == [6, 7, 8]
    vector.sum().backward()
    assert layer.weight.grad.tolist() == [[1, 1]] * 3


# --------------------------------------------------------------------- helpers: computed weights


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim: int | None) -> None:
    layer = nn.Linear(3, 4)
    before, x = layer.weight.detach().clone(), mg.randn(2, 3)
    y = layer(x)
    nn.utils.weight_norm(layer, dim=dim)
    assert list(layer.state_dict()) == ["bias", "weight_g", "weight_v"]
    assert_close(layer.weight, before)
    assert_close(layer(x), y)
    with mg.no_grad():
        layer.weight_g.mul_(2)
    assert_close(layer(x) - layer.bias, 2 * (y - layer.bias), rtol=1e-5, atol=1e-5)
    layer(x).sum().backward()
    assert_close((layer.weight_v.grad * layer.weight_v).sum(), mg.tensor(0.0), rtol=0, atol=1e-5)  # only turns
    nn.utils.remove_weight_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]
    assert_close(layer.weight, 2 * before)
    assert not layer._hooks


def test_spectral_norm_finds_the_largest_singular_value() -> None:
    layer = nn.utils.spectral_norm(nn.Linear(3, 4), n_power_iterations=50)
    assert set(layer.state_dict()) == {"bias", "weight_orig", "weight_u", "weight_v"}
    layer(mg.randn(2, 3))
    largest = np.linalg.svd(layer.weight_orig.detach().numpy(), compute_uv=False)[0]
    assert_close(layer.weight, layer.weight_orig / float(largest), rtol=1e-4, atol=1e-4)
    layer.eval()
    u = layer.weight_u.clone()
    layer(mg.randn(2, 3)).sum().backward()
    assert_close(layer.weight_u, u)
    assert layer.weight_orig.grad is not None
    again = copy.deepcopy(nn.utils.remove_spectral_norm(layer))
    assert float(np.linalg.svd(again.weight.detach().numpy(), compute_uv=False)[0]) == pytest.approx(1, abs=1e-4)
