"""Operations that rearrange elements: new shapes, orders and repetitions, joining and splitting.

Those that only look at the memory in another way (reshape, permute, expand, diagonal, ...) are
views, exactly where PyTorch's are: what is written to one is seen through the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index as to_int
from typing import Any

import numpy as np

from ..arguments import normalize_dim, normalize_dims
from ..engine import TensorBase, new_tensor, primitive, sum_to
from ..memory import Array
from .indexing import getitem

_ALL = slice(None)


def _ints(values: tuple, keyword: Any, name: str) -> tuple[int, ...]:
    """The ints given as ``f(2, 3)``, ``f((2, 3))`` or by keyword."""
    if keyword is not None:
        values = (keyword,)
    if len(values) == 1 and isinstance(values[0], Sequence):
        values = tuple(values[0])
    try:
        return tuple(to_int(v) for v in values)
    except TypeError:
        raise TypeError(f"{name}: expected ints, got {values!r}") from None


# ---------------------------------------------------------------------------------- same elements


@primitive(input=lambda g, input_shape: np.reshape(g, input_shape), view=True)
def _reshape(input: Array, shape: tuple[int, ...]) -> Array:
    return np.reshape(input, shape)


def _inferred(input: Any, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """``shape`` with a -1 replaced by what the number of elements leaves for it."""
    size = math.prod(input.shape)
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or any(n < -1 for n in shape):
        raise ValueError(f"{name}: the sizes {shape} must be at least 0, but for one -1, which is inferred")
    if -1 in shape:
        if known == 0 or size % known:
            raise ValueError(f"{name}: no size in place of the -1 fits a tensor of shape {tuple(input.shape)} into {shape}")
        shape = tuple(size // known if n == -1 else n for n in shape)
    elif known != size:
        raise ValueError(f"{name}: a tensor of shape {tuple(input.shape)} has {size} elements, shape {shape} has {known}")
    return shape


def reshape(input: Any, *sizes: Any, shape: Any = None) -> Any:
    """The same elements in row-major order, in another shape; one size may be -1, to be inferred.

    A view where the memory allows it, else a copy.
    """
    return _reshape(input, shape=_inferred(input, _ints(sizes, shape, "reshape"), "reshape"))


def view(input: Any, *sizes: Any, size: Any = None, dtype: Any = None) -> Any:
    """:func:`reshape` that never copies; or, given a dtype, the same bytes read as that dtype.

    Raises:
        RuntimeError: if no strides can express the new shape in the memory of ``input``.
    """
    if sizes and (isinstance(sizes[0], (np.dtype, type))):
        dtype, *sizes = sizes  # type: ignore[assignment]
    if dtype is not None:
        return _view_as_dtype(input, dtype)
    shape = _inferred(input, _ints(tuple(sizes), size, "view"), "view")
    result = _reshape(input, shape=shape)
    old, new = (getattr(t, "_array", t) for t in (input, result))
    if new.size and not np.may_share_memory(old, new):
        raise RuntimeError(
            f"view: a tensor of shape {tuple(old.shape)} and strides {_strides(old)} cannot be seen as {shape} "
            "without copying; use reshape()"
        )
    return result


def _strides(array: Array) -> tuple[int, ...]:
    return tuple(step // array.itemsize for step in array.strides)


def _view_as_dtype(input: Any, dtype: Any) -> Any:
    if input._requires_grad:
        raise RuntimeError("view: the bytes of a tensor that requires a gradient cannot be read as another dtype; detach() it")
    try:
        return new_tensor(input._array.view(dtype))
    except (ValueError, TypeError) as error:
        raise ValueError(f"view: {input.dtype} of shape {input.shape} cannot be read as {dtype}: {error}") from None


def view_as(input: Any, other: Any) -> Any:
    """:func:`view` with the shape of ``other``."""
    return view(input, tuple(other.shape))


def reshape_as(input: Any, other: Any) -> Any:
    """:func:`reshape` to the shape of ``other``."""
    return reshape(input, tuple(other.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions ``start_dim`` to ``end_dim`` (included) as one."""
    start = normalize_dim(start_dim, input.ndim, "flatten", "start_dim")
    end = normalize_dim(end_dim, input.ndim, "flatten", "end_dim")
    if start > end:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim} in {input.ndim} dimensions")
    shape = tuple(input.shape)
    return _reshape(input, shape=(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """Dimension ``dim`` split into ``sizes``, one of which may be -1."""
    dim = normalize_dim(dim, input.ndim, "unflatten")
    shape = tuple(input.shape)
    sizes = _ints((sizes,), None, "unflatten")
    missing = math.prod(n for n in sizes if n != -1)
    full = tuple(shape[dim] // missing if n == -1 and missing else n for n in sizes)
    if math.prod(full) != shape[dim] or min(full, default=-1) < 0:
        raise ValueError(f"unflatten: sizes {sizes} do not multiply up to {shape[dim]}, the size of dim {dim} in {shape}")
    return _reshape(input, shape=(*shape[:dim], *full, *shape[dim + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one dimension."""
    return _reshape(input, shape=(math.prod(input.shape),))


def squeeze(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """Without the dimensions of size 1: all of them, or those in ``dim`` that have size 1."""
    dims = normalize_dims(dim, input.ndim, "squeeze")
    return _reshape(input, shape=tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in dims))


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new dimension of size 1 at ``dim``."""
    dim = normalize_dim(dim, input.ndim + 1, "unsqueeze")
    shape = tuple(input.shape)
    return _reshape(input, shape=(*shape[:dim], 1, *shape[dim:]))


@primitive(input=lambda g, dim0, dim1: np.swapaxes(g, dim0, dim1), view=True)
def transpose(input: Array, dim0: int, dim1: int) -> Array:
    """Dimensions ``dim0`` and ``dim1`` exchanged."""
    dim0 = normalize_dim(dim0, input.ndim, "transpose", "dim0")
    dim1 = normalize_dim(dim1, input.ndim, "transpose", "dim1")
    return np.swapaxes(input, dim0, dim1) if input.ndim else input[...]


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """:func:`transpose` under NumPy's name."""
    return transpose(input, axis0, axis1)


def t(input: Any) -> Any:
    """A matrix transposed; a vector or number as it is."""
    if input.ndim > 2:
        raise ValueError(f"t: expected at most 2 dimensions, got shape {tuple(input.shape)}; use transpose() or .mT")
    return transpose(input, 0, 1) if input.ndim == 2 else getitem(input, ...)


def matrix_transpose(input: Any) -> Any:
    """The last two dimensions exchanged (``.mT``)."""
    if input.ndim < 2:
        raise ValueError(f"mT: expected at least 2 dimensions, got shape {tuple(input.shape)}")
    return transpose(input, -2, -1)


def reverse_dims(input: Any) -> Any:
    """All dimensions in reverse order (``.T``)."""
    return _permute(input, dims=tuple(reversed(range(input.ndim))))


@primitive(input=lambda g, dims: np.transpose(g, _inverse(dims)), view=True)
def _permute(input: Array, dims: tuple[int, ...]) -> Array:
    return np.transpose(input, dims)


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """The dimensions in another order: dimension ``i`` of the result is ``dims[i]`` of ``input``."""
    order = _ints(order, dims, "permute")
    if len(order) != input.ndim:
        raise ValueError(f"permute: {order} must name each of the {input.ndim} dimensions of shape {tuple(input.shape)}")
    return _permute(input, dims=normalize_dims(order, input.ndim, "permute"))


def movedim(input: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """Dimensions ``source`` moved to the positions ``destination``; the others keep their order."""
    sources = normalize_dims(source, input.ndim, "movedim", "source")
    targets = normalize_dims(destination, input.ndim, "movedim", "destination")
    if len(sources) != len(targets):
        raise ValueError(f"movedim: source {source} and destination {destination} differ in length")
    order = [d for d in range(input.ndim) if d not in sources]
    for target, dim in sorted(zip(targets, sources, strict=True)):
        order.insert(target, dim)
    return _permute(input, dims=tuple(order))


moveaxis = movedim


# -------------------------------------------------------------------------------- repeated elements


@primitive(input=lambda g, input_shape: sum_to(g, input_shape), view=True)
def _expand(input: Array, shape: tuple[int, ...]) -> Array:
    out = np.broadcast_to(input, shape)
    if isinstance(out, np.ndarray) and input.flags.writeable:
        out.flags.writeable = True  # in-place operations look at the strides, as PyTorch's do
    return out


def expand(input: Any, *sizes: Any, size: Any = None) -> Any:
    """A view with dimensions of size 1 stretched, and new ones in front; -1 keeps a size."""
    target = _ints(sizes, size, "expand")
    shape = tuple(input.shape)
    extra = len(target) - len(shape)
    full = tuple(shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(target))
    if extra < 0 or min(full, default=0) < 0 or any(o not in (1, n) for o, n in zip(shape, full[extra:], strict=True)):
        raise ValueError(
            f"expand: shape {shape} cannot be expanded to {target}: sizes other than 1 must stay, new dimensions come in front"
        )
    return _expand(input, shape=full)


def expand_as(input: Any, other: Any) -> Any:
    """:func:`expand` to the shape of ``other``."""
    return expand(input, tuple(other.shape))


def broadcast_to(input: Any, size: Sequence[int]) -> Any:
    """:func:`expand` to the shape ``size``."""
    return expand(input, tuple(size))


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape that tensors of ``shapes`` broadcast to."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"broadcast_shapes: {' and '.join(map(str, shapes))} do not broadcast") from None


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to the shape that they broadcast to."""
    tensors = _several(tensors, "broadcast_tensors")
    shape = broadcast_shapes(*(tuple(x.shape) for x in tensors))
    return tuple(expand(x, shape) for x in tensors)


def _several(tensors: Any, name: str) -> tuple[Any, ...]:
    """Tensors given one by one or in one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    for x in tensors:
        if not hasattr(x, "ndim"):
            raise TypeError(f"{name}: expected tensors, got {type(x).__name__}")
    return tuple(tensors)


# ------------------------------------------------------------------------------ joining


@primitive(tensors=lambda g, index, tensors_shape, dim: getitem(g, _part(index, tensors_shape, dim)), promotion="common")
def _cat(*tensors: Array, dim: int) -> Array:
    return np.concatenate(tensors, dim)


def _part(index: int, shapes: Sequence[tuple[int, ...]], dim: int) -> tuple:
    """Where the tensor number ``index`` lies in the concatenation."""
    start = sum(shape[dim] for shape in shapes[:index])
    return (*(_ALL,) * dim, slice(start, start + shapes[index][dim]))


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after the other along ``dim``; all other sizes must agree."""
    tensors = _several((tensors,), "cat")
    shapes = [tuple(x.shape) for x in tensors]
    filled = [x for x, shape in zip(tensors, shapes, strict=True) if shape != (0,)] or list(tensors[:1])  # PyTorch skips (0,)
    if not filled:
        raise ValueError("cat: expected at least one tensor")
    ndim = filled[0].ndim
    if ndim == 0:
        raise ValueError("cat: tensors without dimensions cannot be concatenated; use stack()")
    dim = normalize_dim(dim, ndim, "cat")
    rest = {(x.ndim, tuple(x.shape[:dim]), tuple(x.shape[dim + 1 :])) for x in filled}
    if len(rest) > 1:
        raise ValueError(f"cat: shapes {' and '.join(map(str, shapes))} must agree in all dimensions but {dim}")
    return _cat(*filled, dim=dim)


concat = cat
concatenate = cat


@primitive(tensors=lambda g, index, dim: getitem(g, (*(_ALL,) * dim, index)), promotion="common")
def _stack(*tensors: Array, dim: int) -> Array:
    return np.stack(tensors, dim)


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors, all of one shape, side by side along a new dimension ``dim``."""
    tensors = _several((tensors,), "stack")
    if not tensors:
        raise ValueError("stack: expected at least one tensor")
    shapes = [tuple(x.shape) for x in tensors]
    if len(set(shapes)) > 1:
        raise ValueError(f"stack: all shapes must be equal, got {' and '.join(map(str, shapes))}")
    return _stack(*tensors, dim=normalize_dim(dim, len(shapes[0]) + 1, "stack"))


# ------------------------------------------------------------------------------ copies


@primitive(input=lambda g: g)
def clone(input: Array) -> Array:
    """A copy with memory of its own, and a gradient that flows back to ``input``."""
    return np.copy(input)


def contiguous(input: Any) -> Any:
    """``input`` itself if its elements lie in memory in row-major order, else a copy that do."""
    return input if input._array.flags.c_contiguous else _contiguous(input)


@primitive(input=lambda g: g)
def _contiguous(input: Array) -> Array:
    return np.copy(input, order="C")
