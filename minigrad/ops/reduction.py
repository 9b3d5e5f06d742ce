"""Many elements to one: sums, extrema, norms, and what runs along a dimension (cumsum, softmax).

``dim`` is an int, for most functions also several ints; None (or no ints) means all dimensions.
``keepdim`` keeps the reduced dimensions with size 1. float16 is summed up in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple, NoReturn

import numpy as np

from .. import dtypes
from ..arguments import along, normalize_dim, normalize_dims, numpy_keywords, specialize
from ..engine import TensorBase, primitive
from ..memory import Array
from . import elementwise
from .casting import to
from .elementwise import maximum, minimum, where
from .indexing import take_along_dim

Dims = int | Sequence[int] | None
_total: Any = np.add.reduce  # what np.sum calls at last


class ValuesIndices(NamedTuple):
    """What functions return that choose one element for each slice, and say which."""

    values: Any
    indices: Any


class MinMax(NamedTuple):
    """The extrema that :func:`aminmax` returns."""

    min: Any
    max: Any


# ---------------------------------------------------------------------------------- shared parts


def _axes(shape: tuple[int, ...], dim: Dims, name: str) -> tuple[int, ...]:
    """The dimensions to reduce."""
    if dim is None or (isinstance(dim, Sequence) and not dim):
        return tuple(range(len(shape)))
    axes = normalize_dims(dim, len(shape), name)
    return axes if shape else ()


def _axis(input: Array, dim: int, name: str) -> tuple[int, ...]:
    """One dimension to go along, as NumPy takes it also from an array without dimensions."""
    return (normalize_dim(dim, input.ndim, name),) if input.ndim else _axes((), dim, name)


def _kept(x: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """A reduction of an array of ``shape`` with its reduced dimensions in place, whether kept or not."""
    return np.reshape(x, tuple(1 if i in axes else size for i, size in enumerate(shape)))


def _count(shape: tuple[int, ...], axes: tuple[int, ...]) -> int:
    return math.prod(shape[i] for i in axes)


def _inverse(count: float) -> float:
    return 1 / count if count else math.inf


def reduction(integers: bool = False, **settings: Any) -> Callable:
    """Defines an operation that is quiet about NaN and computes float16 in float32, and for that many things alike.

    Its input is cast to ``dtype``, if that is given. It refuses integers, or with ``integers`` is told the ``dtype``
    to compute them in.
    """

    def define(function: Callable) -> Callable:
        name = function.__name__.strip("_")

        @wraps(function)
        def computed(input: Array, **options: Any) -> Array:
            if (dtype := options.get("dtype")) is not None:
                input, options["dtype"] = input.astype(dtypes.as_dtype(dtype, name), copy=False), None
            if input.dtype.kind != "f":
                if not integers:
                    _refuse(name, input, "dtype" in options)
                options["dtype"] = dtypes.int64 if dtype is None else input.dtype
            if input.dtype != np.float16:
                return function(input, **options)
            return function(input.astype(np.float32), **options).astype(np.float16)

        return primitive(quiet=True, **settings)(computed)

    return define


def _refuse(name: str, input: Array, casts: bool = True) -> NoReturn:
    hint = "convert it with float()" + (" or pass dtype=" if casts else "")
    raise TypeError(f"{name}: expected a floating-point tensor, got {input.dtype}; {hint}")


def _need_elements(name: str, shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    if shape and 0 in [shape[i] for i in axes]:
        raise ValueError(f"{name}: there is no element to choose along dim {axes} of a tensor of shape {shape}")


# --------------------------------------------------------------------------- sums and products


def _spread(g: Array, shape: tuple[int, ...], axes: tuple[int, ...]) -> Array:
    """A gradient of a reduction, in the ``shape`` before it."""
    g = _kept(g, shape, axes)
    if g.__class__ is not np.ndarray or math.prod(shape) > 4096:
        return np.broadcast_to(g, shape)
    out: Array = np.empty(shape, g.dtype)  # quicker than a view
    out[...] = g
    return out


def _sum_input(g: Array, input_shape: tuple[int, ...], dim: Dims) -> Array:
    return _spread(g, input_shape, _axes(input_shape, dim, "sum"))


@reduction(integers=True, input=_sum_input)
def sum(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """Sum of the elements. Integers and bools sum up to int64 unless ``dtype`` is given."""
    return _total(input, axis=_axes(input.shape, dim, "sum"), keepdims=keepdim, dtype=dtype)


def _mean_input(g: Array, input_shape: tuple[int, ...], dim: Dims) -> Array:
    axes = _axes(input_shape, dim, "mean")
    return _spread(g * _inverse(_count(input_shape, axes)), input_shape, axes)


def _mean(input: Array, axes: tuple[int, ...], keepdim: bool) -> Array:
    """The mean; of nothing, NaN (which np.mean warns of)."""
    return _total(input, axis=axes, keepdims=keepdim) / _count(input.shape, axes)


@reduction(input=_mean_input)
def mean(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """Arithmetic mean of the elements, of floating dtype; NaN if there are none."""
    return _mean(input, _axes(input.shape, dim, "mean"), keepdim)


def nansum(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Sum of the elements that are not NaN."""
    return sum(where(elementwise.isnan(input), 0, input), dim, keepdim, dtype=dtype)


