"""Indices of every kind: exhaustively where there are few, against NumPy; PyTorch's ways by example."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from minigrad.kernels import indexing as kernels
from minigrad.ops import indexing
from minigrad.testing import integers, shapes

ITEMS: list[Any] = [
    0, -1, None, ..., slice(None), slice(1, None), slice(None, None, -1), slice(-1, None, -2), slice(5, 9), slice(0, 0),
]  # fmt: skip


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 0)], ids=str)
def test_every_basic_index(shape: tuple[int, ...]) -> None:
    """All tuples of up to three of ITEMS: the same view as NumPy's, and the same complaints."""
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    x = mg.from_numpy(array)
    for count in range(4):
        for index in itertools.product(ITEMS, repeat=count):
            try:
                expected = np.asarray(array[index])
            except IndexError:
                with pytest.raises(IndexError, match="getitem: "):
                    x[index]
                continue
            result = x[index]._array
            assert isinstance(result, np.ndarray)
            assert result.shape == expected.shape
            assert not result.size or (np.array_equal(result, expected) and np.shares_memory(result, array))


MORE: list[Any] = [
    slice(None), slice(None, None, 2), None, ..., [0, 1, 0], np.array([[1], [-1]]), np.array([True, False]),
]  # fmt: skip


def test_every_mix_with_arrays() -> None:
    """All tuples of up to four of MORE on a tensor of shape (2, 2, 2): values as NumPy's, gradients as counted."""
    array = np.arange(8.0).reshape(2, 2, 2)
    x = Tensor(array, requires_grad=True)
    for count in range(1, 5):
        for index in itertools.product(MORE, repeat=count):
            # An Ellipsis that stands for no dimensions separates arrays in NumPy, not in PyTorch.
            dots = [i for i, item in enumerate(index) if item is ...]
            full = sum(item is not None for item in index) == 4 and len(dots) == 1
            try:
                expected = array[index[: dots[0]] + index[dots[0] + 1 :] if full else index]
            except (IndexError, ValueError):
                with pytest.raises(IndexError, match="getitem: "):
                    x[index]
                continue
            result = x[index]
            np.testing.assert_array_equal(result.detach().numpy(), expected, err_msg=str(index))
            if not result.numel():
                continue
            weights = np.arange(1.0, 1 + result.numel()).reshape(result.shape)
            result.backward(mg.from_numpy(weights))
            counted = np.zeros(8)
            np.add.at(counted, expected.astype(int).ravel(), weights.ravel())
            np.testing.assert_array_equal(x.grad.numpy().ravel(), counted, err_msg=str(index))
            x.grad = None


I = np.array([0, 1])  # noqa: E741
# index, shape and last element of the result in torch 2.13 for arange(120).reshape(2, 3, 4, 5)
PLACED: list[tuple[Any, tuple[int, ...], int]] = [
    ((0, slice(None), I), (3, 2, 5), 49),
    ((slice(None), 0, slice(None), I), (2, 4, 2), 76),
    ((I, slice(None), 0), (2, 3, 5), 104),
    ((I, 0, slice(None), I), (2, 4), 76),
    ((0, I, slice(None), I), (2, 4), 36),
    ((slice(None), I, 0, I), (2, 2), 81),
    ((I, None, I), (2, 1, 4, 5), 99),
    ((..., I, 0), (2, 3, 2), 105),
    ((0, ..., I), (3, 4, 2), 56),
    ((I, slice(None), I, 0), (2, 3), 105),
    ((slice(None), I, slice(None), I), (2, 2, 4), 96),
    ((None, I, 0), (1, 2, 4, 5), 79),
    ((np.array(1), slice(None), I), (3, 2, 5), 109),
    ((slice(None), np.array(1), I), (2, 2, 5), 89),
    ((True, slice(None), I), (2, 2, 4, 5), 99),
    ((slice(None), True, I), (2, 2, 4, 5), 99),
]


@pytest.mark.parametrize(
    ("index", "shape", "last"), PLACED, ids=[str(p[0]).replace("slice(None, None, None)", ":") for p in PLACED]
)
def test_integers_select_before_tensors_apply(index: Any, shape: tuple[int, ...], last: int) -> None:
    x = mg.arange(120).reshape(2, 3, 4, 5)
    for indices in (index, tuple(mg.from_numpy(i) if isinstance(i, np.ndarray) else i for i in index)):
        result = x[indices]
        assert result.shape == shape
        assert result.reshape(-1)[-1].item() == last


def test_lists_stand_for_tensors() -> None:
    x = mg.arange(12).reshape(3, 4)
    assert x[[0, 2]].shape == (2, 4)
    assert x[[[0, 1], [1, 2]]].shape == (2, 2, 4)
    assert x[[mg.tensor(0), mg.tensor(2)]].shape == (2, 4)
    assert x[[True, False, True]].shape == (2, 4)
    assert x[range(2)].shape == (2, 4)
    assert x[[]].shape == (0, 4)
    assert x[([0, 1], [1, 2])].tolist() == [1, 6]


def test_numbers_in_tensors_are_numbers() -> None:
    x, n = mg.arange(12).reshape(3, 4), mg.tensor(2)
    assert x[n].tolist() == [8, 9, 10, 11]
    assert x[n, n].shape == ()
    assert x[:n].shape == (2, 4)
    assert x[np.int32(1), ::n].tolist() == [4, 6]
    assert x[True].shape == (1, 3, 4)
    assert x[mg.tensor(False)].shape == (0, 3, 4)
    assert x[n > 1, 0].shape == (1, 4)


