"""Tensors from data and formulas. Values in comments and tables are PyTorch's."""

from __future__ import annotations

import array
import enum
import pickle

import numpy as np
import pytest

import minigrad as mg


class Color(enum.IntEnum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    ("data", "dtype", "values"),
    [
        (1.5, "float32", 1.5),
        (2, "int64", 2),
        (True, "bool", True),
        ([1, 2.5], "float32", [1, 2.5]),
        ([True, 2], "int64", [1, 2]),
        ([True, 2.0], "float32", [1, 2]),
        ([], "float32", []),
        ([[], []], "float32", [[], []]),
        (((1, 2), [3, 4]), "int64", [[1, 2], [3, 4]]),
        (range(3), "int64", [0, 1, 2]),
        ([range(2), [5, 6]], "int64", [[0, 1], [5, 6]]),
        (Color.BLUE, "int64", 2),
        ([Color.RED, 2.5], "float32", [1, 2.5]),
        (np.float64(1), "float64", 1),
        (np.array([1, 2], "int8"), "int8", [1, 2]),
        ([np.float64(1), 2], "float64", [1, 2]),
        ([np.float32(1), 2.0], "float32", [1, 2]),
        ([np.array([1, 2], "int8"), [3, 4]], "int64", [[1, 2], [3, 4]]),
        ([np.array([1.0, 2.0]), np.array([1.0, 2.0])], "float64", [[1, 2], [1, 2]]),
        (array.array("f", [1, 2]), "float32", [1, 2]),
        (bytearray(b"ab"), "uint8", [97, 98]),
        (1e300, "float32", np.inf),
        ([float("nan"), 1], "float32", [np.nan, 1]),
    ],
    ids=repr,
)
def test_inferred_dtype(data: object, dtype: str, values: object) -> None:
    tensor = mg.tensor(data)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.numpy(), np.array(values, dtype))


def test_sequences_of_tensors() -> None:
    a, b = mg.tensor([1.0, 2.0]), mg.tensor([3, 4])
    assert mg.tensor([a, b]).tolist() == [[1, 2], [3, 4]]
    assert mg.tensor([a, b]).dtype == mg.float32
    assert mg.tensor([mg.tensor(1.0, dtype=mg.float64), 2]).dtype == mg.float64
    assert mg.tensor([[a, a], [b, b]]).shape == (2, 2, 2)
    assert mg.tensor([a, [5, 6]]).tolist() == [[1, 2], [5, 6]]


def test_values_taken_out_of_a_graph_warn() -> None:
    loss = mg.tensor(1.0, requires_grad=True)
    with pytest.warns(UserWarning, match=r"no gradient will flow back; stack\(\) keeps it") as caught:
        mg.tensor([loss, loss])
    assert caught[0].filename == __file__


def test_explicit_dtype() -> None:
    assert mg.tensor([1.7, -1.7], dtype=mg.int64).tolist() == [1, -1]
    assert mg.tensor([0, 2], dtype=mg.bool).tolist() == [False, True]
    assert mg.tensor(-1, dtype=mg.uint8).item() == 255
    assert mg.tensor([1, 2], dtype=float).dtype == mg.float32
    assert mg.tensor(np.ones(2), dtype=mg.float16).dtype == mg.float16
    assert mg.tensor(2**53 + 1).item() == 2**53 + 1
    assert mg.tensor([2**53 + 1, 1], dtype=mg.int64)[0].item() == 2**53 + 1


def test_tensor_always_copies() -> None:
    source = np.ones(3)
    for data in (source, mg.from_numpy(source), source[::-1], memoryview(source)):
        tensor = mg.tensor(data)
        assert not np.shares_memory(tensor.numpy(), source)
        assert mg.Tensor(data).dtype == mg.float32
    requires = mg.tensor(mg.tensor([1.0], requires_grad=True))
    assert requires.is_leaf
    assert not requires.requires_grad


