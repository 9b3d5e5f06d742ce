"""Sums, products, extrema, norms, scans and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.ops import reduction
from minigrad.testing import booleans, floats, integers, shapes

from .spec import Case, Spec

INF, NAN = math.inf, math.nan


@st.composite
def over(draw: Any, values: Callable[..., Any] = floats, several: bool = True, required: bool = False,
         keepdim: bool = True) -> Case:  # fmt: skip
    """An array, the dimension or dimensions to reduce, and sometimes keepdim."""
    shape = draw(shapes())
    array = draw(values(shape))
    dims = range(-len(shape), len(shape)) if shape else range(-1, 1)
    choices = [st.sampled_from(dims)]
    if several and shape:
        each = st.sets(st.integers(0, len(shape) - 1), min_size=1)
        choices.append(each.map(lambda s: tuple(i - len(shape) if i % 2 else i for i in sorted(s))))
    if not required:
        choices.append(st.none())
    options = {"dim": draw(st.one_of(choices))}
    if keepdim and draw(st.booleans()):
        options["keepdim"] = True
    return Case(array, **options)


def _axis(x: np.ndarray, dim: Any) -> Any:
    """``dim`` as NumPy takes it, also for an array without dimensions."""
    return None if x.ndim == 0 else tuple(dim) if isinstance(dim, (list, tuple)) and dim else dim if dim != () else None


def by(function: Callable) -> Callable:
    """A NumPy reduction, called in PyTorch's way."""
    return lambda x, dim=None, keepdim=False: np.asarray(function(x, axis=_axis(x, dim), keepdims=keepdim))


def along(function: Callable) -> Callable:
    """The reference that applies ``function`` to each 1-D slice along ``dim``."""
    return lambda x, dim: np.apply_along_axis(function, dim, x) if x.ndim else function(x.reshape(1)).reshape(())


def pair(find: Callable) -> Callable:
    """The reference of a function that returns the elements that ``find`` finds, and their indices."""

    def reference(x: np.ndarray, dim: int, keepdim: bool = False) -> tuple[np.ndarray, np.ndarray]:
        if not x.ndim:
            return x.copy(), np.zeros((), "int64")
        indices = np.expand_dims(np.apply_along_axis(find, dim, x), dim)
        values = np.take_along_axis(x, indices, dim)
        return (values, indices) if keepdim else (values.squeeze(dim), indices.squeeze(dim))

    return reference


