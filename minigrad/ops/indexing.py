"""Reading and writing chosen elements: ``x[index]``, gather and scatter, masks, embeddings.

An index is split in two, as PyTorch does it: what is *basic* (integers, slices, None, Ellipsis)
gives a view, of which the *advanced* rest (integer arrays, masks) picks elements.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import memory
from ..arguments import along, check_dims, check_kind, normalize_dim
from ..engine import TensorBase, primitive, sum_to
from ..kernels import indexing as kernels
from ..memory import Array
from .elementwise import where
from .inplace import become, check_writable, records, write

_ALL = slice(None)


# ------------------------------------------------------------------------------------------ x[index]


def _getitem_gradient(g: Array, input_shape: tuple[int, ...], index: tuple) -> Array:
    return getitem_adjoint(g, index, input_shape)


def _add_gradient(total: Array, g: Array, input_shape: tuple[int, ...], index: tuple) -> Array | None:
    """The part of ``total`` to which :func:`_getitem_gradient` has been added; None if elements may be found twice."""
    if any(map(_is_array, index)):
        return None
    part = total[index]
    part += g
    return part


_getitem_gradient.adds = _add_gradient  # type: ignore[attr-defined]


@primitive(input=_getitem_gradient, view=True)
def _getitem(input: Array, index: tuple) -> Array:
    """``input[index]``, where ``index`` is either basic and ends in an Ellipsis, or advanced."""
    try:
        if _is_array(index[-1]) and index[-1].dtype.kind != "b" and all(isinstance(i, slice) for i in index[:-1]):
            return np.take(input, index[-1], len(index) - 1)  # the same, and quicker
        return input[index]
    except (IndexError, TypeError) as error:
        raise type(error)(f"getitem: {error} (the tensor has shape {tuple(input.shape)})") from None


@primitive(g=lambda g, index: _getitem(g, index))
def getitem_adjoint(g: Array, index: tuple, shape: tuple[int, ...]) -> Array:
    """The elements of ``g`` added where ``index`` finds them in zeros of ``shape``."""
    out = np.zeros_like(g, shape=shape, order="C")
    arrays = [item for item in index if _is_array(item)]
    if not arrays or (len(arrays) == 1 and arrays[0].dtype.kind == "b"):
        out[index] = g  # no element is found twice
        return out
    return kernels.add_at(out, index, g)


def getitem(input: Any, index: Any) -> Any:
    """``input[index]``, with NumPy's and PyTorch's indices.

    Integers, slices (also with negative steps), None and Ellipsis give a view. Integer tensors,
    bool masks and lists (which mean tensors) give a copy. As in PyTorch, an integer next to an
    integer tensor selects before the tensor is applied, so it does not move the tensor's
    dimensions to the front.
    """
    if (basic := _basic(index)) is not None:
        return _getitem(input, index=basic)
    basic, advanced = _split(index, input, "getitem")
    if basic is not None:
        input = _getitem(input, index=basic)
    return input if advanced is None else _getitem(input, index=advanced)


_BASIC = frozenset((int, slice, type(None), type(...)))
_BOUND = frozenset((int, type(None)))


def _basic(index: Any) -> tuple | None:
    """``index``, with its Ellipsis, if it is basic beyond doubt: the quick way for what is most frequent."""
    items = index if type(index) is tuple else (index,)
    for item in items:
        kind = type(item)
        if kind not in _BASIC or (kind is slice and not {type(item.start), type(item.stop), type(item.step)} <= _BOUND):
            return None
    return items if ... in items else (*items, ...)


def _split(index: Any, input: Any, name: str) -> tuple[tuple | None, tuple | None]:
    """``index`` as a basic index to apply first (None: nothing to do) and an advanced one (None: there is none)."""
    items = [_plain(item, input, name) for item in (index if isinstance(index, tuple) else (index,))]
    counts = [_count(item) for item in items]
    missing = input.ndim - sum(counts)
    if missing < 0:
        raise IndexError(f"{name}: {sum(counts)} indices for a tensor of shape {tuple(input.shape)}")
    if sum(item is ... for item in items) > 1:
        raise IndexError(f"{name}: an index can contain only one Ellipsis ('...')")
    basic: list[Any] = []
    advanced: list[Any] = []
    for item, count in zip(items, counts, strict=True):
        if item is ...:
            basic += [_ALL] * missing
            advanced += [_ALL] * missing
        elif isinstance(item, bool):  # a mask without dimensions: a new one, kept or emptied
            basic.append(None)
            advanced.append(_index_array([0] * item, input))
        elif _is_array(item):
            basic += [_ALL] * count
            # Backward needs the index as it is now, not as someone may have changed it by then.
            advanced.append(item.copy() if records(input) else item)
        else:
            basic.append(item)
            if not isinstance(item, int):
                advanced.append(_ALL)
    if not any(map(_is_array, advanced)):
        return (*basic, ...), None
    while advanced[-1] is _ALL:
        advanced.pop()
    return None if all(item == _ALL for item in basic) else (*basic, ...), tuple(advanced)


def _plain(item: Any, input: Any, name: str) -> Any:
    """One part of an index as None, Ellipsis, an int, a bool, a slice, or an array with dimensions."""
    if item is None or item is ... or isinstance(item, (bool, int)):
        return item
    if isinstance(item, slice):
        return slice(*(None if v is None else _integer(v, name) for v in (item.start, item.stop, item.step)))
    if isinstance(item, (list, tuple, range)):
        array = _index_array(_unwrapped(item), input)
        array = array if array.size else array.astype(np.intp)
    elif not _is_array(array := getattr(item, "_array", item)):
        return _integer(item, name)
    if array.dtype == np.uint8:
        raise TypeError(f"{name}: a uint8 index is ambiguous; use .bool() for a mask, .long() for positions")
    if array.dtype.kind not in "iub":
        raise TypeError(f"{name}: an index must have an integer or bool dtype, got {array.dtype}")
    return array.item() if array.ndim == 0 else array


def _integer(value: Any, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: an index can be an int, a slice, None, Ellipsis, a list, or an integer or bool "
                        f"tensor, got {type(value).__name__}") from None  # fmt: skip


def _count(item: Any) -> int:
    """How many dimensions a part of an index stands for."""
    if item is None or item is ... or isinstance(item, bool):
        return 0
    return item.ndim if _is_array(item) and item.dtype.kind == "b" else 1


def _is_array(item: Any) -> bool:
    return hasattr(item, "dtype")


def _index_array(values: Any, input: Any) -> Array:
    """An array of the library that the array of ``input`` comes from, to index it with."""
    return np.asarray(values, np.intp if not len(values) else None, like=getattr(input, "_array", input))


def _unwrapped(item: Any) -> Any:
    """Nested sequences with Tensors in them as nested lists of numbers."""
    if isinstance(item, TensorBase):
        return item._array.tolist()
    if isinstance(item, (list, tuple, range)):
        return [_unwrapped(i) for i in item]
    if item is None or item is ... or isinstance(item, slice):
        raise TypeError("getitem: a list as index stands for a tensor of integers or bools; use a tuple for several")
    return item


# ---------------------------------------------------------------------------------- x[index] = value


def setitem(input: Any, index: Any, value: Any) -> None:
    """``input[index] = value``, where ``value`` (a tensor or number) broadcasts to what the index finds.

    Where an index finds an element more than once, the last value stays, and alone has a gradient.
    """
    basic, advanced = (quick, None) if (quick := _basic(index)) is not None else _split(index, input, "setitem")
    target = input if basic is None else _getitem(input, index=basic)
    while getattr(value, "ndim", 0) and value.shape[0] == 1:
        value = value[0]  # so that a value of more dimensions than the index finds fits, as in PyTorch
    if advanced is None:
        write(target, value, "setitem")
    elif records(target, value):
        become(target, _index_put(target, value, index=advanced), "setitem")
    else:
        check_writable(target, "setitem")
        _put(target._array, advanced, getattr(value, "_array", value))
        memory.changed(target._array)


@primitive(input=lambda g, index: _index_put(g, 0, index=index),
           value=lambda g, index, value_shape: sum_to(_written(g, index), value_shape))  # fmt: skip
def _index_put(input: Array, value: Array, index: tuple) -> Array:
    """A copy of ``input`` with ``value`` at ``index``."""
    out = np.copy(input)
    _put(out, index, value)
    return out


def _put(out: Array, index: tuple, value: Array) -> None:
    try:
        out[index] = value
    except IndexError as error:
        raise IndexError(f"index_put: {error} (the tensor has shape {tuple(out.shape)})") from None
    except ValueError:
        found = out[index].shape
        raise ValueError(f"index_put: a value of shape {np.shape(value)} does not broadcast to shape {found}, "
                         "which the index finds") from None  # fmt: skip


def _written(g: Any, index: tuple) -> Any:
    """The gradient of the values written to ``index``: 0 where a later one took the place."""
    mask = kernels.stays(index, tuple(g.shape))
    found = _getitem(g, index=index)
    return found if mask is None else where(mask, found, 0)


def index_put(input: Any, indices: tuple, values: Any, accumulate: bool = False) -> Any:
    """``input`` with ``values`` in place of ``input[indices]``, or added to it.

    Args:
        indices: integer or bool tensors, or None for a whole dimension.
        accumulate: add. Where an element is found more than once, all its values are added; without
            it the last stays.
    """
    arrays = [_ALL if item is None else _plain(item, input, "index_put") for item in indices]
    arrays = [_index_array([item], input) if type(item) is int else item for item in arrays]  # from 0-d tensors
    _, advanced = _split(tuple(arrays), input, "index_put")
    if advanced is None or not all(_is_array(item) or item == _ALL for item in arrays):
        raise TypeError(f"index_put: indices must be a tuple of integer or bool tensors, got {indices!r}")
    if not accumulate:
        return _index_put(input, values, index=advanced)
    found = _getitem(input, index=advanced)
    return input + getitem_adjoint(np.zeros_like(found) + values, index=advanced, shape=tuple(input.shape))


# --------------------------------------------------------------------------------- along a dimension


def _positions(index: Any, size: int, name: str) -> Array:
    """An index tensor as an array of its own, with values proven to be in ``range(size)``."""
    array = getattr(index, "_array", index)
    check_kind(name, "iu", index=array)
    if array.size and not ((low := int(array.min())) >= 0 and (high := int(array.max())) < size):
        raise IndexError(f"{name}: index {low if low < 0 else high} is out of range for a dimension of size {size}")
    return array.astype(np.intp)  # a copy: backward needs it as it is now


def _rows(input: Any, dim: int, index: Any, name: str) -> tuple[int, tuple]:
    """``dim`` counted from the front, and the index that finds whole slices there."""
    dim = normalize_dim(dim, input.ndim, name)
    array = _positions(index, input.shape[dim] if input.ndim else 1, name)
    check_dims(name, (0, 1), index=array)
    return dim, along(dim, array.reshape(-1))


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of ``input`` along ``dim`` that the integers in ``index`` name."""
    return _getitem(input, index=_rows(input, dim, index, "index_select")[1])


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """``input`` with the slices of ``alpha * source`` added to those that ``index`` names along ``dim``."""
    dim, rows = _rows(input, dim, index, "index_add")
    expected = (*input.shape[:dim], rows[-1].size, *input.shape[dim + 1 :])
    if tuple(source.shape) != expected:
        raise ValueError(f"index_add: source has shape {tuple(source.shape)}, index and input make it {expected}")
    added = getitem_adjoint(source, index=rows, shape=tuple(input.shape))
    return input + (added if alpha == 1 else added * alpha)