def test_slice_bound_changed_after_use() -> None:
    x, n = Tensor([1.0, 2.0, 3.0], requires_grad=True), mg.tensor(2)
    y = x[:n]
    n.fill_(3)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


@given(data=st.data())
def test_sum_into_places(data: Any) -> None:
    """The quick way to add at an index equals NumPy's, in float32 too."""
    shape = data.draw(shapes(1, 3, 1, 4))
    count = data.draw(st.integers(1, len(shape)))
    common = data.draw(shapes(1, 2, 0, 4))
    kinds = data.draw(st.permutations([True] * count + [False] * (len(shape) - count)))
    index = tuple(
        data.draw(integers(common, -n, n - 1)) if k else slice(None) for k, n in zip(kinds, shape, strict=True)
    )
    expected = np.zeros(shape, "float32")
    values = np.random.default_rng(0).integers(-9, 9, expected[index].shape).astype("float32")
    np.add.at(expected, index, values)
    found = kernels.add_at(np.zeros(shape, "float32"), index, np.asfortranarray(values))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_scatter_keeps_the_last_value_and_its_gradient() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    s = Tensor([4.0, 5.0, 6.0], requires_grad=True)
    y = x.scatter(0, mg.tensor([1, 1, 0]), s)
    (y * mg.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert y.tolist() == [6.0, 5.0, 3.0]
    assert x.grad.tolist() == [0.0, 0.0, 100.0]
    assert s.grad.tolist() == [0.0, 10.0, 1.0]


@pytest.mark.parametrize(
    ("include_self", "x_grad", "s_grad"),
    [(True, [0.5, 0.0, 100 / 3], [100 / 3, 100 / 3, 0.5, 10.0]), (False, [0.0, 0.0, 0.0], [50.0, 50.0, 1.0, 10.0])],
)
def test_equal_extremes_share_the_gradient(include_self: bool, x_grad: list[float], s_grad: list[float]) -> None:
    """With the values of ``input`` as torch 2.13 does it; without, torch divides by one too many."""
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True, dtype=np.float64)
    s = Tensor([3.0, 3.0, 1.0, 5.0], requires_grad=True, dtype=np.float64)
    y = x.scatter_reduce(0, mg.tensor([2, 2, 0, 1]), s, "amax", include_self=include_self)
    (y * mg.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert y.tolist() == [1.0, 5.0, 3.0]
    np.testing.assert_allclose(x.grad.numpy(), x_grad)
    np.testing.assert_allclose(s.grad.numpy(), s_grad)


def test_padding_row_gets_no_gradient_of_any_order() -> None:
    weight = Tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], requires_grad=True)
    rows = indexing.embedding(weight, mg.tensor([[0, 2], [2, 1]]), 2)
    (first,) = mg.autograd.grad((rows**3).sum(), weight, create_graph=True)
    assert first.tolist() == [[0.0, 3.0], [12.0, 27.0], [0.0, 0.0]]
    (second,) = mg.autograd.grad(first.sum(), weight)
    assert second.tolist() == [[0.0, 6.0], [12.0, 18.0], [0.0, 0.0]]


def test_a_gradient_of_an_embedding_remembers_its_indices() -> None:
    weight, scale = mg.ones(3, 2, requires_grad=True), mg.ones(2, 2, requires_grad=True)
    indices = mg.tensor([0, 2])
    (g,) = mg.autograd.grad((indexing.embedding(weight, indices) * scale).sum(), weight, create_graph=True)
    indices.fill_(1)
    (second,) = mg.autograd.grad((g * mg.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum(), scale)
    assert second.tolist() == [[1, 2], [5, 6]]


def test_nonzero_has_both_forms() -> None:
    x = mg.tensor([[0, 5], [6, 0]])
    assert mg.nonzero(x).tolist() == [[0, 1], [1, 0]]
    assert [i.tolist() for i in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert x[x.nonzero(as_tuple=True)].tolist() == [5, 6]
    assert mg.tensor(3).nonzero().shape == (1, 0)


def test_masked_fill_keeps_the_dtype() -> None:
    x = mg.zeros(2, dtype=np.float16)
    assert x.masked_fill(x == 0, -1e4).dtype == np.float16
    assert mg.tensor([1, 2]).masked_fill(mg.tensor([True, False]), 7).tolist() == [7, 2]


def test_gradients_of_parts_are_added_to_one_array() -> None:
    x = mg.arange(24.0).reshape(4, 6).requires_grad_()
    first, second = x.split(3, 1)
    (first * 2 + second * 3 + x[:, 1:4] * 5).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.tile([2.0, 7, 7, 8, 3, 3], (4, 1)))
    x.grad = None
    (x[1:] * x[:-1]).sum().backward(create_graph=True)
    (x.grad * x.grad).sum().backward()  # parts of what is recorded are not added to in place
    y = x.detach().numpy()
    expected = np.zeros_like(y)
    expected[1:] += y[:-1]
    expected[:-1] += y[1:]
    twice = expected.copy()
    twice[1:] += 2 * expected[:-1]
    twice[:-1] += 2 * expected[1:]
    np.testing.assert_array_equal(x.grad.detach().numpy(), twice)
    x.grad = None
    (x[[0, 0, 1]].sum() + x[0].sum() + x[x > 10].sum()).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.array([[3.0], [1], [0], [0]]) + (y > 10))
