"""Operations that rearrange elements: new shapes, orders and repetitions, joining and splitting.

Those that only look at the memory in another way (reshape, permute, expand, diagonal, ...) are
views, exactly where PyTorch's are: what is written to one is seen through the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from operator import index as to_int
from typing import Any

import numpy as np

from ..arguments import MATRICES, along, check_dims, ints, normalize_dim, normalize_dims, specialize
from ..engine import primitive, sum_to
from ..kernels import layout
from ..memory import Array, exposed, owner
from .indexing import getitem

# ------------------------------------------------------------------------------------- same elements


@primitive(input=lambda g, input_shape: np.reshape(g, input_shape), view=True)
def _reshape(input: Array, shape: tuple[int, ...]) -> Array:
    if len(shape) == 2 and input.ndim > 2 and shape[0] == input.shape[0]:
        flat = layout.flattened(input)
        if flat is not None:
            return flat
    return input.reshape(shape)


def _fitted(old: tuple[int, ...], new: tuple[int, ...], name: str) -> tuple[int, ...]:
    """The shape ``new`` with a -1 replaced by what the elements of shape ``old`` leave for it."""
    if new.count(-1) > 1 or min(new, default=0) < -1:
        raise ValueError(f"{name}: the sizes {new} must be at least 0, but for one -1, which is inferred")
    count, known = math.prod(old), math.prod(n for n in new if n != -1)
    if (not known or count % known) if -1 in new else known != count:
        raise ValueError(f"{name}: the {count} elements of shape {tuple(old)} do not fit into shape {new}")
    return tuple(count // known if n == -1 else n for n in new)


def reshape(input: Any, *sizes: Any, shape: Any = None) -> Any:
    """The same elements in row-major order, in another shape; one size may be -1, to be inferred.

    A view where the memory allows it, else a copy.
    """
    return _reshape(input, shape=_fitted(input.shape, ints(sizes, "reshape", given=shape), "reshape"))


def view(input: Any, *sizes: Any, size: Any = None) -> Any:
    """:func:`reshape` that never copies.

    Raises:
        RuntimeError: if no strides can express the new shape in the memory of ``input``.
    """
    shape = _fitted(input.shape, ints(sizes, "view", given=size), "view")
    _arrange(input, shape)
    result = _reshape(input, shape=shape)
    old, new = (getattr(t, "_array", t) for t in (input, result))
    if new.size and not np.may_share_memory(old, new):
        strides = tuple(step // old.itemsize for step in old.strides)
        raise RuntimeError(f"view: a tensor of shape {old.shape} and strides {strides} cannot be seen as {shape} "
                           "without copying; use reshape()")  # fmt: skip
    return result


def _arrange(input: Any, shape: tuple[int, ...]) -> None:
    """Store a tensor that a kernel left batch last in the order in which it can be seen as ``shape``.

    PyTorch's programs know that the result of a convolution is contiguous.
    """
    array: Array = getattr(input, "_array", None)
    if getattr(input, "_view", array) is not None or not layout.is_batch_last(array):
        return
    if not array.flags.c_contiguous and id(owner(array)) not in exposed:
        flat = layout.flattened(array) if len(shape) == 2 and shape[0] == array.shape[0] else None
        input._array = array.copy("C") if flat is None else flat.reshape(array.shape)


def view_as(input: Any, other: Any) -> Any:
    """:func:`view` with the shape of ``other``."""
    return view(input, other.shape)


def reshape_as(input: Any, other: Any) -> Any:
    """:func:`reshape` to the shape of ``other``."""
    return reshape(input, other.shape)


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
    before, size, after = (tuple(input.shape[part]) for part in (slice(dim), slice(dim, dim + 1), slice(dim + 1, None)))
    return _reshape(input, shape=(*before, *_fitted(size, ints((sizes,), "unflatten"), "unflatten"), *after))


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
    return _reshape(input, shape=(*input.shape[:dim], 1, *input.shape[dim:]))


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


swapdims = transpose


def t(input: Any) -> Any:
    """A matrix transposed; a vector or number as it is."""
    check_dims("t", (0, 1, 2), input=input)
    return reverse_dims(input)


def matrix_transpose(input: Any) -> Any:
    """The last two dimensions exchanged (``.mT``)."""
    check_dims("mT", MATRICES, input=input)
    return transpose(input, -2, -1)


def reverse_dims(input: Any) -> Any:
    """All dimensions in reverse order (``.T``)."""
    return _permute(input, dims=tuple(reversed(range(input.ndim))))


@primitive(input=lambda g, dims: np.transpose(g, sorted(range(len(dims)), key=dims.__getitem__)), view=True)
def _permute(input: Array, dims: tuple[int, ...]) -> Array:
    return input.transpose(dims)


def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """The dimensions in another order: dimension ``i`` of the result is ``dims[i]`` of ``input``."""
    order = ints(order, "permute", "dims", dims)
    if len(order) != input.ndim:
        raise ValueError(f"permute: {order} must name each of the {input.ndim} dimensions, once")
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
    return _permute(input, dims=tuple(order[: input.ndim]))  # none, of a tensor that accepts 0 and -1 without any


moveaxis = movedim


# --------------------------------------------------------------------------------- repeated elements


def _writable_as(input: Array, view: Array) -> Array:
    """``view``, a view of ``input``, which NumPy made read-only, though in-place operations watch over themselves."""
    if isinstance(view, np.ndarray) and input.flags.writeable:
        view.flags.writeable = True
    return view


@primitive(input=lambda g, input_shape: sum_to(g, input_shape), view=True)
def _expand(input: Array, shape: tuple[int, ...]) -> Array:
    return _writable_as(input, np.broadcast_to(input, shape))


def expand(input: Any, *sizes: Any, size: Any = None) -> Any:
    """A view with dimensions of size 1 stretched, and new ones in front; -1 keeps a size."""
    target, shape = ints(sizes, "expand", given=size), tuple(input.shape)
    extra = len(target) - len(shape)
    full = tuple(shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(target))
    if extra < 0 or min(full, default=0) < 0 or any(o not in (1, n) for o, n in zip(shape, full[extra:], strict=True)):
        raise ValueError(f"expand: shape {shape} cannot be expanded to {target}: only sizes 1 stretch, new ones lead")
    return _expand(input, shape=full)


def expand_as(input: Any, other: Any) -> Any:
    """:func:`expand` to the shape of ``other``."""
    return expand(input, other.shape)


def broadcast_to(input: Any, *sizes: Any, size: Any = None) -> Any:
    """:func:`expand` to the shape ``size``."""
    return expand(input, *sizes, size=size)


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


def repeat(input: Any, *repeats: Any) -> Any:
    """The tensor laid side by side with itself, ``repeats[i]`` times along dimension ``i`` of the result."""
    counts, shape = ints(repeats, "repeat", "repeats"), tuple(input.shape)
    if len(counts) < len(shape) or min(counts, default=0) < 0:
        raise ValueError(f"repeat: {counts} must be a count for each of the {len(shape)} dimensions, new ones in front")
    shape = (1,) * (len(counts) - len(shape)) + shape
    pairs = _reshape(input, shape=tuple(n for size in shape for n in (1, size)))  # (1, A, 1, B, ...)
    copies = _expand(pairs, shape=tuple(n for pair in zip(counts, shape, strict=True) for n in pair))
    return _reshape(_contiguous(copies), shape=tuple(c * n for c, n in zip(counts, shape, strict=True)))


def tile(input: Any, *counts: Any, dims: Any = None) -> Any:
    """:func:`repeat`, where missing leading counts are 1."""
    counts = ints(counts, "tile", "dims", dims)
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Any:
    """Each slice along ``dim`` (each element, without ``dim``) repeated in its place.

    Args:
        repeats: how often, an int or an integer tensor with a count for each slice.
        output_size: the sum of the counts, where it is known; it need not be given.
    """
    if dim is None:
        input, dim = ravel(input), 0
    dim = normalize_dim(dim, input.ndim, "repeat_interleave", scalars=False)
    array = getattr(input, "_array", input)
    counts = np.asarray(getattr(repeats, "_array", repeats), like=array)
    size = input.shape[dim]
    if counts.dtype.kind not in "iu" or counts.size not in (1, size) or counts.ndim > 1 or (counts < 0).any():
        raise ValueError(f"repeat_interleave: repeats must be a count, or one for each of {size} slices, got {repeats}")
    index = np.repeat(np.arange(size, like=array), counts)
    if output_size not in (None, index.size):
        raise ValueError(f"repeat_interleave: output_size is {output_size}, but repeats add up to {index.size}")
    return getitem(input, along(dim, index))


# ------------------------------------------------------------------------------------------- joining


def _several(tensors: Any, name: str) -> tuple[Any, ...]:
    """Tensors given one by one or in one sequence."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    for x in tensors:
        if not hasattr(x, "ndim"):
            raise TypeError(f"{name}: expected tensors, got {type(x).__name__}")
    return tuple(tensors)


