"""Operations on shape and order, each against NumPy's or a loop over elements."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad import Tensor
from minigrad.ops import padding, shaping
from minigrad.testing import broadcastable, floats, integers, shapes

from .spec import Case, Spec

Draw = Callable[[Any], Any]


def drawn(function: Callable[[Draw], Case]) -> st.SearchStrategy[Case]:
    """The cases that a function of ``draw`` makes."""
    return st.composite(function)()


def array(draw: Draw, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 3) -> np.ndarray:
    return draw(floats(shapes(min_dims, max_dims, min_side, max_side)))


def dim_of(draw: Draw, ndim: int) -> int:
    """A dimension counted from either end."""
    return draw(st.integers(-max(ndim, 1), max(ndim, 1) - 1))


def dims_of(draw: Draw, ndim: int) -> tuple[int, ...]:
    """Some dimensions in any order, counted from either end."""
    order = draw(st.permutations(range(ndim)))[: draw(st.integers(0, ndim))]
    return tuple(d - ndim * draw(st.booleans()) for d in order)


def with_dim(draw: Draw, **sizes: int) -> Case:
    """An array with at least one dimension, and one of its dimensions."""
    x = array(draw, **{"min_dims": 1, **sizes})
    return Case(x, dim_of(draw, x.ndim))


def alone(min_dims: int = 0, max_dims: int = 3, max_side: int = 3, min_side: int = 1) -> st.SearchStrategy[Case]:
    return drawn(lambda draw: Case(array(draw, min_dims, max_dims, min_side, max_side)))


def factors(draw: Draw, number: int) -> tuple[int, ...]:
    """Sizes that multiply up to ``number``, one of them perhaps given as -1."""
    sizes: list[int] = []
    while number > 1:
        divisor = draw(st.sampled_from([d for d in range(2, number + 1) if number % d == 0]))
        sizes.append(divisor)
        number //= divisor
    sizes.insert(draw(st.integers(0, len(sizes))), 1)
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return tuple(sizes)


def _reshape(draw: Draw) -> Case:
    x = array(draw)
    return Case(x, factors(draw, x.size))


def _flatten(draw: Draw) -> Case:
    x = array(draw)
    start = draw(st.integers(0, max(x.ndim - 1, 0)))
    return Case(x, start, draw(st.integers(start, max(x.ndim - 1, 0))))


def flatten(x: np.ndarray, start: int, end: int) -> np.ndarray:
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


def _unflatten(draw: Draw) -> Case:
    case = with_dim(draw, max_side=6, max_dims=2)
    x, dim = case.args
    return Case(x, dim, factors(draw, x.shape[dim]))


def unflatten(x: np.ndarray, dim: int, sizes: tuple[int, ...]) -> np.ndarray:
    dim %= x.ndim
    return x.reshape(*x.shape[:dim], *np.empty(x.shape[dim]).reshape(sizes).shape, *x.shape[dim + 1 :])


def _squeeze(draw: Draw) -> Case:
    x = array(draw, max_side=2)
    return Case(x, *draw(st.sampled_from([(), (dim_of(draw, x.ndim),), (dims_of(draw, x.ndim),)])))


def squeeze(x: np.ndarray, dim: Any = None) -> np.ndarray:
    dims = range(x.ndim) if dim is None else [d % max(x.ndim, 1) for d in (dim if isinstance(dim, tuple) else (dim,))]
    return x.reshape([n for i, n in enumerate(x.shape) if n != 1 or i not in dims])


def _unsqueeze(draw: Draw) -> Case:
    x = array(draw)
    return Case(x, draw(st.integers(-x.ndim - 1, x.ndim)))


def _transpose(draw: Draw, min_dims: int = 0) -> Case:
    x = array(draw, min_dims)
    return Case(x, dim_of(draw, x.ndim), dim_of(draw, x.ndim))


def _permute(draw: Draw) -> Case:
    x = array(draw)
    return Case(x, tuple(draw(st.permutations(range(x.ndim)))))


def _movedim(draw: Draw) -> Case:
    x = array(draw, min_dims=1)
    source = dims_of(draw, x.ndim)
    return Case(x, source, tuple(draw(st.permutations(range(x.ndim)))[: len(source)]))


def _expand(draw: Draw) -> Case:
    small, full = draw(broadcastable(2, max_side=3))
    full = np.broadcast_shapes(small, full)
    sizes = [
        -1 if i >= len(full) - len(small) and draw(st.booleans()) and n == small[i - len(full)] else n
        for i, n in enumerate(full)
    ]
    return Case(draw(floats(small)), tuple(sizes))


def expand(x: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(x, [x.shape[i - len(sizes)] if n == -1 else n for i, n in enumerate(sizes)])


def _several(draw: Draw, same: bool = True, **sizes: int) -> Case:
    shape = draw(shapes(**{"max_dims": 2, "max_side": 3, **sizes}))
    count = draw(st.integers(1, 3))
    dim = dim_of(draw, len(shape) + same)
    made = []
    for _ in range(count):
        own = list(shape)
        if not same:
            own[dim] = draw(st.integers(0, 3))
        made.append(draw(floats(tuple(own))))
    return Case(made, dim)


def _stacked(draw: Draw) -> Case:
    return Case(_several(draw).args[0])


def _repeat(draw: Draw) -> Case:
    x = array(draw, max_dims=2)
    return Case(x, tuple(draw(st.lists(st.integers(0, 3), min_size=x.ndim, max_size=3))))


def _repeat_interleave(draw: Draw) -> Case:
    x = array(draw, min_dims=1, max_dims=2)
    if draw(st.booleans()):
        return Case(x, draw(st.integers(0, 3)))
    dim = dim_of(draw, x.ndim)
    return Case(x, draw(st.one_of(st.integers(0, 3), integers((x.shape[dim],), 0, 3))), dim)


def _roll(draw: Draw) -> Case:
    x = array(draw)
    if draw(st.booleans()) or not x.ndim:
        return Case(x, draw(st.integers(-4, 4)))
    dims = dims_of(draw, x.ndim)
    return Case(x, tuple(draw(st.integers(-4, 4)) for _ in dims), dims)


def _rot90(draw: Draw) -> Case:
    x = array(draw, min_dims=2)
    return Case(x, draw(st.integers(-5, 5)), tuple(draw(st.permutations(range(x.ndim)))[:2]))


def _triangle(draw: Draw) -> Case:
    return Case(array(draw, min_dims=2), draw(st.integers(-3, 3)))


def _diagonal(draw: Draw) -> Case:
    x = array(draw, min_dims=2)
    dim1, dim2 = draw(st.permutations(range(x.ndim)))[:2]
    return Case(x, draw(st.integers(-4, 4)), dim1 - x.ndim * draw(st.booleans()), dim2)


def _diagonal_adjoint(draw: Draw) -> Case:
    x, offset, dim1, dim2 = _diagonal(draw).args
    return Case(draw(floats(np.diagonal(x, offset, dim1, dim2).shape)), x.shape, offset, dim1 % x.ndim, dim2)


def diagonal_adjoint(g: np.ndarray, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> np.ndarray:
    out = np.zeros(shape)
    diagonal = np.diagonal(out, offset, dim1, dim2)
    diagonal.flags.writeable = True
    diagonal[...] = g
    return out


def _diag_embed(draw: Draw) -> Case:
    x = array(draw, min_dims=1, max_dims=2)
    return Case(x, draw(st.integers(-2, 2)), *draw(st.permutations(range(x.ndim + 1)))[:2])


def diag_embed(x: np.ndarray, offset: int, dim1: int, dim2: int) -> np.ndarray:
    size = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], size, size))
    for i in range(x.shape[-1]):
        out[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def _unfold(draw: Draw) -> Case:
    case = with_dim(draw, max_side=5, max_dims=2)
    x, dim = case.args
    return Case(x, dim, draw(st.integers(1, x.shape[dim])), draw(st.integers(1, 4)))


def unfold(x: np.ndarray, dim: int, size: int, step: int) -> np.ndarray:
    starts = range(0, x.shape[dim] - size + 1, step)
    windows = [np.moveaxis(np.take(x, range(s, s + size), dim), dim, -1) for s in starts]
    return np.stack(windows, dim % x.ndim)


def _unfold_adjoint(draw: Draw) -> Case:
    x, dim, size, step = _unfold(draw).args
    return Case(draw(floats(unfold(x, dim, size, step).shape)), x.shape, dim % x.ndim, size, step)


def unfold_adjoint(g: np.ndarray, shape: tuple[int, ...], dim: int, size: int, step: int) -> np.ndarray:
    out = np.zeros(shape)
    for i, k in itertools.product(range(g.shape[dim]), range(size)):
        np.moveaxis(out, dim, 0)[i * step + k] += np.moveaxis(g[..., k], dim, 0)[i]
    return out


def _pad(draw: Draw, modes: list[str]) -> Case:
    x = array(draw, min_dims=1, min_side=2, max_side=4, max_dims=2)
    mode = draw(st.sampled_from(modes))
    width = st.integers(-1, 1 if mode == "reflect" else 2)
    widths = draw(st.lists(st.tuples(width, width.filter(lambda n: n > -1)), min_size=1, max_size=x.ndim))
    options = {"value": draw(st.sampled_from([2.5, -1, None]))} if mode == "constant" else {}
    return Case(x, [w for pair in widths for w in draw(st.permutations(pair))], mode, **options)


def pad(x: np.ndarray, widths: list[int], mode: str, value: float | None = None) -> np.ndarray:
    pairs = [(0, 0)] * (x.ndim - len(widths) // 2) + list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    for dim, (low, high) in enumerate(pairs):
        if mode in ("constant", "circular"):  # the others see what is cut off
            x = np.take(x, range(max(-low, 0), x.shape[dim] - max(-high, 0)), dim)
    positive = [(max(low, 0), max(high, 0)) for low, high in pairs]
    if mode == "constant":
        return np.pad(x, positive, constant_values=value or 0)
    x = np.pad(x, positive, mode={"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode])  # type: ignore[call-overload]
    if mode != "circular":
        for dim, (low, high) in enumerate(pairs):
            x = np.take(x, range(max(-low, 0), x.shape[dim] - max(-high, 0)), dim)
    return x


def _grid(draw: Draw) -> Case:
    vectors = [draw(floats(shapes(1, 1, 1, 3))) for _ in range(draw(st.integers(1, 3)))]
    return Case(*vectors, indexing=draw(st.sampled_from(["ij", "xy"])))


def _split(draw: Draw) -> Case:
    x, dim = with_dim(draw, max_side=5, max_dims=2).args
    size = x.shape[dim]
    if draw(st.booleans()):
        return Case(x, draw(st.integers(1, size + 1)), dim)
    cuts = sorted(draw(st.lists(st.integers(0, size), max_size=3)))
    return Case(x, [b - a for a, b in itertools.pairwise([0, *cuts, size])], dim)


def split(x: np.ndarray, sizes: Any, dim: int) -> list[np.ndarray]:
    n = x.shape[dim]
    ends = list(range(sizes, n, sizes)) if isinstance(sizes, int) else list(itertools.accumulate(sizes))[:-1]
    return np.split(x, ends, dim)


def _chunk(draw: Draw) -> Case:
    x, dim = with_dim(draw, max_side=5, max_dims=2).args
    return Case(x, draw(st.integers(1, 4)), dim)


def _narrow(draw: Draw) -> Case:
    x, dim = with_dim(draw).args
    start = draw(st.integers(0, x.shape[dim]))
    length = draw(st.integers(0, x.shape[dim] - start))
    return Case(x, dim, start - x.shape[dim] * (draw(st.booleans()) and start < x.shape[dim]), length)


def _select(draw: Draw) -> Case:
    x, dim = with_dim(draw).args
    return Case(x, dim, draw(st.integers(-x.shape[dim], x.shape[dim] - 1)))


EMPTY = np.zeros((2, 0))
NUMBER = np.array(1.5)

SPECS: dict[str, Spec] = {
    "reshape": Spec(
        mg.reshape,
        drawn(_reshape),
        np.reshape,
        adjoint=True,
        edges=[Case(EMPTY, (0, 3)), Case(EMPTY, (-1, 2)), Case(NUMBER, (1, -1))],
    ),
    "view": Spec(lambda x, size: x.contiguous().view(size), drawn(_reshape), np.reshape, edges=[Case(EMPTY, (0,))]),
    "reshape_as": Spec(
        lambda x, y: x.reshape_as(y.T),
        drawn(lambda draw: Case(x := array(draw), np.zeros(x.shape, int))),
        lambda x, y: x.reshape(y.T.shape),
    ),
    "view_as": Spec(
        lambda x, y: x.contiguous().view_as(y),
        drawn(lambda draw: Case(x := array(draw), np.zeros((1, *x.shape), int))),
        lambda x, y: x.reshape(y.shape),
    ),
    "flatten": Spec(mg.flatten, drawn(_flatten), flatten, edges=[Case(EMPTY, 0, 1), Case(NUMBER, 0, 0)]),
    "unflatten": Spec(mg.unflatten, drawn(_unflatten), unflatten),
    "ravel": Spec(mg.ravel, alone(), np.ravel, edges=[Case(EMPTY), Case(NUMBER)]),
    "squeeze": Spec(mg.squeeze, drawn(_squeeze), squeeze, edges=[Case(NUMBER), Case(NUMBER, -1), Case(EMPTY)]),
    "unsqueeze": Spec(mg.unsqueeze, drawn(_unsqueeze), np.expand_dims, edges=[Case(EMPTY, 1)]),
    "transpose": Spec(
        mg.transpose,
        drawn(lambda draw: _transpose(draw, 1)),
        lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x,
        adjoint=True,
        edges=[Case(NUMBER, 0, -1)],
    ),
    "swapaxes": Spec(mg.swapaxes, drawn(_transpose), lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x),
    "t": Spec(mg.t, alone(max_dims=2), np.transpose, edges=[Case(EMPTY)]),
    "T": Spec(lambda x: x.T, alone(), np.transpose),
    "mT": Spec(lambda x: x.mT, alone(min_dims=2), lambda x: x.swapaxes(-1, -2)),
    "permute": Spec(mg.permute, drawn(_permute), np.transpose, adjoint=True, edges=[Case(EMPTY, (1, 0))]),
    "movedim": Spec(mg.movedim, drawn(_movedim), np.moveaxis),
    "expand": Spec(
        Tensor.expand, drawn(_expand), expand, adjoint=True, edges=[Case(NUMBER, (0,)), Case(EMPTY, (3, 2, 0))]
    ),
    "expand_as": Spec(
        lambda x, y: x.expand_as(y),
        drawn(lambda draw: Case(x := array(draw), np.zeros((2, *x.shape), int))),
        lambda x, y: np.broadcast_to(x, y.shape),
    ),
    "broadcast_to": Spec(mg.broadcast_to, drawn(lambda draw: Case(x := array(draw), (2, *x.shape))), np.broadcast_to),
    "broadcast_tensors": Spec(
        mg.broadcast_tensors,
        drawn(lambda draw: Case(*(draw(floats(s)) for s in draw(broadcastable(3))))),
        lambda *x: list(np.broadcast_arrays(*x)),
    ),
    "repeat": Spec(Tensor.repeat, drawn(_repeat), np.tile, adjoint=True),
    "tile": Spec(
        mg.tile,
        drawn(lambda draw: Case(array(draw, max_dims=2), tuple(draw(st.lists(st.integers(0, 3), max_size=3))))),
        np.tile,
    ),
    "repeat_interleave": Spec(mg.repeat_interleave, drawn(_repeat_interleave), np.repeat),
    "cat": Spec(
        mg.cat,
        drawn(lambda draw: _several(draw, same=False, min_dims=1)),
        np.concatenate,
        edges=[Case([EMPTY, EMPTY], 1)],
    ),
    "stack": Spec(mg.stack, drawn(_several), np.stack, edges=[Case([EMPTY, EMPTY], 1)]),
    "hstack": Spec(mg.hstack, drawn(_stacked), np.hstack),
    "vstack": Spec(mg.vstack, drawn(_stacked), np.vstack),
    "atleast_1d": Spec(mg.atleast_1d, alone(), np.atleast_1d),
    "atleast_2d": Spec(mg.atleast_2d, alone(), np.atleast_2d),
    "meshgrid": Spec(mg.meshgrid, drawn(_grid), lambda *x, indexing: list(np.meshgrid(*x, indexing=indexing))),
    "select": Spec(mg.select, drawn(_select), lambda x, dim, i: np.take(x, i, dim)),
    "narrow": Spec(
        mg.narrow,
        drawn(_narrow),
        lambda x, dim, a, n: np.take(
            x, np.arange(a % max(x.shape[dim], 1) if a < 0 else a, (a % x.shape[dim] if a < 0 else a) + n), dim
        ),
    ),
    "split": Spec(mg.split, drawn(_split), split, edges=[Case(EMPTY, 2, 1)]),
    "chunk": Spec(mg.chunk, drawn(_chunk), lambda x, n, dim: split(x, -(-x.shape[dim] // n), dim)),
    "unbind": Spec(mg.unbind, drawn(with_dim), lambda x, dim: list(np.moveaxis(x, dim, 0))),
    "flip": Spec(mg.flip, drawn(lambda draw: Case(x := array(draw), dims_of(draw, x.ndim))), np.flip, adjoint=True),
    "fliplr": Spec(mg.fliplr, alone(min_dims=2), np.fliplr),
    "flipud": Spec(mg.flipud, alone(min_dims=1), np.flipud),
    "roll": Spec(mg.roll, drawn(_roll), np.roll, adjoint=True, edges=[Case(EMPTY, 1, 1), Case(EMPTY, 3)]),
    "rot90": Spec(mg.rot90, drawn(_rot90), np.rot90),
    "tril": Spec(mg.tril, drawn(_triangle), np.tril, adjoint=True, edges=[Case(EMPTY)]),
    "triu": Spec(mg.triu, drawn(_triangle), np.triu, adjoint=True, edges=[Case(EMPTY)]),
    "diagonal": Spec(mg.diagonal, drawn(_diagonal), np.diagonal, adjoint=True, edges=[Case(EMPTY)]),
    "diagonal_adjoint": Spec(shaping.diagonal_adjoint, drawn(_diagonal_adjoint), diagonal_adjoint, adjoint=True),
    "diag_embed": Spec(mg.diag_embed, drawn(_diag_embed), diag_embed),
    "diag": Spec(mg.diag, drawn(lambda draw: Case(array(draw, 1, 2), draw(st.integers(-2, 2)))), np.diag),
    "diagflat": Spec(
        mg.diagflat, drawn(lambda draw: Case(array(draw, max_dims=2), draw(st.integers(-2, 2)))), np.diagflat
    ),
    "trace": Spec(mg.trace, alone(2, 2), np.trace),
    "unfold_dimension": Spec(Tensor.unfold, drawn(_unfold), unfold, adjoint=True, primitive="unfold"),
    "unfold_adjoint": Spec(shaping.unfold_adjoint, drawn(_unfold_adjoint), unfold_adjoint, adjoint=True),
    "pad": Spec(
        padding.pad, drawn(lambda draw: _pad(draw, ["constant"])), pad, edges=[Case(EMPTY, [1, 1], "constant")]
    ),
    "pad with 0": Spec(
        lambda x, *a: padding.pad(x, *a),
        drawn(lambda draw: Case(array(draw, 1, 2, 2), [1, -1])),
        lambda x, w: pad(x, w, "constant"),
        adjoint=True,
        primitive="pad",
    ),
    "pad with itself": Spec(padding.pad, drawn(lambda draw: _pad(draw, ["reflect", "replicate", "circular"])), pad),
    "clone": Spec(mg.clone, alone(), np.copy, adjoint=True, edges=[Case(EMPTY)]),
    "contiguous view": Spec(lambda x: x.T.contiguous(), alone(), np.transpose),
    "contiguous": Spec(lambda x: x[None].expand(2, *x.shape).contiguous(), alone(), lambda x: np.stack([x, x])),
}


def x(*shape: int) -> Any:
    return mg.zeros(*shape)


ERRORS = [
    (
        "reshape size",
        lambda: x(2, 3).reshape(4),
        ValueError,
        r"reshape: the 6 elements of shape \(2, 3\) do not fit into shape \(4,\)",
    ),
    ("reshape inferred", lambda: x(2, 3).reshape(4, -1), ValueError, "reshape: .* do not fit into shape .* -1"),
    ("reshape ambiguous", lambda: x(0, 3).reshape(0, -1), ValueError, "reshape: .* do not fit into shape .* -1"),
    ("reshape twice", lambda: x(2, 3).reshape(-1, -1), ValueError, "one -1"),
    ("reshape negative", lambda: x(2, 3).reshape(-2, -3), ValueError, "at least 0"),
    ("reshape type", lambda: x(2, 3).reshape(2.0, 3), TypeError, "reshape: size must be ints"),
    ("view copies", lambda: x(2, 3).T.view(6), RuntimeError, r"view: .* strides \(1, 3\) .* use reshape"),
    ("view size", lambda: x(2, 3).view(5), ValueError, "view: the 6 elements"),
    ("flatten order", lambda: mg.flatten(x(2, 3), 1, 0), ValueError, "flatten: start_dim 1 comes after end_dim 0"),
    ("flatten dim", lambda: mg.flatten(x(2, 3), 2), IndexError, "flatten: start_dim 2 is out of range"),
    ("unflatten", lambda: x(6).unflatten(0, (4, -1)), ValueError, r"unflatten: the 6 elements .* \(4, -1\)"),
    ("squeeze dim", lambda: x(1).squeeze(1), IndexError, "squeeze: dim 1 is out of range"),
    ("squeeze twice", lambda: x(1, 1).squeeze((0, -2)), ValueError, "squeeze: .* twice"),
    ("unsqueeze dim", lambda: x(2).unsqueeze(2), IndexError, "unsqueeze: dim 2"),
    ("transpose dim", lambda: x(2).transpose(0, 1), IndexError, "transpose: dim1 1"),
    ("transpose type", lambda: x(2).transpose("a", 0), TypeError, "transpose: dim0 must be an int"),
    ("t", lambda: x(1, 2, 3).t(), ValueError, r"t: input must have 0 or 1 or 2 dimensions, got shape \(1, 2, 3\)"),
    ("mT", lambda: x(1).mT, ValueError, "mT: input must have at least 2 dimensions"),
    ("permute count", lambda: x(1, 2).permute(0), ValueError, r"permute: \(0,\) must name each of the 2"),
    ("permute twice", lambda: x(1, 2).permute(0, 0), ValueError, "permute: .* twice"),
    ("movedim", lambda: x(1, 2).movedim((0, 1), (0,)), ValueError, "movedim: source .* differ in length"),
    ("expand", lambda: x(2, 3).expand(4, 3), ValueError, r"expand: shape \(2, 3\) cannot be expanded to \(4, 3\)"),
    ("expand fewer", lambda: x(2, 3).expand(3), ValueError, "expand: shape"),
    ("expand unknown", lambda: x(3).expand(-1, 3), ValueError, "expand: shape"),
    ("broadcast_tensors", lambda: mg.broadcast_tensors(x(2), x(3)), ValueError, r"\(2,\) and \(3,\) do not broadcast"),
    ("repeat", lambda: x(2, 3).repeat(2), ValueError, r"repeat: \(2,\) must be a count for each of the 2"),
    ("repeat negative", lambda: x(2).repeat(-1), ValueError, "repeat: "),
    (
        "repeat_interleave count",
        lambda: x(2).repeat_interleave(mg.tensor([1, 2, 3])),
        ValueError,
        "repeat_interleave: repeats must",
    ),
    ("repeat_interleave size", lambda: x(2).repeat_interleave(2, output_size=3), ValueError, "output_size is 3, .* 4"),
    ("cat none", lambda: mg.cat([]), ValueError, "cat: expected at least one tensor"),
    ("cat number", lambda: mg.cat([mg.tensor(1.0)]), ValueError, "cat: .* use stack"),
    (
        "cat shapes",
        lambda: mg.cat([x(2, 3), x(2, 4)]),
        ValueError,
        r"cat: shapes \(2, 3\) and \(2, 4\) must agree in all dimensions but 0",
    ),
    ("cat dim", lambda: mg.cat([x(2), x(2)], 1), IndexError, "cat: dim 1"),
    ("cat type", lambda: mg.cat([x(2), 3]), TypeError, "cat: expected tensors, got int"),
    (
        "stack shapes",
        lambda: mg.stack([x(2), x(3)]),
        ValueError,
        r"stack: all shapes must be equal, got \(2,\) and \(3,\)",
    ),
    ("stack none", lambda: mg.stack([]), ValueError, "stack: expected at least one"),
    ("select far", lambda: x(2).select(0, 2), IndexError, "select: index 2 is out of range"),
    ("select number", lambda: x().select(0, 0), IndexError, "select: dim 0 .* with 0 dimensions"),
    ("narrow", lambda: x(3).narrow(0, 2, 2), ValueError, "narrow: 2 slices from 2 on"),
    ("split sum", lambda: x(3).split([1, 1]), ValueError, r"split: the sizes \[1, 1\] must add up to 3"),
    ("split zero", lambda: x(3).split(0), ValueError, "split: the size of a part must be positive"),
    ("chunk", lambda: x(3).chunk(0), ValueError, "chunk: chunks must be at least 1"),
    ("flip twice", lambda: x(3).flip(0, 0), ValueError, "flip: .* twice"),
    ("roll", lambda: x(3, 3).roll((1, 2), (0,)), ValueError, "roll: shifts .* differ in length"),
    ("roll scalar", lambda: x().roll(1, 0), IndexError, "roll: dim 0 is out of range for a tensor with 0"),
    ("repeat scalar", lambda: x().repeat_interleave(2, 0), IndexError, "repeat_interleave: dim 0 is out of range"),
    ("roll no dims", lambda: x(3).roll((1, 2)), ValueError, "roll: shifts .* differ in length"),
    ("rot90", lambda: mg.rot90(x(3)), ValueError, "rot90: expected two dims"),
    ("tril", lambda: x(3).tril(), ValueError, r"tril: input must have at least 2 dimensions, got shape \(3,\)"),
    ("diagonal", lambda: x(3, 3).diagonal(0, 1, 1), ValueError, "diagonal: .* twice"),
    ("diag", lambda: mg.diag(x(1, 1, 1)), ValueError, "diag: input must have 1 or 2 dimensions"),
    ("diag_embed", lambda: mg.diag_embed(x()), ValueError, "diag_embed: input must have at least 1 dimension"),
    ("trace", lambda: x(3).trace(), ValueError, "trace: input must have 2 dimensions"),
    ("unfold", lambda: x(3).unfold(0, 4, 1), ValueError, "unfold: size must be in 1 to 3"),
    ("unfold step", lambda: x(3).unfold(0, 1, 0), ValueError, "unfold: .* step positive, got 1 and 0"),
    ("meshgrid", lambda: mg.meshgrid(x(2), x(2, 2)), ValueError, "meshgrid: tensor 1 must have 0 or 1 dimensions"),
    ("meshgrid indexing", lambda: mg.meshgrid(x(2), indexing="ji"), ValueError, "meshgrid: indexing must be"),
    ("pad odd", lambda: padding.pad(x(2), (1,)), ValueError, "pad: expected a .low, high. pair"),
    ("pad many", lambda: padding.pad(x(2), (1, 1, 1, 1)), ValueError, "at most the 1 dimensions"),
    ("pad mode", lambda: padding.pad(x(2), (1, 1), "mirror"), ValueError, "pad: mode must be constant, reflect"),
    (
        "pad reflect",
        lambda: padding.pad(x(2), (2, 0), "reflect"),
        ValueError,
        "'reflect' can pad a dimension of size 2 by at most 1",
    ),
    ("pad circular", lambda: padding.pad(x(2), (3, 0), "circular"), ValueError, "by at most 2"),
    ("pad cut", lambda: padding.pad(x(2), (-1, -2)), ValueError, r"pad: \(-1, -2\) cuts off more"),
    ("pad value", lambda: padding.pad(x(2), (1, 1), "reflect", 1.0), ValueError, "pad: value is for mode 'constant'"),
]