def nanmean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Mean of the elements that are not NaN; NaN if there are none."""
    counted = elementwise.logical_not(elementwise.isnan(input))
    return nansum(input, dim, keepdim, dtype=dtype) / sum(counted, dim, keepdim)


def _before(x: Array, dim: int, first: float) -> Array:
    """``x`` moved on by one place along ``dim``, with ``first`` in the place that becomes free."""
    kept = x[along(dim, slice(0, -1))]
    return np.concatenate([np.full_like(x[along(dim, slice(0, 1))], first), kept], axis=dim)


def _prod_input(g: Array, input: Array, dim: int | None) -> Array:
    """``g`` times the product of all *other* elements, without a division: some may be 0."""
    x = np.reshape(input, (-1,)) if dim is None or not input.ndim else input
    d = normalize_dim(dim or 0, x.ndim, "prod")
    earlier = cumprod(_before(x, d, 1), d)
    later = np.flip(cumprod(_before(np.flip(x, d), d, 1), d), d)
    return np.reshape(_kept(g, x.shape, (d,)) * earlier * later, input.shape)


@reduction(integers=True, input=_prod_input)
def prod(input: Array, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """Product of the elements. Integers and bools give int64 unless ``dtype`` is given."""
    axes = _axes(input.shape, None, "prod") if dim is None else _axis(input, dim, "prod")
    return np.prod(input, axis=axes, keepdims=keepdim, dtype=dtype)


def count_nonzero(input: Any, dim: Dims = None) -> Any:
    """How many elements are not 0, as int64."""
    return sum(elementwise.ne(input, 0), dim)


@primitive(inputs=("input",))
def any(input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether at least one element is nonzero."""
    return np.any(input, axis=_axes(input.shape, dim, "any"), keepdims=keepdim)


