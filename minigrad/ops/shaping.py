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
from ..engine import new_tensor, primitive, sum_to
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


# ------------------------------------------------------------------------------------- same elements


@primitive(input=lambda g, input_shape: np.reshape(g, input_shape), view=True)
def _reshape(input: Array, shape: tuple[int, ...]) -> Array:
    return input.reshape(shape)


def _inferred(input: Any, shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    """``shape`` with a -1 replaced by what the number of elements leaves for it."""
    size = math.prod(input.shape)
    known = math.prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or any(n < -1 for n in shape):
        raise ValueError(f"{name}: the sizes {shape} must be at least 0, but for one -1, which is inferred")
    if -1 in shape:
        if known == 0 or size % known:
            raise ValueError(
                f"{name}: no size in place of the -1 fits a tensor of shape {tuple(input.shape)} into {shape}"
            )
        shape = tuple(size // known if n == -1 else n for n in shape)
    elif known != size:
        raise ValueError(
            f"{name}: a tensor of shape {tuple(input.shape)} has {size} elements, shape {shape} has {known}"
        )
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
        raise RuntimeError(
            "view: the bytes of a tensor that requires a gradient cannot be read as another dtype; detach() it"
        )
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
        raise ValueError(
            f"unflatten: sizes {sizes} do not multiply up to {shape[dim]}, the size of dim {dim} in {shape}"
        )
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
def _transpose(input: Array, dim0: int, dim1: int) -> Array:
    return input.swapaxes(dim0, dim1)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Dimensions ``dim0`` and ``dim1`` exchanged; a view."""
    dim0 = normalize_dim(dim0, input.ndim, "transpose", "dim0")
    dim1 = normalize_dim(dim1, input.ndim, "transpose", "dim1")
    return _transpose(input, dim0=dim0, dim1=dim1) if input.ndim else getitem(input, ...)


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """:func:`transpose` under NumPy's name."""
    return transpose(input, axis0, axis1)


swapdims = swapaxes


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
    return input.transpose(dims)


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """The dimensions in another order: dimension ``i`` of the result is ``dims[i]`` of ``input``."""
    order = _ints(order, dims, "permute")
    if len(order) != input.ndim:
        raise ValueError(
            f"permute: {order} must name each of the {input.ndim} dimensions of shape {tuple(input.shape)}"
        )
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


# --------------------------------------------------------------------------------- repeated elements


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
            f"expand: shape {shape} cannot be expanded to {target}: sizes other than 1 must stay, and new ones lead"
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


@primitive(input=lambda g, input_shape, repeats: _unrepeated(g, input_shape, repeats))
def _repeat(input: Array, repeats: tuple[int, ...]) -> Array:
    return np.tile(input, repeats)


def _unrepeated(g: Any, shape: tuple[int, ...], repeats: tuple[int, ...]) -> Any:
    """The sum of all copies."""
    full = (1,) * (len(repeats) - len(shape)) + shape
    pairs = tuple(n for pair in zip(repeats, full, strict=True) for n in pair)
    return np.reshape(np.sum(np.reshape(g, pairs), axis=tuple(range(0, len(pairs), 2))), shape)


def repeat(input: Any, *repeats: Any) -> Any:
    """The tensor laid side by side with itself, ``repeats[i]`` times along dimension ``i`` of the result."""
    counts = _ints(repeats, None, "repeat")
    if len(counts) < input.ndim or min(counts, default=0) < 0:
        raise ValueError(f"repeat: {counts} must be a count for each of the {input.ndim} dimensions, new ones in front")
    return _repeat(input, repeats=counts)


def tile(input: Any, *counts: Any, dims: Any = None) -> Any:
    """:func:`repeat`, where missing leading counts are 1."""
    counts = _ints(counts, dims, "tile")
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Each slice along ``dim`` (each element, without ``dim``) repeated in its place.

    Args:
        repeats: how often, an int or an integer tensor with a count for each slice.
        output_size: the sum of the counts, where it is known; it need not be given.
    """
    if dim is None:
        input, dim = ravel(input), 0
    dim = normalize_dim(dim, input.ndim, "repeat_interleave")
    array = getattr(input, "_array", input)
    counts = np.asarray(getattr(repeats, "_array", repeats), like=array)
    size = input.shape[dim]
    if counts.dtype.kind not in "iu" or counts.size not in (1, size) or counts.ndim > 1 or (counts < 0).any():
        raise ValueError(
            f"repeat_interleave: repeats must be a count, or one for each of the {size} slices, got {repeats!r}"
        )
    index = np.repeat(np.arange(size, like=array), counts)
    if output_size not in (None, index.size):
        raise ValueError(f"repeat_interleave: output_size is {output_size}, but repeats add up to {index.size}")
    return getitem(input, (*(_ALL,) * dim, index))


# ------------------------------------------------------------------------------------------- joining


@primitive(
    tensors=lambda g, index, tensors_shape, dim: getitem(g, _part(index, tensors_shape, dim)), promotion="common"
)
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
    filled = [x for x, shape in zip(tensors, shapes, strict=True) if shape != (0,)] or list(
        tensors[:1]
    )  # PyTorch skips (0,)
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


def hstack(tensors: Sequence[Any]) -> Any:
    """The tensors side by side: along dimension 1, or 0 if they are vectors or numbers."""
    raised = [_raised(x, 1) for x in _several((tensors,), "hstack")]
    return cat(raised, 0 if raised and raised[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """The tensors one above the other, vectors as rows."""
    return cat([_raised(x, 2) for x in _several((tensors,), "vstack")], 0)


def dstack(tensors: Sequence[Any]) -> Any:
    """The tensors one behind the other, along dimension 2."""
    return cat([_raised(x, 3) for x in _several((tensors,), "dstack")], 2)


def _raised(x: Any, ndim: int) -> Any:
    """``x`` with at least ``ndim`` dimensions."""
    shape = tuple(x.shape)
    if len(shape) >= ndim:
        return x
    vector = shape if len(shape) == 1 else (1,)
    return _reshape(x, shape=(*shape, 1) if len(shape) == 2 else ((), vector, (1, *vector), (1, *vector, 1))[ndim])


def _at_least(tensors: tuple, ndim: int) -> Any:
    """One tensor for one, a tuple for several or for a sequence, as PyTorch gives them."""
    raised = tuple(_raised(x, ndim) for x in _several(tensors, f"atleast_{ndim}d"))
    return raised[0] if len(tensors) == 1 and hasattr(tensors[0], "ndim") else raised


def atleast_1d(*tensors: Any) -> Any:
    """Each tensor with at least one dimension."""
    return _at_least(tensors, 1)


def atleast_2d(*tensors: Any) -> Any:
    """Each tensor with at least two dimensions; vectors become rows."""
    return _at_least(tensors, 2)


def atleast_3d(*tensors: Any) -> Any:
    """Each tensor with at least three dimensions: a vector of n becomes (1, n, 1), a matrix (n, m, 1)."""
    return _at_least(tensors, 3)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Vectors as the coordinates of a grid: the first varies along dimension 0 (``"ij"``) or 1 (``"xy"``)."""
    tensors = _several(tensors, "meshgrid")
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    if any(x.ndim > 1 for x in tensors):
        raise ValueError(f"meshgrid: expected vectors, got shapes {[tuple(x.shape) for x in tensors]}")
    shape = tuple(math.prod(x.shape) for x in tensors)
    grid = [
        expand(_reshape(x, shape=(*(1,) * i, -1, *(1,) * (len(shape) - i - 1))), shape) for i, x in enumerate(tensors)
    ]
    return tuple(transpose(x, 0, 1) if indexing == "xy" and len(shape) > 1 else x for x in grid)


def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of elements of the vectors, one in each row."""
    tensors = _several(tensors, "cartesian_prod")
    if len(tensors) == 1:
        return tensors[0]
    return stack([ravel(x) for x in meshgrid(*tensors)], 1)


# ----------------------------------------------------------------------------------------- splitting


def select(input: Any, dim: int, index: int) -> Any:
    """The slice at ``index`` along ``dim``, without that dimension; a view."""
    dim = normalize_dim(dim, input.ndim, "select") if input.ndim else _no_dimension("select")
    if not -input.shape[dim] <= to_int(index) < input.shape[dim]:
        raise IndexError(f"select: index {index} is out of range for dim {dim} of shape {tuple(input.shape)}")
    return getitem(input, (*(_ALL,) * dim, to_int(index)))


def _no_dimension(name: str) -> Any:
    raise IndexError(f"{name}: the tensor has no dimensions")


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """``length`` slices along ``dim``, from ``start`` on; a view."""
    dim = normalize_dim(dim, input.ndim, "narrow") if input.ndim else _no_dimension("narrow")
    size = input.shape[dim]
    first = to_int(start) + size if start < 0 else to_int(start)
    if length < 0 or not 0 <= first <= size - length:
        raise ValueError(f"narrow: {length} slices from {start} on are not within the {size} of dim {dim}")
    return getitem(input, (*(_ALL,) * dim, slice(first, first + length)))


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive parts along ``dim``: of one size (the last may be smaller), or of the sizes listed."""
    dim = normalize_dim(dim, tensor.ndim, "split") if tensor.ndim else _no_dimension("split")
    size = tensor.shape[dim]
    if isinstance(split_size_or_sections, Sequence):
        sizes = _ints((split_size_or_sections,), None, "split")
        if sum(sizes) != size or min(sizes, default=0) < 0:
            raise ValueError(f"split: the sizes {list(sizes)} must add up to {size}, the size of dim {dim}")
    else:
        step = to_int(split_size_or_sections)
        if step < 0 or (step == 0 and size):
            raise ValueError(f"split: the size of a part must be positive, got {step}")
        sizes = (*(step,) * (size // step), size % step)[: -(-size // step) or 1] if step else (0,)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(narrow(tensor, dim, start, n) for start, n in zip(starts, sizes, strict=True))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` views of equal parts along ``dim``; the last may be smaller."""
    if to_int(chunks) < 1:
        raise ValueError(f"chunk: chunks must be at least 1, got {chunks}")
    dim = normalize_dim(dim, input.ndim, "chunk") if input.ndim else _no_dimension("chunk")
    if input.shape[dim] == 0:
        return tuple(narrow(input, dim, 0, 0) for _ in range(chunks))
    return split(input, -(-input.shape[dim] // chunks), dim)


def tensor_split(input: Any, indices_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of parts along ``dim`` as equal as possible, or of those that end at the indices listed."""
    dim = normalize_dim(dim, input.ndim, "tensor_split") if input.ndim else _no_dimension("tensor_split")
    size = input.shape[dim]
    if isinstance(indices_or_sections, Sequence):
        ends = (*_ints((indices_or_sections,), None, "tensor_split"), size)
    else:
        count = to_int(indices_or_sections)
        if count < 1:
            raise ValueError(f"tensor_split: the number of parts must be positive, got {count}")
        ends = tuple((i + 1) * (size // count) + min(i + 1, size % count) for i in range(count))
    starts = (0, *ends[:-1])
    return tuple(getitem(input, (*(_ALL,) * dim, slice(a, b))) for a, b in zip(starts, ends, strict=True))


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of all slices along ``dim``, without that dimension."""
    dim = normalize_dim(dim, input.ndim, "unbind") if input.ndim else _no_dimension("unbind")
    return tuple(getitem(input, (*(_ALL,) * dim, i)) for i in range(input.shape[dim]))


# --------------------------------------------------------------------------------------------- order


@primitive(input=lambda g, dims: _flip(g, dims))
def _flip(input: Array, dims: tuple[int, ...]) -> Array:
    return np.copy(np.flip(input, dims))


def flip(input: Any, *order: Any, dims: Any = None) -> Any:
    """The elements in reverse order along ``dims``; a copy, as in PyTorch."""
    return _flip(input, dims=normalize_dims(_ints(order, dims, "flip"), input.ndim, "flip"))


def fliplr(input: Any) -> Any:
    """The columns (dimension 1) in reverse order."""
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """The rows (dimension 0) in reverse order."""
    return flip(input, 0)


@primitive(input=lambda g, shifts, dims: _roll(g, tuple(-s for s in shifts), dims))
def _roll(input: Array, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    return np.roll(input, shifts, dims)


def roll(input: Any, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Any:
    """The elements moved ``shifts`` places along ``dims``, those pushed out coming in again at the other end.

    Without ``dims`` the tensor is rolled as if it were flat.
    """
    amounts = _ints((shifts,), None, "roll")
    if dims is None:
        if len(amounts) > 1:
            raise ValueError(f"roll: shifts {shifts} need dims, one for each")
        return _reshape(_roll(ravel(input), shifts=amounts, dims=(0,)), shape=tuple(input.shape))
    places = tuple(normalize_dim(d, input.ndim, "roll") for d in (dims if isinstance(dims, Sequence) else (dims,)))
    if len(amounts) != len(places):
        raise ValueError(f"roll: shifts {shifts} and dims {dims} differ in length")
    return _roll(input, shifts=amounts, dims=places)


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """The tensor turned ``k`` times by 90 degrees, from the first towards the second of ``dims``; a copy."""
    if input.ndim < 2 or len(dims) != 2:
        raise ValueError(
            f"rot90: expected two dims of a tensor with at least two, got {dims} and shape {tuple(input.shape)}"
        )
    first, second = normalize_dims(tuple(dims), input.ndim, "rot90")
    k = to_int(k) % 4
    if k == 0:
        return clone(input)
    if k == 2:
        return flip(input, first, second)
    return transpose(flip(input, second if k == 1 else first), first, second)


# --------------------------------------------------------------------------- triangles and diagonals


@primitive(input=lambda g, diagonal: tril(g, diagonal))
def tril(input: Array, diagonal: int = 0) -> Array:
    """The matrices (last two dimensions) with zeros above the ``diagonal``-th diagonal."""
    _need_matrix(input, "tril")
    return np.tril(input, diagonal)


@primitive(input=lambda g, diagonal: triu(g, diagonal))
def triu(input: Array, diagonal: int = 0) -> Array:
    """The matrices (last two dimensions) with zeros below the ``diagonal``-th diagonal."""
    _need_matrix(input, "triu")
    return np.triu(input, diagonal)


def _need_matrix(input: Array, name: str) -> None:
    if input.ndim < 2:
        raise ValueError(f"{name}: expected at least 2 dimensions, got shape {tuple(input.shape)}")


@primitive(
    input=lambda g, input_shape, offset, dim1, dim2: diagonal_adjoint(g, input_shape, offset, dim1, dim2), view=True
)
def diagonal(input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The elements whose index in ``dim2`` is that in ``dim1`` plus ``offset``, along a new last dimension; a view."""
    _need_matrix(input, "diagonal")
    dim1, dim2 = normalize_dims((dim1, dim2), input.ndim, "diagonal", "(dim1, dim2)")
    out = np.diagonal(input, offset, dim1, dim2)
    if isinstance(out, np.ndarray) and input.flags.writeable:
        out.flags.writeable = True
    return out


@primitive(g=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2))
def diagonal_adjoint(g: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros of ``shape`` with ``g`` on a diagonal."""
    out = np.zeros_like(g, shape=shape, order="C")
    along = np.arange(g.shape[-1], like=g)
    matrices = np.moveaxis(out, (dim1, dim2), (-2, -1))
    matrices[..., along + max(-offset, 0), along + max(offset, 0)] = g
    return out


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in dimensions ``dim1`` and ``dim2``, with the last dimension of ``input`` on a diagonal."""
    if input.ndim == 0:
        raise ValueError("diag_embed: expected at least one dimension")
    dims = normalize_dims((dim1, dim2), input.ndim + 1, "diag_embed", "(dim1, dim2)")
    shape = list(input.shape[:-1])
    for dim in sorted(dims):
        shape.insert(dim, input.shape[-1] + abs(offset))
    return diagonal_adjoint(input, shape=tuple(shape), offset=offset, dim1=dims[0], dim2=dims[1])


def diag(input: Any, diagonal: int = 0) -> Any:
    """A matrix with the vector ``input`` on a diagonal; or of a matrix a copy of that diagonal."""
    if input.ndim not in (1, 2):
        raise ValueError(f"diag: expected a vector or a matrix, got shape {tuple(input.shape)}")
    return diag_embed(input, diagonal) if input.ndim == 1 else clone(_diagonal(input, diagonal))


_diagonal = diagonal


def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements of ``input`` on a diagonal."""
    return diag_embed(ravel(input), offset)


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise ValueError(f"trace: expected a matrix, got shape {tuple(input.shape)}")
    return np.sum(diagonal(input))


# ------------------------------------------------------------------------------------------- windows


@primitive(input=lambda g, input_shape, dimension, size, step: unfold_adjoint(g, input_shape, dimension, size, step),
           view=True)  # fmt: skip
def _unfold(input: Array, dimension: int, size: int, step: int) -> Array:
    if size == 0:  # NumPy has no windows of nothing
        shape = input.shape
        return np.zeros_like(
            input, shape=(*shape[:dimension], shape[dimension] // step + 1, *shape[dimension + 1 :], 0)
        )
    writable = step >= size and input.flags.writeable  # overlapping windows cannot be written to one by one
    windows = np.lib.stride_tricks.sliding_window_view(input, size, dimension, writeable=writable)
    return windows[(*(_ALL,) * dimension, slice(None, None, step))]


@primitive(g=lambda g, dimension, size, step: _unfold(g, dimension, size, step))
def unfold_adjoint(g: Array, shape: tuple[int, ...], dimension: int, size: int, step: int) -> Array:
    """The windows ``g`` added up where they were taken from zeros of ``shape``."""
    out = np.zeros_like(g, shape=shape, order="C")
    end = step * g.shape[dimension]
    for k in range(size):
        out[(*(_ALL,) * dimension, slice(k, k + end, step))] += g[..., k]
    return out


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of ``size`` elements along ``dimension``, ``step`` apart: their number there, ``size`` last; a view."""
    dimension = normalize_dim(dimension, input.ndim, "unfold", "dimension")
    if input.ndim == 0:
        return getitem(unfold(_reshape(input, shape=(1,)), 0, size, step), 0)
    if step < 1 or not 0 <= size <= input.shape[dimension]:
        raise ValueError(
            f"unfold: size must be in 0 to {input.shape[dimension]} (shape {tuple(input.shape)}) and step positive, "
            f"got {size} and {step}"
        )
    return _unfold(input, dimension=dimension, size=size, step=step)


# -------------------------------------------------------------------------------------------- copies


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