def running(better: Callable) -> Callable:
    """A naive cummax or cummin: the values so far and the last place where each was found."""

    def reference(x: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
        def places(row: np.ndarray) -> np.ndarray:
            best, found = 0, []
            for i, value in enumerate(row):
                best = i if better(value, row[best]) else best
                found.append(best)
            return np.array(found)

        indices = along(places)(x, dim)
        return (np.take_along_axis(x, indices, dim) if x.ndim else x.copy()), indices

    return reference


def _deviation(power: float) -> Callable:
    """Variance (power 1) or standard deviation (0.5) from its definition."""

    def reference(x: np.ndarray, dim: Any = None, keepdim: bool = False, correction: float = 1) -> np.ndarray:
        axis = _axis(x, dim)
        count = x.size if axis is None else np.prod([x.shape[i] for i in np.atleast_1d(axis)])
        with np.errstate(all="ignore"):
            total = np.sum((x - x.mean(axis=axis, keepdims=True)) ** 2, axis=axis, keepdims=keepdim)
            return np.asarray((total / np.float64(max(count - correction, 0))) ** power)

    return reference


def _vector_norm(x: np.ndarray, ord: float = 2, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    axis, a = _axis(x, dim), np.abs(x)
    if ord in (INF, -INF):
        return np.asarray((np.max if ord > 0 else np.min)(a, axis=axis, keepdims=keepdim))
    total = np.sum(np.sign(a) if ord == 0 else a**ord, axis=axis, keepdims=keepdim)
    return np.asarray(total if ord == 0 else total ** (1 / ord))


def _logsumexp(x: np.ndarray, dim: Any = None, keepdim: bool = False) -> np.ndarray:
    return np.asarray(np.log(np.sum(np.exp(x), axis=_axis(x, dim), keepdims=keepdim)))


def _softmax(x: np.ndarray, dim: int) -> np.ndarray:
    return np.exp(x) / np.sum(np.exp(x), axis=_axis(x, dim), keepdims=True)


def _scan(a: np.ndarray, b: np.ndarray, dim: int) -> np.ndarray:
    a, b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
    rows = [b[0]] if len(b) else []
    for i in range(1, len(b)):
        rows.append(a[i] * rows[-1] + b[i])
    return np.moveaxis(np.stack(rows), 0, dim)


def with_zeros(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Values of which some are exactly 0."""
    return st.tuples(floats(shape), booleans(shape), booleans(shape)).map(lambda t: np.where(t[1] & t[2], 0.0, t[0]))


def with_nans(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Values of which some are NaN."""
    return floats(shape).map(lambda x: np.where(x > 1, NAN, x))


def counts(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Small integers, half of them 0."""
    return integers(shape, -1, 1)


one_dim = over(several=False, required=True, keepdim=False)
one_dim_kept = over(several=False, required=True)
EMPTY = Case(np.zeros((2, 0, 3)), dim=1)
EMPTY_KEPT = Case(np.zeros((0, 3)), dim=0, keepdim=True)
EMPTY_RESULT = Case(np.zeros((0, 3)), dim=1)
HUGE = Case(np.array([[1e300, -1e300, 0.0], [800.0, 801.0, -800.0]]), dim=1)
INFINITE = Case(np.array([[1.0, INF], [-INF, 2.0], [NAN, 1.0]]), dim=1)

SPECS: dict[str, Spec] = {
    "sum": Spec(mg.sum, over(), by(np.sum), adjoint=True, edges=[EMPTY, EMPTY_KEPT, EMPTY_RESULT, INFINITE]),
    "sum of ints": Spec(mg.sum, over(counts), by(np.sum), order=0),
    "mean": Spec(mg.mean, over(), by(np.mean), adjoint=True, edges=[EMPTY_RESULT, INFINITE]),
    "nansum": Spec(mg.nansum, over(with_nans), by(np.nansum), order=0),
    "nansum differentiated": Spec(mg.nansum, over(), by(np.sum)),
    "nanmean": Spec(mg.nanmean, over(), by(np.mean)),
    "prod": Spec(mg.prod, over(several=False), by(np.prod), edges=[EMPTY, EMPTY_KEPT, EMPTY_RESULT, INFINITE]),
    "prod with zeros": Spec(mg.prod, over(with_zeros, several=False), by(np.prod), primitive="prod"),
    "count_nonzero": Spec(mg.count_nonzero, over(counts, keepdim=False), by(np.count_nonzero), order=0),
    "any": Spec(mg.any, over(counts), by(np.any), order=0, edges=[EMPTY, INFINITE]),
    "all": Spec(mg.all, over(counts), by(np.all), order=0, edges=[EMPTY, INFINITE]),
    "var": Spec(lambda x, **o: mg.var(x, correction=0, **o), over(),
                lambda x, **o: _deviation(1)(x, correction=0, **o)),
    "var corrected": Spec(mg.var, st.builds(Case, floats(shapes(1, 3, 2)), dim=st.sampled_from([0, -1, None])),
                          _deviation(1), primitive="var", edges=[EMPTY_RESULT, INFINITE]),
    "std": Spec(mg.std, st.builds(Case, floats(shapes(1, 3, 2)), dim=st.sampled_from([0, -1, None])), _deviation(0.5),
                edges=[EMPTY_RESULT, INFINITE]),
    "var_mean": Spec(mg.var_mean, st.builds(Case, floats((3, 2)), dim=st.sampled_from([0, -1, None])),
                     lambda x, dim: (_deviation(1)(x, dim), by(np.mean)(x, dim)), primitive="var"),
    "std_mean": Spec(mg.std_mean, st.builds(Case, floats((3, 2)), dim=st.sampled_from([0, -1, None])),
                     lambda x, dim: (_deviation(0.5)(x, dim), by(np.mean)(x, dim)), primitive="std"),
    # norms
    "power_norm": Spec(
        reduction.vector_norm,
        over().flatmap(lambda c: st.sampled_from([2, 2.0, 3, 1.5, 0.5, -1]).map(
            lambda p: Case(*c.args, ord=p, **c.kwargs))),
        _vector_norm,
    ),
    "vector_norm": Spec(
        reduction.vector_norm,
        over().flatmap(lambda c: st.sampled_from([1, INF, -INF]).map(lambda p: Case(*c.args, ord=p, **c.kwargs))),
        _vector_norm,
    ),
    "norm": Spec(mg.norm, over(), _vector_norm, primitive="power_norm", edges=[EMPTY, EMPTY_RESULT, INFINITE]),
    "norm 0": Spec(lambda x, dim: mg.norm(x, 0, dim), over(with_zeros, keepdim=False),
                   lambda x, dim: _vector_norm(x, 0, dim), order=0),
    # extrema
    "amax": Spec(mg.amax, over(), by(np.max), edges=[EMPTY_RESULT, INFINITE]),
    "amin": Spec(mg.amin, over(), by(np.min), edges=[EMPTY_RESULT, INFINITE]),
    "aminmax": Spec(mg.aminmax, over(several=False), lambda x, **o: (by(np.min)(x, **o), by(np.max)(x, **o)),
                    primitive="amax"),
    "argmax": Spec(mg.argmax, over(several=False), by(np.argmax), order=0, edges=[EMPTY_RESULT, INFINITE]),
    "argmin": Spec(mg.argmin, over(several=False), by(np.argmin), order=0, edges=[EMPTY_RESULT, INFINITE]),
    "max": Spec(mg.max, one_dim_kept, pair(np.argmax), edges=[INFINITE]),
    "min": Spec(mg.min, one_dim_kept, pair(np.argmin), edges=[INFINITE]),
    "max of all": Spec(mg.max, floats(shapes()).map(Case), by(np.max), primitive="amax"),
    "min of all": Spec(mg.min, floats(shapes()).map(Case), by(np.min), primitive="amin"),
    # scans
    "cumsum": Spec(mg.cumsum, one_dim, along(np.cumsum), adjoint=True, edges=[EMPTY, INFINITE]),
    "cumprod": Spec(mg.cumprod, one_dim, along(np.cumprod), edges=[EMPTY, INFINITE]),
    "cumprod with zeros": Spec(mg.cumprod, over(with_zeros, several=False, required=True, keepdim=False),
                               along(np.cumprod), primitive="cumprod"),
    "linear_scan": Spec(
        reduction._linear_scan,
        shapes(1).flatmap(lambda s: st.builds(Case, floats(s), floats(s), dim=st.integers(0, len(s) - 1))),
        _scan,
    ),
    "logcumsumexp": Spec(mg.logcumsumexp, one_dim, along(lambda row: np.log(np.cumsum(np.exp(row)))), edges=[EMPTY]),
    "cummax": Spec(mg.cummax, one_dim, running(np.greater_equal)),
    "cummin": Spec(mg.cummin, one_dim, running(np.less_equal)),
    "argcumulate": Spec(lambda x, dim: reduction._argcumulate(x, dim, largest=True), one_dim,
                        lambda x, dim: running(np.greater_equal)(x, dim)[1], order=0),
    "argcumulate of minima": Spec(lambda x, dim: reduction._argcumulate(x, dim, largest=False), one_dim,
                                  lambda x, dim: running(np.less_equal)(x, dim)[1], primitive="argcumulate", order=0),
    # exponential families
    "logsumexp": Spec(mg.logsumexp, over(required=True), _logsumexp, edges=[EMPTY, EMPTY_RESULT]),
    "softmax": Spec(mg.softmax, one_dim, _softmax, edges=[EMPTY, EMPTY_RESULT]),
    "log_softmax": Spec(mg.log_softmax, one_dim, lambda x, dim: np.log(_softmax(x, dim)), edges=[EMPTY, EMPTY_RESULT]),
    "softmin": Spec(mg.softmin, one_dim, lambda x, dim: _softmax(-x, dim), primitive="softmax"),
}  # fmt: skip


def _x() -> Any:
    return mg.ones(2, 3)


def _i() -> Any:
    return mg.ones(2, 3, dtype=mg.int64)


ERRORS = [
    ("sum dim", lambda: mg.sum(_x(), 2), IndexError, "sum: dim 2 is out of range for a tensor with 2 dimensions"),
    ("sum dims", lambda: mg.sum(_x(), (0, 5)), IndexError, "sum: dim 5 is out of range"),
    ("sum dim twice", lambda: mg.sum(_x(), (0, -2)), ValueError, r"sum: dim \(0, -2\) names a dimension twice"),
    ("sum dim float", lambda: mg.sum(_x(), 0.5), TypeError, "sum: dim must be an int, got 0.5"),
    ("sum dim string", lambda: mg.sum(_x(), "a"), TypeError, "sum: dim must be an int, got 'a'"),
    ("sum dtype", lambda: mg.sum(_x(), dtype="complex64"), TypeError, "sum: 'complex64' is not a dtype"),
    ("sum unknown", lambda: mg.sum(_x(), out=None), TypeError, "sum: unexpected argument 'out'"),
    ("sum of both names", lambda: mg.sum(_x(), dim=0, axis=0), TypeError, "sum: got two values for argument 'dim'"),
    ("norm of both names", lambda: _x().norm(dim=0, axis=1), TypeError, "norm: got two values for one of dim"),
    ("sum twice", lambda: mg.sum(_x(), 0, axis=0), TypeError, "sum: got two values for argument 'dim'"),
    ("mean of ints", lambda: mg.mean(_i()), TypeError, r"mean: expected a floating-point tensor, got int64; "),
    ("var of ints", lambda: mg.var(_i()), TypeError, "var: expected a floating-point tensor, got int64"),
    ("std of bools", lambda: mg.std(_i() > 0), TypeError, "std: expected a floating-point tensor, got bool"),
    ("var both", lambda: mg.var(_x(), unbiased=True, correction=1), TypeError, "var: give correction or unbiased"),
    ("prod dims", lambda: mg.prod(_x(), (0, 1)), TypeError, r"prod: dim must be an int, got \(0, 1\)"),
    ("any dim", lambda: mg.any(_x(), 3), IndexError, "any: dim 3 is out of range"),
    ("norm of ints", lambda: mg.norm(_i()), TypeError, "vector_norm: expected a floating-point tensor, got int64"),
    ("norm order", lambda: mg.norm(_x(), "a"), TypeError, "vector_norm: ord must be a number, got 'a'"),
    ("norm nuclear", lambda: mg.norm(_x(), "nuc"), NotImplementedError, "norm: the nuclear norm"),
    ("norm of nothing", lambda: mg.norm(mg.ones(0), INF), ValueError, r"no element to choose .* of shape \(0,\)"),
    ("max of nothing", lambda: mg.max(mg.ones(0)), ValueError, r"max: there is no element .* of shape \(0,\)"),
    ("max along nothing", lambda: mg.max(mg.ones(0, 2), 0), ValueError, r"max: there is no element .*\(0, 2\)"),
    ("amin of nothing", lambda: mg.amin(mg.ones(2, 0), 1), ValueError, "amin: there is no element"),
    ("argmax of nothing", lambda: mg.argmax(mg.ones(0)), ValueError, "argmax: there is no element"),
    ("max dim", lambda: mg.max(_x(), 4), IndexError, "max: dim 4 is out of range"),
    ("max shapes", lambda: mg.max(_x(), mg.ones(4)), ValueError, r"maximum: shapes \(2, 3\) and \(4,\)"),
    ("cumsum no dim", lambda: mg.cumsum(_x()), TypeError, "cumsum: missing argument 'dim'"),
    ("cumprod dim", lambda: mg.cumprod(_x(), -3), IndexError, "cumprod: dim -3 is out of range"),
    ("cummax dim", lambda: mg.cummax(_x(), 2), IndexError, "cummax: dim 2 is out of range"),
    ("softmax no dim", lambda: mg.softmax(_x()), TypeError, "softmax: missing argument 'dim'"),
    ("softmax of ints", lambda: mg.softmax(_i(), 0), TypeError, "softmax: expected a floating-point tensor, got int64"),
    ("log_softmax dim", lambda: mg.log_softmax(_x(), 2), IndexError, "log_softmax: dim 2 is out of range"),
    ("sum of a number", lambda: mg.sum(3.0), TypeError, "sum: expected a Tensor, got float"),
    ("sum of a list", lambda: mg.sum([1, 2]), TypeError, "sum: expected a Tensor"),
]