def test_as_tensor_and_asarray_share_where_they_can() -> None:
    source, tensor = np.ones(3), mg.ones(3, requires_grad=True)
    assert np.shares_memory(mg.as_tensor(source).numpy(), source)
    assert not np.shares_memory(mg.as_tensor(source, dtype=mg.float32).numpy(), source)
    assert mg.as_tensor(tensor) is tensor
    assert mg.as_tensor(tensor, mg.float64).requires_grad  # a recorded cast
    assert mg.asarray(tensor) is tensor
    assert not np.shares_memory(mg.asarray(source, copy=True).numpy(), source)
    assert np.shares_memory(mg.asarray(source, copy=False).numpy(), source)
    assert mg.asarray([1, 2], dtype=mg.float32, requires_grad=True).requires_grad


def test_from_numpy() -> None:
    source = np.arange(6.0).reshape(2, 3)
    tensor = mg.from_numpy(source.T)
    source[0, 1] = 9
    assert tensor[1, 0].item() == 9
    tensor[2, 1] = 7
    assert source[1, 2] == 7
    assert mg.from_numpy(source[::-1])[0, 0].item() == 3  # negative strides are fine here
    source.flags.writeable = False
    with pytest.raises(RuntimeError, match="read-only"):
        mg.from_numpy(source).add_(1)


def test_foreign_arrays_that_change_before_backward_are_noticed() -> None:
    source = np.ones(3)
    x = mg.ones(3, dtype=mg.float64, requires_grad=True)
    y = (x * mg.from_numpy(source)).sum()
    source[0] = 5
    with pytest.raises(RuntimeError, match="mul: its gradient needs 'other'"):
        y.backward()


def test_dtype_objects_are_minigrads_own() -> None:
    again = pickle.loads(pickle.dumps(np.ones(2, "float32")))
    assert again.dtype is not mg.float32  # NumPy's pickles bring objects that are merely equal
    assert mg.tensor(again).dtype is mg.from_numpy(again).dtype is mg.zeros(1, dtype=again.dtype).dtype is mg.float32


def test_frombuffer() -> None:
    data = bytearray(b"abcdefgh")
    tensor = mg.frombuffer(data, dtype=mg.int32)
    assert tensor.tolist() == [1684234849, 1751606885]
    tensor[0] = 0
    assert data[:4] == b"\0\0\0\0"
    assert mg.frombuffer(data, dtype=mg.uint8, count=2, offset=4).tolist() == [101, 102]


def test_shapes_in_every_spelling() -> None:
    for make in (mg.zeros, mg.ones, mg.empty, mg.rand, mg.randn):
        two = mg.tensor(2)
        for tensor in (make(2, 3), make((2, 3)), make([2, 3]), make(size=(2, 3)), make(two, 3), make(np.int64(2), 3)):
            assert tensor.shape == (2, 3)
            assert tensor.dtype == mg.float32
        assert make(()).shape == make().shape == ()
        assert make(3).shape == (3,)
        assert make(0, 2).shape == (0, 2)
        assert make(2, dtype=mg.float64, requires_grad=True, device="cpu").requires_grad
    assert mg.zeros(2).tolist() == [0, 0]
    assert mg.ones(2, dtype=mg.bool).tolist() == [True, True]


def test_full() -> None:
    assert mg.full((2,), 3).dtype == mg.int64
    assert mg.full((2,), True).dtype == mg.bool
    assert mg.full((2,), 3.5).dtype == mg.float32
    assert mg.full((2,), 3.5, dtype=mg.int64).tolist() == [3, 3]
    assert mg.full((), mg.tensor(3)).item() == 3
    assert mg.full(2, 1.0).shape == (2,)


def test_like() -> None:
    x = mg.tensor(np.ones((2, 3), "float16").T)
    for make, value in ((mg.zeros_like, 0), (mg.ones_like, 1)):
        assert make(x).dtype == mg.float16
        assert make(x).tolist() == [[value] * 2] * 3
        assert make(x, dtype=mg.int64, requires_grad=False).dtype == mg.int64
    assert mg.empty_like(x).shape == (3, 2)
    assert mg.full_like(x.to(mg.int8), 3.5).tolist() == [[3, 3]] * 3
    assert mg.zeros_like(x, requires_grad=True).requires_grad