def _along(input: Any, dim: int, index: Any, name: str) -> tuple:
    """The advanced index that finds ``input[i, index[i, j, k], k]`` (``dim`` 1 of 3) at ``[i, j, k]``."""
    dim, shape = normalize_dim(dim, input.ndim, name), tuple(input.shape)
    array = _positions(index, shape[dim], name)
    others = [(n, m) for d, (n, m) in enumerate(zip(array.shape, shape)) if d != dim]
    if array.ndim != len(shape) or any(n > m for n, m in others):
        raise ValueError(f"{name}: index of shape {array.shape} does not fit into shape {shape} apart from dim {dim}")
    places = [np.arange(n, like=array).reshape(-1, *(1,) * (array.ndim - d - 1)) for d, n in enumerate(array.shape)]
    return (*places[:dim], array, *places[dim + 1 :])


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """The elements ``input[i, index[i, j, k], k]`` (for ``dim`` 1 of 3), in the shape of ``index``."""
    if sparse_grad:
        raise NotImplementedError("gather: there are no sparse gradients")
    if input.ndim == 0:
        rows = _positions(index, 1, "gather")
        return np.reshape(_getitem(np.reshape(input, (1,)), index=(rows.reshape(-1),)), rows.shape)
    return _getitem(input, index=_along(input, dim, index, "gather"))


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """:func:`gather` with the other dimensions broadcast; without ``dim``, from the flattened tensor."""
    if dim is None:
        return gather(np.reshape(input, (-1,)), 0, np.reshape(indices, (-1,)))
    dim, shapes = normalize_dim(dim, input.ndim, "take_along_dim"), (tuple(input.shape), tuple(indices.shape))
    if indices.ndim != input.ndim:
        raise ValueError(f"take_along_dim: input and indices differ in dimensions, with shapes {shapes}")
    try:
        full = np.broadcast_shapes(*((*shape[:dim], 1, *shape[dim + 1 :]) for shape in shapes))
    except ValueError:
        raise ValueError(f"take_along_dim: shapes {shapes} do not broadcast apart from dim {dim}") from None
    input, indices = (np.broadcast_to(x, (*full[:dim], x.shape[dim], *full[dim + 1 :])) for x in (input, indices))
    return gather(input, dim, indices)


