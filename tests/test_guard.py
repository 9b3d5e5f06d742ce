"""No silent wrong gradient: whatever changes a saved value before backward is noticed, and nothing else is."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as torch
from minigrad import memory
from minigrad.autograd import Function
from minigrad.engine import REGISTRY, primitive
from minigrad.utils.checkpoint import checkpoint


class Square(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2 * ctx.saved_tensors[0]


def variadic_product(*tensors: Any) -> Any:
    """A product of any number of tensors, which saves them all."""

    def rule(g: Any, index: int, tensors: Any) -> Any:
        for k, tensor in enumerate(tensors):
            if k != index:
                g = g * tensor
        return g

    def guarded_product(*tensors: Any) -> Any:
        return tensors[0] * tensors[1] * tensors[2]

    REGISTRY.pop("guarded_product", None)
    return primitive(tensors=rule)(guarded_product)(*tensors)


# Each records something that saves the values of ``x`` (float64, two elements).
RECORDINGS: dict[str, Callable[[Any], Any]] = {
    "mul": lambda x: (x * x).sum(),
    "pow": lambda x: (x**3).sum(),
    "matmul": lambda x: x @ x,
    "Function": lambda x: Square.apply(x).sum(),
    "view": lambda x: x[:1].exp().sum() + x.reshape(2, 1).square().sum(),
    "checkpoint": lambda x: checkpoint(lambda t: (t * t).sum(), x),
    "several inputs": lambda x: variadic_product(x, torch.ones(2, dtype=np.float64), x).sum(),
}


def write_array(x: Any) -> None:
    x.detach().numpy()[0] = 9


def write_view(x: Any) -> None:
    x.detach().numpy()[::-1][1:][0] = 9


def write_asarray(x: Any) -> None:
    np.asarray(x.detach())[0] = 9


def write_dlpack(x: Any) -> None:
    np.from_dlpack(x.detach())  # may be read-only: NumPy decides
    array = np.from_dlpack(x.detach().numpy())
    array[0] = 9


def write_out(x: Any) -> None:
    array = x.detach().numpy()
    np.multiply(array, 2, out=array)


def write_data(x: Any) -> None:
    x.data[0] = 9


def write_data_in_place(x: Any) -> None:
    x.data.mul_(2)


def write_detached(x: Any) -> None:
    x.detach().add_(1)


def write_unrecorded(x: Any) -> None:
    with torch.no_grad():
        x.add_(1)


def write_unrecorded_view(x: Any) -> None:
    with torch.no_grad():
        x[0:1].fill_(9)


def write_augmented(x: Any) -> None:
    with torch.no_grad():
        x += 1


def write_array_of_a_view(x: Any) -> None:
    x.detach()[:1].numpy()[0] = 9


WRITES = [
    write_array, write_view, write_asarray, write_dlpack, write_out, write_data, write_data_in_place, write_detached,
    write_unrecorded, write_unrecorded_view, write_augmented, write_array_of_a_view,
]  # fmt: skip


def leaf(*values: float) -> Any:
    return torch.tensor(list(values), dtype=np.float64, requires_grad=True)


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("write", WRITES, ids=lambda w: w.__name__)
@pytest.mark.parametrize("computed", [False, True])
def test_a_change_between_forward_and_backward_is_noticed(recording: str, write: Any, computed: bool) -> None:
    x = leaf(0.5, 2.0)
    h = x * 1 if computed else x
    y = RECORDINGS[recording](h)
    write(h)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    with pytest.raises(RuntimeError, match="changed in place"):
        torch.autograd.grad(y, x, create_graph=True)


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("write", WRITES, ids=lambda w: w.__name__)
def test_a_change_before_forward_or_after_backward_is_no_error(recording: str, write: Any) -> None:
    x = leaf(0.5, 2.0)
    array = x.detach().numpy()  # exposed all the time
    expected = None
    for _ in range(2):
        write(x)
        y = RECORDINGS[recording](x)
        y.backward()
        expected = torch.tensor(x.tolist(), dtype=np.float64, requires_grad=True)
        RECORDINGS[recording](expected).backward()
        assert x.grad.tolist() == expected.grad.tolist()
        x.grad = None
        write(x)
    del array


@pytest.mark.parametrize("recording", RECORDINGS)
def test_an_array_lent_before_forward_and_written_to_after(recording: str) -> None:
    x = leaf(0.5, 2.0)
    array = x.detach().numpy()
    part = array[:1]
    del array
    y = RECORDINGS[recording](x)
    part[0] = 9
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("recording", RECORDINGS)
def test_a_change_through_an_array_that_is_gone_by_backward(recording: str) -> None:
    x = leaf(0.5, 2.0)
    y = RECORDINGS[recording](x)
    array = x.detach().numpy()
    array[0] = 9
    del array
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


@pytest.mark.parametrize("recording", RECORDINGS)
@pytest.mark.parametrize("adopt", [torch.from_numpy, torch.as_tensor, torch.from_dlpack], ids=lambda f: f.__name__)
def test_memory_that_came_from_numpy(recording: str, adopt: Any) -> None:
    array = np.array([0.0, 0.0, 0.5, 2.0])
    x = adopt(array[2:]).requires_grad_()
    array[3] = 3.0
    y = RECORDINGS[recording](x)
    y.backward(retain_graph=True)
    array[2] = 9
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    array[2] = 0.5  # as it was: the values are right again
    y.backward()


def test_an_array_as_operand() -> None:
    x = leaf(1.0, 2.0)
    array = np.array([3.0, 4.0])
    for record in (lambda: x * array, lambda: array * x, lambda: torch.where(np.array([True, False]), x, 0.0) * array):
        y = record().sum()
        array[0] += 1
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()
        y = record().sum()
        y.backward()


def assert_not_wrong(y: Any, x: Any, *expected: Any) -> None:
    """The change was noticed, or it was a copy that was saved."""
    try:
        y.backward()
    except RuntimeError as error:
        if "changed in place" not in str(error):
            raise
    else:
        assert all(x.grad.tolist() == e for e in expected)


@pytest.mark.parametrize("kind", ["array", "tensor", "bool array", "bool tensor", "list"])
def test_indices_and_masks(kind: str) -> None:
    x = leaf(1.0, 2.0, 3.0)
    index: Any = np.array([True, False, True]) if "bool" in kind else np.array([0, 2])
    if "tensor" in kind:
        index = torch.tensor(index)
    elif kind == "list":
        index = index.tolist()
    y = (x[index] * 2).sum()
    index[1] = not index[1] if "bool" in kind else 1
    assert_not_wrong(y, x, [2, 0, 2])


@pytest.mark.parametrize(
    "record",
    [
        lambda x, i: torch.gather(x, 0, i),
        lambda x, i: torch.index_select(x, 0, i),
        lambda x, i: torch.take_along_dim(x, i, 0),
        lambda x, i: torch.scatter(x, 0, i, torch.ones(2, dtype=np.float64)),
        lambda x, i: torch.index_add(x * 1, 0, i, x[:2]),
    ],
    ids=["gather", "index_select", "take_along_dim", "scatter", "index_add"],
)
def test_index_tensors(record: Callable[[Any, Any], Any]) -> None:
    weights = torch.tensor([1.0, 10.0, 100.0], dtype=np.float64)
    results = []
    for change in (False, True):
        x, index = leaf(1.0, 2.0, 3.0), torch.tensor([0, 2])
        out = record(x, index)
        y = (out * weights[: len(out)]).sum()
        if change:
            index[1] = 1
        assert_not_wrong(y, x, *results)
        if not change:
            results.append(x.grad.tolist())


def test_masks() -> None:
    for record in (lambda x, m: torch.where(m, x, 0.0), lambda x, m: x.masked_fill(m, 0.0), lambda x, m: x * m,
                   lambda x, m: torch.masked_select(x, m), lambda x, m: torch.where(m, x, x * 2)):  # fmt: skip
        x, mask = leaf(1.0, 2.0), torch.tensor([True, False])
        (expected,) = torch.autograd.grad(record(x, mask).sum(), x)
        y = record(x, mask).sum()
        mask[0] = False
        assert_not_wrong(y, x, expected.tolist())


def test_the_error_names_operation_tensor_and_line() -> None:
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = (x * w).sum()  # here
    with torch.no_grad():
        w.add_(1)
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    assert re.fullmatch(
        r"mul: its gradient needs 'other' \(shape \(2,\), float64\) as it was when recorded at "
        rf"{re.escape(__file__)}:\d+: y = \(x \* w\)\.sum\(\)  # here, but those values have been changed in place "
        r"since; change a clone\(\) instead, or change them after backward",
        str(caught.value),
    )


def test_no_gradient_is_left_behind_where_the_guard_raises() -> None:
    x, w = leaf(1.0), leaf(2.0)
    y = w * 2 + x * x
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError):
        y.backward()
    assert x.grad is None
    assert w.grad is None


def test_outputs_are_guarded_too() -> None:
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.add_(1)  # exp needs its output
    with pytest.raises(RuntimeError, match="exp: its gradient needs 'y'"):
        y.sum().backward()
    y = x.sin()
    y.add_(1)  # sin does not
    y.sum().backward()


def test_a_change_between_first_and_second_derivative_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    (g,) = torch.autograd.grad((x**4).sum(), x, create_graph=True)
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="changed in place"):
        g.sum().backward()


# -------------------------------------------------------------------------------- no false alarm


def test_changing_another_tensor_is_no_error() -> None:
    x, other = leaf(1.0, 2.0), leaf(1.0, 2.0)
    array = np.ones(2)
    mine = torch.from_numpy(array)
    y = (x * x).sum()
    with torch.no_grad():
        other.add_(1)
        mine.mul_(2)
    array[0] = 7
    other.detach().numpy()[0] = 5
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_changing_what_no_gradient_needs_is_no_error() -> None:
    x, w = leaf(1.0, 2.0), torch.tensor([3.0, 4.0], dtype=np.float64)
    h = x * w  # needs w alone
    y = (h + 1).sum()  # needs nothing
    with torch.no_grad():
        x.add_(1)
        h.add_(1)
    x.detach().numpy()[0] = 3
    y.backward()
    assert x.grad.tolist() == [3, 4]


def test_reading_is_no_error() -> None:
    x = leaf(1.0, 2.0)
    array = x.detach().numpy()
    y = (x * x).sum()
    again = x.detach().numpy()
    assert again.sum() == array.sum() == 3
    assert np.asarray(x.detach()).tolist() == x.tolist() == list(map(float, x))
    repr(x)
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_training_loops_are_no_error() -> None:
    data = np.arange(8.0).reshape(4, 2)
    w = leaf(0.1, 0.2)
    inputs = torch.from_numpy(data)
    for _ in range(3):
        loss = ((inputs @ w) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.01 * w.grad
            w.grad.zero_()
        w.detach().numpy()
        data += 1  # the next batch
    assert np.isfinite(w.tolist()).all()


def test_in_place_operations_that_the_graph_knows_are_no_error() -> None:
    x = leaf(1.0, 2.0)
    h = x * 2
    h += 1
    h.mul_(h)
    (h * h).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [4 * 2 * 3.0**3, 4 * 2 * 5.0**3])


def test_nan_is_no_change() -> None:
    array = np.array([np.nan, 1.0])
    x = torch.from_numpy(array).requires_grad_()
    (x * x).sum().backward()
    array[0] = -np.nan  # another NaN is
    y = (x * x).sum()
    array[0] = np.nan
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_read_only_arrays_stay_read_only() -> None:
    array = np.ones(2)
    array.flags.writeable = False
    x = torch.as_tensor(array)
    lent = x.numpy()
    assert lent.flags.writeable == x._array.flags.writeable


@given(st.sampled_from(["float16", "float32", "float64", "int64", "int8", "bool"]),
       st.sampled_from([(), (0,), (1,), (3,), (2, 0), (2, 3)]), st.booleans())  # fmt: skip
def test_lent_arrays_are_the_memory_itself(dtype: str, shape: tuple[int, ...], transposed: bool) -> None:
    x = torch.ones(shape, dtype=dtype)
    if transposed and len(shape) == 2:
        x = x.t()
    array = x.numpy()
    assert (array.dtype, array.shape) == (x.dtype, x.shape)
    assert x.numel() == 0 or array.strides == x._array.strides
    array[...] = 0
    assert not x._array.any()


# ------------------------------------------------------------------------------- the books are kept


def test_entries_disappear_with_the_memory() -> None:
    tables = (memory.exposed, memory.stamps, memory._loans, memory._alive)
    before = [len(table) for table in tables]
    x = leaf(1.0, 2.0)
    array = x.detach().numpy()
    with torch.no_grad():
        x.mul_(2)
    y = torch.from_numpy(np.ones(3))
    (x * x).sum().backward()
    assert [len(table) for table in tables] > before
    del x, y, array
    assert [len(table) for table in tables] == before


def test_memory_is_exposed_only_while_somebody_outside_holds_it() -> None:
    x = leaf(1.0, 2.0)
    key = id(memory.owner(x._array))
    first, second = x.detach().numpy(), x.detach()[1:].numpy()
    assert key in memory.exposed
    view = first[:1]
    del first, second
    assert key in memory.exposed
    del view
    assert key not in memory.exposed


def test_a_lent_array_outlives_its_tensor() -> None:
    x = leaf(1.0, 2.0)
    array = x.detach().numpy()
    ref = weakref.ref(x)
    del x
    assert ref() is None
    assert array.tolist() == [1, 2]


def test_only_what_is_exposed_is_summed_up() -> None:
    x = leaf(1.0)
    assert not any((x * x).grad_fn.digests or [])
    w = torch.from_numpy(np.ones(1))
    first, second = (x * w).grad_fn.digests, (w * x.detach() * x).grad_fn.digests
    assert isinstance(first[0], int)
    assert second is None
