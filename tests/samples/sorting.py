"""Sorting, selection by rank, search and counting."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import sorting
from minigrad.testing import floats, integers, shapes

from .spec import Case, Spec


@st.composite
def along(draw: Any, values: Callable[..., Any] = floats, rank: bool = False, **more: Any) -> Case:
    """An array and one of its dimensions; with ``rank``, before it a number from 1 to its size."""
    shape = draw(shapes())
    array = draw(values(shape))
    dim = draw(st.integers(-len(shape), len(shape) - 1)) if shape else draw(st.sampled_from([-1, 0]))
    options = {name: draw(strategy) for name, strategy in more.items()}
    ranks = (draw(st.integers(1, shape[dim] if shape else 1)),) if rank else ()
    return Case(array, *ranks, dim=dim, **options)


def few(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Integers of which many are equal."""
    return integers(shape, -2, 2)


def per_slice(function: Callable[..., list[int]], keeps: bool = True) -> Callable:
    """The reference for indices: ``function`` on each 1-D slice along ``dim``."""

    def reference(x: np.ndarray, *args: Any, dim: int = -1, keepdim: bool = False, **options: Any) -> np.ndarray:
        rows = np.moveaxis(x.reshape(x.shape or (1,)), dim, -1)
        found = [function(list(row), *args, **options) for row in rows.reshape(-1, rows.shape[-1])]
        found = np.array(found, dtype="int64")
        found = np.moveaxis(found.reshape(*rows.shape[:-1], -1), -1, dim)
        if not x.ndim:
            return found.reshape(())
        return found if keeps or keepdim else found.squeeze(dim)

    return reference


def with_values(function: Callable[..., list[int]], keeps: bool = True) -> Callable:
    """The reference for a namedtuple (values, indices)."""
    find = per_slice(function)

    def reference(x: np.ndarray, *args: Any, dim: int = -1, keepdim: bool = False, **options: Any) -> tuple:
        indices = find(x, *args, dim=dim, **options)
        if not x.ndim:
            return x.copy(), indices
        values = np.take_along_axis(x, indices, dim)
        return (values, indices) if keeps or keepdim else (values.squeeze(dim), indices.squeeze(dim))

    return reference


def _order(row: list, descending: bool = False, stable: bool = True) -> list[int]:
    return sorted(range(len(row)), key=lambda i: -row[i] if descending else row[i])


def _topk(row: list, k: int, largest: bool = True, sorted: bool = True) -> list[int]:
    return _order(row, largest)[:k]


def _kth(row: list, k: int) -> list[int]:
    return [_order(row)[k - 1]]