def take(input: Any, index: Any) -> Any:
    """The elements at the positions ``index`` of the flattened ``input``, in the shape of ``index``."""
    flat = np.reshape(input, (-1,))
    array = getattr(index, "_array", index)
    array = _positions(np.where(array < 0, array + flat.shape[0], array), flat.shape[0], "take")
    return getitem(flat, array)


def _targets(input: Any, dim: int, index: Any, src: Any, name: str) -> tuple[tuple, Any]:
    """The places that gather would read, and the part of ``src`` (a tensor or number) that goes there."""
    places = _along(input, dim, index, name)
    shape = np.broadcast_shapes(*(p.shape for p in places))
    if _is_array(src):
        if src.ndim != len(shape) or any(n > m for n, m in zip(shape, src.shape, strict=True)):
            raise ValueError(f"{name}: index of shape {shape} does not fit into src of shape {tuple(src.shape)}")
        if tuple(src.shape) != shape:
            src = getitem(src, tuple(map(slice, shape)))
    return places, src


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: float | None = None,
            reduce: str | None = None) -> Any:  # fmt: skip
    """``input`` with ``src`` (a tensor or number) written to the places that :func:`gather` reads.

    Where places repeat, the last value stays; with ``reduce="add"``, all are added to what is there.
    """
    src = value if src is None else src
    if src is None:
        raise TypeError("scatter: missing argument 'src', a tensor or a number")
    if reduce not in (None, "add"):
        raise ValueError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    places, src = _targets(input, dim, index, src, "scatter")
    if reduce is None:
        return _index_put(input, src, index=places)
    src = src if _is_array(src) else np.full_like(_getitem(input, index=places), src)
    return input + _total(src, places, input)


