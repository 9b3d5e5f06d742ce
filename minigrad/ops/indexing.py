"""Reading and writing chosen elements: ``x[index]``, gather and scatter, masks, embeddings.

An index is split in two, as PyTorch does it: what is *basic* (integers, slices, None, Ellipsis)
gives a view, of which the *advanced* rest (integer arrays, masks) picks elements.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..engine import TensorBase, mode, primitive, sum_to
from ..kernels import indexing as kernels
from ..memory import Array
from .inplace import become, copy_

_ALL = slice(None)


# ------------------------------------------------------------------------------ x[index]


@primitive(input=lambda g, input_shape, index: getitem_adjoint(g, index, input_shape), view=True)
def _getitem(input: Array, index: tuple) -> Array:
    """``input[index]``, where ``index`` is either basic and ends in an Ellipsis, or advanced."""
    try:
        return input[index]
    except IndexError as error:
        raise IndexError(f"getitem: {error} (the tensor has shape {input.shape})") from None


@primitive(g=lambda g, index: _getitem(g, index))
def getitem_adjoint(g: Array, index: tuple, shape: tuple[int, ...]) -> Array:
    """The elements of ``g`` added where ``index`` finds them in zeros of ``shape``."""
    out = np.zeros_like(g, shape=shape)
    arrays = [item for item in index if isinstance(item, np.ndarray)]
    if not arrays or (len(arrays) == 1 and arrays[0].dtype.kind == "b"):
        out[index] = g  # no element is found twice
        return out
    return kernels.add_at(out, index, g)


def getitem(input: Any, index: Any) -> Any:
    """``input[index]``, with NumPy's and PyTorch's indices.

    Integers, slices (also with negative steps), None and Ellipsis give a view. Integer tensors,
    bool masks and lists give a copy. As in PyTorch, an integer next to an integer tensor selects
    before the tensor is applied, so it does not move the tensor's dimensions to the front.
    """
    kind = type(index)
    if kind is int or kind is slice:
        return _getitem(input, index=(index, ...))
    basic, advanced = _split(index, input, "getitem")
    if basic is not None:
        input = _getitem(input, index=basic)
    return input if advanced is None else _getitem(input, index=advanced)


def _split(index: Any, input: Any, name: str) -> tuple[tuple | None, tuple | None]:
    """``index`` as a basic index to be applied first (None: nothing to do) and an advanced one (None: none)."""
    items = [_plain(item, name) for item in (index if isinstance(index, tuple) else (index,))]
    counts = [0 if i is None or i is ... or isinstance(i, bool) else getattr(i, "ndim", 1) if _is_mask(i) else 1 for i in items]
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
            advanced.append(np.zeros(int(item), np.intp))
        elif isinstance(item, np.ndarray):
            basic += [_ALL] * count
            # Backward needs the index as it is now, not as someone may have changed it by then.
            advanced.append(item.copy() if mode.grad and getattr(input, "_requires_grad", False) else item)
        else:
            basic.append(item)
            if not isinstance(item, int):
                advanced.append(_ALL)
    if not any(isinstance(item, np.ndarray) for item in advanced):
        return (*basic, ...), None
    return None if all(item == _ALL for item in basic) else (*basic, ...), tuple(advanced)


def _plain(item: Any, name: str) -> Any:
    """One part of an index as None, Ellipsis, an int, a bool, a slice, or an array with dimensions."""
    if item is None or item is ... or isinstance(item, (bool, int)):
        return item
    if isinstance(item, slice):
        return item
    array = item._array if isinstance(item, TensorBase) else item
    if not isinstance(array, np.ndarray):
        if not isinstance(item, (list, tuple, range, np.generic)):
            try:
                return operator.index(item)
            except TypeError:
                raise TypeError(
                    f"{name}: an index can be an int, a slice, None, Ellipsis, a list or an integer or bool tensor, "
                    f"got {type(item).__name__}"
                ) from None
        array = np.asarray(_unwrapped(item))
        if not array.size and isinstance(item, (list, tuple, range)):
            array = array.astype(np.intp)
    if array.dtype == np.uint8:
        raise TypeError(f"{name}: a uint8 index is ambiguous; use .bool() for a mask, .long() for positions")
    if array.dtype.kind not in "iub":
        raise TypeError(f"{name}: an index must have an integer or bool dtype, got {array.dtype}")
    return array.item() if array.ndim == 0 else array


def _unwrapped(item: Any) -> Any:
    """Nested sequences with Tensors in them as nested sequences of arrays and numbers."""
    if isinstance(item, TensorBase):
        return item._array
    return [_unwrapped(i) for i in item] if isinstance(item, (list, tuple)) else item


def _is_mask(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype.kind == "b"


def setitem(input: Any, index: Any, value: Any) -> None:
    """``input[index] = value``, where ``value`` (a tensor or number) broadcasts to what the index finds.

    Where an index finds an element more than once, the last value stays, and alone has a gradient.
    """
    basic, advanced = _split(index, input, "setitem")
    target = input if basic is None else _getitem(input, index=basic)
    if advanced is None:
        copy_(target, value)
    else:
        become(target, _index_put(target, value, index=advanced), "setitem")


@primitive(input=lambda g, index: _index_put(g, 0, index=index),
           value=lambda g, index, value_shape: sum_to(_last_written(g, index), value_shape))  # fmt: skip
def _index_put(input: Array, value: Array, index: tuple) -> Array:
    out = np.copy(input)
    out[index] = value
    return out


def _last_written(g: Any, index: tuple) -> Any:
    """The gradient of the values written to ``index``: 0 where a later one took the place."""
    return _getitem(g, index)