def test_new() -> None:
    x = mg.ones(2, dtype=mg.float64, requires_grad=True)
    assert x.new_tensor([1, 2]).dtype == mg.float64
    assert x.new_zeros(2, 3).shape == x.new_ones((2, 3)).shape == x.new_empty(2, 3).shape == (2, 3)
    assert x.new_full((2,), 7).tolist() == [7, 7]
    assert x.new_zeros(1, dtype=mg.int8).dtype == mg.int8
    assert not x.new_zeros(1).requires_grad


@pytest.mark.parametrize(
    ("args", "options", "dtype", "values"),
    [
        ((3,), {}, "int64", [0, 1, 2]),
        ((1, 3), {}, "int64", [1, 2]),
        ((5, 0, -2), {}, "int64", [5, 3, 1]),
        ((0, 5, 3), {}, "int64", [0, 3]),
        ((0,), {}, "int64", []),
        ((3.0,), {}, "float32", [0, 1, 2]),
        ((1, 2.5), {}, "float32", [1, 2]),
        ((0, 1, 0.25), {}, "float32", [0, 0.25, 0.5, 0.75]),
        ((0, 1, 1 / 3), {"dtype": mg.float64}, "float64", [0, 1 / 3, 2 / 3]),
        ((0.5, 5, 2), {"dtype": mg.int64}, "int64", [0, 2, 4]),
        ((5,), {"dtype": mg.int8}, "int8", [0, 1, 2, 3, 4]),
        ((mg.tensor(3),), {}, "int64", [0, 1, 2]),
        ((0, True), {}, "int64", [0]),
        ((2**60, 2**60 + 2), {}, "int64", [2**60, 2**60 + 1]),
        ((), {"start": 1, "end": 3}, "int64", [1, 2]),
        ((), {"end": 3}, "int64", [0, 1, 2]),
        ((3,), {"requires_grad": True, "dtype": mg.float32}, "float32", [0, 1, 2]),
    ],
)
def test_arange(args: tuple, options: dict, dtype: str, values: list) -> None:
    tensor = mg.arange(*args, **options)
    assert tensor.dtype == dtype
    assert tensor.tolist() == np.array(values, dtype).tolist()


def test_arange_rounds_once() -> None:
    # in double precision, then to float32: torch.arange(0.1, 1, 0.1)[2] is 0.30000001192092896
    assert mg.arange(0.1, 1, 0.1).tolist()[2] == 0.30000001192092896
    assert len(mg.arange(0, 1, 0.1)) == 10


def test_linspace_logspace_eye() -> None:
    assert mg.linspace(0, 1, 5).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert mg.linspace(0, 10, 4, dtype=mg.int64).tolist() == [0, 3, 6, 10]
    assert mg.linspace(-3, 3, 5, dtype=mg.int32).tolist() == [-3, -1, 0, 1, 3]
    assert mg.linspace(0, 1, 1).tolist() == [0]
    assert mg.linspace(0, 1, 0).shape == (0,)
    np.testing.assert_allclose(mg.logspace(0, 1, 3, dtype=mg.float64).numpy(), [1, 10**0.5, 10])
    assert mg.logspace(0, 3, 4, base=2).tolist() == [1, 2, 4, 8]
    assert mg.eye(2, 3, dtype=mg.bool).tolist() == [[True, False, False], [False, True, False]]
    assert mg.eye(2).tolist() == [[1, 0], [0, 1]]


def test_arrays_of_other_libraries_stay_theirs() -> None:
    from .duck import Duck

    tensor = mg.as_tensor(Duck(np.ones(2)))
    assert isinstance((tensor * 2)._array, Duck)
    assert isinstance(mg.tensor(Duck(np.ones(2)), dtype=mg.float32)._array, Duck)