def _total(values: Any, places: tuple, like: Any) -> Any:
    """``values`` added up in their places, in the shape of ``like``."""
    return getitem_adjoint(values, index=places, shape=tuple(like.shape))


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``src`` added to the places that :func:`gather` reads."""
    places, src = _targets(input, dim, index, src, "scatter_add")
    return input + _total(src, places, input)


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """``input`` with ``src`` combined into the places that :func:`gather` reads.

    Args:
        reduce: ``"sum"``, ``"mean"``, ``"amax"`` or ``"amin"``; equal extremes share the gradient.
        include_self: whether what ``input`` has in those places counts as well.
    """
    if reduce not in ("sum", "mean", "amax", "amin"):
        raise ValueError(f"scatter_reduce: reduce must be sum, mean, amax or amin, got {reduce!r}")
    places, src = _targets(input, dim, index, src, "scatter_reduce")
    # Which elements count is constant. The sum of them is the result, or their mean: extremes are equal.
    old, new = getattr(input, "_array", input), getattr(src, "_array", src)
    counts_new = np.ones_like(new, dtype=bool)
    counts_old = np.ones_like(old, dtype=bool) if include_self else _total(counts_new.astype(int), places, old) == 0
    if reduce.startswith("a"):
        best = old.copy()
        if not include_self:
            best[places] = new  # anything that counts
        (np.maximum if reduce == "amax" else np.minimum).at(best, places, new)
        counts_old, counts_new = counts_old & _same(old, best), _same(new, best[places])
    total = where(counts_old, input, 0) + _total(where(counts_new, src, 0), places, input)
    if reduce == "sum":
        return total
    count = np.maximum(_total(counts_new.astype(old.dtype), places, old) + counts_old, 1).astype(old.dtype)
    return total / count if old.dtype.kind == "f" else total // count


def _same(a: Array, b: Array) -> Array:
    """Where elements are equal, or both NaN."""
    return (a == b) | ((a != a) & (b != b))


# --------------------------------------------------------------------------------------------- masks


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value``, a number or 0-d tensor, where ``mask`` is True, and ``input`` elsewhere."""
    if getattr(value, "ndim", 0):
        raise ValueError(f"masked_fill: value must be a number or a 0-d tensor, got shape {tuple(value.shape)}")
    check_kind("masked_fill", "b", mask=mask)
    result = where(mask, value, input)
    if result.dtype != input.dtype:
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"masked_fill: a value of {kind} does not fit into {input.dtype}")
    return result