@primitive(inputs=("input",))
def all(input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """Whether all elements are nonzero."""
    return np.all(input, axis=_axes(input.shape, dim, "all"), keepdims=keepdim)


# ---------------------------------------------------------------------------------------- spread


def _degrees(shape: tuple[int, ...], axes: tuple[int, ...], correction: float) -> float:
    """What the sum of squares is divided by."""
    degrees = _count(shape, axes) - correction
    return degrees if degrees > 0 else 0


def _var_input(g: Array, input: Array, dim: Dims, correction: float) -> Array:
    axes = _axes(input.shape, dim, "var")
    scale = 2 * _inverse(_degrees(input.shape, axes, correction))
    return _kept(g, input.shape, axes) * scale * (input - mean(input, axes, True))


def _variance(name: str, input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    axes = _axes(input.shape, dim, name)
    squares = np.square(input - _mean(input, axes, True))
    return np.sum(squares, axis=axes, keepdims=keepdim) / _degrees(input.shape, axes, correction)


@reduction(input=_var_input)
def _var(input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    return _variance("var", input, dim, correction, keepdim)


def _std_input(g: Array, input: Array, y: Array, dim: Dims, correction: float) -> Array:
    flat = np.equal(y, 0)  # all elements are equal, where the root has no gradient: 0 is PyTorch's choice
    return _var_input(np.where(flat, 0, g) / np.where(flat, 1, 2 * y), input, dim, correction)


@reduction(input=_std_input)
def _std(input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    return np.sqrt(_variance("std", input, dim, correction, keepdim))


def _deviation(name: str, input: Any, dim: Dims = None, unbiased: bool | None = None, keepdim: bool = False, *,
               correction: float | None = None) -> Any:  # fmt: skip
    """The ``correction`` is 1, unless it is given.

    Args:
        unbiased: True stands for ``correction=1``, the default, and False for ``correction=0``.
    """
    if isinstance(dim, bool):  # var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 0 if unbiased is False else 1
    elif unbiased is not None:
        raise TypeError(f"{name}: give correction or unbiased, not both (unbiased=True is correction=1)")
    found = (_var if name.startswith("var") else _std)(input, dim=dim, correction=correction, keepdim=keepdim)
    return (found, mean(input, dim, keepdim)) if name.endswith("mean") else found


_VAR = "Variance: the sum of the squared deviations from the mean, divided by ``count - correction``."
_STD = "Standard deviation, the square root of :func:`var`; its gradient is 0 where it is 0."
var = numpy_keywords(specialize("var", _deviation, "var", _VAR))
std = numpy_keywords(specialize("std", _deviation, "std", _STD))
var_mean = numpy_keywords(specialize("var_mean", _deviation, "var_mean", ":func:`var` and :func:`mean`."))
std_mean = numpy_keywords(specialize("std_mean", _deviation, "std_mean", ":func:`std` and :func:`mean`."))


# ----------------------------------------------------------------------------------------- norms


def _power_norm_input(g: Array, input: Array, y: Array, p: float, dim: Dims) -> Array:
    axes = _axes(input.shape, dim, "norm")
    g, y = _kept(g, input.shape, axes), _kept(y, input.shape, axes)
    flat = np.equal(y, 0)
    ratio = input / np.where(flat, 1, y)
    if p == 2:
        return np.where(flat, 0, g) * ratio
    flat = np.logical_or(flat, np.equal(input, 0))  # 0 there also for p < 1, as in PyTorch
    return np.where(flat, 0, g * np.sign(input)) * np.where(flat, 1, np.abs(ratio)) ** (p - 1)


@reduction(input=_power_norm_input)
def _power_norm(input: Array, p: float, dim: Dims, keepdim: bool) -> Array:
    axes = _axes(input.shape, dim, "norm")
    if p == 2:
        return np.sqrt(np.sum(np.square(input), axis=axes, keepdims=keepdim))
    return np.sum(np.abs(input) ** p, axis=axes, keepdims=keepdim) ** (1 / p)


@numpy_keywords
def vector_norm(x: Any, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``sum(|x| ** ord) ** (1 / ord)``: the length of the vectors along ``dim``.

    ``ord`` is any number; inf and -inf give the largest and smallest magnitude, 0 counts nonzeros.
    At a vector of zeros the gradient is 0.
    """
    x = x if dtype is None else to(x, dtype)
    if x.dtype.kind != "f":
        _refuse("vector_norm", x)
    if not isinstance(ord, (int, float)):
        raise TypeError(f"vector_norm: ord must be a number, got {ord!r}")
    if ord == 0:
        return sum(elementwise.abs(elementwise.sign(x)), dim, keepdim)
    if ord == 1:
        return sum(elementwise.abs(x), dim, keepdim)
    if math.isinf(ord):
        return (amax if ord > 0 else amin)(elementwise.abs(x), dim, keepdim)
    return _power_norm(x, ord, dim, keepdim)


@numpy_keywords
def norm(input: Any, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """:func:`vector_norm` of order ``p``; ``"fro"``, the Frobenius norm of matrices, is order 2."""
    if p == "nuc":
        raise NotImplementedError("norm: the nuclear norm is not available")
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


# --------------------------------------------------------------------------------------- extrema


def evenly(g: Array, input: Array, y: Array, dim: Dims = None) -> Array:
    """``g``, shared among the elements equal to ``y`` (or NaN as it is), which was chosen along ``dim``."""
    axes = _axes(input.shape, dim, "amax")
    g, y = _kept(g, input.shape, axes), _kept(y, input.shape, axes)
    chosen = np.logical_or(np.equal(input, y), np.logical_and(np.isnan(input), np.isnan(y)))
    return np.where(chosen, g / sum(chosen, dim=axes, keepdim=True, dtype=g.dtype), 0)


@primitive(input=evenly)
def amax(input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """Largest element, NaN if there is one. Elements that tie share the gradient evenly."""
    axes = _axes(input.shape, dim, "amax")
    _need_elements("amax", input.shape, axes)
    return np.max(input, axis=axes, keepdims=keepdim)


@primitive(input=evenly)
def amin(input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
    """Smallest element, NaN if there is one. Elements that tie share the gradient evenly."""
    axes = _axes(input.shape, dim, "amin")
    _need_elements("amin", input.shape, axes)
    return np.min(input, axis=axes, keepdims=keepdim)


@numpy_keywords
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """:func:`amin` and :func:`amax`."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


def _position(name: str, find: Callable, input: Array, dim: int | None, keepdim: bool) -> Array:
    _need_elements(name, input.shape, _axes(input.shape, dim, name))
    axis = None if dim is None or not input.ndim else normalize_dim(dim, input.ndim, name)
    return find(input, axis=axis, keepdims=keepdim)


@primitive(inputs=("input",))
def argmax(input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Index of the first largest element along ``dim``, or in the flattened tensor. NaN counts as largest."""
    return _position("argmax", np.argmax, input, dim, keepdim)


@primitive(inputs=("input",))
def argmin(input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
    """Index of the first smallest element along ``dim``, or in the flattened tensor. NaN counts as smallest."""
    return _position("argmin", np.argmin, input, dim, keepdim)


def picked(input: Any, indices: Any, dim: int, keepdim: bool) -> ValuesIndices:
    """The elements at ``indices``, which have size 1 along ``dim``, and the indices themselves."""
    values = take_along_dim(input, indices, dim) if input.ndim else input
    if keepdim or not input.ndim:
        return ValuesIndices(values, indices)
    return ValuesIndices(np.squeeze(values, dim), np.squeeze(indices, dim))


def _extremum(name: str, input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """Of all elements, the gradient is shared evenly among ties. Along ``dim`` a namedtuple (values, indices) is
    returned, and the gradient goes to the one element that the index names.
    """
    reduce, find, pairwise = (amax, argmax, maximum) if name == "max" else (amin, argmin, minimum)
    other = dim if isinstance(dim, TensorBase) else other
    if other is not None:
        return pairwise(input, other)
    _need_elements(name, input.shape, _axes(input.shape, dim, name))
    if dim is None:
        return reduce(input)
    return picked(input, find(input, dim, True), dim, keepdim)


_MAX = "Largest element; along ``dim``, also its index; with another tensor, :func:`maximum` of both."
_MIN = "Smallest element; along ``dim``, also its index; with another tensor, :func:`minimum` of both."
max = numpy_keywords(specialize("max", _extremum, "max", _MAX))
min = numpy_keywords(specialize("min", _extremum, "min", _MIN))


# ------------------------------------------------------------------------------------ cumulative


def _linear_scan_rule(g: Array, a: Array, y: Array, dim: int) -> tuple[Array, Array]:
    s = _reverse_scan(a, g, dim)
    return s * _before(y, dim, 0), s


@primitive(joint=_linear_scan_rule, inputs=("a", "b"))
def _linear_scan(a: Array, b: Array, dim: int) -> Array:
    """``y[i] = a[i] * y[i - 1] + b[i]`` along ``dim``, with 0 before the first.

    Computed by doubling: after k steps each element knows the effect of the last 2**k elements.
    """
    step = 1
    while step < b.shape[dim]:
        head, tail, lag = (along(dim, part) for part in (slice(0, step), slice(step, None), slice(0, -step)))
        b = np.concatenate([b[head], b[tail] + a[tail] * b[lag]], axis=dim)
        a = np.concatenate([a[head], a[tail] * a[lag]], axis=dim)
        step *= 2
    return b


def _reverse_scan(a: Array, b: Array, dim: int) -> Array:
    """``s[i] = b[i] + a[i + 1] * s[i + 1]`` along ``dim``, with 0 behind the last: the adjoint of the scan in b."""
    return np.flip(_linear_scan(_before(np.flip(a, dim), dim, 0), np.flip(b, dim), dim=dim), dim)


def _cumulative(name: str, function: Callable, input: Array, dim: int, dtype: Any) -> Array:
    """Run one of NumPy's cumulative functions."""
    d = normalize_dim(dim, input.ndim, name)
    return np.reshape(function(input, axis=d if input.ndim else None, dtype=dtype), input.shape)


def _cumsum_input(g: Array, dim: int) -> Array:
    return np.flip(cumsum(np.flip(g, dim), dim), dim) if g.ndim else g


@reduction(integers=True, input=_cumsum_input)
def cumsum(input: Array, dim: int, *, dtype: Any = None) -> Array:
    """Sum of each element and all before it along ``dim``; integers and bools give int64."""
    return _cumulative("cumsum", np.cumsum, input, dim, dtype)


def _cumprod_input(g: Array, input: Array, y: Array, dim: int) -> Array:
    if not g.ndim:
        return g
    d = normalize_dim(dim, g.ndim, "cumprod")
    return _reverse_scan(input, g, d) * _before(y, d, 1)


@reduction(integers=True, input=_cumprod_input)
def cumprod(input: Array, dim: int, *, dtype: Any = None) -> Array:
    """Product of each element and all before it along ``dim``; integers and bools give int64."""
    return _cumulative("cumprod", np.cumprod, input, dim, dtype)


def _exp_difference(a: Array, b: Array) -> Array:
    """``exp(a - b)``, which is 0 where ``a`` is -inf even if ``b`` is as well."""
    return np.exp(np.where(np.equal(a, -math.inf), -math.inf, a - b))


def _logcumsumexp_input(g: Array, input: Array, y: Array, dim: int) -> Array:
    if not g.ndim:
        return g
    d = normalize_dim(dim, g.ndim, "logcumsumexp")
    return _exp_difference(input, y) * _reverse_scan(_exp_difference(_before(y, d, -math.inf), y), g, d)


@reduction(input=_logcumsumexp_input)
def logcumsumexp(input: Array, dim: int) -> Array:
    """:func:`logsumexp` of each element and all before it along ``dim``."""
    d = normalize_dim(dim, input.ndim, "logcumsumexp")
    return np.logaddexp.accumulate(input, axis=d) if input.ndim else input.copy()


@primitive(inputs=("input",))
def _argcumulate(input: Array, dim: int, largest: bool) -> Array:
    """Along ``dim``, the index of the last element so far that equals the extremum so far (or is NaN)."""
    d = normalize_dim(dim, input.ndim, "cummax" if largest else "cummin")
    if not input.ndim:
        return np.zeros_like(input, dtype=np.int64)
    extrema = (np.maximum if largest else np.minimum).accumulate(input, axis=d)
    found = np.logical_or(np.equal(input, extrema), np.not_equal(input, input))
    places = np.cumsum(np.ones_like(input, dtype=np.int64), axis=d) - 1
    return np.maximum.accumulate(np.where(found, places, 0), axis=d)


@numpy_keywords
def cummax(input: Any, dim: int) -> ValuesIndices:
    """Largest of each element and all before it along ``dim``, and its (last) index."""
    return picked(input, _argcumulate(input, dim, largest=True), dim, True)


@numpy_keywords
def cummin(input: Any, dim: int) -> ValuesIndices:
    """Smallest of each element and all before it along ``dim``, and its (last) index."""
    return picked(input, _argcumulate(input, dim, largest=False), dim, True)


# --------------------------------------------------------------------------- exponential families


def _logsumexp_input(g: Array, input: Array, y: Array, dim: Dims) -> Array:
    axes = _axes(input.shape, dim, "logsumexp")
    return _kept(g, input.shape, axes) * _exp_difference(input, _kept(y, input.shape, axes))


@reduction(input=_logsumexp_input, promotion="float")
def logsumexp(input: Array, dim: Dims, keepdim: bool = False) -> Array:
    """``log(sum(exp(input)))`` along ``dim``, without overflow; -inf if there are no elements."""
    axes = _axes(input.shape, dim, "logsumexp")
    largest = np.max(input, axis=axes, keepdims=True, initial=-math.inf)
    largest = np.where(np.isfinite(largest), largest, 0)
    total = np.log(np.sum(np.exp(input - largest), axis=axes, keepdims=True)) + largest
    return total if keepdim else np.squeeze(total, axes)


def _softmax_input(g: Array, y: Array, dim: int) -> Array:
    gy = g * y
    return gy - y * sum(gy, dim, True)


@reduction(input=_softmax_input)
def softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """``exp(input) / sum(exp(input))`` along ``dim``, without overflow. Takes any shape, and keeps it."""
    axis = _axis(input, dim, "softmax")
    y = np.exp(input - np.max(input, axis=axis, keepdims=True, initial=-math.inf))
    y /= np.sum(y, axis=axis, keepdims=True)
    return y


@reduction(input=lambda g, y, dim: g - np.exp(y) * sum(g, dim, True))
def log_softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """``log(softmax(input))`` along ``dim``, precise also where softmax underflows. Takes any shape, and keeps it."""
    axis = _axis(input, dim, "log_softmax")
    y = input - np.max(input, axis=axis, keepdims=True, initial=-math.inf)
    y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return y


@numpy_keywords
def softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    """``softmax(-input)``. Takes any shape, and keeps it."""
    return softmax(-input, dim, dtype=dtype)
