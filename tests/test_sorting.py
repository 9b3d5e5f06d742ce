"""Sorting and counting where the properties of test_ops.py do not look: ties, NaN, empties, dtypes.

The expected values, where no formula gives them, are PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd import grad

NAN = math.nan
TIED = mg.tensor([3, 1, 2, 1])
WITH_NAN = mg.tensor([1.0, NAN, 2.0])


def gradient(function: Callable, *values: float) -> list:
    x = mg.tensor(values, dtype=mg.float64, requires_grad=True)
    return grad(function(x).sum(), x)[0].tolist()


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def test_ties_keep_their_order() -> None:
    same(mg.argsort(TIED).tolist(), [1, 3, 2, 0])
    same(mg.argsort(TIED, descending=True).tolist(), [0, 2, 1, 3])
    same(mg.sort(TIED, descending=True).values.tolist(), [3, 2, 1, 1])
    same(mg.topk(TIED, 2).indices.tolist(), [0, 2])
    same(mg.topk(mg.tensor([1, 1, 0, 1]), 3).indices.tolist(), [0, 1, 3])


def test_nan_is_largest() -> None:
    same(mg.sort(WITH_NAN).values.tolist(), [1, 2, NAN])
    same(mg.sort(WITH_NAN, descending=True).indices.tolist(), [1, 2, 0])
    same(mg.topk(WITH_NAN, 2).values.tolist(), [NAN, 2])
    same(mg.topk(WITH_NAN, 2, largest=False).values.tolist(), [1, 2])
    same(mg.kthvalue(WITH_NAN, 3).values.item(), NAN)
    same(mg.unique(mg.tensor([NAN, 1.0, NAN])).tolist(), [1, NAN, NAN])


def test_median_is_the_lower_one() -> None:
    assert mg.median(mg.tensor([4.0, 1.0, 3.0, 2.0])).item() == 2
    assert mg.median(TIED).dtype == mg.int64
    result = mg.median(mg.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]]), 1)
    same(result.values.tolist(), [2, 4])
    same(result.indices.tolist(), [2, 2])
    same(mg.median(mg.tensor([[1.0, NAN, NAN], [3.0, 1.0, 2.0]]), 1).values.tolist(), [NAN, 2])
    assert mg.median(WITH_NAN, 0).indices.item() == 1
    assert math.isnan(mg.median(WITH_NAN).item())
    assert math.isnan(mg.median(mg.zeros(0)).item())


def test_gradients_at_ties() -> None:
    same(gradient(mg.median, 2, 1, 2), [0.5, 0, 0.5])
    assert sum(gradient(lambda x: x.median(0).values, 2, 1, 2)) == 1
    same(gradient(lambda x: x.sort().values * mg.tensor([1.0, 2.0, 3.0]), 2, 1, 2), [2, 1, 3])
    same(gradient(lambda x: x.topk(2).values, 2, 1, 2), [1, 0, 1])
    same(gradient(lambda x: x.kthvalue(1).values, 2, 1, 3), [0, 1, 0])


@pytest.mark.parametrize("function", [mg.sort, lambda x: mg.topk(x, 1), lambda x: mg.kthvalue(x, 1)])
def test_without_dimensions(function: Callable) -> None:
    values, indices = function(mg.tensor(3.0, requires_grad=True))
    assert (values.item(), indices.item()) == (3, 0)
    assert values.shape == indices.shape == ()
    assert indices.dtype == mg.int64
    values.backward()


def test_empty() -> None:
    x = mg.zeros(2, 0)
    assert mg.sort(x).values.shape == mg.argsort(x).shape == (2, 0)
    assert mg.topk(x, 0).values.shape == (2, 0)
    assert mg.topk(mg.ones(2, 3), 0).indices.shape == (2, 0)
    assert mg.topk(mg.zeros(0, 3), 2).values.shape == (0, 2)
    assert mg.kthvalue(mg.zeros(0, 3), 2).values.shape == (0,)
    assert mg.unique(x).shape == (0,)
    same(mg.bincount(mg.zeros(0, dtype=mg.int64), minlength=2).tolist(), [0, 0])
    assert mg.searchsorted(mg.ones(2), x).shape == (2, 0)
    same(mg.searchsorted(mg.ones(0), mg.ones(2)).tolist(), [0, 0])


def test_unique_returns_what_is_asked_for() -> None:
    x = mg.tensor([[1.0, 2.0, 2.0], [3.0, 1.0, 3.0]])
    same(mg.unique(x).tolist(), [1, 2, 3])
    same(mg.unique(x, return_inverse=True)[1].tolist(), [[0, 1, 1], [2, 0, 2]])
    assert len(x.unique(return_counts=True)) == 2
    same(x.unique(return_counts=True)[1].tolist(), [2, 2, 2])
    columns, inverse, _ = mg.unique(x, return_inverse=True, return_counts=True, dim=1)
    same(columns.tolist(), [[1, 2, 2], [3, 1, 3]])
    same(inverse.tolist(), [0, 1, 2])
    assert not mg.unique(mg.ones(2, requires_grad=True)).requires_grad


def test_searching() -> None:
    row, x = mg.tensor([1.0, 1.0, 2.0, 3.0]), mg.tensor([0.0, 1.0, 2.5, 9.0])
    same(mg.searchsorted(row, x).tolist(), [0, 0, 3, 4])
    same(mg.searchsorted(row, x, right=True).tolist(), [0, 2, 3, 4])
    same(mg.searchsorted(row, x, side="right", out_int32=True).tolist(), [0, 2, 3, 4])
    assert mg.searchsorted(row, x, out_int32=True).dtype == mg.int32
    assert mg.searchsorted(row, 1.0).item() == 0
    shuffled = mg.tensor([3.0, 1.0, 2.0, 1.0])
    same(mg.searchsorted(shuffled, shuffled, sorter=shuffled.argsort()).tolist(), [3, 0, 2, 0])
    same(mg.bucketize(shuffled, mg.tensor([1.0, 2.0])).tolist(), [2, 0, 1, 0])
    same(mg.bucketize(shuffled, mg.tensor([1.0, 2.0]), right=True).tolist(), [2, 1, 2, 1])
    assert mg.bucketize(2, mg.tensor([1.0, 2.0]), right=True).item() == 2


def test_counting() -> None:
    same(mg.bincount(TIED, minlength=6).tolist(), [0, 2, 1, 1, 0, 0])
    assert mg.bincount(TIED, mg.tensor([0.5, 1.0, 1.0, 1.0])).dtype == mg.float32
    assert mg.bincount(TIED, TIED).dtype == mg.float64