def masked_select(input: Any, mask: Any) -> Any:
    """The elements of ``input`` where ``mask`` is True, in one dimension."""
    check_kind("masked_select", "b", mask=mask)
    shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
    return getitem(np.broadcast_to(input, shape), np.broadcast_to(mask, shape))


@primitive(inputs=("input",))
def argwhere(input: Array) -> Array:
    """The indices of the nonzero elements, one row each."""
    return np.argwhere(input)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """:func:`argwhere`; or, if ``as_tuple``, one tensor for each dimension, fit to index with."""
    if as_tuple:
        found = argwhere(input if input.ndim else np.reshape(input, (1,)))
        return tuple(_getitem(found, index=(_ALL, i, ...)) for i in range(found.shape[1]))
    return argwhere(input)


# ---------------------------------------------------------------------------------------- embeddings


def _embedding_weight(g: Any, indices: Any, weight_shape: tuple[int, ...], padding_idx: int | None) -> Any:
    if padding_idx is not None:
        g = np.where(np.expand_dims(np.equal(indices, padding_idx), -1), 0, g)
    array = getattr(indices, "_array", indices)
    return getitem_adjoint(g, index=(array.copy() if records(g) else array,), shape=weight_shape)


@primitive(inputs=("weight", "indices"), weight=_embedding_weight)
def embedding(weight: Array, indices: Array, padding_idx: int | None = None) -> Array:
    """The rows of the matrix ``weight`` at ``indices``; the row ``padding_idx`` gets no gradient."""
    return np.take(weight, _positions(indices, weight.shape[0], "embedding"), 0)


@primitive(inputs=("tensor",))
def one_hot(tensor: Array, num_classes: int = -1) -> Array:
    """For each class number a row of ``num_classes`` (-1: as many as occur) zeros with a 1 at that number.

    From (...) to (..., num_classes).
    """
    check_kind("one_hot", "iu", tensor=tensor)
    if not tensor.size and num_classes < 1:
        raise ValueError("one_hot: num_classes must be given for an empty tensor")
    highest = int(tensor.max()) if tensor.size else -1
    count = highest + 1 if num_classes == -1 else num_classes
    if tensor.size and (int(tensor.min()) < 0 or highest >= count):
        raise ValueError(f"one_hot: class numbers must be in range({count}), got {int(tensor.min())} to {highest}")
    classes = np.arange(count, like=tensor)
    return np.equal(tensor[..., None], classes).astype(np.int64)
