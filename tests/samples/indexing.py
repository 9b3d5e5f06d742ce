"""Indexing, each operation against NumPy's or a loop over elements; and what in-place operations record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from minigrad.ops import indexing, inplace
from minigrad.testing import booleans, broadcastable, floats, integers, shapes

from .shaping import array, dim_of, drawn
from .spec import Case, Spec

Draw = Callable[[Any], Any]


# ------------------------------------------------------------------------------------- indices


def slices(draw: Draw, size: int) -> slice:
    """A slice for a dimension; its step may be negative."""
    bound = st.one_of(st.none(), st.integers(-size - 1, size + 1))
    return slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2])))


def basic_index(draw: Draw, shape: tuple[int, ...]) -> Any:
    """Integers, slices, None and Ellipsis for some of the dimensions."""
    items: list[Any] = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        items.append(draw(st.integers(-size, size - 1)) if draw(st.booleans()) else slices(draw, size))
    if draw(st.booleans()):
        items.insert(draw(st.integers(0, len(items))), None)
    if draw(st.booleans()) and len(items) - items.count(None) == len(shape):
        items.append(...)
    return items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)


def advanced_index(draw: Draw, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """For each dimension an integer array or a slice, or a mask for one or two; at least one that is no slice.

    Without integers, or arrays without dimensions, beside the arrays: there NumPy and PyTorch differ.
    """
    common = draw(shapes(1, 2, 1, 2))
    items: list[Any] = []
    d = 0
    while d < len(shape):
        kind = draw(st.sampled_from(["array", "slice", "mask"]))
        span = draw(st.integers(1, min(2, len(shape) - d))) if kind == "mask" else 1
        if kind == "slice" and (items or d + 1 < len(shape)):
            items.append(slices(draw, shape[d]))
        elif kind == "mask" and not any(isinstance(i, np.ndarray) for i in items):
            items.append(draw(booleans(shape[d : d + span])))
            common = (int(items[-1].sum()),)  # what other arrays have to broadcast with
        else:
            span = 1
            items.append(draw(integers(draw(st.sampled_from([common, (1,), common[-1:]])), -shape[d], shape[d] - 1)))
        d += span
    if not any(isinstance(i, np.ndarray) for i in items):
        items[-1] = draw(integers((2,), 0, shape[-1] - 1))
    return tuple(items)


def plain_advanced(draw: Draw, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The same, where slices are full."""
    return tuple(i if isinstance(i, np.ndarray) else slice(None) for i in advanced_index(draw, shape))


def _basic(draw: Draw) -> Case:
    x = array(draw)
    return Case(x, basic_index(draw, x.shape))


def _advanced(draw: Draw) -> Case:
    x = array(draw, min_dims=1)
    return Case(x, advanced_index(draw, x.shape))


def _adjoint(draw: Draw) -> Case:
    x, index = Case(x := array(draw, min_dims=1), plain_advanced(draw, x.shape)).args
    return Case(draw(floats(x[index].shape)), index, x.shape)