def _median(row: list) -> list[int]:
    return [_order(row)[(len(row) - 1) // 2]]


def _unique(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    flat = x.ravel().tolist()
    values = sorted(set(flat))
    inverse = np.array([values.index(v) for v in flat], dtype="int64").reshape(x.shape)
    return np.array(values, dtype=x.dtype), inverse, np.array([flat.count(v) for v in values], dtype="int64")


def _unique_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = list(map(tuple, x.tolist()))
    values = sorted(set(rows))
    return (np.array(values, dtype=x.dtype), np.array([values.index(r) for r in rows], dtype="int64"),
            np.array([rows.count(v) for v in values], dtype="int64"))  # fmt: skip


def _search(row: np.ndarray, queries: np.ndarray, right: bool) -> np.ndarray:
    find = bisect.bisect_right if right else bisect.bisect_left
    return np.array([find(row.tolist(), q) for q in queries.ravel().tolist()], dtype="int64").reshape(queries.shape)


def _search_rows(rows: np.ndarray, queries: np.ndarray) -> np.ndarray:
    return np.array([_search(row, query, False) for row, query in zip(rows, queries, strict=True)])


def _bincount(x: np.ndarray, minlength: int = 0) -> np.ndarray:
    size = max([minlength, *(int(v) + 1 for v in x)])
    return np.array([np.sum(x == i) for i in range(size)], dtype="int64")


def _weighed(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.array([np.sum(weights[x == i]) for i in range(max([0, *(int(v) + 1 for v in x)]))], dtype="float64")


def _with_last(function: Callable) -> Callable:
    """``function`` with all that it can return."""
    return lambda x, **options: function(x, return_inverse=True, return_counts=True, **options)


EMPTY = Case(np.zeros((2, 0)), dim=1)
sorted_rows = floats((2, 4)).map(lambda x: np.sort(x, axis=-1))

SPECS: dict[str, Spec] = {
    "argsort": Spec(mg.argsort, along(few, descending=st.booleans()), per_slice(_order), order=0),
    "sort": Spec(mg.sort, along(descending=st.booleans()), with_values(_order)),
    "sort ties": Spec(mg.sort, along(few, descending=st.booleans()), with_values(_order), order=0),
    "argtopk": Spec(lambda x, k, dim, largest: sorting._argtopk(x, k, dim, largest),
                    along(rank=True, largest=st.booleans()), per_slice(_topk), order=0),
    "topk": Spec(mg.topk, along(rank=True, largest=st.booleans()), with_values(_topk)),
    "kthvalue": Spec(mg.kthvalue, along(rank=True, keepdim=st.booleans()), with_values(_kth, keeps=False)),
    "median": Spec(mg.median, floats(shapes()).map(Case), lambda x: np.sort(x, axis=None)[(x.size - 1) // 2]),
    "median along": Spec(mg.median, along(keepdim=st.booleans()), with_values(_median, keeps=False)),
    "unique": Spec(_with_last(mg.unique), few(shapes()).map(Case), _unique, order=0),
    "unique of floats": Spec(_with_last(mg.unique), floats(shapes()).map(Case), _unique, order=0),
    "unique rows": Spec(lambda x: _with_last(mg.unique)(x, dim=0), integers((4, 2), 0, 1).map(Case), _unique_rows,
                        order=0),
    "searchsorted": Spec(
        lambda row, x, right: mg.searchsorted(row, x, right=right),
        st.builds(Case, few((5,)).map(np.sort), few(shapes()), right=st.booleans()),
        _search,
        order=0,
    ),
    "searchsorted rows": Spec(mg.searchsorted, st.builds(Case, sorted_rows, floats((2, 3))), _search_rows, order=0),
    "bucketize": Spec(
        mg.bucketize,
        st.builds(Case, few(shapes()), few((3,)).map(np.sort), right=st.booleans()),
        lambda x, row, right: _search(row, x, right),
        order=0,
    ),
    "bincount": Spec(mg.bincount, st.builds(Case, integers((6,), 0, 4), minlength=st.integers(0, 7)), _bincount,
                     order=0),
    "bincount weighed": Spec(mg.bincount, st.builds(Case, integers((6,), 0, 4), floats((6,))), _weighed, order=0,
                             half=False),
}  # fmt: skip


def _x() -> Any:
    return mg.ones(2, 3)


ERRORS = [
    ("sort dim", lambda: mg.sort(_x(), 2), IndexError, "sort: dim 2 is out of range for a tensor with 2 dimensions"),
    ("argsort dim", lambda: mg.argsort(_x(), -3), IndexError, "argsort: dim -3 is out of range"),
    ("argsort dim type", lambda: mg.argsort(_x(), 1.0), TypeError, "argsort: dim must be an int, got 1.0"),
    ("topk k", lambda: mg.topk(_x(), 4), ValueError, r"topk: k must be from 0 to 3, .* of shape \(2, 3\), got 4"),
    ("topk negative", lambda: mg.topk(_x(), -1), ValueError, "topk: k must be from 0 to 3"),
    ("topk dim", lambda: mg.topk(_x(), 1, 2), IndexError, "topk: dim 2 is out of range"),
    ("kthvalue 0", lambda: mg.kthvalue(_x(), 0), ValueError, "kthvalue: k must be from 1 to 3"),
    ("kthvalue k", lambda: mg.kthvalue(_x(), 3, 0), ValueError, "kthvalue: k must be from 1 to 2, the size of dim 0"),
    ("kthvalue of nothing", lambda: mg.kthvalue(mg.ones(0), 1), ValueError, "kthvalue: k must be from 1 to 0"),
    ("median dim", lambda: mg.median(_x(), 2), IndexError, "median: dim 2 is out of range"),
    ("median of nothing", lambda: mg.median(mg.ones(0, 2), 0), ValueError, "median: k must be from 1 to 0"),
    ("unique dim", lambda: mg.unique(_x(), dim=2), IndexError, "unique: dim 2 is out of range"),
    ("searchsorted side", lambda: mg.searchsorted(mg.ones(2), _x(), side="up"), ValueError, "side must be"),
    ("searchsorted sides", lambda: mg.searchsorted(mg.ones(2), _x(), right=True, side="left"), ValueError, "agree"),
    ("searchsorted shapes", lambda: mg.searchsorted(_x(), mg.ones(3, 3)), ValueError, r"lead as input \(3, 3\) does"),
    ("searchsorted number", lambda: mg.searchsorted(mg.ones(()), _x()), ValueError, "sorted_sequence must be 1-D"),
    ("bucketize 2-D", lambda: mg.bucketize(_x(), _x()), ValueError, "bucketize: boundaries must have 1 dimensions"),
    ("bincount floats", lambda: mg.bincount(mg.ones(2)), TypeError, "bincount: input must be an integer tensor"),
    ("bincount 2-D", lambda: mg.bincount(_x().long()), ValueError,
     r"bincount: input must have 1 dimensions, got shape \(2, 3\)"),
    ("bincount negative", lambda: mg.bincount(mg.tensor([-1])), ValueError,
     "bincount: .* without negative numbers, got -1"),
    ("bincount weights", lambda: mg.bincount(mg.tensor([1, 2]), mg.ones(3)), ValueError, "bincount: weights have"),
]