def _cat_rule(g: Any, index: int, tensors_shape: Sequence[tuple[int, ...]], dim: int) -> Any:
    start = sum(shape[dim] for shape in tensors_shape[:index])
    return getitem(g, along(dim, slice(start, start + tensors_shape[index][dim])))


@primitive(tensors=_cat_rule, promotion="common")
def _cat(*tensors: Array, dim: int) -> Array:
    return np.concatenate(tensors, dim)


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """The tensors one after the other along ``dim``; all other sizes must agree."""
    tensors = _several((tensors,), "cat")
    if not tensors:
        raise ValueError("cat: expected at least one tensor")
    filled = [x for x in tensors if tuple(x.shape) != (0,)] or tensors[:1]  # PyTorch skips empty vectors
    if filled[0].ndim == 0:
        raise ValueError("cat: tensors without dimensions cannot be concatenated; use stack()")
    dim = normalize_dim(dim, filled[0].ndim, "cat")
    if len({(x.ndim, *x.shape[:dim], *x.shape[dim + 1 :]) for x in filled}) > 1:
        shapes = " and ".join(str(tuple(x.shape)) for x in tensors)
        raise ValueError(f"cat: shapes {shapes} must agree in all dimensions but {dim}")
    return _cat(*filled, dim=dim)


