"""Which operations on shape share memory, what they accept, and a few values by example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from minigrad.ops import padding
from minigrad.testing import shapes


def matrix() -> Any:
    return mg.arange(12.0).reshape(3, 4)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: x.reshape(2, 6),
    "view": lambda x: x.view(-1),
    "view of rows": lambda x: x[1:].view(8),
    "flatten": lambda x: x.flatten(),
    "ravel": lambda x: x.ravel(),
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "squeeze": lambda x: x[:1].squeeze(),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "unsqueeze transposed": lambda x: x.T.unsqueeze(0),
    "transpose": lambda x: x.transpose(0, 1),
    "t": lambda x: x.t(),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "permute": lambda x: x.permute(1, 0),
    "movedim": lambda x: x.movedim(0, 1),
    "expand": lambda x: x.expand(3, 4),
    "broadcast_to": lambda x: mg.broadcast_to(x[None], (1, 3, 4)),
    "select": lambda x: x.select(1, 2),
    "narrow": lambda x: x.narrow(0, 1, 2),
    "split": lambda x: x.split(2, 1)[1],
    "chunk": lambda x: x.chunk(2)[0],
    "unbind": lambda x: x.unbind()[2],
    "diagonal": lambda x: x.diagonal(1),
    "unfold": lambda x: x.unfold(1, 2, 2),
    "getitem": lambda x: x[0],
    "one element": lambda x: x[1, 2],
    "negative step": lambda x: x[::-1, 1::2],
    "new dimension": lambda x: x[:, None, ..., None],
    "an index that is a number in a tensor": lambda x: x[mg.tensor(1)],
    "detach": lambda x: x.detach(),
}

COPIES: dict[str, Callable[[Any], Any]] = {
    "reshape transposed": lambda x: x.T.reshape(12),
    "clone": lambda x: x.clone(),
    "contiguous": lambda x: x.T.contiguous(),
    "repeat": lambda x: x.repeat(1, 1),
    "tile": lambda x: x.tile(1),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(0, 0),
    "rot90": lambda x: mg.rot90(x, 0),
    "tril": lambda x: x.tril(5),
    "diag": lambda x: mg.diag(x),
    "cat": lambda x: mg.cat([x]),
    "stack": lambda x: mg.stack([x]),
    "pad": lambda x: padding.pad(x, (0, 0)),
    "list": lambda x: x[[0]],
    "mask": lambda x: x[x > -1],
    "index_select": lambda x: x.index_select(0, mg.tensor([0, 1, 2])),
}


@pytest.mark.parametrize("name", VIEWS)
def test_view_shares_memory_both_ways(name: str) -> None:
    x = matrix()
    view = VIEWS[name](x)
    assert np.shares_memory(view._array, x._array)
    view.fill_(-7)
    assert int((x == -7).sum()) == view.numel()
    x.fill_(5)
    assert bool((view == 5).all())


@pytest.mark.parametrize("name", COPIES)
def test_copy_has_memory_of_its_own(name: str) -> None:
    x = matrix()
    copy = COPIES[name](x)
    assert not np.shares_memory(copy._array, x._array)
    copy.fill_(-7)
    assert x.tolist() == matrix().tolist()


def test_what_changes_nothing_returns_its_argument() -> None:
    x = matrix()
    assert x.contiguous() is x
    assert mg.atleast_2d(x) is x


@given(data=st.data())
def test_view_copies_never_and_reshape_only_where_it_must(data: Any) -> None:
    shape = data.draw(shapes(1, 3, 1, 4))
    array = np.arange(np.prod(shape)).reshape(shape)
    array = array.transpose(data.draw(st.permutations(range(array.ndim))))
    array = array[tuple(slice(None, None, data.draw(st.sampled_from([1, -1, 2]))) for _ in shape)]
    target = data.draw(st.permutations([*array.shape, 1])) if data.draw(st.booleans()) else [array.size]
    x = mg.from_numpy(array)
    try:
        expected = np.reshape(array, target, copy=False)
    except ValueError:
        with pytest.raises(RuntimeError, match=r"view: .* use reshape"):
            x.view(target)
    else:
        np.testing.assert_array_equal(x.view(target).numpy(), expected)
        assert np.shares_memory(x.reshape(target)._array, array)
    np.testing.assert_array_equal(x.reshape(target).numpy(), array.reshape(target))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.reshape((4, 3)),
        lambda x: x.reshape(4, 3),
        lambda x: x.reshape([4, -1]),
        lambda x: mg.reshape(x, shape=(4, 3)),
        lambda x: x.view(size=(4, 3)),
        lambda x: x.reshape(np.int64(4), mg.tensor(3)),
        lambda x: x.T.contiguous().reshape(4, 3).T.reshape(4, 3).view((4, 3)),
        lambda x: mg.tensor(1.0).broadcast_to(4, 3),
        lambda x: mg.broadcast_to(mg.ones(3), size=(4, -1)),
    ],
)
def test_spellings_of_a_shape(call: Callable[[Any], Any]) -> None:
    assert call(matrix()).shape == (4, 3)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.permute(1, 0),
        lambda x: x.permute((1, 0)),
        lambda x: x.permute(dims=(-1, 0)),
        lambda x: mg.transpose(x, dim0=0, dim1=1),
        lambda x: x.swapdims(0, 1),
        lambda x: x.moveaxis(0, -1),
        lambda x: mg.t(x),
    ],
)
def test_spellings_of_a_transpose(call: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(call(matrix()).numpy(), matrix().numpy().T)


def test_moving_no_dimension() -> None:
    assert mg.tensor(2.0).movedim(0, -1).tolist() == mg.tensor(2.0).movedim((), ()).tolist() == 2.0


def test_joining_promotes() -> None:
    i, f = mg.tensor([1, 2]), mg.tensor([0.5])
    assert mg.cat([i, f]).dtype == np.float32
    assert mg.stack([i, i.to(np.int32)]).dtype == np.int64
    assert mg.cat([f.half(), f]).dtype == np.float32


def test_cat_skips_an_empty_vector() -> None:
    """As PyTorch does, for the sake of loops that start with an empty tensor."""
    assert mg.cat([mg.zeros(0), matrix()]).shape == (3, 4)
    assert mg.cat([mg.zeros(0), mg.zeros(0)]).shape == (0,)


def test_pad_starts_with_the_last_dimension() -> None:
    x = mg.tensor([[1, 2], [3, 4]])
    assert padding.pad(x, (1, 0)).tolist() == [[0, 1, 2], [0, 3, 4]]
    assert padding.pad(x, (0, 0, 1, -1), value=9).tolist() == [[9, 9], [1, 2]]
    assert padding.pad(x, (1, 1), "reflect").tolist() == [[2, 1, 2, 1], [4, 3, 4, 3]]
    assert padding.pad(x, (2, 1), "replicate").tolist() == [[1, 1, 1, 2, 2], [3, 3, 3, 4, 4]]
    assert padding.pad(x, (2, 1), "circular").tolist() == [[1, 2, 1, 2, 1], [3, 4, 3, 4, 3]]


def test_parts_of_a_split() -> None:
    x = mg.arange(5)
    assert [p.tolist() for p in x.split(2)] == [[0, 1], [2, 3], [4]]
    assert [p.tolist() for p in x.chunk(4)] == [[0, 1], [2, 3], [4]]  # fewer than asked for
    assert len(mg.zeros(0).split(0)) == 1
    assert [tuple(p.shape) for p in mg.zeros(0).chunk(3)] == [(0,)] * 3


def test_windows_add_up_in_the_gradient() -> None:
    x = Tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x.unfold(0, 3, 1).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 2.0, 1.0]


def test_parts_that_are_not_used_get_zero() -> None:
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    a, _, c = x.unbind()
    (a * c).backward()
    assert x.grad.tolist() == [3.0, 0.0, 1.0]