def own(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operation whose index is arrays and slices, on Tensors as indices."""

    def call(x: Any, index: tuple, *rest: Any) -> Any:
        return function(x, *rest, index=tuple(getattr(i, "_array", i) for i in index))

    return call


def getitem_adjoint(g: np.ndarray, index: tuple, shape: tuple[int, ...]) -> np.ndarray:
    out = np.zeros(shape)
    places = np.arange(out.size).reshape(shape)[index]
    for i in np.ndindex(places.shape):
        out.reshape(-1)[places[i]] += g[i]
    return out


def _setitem(draw: Draw) -> Case:
    x = array(draw, min_dims=1)
    index = advanced_index(draw, x.shape) if draw(st.booleans()) else basic_index(draw, x.shape)
    found = x[index].shape
    value = draw(floats(found[draw(st.integers(0, len(found))) :]))
    return Case(x, index, draw(st.sampled_from([value, 2.5])))


def setitem(x: np.ndarray, index: Any, value: Any) -> np.ndarray:
    """One element after the other: the last one written to a place stays."""
    out = x.copy()
    places = np.arange(out.size).reshape(x.shape)[index]
    values = np.broadcast_to(value, places.shape)
    for i in np.ndindex(places.shape):
        out.reshape(-1)[places[i]] = values[i]
    return out


def assigned(x: Any, index: Any, value: Any) -> Any:
    y = x * 1
    y[index] = value
    return y


def _index_put(draw: Draw) -> Case:
    x = array(draw, min_dims=1)
    index = tuple(i for i in advanced_index(draw, x.shape) if isinstance(i, np.ndarray))
    if sum(i.ndim if i.dtype == bool else 1 for i in index) < x.ndim:
        index = (draw(integers((2,), 0, x.shape[0] - 1)),)
    found = x[index].shape
    return Case(x, index, draw(floats(found[draw(st.integers(0, len(found))) :])), draw(st.booleans()))


def index_put(x: np.ndarray, index: tuple, value: np.ndarray, accumulate: bool) -> np.ndarray:
    if not accumulate:
        return setitem(x, index, value)
    return x + getitem_adjoint(np.broadcast_to(value, x[index].shape), index, x.shape)


# ------------------------------------------------------------------------------ along a dimension


def _rows(draw: Draw, source: bool = True) -> Case:
    x = array(draw, min_dims=1)
    dim = dim_of(draw, x.ndim)
    index = draw(integers((draw(st.integers(0, 4)),), 0, x.shape[dim] - 1))
    shape = list(x.shape)
    shape[dim] = index.size
    return Case(x, dim, index, *[draw(floats(tuple(shape)))] * source)


def index_add(x: np.ndarray, dim: int, index: np.ndarray, source: np.ndarray, alpha: float = 1) -> np.ndarray:
    out = np.moveaxis(x.copy(), dim, 0)
    for i, row in zip(index, np.moveaxis(source, dim, 0), strict=True):
        out[i] += alpha * row
    return np.moveaxis(out, 0, dim)


def _gather(draw: Draw) -> Case:
    x = array(draw, min_dims=1)
    dim = dim_of(draw, x.ndim)
    shape = tuple(
        draw(st.integers(0, 4)) if d == dim % x.ndim else draw(st.integers(1, n)) for d, n in enumerate(x.shape)
    )
    return Case(x, dim, draw(integers(shape, 0, x.shape[dim] - 1)))


def places(x: np.ndarray, dim: int, index: np.ndarray) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Where each element of ``index`` is, and the place in ``x`` that it names."""
    dim %= x.ndim
    return [(i, (*i[:dim], int(index[i]), *i[dim + 1 :])) for i in np.ndindex(index.shape)]


def gather(x: np.ndarray, dim: int, index: np.ndarray) -> np.ndarray:
    out = np.zeros(index.shape)
    for i, place in places(x, dim, index):
        out[i] = x[place]
    return out


def _scatter(draw: Draw, *options: st.SearchStrategy[Any]) -> Case:
    x, dim, index = _gather(draw).args
    larger = tuple(n + draw(st.integers(0, 1)) for n in index.shape)
    return Case(x, dim, index, draw(floats(larger)), *map(draw, options))


def scatter(x: np.ndarray, dim: int, index: np.ndarray, src: Any, reduce: str | None = None) -> np.ndarray:
    out = x.copy()
    for i, place in places(x, dim, index):
        value = src[i] if np.ndim(src) else src
        out[place] = out[place] + value if reduce == "add" else value
    return out


def scatter_reduce(
    x: np.ndarray, dim: int, index: np.ndarray, src: np.ndarray, reduce: str, include_self: bool
) -> np.ndarray:
    found: dict[tuple[int, ...], list[float]] = {}
    for i, place in places(x, dim, index):
        found.setdefault(place, [x[place]] if include_self else []).append(src[i])
    out = x.copy()
    for place, values in found.items():
        out[place] = {"sum": np.sum, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce](values)
    return out


def _take_along_dim(draw: Draw) -> Case:
    x = array(draw, min_dims=1)
    if draw(st.booleans()):
        return Case(x, draw(integers(shapes(1, 2, 1, 3), 0, x.size - 1)))
    dim = dim_of(draw, x.ndim)
    shape = tuple(
        draw(st.integers(1, 3)) if d == dim % x.ndim else draw(st.sampled_from([1, n])) for d, n in enumerate(x.shape)
    )
    return Case(x, draw(integers(shape, 0, x.shape[dim] - 1)), dim)


def take_along_dim(x: np.ndarray, indices: np.ndarray, dim: int | None = None) -> np.ndarray:
    return x.ravel()[indices.ravel()] if dim is None else np.take_along_axis(x, indices, dim)


# ------------------------------------------------------------------------------------------- masks


def _masked(draw: Draw, *more: Any) -> Case:
    x_shape, mask_shape = draw(broadcastable(2))
    return Case(draw(floats(x_shape)), draw(booleans(mask_shape)), *more)


def masked_select(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]


# -------------------------------------------------------------------------------------- embeddings


def _embedding(draw: Draw) -> Case:
    weight = draw(floats(shapes(2, 2, 1, 4)))
    indices = draw(integers(shapes(0, 2, 1, 3), 0, weight.shape[0] - 1))
    return Case(weight, indices)


# ----------------------------------------------------------------------- what in-place ops record


class Corner:
    """A view for the in-place primitives: the first slice of the last dimension."""

    order = (0, 1)

    def __call__(self, x: Any) -> Any:
        return x[..., 0]


def _blank(x: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[..., 0] = 0
    return out


def overwritten(x: Any, part: Any) -> Any:
    y = x * 1
    y[..., 0] = part
    return y


def _overwrite(x: np.ndarray, part: np.ndarray) -> np.ndarray:
    out = x.copy()
    out[..., 0] = part
    return out


def copied(x: Any, value: Any) -> Any:
    return (x * 1).copy_(value)


matrix = floats(shapes(2, 2, 1, 3))
row = np.array([0, 2, 0])
NUMBER = np.array(1.5)
EMPTY = np.zeros((2, 0))

SPECS: dict[str, Spec] = {
    "getitem": Spec(
        Tensor.__getitem__,
        drawn(_basic),
        lambda x, index: np.asarray(x[index]),
        adjoint=True,
        edges=[Case(NUMBER, ...), Case(NUMBER, None), Case(NUMBER, ()), Case(EMPTY, (slice(None), None))],
    ),
    "getitem by arrays": Spec(
        Tensor.__getitem__,
        drawn(_advanced),
        lambda x, index: x[index],
        adjoint=True,
        primitive="getitem",
        edges=[Case(NUMBER, np.array(True)), Case(NUMBER, False), Case(EMPTY, np.array([1, 1])), Case(np.ones(3), [])],
    ),
    "getitem_adjoint": Spec(
        own(lambda g, shape, index: indexing.getitem_adjoint(g, index=index, shape=shape)),
        drawn(_adjoint),
        getitem_adjoint,
        adjoint=True,
        duck=False,
    ),
    "setitem": Spec(assigned, drawn(_setitem), setitem, duck=False),
    "index_put": Spec(mg.index_put, drawn(lambda draw: Case(*_index_put(draw).args[:3], False)), index_put),
    "index_put accumulating": Spec(mg.index_put, drawn(lambda draw: Case(*_index_put(draw).args[:3], True)), index_put),
    "index_select": Spec(
        mg.index_select, drawn(lambda draw: _rows(draw, source=False)), lambda x, dim, i: np.take(x, i, dim)
    ),
    "index_add": Spec(mg.index_add, drawn(_rows), index_add),
    "index_add with alpha": Spec(
        lambda *a: mg.index_add(*a, alpha=-0.5), drawn(_rows), lambda *a: index_add(*a, alpha=-0.5)
    ),
    "gather": Spec(mg.gather, drawn(_gather), gather, adjoint=True, edges=[Case(EMPTY, 0, np.zeros((1, 0), int))]),
    "scatter": Spec(mg.scatter, drawn(_scatter), scatter),
    "scatter a number": Spec(mg.scatter, drawn(lambda draw: Case(*_gather(draw).args, 2.5)), scatter),
    "scatter and add": Spec(
        lambda *a: mg.scatter(*a, reduce="add"), drawn(_scatter), lambda *a: scatter(*a, reduce="add")
    ),
    "scatter_add": Spec(mg.scatter_add, drawn(_scatter), lambda *a: scatter(*a, reduce="add")),
    "scatter_reduce": Spec(
        lambda *a: mg.scatter_reduce(*a[:5], include_self=a[5]),
        drawn(lambda draw: _scatter(draw, st.sampled_from(["sum", "mean", "amax", "amin"]), st.booleans())),
        scatter_reduce,
    ),
    "take_along_dim": Spec(mg.take_along_dim, drawn(_take_along_dim), take_along_dim),
    "take": Spec(
        mg.take,
        drawn(lambda draw: Case(x := array(draw), draw(integers(shapes(0, 2, 1, 3), -x.size, x.size - 1)))),
        np.take,
    ),
    "masked_fill": Spec(
        mg.masked_fill,
        drawn(lambda draw: _masked(draw, draw(st.sampled_from([-1.5, NUMBER])))),
        lambda x, m, v: np.where(m, v, x),
    ),
    "masked_select": Spec(mg.masked_select, drawn(_masked), masked_select),
    "argwhere": Spec(mg.argwhere, drawn(lambda draw: Case(np.round(array(draw)))), np.argwhere, order=0),
    "nonzero": Spec(
        lambda x: mg.nonzero(x, as_tuple=True),
        drawn(lambda draw: Case(np.round(array(draw, 1)))),
        lambda x: list(np.nonzero(x)),
        order=0,
    ),
    "embedding": Spec(
        indexing.embedding, drawn(_embedding), lambda w, i: w[i], adjoint=True
    ),
    "one_hot": Spec(
        indexing.one_hot,
        drawn(lambda draw: Case(draw(integers(shapes(0, 2, 1, 3), 0, 3)), draw(st.integers(4, 6)))),
        lambda i, n: np.eye(n, dtype=int)[i],
        order=0,
    ),
    "blank": Spec(lambda x: inplace._blank(x, view=Corner()), st.builds(Case, matrix), _blank, adjoint=True),
    "overwrite": Spec(
        overwritten, drawn(lambda draw: Case(x := draw(matrix), draw(floats(x.shape[:1])))), _overwrite, duck=False
    ),
    "replaced": Spec(
        copied,
        drawn(
            lambda draw: Case(
                *(draw(floats(s)) for s in (lambda a, b: (np.broadcast_shapes(a, b), b))(*draw(broadcastable(2))))
            )
        ),
        lambda x, v: np.broadcast_to(v, x.shape),
        duck=False,
    ),
}


def x(*shape: int) -> Any:
    return mg.zeros(*shape)


def i(*values: int) -> Any:
    return mg.tensor(list(values), dtype=np.int64)


ERRORS = [
    ("too many", lambda: x(2, 3)[0, 0, 0], IndexError, r"getitem: too many indices .*\(2, 3\)"),
    ("number", lambda: x()[0], IndexError, "getitem: too many indices"),
    ("too many with arrays", lambda: x(2)[i(0), i(0)], IndexError, r"getitem: 2 indices for a tensor of shape \(2,\)"),
    (
        "two dots with arrays",
        lambda: x(2, 3)[..., i(0), ...],
        IndexError,
        "getitem: an index can contain only one Ellipsis",
    ),
    ("far", lambda: x(2, 3)[2], IndexError, r"getitem: index 2 is out of bounds .*\(2, 3\)"),
    ("far in array", lambda: x(2, 3)[:, i(0, 3)], IndexError, "getitem: index 3 is out of bounds"),
    ("mask shape", lambda: x(2, 3)[mg.tensor([True, False, True])], IndexError, "getitem: boolean index did not match"),
    ("arrays", lambda: x(2, 3)[i(0, 1), i(0, 1, 2)], IndexError, "getitem: shape mismatch"),
    ("two dots", lambda: x(2, 3)[..., ...], IndexError, "getitem: an index can only have a single ellipsis"),
    ("float", lambda: x(2, 3)[1.0], TypeError, "getitem: an index can be an int, .* got float"),
    (
        "float tensor",
        lambda: x(2, 3)[x(2)],
        TypeError,
        "getitem: an index must have an integer or bool dtype, got float32",
    ),
    ("bytes", lambda: x(2, 3)[mg.zeros(2, dtype=np.uint8)], TypeError, "getitem: a uint8 index is ambiguous"),
    ("text", lambda: x(2)["a"], TypeError, "getitem: an index can be .* got str"),
    ("slices in a list", lambda: x(2, 3)[[slice(None), 0]], TypeError, "getitem: a list as index stands for a tensor"),
    ("slice bound", lambda: x(2)[:1.5], TypeError, "getitem: an index can be .* got float"),
    (
        "index_put slices",
        lambda: x(2, 3).index_put((slice(1), i(0)), x(1)),
        TypeError,
        "index_put: indices must be a tuple",
    ),
    (
        "index_put shape",
        lambda: x(3).index_put((i(0, 1),), x(3)),
        ValueError,
        r"index_put: a value of shape \(3,\) .* \(2,\)",
    ),
    (
        "index_select far",
        lambda: x(2).index_select(0, i(2)),
        IndexError,
        "index_select: index 2 is out of range .* size 2",
    ),
    ("index_select negative", lambda: x(2).index_select(0, i(-1)), IndexError, "index_select: index -1"),
    (
        "index_select dims",
        lambda: x(2).index_select(0, mg.tensor([[0]])),
        ValueError,
        "index_select: index must have 0 or 1 dimensions",
    ),
    ("index_select dim", lambda: x(2).index_select(1, i(0)), IndexError, "index_select: dim 1"),
    (
        "index_select type",
        lambda: x(2).index_select(0, x(1)),
        TypeError,
        "index_select: index must be an integer tensor, got float32",
    ),
    (
        "index_add shape",
        lambda: x(2, 3).index_add(0, i(0), x(2, 3)),
        ValueError,
        r"index_add: source has shape \(2, 3\), .* \(1, 3\)",
    ),
    (
        "gather dims",
        lambda: x(2, 3).gather(0, i(0)),
        ValueError,
        r"gather: index of shape \(1,\) does not fit into shape \(2, 3\)",
    ),
    ("gather larger", lambda: x(2, 3).gather(0, mg.zeros(1, 4, dtype=np.int64)), ValueError, "gather: index of shape"),
    ("gather far", lambda: x(3).gather(0, i(3)), IndexError, "gather: index 3 is out of range"),
    (
        "gather sparse",
        lambda: mg.gather(x(3), 0, i(0), sparse_grad=True),
        NotImplementedError,
        "gather: there are no sparse",
    ),
    ("scatter nothing", lambda: x(3).scatter(0, i(0)), TypeError, "scatter: missing argument 'src'"),
    (
        "scatter reduce",
        lambda: x(3).scatter(0, i(0), 1.0, reduce="max"),
        ValueError,
        "scatter: reduce must be None or 'add'",
    ),
    (
        "scatter src",
        lambda: x(3).scatter(0, i(0, 1), x(1)),
        ValueError,
        r"scatter: index of shape \(2,\) does not fit into src of shape \(1,\)",
    ),
    ("scatter_add far", lambda: x(3).scatter_add(0, i(-1), x(1)), IndexError, "scatter_add: index -1"),
    (
        "scatter_reduce",
        lambda: x(3).scatter_reduce(0, i(0), x(1), "max"),
        ValueError,
        "scatter_reduce: reduce must be sum, mean",
    ),
    (
        "take_along_dim dims",
        lambda: mg.take_along_dim(x(2, 3), i(0), 1),
        ValueError,
        "take_along_dim: .* differ in dimensions",
    ),
    (
        "take_along_dim shape",
        lambda: mg.take_along_dim(x(2, 3), mg.zeros(3, 1, dtype=np.int64), 1),
        ValueError,
        "take_along_dim: .* do not broadcast",
    ),
    ("take far", lambda: mg.take(x(2, 3), i(6)), IndexError, "take: index 6 is out of range"),
    (
        "masked_fill mask",
        lambda: x(2).masked_fill(i(0, 1), 1),
        TypeError,
        "masked_fill: mask must be a bool tensor, got int64",
    ),
    ("masked_fill value", lambda: x(2).masked_fill(x(2) > 0, x(2)), ValueError, "masked_fill: value must be a number"),
    (
        "masked_fill type",
        lambda: i(1).masked_fill(i(1) > 0, 0.5),
        TypeError,
        "masked_fill: a value of float does not fit into int64",
    ),
    (
        "masked_select mask",
        lambda: x(2).masked_select(x(2)),
        TypeError,
        "masked_select: mask must be a bool tensor, got float32",
    ),
    (
        "embedding type",
        lambda: indexing.embedding(x(2, 3), x(2)),
        TypeError,
        "embedding: index must be an integer tensor",
    ),
    (
        "embedding far",
        lambda: indexing.embedding(x(2, 3), i(2)),
        IndexError,
        "embedding: index 2 is out of range for a dimension of size 2",
    ),
    ("one_hot type", lambda: indexing.one_hot(x(2)), TypeError, "one_hot: tensor must be an integer tensor"),
    (
        "one_hot far",
        lambda: indexing.one_hot(i(0, 3), 3),
        ValueError,
        r"one_hot: class numbers must be in range\(3\), got 0 to 3",
    ),
    ("one_hot empty", lambda: indexing.one_hot(i()), ValueError, "one_hot: num_classes must be given"),
]
