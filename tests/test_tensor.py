"""What a Tensor is and holds: values, memory, casts, copies, pickles."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import minigrad as mg

FLOATS = [mg.float16, mg.float32, mg.float64]


def test_shape_and_size() -> None:
    x = mg.zeros(2, 3, dtype=mg.float64)
    assert x.shape == x.size() == (2, 3)
    assert (x.size(0), x.size(-1), x.size(dim=1)) == (2, 3, 3)
    assert x.ndim == x.dim() == x.ndimension() == 2
    assert x.numel() == x.nelement() == 6
    assert x.itemsize == x.element_size() == 8
    assert x.nbytes == 48
    assert len(x) == 2
    assert mg.zeros(0, 3).numel() == 0
    assert mg.tensor(1).shape == ()


def test_names_that_are_no_operations() -> None:
    assert mg.ones(2)[:, mg.newaxis].shape == (2, 1)
    assert mg.__version__.count(".") == 2


def test_memory_layout() -> None:
    x = mg.zeros(2, 3)
    assert x.stride() == (3, 1)
    assert x.stride(0) == 3
    assert x.is_contiguous()
    assert x.t().stride() == (1, 3)
    assert not x.t().is_contiguous()
    assert x.data_ptr() == x.detach().data_ptr() == x[0].data_ptr()
    assert x[1].data_ptr() == x.data_ptr() + 12


def test_device() -> None:
    x = mg.zeros(2)
    assert x.device == mg.device("cpu") == mg.device("cpu:0") == mg.device("cpu", 0)
    assert (x.device.type, x.device.index) == ("cpu", None)
    assert str(mg.device("cpu:0")) == "cpu:0"
    assert repr(x.device) == "device(type='cpu')"
    assert len({x.device, mg.device("cpu")}) == 1
    assert mg.device(x.device) == x.device
    assert pickle.loads(pickle.dumps(x.device)) == x.device
    assert not x.is_cuda
    assert not mg.cuda.is_available()
    assert mg.cuda.device_count() == 0
    assert x.cpu() is x.to("cpu") is x.to(device=x.device) is x


def test_values_as_python() -> None:
    x = mg.tensor([[1.5, 2.0], [3.0, 4.0]])
    assert x.tolist() == [[1.5, 2.0], [3.0, 4.0]]
    assert mg.tensor(3).tolist() == 3
    assert type(mg.tensor(3).item()) is int
    assert type(mg.tensor([[2.5]]).item()) is float
    assert mg.tensor(True).item() is True
    assert (int(mg.tensor(2.7)), float(mg.tensor(2)), bool(mg.tensor([0.0]))) == (2, 2.0, False)
    assert [10, 20, 30][mg.tensor(1)] == 20
    assert list(range(mg.tensor(2))) == [0, 1]
    assert [row.tolist() for row in x] == x.tolist()
    assert 3.0 in x
    assert 5 not in x
    assert mg.tensor(2.0) in x
    with pytest.raises(RuntimeError):
        mg.ones(1, requires_grad=True).numpy()
    assert mg.ones(1, requires_grad=True).item() == 1


def test_shift_operators() -> None:
    x = mg.tensor([1, 6])
    assert [(x << 2).tolist(), (1 << x).tolist(), (x >> 1).tolist(), (64 >> x).tolist()] == [
        [4, 24], [2, 64], [0, 3], [32, 1],
    ]  # fmt: skip
    same = x
    x <<= 1
    x >>= 2
    assert x is same
    assert x.tolist() == [0, 3]


def test_iteration_is_differentiable() -> None:
    x = mg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    total = sum(value * k for k, value in enumerate(x))
    total.backward()
    assert x.grad.tolist() == [0, 1, 2]


def test_numpy_lends_memory() -> None:
    x = mg.tensor([1.0, 2.0])
    array = x.numpy()
    array[0] = 5
    assert x.tolist() == [5, 2]
    w = mg.ones(2, requires_grad=True)
    y = (w * x).sum()
    array[1] = 7
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    assert w.numpy(force=True).tolist() == [1, 1]
    for shape in ((), (0,), (2, 0), (1, 2, 3)):
        assert mg.zeros(shape).numpy().shape == shape


def test_dlpack_both_ways() -> None:
    x = mg.tensor([1.0, 2.0])
    array = np.from_dlpack(x)
    assert array.dtype == np.float32
    assert np.shares_memory(array, x.numpy())
    assert x.__dlpack_device__() == (1, 0)
    v = mg.ones(2, requires_grad=True)
    loss = (v * x).sum()
    array[0] = 9  # what was lent through DLPack is watched, too
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()
    source = np.arange(3.0)
    y = mg.from_dlpack(source)
    assert np.shares_memory(y.numpy(), source)
    z = mg.from_dlpack(x)
    assert z.data_ptr() == x.data_ptr()
    w = mg.ones(3, dtype=mg.float64, requires_grad=True)
    loss = (w * y).sum()
    source[0] = 9
    with pytest.raises(RuntimeError, match="changed in place"):
        loss.backward()


@pytest.mark.parametrize("source", FLOATS)
@pytest.mark.parametrize("target", FLOATS)
def test_casts_between_floats_are_differentiable(source: np.dtype, target: np.dtype) -> None:
    x = mg.tensor([1.5, -2.0], dtype=source, requires_grad=True)
    y = x.to(target)
    assert y.dtype == target
    (y * mg.tensor([1.0, 3.0], dtype=target)).sum().backward()
    assert x.grad.dtype == source
    assert x.grad.tolist() == [1, 3]
    second = mg.tensor([1.5, -2.0], dtype=source, requires_grad=True)
    (g,) = mg.autograd.grad((second.to(target) ** 3).sum(), second, create_graph=True)
    g.sum().backward()
    assert second.grad.tolist() == [9, -12]


def test_casts_to_integers_cut_the_graph() -> None:
    x = mg.tensor([1.7, -2.7], requires_grad=True)
    assert not x.long().requires_grad
    assert x.long().tolist() == [1, -2]
    assert x.bool().tolist() == [True, True]
    assert mg.tensor([1.0, 0.0, float("nan")]).bool().tolist() == [True, False, True]


def test_to_in_every_spelling() -> None:
    x = mg.tensor([1, 2])
    other = mg.zeros(1, dtype=mg.float64)
    for y in (
        x.to(mg.float64), x.to(dtype=mg.float64), x.to("cpu", mg.float64), x.to(mg.device("cpu"), mg.float64),
        x.to(other), x.type_as(other), x.type(mg.float64), x.type(mg.DoubleTensor), x.double(), x.to(np.float64),
        x.to(mg.float64, non_blocking=True),
    ):  # fmt: skip
        assert y.dtype == mg.float64
        assert y.tolist() == [1, 2]
    assert x.to(mg.int64) is x.long() is x.to() is x.to("cpu") is x
    copied = x.to(mg.int64, copy=True)
    assert copied is not x
    assert not np.shares_memory(copied, x)
    names = {"half": "float16", "float": "float32", "double": "float64", "byte": "uint8", "char": "int8",
             "short": "int16", "int": "int32", "long": "int64", "bool": "bool"}  # fmt: skip
    for method, dtype in names.items():
        assert getattr(x, method)().dtype == dtype


def test_casts_are_silent_beyond_the_range() -> None:
    assert mg.tensor([1e300], dtype=mg.float64).float().item() == float("inf")
    assert mg.tensor([float("nan")]).long().shape == (1,)


def test_detach_in_place() -> None:
    x = mg.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y
    assert y.is_leaf
    assert not y.requires_grad
    assert not x.detach().requires_grad


def test_deepcopy() -> None:
    x = mg.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    x.note = [1]
    model = {"a": x, "b": x, "c": x.detach()}
    copied = copy.deepcopy(model)
    assert copied["a"] is copied["b"]
    assert copied["a"].requires_grad
    assert copied["a"].grad.tolist() == [3, 3]
    assert not np.shares_memory(copied["a"].detach(), x.detach())
    assert not np.shares_memory(copied["a"].grad, x.grad)
    assert copied["a"].note == [1]
    assert copied["a"].note is not x.note


def test_copy_shares_memory() -> None:
    x = mg.ones(2, requires_grad=True)
    y = copy.copy(x)
    assert y is not x
    assert y.requires_grad
    assert np.shares_memory(y.detach(), x.detach())


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol: int) -> None:
    for x in (mg.ones(2, 3, requires_grad=True), mg.tensor(3), mg.zeros(0, dtype=mg.bool), mg.zeros(2, 3).t()):
        again = pickle.loads(pickle.dumps(x, protocol))
        assert type(again) is mg.Tensor
        assert again.requires_grad == x.requires_grad
        assert again.dtype is x.dtype
        assert again.tolist() == x.tolist()
    parameter = mg.nn.Parameter(mg.ones(2), requires_grad=False)
    again = pickle.loads(pickle.dumps(parameter, protocol))
    assert type(again) is mg.nn.Parameter
    assert not again.requires_grad


def test_subclasses_take_part() -> None:
    class Mask(mg.Tensor):
        __slots__ = ()

    mask = Mask([1.0, 2.0], requires_grad=True)
    assert type(copy.deepcopy(mask)) is Mask
    result = mask * 2 + np.ones(2, "float32")
    assert type(result) is mg.Tensor
    result.sum().backward()
    assert mask.grad.tolist() == [2, 2]


def test_requires_grad_can_be_set_on_leaves_alone() -> None:
    x = mg.ones(2)
    assert x.requires_grad_().requires_grad
    assert not x.requires_grad_(False).requires_grad
    y = x.requires_grad_() * 2
    with pytest.raises(RuntimeError, match="only a leaf"):
        y.requires_grad = False
    with pytest.raises(TypeError, match="only floating-point"):
        mg.tensor([1]).requires_grad_()
