"""How tensors are shown. The texts are PyTorch's, apart from its name before dtypes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import minigrad as mg

inf, nan = float("inf"), float("nan")


@pytest.fixture(autouse=True)
def default_options() -> Iterator[None]:
    yield
    mg.set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("data", "options", "text"),
    [
        (1.0, {}, "tensor(1.)"),
        (1.5, {}, "tensor(1.5000)"),
        (3, {}, "tensor(3)"),
        (True, {}, "tensor(True)"),
        ([1.0, 2.5], {}, "tensor([1.0000, 2.5000])"),
        ([1.0, -20.0], {}, "tensor([  1., -20.])"),
        ([[1.0, 2.0], [3, 4]], {"requires_grad": True}, "tensor([[1., 2.],\n        [3., 4.]], requires_grad=True)"),
        ([1, -10], {}, "tensor([  1, -10])"),
        ([True, False], {}, "tensor([ True, False])"),
        ([1.0, nan, inf, -inf], {}, "tensor([1., nan, inf, -inf])"),
        ([nan, 1.5], {}, "tensor([   nan, 1.5000])"),
        ([1e-5, 1.0], {}, "tensor([1.0000e-05, 1.0000e+00])"),
        ([1.5, 2000.0], {}, "tensor([1.5000e+00, 2.0000e+03])"),
        ([0.00001], {}, "tensor([1.0000e-05])"),
        ([1e9], {}, "tensor([1.0000e+09])"),
        ([0.0, -0.0], {}, "tensor([0., -0.])"),
        ([1, 2], {"dtype": mg.int8}, "tensor([1, 2], dtype=int8)"),
        ([1.0], {"dtype": mg.float64}, "tensor([1.], dtype=float64)"),
        ([], {}, "tensor([])"),
        ([], {"dtype": mg.int64}, "tensor([], dtype=int64)"),
        ([[], []], {}, "tensor([], size=(2, 0))"),
        ([[[1], [2]], [[3], [4]]], {}, "tensor([[[1],\n         [2]],\n\n        [[3],\n         [4]]])"),
    ],
    ids=str,
)
def test_repr(data: object, options: dict, text: str) -> None:
    assert repr(mg.tensor(data, **options)) == text


def test_long_rows_are_wrapped() -> None:
    text = (
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"
    )
    assert repr(mg.arange(30)) == text


def test_large_tensors_are_excerpts() -> None:
    assert repr(mg.arange(2000)) == "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"
    lines = repr(mg.zeros(100, 100)).splitlines()
    assert lines[0] == "tensor([[0., 0., 0.,  ..., 0., 0., 0.],"
    assert lines[3] == "        ...,"
    assert lines[-1] == "        [0., 0., 0.,  ..., 0., 0., 0.]])"
    assert repr(mg.zeros(1000)).count("0.") == 1000


def test_what_is_computed_names_its_operation() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    assert repr(x * 2) == "tensor([2., 4.], grad_fn=<mul>)"
    assert str((x * 2).detach()) == "tensor([2., 4.])"


def test_suffixes_move_to_a_line_of_their_own() -> None:
    x = mg.full((9,), 1.5, dtype=mg.float64, requires_grad=True)
    last = repr(x).splitlines()[-1]
    assert last == "       dtype=float64, requires_grad=True)"


def test_subclasses_say_their_name() -> None:
    class Mask(mg.Tensor):
        __slots__ = ()

    assert repr(Mask([1.0])) == "Mask([1.])"
    assert repr(mg.nn.Parameter(mg.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_options() -> None:
    x = mg.tensor([1.0, 0.123456])
    mg.set_printoptions(precision=2)
    assert repr(x) == "tensor([1.00, 0.12])"
    mg.set_printoptions(sci_mode=True)
    assert repr(x) == "tensor([1.00e+00, 1.23e-01])"
    mg.set_printoptions(profile="short")
    assert repr(mg.arange(2000)) == "tensor([   0,    1,  ..., 1998, 1999])"
    mg.set_printoptions(profile="full")
    assert "1000" in repr(mg.arange(2000))
    mg.set_printoptions(profile="default", threshold=2, edgeitems=1)
    assert repr(mg.arange(3)) == "tensor([0,  ..., 2])"
    mg.set_printoptions(profile="default", linewidth=20)
    assert repr(mg.arange(5)) == "tensor([0, 1, 2, 3,\n        4])"


def test_format() -> None:
    assert f"{mg.tensor(1.23456):.2f}" == "1.23"
    assert f"{mg.tensor(2)}" == "2"
    assert f"{mg.tensor([1.0])}" == "tensor([1.])"


def test_extreme_values() -> None:
    with np.errstate(all="raise"):
        x = mg.tensor([5e-324, 1.7e308], dtype=mg.float64)
        assert repr(x) == "tensor([4.9407e-324, 1.7000e+308], dtype=float64)"
        assert repr(mg.tensor([nan, inf])) == "tensor([nan, inf])"
