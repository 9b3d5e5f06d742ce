"""Proving operations with hypothesis: strategies for shapes and values, and comparison.

This module alone needs hypothesis; :func:`minigrad.gradcheck` does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from . import dtypes
from .autograd.gradcheck import gradcheck, gradgradcheck
from .engine import TensorBase, new_tensor

# ---------------------------------------------------------------------------------- strategies


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1,
           max_side: int = 4) -> st.SearchStrategy[tuple[int, ...]]:  # fmt: skip
    """Shapes; they shrink to fewer and smaller dimensions."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


@st.composite
def floats(draw: Any, shape: Any, low: float = -2.0, high: float = 2.0, avoid: Sequence[float] = (0.0,)) -> np.ndarray:
    """A float64 array of values in ``low`` to ``high`` that differ from each other and from ``avoid``.

    The values are levels of one even grid, of random offset and in random order, so that no step of a
    finite difference crosses a tie, or a kink named in ``avoid``. ``shape`` is a shape or a strategy for one.
    """
    if isinstance(shape, st.SearchStrategy):
        shape = draw(shape)
    size = int(np.prod(shape))
    gap = (high - low) / max(size, 1)
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    values = low + gap * (random.permutation(size) + random.uniform(0.2, 0.55))
    margin = min([gap, *np.diff(np.sort(avoid))]) / 5  # too narrow to lead to another value or kink
    for kink in avoid:
        values = np.where(np.abs(values - kink) < margin, kink + margin, values)
    return values.reshape(shape)


def integers(shape: Any, low: int, high: int, dtype: str = "int64") -> st.SearchStrategy[np.ndarray]:
    """An integer array with values from ``low`` to ``high``, both included."""
    shape = shape if isinstance(shape, st.SearchStrategy) else st.just(shape)
    return st.builds(
        lambda shape, seed: np.random.default_rng(seed).integers(low, high, size=shape, endpoint=True).astype(dtype),
        shape, st.integers(0, 2**16),
    )  # fmt: skip


def booleans(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """A bool array."""
    return integers(shape, 0, 1).map(lambda array: array.astype(bool))


@st.composite
def broadcastable(draw: Any, count: int = 2, max_dims: int = 3, max_side: int = 3) -> tuple[tuple[int, ...], ...]:
    """``count`` shapes that broadcast against each other, with some sizes 1 and some dimensions missing."""
    full = draw(shapes(0, max_dims, 1, max_side))
    result = []
    for _ in range(count):
        kept = full[draw(st.integers(0, len(full))) :]
        result.append(tuple(1 if draw(st.booleans()) else side for side in kept))
    return tuple(result)


# ----------------------------------------------------------------------------------- comparison

_TOLERANCES = {dtypes.float16: (1e-3, 1e-5), dtypes.float32: (1.3e-6, 1e-5), dtypes.float64: (1e-7, 1e-7)}


def assert_close(actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None,
                 equal_nan: bool = False, check_dtype: bool = True) -> None:  # fmt: skip
    """Raise AssertionError unless ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Args:
        actual, expected: Tensors, arrays or numbers, or sequences or mappings of such.
        rtol, atol: give both or neither; by default 1.3e-6 and 1e-5 for float32, 1e-7 for float64,
            1e-3 and 1e-5 for float16 (the looser of the two dtypes), 0 for integers and bools.
        check_dtype: equal values of different dtypes are an error.

    >>> assert_close(new_tensor(np.float64([1, 2, 3])), [1, 2, 3])
    Traceback (most recent call last):
    AssertionError: the parts differ: Tensor should be [0, 1, 2]
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"assert_close: give both rtol and atol or neither, got rtol={rtol} and atol={atol}")
    found, wanted = _parts(actual), _parts(expected)
    if found != wanted:
        raise AssertionError(f"the parts differ: {found or type(actual).__name__} should be "
                             f"{wanted or type(expected).__name__}")  # fmt: skip
    for key in wanted or ():
        try:
            assert_close(actual[key], expected[key], rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype)
        except AssertionError as error:
            error.add_note(f"at {key!r}")
            raise
    if wanted is not None:
        return
    a, e = (np.asarray(v._array if isinstance(v, TensorBase) else v) for v in (actual, expected))
    if check_dtype and hasattr(actual, "dtype") and hasattr(expected, "dtype") and a.dtype != e.dtype:
        raise AssertionError(f"the dtypes differ: {a.dtype} should be {e.dtype}")
    defaults = [_TOLERANCES.get(v.dtype, (0.0, 0.0)) for v in (a, e)]
    rtol, atol = (max(d[k] for d in defaults) if given is None else given for k, given in enumerate((rtol, atol)))
    wide = np.result_type(a, e, np.float64)
    np.testing.assert_allclose(a.astype(wide), e.astype(wide), rtol, atol, equal_nan, strict=True)


def _parts(value: Any) -> list[Any] | None:
    """The keys of a mapping, the positions in a sequence; None for anything else."""
    if isinstance(value, (list, tuple)):
        return list(range(len(value)))
    return list(value) if isinstance(value, Mapping) else None


# ---------------------------------------------------------------------------------- the decorator


def proves_gradients(cases: st.SearchStrategy[Sequence[Any]] | None = None, /, *, order: int = 2, atol: float = 1e-7,
                     rtol: float = 1e-6, **inputs: st.SearchStrategy[Any],
                     ) -> Callable[[Callable[..., Any]], Callable[[], None]]:  # fmt: skip
    """Make a function of Tensors a test that proves its gradients, for pytest or to be called.

    ::

        @proves_gradients(x=floats(shapes()), power=st.integers(1, 3))
        def test_power_gradients(x, power):
            return my_power(x, power)

    Hypothesis draws the arguments; float64 arrays arrive as Tensors that require a gradient, other
    arrays as constant Tensors. :func:`gradcheck` judges what the function returns, and a failure
    shrinks to the smallest arguments that show it.

    Args:
        cases: a strategy for whole argument lists, where one argument depends on another.
        order: 2 also proves the second derivatives; 1 only the first.
        inputs: a strategy for each argument.
    """
    if order not in (1, 2):
        raise ValueError(f"proves_gradients: order must be 1 or 2, got {order}")
    if (cases is None) == (not inputs):
        raise TypeError("proves_gradients: give either one strategy for argument lists or one for each argument")

    strategies = inputs if cases is None else {"arguments": cases}

    def decorate(function: Callable[..., Any]) -> Callable[[], None]:
        def prove(**drawn: Any) -> None:
            arguments = list(drawn.values() if cases is None else drawn["arguments"])
            tensors = [new_tensor(a, a.dtype == np.float64) if isinstance(a, np.ndarray) else a for a in arguments]

            def func(*values: Any) -> Any:
                return function(**dict(zip(drawn, values, strict=True))) if cases is None else function(*values)

            gradcheck(func, tensors, atol=atol, rtol=rtol)
            if order == 2:
                gradgradcheck(func, tensors, atol=atol, rtol=rtol)

        update_wrapper(prove, function)
        del vars(prove)["__wrapped__"]  # its arguments are not those of the test
        return given(**strategies)(prove)

    return decorate