concat = concatenate = cat


@primitive(tensors=lambda g, index, dim: getitem(g, along(dim, index)), promotion="common")
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


def _raised(x: Any, ndim: int) -> Any:
    """``x`` with at least ``ndim`` dimensions."""
    return x if x.ndim >= ndim else _reshape(x, shape=(*(1,) * (ndim - x.ndim), *x.shape))


def _at_least(ndim: int, *tensors: Any) -> Any:
    """One tensor for one, a tuple of them for several or for a sequence."""
    raised = tuple(_raised(x, ndim) for x in _several(tensors, f"atleast_{ndim}d"))
    return raised[0] if len(tensors) == 1 and hasattr(tensors[0], "ndim") else raised


atleast_1d = specialize("atleast_1d", _at_least, 1, "Each tensor with at least one dimension.")
atleast_2d = specialize("atleast_2d", _at_least, 2, "Each tensor with at least two dimensions; vectors become rows.")


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Vectors as the coordinates of a grid: the first varies along dimension 0 (``"ij"``) or 1 (``"xy"``)."""
    tensors = _several(tensors, "meshgrid")
    if indexing not in ("ij", "xy"):
        raise ValueError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    check_dims("meshgrid", (0, 1), **{f"tensor {i}": x for i, x in enumerate(tensors)})
    last = len(tensors) - 1
    grid = broadcast_tensors(*(reshape(x, (-1, *(1,) * (last - i))) for i, x in enumerate(tensors)))
    return tuple(transpose(x, 0, 1) for x in grid) if indexing == "xy" and last else grid


# ----------------------------------------------------------------------------------------- splitting


def select(input: Any, dim: int, index: int) -> Any:
    """The slice at ``index`` along ``dim``, without that dimension; a view."""
    dim = normalize_dim(dim, input.ndim, "select", scalars=False)
    if not -input.shape[dim] <= to_int(index) < input.shape[dim]:
        raise IndexError(f"select: index {index} is out of range for dim {dim} of shape {tuple(input.shape)}")
    return getitem(input, along(dim, to_int(index)))


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """``length`` slices along ``dim``, from ``start`` on; a view."""
    dim = normalize_dim(dim, input.ndim, "narrow", scalars=False)
    size = input.shape[dim]
    first = to_int(start) + size if start < 0 else to_int(start)
    if length < 0 or not 0 <= first <= size - length:
        raise ValueError(f"narrow: {length} slices from {start} on are not within the {size} of dim {dim}")
    return getitem(input, along(dim, slice(first, first + length)))


def _cut(input: Any, dim: int, ends: Iterable[int]) -> tuple[Any, ...]:
    """Views of the parts along ``dim`` that end at each of ``ends``, and of the rest."""
    return tuple(getitem(input, along(dim, slice(a, b))) for a, b in pairwise([0, *ends, input.shape[dim]]))


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive parts along ``dim``: of one size (the last may be smaller), or of the sizes listed."""
    dim = normalize_dim(dim, tensor.ndim, "split", scalars=False)
    size = tensor.shape[dim]
    if isinstance(split_size_or_sections, Sequence):
        sizes = ints((split_size_or_sections,), "split")
        if sum(sizes) != size or min(sizes, default=0) < 0:
            raise ValueError(f"split: the sizes {list(sizes)} must add up to {size}, the size of dim {dim}")
        return _cut(tensor, dim, list(accumulate(sizes))[:-1])
    step = to_int(split_size_or_sections)
    if step < 0 or (step == 0 and size):
        raise ValueError(f"split: the size of a part must be positive, got {step}")
    return _cut(tensor, dim, range(step, size, step or 1))


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` views of equal parts along ``dim``; the last may be smaller."""
    if to_int(chunks) < 1:
        raise ValueError(f"chunk: chunks must be at least 1, got {chunks}")
    dim = normalize_dim(dim, input.ndim, "chunk", scalars=False)
    size = input.shape[dim]
    return split(input, -(-size // chunks) if size else [0] * chunks, dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of all slices along ``dim``, without that dimension."""
    dim = normalize_dim(dim, input.ndim, "unbind", scalars=False)
    return tuple(getitem(input, along(dim, i)) for i in range(input.shape[dim]))


# --------------------------------------------------------------------------------------------- order


def flip(input: Any, *order: Any, dims: Any = None) -> Any:
    """The elements in reverse order along ``dims``; a copy, as in PyTorch."""
    reversed_dims = normalize_dims(ints(order, "flip", "dims", dims), input.ndim, "flip")
    steps = (slice(None, None, -1 if dim in reversed_dims else None) for dim in range(input.ndim))
    return clone(getitem(input, tuple(steps)))


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
    if dims is None and input.ndim != 1:
        return _reshape(roll(ravel(input), shifts, 0), shape=tuple(input.shape))
    amounts, places = ints((shifts,), "roll", "shifts"), ints((0 if dims is None else dims,), "roll", "dims")
    if len(amounts) != len(places):
        raise ValueError(f"roll: shifts {shifts} and dims {dims} differ in length")
    return _roll(input, shifts=amounts, dims=tuple(normalize_dim(d, input.ndim, "roll", scalars=False) for d in places))


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """The tensor turned ``k`` times by 90 degrees, from the first towards the second of ``dims``; a copy."""
    if input.ndim < 2 or len(dims) != 2:
        shape = tuple(input.shape)
        raise ValueError(f"rot90: expected two dims of a tensor with at least two, got {dims} and shape {shape}")
    first, second = normalize_dims(tuple(dims), input.ndim, "rot90")
    turned = [(), (second,), (first, second), (first,)][to_int(k) % 4]
    return transpose(flip(input, turned), first, second) if k % 2 else flip(input, turned)


# --------------------------------------------------------------------------- triangles and diagonals


@primitive(input=lambda g, diagonal: tril(g, diagonal))
def tril(input: Array, diagonal: int = 0) -> Array:
    """The matrices (last two dimensions) with zeros above the ``diagonal``-th diagonal."""
    check_dims("tril", MATRICES, input=input)
    return np.tril(input, diagonal)


@primitive(input=lambda g, diagonal: triu(g, diagonal))
def triu(input: Array, diagonal: int = 0) -> Array:
    """The matrices (last two dimensions) with zeros below the ``diagonal``-th diagonal."""
    check_dims("triu", MATRICES, input=input)
    return np.triu(input, diagonal)


@primitive(
    input=lambda g, input_shape, offset, dim1, dim2: diagonal_adjoint(g, input_shape, offset, dim1, dim2), view=True
)
def diagonal(input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The elements whose index in ``dim2`` is that in ``dim1`` plus ``offset``, along a new last dimension; a view."""
    check_dims("diagonal", MATRICES, input=input)
    dim1, dim2 = normalize_dims((dim1, dim2), input.ndim, "diagonal", "(dim1, dim2)")
    return _writable_as(input, np.diagonal(input, offset, dim1, dim2))


@primitive(g=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2))
def diagonal_adjoint(g: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros of ``shape`` with ``g`` on a diagonal."""
    out = np.zeros_like(g, shape=shape, order="C")
    places = np.arange(g.shape[-1], like=g)
    matrices = np.moveaxis(out, (dim1, dim2), (-2, -1))
    matrices[..., places + max(-offset, 0), places + max(offset, 0)] = g
    return out


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in dimensions ``dim1`` and ``dim2``, with the last dimension of ``input`` on a diagonal."""
    check_dims("diag_embed", range(1, 65), input=input)
    dims = normalize_dims((dim1, dim2), input.ndim + 1, "diag_embed", "(dim1, dim2)")
    shape = list(input.shape[:-1])
    for dim in sorted(dims):
        shape.insert(dim, input.shape[-1] + abs(offset))
    return diagonal_adjoint(input, shape=tuple(shape), offset=offset, dim1=dims[0], dim2=dims[1])


def diag(input: Any, diagonal: int = 0) -> Any:
    """A matrix with the vector ``input`` on a diagonal; or of a matrix a copy of that diagonal."""
    check_dims("diag", (1, 2), input=input)
    return diag_embed(input, diagonal) if input.ndim == 1 else clone(_diagonal(input, diagonal))


_diagonal = diagonal


def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with all elements of ``input`` on a diagonal."""
    return diag_embed(ravel(input), offset)


def trace(input: Any) -> Any:
    """The sum of a matrix's diagonal."""
    check_dims("trace", (2,), input=input)
    return np.sum(diagonal(input))


# ------------------------------------------------------------------------------------------- windows


@primitive(input=lambda g, input_shape, dimension, size, step: unfold_adjoint(g, input_shape, dimension, size, step),
           view=True)  # fmt: skip
def _unfold(input: Array, dimension: int, size: int, step: int) -> Array:
    writable = step >= size and input.flags.writeable  # overlapping windows cannot be written to one by one
    windows = np.lib.stride_tricks.sliding_window_view(input, size, dimension, writeable=writable)
    return windows[along(dimension, slice(None, None, step))]


@primitive(g=lambda g, dimension, size, step: _unfold(g, dimension, size, step))
def unfold_adjoint(g: Array, shape: tuple[int, ...], dimension: int, size: int, step: int) -> Array:
    """The windows ``g`` added up where they were taken from zeros of ``shape``."""
    out = np.zeros_like(g, shape=shape, order="C")
    end = step * g.shape[dimension]
    for k in range(size):
        out[along(dimension, slice(k, k + end, step))] += g[..., k]
    return out


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of ``size`` elements along ``dimension``, ``step`` apart: their number there, ``size`` last; a view."""
    dimension = normalize_dim(dimension, input.ndim, "unfold", "dimension")
    if input.ndim == 0:
        return getitem(unfold(_reshape(input, shape=(1,)), 0, size, step), 0)
    if step < 1 or not 1 <= size <= input.shape[dimension]:
        raise ValueError(f"unfold: size must be in 1 to {input.shape[dimension]} (shape {tuple(input.shape)}) and step "
                         f"positive, got {size} and {step}")  # fmt: skip
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
