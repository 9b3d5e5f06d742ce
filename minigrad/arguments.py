"""Arguments in their many accepted spellings, made uniform, with errors that name the function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from operator import index
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def normalize_dim(dim: Any, ndim: int, name: str, argument: str = "dim") -> int:
    """``dim`` counted from the front; a tensor without dimensions accepts 0 and -1."""
    try:
        number = index(dim)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be an int, got {dim!r}") from None
    if not -max(ndim, 1) <= number < max(ndim, 1):
        raise IndexError(f"{name}: {argument} {number} is out of range for a tensor with {ndim} dimensions")
    return number % max(ndim, 1)


def normalize_dims(dim: Any, ndim: int, name: str, argument: str = "dim") -> tuple[int, ...]:
    """``dim`` (an int, a sequence of ints, or None for all) as a tuple counted from the front."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(normalize_dim(d, ndim, name, argument) for d in (dim if isinstance(dim, Sequence) else (dim,)))
    if len(set(dims)) != len(dims):
        raise ValueError(f"{name}: {argument} {dim} names a dimension twice")
    return dims


def along(dim: int, item: Any) -> tuple[Any, ...]:
    """The index that takes ``item`` (an int, a slice, an array) along ``dim``, and everything along the others."""
    return (*(slice(None),) * dim, item)


def ntuple(value: Any, n: int, name: str, argument: str, minimum: int = 0) -> tuple[int, ...]:
    """An int, or a sequence of ``n`` ints, as a tuple of ``n`` ints that are at least ``minimum``."""
    given = tuple(value) if isinstance(value, Sequence) else (value,) * n
    if len(given) == 1:
        given *= n
    try:
        numbers = tuple(index(v) for v in given)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be an int or {n} ints, got {value!r}") from None
    if len(numbers) != n:
        raise ValueError(f"{name}: {argument} must be an int or {n} ints, got {value!r}")
    if min(numbers) < minimum:
        raise ValueError(f"{name}: {argument} must be at least {minimum}, got {value!r}")
    return numbers


def normalize_size(size: Any, name: str, argument: str = "size", minimum: int = 0) -> tuple[int, ...]:
    """The shape given by ``*size``: ints, or one sequence of ints."""
    given = tuple(size[0]) if len(size) == 1 and isinstance(size[0], Sequence) else size
    try:
        shape = tuple(index(n) for n in given)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be ints or one sequence of ints, got {given!r}") from None
    if min(shape, default=0) < minimum:
        raise ValueError(f"{name}: {argument} must be at least {minimum}, got {given!r}")
    return shape


NUMPY_KEYWORDS = {"axis": "dim", "keepdims": "keepdim"}  # PyTorch takes NumPy's names as well


def numpy_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that is composed of operations take ``axis`` and ``keepdims`` too, as operations do."""

    @wraps(function)
    def renamed(*args: P.args, **options: P.kwargs) -> T:
        if options:
            options = {NUMPY_KEYWORDS.get(k, k): v for k, v in options.items()}  # type: ignore[assignment]
        return function(*args, **options)

    return renamed
